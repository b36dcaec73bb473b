//! Large rows and large batches: within the byte budget, as its own counter tells, and at the next row after a kill.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use snowsim::fault::{Action, Rule};

use crate::publisher::{Exit, Publisher};
use crate::world::{Settings, World, eventually};

const LIMIT: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

/// Most bytes that the publisher accounted at one time, as it says when it ends.
fn peak(publisher: &Publisher) -> usize {
    let log = publisher.log();
    let line = log.lines().find(|line| line.contains("most bytes in flight")).expect("the publisher says its peak");
    let digits = line.split_once("peak=").expect("the line has the peak").1;
    digits.trim().parse().expect("the peak is a number")
}

async fn stopped(mut publisher: Publisher) -> usize {
    publisher.terminate().await;
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(0));
    peak(&publisher)
}

fn only(world: &World, table: &str) -> Settings {
    world
        .settings()
        .set("tables", &format!("[{{ name = \"SHOP.PUBLIC.{table}\", key = [\"ID\"] }}]"))
        .set("kafka.max_message_bytes", "\"64MiB\"")
        .set("kafka.request_timeout", "\"20s\"")
        .set("kafka.transaction_timeout", "\"60s\"")
        .set("kafka.delivery_timeout", "\"30s\"")
        .set("delivery.memory", "\"64MiB\"")
        .set("delivery.slice_interval", "\"5s\"")
        .set("delivery.slice_rows", "20000")
}

#[derive(Deserialize)]
struct Told {
    source: Place,
    op: char,
}

#[derive(Deserialize)]
struct Place {
    batch: u64,
    row: u64,
}

