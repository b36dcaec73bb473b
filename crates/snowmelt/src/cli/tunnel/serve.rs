//! `snowmelt project serve`: the authority, and the relay with it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use tunnel::authority::Authority;
use tunnel::metrics::Metrics;
use tunnel::relay::{Front, Limits, Relay, RelayCertificate};
use tunnel::ticket::RelayTrust;

use super::project::Place;
use super::relay::Certificate;
use super::trouble::Trouble;
use super::work::Figures;
use crate::error::ExitCode;

/// Run the project's authority and relay in one process, on one public port.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    place: Place,
    /// Where nodes connect; port 0 picks a free one, which the log names
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:443")]
    listen: SocketAddr,
    /// Be the authority only; relays run elsewhere with `snowmelt relay`
    #[arg(long, conflicts_with = "tls_certificate")]
    no_relay: bool,
    #[command(flatten)]
    certificate: Certificate,
    #[command(flatten)]
    figures: Figures,
}

impl Serve {
    pub(crate) async fn run(self) -> ExitCode {
        self.figures.clone().beside(|metrics| self.serve(metrics)).await
    }

    async fn serve(self, metrics: Arc<Metrics>) -> Result<Infallible, Trouble> {
        let project = Arc::new(self.place.open()?);
        if !self.no_relay {
            warn_of_certificate(project.settings().relay_trust, self.certificate.is_given());
        }
        let authority = Arc::new(Authority::new(Arc::clone(&project), Arc::clone(&metrics))?);
        let limits = Limits::default();
        let half_open = limits.half_open;
        let relay = (!self.no_relay).then(|| {
            let relay = Relay::new(limits, authority.revoked(), Arc::clone(&metrics));
            let certificate = self.certificate.or(RelayCertificate::Authority(Arc::clone(&authority)));
            (Arc::new(relay), certificate)
        });
        let what = if relay.is_some() { "authority and relay" } else { "authority" };
        let front = Front::listen(self.listen, Some(Arc::clone(&authority)), relay, half_open, metrics).await?;
        let address = front.local_addr().map_err(|error| Trouble::Bug(error.to_string()))?;
        tracing::info!(%address, project = %project.id(), "{what} listens");
        tokio::select! {
            never = front.run() => Ok(never),
            never = authority.follow() => Ok(never),
        }
    }
}

/// Nodes with --relay-ca may do well all the same, so neither is refused.
fn warn_of_certificate(trust: RelayTrust, given: bool) {
    match (trust, given) {
        (RelayTrust::System, false) => tracing::warn!(
            "this project was made with --relay-trust system, and no --tls-certificate is given: nodes will not believe \
             this relay"
        ),
        (RelayTrust::Project, true) => tracing::warn!(
            "this project was made with --relay-trust project, and --tls-certificate is given: only nodes with \
             --relay-ca will believe this relay"
        ),
        (RelayTrust::System, true) | (RelayTrust::Project, false) => {}
    }
}
