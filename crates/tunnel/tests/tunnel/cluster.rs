//! A Kafka cluster whose brokers stand behind doors of the test's own: doors that speak TLS or SCRAM, that write down
//! what comes, and that can be moved.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use krafka::testing::{BrokerNode, FakeBroker};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::task::AbortOnDropHandle;
use tunnel::address::Address;
use tunnel::outlet::{KafkaTls, Target};

use crate::scram::Scram;
use crate::world::{Running, eventually};

/// What a door does with a connection before its bytes go to the broker.
#[derive(Clone)]
pub(crate) enum Door {
    Plain,
    Tls(Arc<ServerConfig>),
    Scram(Arc<Scram>),
}

/// Both ways of the bytes a broker was shown.
pub(crate) type Heard = Arc<Mutex<Vec<u8>>>;

struct Open {
    address: SocketAddr,
    /// With it end the door and all that came through it.
    _task: AbortOnDropHandle<()>,
}

/// See the module.
pub(crate) struct Cluster {
    pub(crate) fake: FakeBroker,
    door: Door,
    doors: Vec<Option<Open>>,
    /// What came out of the tunnel towards the brokers.
    pub(crate) heard: Heard,
    /// Connections that came to the doors.
    came: Arc<AtomicUsize>,
}

impl Cluster {
    /// Three brokers that are named and `spare` that are not yet.
    pub(crate) async fn start(door: Door, spare: usize) -> Self {
        let fake = FakeBroker::start_cluster(3 + spare).await.unwrap();
        fake.set_transaction_version(2);
        fake.with_state(|state| state.brokers.truncate(3));
        let mut cluster = Self { fake, door, doors: Vec::new(), heard: Heard::default(), came: Arc::default() };
        for node in 0..3 {
            cluster.move_broker(node).await;
        }
        cluster
    }

    /// Opens a new door for the broker, names it in place of the old one, and shuts that. Returns the new one.
    pub(crate) async fn move_broker(&mut self, node: i32) -> SocketAddr {
        let index = usize::try_from(node).unwrap();
        let broker = self.fake.broker_addr(node).unwrap();
        let open = open(broker, self.door.clone(), Arc::clone(&self.heard), Arc::clone(&self.came)).await;
        let address = open.address;
        self.fake.with_state(|state| {
            if !state.brokers.iter().any(|broker| broker.node_id == node) {
                let mut joins: BrokerNode = state.brokers[0].clone();
                joins.node_id = node;
                state.brokers.push(joins);
            }
            let broker = state.brokers.iter_mut().find(|broker| broker.node_id == node).unwrap();
            broker.host = address.ip().to_string();
            broker.port = i32::from(address.port());
        });
        self.doors.resize_with(self.doors.len().max(index + 1), || None);
        self.doors[index] = Some(open);
        address
    }

    /// It is named no more, and its door is shut.
    pub(crate) fn remove_broker(&mut self, node: i32) {
        self.fake.with_state(|state| state.brokers.retain(|broker| broker.node_id != node));
        self.doors[usize::try_from(node).unwrap()] = None;
    }

    pub(crate) fn address(&self, node: i32) -> Address {
        let open = self.doors[usize::try_from(node).unwrap()].as_ref().unwrap();
        open.address.to_string().parse().unwrap()
    }

    /// One bootstrap server only: the others must be learned from the cluster's own answers.
    pub(crate) fn target(&self, tls: Option<KafkaTls>) -> Target {
        Target::Kafka { bootstrap: vec![self.address(0)], tls }
    }

    /// The doors can be reached by anybody here, so that an address which was not replaced would still be one that a
    /// client can dial: whatever came must have come from the outlet.
    pub(crate) async fn nothing_passed_by(&self, outlet: &Running) {
        let opened = || {
            let text = outlet.metrics.text();
            let line = text.lines().find(|line| line.starts_with("snowmelt_tunnel_streams_opened_total ")).unwrap();
            line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()
        };
        let came = || self.came.load(Ordering::Relaxed);
        // The outlet counts a stream when it has said that it is open.
        eventually("the outlet's streams are all that came", || came() == opened()).await;
        assert!(came() > 0);
    }

    /// The brokers that were asked anything.
    pub(crate) fn asked(&self) -> BTreeSet<i32> {
        self.fake.requests().iter().map(|request| request.node_id).collect()
    }
}

async fn open(broker: SocketAddr, door: Door, heard: Heard, came: Arc<AtomicUsize>) -> Open {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            came.fetch_add(1, Ordering::Relaxed);
            let (door, heard) = (door.clone(), Arc::clone(&heard));
            connections.spawn(async move {
                let to = TcpStream::connect(broker).await?;
                match door {
                    Door::Plain => pass(stream, to, &heard).await,
                    Door::Tls(config) => pass(TlsAcceptor::from(config).accept(stream).await?, to, &heard).await,
                    Door::Scram(scram) => {
                        let (stream, to) = scram.admit(stream, to, &heard).await?;
                        pass(stream, to, &heard).await
                    }
                }
            });
        }
    });
    Open { address, _task: AbortOnDropHandle::new(task) }
}

async fn pass(stream: impl AsyncRead + AsyncWrite, to: TcpStream, heard: &Heard) -> std::io::Result<()> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let (mut from_broker, mut to_broker) = to.into_split();
    let ask = async {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = reading.read(&mut buffer).await?;
            if length == 0 {
                return to_broker.shutdown().await;
            }
            heard.lock().unwrap().extend_from_slice(&buffer[..length]);
            to_broker.write_all(&buffer[..length]).await?;
        }
    };
    let answer = async {
        tokio::io::copy(&mut from_broker, &mut writing).await?;
        writing.shutdown().await
    };
    tokio::try_join!(ask, answer).map(|_| ())
}
