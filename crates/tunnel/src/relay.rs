//! The relay: joins an inlet's stream with an outlet's and copies what it cannot read.
//!
//! ```text
//!  inlet ── Call{kafka} ──▶ relay ── Call{id} ──▶ outlet's control connection
//!    │                        │ ◀── Answer{id} ── outlet, on a connection of its own
//!    └────────── Joined ──────┴─────── Joined ──────┘      then bytes, both ways
//! ```
//!
//! A connection per stream, not one for all: each has its own flow control from end to end, a slow one holds up no other,
//! and the kernel does what a multiplexer would (docs/decisions has the measurements). Whoever speaks here has shown a
//! credential of the project in the outer TLS, before anything is remembered of it.

mod follow;
mod front;
mod registry;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

pub use self::follow::follow;
pub use self::front::{Front, FrontError, RelayCertificate};
use self::registry::{Place, Registry};
use crate::attribute::RelayName;
use crate::authority::Revoked;
use crate::credential::{Id, Node};
use crate::metrics::Metrics;
use crate::socket::{DEAD, HANDSHAKE};
use crate::splice::{self, Limits as StreamLimits};
use crate::wire::{self, CallId, FromRelay, Reason, Refusal, ToRelay, WireError};

/// What one relay allows.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections that have not shown who they are; beyond it the oldest makes room.
    pub half_open: usize,
    /// Streams and control connections of one node.
    pub per_node: usize,
    /// Streams of all nodes.
    pub streams: usize,
    /// A stream that carries nothing for this long is closed.
    pub idle: Duration,
    /// A node that asks nothing on its standing connection for this long is gone, and its streams with it.
    pub silent: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { half_open: 512, per_node: 1024, streams: 16_384, idle: Duration::from_secs(20 * 60), silent: DEAD }
    }
}

/// How long an outlet may take to answer a call.
const ANSWER: Duration = Duration::from_secs(5);
const SILENT: &str = "the node is silent";

/// The joining part of a relay; [`Front`] accepts its connections.
pub struct Relay {
    limits: Limits,
    revoked: Revoked,
    registry: Registry,
    metrics: Arc<Metrics>,
}

impl Relay {
    /// A relay that refuses the nodes of `revoked`.
    #[must_use]
    pub fn new(limits: Limits, revoked: Revoked, metrics: Arc<Metrics>) -> Self {
        let registry = Registry::new(limits.per_node, limits.streams);
        Self { limits, revoked, registry, metrics }
    }

