//! A project with its relay, and nodes that join it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use tunnel::address::Address;
use tunnel::attribute::RelayName;
use tunnel::authority::{Authority, Project, Settings, TicketTerms};
use tunnel::inlet::{Inlet, InletOptions};
use tunnel::metrics::Metrics;
use tunnel::node::{KeySource, Node, NodeError, NodeOptions};
use tunnel::outlet::{Outlet, OutletOptions, Target};
use tunnel::relay::{Front, Limits, Relay, RelayCertificate};
use tunnel::ticket::{RelayTrust, Ticket};
use tunnel::wire::Kind;

pub(crate) const INLET: &str = "snowflake-kafka-inlet";
pub(crate) const OUTLET: &str = "snowflake-kafka-outlet";
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Authority and relay in one process on one port.
pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) project: Arc<Project>,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    front: Option<AbortOnDropHandle<()>>,
    limits: Limits,
}

/// An outlet or inlet at work; ends when dropped.
pub(crate) struct Running {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) node: Arc<Node>,
    /// How it ended, once it has.
    pub(crate) ended: JoinHandle<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ended.abort();
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default(), 24 * 3600).await
    }

    pub(crate) async fn with(limits: Limits, credential_lifetime_seconds: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let at: Address = address.to_string().parse().unwrap();
        let settings = Settings {
            relay: at.clone(),
            authority: at,
            relay_trust: RelayTrust::Project,
            credential_lifetime_seconds,
        };
        let project = Arc::new(Project::create(&directory.path().join("project"), settings, None).unwrap());
        let metrics = Arc::new(Metrics::default());
        let mut world = Self { directory, project, address, metrics, front: None, limits };
        world.serve(listener);
        world
    }

    fn serve(&mut self, listener: TcpListener) {
        let authority = Arc::new(Authority::new(Arc::clone(&self.project), Arc::clone(&self.metrics)).unwrap());
        let relay = Relay::new(self.limits.clone(), authority.revoked(), Arc::clone(&self.metrics));
        let certificate = RelayCertificate::Authority(Arc::clone(&authority));
        let relay = Some((Arc::new(relay), certificate));
        let metrics = Arc::clone(&self.metrics);
        let front = Front::on(listener, Some(Arc::clone(&authority)), relay, self.limits.half_open, metrics).unwrap();
        self.front = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::select! {
                never = front.run() => match never {},
                never = authority.follow() => match never {},
            }
        })));
    }

    /// Authority and relay die, with every connection they have.
    pub(crate) async fn stop(&mut self) {
        if let Some(front) = self.front.take() {
            front.abort();
            let _ = front.await;
        }
    }

    /// They come back on the same port.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    pub(crate) fn ticket(&self, attributes: &[&str], relays: &[&str]) -> Ticket {
        self.ticket_of(attributes, relays, 1, Duration::from_secs(600))
    }

    pub(crate) fn ticket_of(&self, attributes: &[&str], relays: &[&str], uses: u32, expires_in: Duration) -> Ticket {
        let attributes = attributes.iter().map(|name| name.parse().unwrap()).collect();
        let relays = relays.iter().map(|name| name.parse().unwrap()).collect();
        self.project.ticket(TicketTerms { uses, expires_in, attributes, relays }).unwrap()
    }

    /// A state directory of its own.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn join(&self, name: &str, ticket: Option<Ticket>) -> Result<Node, NodeError> {
        let state = Some(self.state(name));
        Node::join(NodeOptions { state, key: KeySource::State, passphrase: None, ticket, relay_ca: None }).await
    }

    pub(crate) async fn outlet(&self, target: Target) -> Running {
        let node = self.join("outlet", Some(self.ticket(&[OUTLET], &["kafka"]))).await.unwrap();
        self.run_outlet(Arc::new(node), "kafka", INLET, target).await
    }

    pub(crate) async fn run_outlet(&self, node: Arc<Node>, relay: &str, allow: &str, target: Target) -> Running {
        let metrics = Arc::new(Metrics::default());
        let options = OutletOptions { relay: relay.parse().unwrap(), allow: allow.parse().unwrap(), target };
        let outlet = Outlet::new(Arc::clone(&node), options, Arc::clone(&metrics)).unwrap();
        let ended = tokio::spawn(async move {
            match outlet.run().await {
                Ok(never) => match never {},
                Err(error) => error.to_string(),
            }
        });
        let running = Running { metrics, node, ended };
        eventually("the outlet is registered or refused", || running.metrics.is_ready() || running.ended.is_finished())
            .await;
        running
    }

    pub(crate) async fn inlet(&self, kind: Kind) -> (Running, SocketAddr) {
        let node = self.join("inlet", Some(self.ticket(&[INLET], &[]))).await.unwrap();
        self.run_inlet(Arc::new(node), "kafka", OUTLET, kind).await
    }

    pub(crate) async fn run_inlet(&self, node: Arc<Node>, to: &str, allow: &str, kind: Kind) -> (Running, SocketAddr) {
        let metrics = Arc::new(Metrics::default());
        let to: RelayName = to.parse().unwrap();
        let from = "127.0.0.1:0".parse().unwrap();
        let allow = allow.parse().unwrap();
        let options = InletOptions { from, to, allow, kind, broker_ports: None, advertise: None };
        let inlet = Inlet::listen(Arc::clone(&node), options, Arc::clone(&metrics)).await.unwrap();
        let address = inlet.local_addr().unwrap();
        let ended = tokio::spawn(async move {
            match inlet.run().await {
                Ok(never) => match never {},
                Err(error) => error.to_string(),
            }
        });
        let running = Running { metrics, node, ended };
        eventually("the inlet attends or is refused", || running.metrics.is_ready() || running.ended.is_finished())
            .await;
        (running, address)
    }
}

/// A server that sends back what it gets, and ends when its client does.
pub(crate) async fn echo() -> (Address, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut reading, mut writing) = stream.into_split();
                let _ = tokio::io::copy(&mut reading, &mut writing).await;
                let _ = writing.shutdown().await;
            });
        }
    });
    (address, AbortOnDropHandle::new(task))
}

/// Sends `bytes`, ends, and reads to the end.
pub(crate) async fn exchange(to: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let stream = TcpStream::connect(to).await?;
    let (mut reading, mut writing) = stream.into_split();
    let write = async {
        writing.write_all(bytes).await?;
        writing.shutdown().await
    };
    let mut answer = Vec::new();
    let read = reading.read_to_end(&mut answer);
    let (written, read) = tokio::time::timeout(LIMIT, async { tokio::join!(write, read) }).await?;
    written?;
    read?;
    Ok(answer)
}
