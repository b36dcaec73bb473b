//! What an outlet may dial, and how.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{AlertDescription, CertificateError, ClientConfig, Error as RustlsError};

use super::{KafkaTls, Target};
use crate::address::Address;
use crate::kafka::{Addresses, Broker, Error};
use crate::peer::Bytes;
use crate::socket::{self, HANDSHAKE};
use crate::tls::{self, TlsError};
use crate::wire::{Reason, Refusal};

/// Brokers that are remembered; a cluster has fewer, and a hostile one must not fill the memory. Beyond it the one goes
/// that was named longest ago, because a cluster that gets new addresses with every start comes there in the end.
const MOST: usize = 4096;
/// An address that the cluster has not named for this long, while it named all its brokers, is somebody else's by now.
/// Twice as long as clients go on with the brokers they know (`metadata.max.age.ms`).
const FORGOTTEN: Duration = Duration::from_secs(10 * 60);

/// Where an outlet may go.
pub(super) struct Targets {
    own: Vec<Address>,
    /// What the cluster has named, and when it did so last.
    revealed: Mutex<BTreeMap<Address, Instant>>,
    next: AtomicUsize,
    tls: Option<Arc<ClientConfig>>,
}

/// An open connection to the target.
pub(super) struct Dialled {
    pub(super) address: Address,
    pub(super) stream: Box<dyn Bytes>,
    socket: Option<Socket>,
    alert: Alert,
}

/// Why the target ended TLS, once it has.
type Alert = Arc<OnceLock<String>>;

impl Dialled {
    /// Both sides have ended; dropped without this it closes with a reset.
    pub(super) fn finished(self) {
        if let Some(socket) = &self.socket {
            socket::finished(socket);
        }
    }

    /// The target's refusal, if it refused after the handshake.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let words = self.alert.get()?;
        Some(Refusal::new(Reason::Unreachable, format!("the target {}: {words}", self.address)))
    }
}

/// TLS to a broker. In TLS 1.3 the client is done before the server has judged its certificate, so that the refusal comes
/// in the place of the first answer.
struct Judged {
    stream: TlsStream<TcpStream>,
    alert: Alert,
}

impl AsyncRead for Judged {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Err(error)) = &polled
            && tls_error(error).is_some()
        {
            self.alert.get_or_init(|| explain(error));
        }
        polled
    }
}

impl AsyncWrite for Judged {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn tls_error(error: &io::Error) -> Option<&RustlsError> {
    error.get_ref()?.downcast_ref()
}

/// As [`tls::explain`], for an other side that is no node but a broker, which the outlet's own options decide upon.
fn explain(error: &io::Error) -> String {
    match tls_error(error) {
        Some(RustlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "its certificate was issued by nobody who is believed here; give its certificate authority with --kafka-ca"
                .to_owned()
        }
        Some(RustlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "its certificate has expired".to_owned()
        }
        Some(RustlsError::AlertReceived(AlertDescription::CertificateRequired)) => {
            "it wants a client certificate; give one with --kafka-certificate and --kafka-key".to_owned()
        }
        Some(RustlsError::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::DecryptError
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate),
        )) => format!("it refuses the certificate of --kafka-certificate ({alert:?})"),
        Some(RustlsError::InvalidMessage(_)) => {
            "it does not speak TLS; leave --kafka-tls out, or give its TLS port".to_owned()
        }
        _ => tls::explain(error),
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
        if !self.own.contains(target) && !self.revealed.lock().contains_key(target) {
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
        let alert = Alert::default();
        let stream: Box<dyn Bytes> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let handshake = TlsConnector::from(Arc::clone(config)).connect(tls::server_name(address), tcp);
                let stream = timeout(HANDSHAKE, handshake)
                    .await
                    .map_err(|_| unreachable(format!("no TLS handshake within {HANDSHAKE:?}")))?
                    .map_err(|error| unreachable(explain(&error)))?;
                Box::new(Judged { stream, alert: Arc::clone(&alert) })
            }
        };
        Ok(Dialled { address: address.clone(), stream, socket, alert })
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

impl Targets {
    fn named(&self, brokers: &[Broker], complete: bool, now: Instant) {
        let mut revealed = self.revealed.lock();
        for broker in brokers {
            let Ok(address) = Address::new(&broker.host, broker.port) else { continue };
            if revealed.insert(address, now).is_none() {
                tracing::info!(%broker, "the cluster named a broker");
            }
        }
        if complete {
            revealed.retain(|_, last| now.saturating_duration_since(*last) < FORGOTTEN);
        }
        if let Some(over @ 1..) = revealed.len().checked_sub(MOST) {
            let mut by_age: Vec<(Instant, Address)> =
                revealed.iter().map(|(address, last)| (*last, address.clone())).collect();
            by_age.sort_unstable();
            for (_, address) in by_age.into_iter().take(over) {
                revealed.remove(&address);
            }
        }
    }
}

impl Addresses for Targets {
    fn revealed(&self, brokers: &[Broker], complete: bool) {
        self.named(brokers, complete, Instant::now());
    }

    fn local(&self, _broker: &Broker) -> Result<Option<(String, u16)>, Error> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(id: i32, port: u16) -> Broker {
        Broker { id, host: "kafka.invalid".to_owned(), port }
    }

    fn targets() -> Targets {
        let bootstrap = vec!["kafka.example.com:9092".parse().unwrap()];
        Targets::new(&Target::Kafka { bootstrap, tls: None }).unwrap()
    }

    fn ports(targets: &Targets) -> Vec<u16> {
        targets.revealed.lock().keys().map(Address::port).collect()
    }

    #[tokio::test]
    async fn an_address_that_a_broker_has_left_is_dialled_for_a_while_and_then_no_more() {
        let (targets, begin) = (targets(), Instant::now());
        targets.named(&[broker(0, 1), broker(1, 2)], true, begin);
        // Broker 1 has moved; a client that has not heard of it yet still comes to the old address.
        let moved = [broker(0, 1), broker(1, 3)];
        targets.named(&moved, true, begin + FORGOTTEN / 2);
        assert_eq!(ports(&targets), [1, 2, 3]);
        // Who coordinates a group says nothing of the other brokers.
        targets.named(&moved[..1], false, begin + FORGOTTEN);
        assert_eq!(ports(&targets), [1, 2, 3]);
        targets.named(&moved, true, begin + FORGOTTEN);
        assert_eq!(ports(&targets), [1, 3]);
        let left = "kafka.invalid:2".parse().unwrap();
        let refusal = targets.dial(Some(&left)).await.err().expect("it is refused");
        assert_eq!(refusal.code, Reason::Target);
        assert!(refusal.message.contains("nor a broker that its cluster has named"), "{refusal}");
    }

    #[test]
    fn a_cluster_with_ever_new_addresses_fills_nothing_and_shuts_nobody_out() {
        let (targets, begin) = (targets(), Instant::now());
        for (answer, seconds) in (0..6_u16).zip(0..) {
            let brokers: Vec<Broker> = (1..=10_000).map(|port| broker(0, 10_000 * answer + port)).collect();
            targets.named(&brokers, false, begin + Duration::from_secs(seconds));
            let left = ports(&targets);
            assert_eq!(left.len(), MOST);
            assert!(left.iter().all(|port| *port > 10_000 * answer), "what was named last is dialled");
        }
    }
}
