//! A cluster that changes while a client is at work: brokers join, leave and move, and nobody restarts anything.

use std::collections::BTreeSet;
use std::time::Duration;

use krafka::producer::Producer;
use krafka::testing::ApiKey;
use krafka::{Kafka, Record};
use tunnel::wire::Kind;

use crate::cluster::{Cluster, Door};
use crate::world::{LIMIT, World};

/// One record to each partition; a client tries again by itself, so that every one of them must be taken.
async fn round(producer: &Producer, number: i32) {
    for partition in 0..3 {
        let record = Record::new("orders", format!("{number}-{partition}")).partition(partition);
        let sent = tokio::time::timeout(LIMIT, producer.send(record)).await;
        let _ = sent.unwrap_or_else(|_| panic!("{number}-{partition}: not within {LIMIT:?}")).unwrap();
    }
}

fn produced_at(cluster: &Cluster) -> BTreeSet<i32> {
    cluster.fake.request_nodes(ApiKey::Produce).into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_goes_on_while_brokers_join_leave_and_move() {
    let world = World::start().await;
    let mut cluster = Cluster::start(Door::Plain, 1).await;
    cluster.fake.create_topic("orders", 3);
    for node in 0..3 {
        cluster.fake.set_leader("orders", node, node);
    }
    let outlet = world.outlet(cluster.target(None)).await;
    let (inlet, address) = world.inlet(Kind::Kafka).await;
    let kafka = Kafka::builder(address.to_string())
        .connect_timeout(Duration::from_secs(2))
        .request_timeout(Duration::from_secs(2))
        .connect()
        .await
        .unwrap();
    let producer = kafka.producer().build().await.unwrap();
    round(&producer, 0).await;
    assert_eq!(produced_at(&cluster), BTreeSet::from([0, 1, 2]));

    // The same id at another host and port; the client's connection to the old one is cut.
    cluster.fake.clear_requests();
    let moved = cluster.move_broker(2).await;
    round(&producer, 1).await;
    assert_eq!(produced_at(&cluster), BTreeSet::from([0, 1, 2]));
    assert_eq!(cluster.address(2).to_string(), moved.to_string());

    // One that nobody knew.
    cluster.fake.clear_requests();
    cluster.move_broker(3).await;
    cluster.fake.set_leader("orders", 1, 3);
    round(&producer, 2).await;
    assert!(produced_at(&cluster).contains(&3), "the new broker was found");

    // One that is gone, and with it what it led.
    cluster.fake.clear_requests();
    cluster.remove_broker(1);
    cluster.fake.set_leader("orders", 2, 0);
    round(&producer, 3).await;
    let served = produced_at(&cluster);
    assert!(served.contains(&0) && served.contains(&3) && !served.contains(&1), "{served:?}");

    // And the one from which everything began, while the client knows the others.
    cluster.fake.clear_requests();
    cluster.move_broker(0).await;
    round(&producer, 4).await;
    producer.close().await.unwrap();
    let values: BTreeSet<Vec<u8>> =
        cluster.fake.all_records("orders").unwrap().into_iter().map(|record| record.value.unwrap().to_vec()).collect();
    assert_eq!(values.len(), 15, "every round arrived");
    cluster.nothing_passed_by(&outlet).await;
    assert!(outlet.metrics.is_ready() && inlet.metrics.is_ready());
}
