//! `snowmelt snapshot`: a table sent again while others flow, without a gap, once per order.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::publisher::Publisher;
use crate::tables::{self, Table};
use crate::verifier::Verifier;
use crate::workload::Workload;
use crate::world::{Settings, World, seed};

const DRAIN: Duration = Duration::from_secs(60);

/// Runs `snowmelt snapshot` to its end.
pub(crate) async fn snapshot(world: &World, settings: &Settings, arguments: &[&str]) -> Output {
    let config = world.path("snapshot.toml");
    settings.write(&config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_snowmelt"));
    command.args(["snapshot", "--config"]).arg(config).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(DRAIN, command.output()).await.expect("the order ends").expect("the program runs")
}

/// Orders a snapshot, however often Kafka misbehaves meanwhile.
pub(crate) async fn order(world: &World, table: &Table) {
    for _ in 0..20 {
        if snapshot(world, &world.settings(), &[&table.topic()]).await.status.success() {
            return;
        }
    }
    panic!("no snapshot of {} could be ordered", table.name);
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_sent_again_without_a_gap_while_all_tables_change() {
    let world = World::start().await;
    let mut workload = Workload::new(&world, seed());
    workload.fill(120).await;
    let publisher = Publisher::spawn(&world, &world.settings(), None);
    world.drained(DRAIN).await;
    let working = workload.start();
    let mut ids = Vec::new();
    for name in ["customers", "SHOP.PUBLIC.VISITS", "SHOP.PUBLIC.CUSTOMERS"] {
        let output = snapshot(&world, &world.settings(), &[name, "--wait", "--json"]).await;
        let said = lines(&output);
        assert!(output.status.success(), "{said:?}");
        assert_eq!(said.first().map(|line| &line["state"]), Some(&Value::from("ordered")));
        assert_eq!(said.last().map(|line| &line["state"]), Some(&Value::from("done")), "{said:?}");
        ids.extend(said.last().map(|line| line["command"].clone()));
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "every order has an id of its own");
    drop(working.stop().await);
    world.drained(DRAIN).await;
    publisher.stop().await;
    let report = Verifier::read(&world).await.approve();
    // CUSTOMERS is in its third generation, VISITS in its second.
    assert_eq!(report.generations, 3 + 1 + 2);
    let streams = world.account().run("SHOW STREAMS IN SCHEMA SNOWMELT.STATE").await;
    assert_eq!(streams.len(), 3, "an older stream was not dropped: {streams:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_waits_for_the_publisher_and_is_carried_out_once() {
    let world = World::start().await;
    let mut workload = Workload::new(&world, seed());
    workload.fill(30).await;
    order(&world, &tables::ALL[0]).await;
    order(&world, &tables::ALL[0]).await;
    let publisher = Publisher::spawn(&world, &world.settings(), None);
    publisher.says("a command is dealt with", DRAIN).await;
    world.drained(DRAIN).await;
    publisher.kill().await;
    let publisher = Publisher::spawn(&world, &world.settings(), None);
    workload.run(20).await;
    world.drained(DRAIN).await;
    publisher.stop().await;
    assert_eq!(Verifier::read(&world).await.approve().generations, 2 + 1 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_cannot_be_is_refused_in_words() {
    let world = World::start().await;
    let output = snapshot(&world, &world.settings(), &["SHOP.PUBLIC.NOTHING"]).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("SHOP.PUBLIC.NOTHING is not a table of the configuration"), "{said}");
    assert!(said.contains("SHOP.PUBLIC.CUSTOMERS"), "{said}");

    let mut account = world.account();
    account.run("CREATE STREAM SHOP.PUBLIC.THEIRS ON TABLE SHOP.PUBLIC.CUSTOMERS").await;
    let tables = "[{ name = \"SHOP.PUBLIC.CUSTOMERS\", stream = \"SHOP.PUBLIC.THEIRS\", snapshot = \"never\" }]";
    let settings = world.settings().set("tables", tables);
    let publisher = Publisher::spawn(&world, &settings, None);
    let output = snapshot(&world, &settings, &["CUSTOMERS", "--wait"]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("refused: ") && said.contains("SHOP.PUBLIC.THEIRS"), "{said}");
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada')").await;
    world.drained_of(&tables::ALL[..1], DRAIN).await;
    publisher.stop().await;
}
