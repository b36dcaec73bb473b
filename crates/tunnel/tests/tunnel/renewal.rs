//! Credentials that end every few seconds: nodes renew them, streams are carried all the while, and an authority that is
//! away is waited for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;
use tunnel::node::{Node, NodeError};
use tunnel::outlet::Target;
use tunnel::relay::Limits;
use tunnel::ticket::Ticket;
use tunnel::wire::{Kind, Reason};

use crate::middlebox::{Middlebox, Mood};
use crate::world::{INLET, LIMIT, OUTLET, World, echo, eventually};

fn renewing(node: &Arc<Node>) -> AbortOnDropHandle<String> {
    let node = Arc::clone(node);
    AbortOnDropHandle::new(tokio::spawn(async move {
        match node.keep_fresh().await {
            Ok(never) => match never {},
            Err(error) => error.to_string(),
        }
    }))
}

fn renewals(world: &World) -> u64 {
    let text = world.metrics.text();
    let line = text.lines().find(|line| line.contains("credentials_issued_total{kind=\"renewal\"}")).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// A connection that is asked something and answers.
struct Line(TcpStream);

impl Line {
    async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let mut line = Self(TcpStream::connect(address).await?);
        line.ask().await?;
        Ok(line)
    }

    async fn ask(&mut self) -> std::io::Result<()> {
        self.0.write_all(b"hello").await?;
        let mut answer = [0; 5];
        self.0.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"hello");
        Ok(())
    }
}

/// Two nodes over several lives of their credentials. A stream ends with the credentials it was opened with, so a client
/// that must always be served has the next one open before; neither opening one nor using it may ever fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_opened_and_carried_over_many_renewals() {
    let world = World::with(Limits::default(), 8).await;
    let (target, _echo) = echo().await;
    let outlet = world.outlet(Target::Tcp(target)).await;
    let (inlet, address) = world.inlet(Kind::Tcp).await;
    let first = inlet.node.claims().not_after;
    let (_renewing, _too) = (renewing(&outlet.node), renewing(&inlet.node));

    // One that was opened before the first renewal is not cut by it.
    let mut early = Line::open(address).await.unwrap();
    eventually("both have renewed", || renewals(&world) >= 2).await;
    early.ask().await.expect("a renewal cuts nothing");

    let asked = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    let carrying = async {
        let mut line = Line::open(address).await.expect("a stream can be opened");
        while !over.load(Ordering::Relaxed) {
            // From its second half on a credential may have less than the stream needs.
            let next = Line::open(address).await.expect("a stream can be opened at any time");
            for _ in 0..20 {
                line.ask().await.expect("a stream of fresh credentials is carried");
                asked.fetch_add(1, Ordering::Relaxed);
            }
            line = next;
        }
    };
    let watching = async {
        eventually("each has renewed three times", || renewals(&world) >= 6).await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(carrying, watching);
    assert!(asked.load(Ordering::Relaxed) > 100, "so little was carried that it proves nothing");
    // What is carried now cannot be by what the nodes began with.
    assert!(SystemTime::now() > first, "the first credential has ended");
    Line::open(address).await.expect("the renewed credential is used for new streams");
    for node in [&outlet, &inlet] {
        let text = node.metrics.text();
        assert!(text.contains("snowmelt_tunnel_reconnects_total 0\n"), "the relay was lost by a renewal: {text}");
        assert_eq!(node.metrics.refusals(Reason::NoOutlet) + node.metrics.refusals(Reason::Expired), 0, "{text}");
    }
}

/// A call may be on its way to the outlet through the connection that a renewal replaces: it must be answered, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_meets_a_renewal_is_answered() {
    let world = World::start().await;
    let (target, _echo) = echo().await;
    let outlet = world.outlet(Target::Tcp(target)).await;
    let (inlet, address) = world.inlet(Kind::Tcp).await;
    let over = AtomicBool::new(false);
    let calling = async || {
        while !over.load(Ordering::Relaxed) {
            Line::open(address).await.expect("a stream can be opened at any time");
        }
    };
    let renewing = async {
        for _ in 0..60 {
            outlet.node.renew().await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(renewing, calling(), calling(), calling(), calling());
    for node in [&outlet, &inlet] {
        assert_eq!(node.metrics.refusals(Reason::NoOutlet), 0, "{}", node.metrics.text());
        assert!(node.metrics.text().contains("snowmelt_tunnel_reconnects_total 0\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_was_away_over_a_renewal_is_asked_again() {
    let world = World::with(Limits::default(), 16).await;
    let way = Middlebox::before(world.address).await;
    let (target, _echo) = echo().await;
    let _outlet = world.outlet(Target::Tcp(target)).await;
    let authority_address = way.address.to_string().parse().unwrap();
    let ticket = Ticket { authority_address, ..world.ticket(&[INLET], &[]) };
    let node = Arc::new(world.join("inlet", Some(ticket)).await.unwrap());
    let (_inlet, address) = world.run_inlet(Arc::clone(&node), "kafka", OUTLET, Kind::Tcp).await;
    let first = node.claims().not_after;
    way.turn(Mood::Closed);
    let renewing = renewing(&node);
    let mut line = Line::open(address).await.unwrap();
    eventually("it was asked in vain, and again", || way.turned_away() >= 2).await;
    line.ask().await.expect("what is open is carried on without the authority");
    Line::open(address).await.expect("so is what is new");
    assert_eq!(node.claims().not_after, first);
    way.turn(Mood::Carries);
    eventually("the credential is renewed", || node.claims().not_after > first).await;
    line.ask().await.expect("and nothing was cut meanwhile");
    assert!(!renewing.is_finished(), "it goes on renewing");
}

/// Away for longer than the credential lasts: nothing is carried, and all comes back with the authority.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_credential_has_ended_gets_another_when_the_authority_is_back() {
    let world = World::with(Limits::default(), 2).await;
    let way = Middlebox::before(world.address).await;
    let authority_address = way.address.to_string().parse().unwrap();
    let ticket = Ticket { authority_address, ..world.ticket(&[INLET], &[]) };
    let node = Arc::new(world.join("inlet", Some(ticket)).await.unwrap());
    way.turn(Mood::Closed);
    let _renewing = renewing(&node);
    let refused = async {
        loop {
            if let Err(error) = node.ping_relay().await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(LIMIT, refused).await.expect("the relay refuses it in the end");
    assert!(matches!(error, NodeError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("says that this node's credential has expired"), "{error}");
    way.turn(Mood::Carries);
    let back = async { while node.ping_relay().await.is_err() {} };
    tokio::time::timeout(LIMIT, back).await.expect("a key is enough to be renewed with");
}
