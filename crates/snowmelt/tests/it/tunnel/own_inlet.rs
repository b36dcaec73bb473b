//! `[tunnel]` of a publisher: its inlet is in its own process.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::harness::{INLET, OUTLET, Program, Project, text};
use crate::publisher::{Exit, Publisher};
use crate::world::{Settings, World};

const DRAIN: Duration = Duration::from_secs(60);

/// An outlet beside the world's Kafka.
async fn outlet(project: &Project, world: &World) -> Program {
    let ticket = project.ticket(&["--attribute", OUTLET, "--relay", "kafka"]).await;
    let servers = world.kafka.cluster.bootstrap_servers();
    let options = ["outlet", "--relay", "kafka", "--bootstrap-server", &servers, "--allow", INLET];
    let outlet = project.start("outlet", &options, Some(&ticket));
    outlet.says("connected to the relay").await;
    outlet
}

/// A publisher's settings, with nothing that would lead to Kafka but the tunnel.
async fn settings(project: &Project, world: &World) -> Settings {
    std::fs::write(world.path("ticket"), project.ticket(&["--attribute", INLET]).await).unwrap();
    let tunnel =
        format!("{{ to = \"kafka\", allow = \"{OUTLET}\", ticket = {{ file = \"ticket\" }}, state = \"kept\" }}");
    world.settings().without("kafka.bootstrap_servers").set("tunnel", &tunnel)
}

async fn check(world: &World, settings: &Settings) -> (Option<i32>, String) {
    let config = world.path("check.toml");
    settings.write(&config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_snowmelt"));
    command.args(["check", "--metadata-only", "--config"]).arg(config).stdin(Stdio::null());
    let output = command.env_remove("SNOWMELT_TICKET").output().await.unwrap();
    (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_is_publisher_and_inlet() {
    let world = World::start().await;
    let project = Project::create().await;
    let mut served = project.serve().await;
    let _outlet = outlet(&project, &world).await;
    let settings = settings(&project, &world).await;

    let (code, said) = check(&world, &settings).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("tunnel: outlet ") && said.contains(OUTLET), "{said}");
    assert!(said.contains("transactions: "), "what is beyond the tunnel is not checked: {said}");

    // The check has spent the ticket; its membership is kept, and that is all the publisher needs.
    std::fs::remove_file(world.path("ticket")).unwrap();
    std::fs::write(world.path("ticket"), "").unwrap();
    let publisher = Publisher::spawn(&world, &settings, None);
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada'), (2, 'Bob')").await;
    world.drained(DRAIN).await;

    // Without authority and relay there is no Kafka, which a publisher outlives.
    served.child.kill().await.unwrap();
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'Eve' WHERE ID = 1").await;
    publisher.says("trying again", DRAIN).await;
    let _served = project.serve().await;
    world.drained(DRAIN).await;

    let nodes = project.nodes(INLET).await;
    let [node] = nodes.as_slice() else { panic!("one inlet has joined: {nodes:?}") };
    let mut publisher = publisher;
    assert_eq!(project.run(&["project", "revoke", node]).await.status.code(), Some(0));
    assert_eq!(publisher.end(DRAIN).await, Exit::Code(3), "{}", publisher.log());
    assert!(publisher.log().contains("revoked"), "{}", publisher.log());
    let (code, said) = check(&world, &settings).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("PROBLEM  tunnel: ") && said.contains("revoked"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_that_leads_nowhere_is_said_so() {
    let world = World::start().await;
    let project = Project::create().await;
    let settings = settings(&project, &world).await;
    let (code, said) = check(&world, &settings).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("PROBLEM  tunnel: the authority at "), "{said}");

    let _served = project.serve().await;
    let (code, said) = check(&world, &settings).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ok       tunnel: node ") && said.contains("PROBLEM  tunnel: the relay refuses: "), "{said}");

    let _outlet = outlet(&project, &world).await;
    let picky = settings.clone().set("tunnel.allow", "\"another-outlet\"");
    let (code, said) = check(&world, &picky).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("PROBLEM  tunnel: the outlet is refused: ") && said.contains("another-outlet"), "{said}");
    let (code, said) = check(&world, &settings).await;
    assert_eq!(code, Some(0), "{said}");

    std::fs::write(world.path("ticket"), "snowmelt1.damaged").unwrap();
    let mut publisher = Publisher::spawn(&world, &settings, None);
    assert_eq!(publisher.end(DRAIN).await, Exit::Code(2));
    assert!(publisher.log().contains("tunnel.ticket: "), "{}", publisher.log());
}
