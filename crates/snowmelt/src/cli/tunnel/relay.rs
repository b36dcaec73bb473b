//! `snowmelt relay`: a relay apart from the authority.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueHint};
use tokio::sync::watch;
use tunnel::attribute::RELAY;
use tunnel::metrics::Metrics;
use tunnel::relay::{self, Front, Limits, RelayCertificate};

use super::membership::Membership;
use super::trouble::Trouble;
use super::work::Figures;
use crate::error::ExitCode;

/// A certificate that the public knows.
#[derive(Debug, Clone, Args)]
pub(super) struct Certificate {
    /// Certificate chain (PEM) to show instead of the project's own, for projects made with --relay-trust system. Read
    /// again every minute
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The key (PEM) of --tls-certificate
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

impl Certificate {
    /// Whether files were given.
    pub(super) fn is_given(&self) -> bool {
        self.tls_certificate.is_some()
    }

    /// That of the files, or without any the project's own.
    pub(super) fn or(self, project: RelayCertificate) -> RelayCertificate {
        match self.tls_certificate.zip(self.tls_key) {
            Some((chain, key)) => RelayCertificate::Files { chain, key, project: Box::new(project) },
            None => project,
        }
    }
}

/// Run a relay apart from the authority: the public port that joins inlets with outlets and reads nothing.
///
/// Most projects need no relay of its own: `snowmelt project serve` is authority and relay on one port. Its ticket must
/// have the attribute snowmelt-relay.
#[derive(Debug, Args)]
pub(crate) struct Relay {
    /// Where nodes connect; port 0 picks a free one, which the log names
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:443")]
    listen: SocketAddr,
    #[command(flatten)]
    membership: Membership,
    #[command(flatten)]
    certificate: Certificate,
    #[command(flatten)]
    figures: Figures,
}

impl Relay {
    pub(crate) async fn run(self) -> ExitCode {
        self.figures.clone().beside(|metrics| self.serve(metrics)).await
    }

    async fn serve(self, metrics: Arc<Metrics>) -> Result<Infallible, Trouble> {
        let node = self.membership.join("relay", None).await?;
        if !node.claims().attributes.iter().any(|attribute| attribute.as_str() == RELAY) {
            return Err(Trouble::Refused(format!(
                "node {} is no relay: its ticket lacks the attribute {RELAY} (`snowmelt project ticket --attribute {RELAY}`)",
                node.id()
            )));
        }
        let list = watch::Sender::new(Arc::new(BTreeSet::new()));
        let (mut first, revoked) = (list.subscribe(), list.subscribe());
        let port = async {
            // Who was revoked is not known before the authority has said so; until then nobody is let in.
            if first.changed().await.is_err() {
                return Err(Trouble::Bug("the list of revoked nodes is gone".to_owned()));
            }
            let limits = Limits::default();
            let half_open = limits.half_open;
            let relay = relay::Relay::new(limits, revoked, Arc::clone(&metrics));
            let certificate = self.certificate.or(RelayCertificate::Node(Arc::clone(&node)));
            let relay = Some((Arc::new(relay), certificate));
            let front = Front::listen(self.listen, None, relay, half_open, metrics).await?;
            let address = front.local_addr().map_err(|error| Trouble::Bug(error.to_string()))?;
            tracing::info!(%address, "relay listens");
            Ok(front.run().await)
        };
        tokio::select! {
            ended = port => ended,
            ended = relay::follow(&node, &list) => Ok(ended?),
            ended = node.keep_fresh() => Ok(ended?),
        }
    }
}