    /// Serves one connection whose handshake is done, to its end.
    ///
    /// # Errors
    /// When the connection fails.
    pub(crate) async fn serve<S>(&self, mut stream: TlsStream<S>) -> Result<(), WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(|chain| chain.first()).map(Node::read);
        let node = match shown {
            Some(Ok(node)) => node,
            Some(Err(error)) => {
                return self.refuse(&mut stream, Refusal::new(Reason::Protocol, error.to_string())).await;
            }
            None => return self.refuse(&mut stream, Refusal::new(Reason::Protocol, "no credential was shown")).await,
        };
        if self.is_revoked(&node.id) {
            return self.refuse(&mut stream, revoked(&node.id)).await;
        }
        let Some(place) = self.registry.enter(&node.id) else {
            let words = format!("node {} has {} connections at this relay already", node.id, self.limits.per_node);
            return self.refuse(&mut stream, Refusal::new(Reason::Busy, words)).await;
        };
        let first = timeout(HANDSHAKE, wire::receive::<_, ToRelay>(&mut stream)).await;
        let first = first.map_err(|_| std::io::Error::new(std::io::ErrorKind::TimedOut, "no message came"))??;
        match first {
            ToRelay::Register { name } => self.register(stream, node, name, &place).await,
            ToRelay::Call { name } => self.call(stream, node, name, &place).await,
            ToRelay::Answer { call } => {
                // The caller's task has the stream from here on.
                match self.registry.answer(&call, &node, &place, Box::new(stream)) {
                    Ok(ended) => {
                        let _ = ended.await;
                        Ok(())
                    }
                    Err(mut stream) => {
                        let words = "nobody waits for this answer any more";
                        wire::send(&mut stream, &FromRelay::Refused(Refusal::new(Reason::NoOutlet, words))).await
                    }
                }
            }
            ToRelay::Attend {} => self.attend(stream, node, &place).await,
            ToRelay::Ping { .. } | ToRelay::Leave {} => {
                self.refuse(&mut stream, Refusal::new(Reason::Protocol, "this cannot come first")).await
            }
        }
    }

    fn is_revoked(&self, id: &Id) -> bool {
        self.revoked.borrow().contains(id)
    }

    async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut TlsStream<S>,
        refusal: Refusal,
    ) -> Result<(), WireError> {
        tracing::warn!(reason = refusal.code.as_str(), "refused: {refusal}");
        self.metrics.refused(refusal.code);
        wire::send(stream, &FromRelay::Refused(refusal)).await?;
        tokio::io::AsyncWriteExt::shutdown(stream).await?;
        Ok(())
    }

    /// An outlet's control connection, until it is silent, revoked, or its credential ends.
    async fn register<S>(
        &self,
        mut stream: TlsStream<S>,
        node: Node,
        name: RelayName,
        place: &Place,
    ) -> Result<(), WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if !node.relays.contain(&name) {
            let words = format!(
                "node {} may not register the relay name {name}; its ticket did not grant it (`snowmelt project ticket --relay {name}`)",
                node.id
            );
            return self.refuse(&mut stream, Refusal::new(Reason::RelayName, words)).await;
        }
        let (registered, mut calls) = self.registry.register(&name, &node.id);
        self.metrics.outlet(1);
        tracing::info!(node = %node.id, %name, "an outlet is registered");
        let ended = async {
            wire::send(&mut stream, &FromRelay::Welcome {}).await?;
            let (mut reading, mut writing) = tokio::io::split(stream);
            let (pings, mut to_answer) = tokio::sync::mpsc::channel(4);
            let listen = async {
                while let Some(number) = self.ping(&mut reading, place).await? {
                    if pings.send(number).await.is_err() {
                        break;
                    }
                }
                Ok::<(), WireError>(())
            };
            let speak = async {
                loop {
                    let message = tokio::select! {
                        Some(number) = to_answer.recv() => FromRelay::Pong { number },
                        Some(call) = calls.recv() => FromRelay::Call { call },
                        else => return Ok(()),
                    };
                    wire::send(&mut writing, &message).await?;
                }
            };
            tokio::select! {
                left = listen => left?,
                ended = speak => return ended,
                refusal = self.no_longer_welcome(&node) => {
                    return wire::send(&mut writing, &FromRelay::Refused(refusal)).await;
                }
            }
            registered.leave(&mut calls);
            while let Some(call) = calls.recv().await {
                wire::send(&mut writing, &FromRelay::Call { call }).await?;
            }
            Ok(tokio::io::AsyncWriteExt::shutdown(&mut writing).await?)
        };
        let ended: Result<(), WireError> = ended.await;
        self.metrics.outlet(-1);
        tracing::info!(node = %node.id, %name, "an outlet is gone");
        ended
    }

    /// An inlet that only wants to know whether the relay is there.
    async fn attend<S>(&self, mut stream: TlsStream<S>, node: Node, place: &Place) -> Result<(), WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        wire::send(&mut stream, &FromRelay::Welcome {}).await?;
        let (mut reading, mut writing) = tokio::io::split(stream);
        let answer = async {
            while let Some(number) = self.ping(&mut reading, place).await? {
                wire::send(&mut writing, &FromRelay::Pong { number }).await?;
            }
            Ok(())
        };
        let refusal = tokio::select! {
            ended = answer => return ended,
            refusal = self.no_longer_welcome(&node) => refusal,
        };
        wire::send(&mut writing, &FromRelay::Refused(refusal)).await
    }

    /// The next ping; none when the node leaves.
    async fn ping<R: AsyncRead + Unpin>(&self, reading: &mut R, place: &Place) -> Result<Option<u64>, WireError> {
        let silent = || {
            // Something between may hold the sockets of its streams open and throw away what they carry.
            place.dies();
            std::io::Error::new(std::io::ErrorKind::TimedOut, SILENT)
        };
        match timeout(self.limits.silent, wire::receive::<_, ToRelay>(reading)).await.map_err(|_| silent())?? {
            ToRelay::Ping { number } => Ok(Some(number)),
            ToRelay::Leave {} => Ok(None),
            _ => Err(WireError::Unknown("only pings can follow here".to_owned())),
        }
    }

    /// Waits until the node is revoked or its credential has ended.
    async fn no_longer_welcome(&self, node: &Node) -> Refusal {
        let left = node.not_after.duration_since(SystemTime::now()).unwrap_or_default();
        let mut revocations = self.revoked.clone();
        tokio::select! {
            () = tokio::time::sleep(left) => {
                Refusal::new(Reason::Expired, format!("the credential of node {} has ended", node.id))
            }
            () = until_revoked(&mut revocations, &node.id) => revoked(&node.id),
        }
    }

    /// Joins an inlet with an outlet of this name and copies until the end.
    async fn call<S>(
        &self,
        mut inlet: TlsStream<S>,
        node: Node,
        name: RelayName,
        place: &Place,
    ) -> Result<(), WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(_stream) = self.registry.stream() else {
            return self
                .refuse(&mut inlet, Refusal::new(Reason::Busy, "the relay has no room for another stream"))
                .await;
        };
        let began = Instant::now();
        let mut tried = BTreeSet::new();
        let (mut outlet, theirs) = loop {
            let Some(outlet) = self.registry.outlet(&name, &tried) else {
                let words = if tried.is_empty() {
                    format!(
                        "no outlet is registered under the relay name {name}; is `snowmelt outlet --relay {name}` running?"
                    )
                } else {
                    format!("an outlet is registered under the relay name {name} and does not answer calls")
                };
                return self.refuse(&mut inlet, Refusal::new(Reason::NoOutlet, words)).await;
            };
            tried.insert(outlet.number());
            let call = CallId::random();
            let waiting = self.registry.wait_for(&call, outlet.node());
            if !outlet.call(call.clone()) {
                continue;
            }
            let answered = tokio::select! {
                biased;
                answered = timeout(ANSWER, waiting) => answered.ok().and_then(Result::ok),
                () = outlet.lost() => None,
            };
            match answered {
                Some(answered) => break (answered, outlet.node().clone()),
                None => self.registry.forget(&call),
            }
        };
        wire::send(&mut outlet.stream, &FromRelay::Joined {}).await?;
        wire::send(&mut inlet, &FromRelay::Joined {}).await?;
        tracing::debug!(inlet = %node.id, outlet = %theirs, %name, took = ?began.elapsed(), "joined");
        let _open = self.metrics.stream();
        let path = outlet.path.clone();
        let mut revocations = self.revoked.clone();
        let mut revocations_too = self.revoked.clone();
        let until = Some(node.not_after.min(outlet.not_after));
        let limits = StreamLimits { idle: Some(self.limits.idle), until };
        let ended = tokio::select! {
            ended = splice::join(&mut inlet, &mut *outlet.stream, &self.metrics, &limits) => ended,
            () = place.died() => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, SILENT)),
            () = path.cancelled() => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, SILENT)),
            () = until_revoked(&mut revocations, &node.id) => Err(refused(revoked(&node.id))),
            () = until_revoked(&mut revocations_too, &theirs) => Err(refused(revoked(&theirs))),
        };
        if let Err(error) = &ended {
            self.metrics.broke();
            tracing::debug!(inlet = %node.id, outlet = %theirs, %name, %error, "a stream broke");
        }
        // Dropped without a close_notify when it broke: both ends see that bytes may be missing.
        Ok(())
    }
}

fn refused(refusal: Refusal) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::PermissionDenied, refusal)
}

fn revoked(id: &Id) -> Refusal {
    Refusal::new(Reason::Revoked, format!("node {id} was revoked"))
}

async fn until_revoked(revocations: &mut watch::Receiver<Arc<BTreeSet<Id>>>, id: &Id) {
    // Without a sender nobody is revoked any more.
    if revocations.wait_for(|nodes| nodes.contains(id)).await.is_err() {
        std::future::pending::<()>().await;
    }
}
