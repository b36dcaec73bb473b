//! The cluster's brokers as an inlet's clients see them: a local port each.

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener};
use std::ops::RangeInclusive;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::address::Address;
use crate::kafka::{Addresses, Broker, Error, Place, Ports};

/// Ports that may be tried for one broker before its answer is given up.
const TRIES: usize = 64;

/// All brokers seen so far.
pub(super) struct Brokers {
    ip: IpAddr,
    ports: Mutex<Ports>,
    /// Ends the connections to a broker whose port was given to another.
    gone: Mutex<BTreeMap<u16, CancellationToken>>,
    found: mpsc::UnboundedSender<TcpListener>,
}

/// The same for one client, which reaches this inlet under a host name of its own.
pub(super) struct Seen<'a> {
    pub(super) brokers: &'a Brokers,
    pub(super) host: String,
}

impl Brokers {
    pub(super) fn new(
        ip: IpAddr,
        range: Option<RangeInclusive<u16>>,
        found: mpsc::UnboundedSender<TcpListener>,
    ) -> Self {
        let ports = range.map_or_else(Ports::ephemeral, Ports::within);
        Self { ip, ports: Mutex::new(ports), gone: Mutex::default(), found }
    }

    /// The broker behind a port, and what ends when it is another's.
    pub(super) fn target(&self, port: u16) -> Option<(Address, CancellationToken)> {
        let address = {
            let ports = self.ports.lock();
            let broker = ports.target(port)?;
            Address::new(&broker.host, broker.port).ok()?
        };
        Some((address, self.gone.lock().entry(port).or_default().clone()))
    }

    fn port(&self, broker: &Broker) -> Result<u16, Error> {
        let mut ports = self.ports.lock();
        for _ in 0..TRIES {
            match ports.place(broker).map_err(|full| without_port(broker, full))? {
                Place::Has { port } => return Ok(port),
                Place::Takes { port, from } => {
                    tracing::info!(%broker, was = %from, port, "a broker took the port of one that is gone");
                    if let Some(gone) = self.gone.lock().remove(&port) {
                        gone.cancel();
                    }
                    return Ok(port);
                }
                Place::Bind { port } => match self.bind(port) {
                    Ok(bound) => {
                        tracing::info!(%broker, port = bound, "a broker has a port");
                        ports.bound(broker, bound);
                        return Ok(bound);
                    }
                    Err(error) if port != 0 => {
                        tracing::warn!(port, %error, "a port of the range cannot be used");
                        ports.unusable(port);
                    }
                    Err(error) => return Err(without_port(broker, error)),
                },
            }
        }
        Err(without_port(broker, std::io::Error::other(format!("{TRIES} ports of the range cannot be used"))))
    }

    fn bind(&self, port: u16) -> std::io::Result<u16> {
        let listener = TcpListener::bind((self.ip, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        // Without a receiver the inlet is ending, and its clients with it.
        let _ = self.found.send(listener);
        Ok(port)
    }
}

/// An answer that names a broker without a port cannot be passed on, and its client is reset. That happens to every
/// client alike until somebody gives the inlet more ports, so it is said aloud.
fn without_port(broker: &Broker, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    tracing::error!(%broker, %error, "a broker has no port, and clients that ask for brokers are reset");
    Error::address(broker, error)
}

impl Addresses for Seen<'_> {
    fn revealed(&self, brokers: &[Broker], complete: bool) {
        self.brokers.ports.lock().revealed(brokers, complete);
    }

    fn local(&self, broker: &Broker) -> Result<Option<(String, u16)>, Error> {
        Ok(Some((self.host.clone(), self.brokers.port(broker)?)))
    }
}
