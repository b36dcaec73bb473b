//! A node of a project: enrols once, keeps its credential fresh, and dials the relay with it.

mod membership;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::Rng as _;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use self::membership::{Membership, Stored};
use crate::address::Address;
use crate::buffer::{Ahead, ENCIPHERED};
pub use crate::control::Keepalive;
use crate::credential::{CredentialError, Id, Node as Claims};
use crate::identity::{Identity, IdentityError};
use crate::socket::{self, HANDSHAKE};
use crate::ticket::{RelayTrust, Ticket};
use crate::tls::{self, Own, RelayRoots, TlsError};
use crate::wire::{self, FromAuthority, FromRelay, Reason, Refusal, ToAuthority, ToRelay, WireError};

/// A connection to the relay, inside the outer TLS.
pub(crate) type RelayStream = TlsStream<Ahead>;

/// Where the node's key comes from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// `node.key` of the state directory, made when it is not there.
    State,
    /// PEM from somewhere else; the text names where.
    Pem {
        /// The key.
        pem: Arc<zeroize::Zeroizing<String>>,
        /// For messages.
        what: String,
    },
}

/// What a node starts with.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Where key and credential are kept; none keeps nothing, and then the key must be given and a ticket with it.
    pub state: Option<PathBuf>,
    /// The key.
    pub key: KeySource,
    /// Opens the key.
    pub passphrase: Option<Arc<zeroize::Zeroizing<String>>>,
    /// The invitation; needed until the node is a member.
    pub ticket: Option<Ticket>,
    /// Certificate authorities for the relay's host name, instead of what the ticket says.
    pub relay_ca: Option<PathBuf>,
}

/// Why a node cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Neither member nor invited.
    #[error("this node is no member of a project yet; give it a ticket (`snowmelt project ticket` makes one)")]
    NoTicket,
    /// Nowhere to keep a new key.
    #[error("there is no state directory to keep a key in; name one, or give a key")]
    NoState,
    /// The files beside the key.
    #[error("{path} cannot be {what}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// The authority said no.
    #[error("the authority refuses: {0}")]
    Refused(Refusal),
    /// What the authority gave.
    #[error("the authority gave no usable credential: {0}")]
    Credential(String),
    /// It cannot be reached now; worth trying again.
    #[error("the {what} at {address}: {reason}")]
    Unreachable {
        /// Authority or relay.
        what: &'static str,
        /// Its address.
        address: Address,
        /// Why.
        reason: String,
    },
}

impl NodeError {
    /// Whether the same may go well later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

impl From<CredentialError> for NodeError {
    fn from(error: CredentialError) -> Self {
        Self::Credential(error.to_string())
    }
}

/// A credential with the TLS configurations made of it.
pub(crate) struct Held {
    pub(crate) claims: Claims,
    /// Half of its life.
    renew_at: SystemTime,
    relay: Arc<ClientConfig>,
    inlet: Arc<ClientConfig>,
    outlet: Arc<ServerConfig>,
    /// The node's certificate and the authority's.
    chain: Vec<CertificateDer<'static>>,
}

/// A member of a project.
pub struct Node {
    identity: Identity,
    membership: Membership,
    state: Option<PathBuf>,
    roots: RelayRoots,
    held: watch::Sender<Arc<Held>>,
    keepalive: Keepalive,
}

impl Node {
    /// Makes the node a member, unless it is one, and gets it a credential, unless it has one.
    ///
    /// # Errors
    /// See [`NodeError`]; those that pass may be tried again.
    pub async fn join(options: NodeOptions) -> Result<Self, NodeError> {
        let NodeOptions { state, key, passphrase, ticket, relay_ca } = options;
        let passphrase = passphrase.as_ref().map(|text| text.as_str());
        if let Some(directory) = &state {
            membership::make_directory(directory)?;
        }
        let identity = match (&key, &state) {
            (KeySource::Pem { pem, what }, _) => Identity::from_pem(pem, passphrase, what)?,
            (KeySource::State, Some(directory)) => Identity::open(&directory.join("node.key"), passphrase)?,
            (KeySource::State, None) => return Err(NodeError::NoState),
        };
        let stored = state.as_deref().map(membership::read).transpose()?.flatten();
        // A ticket that this node has used already says nothing new.
        let fresh = match (&ticket, &stored) {
            (Some(ticket), Some(stored)) => stored.membership.ticket != ticket.secret.hash(),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return Err(NodeError::NoTicket),
        };
        let kept = stored.filter(|_| !fresh);
        let membership = match (&ticket, &kept) {
            (_, Some(stored)) => stored.membership.clone(),
            (Some(ticket), None) => Membership::of(ticket),
            (None, None) => return Err(NodeError::NoTicket),
        };
        let roots = match (&relay_ca, membership.relay_trust) {
            (Some(file), _) => tls::roots_of(file)?,
            (None, RelayTrust::System) => tls::system_roots()?,
            (None, RelayTrust::Project) => RelayRoots::Project,
        };
        let usable = kept.and_then(|stored| {
            let held = hold(&identity, &stored, &roots).ok()?;
            (held.claims.not_after > SystemTime::now() + Duration::from_secs(5)).then_some(held)
        });
        let held = match usable {
            Some(held) => held,
            None => {
                let asked = match (&ticket, fresh) {
                    (Some(ticket), true) => ToAuthority::Enrol { secret: ticket.secret.clone() },
                    _ => ToAuthority::Renew {},
                };
                let stored = ask(&identity, &membership, &asked).await?;
                let held = hold(&identity, &stored, &roots)?;
                if let Some(directory) = &state {
                    membership::write(directory, &stored)?;
                }
                held
            }
        };
        let held = watch::Sender::new(Arc::new(held));
        Ok(Self { identity, membership, state, roots, held, keepalive: Keepalive::default() })
    }

