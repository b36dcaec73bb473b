//! Inside the inner TLS: who is there, whether the policy allows it, and the stream that follows.

use std::fmt;
use std::io;
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use crate::attribute::Policy;
use crate::buffer::ENCIPHERED;
use crate::credential::Node;
use crate::metrics::Metrics;
use crate::node::{NodeError, RelayStream};
use crate::socket::HANDSHAKE;
use crate::tls;
use crate::wire::{self, Reason, Refusal, WireError};

/// A stream from end to end.
pub(crate) type InnerStream = TlsStream<RelayStream>;

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// The way to the relay.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The relay said no.
    #[error("the relay refuses: {0}")]
    Relay(Refusal),
    /// The other end said no.
    #[error("the {who} refuses: {refusal}")]
    Peer {
        /// Inlet or outlet.
        who: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// This end says no.
    #[error("the {who} is refused: {refusal}")]
    Own {
        /// Inlet or outlet.
        who: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// The inner handshake failed.
    #[error("the handshake with the {who} failed: {reason}")]
    Handshake {
        /// Inlet or outlet.
        who: &'static str,
        /// Why.
        reason: String,
    },
    /// The messages before the bytes.
    #[error("the {who} was lost before the first byte: {reason}")]
    Lost {
        /// Relay, inlet or outlet.
        who: &'static str,
        /// Why.
        reason: String,
    },
}

impl StreamError {
    /// What to count it as.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Relay(refusal) | Self::Peer { refusal, .. } | Self::Own { refusal, .. } => refusal.code,
            Self::Node(_) => Reason::Unreachable,
            Self::Handshake { .. } => Reason::Protocol,
            Self::Lost { .. } => Reason::Unreachable,
        }
    }

    pub(crate) fn lost(who: &'static str) -> impl Fn(WireError) -> Self {
        move |error| {
            let reason = match &error {
                WireError::Io(error) => tls::explain(error),
                other => other.to_string(),
            };
            Self::Lost { who, reason }
        }
    }
}

/// The node behind a finished inner handshake, if the policy allows it; else it is told why and the stream is closed.
pub(crate) async fn admit<M: serde::Serialize>(
    stream: &mut InnerStream,
    policy: &Policy,
    who: &'static str,
    tell: impl Fn(Refusal) -> M,
) -> Result<Node, StreamError> {
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().and_then(|chain| chain.first()).map(Node::read);
    let refusal = match shown {
        Some(Ok(node)) if policy.allows(&node.attributes) => return Ok(node),
        Some(Ok(node)) => Refusal::new(
            Reason::Policy,
            format!(
                "node {} has {}, and the policy here is `{policy}`; give it a ticket with that attribute, or change --allow",
                node.id,
                Listed(&node),
            ),
        ),
        Some(Err(error)) => Refusal::new(Reason::Protocol, error.to_string()),
        None => Refusal::new(Reason::Protocol, "no credential was shown"),
    };
    // Whether it hears of it is not this end's concern.
    let told = async {
        wire::send(stream, &tell(refusal.clone())).await?;
        stream.shutdown().await?;
        Ok::<_, WireError>(())
    };
    let _ = timeout(HANDSHAKE, told).await;
    Err(StreamError::Own { who, refusal })
}

/// A node's attributes in a sentence.
struct Listed<'a>(&'a Node);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.attributes.is_empty() {
            return f.write_str("no attribute");
        }
        f.write_str("the attributes ")?;
        for (index, attribute) in self.0.attributes.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{attribute}")?;
        }
        Ok(())
    }
}

/// The earlier end of two credentials.
pub(crate) fn until(own: &Node, peer: &Node) -> SystemTime {
    own.not_after.min(peer.not_after)
}

/// Waits for an inner handshake.
pub(crate) async fn shake_hands<F>(
    handshake: F,
    who: &'static str,
    metrics: &Metrics,
) -> Result<InnerStream, StreamError>
where
    F: Future<Output = io::Result<InnerStream>>,
{
    let done = match timeout(HANDSHAKE, handshake).await {
        Ok(Ok(mut stream)) => {
            match &mut stream {
                TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(Some(ENCIPHERED)),
                TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(Some(ENCIPHERED)),
            }
            Ok(stream)
        }
        Ok(Err(error)) => Err(tls::explain(&error)),
        Err(_) => Err(format!("not done within {HANDSHAKE:?}")),
    };
    metrics.handshake(done.is_ok());
    done.map_err(|reason| StreamError::Handshake { who, reason })
}

/// Any stream of bytes, both ways.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}
