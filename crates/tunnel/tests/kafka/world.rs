//! The two ends of the tunnel's Kafka half between a client and a cluster, joined by a stream in memory.
//!
//! The brokers advertise names that resolve nowhere, so an address that slipped through would be one the client fails
//! to dial; and only the outlet knows the true sockets, and dials only what answers revealed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use krafka::Kafka;
use krafka::testing::FakeBroker;
use tokio::io::duplex;
use tokio::net::{TcpListener, TcpStream};
use tunnel::kafka::{Addresses, Broker, Counted, Error, Limits, Place, Ports, carry};

/// Learns brokers and dials those, and no other.
pub(crate) struct Outlet {
    sockets: BTreeMap<String, SocketAddr>,
    allowed: Mutex<BTreeSet<String>>,
    dialled: AtomicUsize,
}

impl Outlet {
    async fn dial(&self, host: &str) -> Result<TcpStream, String> {
        if !self.allowed.lock().unwrap().contains(host) {
            return Err(format!("{host} was never revealed"));
        }
        self.dialled.fetch_add(1, Ordering::Relaxed);
        TcpStream::connect(self.sockets[host]).await.map_err(|error| error.to_string())
    }
}

impl Addresses for Outlet {
    fn revealed(&self, brokers: &[Broker], _: bool) {
        self.allowed.lock().unwrap().extend(brokers.iter().map(|broker| broker.host.clone()));
    }

    fn local(&self, _: &Broker) -> Result<Option<(String, u16)>, Error> {
        Ok(None)
    }
}

/// Binds a port for each broker and carries what comes there.
pub(crate) struct Inlet {
    ports: Mutex<Ports>,
    outlet: Arc<Outlet>,
    pub(crate) traffic: Counted,
    /// Answers that named some brokers: of coordinators and new leaders.
    pub(crate) partial: AtomicUsize,
    /// What must not happen, from tasks whose panics nobody sees.
    faults: Mutex<Vec<String>>,
    me: std::sync::Weak<Inlet>,
}

impl Addresses for Inlet {
    fn revealed(&self, brokers: &[Broker], complete: bool) {
        self.partial.fetch_add(usize::from(!complete), Ordering::Relaxed);
        self.ports.lock().unwrap().revealed(brokers, complete);
    }

    fn local(&self, broker: &Broker) -> Result<Option<(String, u16)>, Error> {
        let mut ports = self.ports.lock().unwrap();
        let port = match ports.place(broker).map_err(|full| Error::address(broker, full))? {
            Place::Has { port } | Place::Takes { port, .. } => port,
            Place::Bind { port } => {
                let bound = std::net::TcpListener::bind(("127.0.0.1", port));
                let bound = bound.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
                let listener = bound.and_then(TcpListener::from_std).map_err(|error| Error::address(broker, error))?;
                let port = listener.local_addr().map_err(|error| Error::address(broker, error))?.port();
                ports.bound(broker, port);
                tokio::spawn(self.me.upgrade().expect("the inlet is alive").serve(listener, None));
                port
            }
        };
        Ok(Some(("127.0.0.1".into(), port)))
    }
}

impl Inlet {
    /// Accepts clients of one port: of the bootstrap broker, or of the one the port stands for.
    async fn serve(self: Arc<Self>, listener: TcpListener, bootstrap: Option<String>) {
        let port = listener.local_addr().expect("bound").port();
        loop {
            let (client, _) = listener.accept().await.expect("the listener accepts");
            let host = bootstrap.clone().or_else(|| Some(self.ports.lock().unwrap().target(port)?.host.clone()));
            let inlet = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(fault) = inlet.connection(client, host).await {
                    inlet.faults.lock().unwrap().push(fault);
                }
            });
        }
    }

    async fn connection(&self, client: TcpStream, host: Option<String>) -> Result<(), String> {
        let broker = self.outlet.dial(&host.ok_or("a bound port stands for no broker")?).await?;
        let (near, far) = duplex(64 * 1024);
        let (limits, far_traffic) = (Limits::default(), Counted::default());
        let (near_end, far_end) = tokio::join!(
            carry(client, near, self, &limits, &self.traffic),
            carry(far, broker, &*self.outlet, &limits, &far_traffic),
        );
        // A client that closes may do so by a reset; anything else is the follower's fault.
        for end in [near_end, far_end] {
            match end {
                Ok(()) | Err(Error::Io { .. } | Error::Ended { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}

/// A cluster of three, and a way in.
pub(crate) struct World {
    pub(crate) cluster: FakeBroker,
    pub(crate) inlet: Arc<Inlet>,
    pub(crate) bootstrap: String,
}

impl World {
    pub(crate) async fn start() -> Self {
        let cluster = FakeBroker::start_cluster(3).await.expect("the cluster starts");
        let name = |id: i32| format!("broker-{id}.invalid");
        let sockets = (0..3).map(|id| (name(id), cluster.broker_addr(id).expect("it listens"))).collect();
        cluster.with_state(|state| {
            for broker in &mut state.brokers {
                broker.host = name(broker.node_id);
                broker.port = 9092;
            }
        });
        cluster.set_transaction_version(2);
        let outlet = Outlet { sockets, allowed: Mutex::new(BTreeSet::from([name(0)])), dialled: AtomicUsize::new(0) };
        let inlet = Arc::new_cyclic(|me| Inlet {
            ports: Mutex::new(Ports::ephemeral()),
            outlet: Arc::new(outlet),
            traffic: Counted::default(),
            partial: AtomicUsize::new(0),
            faults: Mutex::default(),
            me: std::sync::Weak::clone(me),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let bootstrap = listener.local_addr().expect("bound").to_string();
        tokio::spawn(Arc::clone(&inlet).serve(listener, Some(name(0))));
        Self { cluster, inlet, bootstrap }
    }

    pub(crate) async fn kafka(&self) -> Kafka {
        Kafka::builder(self.bootstrap.clone()).connect().await.expect("the client connects through the inlet")
    }

    /// All of the cluster's traffic came through the outlet, over ports that stand for all three brokers.
    pub(crate) fn assert_nothing_passed_by(&self) {
        assert_eq!(*self.inlet.faults.lock().unwrap(), Vec::<String>::new());
        let requests = self.cluster.requests();
        let connections: BTreeSet<u64> = requests.iter().map(|request| request.connection).collect();
        assert!(connections.len() <= self.inlet.outlet.dialled.load(Ordering::Relaxed));
        assert!(u64::try_from(requests.len()).unwrap() <= self.inlet.traffic.requests.load(Ordering::Relaxed));
        let served: BTreeSet<i32> = requests.iter().map(|request| request.node_id).collect();
        assert_eq!(served, BTreeSet::from([0, 1, 2]), "every broker was asked through its own port");
        let ports = self.inlet.ports.lock().unwrap();
        assert_eq!(ports.iter().map(|(_, broker)| broker.id).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(ports.iter().all(|(_, broker)| broker.host.ends_with(".invalid")));
    }
}
