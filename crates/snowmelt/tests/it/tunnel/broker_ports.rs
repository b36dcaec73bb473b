//! Which local ports brokers get and under which name clients hear of them: `--broker-ports` and `--advertise`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use krafka::testing::FakeBroker;
use krafka::{Kafka, Record};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::harness::{INLET, LIMIT, OUTLET, Program, Project};

/// Ports in a row that nobody has, below those that the system hands out by itself.
async fn free(count: u16) -> RangeInclusive<u16> {
    for _ in 0..1000 {
        let first = 15_000 + rand::random::<u16>() % 15_000;
        let range = first..=first + count - 1;
        let mut listeners = Vec::new();
        for port in range.clone() {
            listeners.extend(TcpListener::bind(("127.0.0.1", port)).await);
        }
        if listeners.len() == usize::from(count) {
            return range;
        }
    }
    panic!("no {count} free ports in a row");
}

/// The brokers of a `Metadata` answer (version 12), as a client gets it; none when the connection is reset instead.
async fn brokers(inlet: SocketAddr) -> std::io::Result<Vec<(i32, String, u16)>> {
    let mut stream = TcpStream::connect(inlet).await?;
    // Key, version, correlation id, no client id, no tags; all topics, nothing made, nothing more, no tags.
    let request = [0, 3, 0, 12, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0, 0];
    stream.write_all(&[&u32::try_from(request.len()).unwrap().to_be_bytes()[..], &request].concat()).await?;
    let length = usize::try_from(stream.read_i32().await?).unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    // Correlation id, tags, throttle time.
    let mut rest = &answer[9..];
    let mut take = |length: usize| {
        let (taken, left) = rest.split_at(length);
        rest = left;
        taken.to_vec()
    };
    let count = take(1)[0] - 1;
    let brokers = (0..count).map(|_| {
        let id = i32::from_be_bytes(take(4).try_into().unwrap());
        let length = usize::from(take(1)[0]) - 1;
        let host = String::from_utf8(take(length)).unwrap();
        let port = u16::try_from(i32::from_be_bytes(take(4).try_into().unwrap())).unwrap();
        assert_eq!(take(2), [0, 0], "no rack, no tags");
        (id, host, port)
    });
    Ok(brokers.collect())
}

/// A project whose outlet is beside a cluster of three.
async fn beside(cluster: &FakeBroker) -> (Project, [Program; 2]) {
    cluster.create_topic("orders", 3);
    let project = Project::create().await;
    let served = project.serve().await;
    let bootstrap = cluster.bootstrap_servers();
    let first = bootstrap.split(',').next().unwrap();
    let ticket = project.ticket(&["--attribute", OUTLET, "--relay", "kafka"]).await;
    let options = ["outlet", "--relay", "kafka", "--bootstrap-server", first, "--allow", INLET];
    let outlet = project.start("outlet", &options, Some(&ticket));
    outlet.says("connected to the relay").await;
    (project, [served, outlet])
}

async fn inlet(project: &Project, more: &[&str]) -> (Program, SocketAddr) {
    let ticket = project.ticket(&["--attribute", INLET]).await;
    let options = [&["inlet", "--from", "127.0.0.1:0", "--to", "kafka", "--allow", OUTLET], more].concat();
    let inlet = project.start("inlet", &options, Some(&ticket));
    let address = inlet.address("inlet listens").await;
    (inlet, address)
}

