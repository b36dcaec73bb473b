//! The outlet: takes calls from the relay and dials what its policy names.
//!
//! ```text
//! relay, Call{id} ▶ outlet: a connection of its own, Answer{id} ▶ inner handshake ▶ policy ▶ Open ▶ dial ▶ bytes
//! ```
//!
//! It dials its own target only: one address for plain TCP; for Kafka the bootstrap servers, and the brokers that those
//! have named in their answers.

mod target;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::target::{Dialled, Targets};
use crate::address::Address;
use crate::attribute::{Policy, RelayName};
use crate::control::{self, Path, SILENT};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::peer::{self, InnerStream, StreamError};
use crate::socket::HANDSHAKE;
use crate::splice;
use crate::tls::TlsError;
use crate::wire::{self, CallId, FromOutlet, FromRelay, Kind, Reason, Refusal, ToOutlet, ToRelay};

/// What an outlet is to do.
#[derive(Debug, Clone)]
pub struct OutletOptions {
    /// The name it registers under.
    pub relay: RelayName,
    /// Which inlets are allowed.
    pub allow: Policy,
    /// Where it dials.
    pub target: Target,
}

/// Where an outlet dials.
#[derive(Debug, Clone)]
pub enum Target {
    /// A Kafka cluster.
    Kafka {
        /// Bootstrap servers.
        bootstrap: Vec<Address>,
        /// TLS to the brokers.
        tls: Option<KafkaTls>,
    },
    /// One address, untouched bytes.
    Tcp(Address),
}

/// TLS from an outlet to the brokers.
#[derive(Debug, Clone, Default)]
pub struct KafkaTls {
    /// Certificate authorities in PEM, instead of those the machine believes.
    pub ca: Option<PathBuf>,
    /// The client's chain and key in PEM, for brokers that want them.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Why an outlet cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum OutletError {
    /// TLS to the brokers cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The relay refuses for good.
    #[error("the relay refuses this node: {0}")]
    Refused(Refusal),
}

/// See the module.
pub struct Outlet {
    shared: Arc<Shared>,
}

struct Shared {
    node: Arc<Node>,
    options: OutletOptions,
    targets: Targets,
    metrics: Arc<Metrics>,
    path: Path,
}

impl Outlet {
    /// Makes one.
    ///
    /// # Errors
    /// [`OutletError::Tls`].
    pub fn new(node: Arc<Node>, options: OutletOptions, metrics: Arc<Metrics>) -> Result<Self, OutletError> {
        let targets = Targets::new(&options.target)?;
        Ok(Self { shared: Arc::new(Shared { node, options, targets, metrics, path: Path::default() }) })
    }

    /// Serves until the relay refuses for good, or the future is dropped; with it end all connections.
    ///
    /// # Errors
    /// [`OutletError::Refused`].
    pub async fn run(self) -> Result<std::convert::Infallible, OutletError> {
        let Self { shared } = self;
        let (to_serve, mut calls) = mpsc::unbounded_channel();
        let greeting = ToRelay::Register { name: shared.options.relay.clone() };
        let control = control::keep(&shared.node, &greeting, &shared.metrics, &shared.path, |call| {
            // The receiver lives as long as this future.
            let _ = to_serve.send(call);
        });
        tokio::pin!(control);
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                refusal = &mut control => return Err(OutletError::Refused(refusal)),
                Some(call) = calls.recv() => {
                    let shared = Arc::clone(&shared);
                    streams.spawn(async move { shared.serve(call).await });
                }
                Some(_) = streams.join_next(), if !streams.is_empty() => {}
            }
        }
    }
}

impl Shared {
    async fn serve(&self, call: CallId) {
        if let Err(error) = self.stream(call).await {
            self.metrics.refused(error.reason());
            tracing::warn!("a call came to nothing: {error}");
        }
    }

