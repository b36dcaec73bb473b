//! Streams that are lost: foreseen, said, and answered as `on_stale` says, while the other tables go on.

use std::time::Duration;

use snowsim::fault::{Action, Moment, Rule};

use crate::publisher::{Exit, Publisher};
use crate::snapshots::snapshot;
use crate::tables::{self, Table};
use crate::verifier::notices::{self, Notice};
use crate::verifier::{NOTIFICATIONS, Verifier};
use crate::world::{PIPELINE, Settings, World};

const LIMIT: Duration = Duration::from_secs(60);

fn notices(world: &World, table: &Table) -> Vec<Notice> {
    let committed = world.kafka.cluster.committed_records(NOTIFICATIONS).expect("the topic is there");
    notices::of(&committed, &format!("{PIPELINE}/{}", table.topic()))
}

/// The same tables, each with this policy.
fn policy(settings: &Settings, policy: &str) -> Settings {
    let tables: Vec<String> = tables::ALL
        .iter()
        .map(|table| {
            let key: Vec<String> = table.configured_key.iter().map(|name| format!("\"{name}\"")).collect();
            let key = if key.is_empty() { String::new() } else { format!(", key = [{}]", key.join(", ")) };
            format!("{{ name = \"{}\", on_stale = \"{policy}\"{key} }}", table.topic())
        })
        .collect();
    settings.clone().set("tables", &format!("[{}]", tables.join(", ")))
}

async fn fill(world: &World) {
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cy')").await;
    account.run("INSERT INTO SHOP.PUBLIC.LINES (ORDER_ID, LINE, SKU) VALUES (1, 1, 'x')").await;
    account.run("INSERT INTO SHOP.PUBLIC.VISITS (PAGE, N) VALUES ('/', 1)").await;
}

/// The table is made anew under its name, with other rows.
async fn replace(world: &World) {
    let mut account = world.account();
    let customers = &tables::ALL[0];
    account.run(&format!("CREATE OR REPLACE TABLE {} ({})", customers.topic(), customers.ddl)).await;
    account
        .run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada'), (2, 'Bo'), (3, 'Cy'), (4, 'Di')")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_table_that_lost_its_stream_waits_and_an_order_brings_it_back() {
    let world = World::start().await;
    fill(&world).await;
    let publisher = Publisher::spawn(&world, &world.settings(), None);
    world.drained(LIMIT).await;
    replace(&world).await;
    publisher.says("the capture is halted", LIMIT).await;
    publisher.says("snowmelt snapshot SHOP.PUBLIC.CUSTOMERS", LIMIT).await;
    world.account().run("INSERT INTO SHOP.PUBLIC.VISITS (PAGE, N) VALUES ('/more', 2)").await;
    world.drained_of(&tables::ALL[1..], LIMIT).await;
    let output = snapshot(&world, &world.settings(), &["CUSTOMERS", "--wait"]).await;
    assert!(output.status.success(), "{output:?}");
    world.account().run("DELETE FROM SHOP.PUBLIC.CUSTOMERS WHERE ID = 2").await;
    world.drained(LIMIT).await;
    publisher.stop().await;
    Verifier::read(&world).await.approve();
    let gaps: Vec<Option<bool>> =
        notices(&world, &tables::ALL[0]).iter().filter(|one| one.kind == "snapshot_begin").map(|one| one.gap).collect();
    assert_eq!(gaps, [Some(false), Some(true)], "a gap is announced with the snapshot after it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resnapshot_replaces_a_lost_stream_by_itself() {
    let world = World::start().await;
    fill(&world).await;
    let settings = policy(&world.settings(), "resnapshot");
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained(LIMIT).await;
    replace(&world).await;
    world.drained(LIMIT).await;
    // All streams at once, by the clock, while nobody reads.
    publisher.stop().await;
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'late'").await;
    world.snowflake.sim.clock().advance(Duration::from_secs(40 * 24 * 3600));
    let publisher = Publisher::spawn(&world, &settings, None);
    publisher.says("taking a new snapshot, as on_stale says", LIMIT).await;
    world.drained(LIMIT).await;
    publisher.stop().await;
    Verifier::read(&world).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_found_by_a_publisher_that_would_end_at_once() {
    let world = World::start().await;
    fill(&world).await;
    let settings = world.settings().only("CUSTOMERS");
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    publisher.stop().await;
    replace(&world).await;
    let mut publisher = Publisher::spawn(&world, &settings, None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    assert!(snapshot(&world, &settings, &["CUSTOMERS"]).await.status.success());
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    publisher.stop().await;
    Verifier::read_tables(&world, &tables::ALL[..1]).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_may_go_stale_soon_is_warned_of_and_reading_keeps_it_fresh() {
    let world = World::start().await;
    fill(&world).await;
    let settings = world
        .settings()
        .only("CUSTOMERS")
        .set("staleness.warn_before", "\"480h\"")
        .set("staleness.interval", "\"50ms\"");
    let publisher = Publisher::spawn(&world, &settings, None);
    publisher.says("the stream may go stale soon", LIMIT).await;
    publisher.stop().await;

    // Probing an empty stream pushes its end out: many times its forecast passes, step by step.
    let publisher = Publisher::spawn(&world, &world.settings().only("CUSTOMERS"), None);
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    let faults = world.snowflake.sim.faults();
    for _ in 0..8 {
        world.snowflake.sim.clock().advance(Duration::from_secs(5 * 24 * 3600));
        let probe = faults.add(Rule::on_sql("system$stream_has_data", Action::Delay { moment: Moment::After, ms: 0 }));
        let probed = || faults.counters(probe).is_some_and(|counters| counters.struck == 1);
        crate::world::eventually("the stream is probed", LIMIT, probed).await;
    }
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'after forty days'").await;
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    publisher.stop().await;
}
