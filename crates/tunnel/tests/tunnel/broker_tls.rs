//! TLS from the outlet to the brokers: believed or not, with a client certificate or without.

use std::time::Duration;

use krafka::{Kafka, Record};
use tunnel::outlet::KafkaTls;
use tunnel::wire::{Kind, Reason};

use crate::certificates::{Leaf, Signer};
use crate::cluster::{Cluster, Door};
use crate::world::{INLET, LIMIT, OUTLET, World, eventually};

async fn write(address: std::net::SocketAddr, count: usize) -> Result<(), krafka::error::KrafkaError> {
    let short = Duration::from_secs(2);
    let kafka = Kafka::builder(address.to_string()).connect_timeout(short).request_timeout(short).connect().await?;
    let producer = kafka.producer().build().await?;
    for index in 0..count {
        let _ = producer.send(Record::new("orders", format!("{index}")).key(format!("{index}"))).await?;
    }
    producer.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_broker_is_reached_with_tls_and_a_client_certificate() {
    let world = World::start().await;
    let folder = world.directory.path();
    let (brokers, clients) = (Signer::new(folder, "brokers"), Signer::new(folder, "clients"));
    let server = brokers.sign("127.0.0.1").server(Some(&clients));
    let cluster = Cluster::start(Door::Tls(server), 0).await;
    cluster.fake.create_topic("orders", 3);
    let own = clients.sign("outlet");
    let tls = KafkaTls { ca: Some(brokers.file.clone()), certificate: Some((own.chain, own.key)) };
    let outlet = world.outlet(cluster.target(Some(tls))).await;
    let (_inlet, address) = world.inlet(Kind::Kafka).await;
    tokio::time::timeout(LIMIT, write(address, 30)).await.unwrap().unwrap();
    assert_eq!(cluster.fake.committed_records("orders").unwrap().len(), 30);
    assert_eq!(cluster.asked().into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(outlet.metrics.refusals(Reason::Unreachable), 0);
    cluster.nothing_passed_by(&outlet).await;
}

/// Each of these must be found by the outlet, which is who can say why, and counted where a client was lost by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_believed_and_one_that_does_not_believe_are_refused_with_the_reason() {
    let world = World::start().await;
    let folder = world.directory.path();
    let (brokers, clients) = (Signer::new(folder, "brokers"), Signer::new(folder, "clients"));
    let others = Signer::new(folder, "others");
    let right = clients.sign("right");
    let wrong = others.sign("wrong");
    let shown = |leaf: &Leaf| Some((leaf.chain.clone(), leaf.key.clone()));
    let known = brokers.sign("127.0.0.1");
    let elsewhere = brokers.sign("kafka.example.com");
    let cases = [
        ("unknown-issuer", Door::Tls(known.server(None)), others.file.clone(), None, true),
        ("another-name", Door::Tls(elsewhere.server(None)), brokers.file.clone(), None, true),
        ("no-tls", Door::Plain, brokers.file.clone(), None, true),
        ("no-client-certificate", Door::Tls(known.server(Some(&clients))), brokers.file.clone(), None, false),
        ("issuer-unknown-there", Door::Tls(known.server(Some(&clients))), brokers.file.clone(), shown(&wrong), false),
    ];
    for (what, door, ca, certificate, inlet_hears) in cases {
        let cluster = Cluster::start(door.clone(), 0).await;
        cluster.fake.create_topic("orders", 3);
        let node = world.join(what, Some(world.ticket(&[OUTLET], &[what]))).await.unwrap();
        let tls = Some(KafkaTls { ca: Some(ca), certificate });
        let outlet = world.run_outlet(node.into(), what, INLET, cluster.target(tls)).await;
        let node = world.join(&format!("inlet-{what}"), Some(world.ticket(&[INLET], &[]))).await.unwrap();
        let (inlet, address) = world.run_inlet(node.into(), what, OUTLET, Kind::Kafka).await;
        let ended = tokio::time::timeout(LIMIT, write(address, 1)).await.expect("the client is told, not kept");
        assert!(ended.is_err(), "{what}: a record was written");
        eventually(what, || outlet.metrics.refusals(Reason::Unreachable) > 0).await;
        if inlet_hears {
            eventually(what, || inlet.metrics.refusals(Reason::Unreachable) > 0).await;
        } else {
            eventually(what, || !inlet.metrics.text().contains("snowmelt_tunnel_streams_broken_total 0\n")).await;
        }
        assert_eq!(cluster.fake.requests(), [], "{what}: the broker was asked something");
    }
    // The same broker with the right certificate, so that none of the above failed for another reason.
    let cluster = Cluster::start(Door::Tls(known.server(Some(&clients))), 0).await;
    cluster.fake.create_topic("orders", 3);
    let tls = KafkaTls { ca: Some(brokers.file.clone()), certificate: shown(&right) };
    let _outlet = world.outlet(cluster.target(Some(tls))).await;
    let (_inlet, address) = world.inlet(Kind::Kafka).await;
    tokio::time::timeout(LIMIT, write(address, 3)).await.unwrap().unwrap();
}
