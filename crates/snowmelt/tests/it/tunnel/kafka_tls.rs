//! `--kafka-tls` and what belongs to it: the outlet speaks TLS to the brokers, and says what is wrong when it cannot.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use krafka::testing::FakeBroker;
use krafka::{Kafka, Record};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::certificates::{Leaf, Signer};
use super::harness::{INLET, LIMIT, OUTLET, Program, Project, page, snowmelt, text};

/// A cluster of three behind TLS, and how many connections came through the TLS to a broker. Not what the brokers were
/// asked: their own ports are plain, and a client of another test may knock at one that was its own broker's before.
struct Cluster {
    brokers: FakeBroker,
    reached: Arc<AtomicUsize>,
}

async fn cluster(server: &Arc<ServerConfig>) -> Cluster {
    let reached = Arc::new(AtomicUsize::new(0));
    let cluster = FakeBroker::start_cluster(3).await.unwrap();
    cluster.create_topic("orders", 3);
    for node in 0..3 {
        let broker = cluster.broker_addr(node).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(server));
        let counted = Arc::clone(&reached);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    counted.fetch_add(1, Ordering::Relaxed);
                    let mut to = TcpStream::connect(broker).await?;
                    tokio::io::copy_bidirectional(&mut stream, &mut to).await
                });
            }
        });
        cluster.with_state(|state| {
            let broker = state.brokers.iter_mut().find(|broker| broker.node_id == node).unwrap();
            broker.port = i32::from(address.port());
        });
    }
    Cluster { brokers: cluster, reached }
}

fn first(cluster: &Cluster) -> String {
    cluster.brokers.with_state(|state| format!("{}:{}", state.brokers[0].host, state.brokers[0].port))
}

async fn write(inlet: SocketAddr) -> krafka::Result<()> {
    let short = Duration::from_secs(2);
    let kafka = Kafka::builder(inlet.to_string()).connect_timeout(short).request_timeout(short).connect().await?;
    let producer = kafka.producer().build().await?;
    for index in 0..30 {
        let _ = producer.send(Record::new("orders", "v").partition(index % 3)).await?;
    }
    producer.close().await
}

struct Pair {
    outlet: Program,
    inlet: Program,
    address: SocketAddr,
    /// Where outlet and inlet serve their figures.
    pages: [SocketAddr; 2],
}

