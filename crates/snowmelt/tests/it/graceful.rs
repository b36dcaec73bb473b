//! SIGTERM in the middle of a batch: the transaction under way is finished, none is left open, and the next publisher
//! goes on at the row where this one stopped.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::brokers::COUNT;
use crate::publisher::{Exit, Publisher};
use crate::tables;
use crate::verifier::Verifier;
use crate::workload::Workload;
use crate::world::{World, eventually, seed};

const LIMIT: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_a_batch_leaves_nothing_half_done() {
    let world = World::start().await;
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) SELECT SEQ4(), 'somebody' FROM TABLE(GENERATOR(ROWCOUNT => 20000))").await;
    let settings = world.settings().only("CUSTOMERS");
    let publisher = Publisher::spawn(&world, &settings, None);
    let cluster = &world.kafka.cluster;
    let topic = "SHOP.PUBLIC.CUSTOMERS";
    let arrived = || (0..3).filter_map(|partition| cluster.next_offset(topic, partition)).sum::<i64>();
    crate::world::eventually("the first slices arrive", LIMIT, || arrived() > 100).await;
    publisher.stop().await;
    let events = cluster.committed_records(topic).expect("the log is readable").len();
    assert!((1..20_000).contains(&events), "the stop came in the middle: {events} events");
    assert!(!cluster.transaction_is_open(&format!("snowmelt/proof/{topic}")), "a transaction was left open");
    let next = Publisher::spawn(&world, &settings, None);
    let all = || cluster.committed_records(topic).expect("the log is readable").len() >= 20_000;
    crate::world::eventually("the rest arrives", LIMIT, all).await;
    next.stop().await;
    let read = Verifier::read_tables(&world, &crate::tables::ALL[..1]).await;
    assert_eq!(read.wrong(), Vec::<String>::new());
    assert_eq!(cluster.committed_records(topic).expect("the log is readable").len(), 20_000, "no event twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_at_any_moment_leaves_no_transaction_open() {
    let seed = seed();
    let mut dice = StdRng::seed_from_u64(seed);
    let world = World::start().await;
    let mut workload = Workload::new(&world, seed);
    workload.fill(60).await;
    for _ in 0..15 {
        workload.burst().await;
        // Most of these moments are before the first batch: the ids are being claimed, the log is being read.
        let moment = world.kafka.requests() + dice.random_range(1..120);
        let publisher = Publisher::spawn(&world, &world.settings(), None);
        // An idle publisher sends nothing more: then the moment is one of idleness.
        let (started, idle) = (Instant::now(), Duration::from_secs(2));
        eventually("the moment comes", LIMIT, || world.kafka.requests() >= moment || started.elapsed() > idle).await;
        publisher.stop().await;
        for table in tables::ALL {
            let id = format!("snowmelt/proof/{}", table.topic());
            assert!(!world.kafka.cluster.transaction_is_open(&id), "{id} has a transaction open after a stop");
        }
    }
    let publisher = Publisher::spawn(&world, &world.settings(), None);
    world.drained(LIMIT).await;
    publisher.stop().await;
    Verifier::read(&world).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_nobody_answers_ends_in_time() {
    let world = World::start().await;
    let mut workload = Workload::new(&world, seed());
    workload.fill(60).await;
    let settings = world.settings().set("delivery.shutdown_timeout", "\"3s\"");
    let mut publisher = Publisher::spawn(&world, &settings, None);
    world.drained(LIMIT).await;
    for broker in 0..COUNT {
        world.kafka.cluster.crash(broker);
    }
    workload.burst().await;
    publisher.says("starting again from the checkpoint", LIMIT).await;
    let asked = Instant::now();
    publisher.terminate().await;
    let ended = publisher.end(LIMIT).await;
    assert!(matches!(ended, Exit::Code(0 | 7)), "{ended:?}");
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
    for broker in 0..COUNT {
        world.kafka.cluster.restart(broker);
    }
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained(LIMIT).await;
    publisher.stop().await;
    Verifier::read(&world).await.approve();
}