    async fn stream(&self, call: CallId) -> Result<(), StreamError> {
        let died = self.path.died();
        let mut relay = self.node.dial().await?;
        let answer = ToRelay::Answer { call };
        let answered = wire::ask::<_, FromRelay>(&mut relay, &answer);
        let answer = timeout(HANDSHAKE, answered)
            .await
            .map_err(|_| StreamError::Lost { who: "relay", reason: "it did not join the call".to_owned() })?;
        match answer.map_err(StreamError::lost("relay"))? {
            FromRelay::Joined {} => {}
            FromRelay::Refused(refusal) => return Err(StreamError::Relay(refusal)),
            _ => return Err(StreamError::Lost { who: "relay", reason: "it answered another question".to_owned() }),
        }
        let acceptor = self.node.acceptor();
        let handshake = async { acceptor.accept(relay).await.map(InnerStream::from) };
        let mut stream = peer::shake_hands(handshake, "inlet", &self.metrics).await?;
        let peer = peer::admit(&mut stream, &self.options.allow, "inlet", FromOutlet::Refused).await?;
        let asked = timeout(HANDSHAKE, wire::receive::<_, ToOutlet>(&mut stream))
            .await
            .map_err(|_| StreamError::Lost { who: "inlet", reason: "it asked for nothing".to_owned() })?;
        let (kind, target) = match asked.map_err(StreamError::lost("inlet"))? {
            ToOutlet::Open { kind, target } => (kind, target),
            ToOutlet::Refused(refusal) => return Err(StreamError::Peer { who: "inlet", refusal }),
        };
        let mut dialled = match self.dial(kind, target.as_ref()).await {
            Ok(dialled) => dialled,
            Err(refusal) => {
                let told = async {
                    wire::send(&mut stream, &FromOutlet::Refused(refusal.clone())).await?;
                    tokio::io::AsyncWriteExt::shutdown(&mut stream).await?;
                    Ok::<_, wire::WireError>(())
                };
                // Whether it hears of it is not this end's concern.
                let _ = timeout(HANDSHAKE, told).await;
                return Err(StreamError::Own { who: "inlet", refusal });
            }
        };
        timeout(HANDSHAKE, wire::send(&mut stream, &FromOutlet::Opened {}))
            .await
            .map_err(|_| StreamError::Lost { who: "inlet", reason: "it takes nothing".to_owned() })?
            .map_err(StreamError::lost("inlet"))?;
        tracing::debug!(inlet = %peer.id, target = %dialled.address, "a stream is open");
        let _open = self.metrics.stream();
        let limits = splice::Limits { idle: None, until: Some(peer::until(&self.node.claims(), &peer)) };
        let carried = tokio::select! {
            carried = self.carry(kind, &mut stream, &mut dialled, &limits) => carried,
            () = died.cancelled() => Err(SILENT.to_owned()),
        };
        match carried {
            Ok(()) => dialled.finished(),
            Err(reason) => {
                self.metrics.broke();
                tracing::debug!(inlet = %peer.id, target = %dialled.address, reason, "a stream broke");
                if let Some(refusal) = dialled.refusal() {
                    return Err(StreamError::Own { who: "inlet", refusal });
                }
            }
        }
        Ok(())
    }

    async fn dial(&self, kind: Kind, target: Option<&Address>) -> Result<Dialled, Refusal> {
        let own = match &self.options.target {
            Target::Kafka { .. } => Kind::Kafka,
            Target::Tcp(_) => Kind::Tcp,
        };
        if kind != own {
            let words = format!("this outlet is of kind {own}, the inlet of kind {kind}; give both the same --kind");
            return Err(Refusal::new(Reason::Target, words));
        }
        self.targets.dial(target).await
    }

    async fn carry<S>(
        &self,
        kind: Kind,
        stream: &mut S,
        dialled: &mut Dialled,
        limits: &splice::Limits,
    ) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if kind == Kind::Tcp {
            let joined = splice::join(stream, &mut *dialled.stream, &self.metrics, limits).await;
            return joined.map_err(|error| error.to_string());
        }
        splice::follow(stream, &mut *dialled.stream, &self.targets, &self.metrics, limits).await
    }
}
