//! The one public port: accepts, shakes hands, and hands on by the protocol name to the authority or the relay.
//!
//! What a stranger can make it hold is bounded: a connection counts as half open until its handshake is done, there are
//! only so many of those, and when another comes the oldest goes. An honest handshake takes milliseconds, so that honest
//! nodes get in while thousands of silent ones hold on.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::Acceptor;

use super::Relay;
use crate::authority::{self, Authority};
use crate::buffer::{Ahead, ENCIPHERED};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::socket::{self, HANDSHAKE};
use crate::tls::{self, TlsError};
use crate::wire::alpn;

/// Certificates are made or read anew this often, so that none ends while the process runs.
const REFRESH: Duration = Duration::from_secs(60);
/// After an accept that failed, for want of file descriptors as a rule.
const PAUSE: Duration = Duration::from_millis(100);

/// With which certificate the relay shows itself.
#[derive(Clone)]
pub enum RelayCertificate {
    /// The authority's in the same process.
    Authority(Arc<Authority>),
    /// The relay's own credential.
    Node(Arc<Node>),
    /// One that the public knows, in PEM files; the project's certificate is of the authority or node in the other field.
    Files {
        /// The chain.
        chain: PathBuf,
        /// Its key.
        key: PathBuf,
        /// Who knows the project.
        project: Box<RelayCertificate>,
    },
}

/// Why the port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The address.
    #[error("{address} cannot be listened on: {source}; choose another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// See the module.
pub struct Front {
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    authority: Option<Arc<Authority>>,
    relay: Option<(Arc<Relay>, RelayCertificate)>,
    configs: Mutex<Configs>,
    half_open: Mutex<VecDeque<(u64, AbortHandle)>>,
    most: usize,
    metrics: Arc<Metrics>,
}

#[derive(Default, Clone)]
struct Configs {
    authority: Option<Arc<ServerConfig>>,
    relay: Option<Arc<ServerConfig>>,
}

impl Front {
    /// Listens on `address`, for an authority, a relay, or both.
    ///
    /// # Errors
    /// See [`FrontError`].
    pub async fn listen(
        address: SocketAddr,
        authority: Option<Arc<Authority>>,
        relay: Option<(Arc<Relay>, RelayCertificate)>,
        half_open: usize,
        metrics: Arc<Metrics>,
    ) -> Result<Self, FrontError> {
        let listener = TcpListener::bind(address).await.map_err(|source| FrontError::Listen { address, source })?;
        Self::on(listener, authority, relay, half_open, metrics)
    }

    /// The same on a port that is open already.
    ///
    /// # Errors
    /// [`FrontError::Tls`].
    pub fn on(
        listener: TcpListener,
        authority: Option<Arc<Authority>>,
        relay: Option<(Arc<Relay>, RelayCertificate)>,
        half_open: usize,
        metrics: Arc<Metrics>,
    ) -> Result<Self, FrontError> {
        let shared = Shared {
            authority,
            relay,
            configs: Mutex::default(),
            half_open: Mutex::default(),
            most: half_open.max(1),
            metrics,
        };
        let configs = shared.make_configs()?;
        *shared.configs.lock() = configs;
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until dropped; with it end all connections.
    pub async fn run(self) -> std::convert::Infallible {
        let mut tasks = JoinSet::new();
        // The first ones were made before it listened.
        let mut refresh = tokio::time::interval_at(tokio::time::Instant::now() + REFRESH, REFRESH);
        let mut number = 0_u64;
        self.shared.metrics.set_ready(true);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        number += 1;
                        let shared = Arc::clone(&self.shared);
                        let handle = tasks.spawn(async move { shared.serve(number, stream, peer).await });
                        self.shared.make_room(number, handle);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                _ = refresh.tick() => match self.shared.make_configs() {
                    Ok(configs) => *self.shared.configs.lock() = configs,
                    Err(error) => tracing::error!(%error, "the certificates were not renewed; going on with those at hand"),
                },
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            }
        }
    }
}

impl Shared {
    fn make_configs(&self) -> Result<Configs, TlsError> {
        let authority = self.authority.as_ref().map(|authority| authority.tls()).transpose()?.map(Arc::new);
        let relay = self.relay.as_ref().map(|(_, certificate)| certificate.config()).transpose()?.map(Arc::new);
        Ok(Configs { authority, relay })
    }

    fn make_room(&self, number: u64, handle: AbortHandle) {
        let mut half_open = self.half_open.lock();
        half_open.retain(|(_, task)| !task.is_finished());
        while half_open.len() >= self.most {
            if let Some((_, oldest)) = half_open.pop_front() {
                oldest.abort();
                self.metrics.evicted();
            }
        }
        half_open.push_back((number, handle));
    }

    fn no_longer_half_open(&self, number: u64) {
        self.half_open.lock().retain(|(other, _)| *other != number);
    }

    async fn serve(&self, number: u64, stream: TcpStream, peer: SocketAddr) {
        let handshake = timeout(HANDSHAKE, self.shake_hands(stream)).await;
        self.no_longer_half_open(number);
        let done = match handshake {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => {
                self.metrics.handshake(false);
                return tracing::info!(%peer, reason = tls::explain(&error), "a handshake failed");
            }
            Err(_) => {
                self.metrics.handshake(false);
                return tracing::info!(%peer, "no handshake within {HANDSHAKE:?}");
            }
        };
        self.metrics.handshake(true);
        let ended = match done {
            (mut stream, Conversation::Authority(authority)) => authority::serve(&authority, &mut stream).await,
            (stream, Conversation::Relay(relay)) => relay.serve(stream).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended");
        }
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
    ) -> io::Result<(tokio_rustls::server::TlsStream<Ahead>, Conversation)> {
        socket::tune(&stream)?;
        let hello = LazyConfigAcceptor::new(Acceptor::default(), Ahead::new(stream)).await?;
        let configs = self.configs.lock().clone();
        let asked = |name: &[u8]| hello.client_hello().alpn().is_some_and(|mut names| names.any(|asked| asked == name));
        let (config, conversation) = match (&self.authority, &self.relay) {
            (Some(authority), _) if asked(alpn::AUTHORITY) => {
                (configs.authority, Conversation::Authority(Arc::clone(authority)))
            }
            (_, Some((relay, _))) if asked(alpn::RELAY) => (configs.relay, Conversation::Relay(Arc::clone(relay))),
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "neither the authority nor the relay was asked for",
                ));
            }
        };
        let config = config.ok_or_else(|| io::Error::other("the certificate is missing"))?;
        let mut stream = hello.into_stream(config).await?;
        stream.get_mut().1.set_buffer_limit(Some(ENCIPHERED));
        Ok((stream, conversation))
    }
}

enum Conversation {
    Authority(Arc<Authority>),
    Relay(Arc<Relay>),
}

impl RelayCertificate {
    fn config(&self) -> Result<ServerConfig, TlsError> {
        match self {
            Self::Authority(authority) => authority.relay_tls(),
            Self::Node(node) => node.relay_tls(),
            Self::Files { chain, key, project } => {
                let (certificates, private) = tls::chain_and_key(chain, key)?;
                tls::of_relay(certificates, private, &project.authority())
            }
        }
    }

    /// The certificate of the project's authority.
    fn authority(&self) -> CertificateDer<'static> {
        match self {
            Self::Authority(authority) => authority.project().certificate().clone(),
            Self::Node(node) => node.authority(),
            Self::Files { project, .. } => project.authority(),
        }
    }
}
