//! The publisher's own inlet: `[tunnel]` of its configuration, in its process.
//!
//! ```text
//!  sink ─TCP, loopback─▶ inlet ═══▶ relay ◀═══ outlet ─▶ brokers
//! ```
//!
//! Promises: the publisher sees a Kafka at a local address and nothing of the tunnel; what cuts the tunnel resets the
//! connections to that address, which the sink treats as it treats any lost broker. Leaves certificates, policy and
//! address rewriting to the crate `tunnel`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use tunnel::credential;
use tunnel::inlet::{Inlet, InletError, InletOptions};
use tunnel::metrics::Metrics;
use tunnel::node::{KeySource, Node, NodeError, NodeOptions};
use tunnel::ticket::{Ticket, TicketError};
use tunnel::wire::Kind;
use zeroize::Zeroizing;

use crate::config::{Config, Secret, SecretError, Tunnel};
use crate::membership;

/// Why there is no inlet, or no longer one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The ticket's file or variable.
    #[error("tunnel.ticket: {0}")]
    Secret(#[from] SecretError),
    /// What it holds.
    #[error("tunnel.ticket: {0}")]
    Ticket(#[from] TicketError),
    /// Joining, or staying, a member.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The port, or the relay.
    #[error(transparent)]
    Inlet(#[from] InletError),
    /// The port does not say where it is.
    #[error("the inlet's own address is not known: {0}")]
    Address(std::io::Error),
}

/// What to do about an authority that is away while its answer is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    /// Try again until it is back.
    IsAwaited,
    /// Say so.
    MustAnswer,
}

/// An inlet that listens; it serves while [`Passage::run`] is polled.
pub(crate) struct Passage {
    node: Arc<Node>,
    inlet: Inlet,
    address: SocketAddr,
}

impl Passage {
    /// Joins the project and listens, and makes the inlet's address the brokers' in `config`; `None` where no tunnel is
    /// configured.
    pub(crate) async fn open(config: &mut Config, authority: Authority) -> Result<Option<Self>, Error> {
        let Some(settings) = &config.tunnel else { return Ok(None) };
        let options = node_options(settings)?;
        let node = match authority {
            Authority::IsAwaited => membership::join(options).await?,
            Authority::MustAnswer => Arc::new(Node::join(options).await?),
        };
        let passage = Self::on(node, settings).await?;
        config.kafka.bootstrap_servers = vec![passage.address.to_string()];
        Ok(Some(passage))
    }

    async fn on(node: Arc<Node>, settings: &Tunnel) -> Result<Self, Error> {
        let options = InletOptions {
            from: settings.from,
            to: settings.to.clone(),
            allow: settings.allow.clone(),
            kind: Kind::Kafka,
            broker_ports: settings.broker_ports.as_ref().map(|ports| ports.0.clone()),
            advertise: None,
        };
        let inlet = Inlet::listen(Arc::clone(&node), options, Arc::new(Metrics::default())).await?;
        let address = inlet.local_addr().map_err(Error::Address)?;
        tracing::info!(%address, relay = %node.relay(), to = %settings.to, allow = %settings.allow, "inlet listens");
        Ok(Self { node, inlet, address })
    }

    /// This node, as the project knows it.
    pub(crate) fn node(&self) -> credential::Node {
        self.node.claims()
    }

    /// Tries the whole way to the outlet's target, and says who the outlet is.
    pub(crate) async fn reach(&self) -> Result<credential::Node, Error> {
        Ok(self.inlet.reach().await?)
    }

    /// Works while the passage, if there is one, serves.
    ///
    /// # Errors
    /// The passage's end, which ends the work.
    pub(crate) async fn beside<T>(passage: Option<Self>, work: impl Future<Output = T>) -> Result<T, Error> {
        match passage {
            None => Ok(work.await),
            Some(passage) => tokio::select! {
                done = work => Ok(done),
                ended = passage.run() => ended.map(|never| match never {}),
            },
        }
    }

    /// Serves until the project refuses this node for good.
    pub(crate) async fn run(self) -> Result<Infallible, Error> {
        tokio::select! {
            ended = self.inlet.run() => Ok(ended?),
            ended = self.node.keep_fresh() => Ok(ended?),
        }
    }
}

fn node_options(settings: &Tunnel) -> Result<NodeOptions, Error> {
    let secret = |secret: &Secret| Arc::new(Zeroizing::new(secret.expose().to_owned()));
    let key = match &settings.key {
        Some(key) => KeySource::Pem { pem: secret(key), what: "tunnel.key".to_owned() },
        None => KeySource::State,
    };
    Ok(NodeOptions {
        state: settings.state.clone(),
        key,
        passphrase: settings.passphrase.as_ref().map(secret),
        ticket: ticket(settings)?,
        relay_ca: settings.relay_ca.clone(),
    })
}

/// The ticket, if there is one: it may be taken away once it was used. Whether one is needed, the node knows.
fn ticket(settings: &Tunnel) -> Result<Option<Ticket>, Error> {
    match settings.ticket.read(&|name| std::env::var(name).ok()) {
        Ok(secret) if secret.expose().trim().is_empty() => Ok(None),
        Ok(secret) => Ok(Some(secret.expose().parse()?)),
        Err(SecretError::Unset(_) | SecretError::EmptyVariable(_) | SecretError::EmptyFile(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
