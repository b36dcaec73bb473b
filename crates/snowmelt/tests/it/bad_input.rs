//! What a person can get wrong: each case ends with its documented exit code, names the thing and the remedy, and loses
//! nothing. That the password never shows is checked for every publisher when it is dropped.

use std::time::Duration;

use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control};

use crate::publisher::{Exit, Publisher};
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
    let world = World::start().await;
    std::fs::write(world.path("wrong"), "guessed-wrongly-7").expect("a file");
    let settings = world.settings().only("CUSTOMERS").set("snowflake.password", "{ file = \"wrong\" }");
    refused(&world, &settings, 3, &["PUBLISHER", "390100"]).await;
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
