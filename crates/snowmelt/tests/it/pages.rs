//! `run --metrics` and `snowmelt health`: what a publisher says of itself, and what a container without a shell asks it.

use std::process::Output;
use std::time::Duration;

use tokio::process::Command;

use crate::publisher::Publisher;
use crate::world::{Settings, World, eventually};

const LIMIT: Duration = Duration::from_secs(40);
const TOPIC: &str = "SHOP.PUBLIC.CUSTOMERS";

/// A publisher with pages on a free port, and their address.
async fn with_pages(world: &World, settings: &Settings) -> (Publisher, String) {
    let publisher = Publisher::spawn_with(world, settings, None, &["--metrics", "127.0.0.1:0"]);
    publisher.says("metrics and health are served", LIMIT).await;
    let log = publisher.log();
    let line = log.lines().find(|line| line.contains("metrics and health are served")).expect("it says so");
    let address = line.rsplit_once("address=").expect("an address").1.to_owned();
    (publisher, address)
}

async fn health(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snowmelt"));
    // Not for the process next door.
    command.env("http_proxy", "http://127.0.0.1:1");
    let Output { status, stdout, stderr } = command.arg("health").args(arguments).output().await.expect("it runs");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

async fn figures(address: &str) -> String {
    let url = format!("http://{address}/metrics");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    client.get(url).send().await.expect("the page").text().await.expect("its text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_is_ready_when_its_tables_are_carried_and_counts_what_it_did() {
    let world = World::start().await;
    world.account().run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
    let (publisher, address) = with_pages(&world, &world.settings().only("CUSTOMERS")).await;
    let cluster = &world.kafka.cluster;
    let arrived = || cluster.committed_records(TOPIC).map_or(0, |records| records.len());
    eventually("the rows arrive", LIMIT, || arrived() == 3).await;
    let labels = format!("{{table=\"{TOPIC}\",topic=\"{TOPIC}\"}}");
    let counted = async || {
        let text = figures(&address).await;
        [("events_total", "3"), ("rows_total", "3"), ("batches_total", "1"), ("restarts_total", "0")]
            .iter()
            .all(|(name, value)| text.contains(&format!("\nsnowmelt_{name}{labels} {value}\n")))
            && text.contains(&format!("\nsnowmelt_table_state{{table=\"{TOPIC}\",state=\"idle\"}} 1\n"))
    };
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !counted().await {
        assert!(tokio::time::Instant::now() < deadline, "{}", figures(&address).await);
        tokio::task::yield_now().await;
    }
    assert_eq!(health(&[&address]).await, (Some(0), "ready\n".to_owned()));
    publisher.stop().await;
    let (code, said) = health(&[&address, "--live"]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains(&format!("http://{address}/health/live does not answer: ")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_without_snowflake_lives_and_says_why_it_is_not_ready() {
    let world = World::start().await;
    let settings = world.settings().only("CUSTOMERS").set("snowflake.url", "\"http://127.0.0.1:1\"");
    let (publisher, address) = with_pages(&world, &settings).await;
    publisher.says("starting again from the checkpoint", LIMIT).await;
    assert_eq!(health(&[&address, "--live"]).await, (Some(0), "live\n".to_owned()));
    let (code, said) = health(&[&address]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("/health/ready says 503: ") && said.contains(TOPIC), "{said}");
    publisher.stop().await;
}
