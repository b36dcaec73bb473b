//! Batches of nothing: a stream says that it has data and then has none, because a row came and went in between.

use std::time::Duration;

use crate::account::Account;
use crate::image::Cell;
use crate::publisher::Publisher;
use crate::tables::{self, STATE};
use crate::verifier::Verifier;
use crate::world::World;

const LIMIT: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_comes_and_goes_between_two_batches_makes_no_event_and_holds_nothing_up() {
    let world = World::start().await;
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'stays')").await;
    let settings = world.settings().only("CUSTOMERS");
    let topic = "SHOP.PUBLIC.CUSTOMERS";
    let count = || world.kafka.cluster.committed_records(topic).map_or(0, |records| records.len());
    let arrived = async |n: usize| crate::world::eventually("the events arrive", LIMIT, || count() >= n).await;
    let publisher = Publisher::spawn(&world, &settings, None);
    arrived(1).await;
    publisher.stop().await;
    for id in 10..13 {
        account.run(&format!("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES ({id}, 'passes')")).await;
    }
    account.run("DELETE FROM SHOP.PUBLIC.CUSTOMERS WHERE ID >= 10").await;
    let streams = account.run(&format!("SHOW STREAMS IN SCHEMA {STATE}")).await;
    let [stream] = streams.as_slice() else { panic!("one stream is there: {streams:?}") };
    let Some(Cell::Text(stream)) = stream.get("name") else { panic!("the stream has a name: {stream:?}") };
    let ask = format!("SELECT SYSTEM$STREAM_HAS_DATA('{STATE}.{stream}') AS ANSWER");
    let rows = format!("SELECT * FROM {STATE}.{stream}");
    assert!(answer(&mut account, &ask).await, "the stream says that it has data");
    assert_eq!(account.run(&rows).await.len(), 0, "and has none");
    let publisher = Publisher::spawn(&world, &settings, None);
    let deadline = tokio::time::Instant::now() + LIMIT;
    // The empty batch was staged and released: it moved the stream's offset.
    while answer(&mut account, &ask).await {
        assert!(tokio::time::Instant::now() < deadline, "the empty batch was not staged within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (2, 'comes after')").await;
    arrived(2).await;
    publisher.stop().await;
    assert_eq!(count(), 2, "what came and went is no event");
    let read = Verifier::read_tables(&world, &tables::ALL[..1]).await;
    assert_eq!((read.wrong(), read.missing()), (Vec::<String>::new(), Vec::<String>::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_table_uses_no_warehouse() {
    let world = World::start().await;
    world.account().run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada')").await;
    let publisher = Publisher::spawn(&world, &world.settings(), None);
    world.drained(LIMIT).await;
    let engine = world.snowflake.sim.engine();
    let (used, asked) = (engine.warehouse_statements(), world.snowflake.sim.stats().statements);
    let probed = || world.snowflake.sim.stats().statements >= asked + 30;
    crate::world::eventually("the streams are asked again and again", LIMIT, probed).await;
    assert_eq!(engine.warehouse_statements(), used, "of {:?}", engine.warehouse_log());
    publisher.stop().await;
}

async fn answer(account: &mut Account, sql: &str) -> bool {
    let rows = account.run(sql).await;
    let Some(Cell::Flag(answer)) = rows[0].values().next() else { panic!("no answer: {rows:?}") };
    *answer
}