/// Places and ops of a topic's events, in the order of its partitions.
fn places(world: &World, topic: &str) -> Vec<(u64, u64, char)> {
    let records = world.kafka.cluster.committed_records(topic).unwrap_or_default();
    let told = records.iter().filter_map(|record| record.value.as_ref()).map(|value| {
        let told: Told = serde_json::from_slice(value).expect("an event is JSON");
        (told.source.batch, told.source.row, told.op)
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_many_columns_keep_to_the_budget() {
    const UPDATED: usize = 20;
    const MEMORY: usize = 16 * MIB;
    // The simulator's time to plan a statement grows with the square of its columns.
    let columns =
        std::env::var("SNOWMELT_COLUMNS").map_or(500, |text| text.parse().expect("SNOWMELT_COLUMNS is a number"));
    let rows = 400_000 / columns;
    let limit = Duration::from_secs(300);
    let world = World::start().await;
    let mut account = world.account();
    let declared: Vec<String> = (1..columns).map(|n| format!("COLUMN_{n} VARCHAR")).collect();
    account.run(&format!("CREATE TABLE SHOP.PUBLIC.WIDE (ID NUMBER(9,0), {})", declared.join(", "))).await;
    let filled: Vec<String> = (1..columns).map(|n| format!("'value {n} of a row that is wide'")).collect();
    let generated = format!("SELECT SEQ4(), {} FROM TABLE(GENERATOR(ROWCOUNT => {rows}))", filled.join(", "));
    account.run(&format!("INSERT INTO SHOP.PUBLIC.WIDE {generated}")).await;
    let settings = only(&world, "WIDE")
        .set("snowflake.request_timeout", "\"60s\"")
        .set("delivery.memory", "\"16MiB\"")
        .set("delivery.slice_bytes", "\"4MiB\"");
    let publisher = Publisher::spawn(&world, &settings, None);
    let told = || places(&world, "SHOP.PUBLIC.WIDE");
    eventually("the rows arrive", limit, || told().len() == rows).await;
    account.run(&format!("UPDATE SHOP.PUBLIC.WIDE SET COLUMN_7 = 'other' WHERE ID < {UPDATED}")).await;
    eventually("the updates arrive", limit, || told().len() == rows + UPDATED).await;
    let peak = stopped(publisher).await;
    let bytes: usize = world
        .kafka
        .cluster
        .committed_records("SHOP.PUBLIC.WIDE")
        .expect("the log is readable")
        .iter()
        .filter_map(|record| record.value.as_ref())
        .map(|value| value.len())
        .sum();
    eprintln!("{bytes} bytes of events, {peak} accounted at most");
    assert!(bytes > MEMORY, "what would fit into the budget as a whole proves nothing: {bytes}");
    assert!((MIB..=MEMORY).contains(&peak), "{peak}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_sixteen_megabytes_keep_to_the_budget() {
    let world = World::start().await;
    let mut account = world.account();
    account.run("CREATE TABLE SHOP.PUBLIC.LONG (ID NUMBER(9,0), LABEL VARCHAR)").await;
    for id in 0..6 {
        account.run(&format!("INSERT INTO SHOP.PUBLIC.LONG SELECT {id}, REPEAT('{id}', {})", 16 * MIB)).await;
    }
    let publisher = Publisher::spawn(&world, &only(&world, "LONG"), None);
    let told = || places(&world, "SHOP.PUBLIC.LONG").len();
    eventually("the rows arrive", LIMIT, || told() == 6).await;
    let peak = stopped(publisher).await;
    // A chunk that holds one such row is a few bytes longer than the row.
    assert!((16 * MIB..=64 * MIB).contains(&peak), "{peak}");
    // Both images of an update are twice as much as a slice may have, and more than half of the budget: it goes alone,
    // counted whole. Its old half may lie in the chunk before, which then is counted besides.
    account.run("UPDATE SHOP.PUBLIC.LONG SET LABEL = REPEAT('y', 16777216) WHERE ID < 3").await;
    let publisher = Publisher::spawn(&world, &only(&world, "LONG"), None);
    eventually("the updates arrive", LIMIT, || told() == 9).await;
    let peak = stopped(publisher).await;
    eprintln!("{peak} accounted at most");
    // At the least: both images as they came, and both as they go.
    assert!((64 * MIB..=(64 + 17) * MIB).contains(&peak), "{peak}");
    let records = world.kafka.cluster.committed_records("SHOP.PUBLIC.LONG").expect("the log is readable");
    for record in &records[6..] {
        let event: Value = serde_json::from_slice(record.value.as_ref().expect("an update")).expect("an event is JSON");
        let length = |side: &str| event[side]["LABEL"].as_str().map_or(0, str::len);
        assert!(event["op"] != "u" || (length("before"), length("after")) == (16 * MIB, 16 * MIB));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_batch_goes_on_at_the_next_row_after_each_kill() {
    const ROWS: u64 = 60_000;
    let world = World::start().await;
    let sql = format!(
        "INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) SELECT SEQ4(), 'n' FROM TABLE(GENERATOR(ROWCOUNT => {ROWS}))"
    );
    world.account().run(&sql).await;
    let settings =
        world.settings().only("CUSTOMERS").set("delivery.slice_rows", "2000").set("delivery.slice_interval", "\"5s\"");
    for place in ["after-commit:5", "before-commit:9", "mid-slice:7", "after-commit:4"] {
        let mut publisher = Publisher::spawn(&world, &settings, Some(place));
        assert_eq!(publisher.end(LIMIT).await, Exit::Killed, "{place}");
    }
    let publisher = Publisher::spawn(&world, &settings, None);
    let told = || world.kafka.cluster.committed_records("SHOP.PUBLIC.CUSTOMERS").map_or(0, |records| records.len());
    eventually("the rows arrive", LIMIT, || told() >= usize::try_from(ROWS).expect("a count")).await;
    publisher.stop().await;
    let places = places(&world, "SHOP.PUBLIC.CUSTOMERS");
    assert_eq!(places.len() as u64, ROWS, "none twice");
    let rows: BTreeSet<u64> = places.iter().filter(|(batch, ..)| *batch == 1).map(|(_, row, _)| *row).collect();
    assert_eq!((rows.len() as u64, rows.first(), rows.last()), (ROWS, Some(&1), Some(&ROWS)), "none missing");
    let reads = world.snowflake.sim.engine().warehouse_log();
    let resumed: Vec<&String> = reads.iter().filter(|sql| sql.contains("\"SNOWMELT$ROW\" > ")).collect();
    assert!(resumed.len() == 5 && resumed[1..].iter().all(|sql| !sql.contains("\"SNOWMELT$ROW\" > 0 ")), "{resumed:?}");
}

/// A result that Snowflake has forgotten by the time its links expire is read again from the row that Kafka has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_is_gone_is_read_again_from_the_row_reached() {
    const ROWS: usize = 3_000;
    let world = World::start().await;
    let sql = format!(
        "INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) SELECT SEQ4(), 'n' FROM TABLE(GENERATOR(ROWCOUNT => {ROWS}))"
    );
    world.account().run(&sql).await;
    let faults = world.snowflake.sim.faults();
    faults.add(Rule { nth: 9, times: Some(1), ..Rule::on_path("/results/", Action::ChunkForbidden) });
    let gone = || Action::Error {
        code: "000612".to_owned(),
        message: "Result not found".to_owned(),
        sql_state: "02000".to_owned(),
    };
    // A result is asked for again by its query's id, whose first digit is any; statements go to /queries/v1.
    for digit in "0123456789abcdef".chars() {
        faults.add(Rule { times: None, ..Rule::on_path(&format!("/queries/{digit}"), gone()) });
    }
    let publisher = Publisher::spawn(&world, &world.settings().only("CUSTOMERS"), None);
    publisher.says("000612", LIMIT).await;
    let told = || places(&world, "SHOP.PUBLIC.CUSTOMERS");
    eventually("the rows arrive", LIMIT, || told().len() >= ROWS).await;
    publisher.stop().await;
    let distinct: BTreeSet<_> = told().into_iter().collect();
    assert_eq!((told().len(), distinct.len()), (ROWS, ROWS));
    let reads = world.snowflake.sim.engine().warehouse_log();
    let reads: Vec<&String> = reads.iter().filter(|sql| sql.contains("\"SNOWMELT$ROW\" > ")).collect();
    assert!(reads.len() == 2 && !reads[1].contains("\"SNOWMELT$ROW\" > 0 "), "{reads:?}");
}
