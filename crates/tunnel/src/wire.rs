//! The few messages that stand before the bytes: a length of four bytes, big-endian, and JSON.
//!
//! They are small, rare and read by other versions of the program, so they are text; what follows them is not framed at
//! all. Nothing is read beyond a message's end, so that the stream can be handed on as it is.

use std::fmt;
use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::address::Address;
use crate::attribute::{RelayName, shortened};
use crate::credential::Id;
use crate::ticket::Secret;

/// Largest message that is sent or read.
pub const LARGEST: usize = 64 << 10;

/// ALPN names (RFC 7301) of the three conversations; the number changes when one can no longer be understood.
pub mod alpn {
    /// A node and the authority.
    pub const AUTHORITY: &[u8] = b"snowmelt-authority/1";
    /// A node and the relay.
    pub const RELAY: &[u8] = b"snowmelt-relay/1";
    /// An inlet and an outlet, end to end.
    pub const TUNNEL: &[u8] = b"snowmelt-tunnel/1";
}

/// Why a message could not be read or sent.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Longer than is read.
    #[error("a message of {0} bytes was announced; at most {LARGEST} are read")]
    TooLarge(usize),
    /// Not one of those that can come here.
    #[error("a message was not understood ({0}); one side may be of another version of snowmelt")]
    Unknown(String),
}

/// Node to authority, one per connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToAuthority {
    /// Use up one use of a ticket for the key of this connection.
    Enrol {
        /// The ticket's secret.
        secret: Secret,
    },
    /// A new credential for the key of this connection, which is a member's.
    Renew {},
    /// A relay asks to be told of revocations as they happen.
    Watch {},
}

/// Authority to node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromAuthority {
    /// The node's credential and the authority's certificate, DER in base64.
    Credential {
        /// The node's own certificate.
        certificate: String,
        /// The authority's.
        authority: String,
    },
    /// No.
    Refused(Refusal),
    /// All revoked nodes whose credentials may be in force, again after every change and every few seconds.
    Revoked {
        /// Their ids.
        nodes: Vec<Id>,
    },
}

/// Node to relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToRelay {
    /// An outlet: calls of this name come here. The connection stays open.
    Register {
        /// The name.
        name: RelayName,
    },
    /// An inlet: join me with an outlet of this name.
    Call {
        /// The name.
        name: RelayName,
    },
    /// An outlet takes a call, on a connection of its own.
    Answer {
        /// The call.
        call: CallId,
    },
    /// An inlet that keeps an eye on the relay. The connection stays open.
    Attend {},
    /// Asks for a [`FromRelay::Pong`].
    Ping {
        /// Comes back.
        number: u64,
    },
    /// The last word on a connection that stays open: the relay hands it the calls it has for it, none besides, and
    /// closes it.
    Leave {},
}

/// Relay to node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromRelay {
    /// The outlet is registered, or the inlet attends.
    Welcome {},
    /// Somebody calls this outlet.
    Call {
        /// To answer with.
        call: CallId,
    },
    /// What follows is the other side.
    Joined {},
    /// No.
    Refused(Refusal),
    /// To [`ToRelay::Ping`].
    Pong {
        /// What the ping had.
        number: u64,
    },
}

/// Inlet to outlet, inside the inner TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToOutlet {
    /// Connect me.
    Open {
        /// What the stream carries.
        kind: Kind,
        /// The broker's own address; none is the outlet's own target or one of its bootstrap servers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Address>,
    },
    /// The inlet's policy does not allow this outlet.
    Refused(Refusal),
}

/// Outlet to inlet, inside the inner TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromOutlet {
    /// What follows comes from the target.
    Opened {},
    /// No.
    Refused(Refusal),
}

/// What a tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Kafka's protocol: broker addresses are rewritten.
    #[default]
    Kafka,
    /// Any bytes, untouched.
    Tcp,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kafka => "kafka",
            Self::Tcp => "tcp",
        })
    }
}

/// Names one call: 16 random bytes as hex, so that nobody answers another's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(String);

impl CallId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }
}

impl TryFrom<String> for CallId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if fits { Ok(Self(text)) } else { Err("a call has 32 hex digits") }
    }
}

impl From<CallId> for String {
    fn from(call: CallId) -> Self {
        call.0
    }
}

/// A no with its reason: the code for metrics and programs, the words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// Why, in one word.
    pub code: Reason,
    /// Why, and what to do.
    pub message: String,
}

