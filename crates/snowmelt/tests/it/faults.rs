//! Every fault alone: each card of the deck strikes a publisher that is at work, and the publisher carries on.
//!
//! Where the kill campaigns mix faults at random, here each one must strike, and nobody else is to blame for what
//! follows. Only a fenced publisher may end, with the code that says so; a restart goes on where it was.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::chaos::{Deck, FENCE};
use crate::publisher::{Exit, Publisher};
use crate::verifier::Verifier;
use crate::workload::Workload;
use crate::world::{World, eventually, seed};

const LIMIT: Duration = Duration::from_secs(30);
/// Requests that a cluster with a broker less still answers before the broker comes back.
const WITHOUT_BROKER: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_survives_each_fault_of_snowflake() {
    each(2, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_survives_each_fault_of_kafka() {
    each(2, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_survives_each_fault_of_kafka_before_4() {
    each(1, false).await;
}

async fn each(transactions: i16, of_snowflake: bool) {
    let seed = seed();
    let mut dice = StdRng::seed_from_u64(seed);
    let world = World::with_transactions(transactions).await;
    let mut workload = Workload::new(&world, seed);
    workload.fill(60).await;
    // An empty checkpoint topic is not read, so there has to be one publisher before the first fault.
    let publisher = Publisher::spawn(&world, &world.settings(), None);
    world.drained(LIMIT).await;
    publisher.stop().await;
    let mut deck = Deck::shuffled(&mut dice);
    for name in deck.names(of_snowflake) {
        // Some requests are only made at a start, so each fault meets a publisher that starts.
        deck.play(&world, name, &mut dice);
        let requests = world.kafka.requests();
        let mut publisher = Publisher::spawn(&world, &world.settings(), None);
        workload.burst().await;
        workload.run(3).await;
        eventually(&format!("{name} strikes"), LIMIT, || deck.has_struck(&world, name)).await;
        if name == FENCE {
            assert_eq!(publisher.end(LIMIT).await, Exit::Code(5), "a fenced publisher gives way");
            publisher = Publisher::spawn(&world, &world.settings(), None);
        }
        if deck.broker_is_away() {
            eventually("a broker is missed", LIMIT, || world.kafka.requests() > requests + WITHOUT_BROKER).await;
        }
        deck.collect(&world);
        world.drained(LIMIT).await;
        publisher.stop().await;
        let wrong = Verifier::read(&world).await.wrong();
        assert!(wrong.is_empty(), "after {name}:\n  {}", wrong.join("\n  "));
    }
    Verifier::read(&world).await.approve();
}
