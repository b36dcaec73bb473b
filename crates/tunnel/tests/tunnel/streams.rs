//! What goes in at one end comes out at the other, and every end and every failure is seen on both.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tunnel::node::Node;
use tunnel::outlet::Target;
use tunnel::wire::Kind;

use crate::world::{INLET, LIMIT, OUTLET, World, echo, eventually, exchange};

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|index| index.wrapping_mul(2_654_435_761).to_be_bytes()[5]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_arrive_whole_both_ways_and_the_end_of_one_way_leaves_the_other_open() {
    let world = World::start().await;
    let (target, _echo) = echo().await;
    let outlet = world.outlet(Target::Tcp(target)).await;
    let (inlet, address) = world.inlet(Kind::Tcp).await;
    for length in [0, 1, 70_000, 9_000_000] {
        let sent = noise(length);
        assert!(exchange(address, &sent).await.unwrap() == sent, "{length} bytes changed on their way");
    }
    let many = (0..20).map(|index| async move { exchange(address, &noise(10_000 + index)).await.unwrap().len() });
    let lengths = futures::future::join_all(many).await;
    assert_eq!(lengths, (10_000..10_020).collect::<Vec<_>>());
    eventually("the streams are over", || world.metrics.open_streams() == 0).await;
    for (who, metrics) in [("inlet", &inlet.metrics), ("outlet", &outlet.metrics), ("relay", &world.metrics)] {
        let text = metrics.text();
        assert!(text.contains("snowmelt_tunnel_streams_opened_total 24\n"), "{who}: {text}");
        assert!(text.contains("snowmelt_tunnel_streams_broken_total 0\n"), "{who}: {text}");
    }
    let inlet_text = inlet.metrics.text();
    assert!(inlet_text.contains("bytes_total{direction=\"to_target\"} 9270191\n"), "{inlet_text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_on_one_side_is_a_reset_on_the_other() {
    let world = World::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string().parse().unwrap();
    let _outlet = world.outlet(Target::Tcp(target)).await;
    let (_inlet, address) = world.inlet(Kind::Tcp).await;
    for from_client in [true, false] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut hello = [0; 5];
        server.read_exact(&mut hello).await.unwrap();
        let (ends, mut sees) = if from_client { (client, server) } else { (server, client) };
        socket2::SockRef::from(&ends).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(ends);
        let seen = tokio::time::timeout(LIMIT, sees.read(&mut hello)).await.unwrap();
        let kind = seen.expect_err("the other side takes a reset for an end").kind();
        assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "reset by the client: {from_client}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_again_without_a_ticket_and_without_the_authority() {
    let mut world = World::start().await;
    let ticket = world.ticket(&[OUTLET], &["kafka"]);
    let first = world.join("node", Some(ticket.clone())).await.unwrap();
    // The same ticket again says nothing new, and costs no use.
    let again = world.join("node", Some(ticket)).await.unwrap();
    world.stop().await;
    let alone = world.join("node", None).await.unwrap();
    assert_eq!(first.id(), alone.id());
    assert_eq!(again.claims(), alone.claims());
    world.restart().await;
    let nodes = world.project.nodes().unwrap();
    assert_eq!(nodes.len(), 1);
    first.renew().await.unwrap();
    assert!(first.claims().not_after >= again.claims().not_after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_outlets_share_a_name_and_a_lost_one_is_passed_over() {
    let world = World::start().await;
    let (target, _echo) = echo().await;
    let mut outlets = Vec::new();
    for name in ["one", "two"] {
        let node: Arc<Node> = Arc::new(world.join(name, Some(world.ticket(&[OUTLET], &["kafka"]))).await.unwrap());
        outlets.push(world.run_outlet(node, "kafka", INLET, Target::Tcp(target.clone())).await);
    }
    let (_inlet, address) = world.inlet(Kind::Tcp).await;
    for _ in 0..6 {
        assert_eq!(exchange(address, b"x").await.unwrap(), b"x");
    }
    for outlet in &outlets {
        assert!(outlet.metrics.text().contains("streams_opened_total 3\n"), "calls go round");
    }
    drop(outlets.pop());
    eventually("the other one is gone", || world.metrics.text().contains("snowmelt_tunnel_outlets 1\n")).await;
    for _ in 0..3 {
        assert_eq!(exchange(address, b"x").await.unwrap(), b"x");
    }
}
