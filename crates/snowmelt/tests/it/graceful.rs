//! SIGTERM in the middle of a batch: the transaction under way is finished, none is left open, and the next publisher
//! goes on at the row where this one stopped.

use std::time::Duration;

use crate::publisher::Publisher;
use crate::verifier::Verifier;
use crate::world::World;

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
