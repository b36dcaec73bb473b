//! A relay that is a relay in every respect and writes down all that it carries, after it has taken the outer TLS off:
//! what whoever owns the relay's machine can have.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use krafka::auth::AuthConfig;
use krafka::testing::FakeBroker;
use krafka::{Kafka, Record};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::{LIMIT, Lab, ask, run_inlet, run_outlet};
use crate::outlet::Target;
use crate::ticket::Ticket;
use crate::wire::{self, CallId, FromOutlet, FromRelay, Kind, Reason, ToRelay};

type Guest = TlsStream<TcpStream>;

/// What all its connections share.
#[derive(Default)]
struct Recorder {
    outlet: Mutex<Option<mpsc::UnboundedSender<CallId>>>,
    waiting: Mutex<HashMap<CallId, oneshot::Sender<Guest>>>,
    recorded: Mutex<Vec<u8>>,
}

impl Recorder {
    async fn start(lab: &Lab) -> (SocketAddr, Arc<Self>, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let outer = TlsAcceptor::from(Arc::new(lab.authority.relay_tls().unwrap()));
        let recorder = Arc::new(Self::default());
        let shared = Arc::clone(&recorder);
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (outer, shared) = (outer.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    if let Ok(guest) = outer.accept(tcp).await {
                        shared.serve(guest).await;
                    }
                });
            }
        });
        (address, recorder, AbortOnDropHandle::new(task))
    }

    async fn serve(&self, mut guest: Guest) {
        match wire::receive(&mut guest).await.unwrap() {
            ToRelay::Register { .. } => {
                let (sender, calls) = mpsc::unbounded_channel();
                *self.outlet.lock() = Some(sender);
                stay(guest, calls).await;
            }
            ToRelay::Attend {} => {
                let (_sender, calls) = mpsc::unbounded_channel();
                stay(guest, calls).await;
            }
            ToRelay::Call { .. } => {
                let (call, (sender, answered)) = (CallId::random(), oneshot::channel());
                self.waiting.lock().insert(call.clone(), sender);
                self.outlet.lock().as_ref().unwrap().send(call).unwrap();
                let mut outlet: Guest = answered.await.unwrap();
                for side in [&mut outlet, &mut guest] {
                    wire::send(side, &FromRelay::Joined {}).await.unwrap();
                }
                self.carry(guest, outlet).await;
            }
            ToRelay::Answer { call } => {
                let sender = self.waiting.lock().remove(&call).unwrap();
                assert!(sender.send(guest).is_ok(), "the caller waits");
            }
            ToRelay::Ping { .. } | ToRelay::Leave {} => panic!("this cannot come first"),
        }
    }

    async fn carry(&self, inlet: Guest, outlet: Guest) {
        let (from_inlet, to_inlet) = tokio::io::split(inlet);
        let (from_outlet, to_outlet) = tokio::io::split(outlet);
        let pump = async |mut from: tokio::io::ReadHalf<Guest>, mut to: tokio::io::WriteHalf<Guest>| {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length @ 1..) = from.read(&mut buffer).await {
                self.recorded.lock().extend_from_slice(&buffer[..length]);
                if to.write_all(&buffer[..length]).await.is_err() || to.flush().await.is_err() {
                    break;
                }
            }
            let _ = to.shutdown().await;
        };
        tokio::join!(pump(from_inlet, to_outlet), pump(from_outlet, to_inlet));
    }

    fn holds(&self, mark: &str) -> bool {
        self.recorded.lock().windows(mark.len()).any(|window| window == mark.as_bytes())
    }
}

/// A standing connection.
async fn stay(mut guest: Guest, mut calls: mpsc::UnboundedReceiver<CallId>) {
    wire::send(&mut guest, &FromRelay::Welcome {}).await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(guest);
    let (pings, mut to_answer) = mpsc::unbounded_channel();
    let listen = async {
        while let Ok(ToRelay::Ping { number }) = wire::receive(&mut reading).await {
            pings.send(number).unwrap();
        }
    };
    let speak = async {
        loop {
            let message = tokio::select! {
                Some(number) = to_answer.recv() => FromRelay::Pong { number },
                Some(call) = calls.recv() => FromRelay::Call { call },
                else => return,
            };
            if wire::send(&mut writing, &message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = listen => {}
        () = speak => {}
    }
}

const USER: &str = "publisher-of-orders";
const PASSWORD: &str = "correct-horse-battery-staple";
const TOPIC: &str = "orders-of-the-day";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_writes_everything_down_has_no_secret_no_name_and_no_record() {
    let lab = Lab::start().await;
    let (relay, recorder, _relay) = Recorder::start(&lab).await;
    let relay_address: crate::address::Address = relay.to_string().parse().unwrap();
    let cluster = FakeBroker::start_cluster(3).await.unwrap();
    cluster.require_sasl_plain(USER, PASSWORD);
    cluster.create_topic(TOPIC, 3);
    let addresses: Vec<String> = cluster.bootstrap_servers().split(',').map(ToOwned::to_owned).collect();
    let ticket = Ticket { relay_address: relay_address.clone(), ..lab.ticket("outlet") };
    let target = Target::Kafka { bootstrap: vec![addresses[0].parse().unwrap()], tls: None };
    let (metrics, _outlet) = run_outlet(lab.join("outlet", ticket).await, target).await;
    let inlet = lab.join("inlet", Ticket { relay_address, ..lab.ticket("inlet") }).await;
    let (_, address, _inlet) = run_inlet(Arc::clone(&inlet), Kind::Kafka).await;

    let work = async {
        let kafka = Kafka::builder(address.to_string()).security(AuthConfig::sasl_plain(USER, PASSWORD));
        let producer = kafka.connect().await.unwrap().producer().build().await.unwrap();
        for index in 0..30 {
            let record = Record::new(TOPIC, format!("a-record-of-value-{index}")).partition(index % 3);
            let _ = producer.send(record).await.unwrap();
        }
        producer.close().await.unwrap();
    };
    tokio::time::timeout(LIMIT, work).await.unwrap();
    assert_eq!(cluster.all_records(TOPIC).unwrap().len(), 30);
    // What it has is TLS 1.3, whose first bytes are those of a handshake, and not nothing.
    assert_eq!(recorder.recorded.lock()[..2], [0x16, 0x03]);
    assert!(recorder.recorded.lock().len() > 30 * 200);
    let marks =
        [USER, PASSWORD, TOPIC, "a-record-of-value", "PLAIN", "127.0.0.1", "kafka", "open", "snowmelt-tunnel/1"];
    for mark in marks.into_iter().chain(addresses.iter().map(String::as_str)) {
        // The protocol's name stands in the hello for all to see, and says nothing that a relay does not know.
        assert_eq!(recorder.holds(mark), mark == "snowmelt-tunnel/1", "{mark:?}");
    }

    // The cluster has named its three brokers by now: those are dialled, and nothing beside them.
    for address in &addresses {
        assert_eq!(ask(&inlet, Some(address)).await, FromOutlet::Opened {}, "{address}");
    }
    let FromOutlet::Refused(refusal) = ask(&inlet, Some(&lab.address.to_string())).await else {
        panic!("the relay's own port was dialled")
    };
    assert_eq!(refusal.code, Reason::Target);
    assert_eq!(metrics.refusals(Reason::Target), 1);
}
