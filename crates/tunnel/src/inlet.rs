//! The inlet: a local port whose connections come out at an outlet.
//!
//! ```text
//! client ─TCP─▶ inlet: relay, Call ▶ inner handshake ▶ policy ▶ Open ▶ bytes, with broker addresses replaced
//! ```
//!
//! A client that cannot be served is reset at once, never kept or fed to nowhere.

mod brokers;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::brokers::{Brokers, Seen};
use crate::address::Address;
use crate::attribute::{Policy, RelayName};
use crate::control::{self, Path, SILENT};
use crate::credential::Node as Claims;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::peer::{self, InnerStream, StreamError};
use crate::socket::{self, HANDSHAKE};
use crate::splice;
use crate::tls;
use crate::wire::{self, FromOutlet, FromRelay, Kind, Reason, Refusal, ToOutlet, ToRelay};

/// Outlets that are asked for a broker before its client is reset.
const OUTLETS: usize = 3;

/// What an inlet is to do.
#[derive(Debug, Clone)]
pub struct InletOptions {
    /// Where clients connect.
    pub from: SocketAddr,
    /// The outlet's relay name.
    pub to: RelayName,
    /// Which outlets are allowed.
    pub allow: Policy,
    /// What is carried.
    pub kind: Kind,
    /// Local ports for brokers; none lets the system choose.
    pub broker_ports: Option<RangeInclusive<u16>>,
    /// The host name clients use for this inlet; none is the address they came in by.
    pub advertise: Option<String>,
}

/// Why an inlet cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum InletError {
    /// The port.
    #[error("{address} cannot be listened on: {source}; choose another address with --from")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The relay refuses for good.
    #[error("the relay refuses this node: {0}")]
    Refused(Refusal),
    /// No stream to the outlet, and why.
    #[error("{0}")]
    NoStream(String),
}

/// See the module.
pub struct Inlet {
    listener: TcpListener,
    shared: Arc<Shared>,
    /// Listeners of brokers that were just found.
    found: mpsc::UnboundedReceiver<std::net::TcpListener>,
}

struct Shared {
    node: Arc<Node>,
    options: InletOptions,
    brokers: Brokers,
    metrics: Arc<Metrics>,
    path: Path,
}

impl Inlet {
    /// Listens for clients.
    ///
    /// # Errors
    /// [`InletError::Listen`].
    pub async fn listen(node: Arc<Node>, options: InletOptions, metrics: Arc<Metrics>) -> Result<Self, InletError> {
        let address = options.from;
        let listener = TcpListener::bind(address).await.map_err(|source| InletError::Listen { address, source })?;
        let (to_run, found) = mpsc::unbounded_channel();
        let brokers = Brokers::new(address.ip(), options.broker_ports.clone(), to_run);
        Ok(Self {
            listener,
            shared: Arc::new(Shared { node, options, brokers, metrics, path: Path::default() }),
            found,
        })
    }

    /// Where clients connect.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Opens a stream to where the outlet goes by itself, and closes it: the whole way is tried.
    ///
    /// # Errors
    /// [`InletError::NoStream`].
    pub async fn reach(&self) -> Result<Claims, InletError> {
        match self.shared.open(None).await {
            Ok((_, outlet)) => Ok(outlet),
            Err(error) => {
                self.shared.metrics.refused(error.reason());
                Err(InletError::NoStream(error.to_string()))
            }
        }
    }

    /// Serves until the relay refuses for good, or the future is dropped; with it end all connections.
    ///
    /// # Errors
    /// [`InletError::Refused`].
    pub async fn run(self) -> Result<std::convert::Infallible, InletError> {
        let Self { listener, shared, mut found } = self;
        let mut listeners = JoinSet::new();
        listeners.spawn(Arc::clone(&shared).accept(listener, None));
        let greeting = ToRelay::Attend {};
        let control = control::keep(&shared.node, &greeting, &shared.metrics, &shared.path, |_| {});
        tokio::pin!(control);
        loop {
            tokio::select! {
                refusal = &mut control => return Err(InletError::Refused(refusal)),
                Some(listener) = found.recv() => match TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let port = listener.local_addr().map(|address| address.port()).ok();
                        listeners.spawn(Arc::clone(&shared).accept(listener, port));
                    }
                    Err(error) => tracing::error!(%error, "a broker's port cannot be used"),
                },
            }
        }
    }
}

