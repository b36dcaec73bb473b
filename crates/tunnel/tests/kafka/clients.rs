//! What a client does every day must work as if the tunnel were not there.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use krafka::auth::AuthConfig;
use krafka::consumer::{AutoOffsetReset, Consumer, ConsumerGroupMetadata, GroupProtocol, IsolationLevel};
use krafka::producer::TopicPartitionOffset;
use krafka::testing::ApiKey;
use krafka::{Kafka, Record};

use crate::world::World;

const WAIT: Duration = Duration::from_secs(30);

async fn values(consumer: &Consumer, count: usize) -> BTreeSet<String> {
    let mut values = BTreeSet::new();
    let reading = async {
        while values.len() < count {
            for record in consumer.poll(Duration::from_millis(500)).await.expect("the poll succeeds") {
                values.insert(String::from_utf8(record.value.expect("a value").to_vec()).expect("text"));
            }
        }
    };
    tokio::time::timeout(WAIT, reading).await.expect("the records arrive in time");
    values
}

fn expected(prefix: &str, count: usize) -> BTreeSet<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_go_to_every_broker_and_come_back() {
    let world = World::start().await;
    world.cluster.create_topic("events", 6);
    let kafka = world.kafka().await;
    let producer = kafka.producer().build().await.unwrap();
    for number in 0..60 {
        let _ = producer.send(Record::new("events", format!("v{number}")).key(format!("k{number}"))).await.unwrap();
    }
    let reader = kafka.consumer_without_group().auto_offset_reset(AutoOffsetReset::Earliest).build().await.unwrap();
    reader.assign("events", (0..6).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(values(&reader, 60).await, expected("v", 60));
    reader.close().await.unwrap();
    producer.close().await.unwrap();
    assert!(world.inlet.traffic.rewritten.load(Ordering::Relaxed) > 0);
    world.assert_nothing_passed_by();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_moved_is_found_by_the_hint_in_the_produce_answer() {
    let world = World::start().await;
    world.cluster.create_topic("events", 3);
    let kafka = world.kafka().await;
    let producer = kafka.producer().build().await.unwrap();
    for number in 0..30 {
        let (partition, leader) = (number % 3, (number / 3) % 3);
        world.cluster.set_leader("events", partition, leader);
        let record = Record::new("events", format!("v{number}")).partition(partition);
        let _ = tokio::time::timeout(WAIT, producer.send(record)).await.expect("in time").unwrap();
    }
    producer.close().await.unwrap();
    assert!(
        world.cluster.requests().iter().any(|request| request.api_key == ApiKey::Produce && request.api_version >= 12)
    );
    world.assert_nothing_passed_by();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_commit_abort_and_carry_offsets() {
    let world = World::start().await;
    world.cluster.create_topic("events", 6);
    let kafka = world.kafka().await;
    let producer = kafka.producer().build_transactional("mover").await.unwrap();
    let group = ConsumerGroupMetadata::new("etl", 7, "member-1", None);
    for (prefix, commits) in [("lost", false), ("kept", true)] {
        producer.begin().unwrap();
        for number in 0..30 {
            let _ = producer
                .send(Record::new("events", format!("{prefix}{number}")).key(format!("k{number}")))
                .await
                .unwrap();
        }
        producer.send_offsets(&[TopicPartitionOffset::new("source", 0, 42)], &group).await.unwrap();
        if commits { producer.commit().await.unwrap() } else { producer.abort().await.unwrap() }
    }
    assert_eq!(world.cluster.committed_offset("etl", "source", 0), Some(42));
    let reader = kafka
        .consumer_without_group()
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .isolation_level(IsolationLevel::ReadCommitted)
        .build()
        .await
        .unwrap();
    reader.assign("events", (0..6).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(values(&reader, 30).await, expected("kept", 30));
    world.assert_nothing_passed_by();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_both_protocols_join_read_and_commit() {
    let world = World::start().await;
    world.cluster.create_topic("events", 6);
    let kafka = world.kafka().await;
    let producer = kafka.producer().build().await.unwrap();
    for number in 0..60 {
        let _ = producer.send(Record::new("events", format!("v{number}")).key(format!("k{number}"))).await.unwrap();
    }
    for (group, protocol) in [("classic", GroupProtocol::Classic), ("modern", GroupProtocol::Consumer)] {
        let kafka = world.kafka().await;
        let consumer = kafka
            .consumer(group)
            .group_protocol(protocol)
            .auto_offset_reset(AutoOffsetReset::Earliest)
            .build()
            .await
            .unwrap();
        consumer.subscribe(["events"]).await.unwrap();
        assert_eq!(values(&consumer, 60).await, expected("v", 60), "{group}");
        consumer.commit().await.unwrap();
        let committed: i64 = (0..6).filter_map(|at| world.cluster.committed_offset(group, "events", at)).sum();
        assert_eq!(committed, 60, "{group}");
        consumer.close().await.unwrap();
    }
    world.assert_nothing_passed_by();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_passes_untouched() {
    let world = World::start().await;
    world.cluster.require_sasl_plain("user", "secret");
    world.cluster.create_topic("events", 6);
    let kafka = Kafka::builder(world.bootstrap.clone())
        .security(AuthConfig::sasl_plain("user", "secret"))
        .connect()
        .await
        .unwrap();
    let producer = kafka.producer().build().await.unwrap();
    for number in 0..30 {
        let _ = producer.send(Record::new("events", "v").key(format!("k{number}"))).await.unwrap();
    }
    assert!(world.cluster.request_count(ApiKey::SaslAuthenticate) > 0);
    world.assert_nothing_passed_by();
}
