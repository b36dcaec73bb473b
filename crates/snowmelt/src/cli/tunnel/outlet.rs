//! `snowmelt outlet`: beside Kafka.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueHint};
use tunnel::address::Address;
use tunnel::attribute::{Policy, RelayName};
use tunnel::metrics::Metrics;
use tunnel::outlet::{self, KafkaTls, OutletOptions, Target};

use super::Kind;
use super::membership::Membership;
use super::trouble::Trouble;
use super::work::Figures;
use crate::error::ExitCode;

/// Stand beside Kafka (or any TCP service) and let inlets reach it through the relay.
///
/// It dials out to the relay only, and to the brokers; it listens on no port. It dials nothing but what is named here
/// and the brokers that the cluster itself names.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  SNOWMELT_TICKET=… snowmelt outlet --relay kafka --bootstrap-server kafka:9092 \\\n    --allow snowflake-kafka-inlet"
)]
pub(crate) struct Outlet {
    #[command(flatten)]
    membership: Membership,
    /// The name that inlets ask for (`inlet --to NAME`). The ticket must grant it (`project ticket --relay NAME`)
    #[arg(long, value_name = "NAME")]
    relay: RelayName,
    /// Which inlets may connect: an attribute, or several with `and`, `or`, `not` and parentheses
    #[arg(long, value_name = "ATTRIBUTES")]
    allow: Policy,
    /// What is carried; the inlets must be of the same kind
    #[arg(long, value_enum, default_value = "kafka")]
    kind: Kind,
    /// A broker to begin with; give it several times for several
    #[arg(long = "bootstrap-server", value_name = "HOST:PORT", value_delimiter = ',')]
    bootstrap_servers: Vec<Address>,
    /// The service, with --kind tcp
    #[arg(long, value_name = "HOST:PORT")]
    target: Option<Address>,
    /// Speak TLS to the brokers
    #[arg(long)]
    kafka_tls: bool,
    /// Certificate authorities (PEM) of the brokers, instead of those that this machine believes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "kafka_tls")]
    kafka_ca: Option<PathBuf>,
    /// Certificate chain (PEM) to show to the brokers
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "kafka_tls", requires = "kafka_key")]
    kafka_certificate: Option<PathBuf>,
    /// The key (PEM) of --kafka-certificate
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "kafka_certificate")]
    kafka_key: Option<PathBuf>,
    /// Certificate authorities (PEM) of the relay's certificate, instead of what the ticket says
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    relay_ca: Option<PathBuf>,
    #[command(flatten)]
    figures: Figures,
}

impl Outlet {
    pub(crate) async fn run(self) -> ExitCode {
        self.figures.clone().beside(|metrics| self.serve(metrics)).await
    }

    async fn serve(self, metrics: Arc<Metrics>) -> Result<Infallible, Trouble> {
        let target = self.target()?;
        let node = self.membership.join("outlet", self.relay_ca).await?;
        let options = OutletOptions { relay: self.relay, allow: self.allow, target };
        tracing::info!(relay = %node.relay(), name = %options.relay, allow = %options.allow, "outlet starts");
        let outlet = outlet::Outlet::new(Arc::clone(&node), options, metrics)?;
        tokio::select! {
            ended = outlet.run() => Ok(ended?),
            ended = node.keep_fresh() => Ok(ended?),
        }
    }

    fn target(&self) -> Result<Target, Trouble> {
        let wrong = |words: &str| Err(Trouble::Usage(words.to_owned()));
        match (self.kind, &self.target, self.bootstrap_servers.as_slice()) {
            (Kind::Kafka, Some(_), _) => wrong("--target is for --kind tcp; with --kind kafka give --bootstrap-server"),
            (Kind::Kafka, None, []) => wrong("--kind kafka needs at least one --bootstrap-server HOST:PORT"),
            (Kind::Kafka, None, servers) => {
                let certificate = self.kafka_certificate.clone().zip(self.kafka_key.clone());
                let tls = self.kafka_tls.then(|| KafkaTls { ca: self.kafka_ca.clone(), certificate });
                Ok(Target::Kafka { bootstrap: servers.to_vec(), tls })
            }
            (Kind::Tcp, _, [_, ..]) => wrong("--bootstrap-server is for --kind kafka; with --kind tcp give --target"),
            (Kind::Tcp, None, []) => wrong("--kind tcp needs --target HOST:PORT"),
            (Kind::Tcp, Some(_), []) if self.kafka_tls => wrong("--kafka-tls is for --kind kafka"),
            (Kind::Tcp, Some(target), []) => Ok(Target::Tcp(target.clone())),
        }
    }
}