impl Shared {
    /// Accepts the clients of one port: of the bootstrap, or of the broker that `port` stands for.
    async fn accept(self: Arc<Self>, listener: TcpListener, port: Option<u16>) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((client, from)) => {
                        let shared = Arc::clone(&self);
                        clients.spawn(async move { shared.serve(client, from, port).await });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a client could not be accepted");
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                },
                Some(_) = clients.join_next(), if !clients.is_empty() => {}
            }
        }
    }

    async fn serve(&self, mut client: TcpStream, from: SocketAddr, port: Option<u16>) {
        socket::unfinished(&client);
        let (target, gone) = match port.map(|port| self.brokers.target(port)) {
            None => (None, None),
            Some(Some((address, gone))) => (Some(address), Some(gone)),
            Some(None) => {
                return tracing::debug!(%from, ?port, "no broker is behind this port any more");
            }
        };
        if socket::tune(&client).is_err() {
            return;
        }
        let died = self.path.died();
        let opened = tokio::select! {
            opened = self.open(target.clone()) => opened,
            () = died.cancelled() => Err(StreamError::Lost { who: "relay", reason: SILENT.to_owned() }),
        };
        let (mut stream, peer) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.metrics.refused(error.reason());
                return tracing::warn!(%from, "a client was reset: {error}");
            }
        };
        tracing::debug!(%from, outlet = %peer.id, target = ?target, "a stream is open");
        let _open = self.metrics.stream();
        let until = peer::until(&self.node.claims(), &peer);
        let limits = splice::Limits { idle: None, until: Some(until) };
        let gone = async {
            match gone {
                Some(gone) => gone.cancelled().await,
                None => std::future::pending().await,
            }
        };
        let carried = tokio::select! {
            carried = self.carry(&mut client, &mut stream, &limits) => carried,
            () = gone => Err("the broker has left the cluster and its port is another's".to_owned()),
            () = died.cancelled() => Err(SILENT.to_owned()),
        };
        match carried {
            Ok(()) => socket::finished(&client),
            Err(reason) => {
                self.metrics.broke();
                tracing::debug!(%from, outlet = %peer.id, reason, "a stream broke");
            }
        }
    }

    async fn carry<S>(&self, client: &mut TcpStream, stream: &mut S, limits: &splice::Limits) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.options.kind == Kind::Tcp {
            return splice::join(client, stream, &self.metrics, limits).await.map_err(|error| tls::explain(&error));
        }
        let host = match &self.options.advertise {
            Some(host) => host.clone(),
            None => client.local_addr().map_err(|error| error.to_string())?.ip().to_string(),
        };
        let addresses = Seen { brokers: &self.brokers, host };
        splice::follow(client, stream, &addresses, &self.metrics, limits).await
    }

    /// A stream to `target`, or to where the outlet goes by itself. Of several outlets under one name some may not have
    /// heard of a broker yet, because no answer that names it came through them; the relay calls them in turn.
    async fn open(&self, target: Option<Address>) -> Result<(InnerStream, Claims), StreamError> {
        for _ in 1..OUTLETS {
            match self.open_one(target.clone()).await {
                Err(StreamError::Peer { refusal, .. }) if target.is_some() && refusal.code == Reason::Target => {
                    self.metrics.refused(refusal.code);
                    tracing::debug!(?target, "an outlet does not know this broker; trying another");
                }
                opened => return opened,
            }
        }
        self.open_one(target).await
    }

    async fn open_one(&self, target: Option<Address>) -> Result<(InnerStream, Claims), StreamError> {
        let name = self.options.to.clone();
        let mut relay = self.node.dial().await?;
        let call = ToRelay::Call { name };
        let called = wire::ask::<_, FromRelay>(&mut relay, &call);
        // The relay itself gives up on an outlet before this.
        let answer = timeout(2 * HANDSHAKE, called)
            .await
            .map_err(|_| StreamError::Lost { who: "relay", reason: "it did not answer the call".to_owned() })?;
        match answer.map_err(StreamError::lost("relay"))? {
            FromRelay::Joined {} => {}
            FromRelay::Refused(refusal) => return Err(StreamError::Relay(refusal)),
            _ => return Err(StreamError::Lost { who: "relay", reason: "it answered another question".to_owned() }),
        }
        let connector = self.node.connector();
        let handshake = async { connector.connect(tls::inner_name(), relay).await.map(InnerStream::from) };
        let mut stream = peer::shake_hands(handshake, "outlet", &self.metrics).await?;
        let peer = peer::admit(&mut stream, &self.options.allow, "outlet", ToOutlet::Refused).await?;
        let open = ToOutlet::Open { kind: self.options.kind, target };
        let asked = wire::ask::<_, FromOutlet>(&mut stream, &open);
        let answer = timeout(2 * HANDSHAKE, asked).await.map_err(|_| StreamError::Lost {
            who: "outlet",
            reason: "it did not open its target in time".to_owned(),
        })?;
        match answer.map_err(StreamError::lost("outlet"))? {
            FromOutlet::Opened {} => Ok((stream, peer)),
            FromOutlet::Refused(refusal) => Err(StreamError::Peer { who: "outlet", refusal }),
        }
    }
}
