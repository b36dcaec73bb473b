//! Inlet, relay and outlet, each in a process of its own; and three that copy bytes and do nothing else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tunnel::address::Address;
use tunnel::authority::{Authority, Project, Settings, TicketTerms};
use tunnel::inlet::{Inlet, InletOptions};
use tunnel::metrics::Metrics;
use tunnel::node::{KeySource, Node, NodeOptions};
use tunnel::outlet::{Outlet, OutletOptions, Target};
use tunnel::relay::{Front, Limits, Relay, RelayCertificate};
use tunnel::ticket::RelayTrust;
use tunnel::wire::Kind;

/// Which of them a process is.
pub(crate) const ROLE: &str = "SNOWMELT_BENCH_ROLE";

/// What three processes that copy cost by themselves: the least that any tunnel of three could.
const FORWARDER: &str = "forwarder";
const COPIED: usize = 64 << 10;

fn argument(name: &str) -> String {
    std::env::var(format!("SNOWMELT_BENCH_{name}")).unwrap_or_else(|_| panic!("{name} is not given"))
}

/// Copies every connection to the next address.
async fn forward() {
    let listener = tokio::net::TcpListener::bind(argument("FROM")).await.unwrap();
    let next: SocketAddr = argument("ADDRESS").parse().unwrap();
    loop {
        let (mut from, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut to = tokio::net::TcpStream::connect(next).await?;
            from.set_nodelay(true)?;
            to.set_nodelay(true)?;
            tokio::io::copy_bidirectional_with_sizes(&mut from, &mut to, COPIED, COPIED).await
        });
    }
}

/// One of the processes.
pub(crate) async fn play(role: &str) {
    if role == FORWARDER {
        return forward().await;
    }
    let metrics = Arc::new(Metrics::default());
    let directory = PathBuf::from(argument("DIRECTORY"));
    if role == "relay" {
        let project = Arc::new(Project::open(&directory, None).unwrap());
        let address: SocketAddr = project.settings().relay.to_string().parse().unwrap();
        let authority = Arc::new(Authority::new(project, Arc::clone(&metrics)).unwrap());
        let limits = Limits::default();
        let relay = Arc::new(Relay::new(limits.clone(), authority.revoked(), Arc::clone(&metrics)));
        let relay = Some((relay, RelayCertificate::Authority(Arc::clone(&authority))));
        match Front::listen(address, Some(authority), relay, limits.half_open, metrics).await.unwrap().run().await {}
    }
    let ticket = Some(argument("TICKET").parse().unwrap());
    let options =
        NodeOptions { state: Some(directory), key: KeySource::State, passphrase: None, ticket, relay_ca: None };
    let node = loop {
        match Node::join(options.clone()).await {
            Ok(node) => break Arc::new(node),
            Err(error) if error.is_passing() => {}
            Err(error) => panic!("{error}"),
        }
    };
    let address = argument("ADDRESS");
    if role == "outlet" {
        let target = Target::Tcp(address.parse().unwrap());
        let options = OutletOptions { relay: "bench".parse().unwrap(), allow: "inlet".parse().unwrap(), target };
        let _ = Outlet::new(node, options, metrics).unwrap().run().await;
    } else {
        let options = InletOptions {
            from: address.parse().unwrap(),
            to: "bench".parse().unwrap(),
            allow: "outlet".parse().unwrap(),
            kind: Kind::Tcp,
            broker_ports: None,
            advertise: None,
        };
        let _ = Inlet::listen(node, options, metrics).await.unwrap().run().await;
    }
}

/// CPU seconds that a process has used so far (utime and stime of proc(5), in ticks of 10 ms).
pub(crate) fn cpu(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub(crate) fn start(role: &str, arguments: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(ROLE, role).stdin(Stdio::null());
        for (name, value) in arguments {
            command.env(format!("SNOWMELT_BENCH_{name}"), value);
        }
        Self(command.spawn().unwrap())
    }

    pub(crate) fn cpu(&self) -> f64 {
        cpu(&self.0.id().to_string())
    }

    /// Resident memory now, in MB.
    pub(crate) fn rss(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

/// Three processes between two ports.
pub(crate) struct Tunnel {
    inlet: Process,
    relay: Option<Process>,
    outlet: Process,
    project: PathBuf,
    pub(crate) address: SocketAddr,
}

/// Three processes that copy, one after the other.
pub(crate) struct Forwarders {
    _processes: Vec<Process>,
    pub(crate) address: SocketAddr,
}

impl Forwarders {
    pub(crate) fn start(target: SocketAddr) -> Self {
        let mut address = target;
        let processes = (0..3).map(|_| {
            let next = std::mem::replace(&mut address, free_port());
            Process::start(FORWARDER, &[("FROM", &address.to_string()), ("ADDRESS", &next.to_string())])
        });
        let _processes = processes.collect();
        Self { _processes, address }
    }
}

fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Tunnel {
    pub(crate) fn start(folder: &Path, target: SocketAddr) -> Self {
        let project = folder.join("project");
        let relay: Address = free_port().to_string().parse().unwrap();
        let settings = Settings {
            relay: relay.clone(),
            authority: relay,
            relay_trust: RelayTrust::Project,
            credential_lifetime_seconds: 24 * 3600,
        };
        let made = Project::create(&project, settings, None).unwrap();
        let ticket = |attribute: &str| {
            let terms = TicketTerms {
                uses: 1,
                expires_in: Duration::from_secs(3600),
                attributes: [attribute.parse().unwrap()].into(),
                relays: ["bench".parse().unwrap()].into(),
            };
            made.ticket(terms).unwrap().to_line()
        };
        let address = free_port();
        let start = |role: &str, address: SocketAddr| {
            let directory = folder.join(role);
            let (ticket, address) = (ticket(role), address.to_string());
            Process::start(
                role,
                &[("DIRECTORY", directory.to_str().unwrap()), ("TICKET", &ticket), ("ADDRESS", &address)],
            )
        };
        let relay = Process::start("relay", &[("DIRECTORY", project.to_str().unwrap())]);
        let (outlet, inlet) = (start("outlet", target), start("inlet", address));
        Self { inlet, relay: Some(relay), outlet, project, address }
    }

    /// Kills the relay, without a word to the others, and starts it again.
    pub(crate) fn restart_relay(&mut self) {
        drop(self.relay.take());
        self.relay = Some(Process::start("relay", &[("DIRECTORY", self.project.to_str().unwrap())]));
    }

    /// Resident memory of the three, in MB.
    pub(crate) fn rss(&self) -> [f64; 3] {
        self.processes().map(Process::rss)
    }

    fn processes(&self) -> [&Process; 3] {
        [&self.inlet, self.relay.as_ref().unwrap(), &self.outlet]
    }

    /// CPU seconds of this process and of the three.
    pub(crate) fn cpu(&self) -> [f64; 4] {
        let [inlet, relay, outlet] = self.processes().map(Process::cpu);
        [cpu("self"), inlet, relay, outlet]
    }
}
