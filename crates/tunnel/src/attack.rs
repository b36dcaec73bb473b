//! What a node, a stranger or a relay could try, with the crate's own means: everything that the public parts never do.

mod expired;
mod recorded;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::version::TLS12;
use tokio_rustls::rustls::{AlertDescription, ClientConfig, Error, RootCertStore};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::task::AbortOnDropHandle;

use crate::attribute::RELAY;
use crate::authority::{Authority, Project, Settings, TicketTerms};
use crate::inlet::{Inlet, InletOptions};
use crate::metrics::Metrics;
use crate::node::{KeySource, Node, NodeOptions, RelayStream};
use crate::outlet::{Outlet, OutletOptions, Target};
use crate::peer::InnerStream;
use crate::relay::{Front, Limits, Relay, RelayCertificate};
use crate::ticket::{RelayTrust, Ticket};
use crate::tls;
use crate::wire::{self, CallId, FromOutlet, FromRelay, Kind, LARGEST, Reason, ToOutlet, ToRelay};

const LIMIT: Duration = Duration::from_secs(30);

struct Lab {
    directory: tempfile::TempDir,
    project: Arc<Project>,
    authority: Arc<Authority>,
    address: SocketAddr,
    metrics: Arc<Metrics>,
    _front: AbortOnDropHandle<()>,
}

impl Lab {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let at: crate::address::Address = address.to_string().parse().unwrap();
        let settings = Settings {
            relay: at.clone(),
            authority: at,
            relay_trust: RelayTrust::Project,
            credential_lifetime_seconds: 3600,
        };
        let project = Arc::new(Project::create(&directory.path().join("project"), settings, None).unwrap());
        let metrics = Arc::new(Metrics::default());
        let authority = Arc::new(Authority::new(Arc::clone(&project), Arc::clone(&metrics)).unwrap());
        let relay = Arc::new(Relay::new(Limits::default(), authority.revoked(), Arc::clone(&metrics)));
        let relay = Some((relay, RelayCertificate::Authority(Arc::clone(&authority))));
        let front = Front::on(listener, Some(Arc::clone(&authority)), relay, 64, Arc::clone(&metrics)).unwrap();
        let _front = AbortOnDropHandle::new(tokio::spawn(async move { match front.run().await {} }));
        Self { directory, project, authority, address, metrics, _front }
    }

    fn ticket(&self, attribute: &str) -> Ticket {
        let terms = TicketTerms {
            uses: 1,
            expires_in: LIMIT,
            attributes: [attribute.parse().unwrap()].into(),
            relays: ["kafka".parse().unwrap()].into(),
        };
        self.project.ticket(terms).unwrap()
    }

    async fn join(&self, name: &str, ticket: Ticket) -> Arc<Node> {
        let state = Some(self.directory.path().join(name));
        let options =
            NodeOptions { state, key: KeySource::State, passphrase: None, ticket: Some(ticket), relay_ca: None };
        Arc::new(Node::join(options).await.unwrap())
    }

    async fn outlet(&self, target: Target) -> (Arc<Metrics>, AbortOnDropHandle<()>) {
        run_outlet(self.join("outlet", self.ticket("outlet")).await, target).await
    }
}

async fn run_outlet(node: Arc<Node>, target: Target) -> (Arc<Metrics>, AbortOnDropHandle<()>) {
    let metrics = Arc::new(Metrics::default());
    let options = OutletOptions { relay: "kafka".parse().unwrap(), allow: "inlet".parse().unwrap(), target };
    let outlet = Outlet::new(node, options, Arc::clone(&metrics)).unwrap();
    let task = tokio::spawn(async move {
        let _ = outlet.run().await;
    });
    while !metrics.is_ready() {
        tokio::task::yield_now().await;
    }
    (metrics, AbortOnDropHandle::new(task))
}

async fn run_inlet(node: Arc<Node>, kind: Kind) -> (Arc<Metrics>, SocketAddr, AbortOnDropHandle<()>) {
    let metrics = Arc::new(Metrics::default());
    let options = InletOptions {
        from: "127.0.0.1:0".parse().unwrap(),
        to: "kafka".parse().unwrap(),
        allow: "outlet".parse().unwrap(),
        kind,
        broker_ports: None,
        advertise: None,
    };
    let inlet = Inlet::listen(node, options, Arc::clone(&metrics)).await.unwrap();
    let address = inlet.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let _ = inlet.run().await;
    });
    (metrics, address, AbortOnDropHandle::new(task))
}

/// An inlet's way up to the inner handshake.
async fn call(node: &Node) -> RelayStream {
    let mut relay = node.dial().await.unwrap();
    wire::send(&mut relay, &ToRelay::Call { name: "kafka".parse().unwrap() }).await.unwrap();
    assert_eq!(wire::receive::<_, FromRelay>(&mut relay).await.unwrap(), FromRelay::Joined {});
    relay
}

async fn ask(node: &Node, target: Option<&str>) -> FromOutlet {
    let relay = call(node).await;
    let mut inner = InnerStream::from(node.connector().connect(tls::inner_name(), relay).await.unwrap());
    let target = target.map(|text| text.parse().unwrap());
    wire::send(&mut inner, &ToOutlet::Open { kind: Kind::Kafka, target }).await.unwrap();
    wire::receive(&mut inner).await.unwrap()
}

