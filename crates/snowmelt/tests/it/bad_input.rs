//! What a person can get wrong: each case ends with its documented exit code, names the thing and the remedy, and loses
//! nothing. That the password never shows is checked for every publisher when it is dropped.

use std::time::Duration;

use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control};
use snowsim::fault::{Action, Rule};

use crate::brokers::COUNT;
use crate::publisher::{Exit, Publisher};
use crate::tables;
use crate::verifier::Verifier;
use crate::world::{Settings, World};

const LIMIT: Duration = Duration::from_secs(40);

/// A publisher of `settings` ends with `code` and says all of `words`.
async fn refused(world: &World, settings: &Settings, code: i32, words: &[&str]) {
    let mut publisher = Publisher::spawn(world, settings, None);
    let ended = publisher.end(LIMIT).await;
    let log = publisher.log();
    assert_eq!(ended, Exit::Code(code), "{log}");
    for word in words {
        assert!(log.contains(word), "the message does not say {word:?}:\n{log}");
    }
}

/// A publisher of `settings` goes on trying and says all of `words`.
async fn retries(world: &World, settings: &Settings, words: &[&str]) {
    let publisher = Publisher::spawn(world, settings, None);
    for word in words {
        publisher.says(word, LIMIT).await;
    }
    publisher.stop().await;
}

async fn customers(rows: usize) -> World {
    let world = World::start().await;
    let sql = format!(
        "INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) SELECT SEQ4(), 'n' FROM TABLE(GENERATOR(ROWCOUNT => {rows}))"
    );
    world.account().run(&sql).await;
    world
}

fn events(world: &World) -> usize {
    world.kafka.cluster.committed_records("SHOP.PUBLIC.CUSTOMERS").map_or(0, |records| records.len())
}

