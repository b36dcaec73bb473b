//! The demo's tunnel: authority and relay, an outlet beside the Kafka, an inlet beside the publisher, each as a user has
//! it, but all in this process and on this machine.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tunnel::address::Address;
use tunnel::authority::{Authority, Project, Settings, TicketTerms};
use tunnel::inlet::{Inlet, InletOptions};
use tunnel::metrics::Metrics;
use tunnel::node::{KeySource, Node, NodeOptions};
use tunnel::outlet::{Outlet, OutletOptions, Target};
use tunnel::relay::{Front, Limits, Relay, RelayCertificate};
use tunnel::ticket::{RelayTrust, Ticket};
use tunnel::wire::Kind;

/// Credentials of a demo; longer than any.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
const RELAY_NAME: &str = "kafka";
const INLET: &str = "snowflake-kafka-inlet";
const OUTLET: &str = "snowflake-kafka-outlet";

/// A tunnel; closes when dropped.
pub(super) struct Passage {
    /// Where the publisher finds Kafka.
    pub(super) inlet: SocketAddr,
    /// The one port that both sides dial.
    pub(super) relay: SocketAddr,
    _tasks: [AbortOnDropHandle<()>; 3],
    _directory: TempDir,
}

/// Any failure, in its own words.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Passage {
    /// Opens one to the Kafka at `servers`.
    pub(super) async fn open(servers: &[String]) -> Outcome<Self> {
        let directory = TempDir::with_prefix("snowmelt-demo-")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let relay = listener.local_addr()?;
        let address: Address = relay.to_string().parse()?;
        let settings = Settings {
            relay: address.clone(),
            authority: address,
            relay_trust: RelayTrust::Project,
            credential_lifetime_seconds: LIFETIME.as_secs(),
        };
        let project = Arc::new(Project::create(&directory.path().join("project"), settings, None)?);
        let front = serve(listener, &project)?;

        let outlet = join(&directory.path().join("outlet"), ticket(&project, OUTLET, &[RELAY_NAME])?).await?;
        let bootstrap = servers.iter().map(|server| server.parse()).collect::<Result<_, _>>()?;
        let target = Target::Kafka { bootstrap, tls: None };
        let options = OutletOptions { relay: RELAY_NAME.parse()?, allow: INLET.parse()?, target };
        let outlet = Outlet::new(outlet, options, Arc::default())?;
        let outlet = tokio::spawn(async move {
            let Err(error) = outlet.run().await;
            tracing::error!(%error, "the demo's outlet ended");
        });

        let inlet = join(&directory.path().join("inlet"), ticket(&project, INLET, &[])?).await?;
        let options = InletOptions {
            from: SocketAddr::from(([127, 0, 0, 1], 0)),
            to: RELAY_NAME.parse()?,
            allow: OUTLET.parse()?,
            kind: Kind::Kafka,
            broker_ports: None,
            advertise: None,
        };
        let inlet = Inlet::listen(inlet, options, Arc::default()).await?;
        let at = inlet.local_addr()?;
        let inlet = tokio::spawn(async move {
            let Err(error) = inlet.run().await;
            tracing::error!(%error, "the demo's inlet ended");
        });
        let tasks = [front, AbortOnDropHandle::new(outlet), AbortOnDropHandle::new(inlet)];
        Ok(Self { inlet: at, relay, _tasks: tasks, _directory: directory })
    }
}

fn serve(listener: TcpListener, project: &Arc<Project>) -> Outcome<AbortOnDropHandle<()>> {
    let (metrics, limits) = (Arc::new(Metrics::default()), Limits::default());
    let authority = Arc::new(Authority::new(Arc::clone(project), Arc::clone(&metrics))?);
    let relay = Arc::new(Relay::new(limits.clone(), authority.revoked(), Arc::clone(&metrics)));
    let relay = Some((relay, RelayCertificate::Authority(Arc::clone(&authority))));
    let front = Front::on(listener, Some(authority), relay, limits.half_open, metrics)?;
    Ok(AbortOnDropHandle::new(tokio::spawn(async move { match front.run().await {} })))
}

fn ticket(project: &Project, attribute: &str, relays: &[&str]) -> Outcome<Ticket> {
    let relays = relays.iter().map(|name| name.parse()).collect::<Result<BTreeSet<_>, _>>()?;
    let attributes = [attribute.parse()?].into();
    Ok(project.ticket(TicketTerms { uses: 1, expires_in: Duration::from_secs(60), attributes, relays })?)
}

async fn join(state: &Path, ticket: Ticket) -> Outcome<Arc<Node>> {
    let options = NodeOptions {
        state: Some(state.to_owned()),
        key: KeySource::State,
        passphrase: None,
        ticket: Some(ticket),
        relay_ca: None,
    };
    Ok(Arc::new(Node::join(options).await?))
}
