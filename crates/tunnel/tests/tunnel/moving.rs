//! A cluster that changes while a client is at work: brokers join, leave and move, and nobody restarts anything.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use krafka::producer::Producer;
use krafka::testing::ApiKey;
use krafka::{Kafka, Record};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tunnel::wire::{Kind, Reason};

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

/// The relay calls outlets of one name in turn, so that a broker's port may reach one through which no answer has named
/// that broker yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_reached_through_whichever_of_two_outlets_knows_it() {
    let world = World::start().await;
    let cluster = Cluster::start(Door::Plain, 0).await;
    let (one, two) = (world.outlet(cluster.target(None)).await, world.outlet(cluster.target(None)).await);
    let (inlet, address) = world.inlet(Kind::Kafka).await;
    // By hand: a client of the library tries again when it is reset, and would hide what this is about.
    let found = metadata(address).await.unwrap().brokers;
    assert_eq!(found.len(), 3);
    // Not the bootstrap server: every outlet knows that one, and learns of the others by what it answers.
    for broker in found.iter().filter(|broker| broker.node_id.0 != 0) {
        let port = u16::try_from(broker.port).unwrap();
        metadata((address.ip(), port).into()).await.unwrap_or_else(|error| panic!("port {port}: {error}"));
    }
    let unknown = || one.metrics.refusals(Reason::Target) + two.metrics.refusals(Reason::Target);
    assert!(unknown() > 0, "no outlet was asked for a broker that it did not know");
    assert_eq!(inlet.metrics.refusals(Reason::Target), unknown());
}

/// What the cluster says of itself, asked on a connection of its own.
async fn metadata(address: SocketAddr) -> std::io::Result<MetadataResponse> {
    const VERSION: i16 = 12;
    let mut request = BytesMut::new();
    let header = RequestHeader::default().with_request_api_key(3).with_request_api_version(VERSION);
    header.encode(&mut request, MetadataRequest::header_version(VERSION)).unwrap();
    MetadataRequest::default().encode(&mut request, VERSION).unwrap();
    let mut stream = TcpStream::connect(address).await?;
    stream.write_i32(i32::try_from(request.len()).unwrap()).await?;
    stream.write_all(&request).await?;
    let mut answer = vec![0; usize::try_from(stream.read_i32().await?).unwrap()];
    stream.read_exact(&mut answer).await?;
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, MetadataResponse::header_version(VERSION)).unwrap();
    Ok(MetadataResponse::decode(&mut answer, VERSION).unwrap())
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