/// Runs a publisher until `count` events are there, and stops it.
async fn carry(world: &World, settings: &Settings, count: usize) {
    let publisher = Publisher::spawn(world, settings, None);
    crate::world::eventually("the events arrive", LIMIT, || events(world) >= count).await;
    publisher.stop().await;
    assert_eq!(events(world), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_with_mistakes_names_them_all() {
    let world = World::start().await;
    let settings = world.settings().set("kafka.compresion", "\"lz4\"").set("delivery.memory", "\"lots\"");
    let words = ["kafka.compresion", "compression", "delivery.memory"];
    refused(&world, &settings, 2, &words).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_names_the_user_only() {
    let world = customers(5).await;
    std::fs::write(world.path("wrong"), "guessed-wrongly-7").expect("a file");
    let settings = world.settings().only("CUSTOMERS").set("snowflake.password", "{ file = \"wrong\" }");
    refused(&world, &settings, 3, &["PUBLISHER", "390100"]).await;
    carry(&world, &world.settings().only("CUSTOMERS"), 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_not_there_is_named() {
    let world = World::start().await;
    world.account().run("DROP TABLE SHOP.PUBLIC.CUSTOMERS").await;
    let settings = world.settings().only("CUSTOMERS");
    refused(&world, &settings, 3, &["table SHOP.PUBLIC.CUSTOMERS does not exist", "grant"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_somebody_dropped_halts_the_capture() {
    let world = customers(5).await;
    let settings = world.settings().only("CUSTOMERS");
    carry(&world, &settings, 5).await;
    let mut account = world.account();
    let stream = account.run("SHOW STREAMS IN SCHEMA SNOWMELT.STATE").await;
    let name = match stream.first().and_then(|row| row.get("name")) {
        Some(crate::image::Cell::Text(name)) => name.clone(),
        other => panic!("no stream: {other:?}"),
    };
    account.run(&format!("DROP STREAM SNOWMELT.STATE.{name}")).await;
    refused(&world, &settings, 3, &[&name, "is gone", "new snapshot"]).await;
    assert_eq!(events(&world), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_stream_halts_the_capture() {
    let world = customers(5).await;
    let settings = world.settings().only("CUSTOMERS");
    carry(&world, &settings, 5).await;
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'late'").await;
    world.snowflake.sim.clock().advance(Duration::from_secs(40 * 24 * 3600));
    refused(&world, &settings, 3, &["is stale", "MAX_DATA_EXTENSION_TIME_IN_DAYS"]).await;
    assert_eq!(events(&world), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_that_may_not_be_made_is_named_and_nothing_is_lost() {
    let world = customers(5).await;
    let settings = world.settings().only("CUSTOMERS");
    let forbidden = settings.clone().set("topics.create", "false");
    refused(&world, &forbidden, 4, &["topic SHOP.PUBLIC.CUSTOMERS does not exist", "topics.create"]).await;
    carry(&world, &settings, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_refuses_to_make_the_topic_is_quoted() {
    let world = customers(5).await;
    world.kafka.plan("create: refused", ApiKey::CreateTopics, 0, Control::Error(ErrorCode::PolicyViolation));
    let settings = world.settings().only("CUSTOMERS");
    refused(&world, &settings, 4, &["cannot be created", "PolicyViolation", "allow CREATE"]).await;
    carry(&world, &settings, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_larger_than_the_topic_takes_stops_there_and_goes_on_once_it_may() {
    let world = customers(3).await;
    let long = "INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) SELECT 99, REPEAT('x', 300000)";
    world.account().run(long).await;
    let settings = world.settings().only("CUSTOMERS");
    let small = settings.clone().set("kafka.max_message_bytes", "\"200KiB\"").set("kafka.batch_bytes", "\"100KiB\"");
    refused(&world, &small, 6, &["of SHOP.PUBLIC.CUSTOMERS makes a record of", "max.message.bytes"]).await;
    carry(&world, &settings, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_do_not_answer_are_tried_again() {
    let world = customers(2).await;
    let settings = world.settings().only("CUSTOMERS");
    let nowhere = settings.clone().set("snowflake.url", "\"http://127.0.0.1:9\"");
    retries(&world, &nowhere, &["http://127.0.0.1:9 did not answer the login", "starting again from the checkpoint"])
        .await;
    let nowhere = settings.clone().set("kafka.bootstrap_servers", "[\"127.0.0.1:9\"]");
    retries(&world, &nowhere, &["connecting to 127.0.0.1:9", "starting again from the checkpoint"]).await;
    carry(&world, &settings, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_dropped_under_its_capture_halts_it() {
    let world = customers(5).await;
    let settings = world.settings().only("CUSTOMERS");
    carry(&world, &settings, 5).await;
    world.account().run("DROP TABLE SHOP.PUBLIC.CUSTOMERS").await;
    refused(&world, &settings, 3, &["SHOP.PUBLIC.CUSTOMERS", "new snapshot"]).await;
    assert_eq!(events(&world), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_staging_table_dropped_before_its_end_halts_the_capture() {
    let world = customers(300).await;
    let settings = world.settings().only("CUSTOMERS");
    // The first commit is the claim's, the next two are slices of the batch.
    let mut publisher = Publisher::spawn(&world, &settings, Some("after-commit:3"));
    assert_eq!(publisher.end(LIMIT).await, Exit::Killed);
    let read = Verifier::read_tables(&world, &tables::ALL[..1]).await;
    let [staged] = read.staged() else { panic!("one staging table is there: {:?}", read.staged()) };
    world.account().run(&format!("DROP TABLE SNOWMELT.STATE.{staged}")).await;
    let before = events(&world);
    assert!((1..300).contains(&before), "the batch was carried in part: {before} events");
    refused(&world, &settings, 3, &[staged.as_str(), "is gone although only", "of its 300 rows", "new snapshot"]).await;
    assert_eq!(events(&world), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_larger_than_the_broker_takes_is_said_and_goes_on_once_it_may() {
    let world = customers(5).await;
    let settings = world.settings().only("CUSTOMERS");
    world.kafka.plan("produce: too large", ApiKey::Produce, 1, Control::Error(ErrorCode::MessageTooLarge));
    refused(&world, &settings, 4, &["SHOP.PUBLIC.CUSTOMERS", "max.message.bytes", "kafka.batch_bytes"]).await;
    let open = world.kafka.cluster.transaction_is_open("snowmelt/proof/SHOP.PUBLIC.CUSTOMERS");
    assert!(!open, "a halted capture keeps readers waiting at its open transaction");
    carry(&world, &settings, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variant_that_is_no_json_is_named_and_goes_as_a_string() {
    let world = World::start().await;
    let lines = "INSERT INTO SHOP.PUBLIC.LINES (ORDER_ID, LINE, NOTE)";
    world.account().run(&format!("{lines} SELECT 1, 1, PARSE_JSON('[1]')")).await;
    // The simulator keeps a number's text as it came, and JSON knows no leading zeros.
    world.account().run(&format!("{lines} SELECT 2, 1, PARSE_JSON('[007]')")).await;
    let settings = world.settings().only("LINES");
    let raw = settings.clone().set("format.variant", "\"json\"");
    refused(&world, &raw, 6, &["column NOTE", "row id", "not valid json", "write variants as strings"]).await;
    let publisher = Publisher::spawn(&world, &settings, None);
    let count = || world.kafka.cluster.committed_records("SHOP.PUBLIC.LINES").map_or(0, |records| records.len());
    crate::world::eventually("both lines arrive", LIMIT, || count() == 2).await;
    publisher.stop().await;
    assert_eq!(count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_either_side_is_waited_for() {
    let world = customers(5).await;
    let publisher = Publisher::spawn(&world, &world.settings(), None);
    world.drained(LIMIT).await;
    let change = "UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = NAME || '+'";
    for broker in 0..COUNT {
        world.kafka.cluster.crash(broker);
    }
    world.account().run(change).await;
    publisher.says("starting again from the checkpoint", LIMIT).await;
    for broker in 0..COUNT {
        world.kafka.cluster.restart(broker);
    }
    world.drained(LIMIT).await;
    let busy = Action::Status { status: 503, retry_after: None };
    let faults = world.snowflake.sim.faults();
    let outage = faults.add(Rule { times: None, ..Rule::on_path("/", busy) });
    world.account().run(change).await;
    publisher.says("HTTP status 503 Service Unavailable", LIMIT).await;
    faults.remove(outage);
    world.drained(LIMIT).await;
    publisher.stop().await;
    Verifier::read(&world).await.approve();
}
