//! A client's login passes both ends untouched, and the relay sees nothing of it.

use std::time::Duration;

use krafka::auth::AuthConfig;
use krafka::error::KrafkaError;
use krafka::{Kafka, Record};
use tunnel::wire::Kind;

use crate::blind::{join, listen_in};
use crate::cluster::{Cluster, Door};
use crate::scram::Scram;
use crate::world::{INLET, LIMIT, OUTLET, World};

const USER: &str = "publisher-of-orders";
const PASSWORD: &str = "correct-horse-battery-staple";

async fn write(address: std::net::SocketAddr, security: AuthConfig) -> Result<(), KrafkaError> {
    let short = Duration::from_secs(5);
    let kafka = Kafka::builder(address.to_string()).connect_timeout(short).request_timeout(short);
    let producer = kafka.security(security).connect().await?.producer().build().await?;
    for index in 0..30 {
        let _ = producer.send(Record::new("orders", "v").key(format!("{index}"))).await?;
    }
    producer.close().await
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Through a relay that is listened in on; `marks` must come out of the tunnel and must not be seen in it.
async fn logs_in(door: Door, security: fn(&str) -> AuthConfig, marks: &[&str]) {
    let world = World::start().await;
    let (relay, seen) = listen_in(world.address).await;
    let cluster = Cluster::start(door, 0).await;
    cluster.fake.require_sasl_plain(USER, PASSWORD);
    cluster.fake.create_topic("orders", 3);
    let outlet = join(&world, "outlet", world.ticket(&[OUTLET], &["kafka"]), relay).await;
    let outlet = world.run_outlet(outlet, "kafka", INLET, cluster.target(None)).await;
    let inlet = join(&world, "inlet", world.ticket(&[INLET], &[]), relay).await;
    let (_inlet, address) = world.run_inlet(inlet, "kafka", OUTLET, Kind::Kafka).await;

    let wrong = tokio::time::timeout(LIMIT, write(address, security("wrong-horse"))).await.expect("it is answered");
    let words = wrong.expect_err("a wrong password wrote something").to_string();
    assert!(words.to_lowercase().contains("auth"), "the broker's own answer reaches the client: {words}");
    assert_eq!(cluster.fake.all_records("orders").unwrap().len(), 0);

    tokio::time::timeout(LIMIT, write(address, security(PASSWORD))).await.unwrap().unwrap();
    assert_eq!(cluster.fake.all_records("orders").unwrap().len(), 30);
    assert_eq!(cluster.asked().into_iter().collect::<Vec<_>>(), [0, 1, 2], "every broker was logged in to");
    cluster.nothing_passed_by(&outlet).await;
    let (came, seen) = (cluster.heard.lock().unwrap().clone(), seen.lock().unwrap());
    assert!(seen.len() > 2 * came.len(), "both halves of the path were heard: {} bytes", seen.len());
    for mark in marks {
        assert!(holds(&came, mark), "{mark:?} did not come out of the tunnel");
        assert!(!holds(&seen, mark), "{mark:?} could be read on the way");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_passes_untouched_and_unseen() {
    let token = format!("\0{USER}\0{PASSWORD}");
    logs_in(Door::Plain, |password| AuthConfig::sasl_plain(USER, password), &["PLAIN", &token]).await;
}

/// The door's proof covers every byte of the conversation, so one that was changed would fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scram_passes_untouched_and_unseen() {
    let door = Door::Scram(Scram { user: USER, password: PASSWORD }.into());
    let marks = ["SCRAM-SHA-256", &format!("n,,n={USER},r="), "c=biws,r=", ",p="];
    logs_in(door, |password| AuthConfig::sasl_scram_sha256(USER, password), &marks).await;
}