async fn write(bootstrap: &str) -> krafka::Result<()> {
    let short = Duration::from_secs(2);
    let kafka = Kafka::builder(bootstrap).connect_timeout(short).request_timeout(short).connect().await?;
    let producer = kafka.producer().build().await?;
    for index in 0..30 {
        let _ = producer.send(Record::new("orders", "v").partition(index % 3)).await?;
    }
    producer.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_get_ports_of_the_range_and_the_name_that_is_advertised() {
    let cluster = FakeBroker::start_cluster(3).await.unwrap();
    let (project, _running) = beside(&cluster).await;
    let range = free(4).await;
    // Somebody else has one of them.
    let taken = TcpListener::bind(("127.0.0.1", *range.start() + 1)).await.unwrap();
    let text = format!("{}-{}", range.start(), range.end());
    let (mut inlet, address) = inlet(&project, &["--broker-ports", &text, "--advertise", "localhost"]).await;

    let named = tokio::time::timeout(LIMIT, brokers(address)).await.unwrap().unwrap();
    let expected = [(0, 0), (1, 2), (2, 3)].map(|(id, offset)| (id, "localhost".to_owned(), range.start() + offset));
    assert_eq!(named, expected);
    let log = inlet.log();
    assert!(log.contains("a port of the range cannot be used"), "{log}");
    for (id, _, port) in &named {
        let line =
            log.lines().find(|line| line.contains("a broker has a port") && line.contains(&format!("broker {id} ")));
        assert!(line.is_some_and(|line| line.contains(&format!("port={port}"))), "broker {id}: {log}");
    }
    // Under the name, through all three ports, and again the same ports.
    tokio::time::timeout(LIMIT, write(&format!("localhost:{}", address.port()))).await.unwrap().unwrap();
    let asked: BTreeSet<i32> = cluster.requests().iter().map(|request| request.node_id).collect();
    assert_eq!(asked, BTreeSet::from([0, 1, 2]));
    assert_eq!(brokers(address).await.unwrap(), expected);
    let port = taken.local_addr().unwrap().port();
    assert!(
        inlet.log().lines().filter(|line| line.contains("cannot be used")).all(|line| line.contains(&port.to_string()))
    );
    inlet.stop().await;
}

/// Without the option a client hears the address that it came in by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_name_brokers_are_where_the_client_came_in() {
    let cluster = FakeBroker::start_cluster(3).await.unwrap();
    let (project, _running) = beside(&cluster).await;
    let (mut inlet, address) = inlet(&project, &[]).await;
    let named = tokio::time::timeout(LIMIT, brokers(address)).await.unwrap().unwrap();
    assert_eq!(
        named.iter().map(|(id, host, _)| (*id, host.as_str())).collect::<Vec<_>>(),
        [(0, "127.0.0.1"), (1, "127.0.0.1"), (2, "127.0.0.1")]
    );
    let ports: BTreeSet<u16> = named.iter().map(|(_, _, port)| *port).chain([address.port()]).collect();
    assert_eq!(ports.len(), 4, "each has a port of its own");
    tokio::time::timeout(LIMIT, write(&address.to_string())).await.unwrap().unwrap();
    inlet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_is_too_small_is_said_and_serves_a_cluster_that_fits() {
    let cluster = FakeBroker::start_cluster(3).await.unwrap();
    let (project, _running) = beside(&cluster).await;
    let range = free(2).await;
    let text = format!("{}-{}", range.start(), range.end());
    let (mut inlet, address) = inlet(&project, &["--broker-ports", &text]).await;

    let reset = tokio::time::timeout(LIMIT, brokers(address)).await.expect("the client is told, not kept").unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset, "{reset}");
    let written = tokio::time::timeout(2 * LIMIT, write(&address.to_string())).await.expect("the client gives up");
    assert!(written.is_err(), "a record was written");
    let log = inlet.log();
    let line = log.lines().find(|line| line.contains("a broker has no port")).unwrap_or_else(|| panic!("{log}"));
    for word in ["ERROR", "broker 2", "2 usable ports", "widen the range of broker ports"] {
        assert!(line.contains(word), "{word}: {line}");
    }

    // The inlet has not ended, and what the cluster becomes is served without another start.
    cluster.with_state(|state| state.brokers.truncate(2));
    for partition in 0..3 {
        cluster.set_leader("orders", partition, partition % 2);
    }
    let named = tokio::time::timeout(LIMIT, brokers(address)).await.unwrap().unwrap();
    assert_eq!(named.iter().map(|(_, _, port)| *port).collect::<Vec<_>>(), range.collect::<Vec<_>>());
    tokio::time::timeout(LIMIT, write(&address.to_string())).await.unwrap().unwrap();
    inlet.stop().await;
}
