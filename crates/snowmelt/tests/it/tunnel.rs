//! The tunnel's commands as people type them: every process is the real program, and is judged by what it prints, what
//! it logs and how it exits. What the tunnel itself does is proved in `crates/tunnel`.

mod broker_ports;
#[path = "../../../tunnel/tests/tunnel/certificates.rs"]
mod certificates;
mod files;
mod harness;
mod kafka_tls;
mod kills;
mod own_inlet;
mod relay_certificate;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use krafka::consumer::AutoOffsetReset;
use krafka::testing::FakeBroker;
use krafka::{Kafka, Record};
use tokio::net::TcpListener;

use self::harness::{INLET, LIMIT, OUTLET, Program, Project, echo, exchange, page, snowmelt, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_come_through_and_tickets_show_in_no_log() {
    let project = Project::create().await;
    let mut served = project.serve().await;
    let (mut outlet, one) = project.outlet(echo().await).await;
    let (mut inlet, address, two) = project.inlet().await;
    assert_eq!(exchange(address, b"through the tunnel").await.unwrap(), b"through the tunnel");

    inlet.stop().await;
    // A member comes back without a ticket.
    let options = ["inlet", "--from", "127.0.0.1:0", "--to", "kafka", "--kind", "tcp", "--allow", OUTLET];
    let mut again = project.start("inlet-again", &options, None);
    let address = again.address("inlet listens").await;
    assert_eq!(exchange(address, b"once more").await.unwrap(), b"once more");

    for program in [&mut again, &mut outlet, &mut served] {
        program.stop().await;
    }
    for program in [&served, &outlet, &inlet, &again] {
        let log = program.log();
        for ticket in [&one, &two] {
            let payload = ticket.split('.').nth(1).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
            let secret = json["s"].as_str().unwrap();
            assert!(!log.contains(payload) && !log.contains(secret), "a ticket stands in {}", program.log.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_client_writes_and_reads_through_it() {
    let project = Project::create().await;
    let _served = project.serve().await;
    let cluster = FakeBroker::start_cluster(3).await.unwrap();
    cluster.create_topic("orders", 3);
    let bootstrap = cluster.bootstrap_servers();
    // The other brokers must be learned from the cluster's own answers.
    let first = bootstrap.split(',').next().unwrap();
    let ticket = project.ticket(&["--attribute", OUTLET, "--relay", "kafka"]).await;
    let options = ["outlet", "--relay", "kafka", "--bootstrap-server", first, "--allow", INLET];
    let outlet = project.start("outlet", &options, Some(&ticket));
    outlet.says("connected to the relay").await;
    let ticket = project.ticket(&["--attribute", INLET]).await;
    let options = [
        "inlet",
        "--from",
        "127.0.0.1:0",
        "--to",
        "kafka",
        "--allow",
        "snowflake-kafka-outlet and not test",
        "--advertise",
        "127.0.0.1",
    ];
    let inlet = project.start("inlet", &options, Some(&ticket));
    let address = inlet.address("inlet listens").await;

    let kafka = Kafka::builder(address.to_string()).connect().await.unwrap();
    let producer = kafka.producer().build_transactional("through-the-tunnel").await.unwrap();
    producer.begin().unwrap();
    for index in 0..30 {
        let record = Record::new("orders", index.to_string()).key(index.to_string());
        drop(producer.enqueue(record).await.unwrap());
    }
    producer.commit().await.unwrap();
    producer.close().await.unwrap();
    let consumer = kafka.consumer_without_group().auto_offset_reset(AutoOffsetReset::Earliest).build().await.unwrap();
    consumer.assign("orders", vec![0, 1, 2]).await.unwrap();
    let mut read = BTreeSet::new();
    let reading = async {
        while read.len() < 30 {
            for record in consumer.poll(Duration::from_millis(200)).await.unwrap() {
                assert!(read.insert(record.value.unwrap()), "a record came twice");
            }
        }
    };
    tokio::time::timeout(LIMIT, reading).await.expect("all records are read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_of_its_own_waits_for_the_authority_and_carries() {
    let folder = tempfile::tempdir().unwrap();
    let free = async || TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (address, relay_address) = (free().await, free().await);
    let project = Project { folder, address };
    let (at, relay_at) = (address.to_string(), relay_address.to_string());
    let made = project.run(&["project", "create", "--relay", &relay_at, "--authority", &at]).await;
    assert!(text(&made.stdout).contains("--no-relay") && text(&made.stdout).contains("snowmelt relay"));
    let list = project.run(&["project", "show", "--egress-allow-list"]).await;
    let mut both = [format!("'{at}'"), format!("'{relay_at}'")];
    both.sort();
    assert_eq!(text(&list.stdout), format!("({})\n", both.join(", ")));

    let ticket = project.ticket(&["--attribute", "snowmelt-relay"]).await;
    let mut relay = project.start("relay", &["relay", "--listen", &relay_at], Some(&ticket));
    relay.says("not a member yet; trying again").await;
    let mut served = project.start("serve", &["project", "serve", "--no-relay", "--listen", &at], None);
    assert_eq!(relay.address("relay listens").await, relay_address);
    let (mut outlet, _) = project.outlet(echo().await).await;
    let (mut inlet, address, _) = project.inlet().await;
    assert_eq!(exchange(address, b"hello").await.unwrap(), b"hello");
    for program in [&mut inlet, &mut outlet, &mut relay, &mut served] {
        program.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_project_refuses_ends_with_3_and_the_reason() {
    let project = Project::create().await;
    let _served = project.serve().await;
    let (_outlet, used) = project.outlet(echo().await).await;
    let mut late = project.start(
        "late",
        &["outlet", "--state", "late", "--relay", "kafka", "--bootstrap-server", "kafka:9092", "--allow", INLET],
        Some(&used),
    );
    assert_eq!(late.end().await, Some(3), "{}", late.log());
    assert!(late.log().contains("all uses of the ticket are used up"), "{}", late.log());

    let attribute = project.ticket(&["--attribute", INLET]).await;
    let mut relay = project.start("relay", &["relay", "--listen", "127.0.0.1:0"], Some(&attribute));
    assert_eq!(relay.end().await, Some(3), "{}", relay.log());
    assert!(relay.log().contains("lacks the attribute snowmelt-relay"), "{}", relay.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_outlet_ends_and_says_why() {
    let project = Project::create().await;
    let _served = project.serve().await;
    let (mut outlet, _) = project.outlet(echo().await).await;
    let nodes = project.nodes(OUTLET).await;
    let [node] = nodes.as_slice() else { panic!("one outlet has joined, not {nodes:?}") };

    let output = project.run(&["project", "revoke", node]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(outlet.end().await, Some(3), "{}", outlet.log());
    assert!(outlet.log().contains(&format!("node {node} was revoked")), "{}", outlet.log());
    let listed = project.run(&["project", "nodes"]).await;
    assert!(text(&listed.stdout).contains(node) && text(&listed.stdout).contains("REVOKED"), "{listed:?}");

    let unknown = project.run(&["project", "revoke", "0123456789abcdef"]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("has no node 0123456789abcdef"), "{}", text(&unknown.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_that_cannot_be_right_end_with_2_and_show_no_secret() {
    let project = Project::create().await;
    let ticket = project.ticket(&["--attribute", INLET]).await;
    let cut = &ticket[..ticket.len() - 3];
    let outlet = ["outlet", "--relay", "kafka", "--allow", INLET];
    let inlet = ["inlet", "--to", "kafka", "--allow", OUTLET];
    for (arguments, words) in [
        ([&inlet[..], &["--ticket-file", "nowhere"]].concat(), "--ticket-file nowhere cannot be read"),
        ([&inlet[..], &["--ticket", " "]].concat(), "give it a ticket"),
        // Without a policy nothing starts.
        (vec!["outlet", "--relay", "kafka", "--bootstrap-server", "kafka:9092"], "--allow"),
        (vec!["inlet", "--to", "kafka", "--ticket", &ticket], "--allow"),
        ([&inlet[..], &["--ticket", cut]].concat(), "the ticket was altered or cut"),
        (inlet.to_vec(), "give it a ticket"),
        ([&inlet[..], &["--kind", "tcp", "--broker-ports", "1-2"]].concat(), "--broker-ports"),
        (outlet.to_vec(), "--bootstrap-server"),
        ([&outlet[..], &["--kind", "tcp"]].concat(), "--target"),
        ([&outlet[..], &["--kafka-ca", "ca.pem"]].concat(), "--kafka-tls"),
        (vec!["project", "ticket"], "--attribute"),
        (vec!["project", "ticket", "--attribute", "snowmelt-authority"], "no ticket can give"),
        (vec!["project", "create", "--relay", "relay.example.com:443"], "holds a project already"),
        (vec!["project", "show", "--dir", "elsewhere"], "snowmelt project create"),
    ] {
        let output = project.run(&arguments).await;
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(words), "{arguments:?}: {errors}");
        assert!(!errors.contains(&cut[10..60]), "a ticket is shown: {arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_shown_for_people_for_programs_and_for_snowflake() {
    let project = Project::create().await;
    let list = project.run(&["project", "show", "--egress-allow-list"]).await;
    assert_eq!(text(&list.stdout), format!("('{}')\n", project.address));
    let json = project.run(&["project", "show", "--json"]).await;
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["relay"], project.address.to_string());
    assert_eq!(json["credential_lifetime_seconds"], 24 * 3600);
    let shown = project.run(&["project", "show"]).await;
    for value in ["id", "fingerprint", "relay", "authority"] {
        assert!(text(&shown.stdout).contains(json[value].as_str().unwrap()), "{value}: {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_waits_lives_and_is_not_ready() {
    let project = Project::create().await;
    let ticket = project.ticket(&["--attribute", INLET]).await;
    let pages = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let metrics = pages.to_string();
    let options = ["inlet", "--from", "127.0.0.1:0", "--to", "kafka", "--allow", OUTLET, "--metrics", &metrics];
    let mut inlet = project.start("inlet", &options, Some(&ticket));
    inlet.says("not a member yet; trying again").await;
    assert!(page(pages, "/health/live").await.starts_with("HTTP/1.1 200"));
    assert!(page(pages, "/health/ready").await.starts_with("HTTP/1.1 503"));

    let _served = project.serve().await;
    inlet.says("connected to the relay").await;
    assert!(page(pages, "/health/ready").await.starts_with("HTTP/1.1 200"));
    assert!(page(pages, "/metrics").await.contains("snowmelt_tunnel_ready 1"));

    let mut second =
        project.start("second", &["project", "serve", "--listen", "127.0.0.1:0", "--metrics", &metrics], None);
    assert_eq!(second.end().await, Some(2), "{}", second.log());
    assert!(second.log().contains("choose another address with --metrics"), "{}", second.log());
    inlet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_from_the_environment_needs_no_disk() {
    let project = Project::create().await;
    let _served = project.serve().await;
    let ticket = project.ticket(&["--attribute", INLET]).await;
    let key = tunnel::identity::Identity::generate().unwrap();
    let pem = key.to_pem(None).unwrap();
    let options = ["inlet", "--from", "127.0.0.1:0", "--to", "kafka", "--allow", OUTLET];
    // The ticket has one use, and the same key may use it again: a container that starts anew has nothing else.
    for name in ["first", "second"] {
        let log = project.folder.path().join(name);
        let file = std::fs::File::create(&log).unwrap();
        let mut command = snowmelt(&options);
        command.current_dir(project.folder.path()).stdout(Stdio::null()).stderr(file);
        command.env("SNOWMELT_TICKET", &ticket).env("SNOWMELT_NODE_KEY", pem.as_str());
        let mut inlet = Program { child: command.spawn().unwrap(), log };
        inlet.says("connected to the relay").await;
        inlet.stop().await;
        let body = pem.lines().nth(1).unwrap();
        assert!(inlet.log().contains(key.id().as_str()) && !inlet.log().contains(body), "{}", inlet.log());
    }
    assert!(!project.folder.path().join("inlet").exists(), "something was kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passphrase_locks_the_project() {
    let project = Project::create().await;
    let passphrase = project.folder.path().join("passphrase");
    std::fs::write(&passphrase, "correct horse\n").unwrap();
    let options = ["--dir", "locked", "--passphrase-file", "passphrase"];
    let create = [&["project", "create", "--relay", "relay.example.com:443"], &options[..]].concat();
    assert_eq!(project.run(&create).await.status.code(), Some(0));
    let closed = project.run(&["project", "show", "--dir", "locked"]).await;
    assert_eq!(closed.status.code(), Some(2));
    assert!(text(&closed.stderr).contains("is encrypted; give its passphrase"), "{}", text(&closed.stderr));
    let open = snowmelt(&["project", "show", "--dir", "locked"])
        .current_dir(project.folder.path())
        .env("SNOWMELT_PASSPHRASE", "correct horse")
        .output()
        .await
        .unwrap();
    assert_eq!(open.status.code(), Some(0), "{}", text(&open.stderr));
}
