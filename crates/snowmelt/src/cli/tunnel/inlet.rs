//! `snowmelt inlet`: beside the clients.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueHint};
use tunnel::address::Address;
use tunnel::attribute::{Policy, RelayName};
use tunnel::inlet::{self, InletOptions};
use tunnel::metrics::Metrics;

use super::Kind;
use super::membership::Membership;
use super::trouble::Trouble;
use super::work::Figures;
use crate::config::PortRange;
use crate::error::ExitCode;

/// Take connections on a local port and carry them through the relay to an outlet.
///
/// It dials out to the relay only. Clients use the local port as if it were the service itself; of a Kafka cluster,
/// every broker gets a local port of its own, and clients find those by themselves.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  SNOWMELT_TICKET=… snowmelt inlet --from 127.0.0.1:9092 --to kafka --allow snowflake-kafka-outlet"
)]
pub(crate) struct Inlet {
    #[command(flatten)]
    membership: Membership,
    /// Where clients connect; port 0 picks a free one, which the log names
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9092")]
    from: SocketAddr,
    /// The name under which the outlet is registered (`outlet --relay NAME`)
    #[arg(long, value_name = "NAME")]
    to: RelayName,
    /// Which outlets may answer: an attribute, or several with `and`, `or`, `not` and parentheses
    #[arg(long, value_name = "ATTRIBUTES")]
    allow: Policy,
    /// What is carried; the outlet must be of the same kind
    #[arg(long, value_enum, default_value = "kafka")]
    kind: Kind,
    /// Local ports for the cluster's brokers, as in 9093-9192; without it, any free ones
    #[arg(long, value_name = "FIRST-LAST")]
    broker_ports: Option<PortRange>,
    /// The host name under which Kafka clients reach this inlet; without it, the address that they came in by
    #[arg(long, value_name = "HOST", value_parser = host)]
    advertise: Option<String>,
    /// Certificate authorities (PEM) of the relay's certificate, instead of what the ticket says
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    relay_ca: Option<PathBuf>,
    #[command(flatten)]
    figures: Figures,
}

fn host(text: &str) -> Result<String, String> {
    Address::new(text, 1)
        .map(|address| address.host().to_owned())
        .map_err(|_| "write a host name without a port".into())
}

impl Inlet {
    pub(crate) async fn run(self) -> ExitCode {
        self.figures.clone().beside(|metrics| self.serve(metrics)).await
    }

    async fn serve(self, metrics: Arc<Metrics>) -> Result<Infallible, Trouble> {
        if self.kind == Kind::Tcp && (self.broker_ports.is_some() || self.advertise.is_some()) {
            return Err(Trouble::Usage("--broker-ports and --advertise are for --kind kafka".to_owned()));
        }
        let node = self.membership.join("inlet", self.relay_ca).await?;
        let Self { from, to, allow, kind, broker_ports, advertise, .. } = self;
        let broker_ports = broker_ports.map(|ports| ports.0);
        let options = InletOptions { from, to, allow, kind: kind.into(), broker_ports, advertise };
        let (to, allow) = (options.to.clone(), options.allow.clone());
        let inlet = inlet::Inlet::listen(Arc::clone(&node), options, metrics).await?;
        let address = inlet.local_addr().map_err(|error| Trouble::Bug(error.to_string()))?;
        tracing::info!(%address, relay = %node.relay(), %to, %allow, "inlet listens");
        tokio::select! {
            ended = inlet.run() => Ok(ended?),
            ended = node.keep_fresh() => Ok(ended?),
        }
    }
}
