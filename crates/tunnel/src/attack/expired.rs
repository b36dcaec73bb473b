//! A credential that has ended, or is not of this time, shown to everybody who must refuse it: the relay, the inlet, the
//! outlet, and a node that meets such a relay. Each says which side's it is, so that both logs have the reason.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{LIMIT, Lab};
use crate::attribute::{Attributes, RELAY};
use crate::identity::Identity;
use crate::tls::{self, Own, RelayRoots};

const HOUR: Duration = Duration::from_secs(3600);
const THEIRS: &str = "the other side's credential has expired";
const OWN: &str = "the other side says that this node's credential has expired";

/// A node with a credential of any age.
struct Aged {
    identity: Identity,
    chain: Vec<CertificateDer<'static>>,
}

impl Aged {
    fn new(lab: &Lab, from: SystemTime) -> Self {
        let identity = Identity::generate().unwrap();
        let attributes: Attributes = [RELAY.parse().unwrap()].into();
        let issued = lab.project.issue(&attributes, &BTreeSet::new(), &identity.public_key(), from, HOUR).unwrap();
        Self { identity, chain: vec![issued.certificate, lab.project.certificate().clone()] }
    }

    fn own(&self) -> Own<'_> {
        Own { identity: &self.identity, chain: self.chain.clone() }
    }
}

/// What each side says of a handshake and of one byte after it, which is when a client hears of its refusal.
async fn meet(client: ClientConfig, server: ServerConfig) -> (Result<(), String>, Result<(), String>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let client = async {
        let mut stream = TlsConnector::from(Arc::new(client)).connect(tls::inner_name(), near).await?;
        stream.read_u8().await.map(|_| ())
    };
    let server = async {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await?;
        stream.write_u8(1).await?;
        stream.shutdown().await
    };
    let (client, server) = tokio::time::timeout(LIMIT, async { tokio::join!(client, server) }).await.unwrap();
    let said = |ended: std::io::Result<()>| ended.map_err(|error| tls::explain(&error));
    (said(client), said(server))
}

/// Both sides said that it is this one's.
fn refused((ended, believes): (Result<(), String>, Result<(), String>)) {
    let (ended, believes) = (ended.expect_err("it was let in"), believes.expect_err("it let it in"));
    assert!(ended.starts_with(OWN), "{ended}");
    assert!(believes.starts_with(THEIRS), "{believes}");
}

#[tokio::test]
async fn everybody_refuses_a_credential_that_has_ended_and_both_sides_say_so() {
    let lab = Lab::start().await;
    let authority = lab.project.certificate();
    let fresh = Aged::new(&lab, SystemTime::now());
    let ended = Aged::new(&lab, SystemTime::now() - 2 * HOUR);
    let inlet = |node: &Aged| tls::to_outlet(&node.own(), authority).unwrap();
    let outlet = |node: &Aged| tls::of_outlet(&node.own(), authority).unwrap();
    let guest = |node: &Aged| tls::to_relay(&node.own(), authority, &RelayRoots::Project).unwrap();
    let relay = |node: &Aged| tls::of_relay(node.chain.clone(), node.identity.tls_key(), authority).unwrap();

    assert_eq!(meet(inlet(&fresh), outlet(&fresh)).await, (Ok(()), Ok(())));
    refused(meet(inlet(&ended), outlet(&fresh)).await);
    let (client, server) = meet(inlet(&fresh), outlet(&ended)).await;
    refused((server, client));

    assert_eq!(meet(guest(&fresh), relay(&fresh)).await, (Ok(()), Ok(())));
    refused(meet(guest(&ended), relay(&fresh)).await);
    let (client, server) = meet(guest(&fresh), relay(&ended)).await;
    refused((server, client));
}

/// With the relay that nodes meet, over its real port.
#[tokio::test]
async fn the_relay_counts_a_credential_that_has_ended_as_a_failed_handshake() {
    let lab = Lab::start().await;
    let ended = Aged::new(&lab, SystemTime::now() - 2 * HOUR);
    let config = tls::to_relay(&ended.own(), lab.project.certificate(), &RelayRoots::Project).unwrap();
    let tcp = tokio::net::TcpStream::connect(lab.address).await.unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(tls::inner_name(), tcp).await.unwrap();
    let error = tokio::time::timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap_err();
    assert!(tls::explain(&error).starts_with(OWN), "{error}");
    assert!(lab.metrics.text().contains("handshakes_total{outcome=\"failed\"} 1\n"), "{}", lab.metrics.text());
}
