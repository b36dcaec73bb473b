//! A Kafka client through the whole tunnel: a cluster of three, all of whose connections come out of the outlet.

use std::collections::BTreeSet;
use std::time::Duration;

use krafka::consumer::{AutoOffsetReset, ConsumerGroupMetadata, GroupProtocol, IsolationLevel};
use krafka::producer::TopicPartitionOffset;
use krafka::testing::ApiKey;
use krafka::{Kafka, Record};
use tunnel::wire::Kind;

use crate::cluster::{Cluster, Door};
use crate::world::{LIMIT, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_pass_to_a_cluster_of_three_and_back_to_a_reader() {
    let world = World::start().await;
    let cluster = Cluster::start(Door::Plain, 0).await;
    cluster.fake.create_topic("orders", 3);
    let outlet = world.outlet(cluster.target(None)).await;
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

    cluster.nothing_passed_by(&outlet).await;
    let opened = |text: &str| text.lines().find(|line| line.contains("streams_opened_total ")).map(ToOwned::to_owned);
    assert_eq!(opened(&outlet.metrics.text()), opened(&inlet.metrics.text()));
}

/// What a group reads is moved on in transactions that carry the group's offsets. Group and transaction are coordinated
/// by different brokers, neither of them the one that the client begins with, so that each is found by its own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_reads_and_a_transaction_carries_its_offsets() {
    let world = World::start().await;
    let cluster = Cluster::start(Door::Plain, 0).await;
    for topic in ["orders", "bills"] {
        cluster.fake.create_topic(topic, 3);
    }
    let outlet = world.outlet(cluster.target(None)).await;
    let (_inlet, address) = world.inlet(Kind::Kafka).await;
    for (round, protocol, name) in [(0, GroupProtocol::Classic, "classic"), (1, GroupProtocol::Consumer, "modern")] {
        cluster.fake.set_group_coordinator(name, 1 + round);
        cluster.fake.set_txn_coordinator(name, 2 - round);
        let kafka = Kafka::builder(address.to_string()).connect().await.unwrap();
        let producer = kafka.producer().build().await.unwrap();
        for index in 0..60 {
            let record = Record::new("orders", format!("{name}-{index}")).partition(index % 3);
            let _ = producer.send(record).await.unwrap();
        }
        producer.close().await.unwrap();
        let group = kafka.consumer(name).group_protocol(protocol).auto_offset_reset(AutoOffsetReset::Earliest);
        let consumer = group.build().await.unwrap();
        consumer.subscribe(["orders"]).await.unwrap();
        let all = 60 * (usize::try_from(round).unwrap() + 1);
        let mut read = BTreeSet::new();
        let reading = async {
            while read.len() < all {
                for record in consumer.poll(Duration::from_millis(200)).await.unwrap() {
                    let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                    assert!(read.insert(value), "a record came twice");
                }
            }
        };
        tokio::time::timeout(LIMIT, reading).await.unwrap_or_else(|_| panic!("{name}: {} were read", read.len()));
        consumer.commit().await.unwrap();
        let committed: i64 = (0..3).filter_map(|at| cluster.fake.committed_offset(name, "orders", at)).sum();
        assert_eq!(committed, i64::try_from(all).unwrap(), "{name}");

        let producer = kafka.producer().build_transactional(name).await.unwrap();
        for (offset, commits) in [(7, false), (5, true)] {
            producer.begin().unwrap();
            for value in &read {
                drop(producer.enqueue(Record::new("bills", format!("{value} {commits}"))).await.unwrap());
            }
            let group = ConsumerGroupMetadata::new(format!("{name}-mover"), 7, "member", None);
            producer.send_offsets(&[TopicPartitionOffset::new("orders", 0, offset)], &group).await.unwrap();
            if commits { producer.commit().await.unwrap() } else { producer.abort().await.unwrap() }
        }
        producer.close().await.unwrap();
        assert_eq!(cluster.fake.committed_offset(&format!("{name}-mover"), "orders", 0), Some(5), "{name}");
        consumer.close().await.unwrap();
    }
    let bills = cluster.fake.committed_records("bills").unwrap();
    assert_eq!(bills.len(), 60 + 120, "what was aborted is not there, what was committed is there once");
    for (api, nodes) in [(ApiKey::JoinGroup, vec![1]), (ApiKey::ConsumerGroupHeartbeat, vec![2])] {
        let asked: BTreeSet<i32> = cluster.fake.request_nodes(api).into_iter().collect();
        assert_eq!(asked.into_iter().collect::<Vec<_>>(), nodes, "{api:?} went to the coordinator");
    }
    assert_eq!(cluster.fake.request_nodes(ApiKey::EndTxn), [2, 2, 1, 1]);
    cluster.nothing_passed_by(&outlet).await;
}
