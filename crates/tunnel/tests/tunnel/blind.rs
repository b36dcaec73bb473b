//! What passes the relay, byte by byte: nothing in it can be read.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tunnel::node::{KeySource, Node, NodeOptions};
use tunnel::outlet::Target;
use tunnel::ticket::Ticket;
use tunnel::wire::Kind;

use crate::world::{INLET, OUTLET, World, echo, exchange};

/// Stands before the relay and writes everything down, both ways.
pub(crate) async fn listen_in(relay: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let all = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (node, _) = listener.accept().await.unwrap();
            let (from_node, to_node) = node.into_split();
            let (from_relay, to_relay) = TcpStream::connect(relay).await.unwrap().into_split();
            for (mut from, mut to) in [(from_node, to_relay), (from_relay, to_node)] {
                let heard = Arc::clone(&all);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(length @ 1..) = from.read(&mut buffer).await {
                        heard.lock().unwrap().extend_from_slice(&buffer[..length]);
                        if to.write_all(&buffer[..length]).await.is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown().await;
                });
            }
        }
    });
    (address, heard)
}

pub(crate) async fn join(world: &World, name: &str, ticket: Ticket, relay: SocketAddr) -> Arc<Node> {
    let address: tunnel::address::Address = relay.to_string().parse().unwrap();
    let ticket = Ticket { relay_address: address.clone(), authority_address: address, ..ticket };
    let options = NodeOptions {
        state: Some(world.state(name)),
        key: KeySource::State,
        passphrase: None,
        ticket: Some(ticket),
        relay_ca: None,
    };
    Arc::new(Node::join(options).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_payloads_nor_names_nor_secrets_nor_tickets_can_be_read_on_the_way() {
    let world = World::start().await;
    let (relay, heard) = listen_in(world.address).await;
    let (target, _echo) = echo().await;
    let ticket = world.ticket(&[OUTLET], &["kafka"]);
    let secret = String::from(ticket.secret.clone());
    let outlet = join(&world, "outlet", ticket, relay).await;
    let _outlet = world.run_outlet(outlet, "kafka", INLET, Target::Tcp(target.clone())).await;
    let inlet = join(&world, "inlet", world.ticket(&[INLET], &[]), relay).await;
    let (_inlet, address) = world.run_inlet(inlet, "kafka", OUTLET, Kind::Tcp).await;
    let payload = "the-topic-name and n,,n=user,r=sasl-nonce and correct-horse-battery-staple ".repeat(1000);
    assert_eq!(exchange(address, payload.as_bytes()).await.unwrap(), payload.as_bytes());
    let heard = heard.lock().unwrap();
    assert!(heard.len() > 2 * 2 * payload.len(), "both halves of the path were heard: {} bytes", heard.len());
    let markers = ["the-topic-name", "sasl-nonce", "correct-horse", &secret, INLET, OUTLET, "register", "\"call\""];
    for marker in markers {
        let found = heard.windows(marker.len()).any(|window| window == marker.as_bytes());
        assert!(!found, "{marker:?} could be read on the way");
    }
}