/// An outlet with these options under a name of its own, and an inlet that calls it.
async fn pair(project: &Project, name: &str, cluster: &Cluster, options: &[&str], trusted: Option<&Path>) -> Pair {
    let mut pages = Vec::new();
    for _ in 0..2 {
        pages.push(TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    }
    let figures = [pages[0].to_string(), pages[1].to_string()];
    let (bootstrap, state) = (first(cluster), format!("{name}-outlet"));
    let begin = ["outlet", "--relay", name, "--bootstrap-server", &bootstrap, "--allow", INLET, "--state", &state];
    let log = project.folder.path().join(format!("{state}.log"));
    let file = std::fs::File::create(&log).unwrap();
    let mut command = snowmelt(&[&begin[..], &["--metrics", &figures[0], "--kafka-tls"], options].concat());
    command.current_dir(project.folder.path()).stdout(Stdio::null()).stderr(file).env("NO_COLOR", "1");
    command.env("SNOWMELT_TICKET", project.ticket(&["--attribute", OUTLET, "--relay", name]).await);
    if let Some(trusted) = trusted {
        command.env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR");
    }
    let outlet = Program { child: command.spawn().unwrap(), log };
    outlet.says("connected to the relay").await;
    let state = format!("{name}-inlet");
    let options = ["inlet", "--from", "127.0.0.1:0", "--to", name, "--allow", OUTLET, "--state", &state];
    let ticket = project.ticket(&["--attribute", INLET]).await;
    let inlet = project.start(&state, &[&options[..], &["--metrics", &figures[1]]].concat(), Some(&ticket));
    let address = inlet.address("inlet listens").await;
    Pair { outlet, inlet, address, pages: [pages[0], pages[1]] }
}

fn file(path: &Path) -> &str {
    path.to_str().unwrap()
}

const REFUSED: &str = "snowmelt_tunnel_refusals_total{reason=\"unreachable\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_are_reached_with_the_certificates_that_the_options_name() {
    let project = Project::create().await;
    let _served = project.serve().await;
    let folder = project.folder.path();
    let (brokers, clients) = (Signer::new(folder, "brokers"), Signer::new(folder, "clients"));
    let known: Leaf = brokers.sign("127.0.0.1");
    let own = clients.sign("outlet");

    let mutual = cluster(&known.server(Some(&clients))).await;
    let options =
        ["--kafka-ca", file(&brokers.file), "--kafka-certificate", file(&own.chain), "--kafka-key", file(&own.key)];
    let given = pair(&project, "mutual", &mutual, &options, None).await;
    tokio::time::timeout(LIMIT, write(given.address)).await.unwrap().unwrap();
    assert_eq!(mutual.brokers.all_records("orders").unwrap().len(), 30);
    assert!(!page(given.pages[0], "/metrics").await.contains(REFUSED));
    assert!(mutual.reached.load(Ordering::Relaxed) >= 3, "what is counted below is counted");

    // Without --kafka-ca the machine's own are believed.
    let plain = cluster(&known.server(None)).await;
    let given = pair(&project, "machine", &plain, &[], Some(&brokers.file)).await;
    tokio::time::timeout(LIMIT, write(given.address)).await.unwrap().unwrap();
    assert_eq!(plain.brokers.all_records("orders").unwrap().len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_certificate_stands_in_the_logs_and_is_counted() {
    let project = Project::create().await;
    let _served = project.serve().await;
    let folder = project.folder.path();
    let (brokers, clients) = (Signer::new(folder, "brokers"), Signer::new(folder, "clients"));
    let known = brokers.sign("127.0.0.1");

    // The outlet does not believe the brokers: it and the inlet say so.
    let plain = cluster(&known.server(None)).await;
    let wrong = pair(&project, "wrong", &plain, &["--kafka-ca", file(&clients.file)], None).await;
    assert!(tokio::time::timeout(LIMIT, write(wrong.address)).await.unwrap().is_err());
    let reason = format!("the target {}: its certificate was issued by nobody who is believed here", first(&plain));
    for (program, begin) in [(&wrong.outlet, "a call came to nothing"), (&wrong.inlet, "a client was reset")] {
        program.says(&reason).await;
        let log = program.log();
        let line = log.lines().find(|line| line.contains(&reason)).unwrap();
        assert!(line.contains("WARN") && line.contains(begin) && line.contains("--kafka-ca"), "{line}");
    }
    for pages in wrong.pages {
        assert!(page(pages, "/metrics").await.contains(REFUSED), "it is counted on both sides");
    }

    // The brokers want to see a certificate, and the outlet has none.
    let mutual = cluster(&known.server(Some(&clients))).await;
    let without = pair(&project, "without", &mutual, &["--kafka-ca", file(&brokers.file)], None).await;
    assert!(tokio::time::timeout(LIMIT, write(without.address)).await.unwrap().is_err());
    without.outlet.says("it wants a client certificate; give one with --kafka-certificate and --kafka-key").await;
    assert!(page(without.pages[0], "/metrics").await.contains(REFUSED), "the outlet counts it");
    let reached = [&plain, &mutual].map(|cluster| cluster.reached.load(Ordering::Relaxed));
    assert_eq!(reached, [0, 0], "no broker was reached");

    for (options, words) in [
        (["--kafka-ca", "nowhere.pem"], "the certificates of nowhere.pem cannot be used"),
        (["--kafka-ca", "outlet.key"], "the certificates of outlet.key cannot be used: it holds no certificate"),
        (["--kafka-certificate", file(&known.chain)], "--kafka-key"),
    ] {
        std::fs::write(folder.join("outlet.key"), "").unwrap();
        let begin = ["outlet", "--relay", "without", "--bootstrap-server", "kafka:9092", "--allow", INLET];
        let output = project.run(&[&begin[..], &["--state", "without-outlet", "--kafka-tls"], &options].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(words), "{options:?}: {}", text(&output.stderr));
    }
}
