//! A Kafka client through the whole tunnel: a cluster of three whose own addresses resolve nowhere for the client.

use std::collections::BTreeSet;
use std::time::Duration;

use krafka::consumer::{AutoOffsetReset, IsolationLevel};
use krafka::testing::FakeBroker;
use krafka::{Kafka, Record};
use tunnel::outlet::Target;
use tunnel::wire::Kind;

use crate::world::{LIMIT, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_pass_to_a_cluster_of_three_and_back_to_a_reader() {
    let world = World::start().await;
    let cluster = FakeBroker::start_cluster(3).await.unwrap();
    cluster.set_transaction_version(2);
    cluster.create_topic("orders", 3);
    let bootstrap = cluster.bootstrap_servers();
    // One bootstrap server only: the others must be learned from the cluster's own answers.
    let first = bootstrap.split(',').next().unwrap().parse().unwrap();
    let outlet = world.outlet(Target::Kafka { bootstrap: vec![first], tls: None }).await;
    let (inlet, address) = world.inlet(Kind::Kafka).await;

    let kafka = Kafka::builder(address.to_string()).connect().await.unwrap();
    let producer = kafka.producer().build_transactional("through-the-tunnel").await.unwrap();
    for batch in 0..5 {
        producer.begin().unwrap();
        for index in 0..40 {
            let record = Record::new("orders", format!("{batch}-{index}")).key(format!("{index}"));
            drop(producer.enqueue(record).await.unwrap());
        }
        if batch == 3 {
            producer.abort().await.unwrap();
        } else {
            producer.commit().await.unwrap();
        }
    }
    producer.close().await.unwrap();
    let consumer = kafka
        .consumer_without_group()
        .isolation_level(IsolationLevel::ReadCommitted)
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .build()
        .await
        .unwrap();
    consumer.assign("orders", vec![0, 1, 2]).await.unwrap();
    let mut read = BTreeSet::new();
    let reading = async {
        while read.len() < 160 {
            for record in consumer.poll(Duration::from_millis(200)).await.unwrap() {
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                assert!(!value.starts_with("3-"), "an aborted record was read");
                assert!(read.insert(value), "a record came twice");
            }
        }
    };
    tokio::time::timeout(LIMIT, reading).await.expect("all committed records are read");

    // The client's connections all came through the outlet: it opened as many streams as the cluster has seen connections.
    let connections: BTreeSet<u64> = cluster.requests().iter().map(|request| request.connection).collect();
    let opened = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("snowmelt_tunnel_streams_opened_total ")).unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()
    };
    assert!(connections.len() <= opened(&outlet.metrics.text()), "a connection passed by the outlet");
    assert_eq!(opened(&outlet.metrics.text()), opened(&inlet.metrics.text()));
}
