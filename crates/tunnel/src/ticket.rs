//! The ticket: one line that invites a node into a project.
//!
//! ```text
//! snowmelt1.<base64url of JSON>.<base64url of the first 6 bytes of SHA-256 over what stands before>
//! ```
//!
//! Whoever holds the line can use it up, so it is a secret like a password until then. The checksum is no protection: it
//! tells a line cut by a terminal from one that the authority does not know.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::attribute::{RelayName, shortened};
use crate::credential::Fingerprint;

const PREFIX: &str = "snowmelt1.";
const CHECKSUM: usize = 6;
/// Longest line that is read.
const LONGEST: usize = 4096;

/// How a node knows the relay's outer TLS certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelayTrust {
    /// Issued by the project's own authority to a node with the attribute `snowmelt-relay`.
    #[default]
    Project,
    /// Issued for the relay's host name by somebody the machine trusts: a public certificate authority, or one given
    /// with `--relay-ca`.
    System,
}

/// An invitation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The authority's fingerprint, which the enrolling node pins.
    #[serde(rename = "f")]
    pub authority: Fingerprint,
    /// Where the authority listens.
    #[serde(rename = "a")]
    pub authority_address: Address,
    /// Where the relay listens.
    #[serde(rename = "r")]
    pub relay_address: Address,
    /// How the relay's certificate is known.
    #[serde(rename = "t", default)]
    pub relay_trust: RelayTrust,
    /// The relay name the node may register, when it may.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub relay_name: Option<RelayName>,
    /// Proves to the authority that this is a ticket of its own.
    #[serde(rename = "s")]
    pub secret: Secret,
}

/// 32 random bytes that are shown to nobody but the authority.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Secret([u8; 32]);

/// What the authority keeps of a [`Secret`]. A plain hash is enough: the secret is random, not chosen by a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretHash(String);

/// Why a line is no ticket. Never shows the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not one at all.
    #[error("this is no ticket: a ticket begins with `{PREFIX}`; make one with `snowmelt project ticket`")]
    Prefix,
    /// Some characters are missing or others than they were.
    #[error(
        "the ticket was altered or cut: its checksum does not fit; copy the whole line, {} characters were read",
        length
    )]
    Damaged {
        /// Characters that were read.
        length: usize,
    },
    /// Whole, and still not understood.
    #[error("the ticket cannot be read ({reason}); it may be of a newer version of snowmelt")]
    Content {
        /// What was not understood.
        reason: String,
    },
}

impl Secret {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// What may be stored of it.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(BASE64.encode(digest(&SHA256, &self.0)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> Self {
        BASE64.encode(secret.0)
    }
}

impl TryFrom<String> for Secret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64.decode(text).map_err(|_| "the secret is not base64url")?;
        bytes.try_into().map(Self).map_err(|_| "the secret has not 32 bytes")
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// The line itself: a secret, so it is only made when asked for by this name.
impl Ticket {
    /// The line.
    #[must_use]
    pub fn to_line(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut line = format!("{PREFIX}{}", BASE64.encode(json));
        let sum = checksum(&line);
        line.push('.');
        line.push_str(&sum);
        line
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let line = line.trim();
        let body = line.strip_prefix(PREFIX).ok_or(TicketError::Prefix)?;
        let damaged = || TicketError::Damaged { length: line.chars().count() };
        if line.len() > LONGEST {
            return Err(damaged());
        }
        let (payload, sum) = body.rsplit_once('.').ok_or_else(damaged)?;
        let covered = line.len() - sum.len() - 1;
        if line.get(..covered).map(checksum).as_deref() != Some(sum) {
            return Err(damaged());
        }
        let json = BASE64.decode(payload).map_err(|_| damaged())?;
        serde_json::from_slice(&json).map_err(|error| TicketError::Content { reason: shortened(&error.to_string()) })
    }
}

fn checksum(text: &str) -> String {
    let sum = digest(&SHA256, text.as_bytes());
    BASE64.encode(sum.as_ref().get(..CHECKSUM).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            authority: Fingerprint::of(b"authority"),
            authority_address: "relay.example.com:443".parse().unwrap(),
            relay_address: "relay.example.com:443".parse().unwrap(),
            relay_trust: RelayTrust::Project,
            relay_name: Some("kafka".parse().unwrap()),
            secret: Secret::random(),
        }
    }

    #[test]
    fn a_line_reads_back_and_is_safe_in_a_shell() {
        let line = ticket().to_line();
        assert!(line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{line}");
        let read: Ticket = format!(" {line}\n").parse().unwrap();
        assert_eq!(read.to_line(), line);
    }

    #[test]
    fn neither_ticket_nor_error_shows_the_secret() {
        let ticket = ticket();
        let secret = String::from(ticket.secret.clone());
        assert!(!format!("{ticket:?}{:?}", ticket.secret).contains(&secret));
        let line = ticket.to_line();
        let error = line.replacen("snowmelt1.", "snowmelt1.A", 1).parse::<Ticket>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&line[20..40]));
    }

    proptest! {
        #[test]
        fn any_change_of_a_line_is_noticed(at in 0usize..300, to in "[A-Za-z0-9._-]") {
            let line = ticket().to_line();
            let at = at % line.len();
            let mut altered = line.clone();
            altered.replace_range(at..=at, &to);
            prop_assume!(altered != line);
            // The last character of base64 may have bits that say nothing; those are refused as well.
            prop_assert!(altered.parse::<Ticket>().is_err());
            prop_assert!(line[..at].parse::<Ticket>().is_err());
        }

        #[test]
        fn any_text_is_answered(text in ".{0,80}") {
            prop_assert!(text.parse::<Ticket>().is_err());
            let whole = format!("{PREFIX}{}", BASE64.encode(&text));
            let line = format!("{whole}.{}", checksum(&whole));
            prop_assert!(line.parse::<Ticket>().is_err());
        }
    }
}
