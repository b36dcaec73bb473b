//! Exactly once through the tunnel: relay, outlet, inlet and publisher are killed in turn while tables change and both
//! sides misbehave.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::net::TcpListener;
use tokio::process::Child;

use super::harness::{INLET, LIMIT, OUTLET, Project, snowmelt};
use crate::chaos::Deck;
use crate::publisher::Publisher;
use crate::tables;
use crate::verifier::Verifier;
use crate::workload::Workload;
use crate::world::{Settings, World, seed};

const ROUNDS: usize = 24;
const DRAIN: Duration = Duration::from_secs(90);

/// What can be killed.
const VICTIMS: [&str; 4] = ["relay", "outlet", "inlet", "publisher"];

/// The tunnel's three processes, each started again as it was first.
struct Tunnel {
    project: Project,
    inlet: String,
    bootstrap: String,
    running: [Option<Child>; 3],
}

impl Tunnel {
    async fn open(world: &World) -> Self {
        let project = Project::create().await;
        let inlet = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let bootstrap = world.kafka.cluster.bootstrap_servers();
        let mut tunnel = Self { project, inlet, bootstrap, running: [None, None, None] };
        tunnel.start("relay", None).await;
        let ticket = tunnel.project.ticket(&["--attribute", OUTLET, "--relay", "kafka"]).await;
        tunnel.start("outlet", Some(&ticket)).await;
        let ticket = tunnel.project.ticket(&["--attribute", INLET]).await;
        tunnel.start("inlet", Some(&ticket)).await;
        tunnel
    }

    async fn start(&mut self, name: &str, ticket: Option<&str>) {
        let relay = self.project.address.to_string();
        let arguments = match name {
            "relay" => vec!["project", "serve", "--listen", &relay],
            "outlet" => vec!["outlet", "--relay", "kafka", "--bootstrap-server", &self.bootstrap, "--allow", INLET],
            _ => vec!["inlet", "--from", &self.inlet, "--to", "kafka", "--allow", OUTLET],
        };
        let log = self.project.folder.path().join(format!("{name}.log"));
        let file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = snowmelt(&arguments);
        command.current_dir(self.project.folder.path()).env("SNOWMELT_LOG", "info");
        command.stdout(file.try_clone().unwrap()).stderr(file);
        if let Some(ticket) = ticket {
            command.env("SNOWMELT_TICKET", ticket);
        }
        let place = VICTIMS.iter().position(|victim| *victim == name).unwrap();
        self.running[place] = Some(command.spawn().unwrap());
    }

    /// kill -9, and at once again.
    async fn kill(&mut self, name: &str) {
        let place = VICTIMS.iter().position(|victim| *victim == name).unwrap();
        let mut child = self.running[place].take().unwrap();
        child.kill().await.unwrap();
        self.start(name, None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_repeated_whoever_is_killed() {
    let seed = seed();
    let mut dice = StdRng::seed_from_u64(seed);
    let world = World::start().await;
    let mut workload = Workload::new(&world, seed);
    workload.fill(150).await;
    let mut tunnel = Tunnel::open(&world).await;
    let settings: Settings = world.settings().set("kafka.bootstrap_servers", &format!("[\"{}\"]", tunnel.inlet));
    let working = workload.start();
    let mut deck = Deck::shuffled(&mut dice);
    let mut publisher = Publisher::spawn(&world, &settings, None);
    let mut killed = Vec::new();
    for _ in 0..ROUNDS {
        deck.deal(&world, dice.random_range(1..=2), &mut dice);
        let victim = *VICTIMS.choose(&mut dice).unwrap();
        // A moment of work; with nobody to answer there may be none, and then the kill comes anyway.
        let (moment, patience) = (world.kafka.requests() + dice.random_range(5..80), Duration::from_secs(4));
        let reached = async {
            while world.kafka.requests() < moment {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let _ = tokio::time::timeout(patience, reached).await;
        if victim == "publisher" {
            publisher.kill().await;
            publisher = Publisher::spawn(&world, &settings, None);
        } else {
            tunnel.kill(victim).await;
        }
        killed.push(victim);
        deck.collect(&world);
        // A fault of the deck may have fenced it, which ends a publisher for good.
        if publisher.ended().is_some() {
            publisher = Publisher::spawn(&world, &settings, None);
        }
        let wrong = Verifier::read(&world).await.wrong();
        assert!(wrong.is_empty(), "after {killed:?}:\n  {}", wrong.join("\n  "));
    }
    drop(working.stop().await);
    publisher.kill().await;
    let last = Publisher::spawn(&world, &settings, None);
    world.drained_and_read(&tables::ALL, DRAIN).await;
    last.stop().await;
    let report = Verifier::read(&world).await.approve();
    eprintln!("killed {killed:?}, {report:?}");
    assert!(report.events > 300, "so few events prove little");
    let log = std::fs::read_to_string(tunnel.project.folder.path().join("inlet.log")).unwrap();
    assert!(
        log.contains("a broker has a port"),
        "the publisher did not go through the tunnel within {LIMIT:?}:\n{log}"
    );
}