    /// With other times for finding out that the path to the relay is dead. The relay has its own
    /// ([`crate::relay::Limits::silent`]), which must be longer than `ping`.
    #[must_use]
    pub fn with_keepalive(self, keepalive: Keepalive) -> Self {
        Self { keepalive, ..self }
    }

    pub(crate) fn keepalive(&self) -> Keepalive {
        self.keepalive
    }

    /// Changes with every renewal from now on.
    pub(crate) fn renewals(&self) -> watch::Receiver<Arc<Held>> {
        self.held.subscribe()
    }

    /// Keeps the credential fresh until the authority refuses to, which is an error, or the future is dropped.
    ///
    /// # Errors
    /// [`NodeError::Refused`] when the node was revoked.
    pub async fn keep_fresh(&self) -> Result<std::convert::Infallible, NodeError> {
        let mut failures = 0_u32;
        loop {
            let wait = if failures == 0 {
                self.held().renew_at.duration_since(SystemTime::now()).unwrap_or_default()
            } else {
                backoff(failures, Duration::from_secs(1), Duration::from_secs(30))
            };
            tokio::time::sleep(wait).await;
            match self.renew().await {
                Ok(()) => failures = 0,
                Err(error) if error.is_passing() => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, "the credential was not renewed; trying again");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Gets a new credential now.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn renew(&self) -> Result<(), NodeError> {
        let stored = ask(&self.identity, &self.membership, &ToAuthority::Renew {}).await?;
        let held = hold(&self.identity, &stored, &self.roots)?;
        if let Some(directory) = &self.state {
            membership::write(directory, &stored)?;
        }
        tracing::info!(node = %held.claims.id, "credential renewed");
        self.held.send_replace(Arc::new(held));
        Ok(())
    }

    /// The credential and what was made of it.
    pub(crate) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.borrow())
    }

    /// What the credential says.
    #[must_use]
    pub fn claims(&self) -> Claims {
        self.held().claims.clone()
    }

    /// The node's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.identity.id()
    }

    /// Where the relay is.
    #[must_use]
    pub fn relay(&self) -> &Address {
        &self.membership.relay
    }

