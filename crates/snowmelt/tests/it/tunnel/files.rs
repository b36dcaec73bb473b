//! `--config FILE` of the tunnel's verbs.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use krafka::Kafka;
use krafka::testing::FakeBroker;

use super::harness::{INLET, OUTLET, Project, text};

impl Project {
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_from_files_and_the_command_line_counts_first() {
    let project = Project::create().await;
    let address = project.address.to_string();
    project.write("serve.toml", &format!("listen = \"{address}\"\nmetrics = \"127.0.0.1:0\"\n"));
    let mut served = project.start("serve", &["project", "serve", "--config", "serve.toml"], None);
    assert_eq!(served.address("authority and relay listens").await, project.address);

    let cluster = FakeBroker::start_cluster(3).await.unwrap();
    cluster.create_topic("orders", 3);
    let servers = cluster.bootstrap_servers();
    let servers: Vec<String> = servers.split(',').map(|server| format!("\"{server}\"")).collect();
    // Paths start from the file's folder, wherever the program is started.
    std::fs::create_dir(project.folder.path().join("beside")).unwrap();
    project.write("beside/ticket", &project.ticket(&["--attribute", OUTLET, "--relay", "kafka"]).await);
    project.write(
        "beside/outlet.toml",
        &format!(
            "ticket_file = \"ticket\"\nstate = \"kept\"\nrelay = \"kafka\"\nallow = \"{INLET}\"\nbootstrap_server = [{}]\n",
            servers.join(", ")
        ),
    );
    let mut outlet = project.start("outlet", &["outlet", "--config", "beside/outlet.toml"], None);
    outlet.says("connected to the relay").await;
    assert!(project.folder.path().join("beside/kept/node.key").exists());

    // The file's ticket is not looked at, because the command line has one; nor is its port.
    project.write(
        "inlet.toml",
        &format!("ticket_file = \"absent\"\nfrom = \"256.0.0.1:1\"\nto = \"kafka\"\nallow = \"{OUTLET}\"\n"),
    );
    let ticket = project.ticket(&["--attribute", INLET]).await;
    let options = ["inlet", "--config", "inlet.toml", "--from", "127.0.0.1:0", "--ticket", &ticket];
    let mut inlet = project.start("inlet", &options, None);
    let address = inlet.address("inlet listens").await;
    let kafka = Kafka::builder(address.to_string()).connect().await.unwrap();
    let topics = kafka.admin().list_topics(Default::default()).await.unwrap();
    assert!(format!("{topics:?}").contains("\"orders\""), "{topics:?}");

    for program in [&mut inlet, &mut outlet, &mut served] {
        program.stop().await;
    }
}

async fn refused(project: &Project, verb: &str, file: &str) -> Vec<String> {
    project.write("bad.toml", file);
    let Output { status, stderr, .. } = project.run(&[verb, "--config", "bad.toml"]).await;
    assert_eq!(status.code(), Some(2), "{}", text(&stderr));
    text(&stderr).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn all_that_is_wrong_with_a_file_is_said_at_once() {
    let project = Project::create().await;
    let keys = "from = 9092\nbrokerports = \"1-2\"\nticket = \"snowmelt1.secret\"\nto = [\"kafka\"]\nconfig = \"x\"\n";
    let said = refused(&project, "inlet", keys).await;
    let [from, ports, ticket, to, config] = said.as_slice() else { panic!("{said:#?}") };
    assert!(from.contains("bad.toml:1: from: ") && from.contains("; "), "{from}");
    assert_eq!(ports, "bad.toml:2: brokerports: is not an option; did you mean broker_ports?");
    assert!(
        ticket.contains("bad.toml:3: ticket: secrets may not stand in this file; ") && !ticket.contains("secret\""),
        "{ticket}"
    );
    assert!(to.contains("bad.toml:4: to: is an array, not a string; "), "{to}");
    assert!(config.contains("bad.toml:5: config: is not an option; known here are "), "{config}");

    let values = "kind = \"udp\"\nallow = \"a and\"\nrelay = \"ka fka\"\nkafka_tls = \"yes\"\nbootstrap_server = [\"kafka\", 2]\n";
    let said = refused(&project, "outlet", values).await;
    assert!(said.iter().any(|line| line.contains("bad.toml:4: kafka_tls: is a string, not a boolean; ")), "{said:#?}");
    assert!(
        said.iter().any(|line| line.contains("bad.toml:5: bootstrap_server: has an item that is not a string")),
        "{said:#?}"
    );

    let values = "kind = \"udp\"\nallow = \"a and\"\nrelay = \"ka fka\"\nbootstrap_server = \"kafka\"\n";
    let said = refused(&project, "outlet", values).await;
    let [kind, allow, relay, servers] = said.as_slice() else { panic!("{said:#?}") };
    assert_eq!(kind, "bad.toml:1: kind: \"udp\" is not one of kafka, tcp; choose one of them");
    assert!(allow.starts_with("bad.toml:2: allow: is not valid: "), "{allow}");
    assert!(relay.starts_with("bad.toml:3: relay: is not valid: ") && relay.contains("; write one such as"), "{relay}");
    assert!(servers.starts_with("bad.toml:4: bootstrap_server: is not valid: "), "{servers}");

    let said = refused(&project, "relay", "listen = [\n").await;
    assert!(said[0].contains("bad.toml:") && said[0].contains("is not TOML"), "{said:#?}");
    let said = refused(&project, "inlet", "to = \"kafka\"\n").await.join("\n");
    assert!(said.contains("required") && said.contains("--allow"), "{said}");
    let output = project.run(&["inlet", "--config", "absent.toml"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("absent.toml: cannot be read: "), "{}", text(&output.stderr));
}

/// As containers start: the same commands at every start, and a ticket that goes from one to another by a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_made_once_and_its_tickets_are_left_in_private_files() {
    let project = Project::create().await;
    let address = project.address.to_string();
    let again = project.run(&["project", "create", "--if-missing", "--relay", &address]).await;
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert!(text(&again.stdout).ends_with("already\n"), "{}", text(&again.stdout));
    let elsewhere = project.run(&["project", "create", "--if-missing", "--relay", "elsewhere:443"]).await;
    assert_eq!(elsewhere.status.code(), Some(2));
    assert!(text(&elsewhere.stderr).contains(&format!("has its relay at {address}, not at elsewhere:443")));
    let refused = project.run(&["project", "create", "--relay", &address]).await;
    assert_eq!(refused.status.code(), Some(2), "without the option it is a mistake");

    let _served = project.serve().await;
    let file = project.folder.path().join("outlet.ticket");
    std::fs::write(&file, "what was there before, longer than any ticket\n".repeat(100)).unwrap();
    let options = ["project", "ticket", "--attribute", OUTLET, "--relay", "kafka", "--out", "outlet.ticket"];
    let made = project.run(&options).await;
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    assert!(!text(&made.stdout).contains("snowmelt1."), "the ticket is in the file alone");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let options = [
        "outlet",
        "--ticket-file",
        "outlet.ticket",
        "--kind",
        "tcp",
        "--target",
        "127.0.0.1:1",
        "--relay",
        "kafka",
        "--allow",
        INLET,
    ];
    let mut outlet = project.start("outlet", &options, None);
    outlet.says("connected to the relay").await;
    outlet.stop().await;

    let nowhere = project.run(&["project", "ticket", "--attribute", INLET, "--out", "absent/ticket"]).await;
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(text(&nowhere.stderr).contains("absent/ticket cannot be written: "), "{}", text(&nowhere.stderr));
}
