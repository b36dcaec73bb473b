//! `host:port`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::attribute::shortened;

/// Longest host name (RFC 1035).
const LONGEST: usize = 253;

/// A host name or IP address and a port. An IPv6 address stands in brackets in text and without them in `host`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    host: String,
    port: u16,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address: {reason}; write it such as `relay.example.com:443` or `[::1]:443`")]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

impl Address {
    /// From its parts.
    ///
    /// # Errors
    /// When `host` is neither a name nor an IP address.
    pub fn new(host: &str, port: u16) -> Result<Self, AddressError> {
        let fits = host.parse::<IpAddr>().is_ok() || is_name(host);
        if fits {
            Ok(Self { host: host.to_ascii_lowercase(), port })
        } else {
            Err(AddressError { text: shortened(host), reason: "the host is neither a name nor an IP address" })
        }
    }

    /// The host, lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `connect` takes.
    #[must_use]
    pub fn pair(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

/// Letters, digits, `-`, `_` and dots; underscores are against the rules and in use in container networks.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= LONGEST && host.trim_end_matches('.').split('.').all(label)
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason| AddressError { text: shortened(text), reason };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| error("the port is missing"))?;
        let port = port.parse().map_err(|_| error("the port is no number from 0 to 65535"))?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(|| error("the bracket is not closed"))?,
            None if host.contains(':') => return Err(error("an IPv6 address stands in brackets")),
            None => host,
        };
        Self::new(host, port).map_err(|AddressError { reason, .. }| error(reason))
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        for text in ["relay.example.com:443", "127.0.0.1:0", "[::1]:9092", "kafka_1:9092", "localhost:1"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:9092".parse::<Address>().unwrap().pair(), ("::1", 9092));
        assert_eq!("Relay.Example.COM:443".parse::<Address>().unwrap().host(), "relay.example.com");
    }

    #[test]
    fn what_is_no_address_is_said() {
        for (text, reason) in [
            ("relay", "port is missing"),
            ("relay:", "no number"),
            ("relay:65536", "no number"),
            ("::1:443", "brackets"),
            ("[::1:443", "not closed"),
            ("a b:443", "neither a name"),
            (":443", "neither a name"),
            ("a..b:443", "neither a name"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