/// Why something was refused. Also the metrics' label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The authority never made this ticket.
    TicketUnknown,
    /// The ticket's time is over.
    TicketExpired,
    /// All its uses are used.
    TicketUsedUp,
    /// The key is no member's.
    NotMember,
    /// The node was revoked.
    Revoked,
    /// The other side's attributes do not fit the policy.
    Policy,
    /// The relay name was not granted.
    RelayName,
    /// No outlet is registered under the name, or none answered.
    NoOutlet,
    /// The target is not one of the outlet's.
    Target,
    /// The target does not answer.
    Unreachable,
    /// A limit of the relay.
    Busy,
    /// Not what was expected here.
    Protocol,
    /// The credential has ended.
    Expired,
    #[serde(other)]
    /// One that this version does not know.
    Other,
}

impl Reason {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TicketUnknown => "ticket-unknown",
            Self::TicketExpired => "ticket-expired",
            Self::TicketUsedUp => "ticket-used-up",
            Self::NotMember => "not-member",
            Self::Revoked => "revoked",
            Self::Policy => "policy",
            Self::RelayName => "relay-name",
            Self::NoOutlet => "no-outlet",
            Self::Target => "target",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Protocol => "protocol",
            Self::Expired => "expired",
            Self::Other => "other",
        }
    }
}

impl Refusal {
    /// A no.
    #[must_use]
    pub fn new(code: Reason, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Sends one message and flushes it.
///
/// # Errors
/// When the connection fails.
pub async fn send<W: AsyncWrite + Unpin, M: Serialize>(stream: &mut W, message: &M) -> Result<(), WireError> {
    let json = serde_json::to_vec(message).map_err(|error| WireError::Unknown(error.to_string()))?;
    if json.len() > LARGEST {
        return Err(WireError::TooLarge(json.len()));
    }
    let length = u32::try_from(json.len()).map_err(|_| WireError::TooLarge(json.len()))?;
    let mut frame = Vec::with_capacity(4 + json.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&json);
    stream.write_all(&frame).await?;
    stream.flush().await?;
    Ok(())
}

/// Reads one message and nothing beyond it.
///
/// # Errors
/// When the connection fails or ends, or the message is too large or not understood.
pub async fn receive<R: AsyncRead + Unpin, M: DeserializeOwned>(stream: &mut R) -> Result<M, WireError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LARGEST {
        return Err(WireError::TooLarge(length));
    }
    let mut json = vec![0; length];
    stream.read_exact(&mut json).await?;
    serde_json::from_slice(&json).map_err(|error| WireError::Unknown(shortened(&error.to_string())))
}

/// Sends a question and reads its answer.
///
/// # Errors
/// Those of [`send`] and [`receive`].
pub async fn ask<S: AsyncRead + AsyncWrite + Unpin, M: DeserializeOwned>(
    stream: &mut S,
    question: &impl Serialize,
) -> Result<M, WireError> {
    send(stream, question).await?;
    receive(stream).await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn read<M: DeserializeOwned>(mut bytes: &[u8]) -> Result<M, WireError> {
        receive(&mut bytes).await
    }

    #[tokio::test]
    async fn a_message_is_read_to_its_end_and_no_further() {
        let mut bytes = Vec::new();
        let message = ToRelay::Call { name: "kafka".parse().unwrap() };
        send(&mut bytes, &message).await.unwrap();
        bytes.extend_from_slice(b"raw");
        let mut left = bytes.as_slice();
        assert_eq!(receive::<_, ToRelay>(&mut left).await.unwrap(), message);
        assert_eq!(left, b"raw");
    }

    #[tokio::test]
    async fn a_reason_of_a_newer_version_is_still_a_refusal() {
        let json = br#"{"refused":{"code":"from-the-future","message":"no"}}"#;
        let mut bytes = u32::try_from(json.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(json);
        let FromRelay::Refused(refusal) = read(&bytes).await.unwrap() else { panic!("another message") };
        assert_eq!((refusal.code, refusal.to_string().as_str()), (Reason::Other, "no"));
    }

    #[tokio::test]
    async fn a_large_announcement_takes_no_memory() {
        let error = read::<ToRelay>(&u32::MAX.to_be_bytes()).await.unwrap_err();
        assert!(error.to_string().contains("4294967295"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200), whole in any::<bool>()) {
            let mut frame = bytes.clone();
            if whole {
                frame = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
                frame.extend_from_slice(&bytes);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let _ = read::<ToRelay>(&frame).await;
                let _ = read::<FromAuthority>(&frame).await;
                let _ = read::<ToOutlet>(&frame).await;
            });
        }
    }
}