#[tokio::test]
async fn an_outlet_dials_nothing_that_its_cluster_has_not_named() {
    let lab = Lab::start().await;
    let secret_service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let forbidden = secret_service.local_addr().unwrap().to_string();
    let broker = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = broker.local_addr().unwrap().to_string();
    let target = Target::Kafka { bootstrap: vec![own.parse().unwrap()], tls: None };
    let (metrics, _outlet) = lab.outlet(target).await;
    let inlet = lab.join("inlet", lab.ticket("inlet")).await;
    for outside in [forbidden.as_str(), "169.254.169.254:80", "localhost:22", "[::1]:9092"] {
        let FromOutlet::Refused(refusal) = ask(&inlet, Some(outside)).await else { panic!("{outside} was dialled") };
        assert_eq!(refusal.code, Reason::Target);
        assert!(refusal.message.contains(outside), "{refusal}");
    }
    assert_eq!(metrics.refusals(Reason::Target), 4);
    assert!(matches!(ask(&inlet, Some(&own)).await, FromOutlet::Opened {}));
    assert!(matches!(ask(&inlet, None).await, FromOutlet::Opened {}));
    let nobody = timeout(Duration::from_millis(1), secret_service.accept()).await;
    assert!(nobody.is_err(), "the forbidden service was connected to");
}

#[tokio::test]
async fn a_relay_that_ends_the_inner_tls_itself_is_found_out() {
    let lab = Lab::start().await;
    // A relay of the project, with every right that a relay has, that answers calls itself.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let evil = listener.local_addr().unwrap();
    let outer = TlsAcceptor::from(Arc::new(lab.authority.relay_tls().unwrap()));
    let own = lab.join("relay", lab.ticket(RELAY)).await;
    let heard = tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = outer.accept(tcp).await.unwrap();
            if !matches!(wire::receive(&mut stream).await.unwrap(), ToRelay::Call { .. }) {
                continue;
            }
            wire::send(&mut stream, &FromRelay::Joined {}).await.unwrap();
            let mut inner = own.acceptor().accept(stream).await.unwrap();
            return wire::receive::<_, ToOutlet>(&mut inner).await.unwrap();
        }
    });
    let ticket = Ticket { relay_address: evil.to_string().parse().unwrap(), ..lab.ticket("inlet") };
    let node = lab.join("inlet", ticket).await;
    let (metrics, address, _inlet) = run_inlet(node, Kind::Tcp).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"a secret").await.unwrap();
    let ToOutlet::Refused(refusal) = timeout(LIMIT, heard).await.unwrap().unwrap() else { panic!("it was believed") };
    assert_eq!(refusal.code, Reason::Policy);
    assert!(refusal.message.contains(RELAY), "{refusal}");
    let reset = timeout(LIMIT, client.read_u8()).await.unwrap().unwrap_err().kind();
    assert_eq!(reset, std::io::ErrorKind::ConnectionReset);
    assert!(metrics.refusals(Reason::Policy) > 0);
}

#[tokio::test]
async fn a_relay_without_its_attribute_is_not_believed() {
    let lab = Lab::start().await;
    let node = lab.join("node", lab.ticket("outlet")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pretends = TlsAcceptor::from(Arc::new(node.relay_tls().unwrap()));
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let _ = pretends.accept(tcp).await;
    });
    let ticket = Ticket { relay_address: address.to_string().parse().unwrap(), ..lab.ticket("inlet") };
    let error = lab.join("inlet", ticket).await.ping_relay().await.unwrap_err().to_string();
    assert!(error.contains("not a relay"), "{error}");
}

#[tokio::test]
async fn nothing_older_than_tls_1_3_is_spoken() {
    let lab = Lab::start().await;
    for alpn in [wire::alpn::RELAY, wire::alpn::AUTHORITY] {
        let mut config = ClientConfig::builder_with_protocol_versions(&[&TLS12])
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let tcp = TcpStream::connect(lab.address).await.unwrap();
        let error = TlsConnector::from(Arc::new(config)).connect(tls::inner_name(), tcp).await.unwrap_err();
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        assert!(matches!(tls, Some(Error::AlertReceived(AlertDescription::ProtocolVersion))), "{error}");
    }
}

#[tokio::test]
async fn damaged_and_oversized_messages_end_the_connection_and_nothing_else() {
    let lab = Lab::start().await;
    let node = lab.join("node", lab.ticket("outlet")).await;
    let huge = u32::try_from(LARGEST + 1).unwrap().to_be_bytes().to_vec();
    let json = |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
    let messages = [
        huge,
        u32::MAX.to_be_bytes().to_vec(),
        json("{}"),
        json("{\"call\":{\"name\":\"../../etc\"}}"),
        json("[[[["),
        json(&"[".repeat(LARGEST)),
        json("{\"answer\":{\"call\":\"zz\"}}"),
        vec![0; 3],
    ];
    for message in messages {
        let mut stream = node.dial().await.unwrap();
        stream.write_all(&message).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Cut off, with or without a refusal: what matters is that it ends.
        let _ = timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("the relay ends the connection");
    }
    let mut stream = node.dial().await.unwrap();
    wire::send(&mut stream, &ToRelay::Answer { call: CallId::random() }).await.unwrap();
    let FromRelay::Refused(refusal) = wire::receive(&mut stream).await.unwrap() else { panic!("joined with nobody") };
    assert_eq!(refusal.code, Reason::NoOutlet);
    node.ping_relay().await.expect("the relay goes on");
    assert_eq!(lab.metrics.open_streams(), 0);
}

#[tokio::test]
async fn a_node_that_says_nothing_is_let_go() {
    let lab = Lab::start().await;
    let node = lab.join("node", lab.ticket("outlet")).await;
    let mut silent = node.dial().await.unwrap();
    let mut stranger = TcpStream::connect(lab.address).await.unwrap();
    let (mut one, mut other) = ([0; 1], [0; 1]);
    let both = async { tokio::join!(silent.read(&mut one), stranger.read(&mut other)) };
    let (node_read, stranger_read) = timeout(LIMIT, both).await.expect("both are let go");
    assert!(!node_read.is_ok_and(|length| length > 0));
    assert!(!stranger_read.is_ok_and(|length| length > 0));
}
