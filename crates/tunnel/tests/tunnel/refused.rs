//! Everything that must be refused, with a reason that both sides can read.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tunnel::node::{Node, NodeError};
use tunnel::outlet::Target;
use tunnel::relay::Limits;
use tunnel::ticket::{Secret, Ticket};
use tunnel::wire::{Kind, Reason};

use crate::world::{INLET, LIMIT, OUTLET, Running, World, echo, eventually, exchange};

fn refusal(joined: Result<Node, NodeError>) -> (Reason, String) {
    match joined {
        Err(NodeError::Refused(refusal)) => (refusal.code, refusal.message),
        Err(error) => panic!("not refused by the authority: {error}"),
        Ok(node) => panic!("{} was let in", node.id()),
    }
}

async fn ended(running: &mut Running) -> String {
    tokio::time::timeout(LIMIT, &mut running.ended).await.expect("it ends").expect("it ends by itself")
}

/// A client of this inlet is cut off at once, without an answer.
async fn is_reset(address: std::net::SocketAddr) {
    let answer = exchange(address, b"hello").await;
    assert!(!answer.is_ok_and(|bytes| !bytes.is_empty()), "the client was served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_used_as_often_as_it_says_and_not_after_its_time() {
    let world = World::start().await;
    let ticket = world.ticket_of(&[OUTLET], &[], 2, Duration::from_secs(600));
    world.join("one", Some(ticket.clone())).await.unwrap();
    world.join("two", Some(ticket.clone())).await.unwrap();
    let (code, words) = refusal(world.join("three", Some(ticket)).await);
    assert_eq!(code, Reason::TicketUsedUp);
    assert!(words.contains("used up") && words.contains("snowmelt project ticket"), "{words}");
    assert_eq!(world.metrics.refusals(Reason::TicketUsedUp), 1, "the authority counts it");

    let unknown = Ticket { secret: Secret::random(), ..world.ticket(&[OUTLET], &[]) };
    assert_eq!(refusal(world.join("four", Some(unknown)).await).0, Reason::TicketUnknown);

    // The authority's own clock decides, so the test asks it with a later one.
    let short = world.ticket_of(&[OUTLET], &[], 1, Duration::from_secs(60));
    let key = tunnel::identity::Identity::generate().unwrap();
    let later = SystemTime::now() + Duration::from_secs(61);
    let refused = world.project.enrol(&short.secret, &key.public_key(), later).unwrap().unwrap_err();
    assert_eq!(refused.code, Reason::TicketExpired);
    assert!(refused.message.contains("has expired"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uses_are_counted_once_however_many_enrol_at_once() {
    let world = World::start().await;
    let ticket = world.ticket_of(&[OUTLET], &[], 3, Duration::from_secs(600));
    let joining = (0..12).map(|index| {
        let (world, ticket) = (&world, ticket.clone());
        async move { world.join(&format!("node-{index}"), Some(ticket)).await.is_ok() }
    });
    let joined = futures::future::join_all(joining).await;
    assert_eq!(joined.iter().filter(|in_| **in_).count(), 3);
    assert_eq!(world.project.nodes().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authority_behind_the_address_is_not_believed() {
    let (world, other) = (World::start().await, World::start().await);
    let ticket = world.ticket(&[OUTLET], &[]);
    // The ticket is of one project, the address is of another's.
    let turned = Ticket { authority_address: other.address.to_string().parse().unwrap(), ..ticket };
    let error = world.join("node", Some(turned)).await.unwrap_err();
    assert!(matches!(error, NodeError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("not the authority of this ticket"), "{error}");
    assert_eq!(other.project.nodes().unwrap(), [], "the ticket's secret was shown to nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_of_another_project_opens_nothing() {
    let (world, other) = (World::start().await, World::start().await);
    let ticket = other.ticket(&[INLET], &[]);
    // Enrolled there, and sent here for its relay.
    let turned = Ticket { relay_address: world.address.to_string().parse().unwrap(), ..ticket };
    let node = Arc::new(world.join("stranger", Some(turned)).await.unwrap());
    let error = node.ping_relay().await.unwrap_err().to_string();
    assert!(error.contains("not issued by this project's authority"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_node_is_cut_off_at_once_and_gets_no_credential() {
    let world = World::start().await;
    let (target, _echo) = echo().await;
    let mut outlet = world.outlet(Target::Tcp(target)).await;
    let (mut inlet, address) = world.inlet(Kind::Tcp).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut hello = [0; 5];
    client.read_exact(&mut hello).await.unwrap();
    world.project.revoke(&inlet.node.id(), SystemTime::now()).unwrap();
    let cut = tokio::time::timeout(LIMIT, client.read(&mut hello)).await.unwrap();
    assert_eq!(cut.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let words = ended(&mut inlet).await;
    assert!(words.contains("was revoked"), "{words}");
    let NodeError::Refused(refused) = inlet.node.renew().await.unwrap_err() else { panic!("renewed") };
    assert_eq!(refused.code, Reason::Revoked);
    assert!(refused.message.contains("new ticket"), "{refused}");
    // And the other side as well.
    world.project.revoke(&outlet.node.id(), SystemTime::now()).unwrap();
    assert!(ended(&mut outlet).await.contains("was revoked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_has_ended_is_refused_and_takes_its_streams_with_it() {
    let world = World::with(Limits::default(), 2).await;
    let (target, _echo) = echo().await;
    let _outlet = world.outlet(Target::Tcp(target)).await;
    let (_inlet, address) = world.inlet(Kind::Tcp).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut hello = [0; 5];
    client.read_exact(&mut hello).await.unwrap();
    // Nobody renews here.
    let cut = tokio::time::timeout(LIMIT, client.read(&mut hello)).await.unwrap();
    assert_eq!(cut.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let node = world.join("inlet", None).await.unwrap();
    let error = tokio::time::timeout(LIMIT, async {
        loop {
            if let Err(error) = node.ping_relay().await {
                return error.to_string();
            }
        }
    });
    let error = error.await.expect("the relay refuses it in the end");
    assert!(error.contains("expired"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_attribute_is_named_on_both_sides() {
    let world = World::start().await;
    let (target, _echo) = echo().await;
    let plain = Arc::new(world.join("plain", Some(world.ticket(&["something-else"], &["kafka"]))).await.unwrap());
    // The outlet lacks what the inlet asks for.
    let outlet = world.run_outlet(Arc::clone(&plain), "kafka", INLET, Target::Tcp(target.clone())).await;
    let (inlet, address) = world.inlet(Kind::Tcp).await;
    is_reset(address).await;
    eventually("both count it", || {
        inlet.metrics.refusals(Reason::Policy) > 0 && outlet.metrics.refusals(Reason::Policy) > 0
    })
    .await;
    drop((outlet, inlet));
    eventually("the outlet is gone", || world.metrics.text().contains("snowmelt_tunnel_outlets 0\n")).await;
    // The inlet lacks what the outlet asks for.
    let outlet = world.outlet(Target::Tcp(target)).await;
    let (inlet, address) = world.run_inlet(plain, "kafka", OUTLET, Kind::Tcp).await;
    is_reset(address).await;
    eventually("both count it", || {
        inlet.metrics.refusals(Reason::Policy) > 0 && outlet.metrics.refusals(Reason::Policy) > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_name_that_was_not_granted_cannot_be_registered() {
    let world = World::start().await;
    let (target, _echo) = echo().await;
    let node = Arc::new(world.join("node", Some(world.ticket(&[OUTLET], &["other"]))).await.unwrap());
    let mut outlet = world.run_outlet(node, "kafka", INLET, Target::Tcp(target)).await;
    let words = ended(&mut outlet).await;
    assert!(words.contains("may not register the relay name kafka") && words.contains("--relay kafka"), "{words}");
    assert_eq!(world.metrics.refusals(Reason::RelayName), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_an_outlet_or_to_another_kind_is_answered() {
    let world = World::start().await;
    let (inlet, address) = world.inlet(Kind::Kafka).await;
    is_reset(address).await;
    eventually("it is counted", || inlet.metrics.refusals(Reason::NoOutlet) == 1).await;
    let (target, _echo) = echo().await;
    let outlet = world.outlet(Target::Tcp(target)).await;
    is_reset(address).await;
    eventually("both count it", || {
        inlet.metrics.refusals(Reason::Target) == 1 && outlet.metrics.refusals(Reason::Target) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_and_half_open_connections_leave_room_for_nodes() {
    let limits = Limits { half_open: 64, ..Limits::default() };
    let world = World::with(limits, 3600).await;
    let mut silent = Vec::new();
    // In waves, because this process has both ends of each and only so many descriptors.
    for wave in 0..50 {
        let connecting = (0..200).map(|_| TcpStream::connect(world.address));
        silent = futures::future::join_all(connecting).await.into_iter().flatten().collect();
        if wave % 10 == 0 {
            let ticket = world.ticket(&[OUTLET], &["kafka"]);
            world.join(&format!("node-{wave}"), Some(ticket)).await.unwrap();
        }
    }
    assert!(!silent.is_empty());
    eventually("the oldest made room", || world.metrics.evictions() >= 9_900).await;
}
