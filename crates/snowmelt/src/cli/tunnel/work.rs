//! What all long-running verbs do beside their work: serve their figures, and end when asked to.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueHint};
use tunnel::health;
use tunnel::metrics::Metrics;

use super::super::{options_file, signal};
use super::trouble::{self, Trouble};
use crate::error::ExitCode;

#[derive(Debug, Clone, Args)]
pub(super) struct Figures {
    /// Read options from this TOML file, each under its own name with _ for -, as in metrics = "127.0.0.1:9464". What
    /// stands on the command line counts first
    #[arg(id = options_file::ID, long = "config", value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Serve /metrics, /health/live and /health/ready here; without it, nowhere
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
}

impl Figures {
    /// Works until the work fails or a signal comes. The pages are there before anything else, so that a node that
    /// still waits for its authority is seen to live and not to be ready.
    pub(super) async fn beside<W>(self, work: impl FnOnce(Arc<Metrics>) -> W) -> ExitCode
    where
        W: Future<Output = Result<Infallible, Trouble>>,
    {
        let stop = signal::stop_token();
        if let Some(config) = &self.config {
            tracing::info!(file = %config.display(), "options are read from a file too");
        }
        let metrics = Arc::new(Metrics::default());
        let pages = self.serve(Arc::clone(&metrics));
        let ended = tokio::select! {
            ended = Box::pin(work(metrics)) => ended.map(|never| match never {}),
            ended = pages => ended.map(|never| match never {}),
            () = stop.cancelled() => Ok(()),
        };
        trouble::logged(ended)
    }

    async fn serve(self, metrics: Arc<Metrics>) -> Result<Infallible, Trouble> {
        let Some(address) = self.metrics else { return std::future::pending().await };
        match health::serve(address, metrics).await {
            Ok(()) => Err(Trouble::Bug("the pages of --metrics ended".to_owned())),
            Err(error) => Err(Trouble::Usage(error.to_string())),
        }
    }
}
