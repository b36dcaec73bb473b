//! Tables that change their shape under a running publisher: data goes on, and each change is announced once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::publisher::{Exit, Publisher};
use crate::tables;
use crate::verifier::notices;
use crate::verifier::{NOTIFICATIONS, Verifier};
use crate::world::{PIPELINE, Settings, World, eventually};

const LIMIT: Duration = Duration::from_secs(60);
const TABLE: &str = "SHOP.PUBLIC.CUSTOMERS";

/// What was announced of the table's shape: batch by batch, the changes; `None` for the first shape.
fn changes(world: &World) -> Vec<Option<Vec<Value>>> {
    let committed = world.kafka.cluster.committed_records(NOTIFICATIONS).expect("the topic is there");
    let own = notices::of(&committed, &format!("{PIPELINE}/{TABLE}"));
    own.into_iter().filter(|notice| notice.kind == "schema").map(|notice| notice.changes).collect()
}

fn settings(world: &World) -> Settings {
    world.settings().only("CUSTOMERS")
}

/// Runs the statements, and waits until there are so many events in all. Old events have the old columns, so Kafka
/// never holds just what the table holds.
async fn then(world: &World, statements: &[&str], events: usize) {
    for sql in statements {
        world.account().run(sql).await;
    }
    let there = || world.kafka.cluster.committed_records(TABLE).map_or(0, |records| records.len());
    eventually("the rows arrive", LIMIT, || there() >= events).await;
    assert_eq!(there(), events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_columns_is_announced_once_and_data_goes_on() {
    let world = World::start().await;
    let publisher = Publisher::spawn(&world, &settings(&world), None);
    then(&world, &["INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada'), (2, 'Bob')"], 2).await;
    then(
        &world,
        &[
            "ALTER TABLE SHOP.PUBLIC.CUSTOMERS ADD COLUMN TOWN VARCHAR",
            "INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, TOWN) VALUES (3, 'Ulm')",
        ],
        3,
    )
    .await;
    then(
        &world,
        &[
            "ALTER TABLE SHOP.PUBLIC.CUSTOMERS DROP COLUMN SEEN",
            "INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, TOWN) VALUES (4, 'Bern')",
        ],
        4,
    )
    .await;
    publisher.stop().await;
    // A publisher that starts later knows what was published last.
    let publisher = Publisher::spawn(&world, &settings(&world), None);
    then(
        &world,
        &[
            "ALTER TABLE SHOP.PUBLIC.CUSTOMERS RENAME COLUMN TOWN TO CITY",
            "INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, CITY) VALUES (5, 'Graz')",
        ],
        5,
    )
    .await;
    then(&world, &["INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, CITY) VALUES (6, 'Linz')"], 6).await;
    publisher.stop().await;
    let column = |name: &str, ty: &str| json!({ "name": name, "type": ty });
    assert_eq!(
        changes(&world),
        [
            None,
            Some(vec![json!({ "change": "added", "column": column("TOWN", "VARCHAR") })]),
            Some(vec![json!({ "change": "dropped", "column": column("SEEN", "TIMESTAMP_NTZ(9)") })]),
            Some(vec![
                json!({ "change": "dropped", "column": column("TOWN", "VARCHAR") }),
                json!({ "change": "added", "column": column("CITY", "VARCHAR") }),
            ]),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_column_that_goes_stops_its_table_only_and_says_so() {
    let world = World::start().await;
    let publisher = Publisher::spawn(&world, &world.settings(), None);
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.LINES (ORDER_ID, LINE, SKU) VALUES (1, 1, 'x')").await;
    world.drained(LIMIT).await;
    account.run("ALTER TABLE SHOP.PUBLIC.LINES RENAME COLUMN LINE TO POSITION").await;
    account.run("INSERT INTO SHOP.PUBLIC.LINES (ORDER_ID, POSITION, SKU) VALUES (1, 2, 'y')").await;
    publisher.says("key column LINE of SHOP.PUBLIC.LINES does not exist", LIMIT).await;
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada')").await;
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    publisher.terminate().await;
    let mut publisher = publisher;
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3), "a table waits for a person");

    // With the column back under its name the table goes on by itself, having lost nothing.
    let settings = world.settings().set("retry.halted", "\"100ms\"");
    let publisher = Publisher::spawn(&world, &settings, None);
    publisher.says("the capture is halted", LIMIT).await;
    account.run("ALTER TABLE SHOP.PUBLIC.LINES RENAME COLUMN POSITION TO LINE").await;
    world.drained(LIMIT).await;
    publisher.stop().await;
    Verifier::read(&world).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_swap_names_are_each_followed_again_after_a_snapshot() {
    let world = World::start().await;
    let settings = settings(&world).set("staleness.interval", "\"50ms\"");
    let settings = settings.set("tables", &format!("[{{ name = \"{TABLE}\", on_stale = \"resnapshot\" }}]"));
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada'), (2, 'Bob')").await;
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    account.run("CREATE TABLE SHOP.PUBLIC.NEXT LIKE SHOP.PUBLIC.CUSTOMERS").await;
    account.run("INSERT INTO SHOP.PUBLIC.NEXT (ID, NAME) VALUES (1, 'Ada'), (2, 'Bo'), (3, 'Cy')").await;
    account.run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS SWAP WITH SHOP.PUBLIC.NEXT").await;
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (4, 'Di')").await;
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    publisher.stop().await;
}

/// A column may become narrower when all rows fit. The images that wait in the stream need not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_a_change_of_type_made_unreadable_stop_their_table_only() {
    let world = World::start().await;
    let settings = world.settings().set("retry.halted", "\"100ms\"");
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.VISITS (PAGE, N) VALUES ('a', 123456), ('b', 7)").await;
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained(LIMIT).await;
    publisher.stop().await;
    account.run("UPDATE SHOP.PUBLIC.VISITS SET N = 12 WHERE N = 123456").await;
    account.run("ALTER TABLE SHOP.PUBLIC.VISITS ALTER COLUMN N SET DATA TYPE NUMBER(4,0)").await;
    let publisher = Publisher::spawn(&world, &settings, None);
    publisher.says("the capture is halted table=\"SHOP.PUBLIC.VISITS\"", LIMIT).await;
    publisher.says("do not fit the table's columns as they are now", LIMIT).await;
    // The others flow while it waits.
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada')").await;
    account.run("INSERT INTO SHOP.PUBLIC.LINES (ORDER_ID, LINE) VALUES (1, 1)").await;
    account.run("INSERT INTO SHOP.PUBLIC.VISITS (PAGE, N) VALUES ('c', 8)").await;
    world.drained_of(&tables::ALL[..2], LIMIT).await;
    // With the column as wide as it was the table goes on by itself, having lost nothing.
    account.run("ALTER TABLE SHOP.PUBLIC.VISITS ALTER COLUMN N SET DATA TYPE NUMBER(18,0)").await;
    world.drained(LIMIT).await;
    publisher.stop().await;
    Verifier::read(&world).await.approve();
}