    /// The certificate of the project's authority.
    pub(crate) fn authority(&self) -> CertificateDer<'static> {
        self.held().chain.last().cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()))
    }

    /// TLS of a relay that shows this node's credential.
    pub(crate) fn relay_tls(&self) -> Result<ServerConfig, TlsError> {
        tls::of_relay(self.held().chain.clone(), self.identity.tls_key(), &self.authority())
    }

    /// Asks the authority for the list of revoked nodes; what comes is for the caller to read.
    pub(crate) async fn watch(&self) -> Result<RelayStream, NodeError> {
        let config = Arc::new(tls::to_authority(&self.identity, self.membership.authority)?);
        let address = &self.membership.authority_address;
        let mut stream = secured(address, config).await.map_err(|error| self.authority_lost(tls::explain(&error)))?;
        match timeout(HANDSHAKE, wire::send(&mut stream, &ToAuthority::Watch {})).await {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(error)) => Err(self.authority_lost(error.to_string())),
            Err(_) => Err(self.authority_lost(format!("it took nothing within {HANDSHAKE:?}"))),
        }
    }

    pub(crate) fn authority_lost(&self, reason: String) -> NodeError {
        NodeError::Unreachable { what: "authority", address: self.membership.authority_address.clone(), reason }
    }

    /// Connects to the relay, inside the outer TLS.
    pub(crate) async fn dial(&self) -> Result<RelayStream, NodeError> {
        let address = &self.membership.relay;
        let unreachable = |reason: String| NodeError::Unreachable { what: "relay", address: address.clone(), reason };
        let config = Arc::clone(&self.held().relay);
        secured(address, config).await.map_err(|error| unreachable(tls::explain(&error)))
    }

    /// Asks the relay whether it lets this node in, and how long an answer takes.
    ///
    /// # Errors
    /// [`NodeError::Unreachable`] with the relay's reason.
    pub async fn ping_relay(&self) -> Result<Duration, NodeError> {
        let lost =
            |reason: String| NodeError::Unreachable { what: "relay", address: self.membership.relay.clone(), reason };
        let mut stream = self.dial().await?;
        let conversation = async {
            wire::send(&mut stream, &ToRelay::Attend {}).await?;
            let welcome = wire::receive::<_, FromRelay>(&mut stream).await?;
            let asked = std::time::Instant::now();
            wire::send(&mut stream, &ToRelay::Ping { number: 1 }).await?;
            wire::receive::<_, FromRelay>(&mut stream).await?;
            Ok::<_, WireError>((welcome, asked.elapsed()))
        };
        match timeout(HANDSHAKE, conversation).await {
            Ok(Ok((FromRelay::Refused(refusal), _))) => Err(NodeError::Refused(refusal)),
            Ok(Ok((_, took))) => Ok(took),
            Ok(Err(WireError::Io(error))) => Err(lost(tls::explain(&error))),
            Ok(Err(error)) => Err(lost(error.to_string())),
            Err(_) => Err(lost(format!("no answer within {HANDSHAKE:?}"))),
        }
    }

    /// The configuration of an inlet's inner TLS.
    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.held().inlet))
    }

    /// The configuration of an outlet's inner TLS.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.held().outlet))
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("id", &self.id()).field("relay", self.relay()).finish_non_exhaustive()
    }
}

/// Grows with every failure, up to `most`, and is spread, so that nodes do not come back all at once.
pub(crate) fn backoff(failures: u32, first: Duration, most: Duration) -> Duration {
    let grown = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(most);
    grown.mul_f64(rand::rng().random_range(0.5..1.0))
}

async fn secured(address: &Address, config: Arc<ClientConfig>) -> std::io::Result<RelayStream> {
    let stream = Ahead::new(socket::connect(address).await?);
    let handshake = TlsConnector::from(config).connect(tls::server_name(address), stream);
    let mut stream = timeout(HANDSHAKE, handshake).await.map_err(|_| {
        std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no TLS handshake within {HANDSHAKE:?}"))
    })??;
    stream.get_mut().1.set_buffer_limit(Some(ENCIPHERED));
    Ok(stream)
}

/// One question to the authority.
async fn ask(identity: &Identity, membership: &Membership, question: &ToAuthority) -> Result<Stored, NodeError> {
    let address = &membership.authority_address;
    let unreachable = |reason: String| NodeError::Unreachable { what: "authority", address: address.clone(), reason };
    let config = Arc::new(tls::to_authority(identity, membership.authority)?);
    let mut stream = secured(address, config).await.map_err(|error| unreachable(tls::explain(&error)))?;
    let conversation = wire::ask::<_, FromAuthority>(&mut stream, question);
    let answer = match timeout(HANDSHAKE, conversation).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(WireError::Io(error))) => return Err(unreachable(tls::explain(&error))),
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable(format!("no answer within {HANDSHAKE:?}"))),
    };
    match answer {
        FromAuthority::Credential { certificate, authority } => {
            let bytes = |text: &str| {
                BASE64.decode(text).map(CertificateDer::from).map_err(|error| NodeError::Credential(error.to_string()))
            };
            Ok(Stored {
                membership: membership.clone(),
                certificate: bytes(&certificate)?,
                authority: bytes(&authority)?,
            })
        }
        FromAuthority::Refused(refusal) if refusal.code == Reason::Busy => Err(unreachable(refusal.message)),
        FromAuthority::Refused(refusal) => Err(NodeError::Refused(refusal)),
        FromAuthority::Revoked { .. } => Err(unreachable("it answered another question".to_owned())),
    }
}

fn hold(identity: &Identity, stored: &Stored, roots: &RelayRoots) -> Result<Held, NodeError> {
    let claims = Claims::read(&stored.certificate)?;
    if claims.id != identity.id() {
        return Err(NodeError::Credential(format!("it is for node {}, this is node {}", claims.id, identity.id())));
    }
    let own = Own { identity, chain: vec![stored.certificate.clone(), stored.authority.clone()] };
    let now = SystemTime::now();
    let left = claims.not_after.duration_since(now).unwrap_or_default();
    Ok(Held {
        renew_at: now + left / 2,
        relay: Arc::new(tls::to_relay(&own, &stored.authority, roots)?),
        inlet: Arc::new(tls::to_outlet(&own, &stored.authority)?),
        outlet: Arc::new(tls::of_outlet(&own, &stored.authority)?),
        claims,
        chain: own.chain,
    })
}
