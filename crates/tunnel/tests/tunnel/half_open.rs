//! A path that dies without a word, on either side of the relay and in either direction: everybody finds out, nobody's
//! client is left hanging, and all comes back with the path. The times are shorter than those of a real node; that those
//! find out within ten seconds is shown where they are set (`src/control.rs`, `src/socket.rs`).

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tunnel::node::{Keepalive, Node};
use tunnel::outlet::Target;
use tunnel::relay::Limits;
use tunnel::ticket::Ticket;
use tunnel::wire::Kind;

use crate::middlebox::{Middlebox, Mood};
use crate::world::{INLET, LIMIT, OUTLET, Running, World, eventually};

const KEEPALIVE: Keepalive = Keepalive { ping: Duration::from_millis(300), dead: Duration::from_millis(1500) };

async fn member(world: &World, name: &str, ticket: Ticket, by: Option<&Middlebox>) -> Arc<Node> {
    let relay_address = by.map_or(world.address, |middlebox| middlebox.address).to_string().parse().unwrap();
    let node = world.join(name, Some(Ticket { relay_address, ..ticket })).await.unwrap();
    Arc::new(node.with_keepalive(KEEPALIVE))
}

/// A client that has said hello. A reset may come before it has, even before it knows that it is connected.
async fn greeted(address: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"hello").await?;
    Ok(client)
}

/// Joins a client with a server and returns both; a new path needs more than one try.
async fn joined(address: std::net::SocketAddr, server: &TcpListener) -> (TcpStream, TcpStream) {
    let joining = async {
        loop {
            // A refusal may be quicker than this side.
            let Ok(mut client) = greeted(address).await else { continue };
            let mut byte = [0; 1];
            tokio::select! {
                accepted = server.accept() => {
                    let (mut served, _) = accepted.unwrap();
                    if served.read_exact(&mut [0; 5]).await.is_ok() {
                        return (client, served);
                    }
                }
                _ = client.read(&mut byte) => {}
            }
        }
    };
    tokio::time::timeout(LIMIT, joining).await.expect("a client is served")
}

async fn is_reset(who: &str, end: &mut TcpStream) {
    let read = tokio::time::timeout(LIMIT, end.read(&mut [0; 1])).await;
    let kind = read.unwrap_or_else(|_| panic!("{who} was left hanging")).expect_err("an end, not a failure").kind();
    assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "{who}");
}

async fn a_path_dies(beside_the_outlet: bool, mood: Mood) {
    let world = World::with(Limits { silent: KEEPALIVE.dead, ..Limits::default() }, 24 * 3600).await;
    let middlebox = Middlebox::before(world.address).await;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::Tcp(server.local_addr().unwrap().to_string().parse().unwrap());
    let by = |this: bool| this.then_some(&middlebox);
    let node = member(&world, "outlet", world.ticket(&[OUTLET], &["kafka"]), by(beside_the_outlet)).await;
    let outlet = world.run_outlet(node, "kafka", INLET, target).await;
    let node = member(&world, "inlet", world.ticket(&[INLET], &[]), by(!beside_the_outlet)).await;
    let (inlet, address) = world.run_inlet(node, "kafka", OUTLET, Kind::Tcp).await;
    let (beside, apart): (&Running, &Running) = if beside_the_outlet { (&outlet, &inlet) } else { (&inlet, &outlet) };
    let (mut client, mut served) = joined(address, &server).await;

    middlebox.turn(mood);
    eventually("the node finds out", || !beside.metrics.is_ready()).await;
    is_reset("the client", &mut client).await;
    is_reset("the server", &mut served).await;
    eventually("the relay lets go of the stream", || world.metrics.open_streams() == 0).await;
    if beside_the_outlet {
        eventually("the relay lets go of the outlet", || world.metrics.text().contains("snowmelt_tunnel_outlets 0\n"))
            .await;
    }
    if mood == Mood::Deaf {
        // Whoever comes now is told, and not kept until the path is there again.
        match greeted(address).await {
            Ok(mut late) => is_reset("a late client", &mut late).await,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "a late client"),
        }
    }
    assert!(apart.metrics.is_ready(), "the other side's path is well");

    middlebox.turn(Mood::Carries);
    eventually("the node is back", || beside.metrics.is_ready()).await;
    let (mut client, mut served) = joined(address, &server).await;
    client.write_all(b"again").await.unwrap();
    let mut again = [0; 5];
    tokio::time::timeout(LIMIT, served.read_exact(&mut again)).await.unwrap().unwrap();
    assert_eq!(&again, b"again");
    assert!(beside.metrics.text().contains("snowmelt_tunnel_reconnects_total 1\n"), "{}", beside.metrics.text());
    assert!(apart.metrics.text().contains("snowmelt_tunnel_reconnects_total 0\n"), "{}", apart.metrics.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inlets_path_dies_in_both_directions() {
    a_path_dies(false, Mood::Deaf).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inlets_path_dies_towards_the_relay() {
    a_path_dies(false, Mood::DeafToNode).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inlets_path_dies_towards_the_inlet() {
    a_path_dies(false, Mood::DeafToRelay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outlets_path_dies_in_both_directions() {
    a_path_dies(true, Mood::Deaf).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outlets_path_dies_towards_the_relay() {
    a_path_dies(true, Mood::DeafToNode).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outlets_path_dies_towards_the_outlet() {
    a_path_dies(true, Mood::DeafToRelay).await;
}
