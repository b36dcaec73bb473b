//! `[tunnel]`: the publisher's own inlet, in the same process.
//!
//! Promises: with a tunnel there is one way to Kafka, and nothing that names another is accepted beside it. Leaves
//! joining the project to [`crate::inlet`].

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use tunnel::attribute::{Policy, RelayName};

use super::reading::Section;
use super::secret::{Secret, SecretSource};

/// Where a ticket is looked for unless the file says.
pub(crate) const TICKET_VARIABLE: &str = "SNOWMELT_TICKET";

/// `[tunnel]`; the keys are the options of `snowmelt inlet`.
#[derive(Debug, Clone)]
pub struct Tunnel {
    /// The outlet's relay name. Required.
    pub to: RelayName,
    /// Which outlets may answer. Required.
    pub allow: Policy,
    /// Where the ticket is, which is needed until the node is a member; default the variable `SNOWMELT_TICKET`.
    pub ticket: SecretSource,
    /// Where key and credential are kept; `None`, which needs a key, keeps nothing. Default `inlet` beside the file.
    pub state: Option<PathBuf>,
    /// The node's key as PKCS #8 in PEM; default one that is made and kept.
    pub key: Option<Secret>,
    /// Encrypts the key on disk; default not encrypted.
    pub passphrase: Option<Secret>,
    /// PEM certificates for the relay's certificate, instead of what the ticket says.
    pub relay_ca: Option<PathBuf>,
    /// Where the publisher's Kafka client connects; port 0 is a free one. Default `127.0.0.1:0`.
    pub from: SocketAddr,
    /// Local ports for the brokers; default any free ones.
    pub broker_ports: Option<PortRange>,
}

/// Local ports, as in `9093-9192`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange(pub RangeInclusive<u16>);

/// Why a text is no range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no range of ports; write it as FIRST-LAST, as in 9093-9192")]
pub struct PortRangeError(String);

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('-')
            .and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?))
            .filter(|ports| *ports.start() > 0 && !ports.is_empty())
            .map(Self)
            .ok_or_else(|| PortRangeError(text.to_owned()))
    }
}

impl Tunnel {
    /// What is there, or `None` in the inner place where there is no tunnel.
    pub(super) fn build(section: &Section<'_>, kafka: &Section<'_>) -> Option<Option<Self>> {
        if !section.present() {
            if kafka.present() && !kafka.given("bootstrap_servers") {
                kafka.refuse(
                    "bootstrap_servers",
                    "is missing, and there is no [tunnel] that would lead to the brokers".to_owned(),
                    "add bootstrap_servers = [\"broker-1:9092\", \"broker-2:9092\"], or a [tunnel]".to_owned(),
                );
            }
            return Some(None);
        }
        check_kafka(kafka);
        let key: Option<Secret> = section.get("key")?;
        let state = section.get::<Option<PathBuf>>("state")?;
        Some(Some(Self {
            to: section.get("to")?,
            allow: section.get("allow")?,
            ticket: section
                .get::<Option<SecretSource>>("ticket")?
                .unwrap_or_else(|| SecretSource::Env(TICKET_VARIABLE.to_owned())),
            state: state.or_else(|| key.is_none().then(|| section.folder().join("inlet"))),
            key,
            passphrase: section.get("passphrase")?,
            relay_ca: section.get("relay_ca")?,
            from: section.get("from")?,
            broker_ports: section.get("broker_ports")?,
        }))
    }
}

/// The inlet reads what goes through it, to give every broker a local port; so what it carries is not encrypted yet,
/// and where it goes is the outlet's to say.
fn check_kafka(kafka: &Section<'_>) {
    if kafka.given("bootstrap_servers") {
        kafka.refuse(
            "bootstrap_servers",
            "has no effect, because [tunnel] leads to the brokers that the outlet names".to_owned(),
            "remove it, or remove [tunnel]".to_owned(),
        );
    }
    let tls = kafka.child("tls");
    if tls.get::<bool>("enabled") == Some(true) {
        tls.refuse(
            "enabled",
            "cannot be together with [tunnel]: the tunnel is encrypted from end to end, and the outlet speaks to the brokers".to_owned(),
            "remove it, and start the outlet with --kafka-tls".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_ranges_are_read() {
        assert_eq!("9093-9192".parse(), Ok(PortRange(9093..=9192)));
        assert_eq!("9093-9093".parse(), Ok(PortRange(9093..=9093)));
        for text in ["", "9093", "9192-9093", "0-10", "1-70000", "a-b"] {
            assert!(text.parse::<PortRange>().is_err(), "{text}");
        }
    }
}
