//! What an outlet may dial, and how.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use socket2::Socket;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::{KafkaTls, Target};
use crate::address::Address;
use crate::kafka::{Addresses, Broker, Error};
use crate::peer::Bytes;
use crate::socket::{self, HANDSHAKE};
use crate::tls::{self, TlsError};
use crate::wire::{Reason, Refusal};

/// Brokers that are remembered; a cluster has fewer, and a hostile one must not fill the memory.
const MOST: usize = 4096;

/// Where an outlet may go.
pub(super) struct Targets {
    own: Vec<Address>,
    revealed: Mutex<BTreeSet<Address>>,
    next: AtomicUsize,
    tls: Option<Arc<ClientConfig>>,
}

/// An open connection to the target.
pub(super) struct Dialled {
    pub(super) address: Address,
    pub(super) stream: Box<dyn Bytes>,
    socket: Option<Socket>,
}

impl Dialled {
    /// Both sides have ended; dropped without this it closes with a reset.
    pub(super) fn finished(self) {
        if let Some(socket) = &self.socket {
            socket::finished(socket);
        }
    }
}

impl Targets {
    pub(super) fn new(target: &Target) -> Result<Self, TlsError> {
        let (own, tls) = match target {
            Target::Tcp(address) => (vec![address.clone()], None),
            Target::Kafka { bootstrap, tls } => (bootstrap.clone(), tls.as_ref().map(broker_tls).transpose()?),
        };
        Ok(Self { own, revealed: Mutex::default(), next: AtomicUsize::new(0), tls })
    }

    /// Dials `target`, or without one whichever of the outlet's own answers.
    pub(super) async fn dial(&self, target: Option<&Address>) -> Result<Dialled, Refusal> {
        let Some(target) = target else {
            let first = self.next.fetch_add(1, Ordering::Relaxed);
            let mut refusal = Refusal::new(Reason::Unreachable, "this outlet has no target");
            for step in 0..self.own.len() {
                let Some(address) = self.own.get((first + step) % self.own.len()) else { continue };
                match self.connect(address).await {
                    Ok(dialled) => return Ok(dialled),
                    Err(refused) => refusal = refused,
                }
            }
            return Err(refusal);
        };
        if !self.own.contains(target) && !self.revealed.lock().contains(target) {
            return Err(Refusal::new(
                Reason::Target,
                format!("{target} is neither a target of this outlet nor a broker that its cluster has named"),
            ));
        }
        self.connect(target).await
    }

    async fn connect(&self, address: &Address) -> Result<Dialled, Refusal> {
        let unreachable = |reason: String| Refusal::new(Reason::Unreachable, format!("the target {address}: {reason}"));
        let tcp = socket::connect(address).await.map_err(|error| unreachable(error.to_string()))?;
        socket::unfinished(&tcp);
        let socket = duplicate(&tcp);
        let stream: Box<dyn Bytes> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let handshake = TlsConnector::from(Arc::clone(config)).connect(tls::server_name(address), tcp);
                let stream = timeout(HANDSHAKE, handshake)
                    .await
                    .map_err(|_| unreachable(format!("no TLS handshake within {HANDSHAKE:?}")))?
                    .map_err(|error| unreachable(tls::explain(&error)))?;
                Box::new(stream)
            }
        };
        Ok(Dialled { address: address.clone(), stream, socket })
    }
}

/// A second handle of the socket, whatever has wrapped the first.
fn duplicate(stream: &TcpStream) -> Option<Socket> {
    let descriptor: OwnedFd = stream.as_fd().try_clone_to_owned().ok()?;
    Some(Socket::from(descriptor))
}

fn broker_tls(settings: &KafkaTls) -> Result<Arc<ClientConfig>, TlsError> {
    tls::to_broker(
        settings.ca.as_deref(),
        settings.certificate.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path())),
    )
    .map(Arc::new)
}

impl Addresses for Targets {
    fn revealed(&self, brokers: &[Broker], _complete: bool) {
        let mut revealed = self.revealed.lock();
        for broker in brokers {
            let Ok(address) = Address::new(&broker.host, broker.port) else { continue };
            if revealed.len() < MOST && revealed.insert(address) {
                tracing::info!(%broker, "the cluster named a broker");
            }
        }
    }

    fn local(&self, _broker: &Broker) -> Result<Option<(String, u16)>, Error> {
        Ok(None)
    }
}
