//! What all long-running verbs do beside their work: serve their figures, and end when asked to.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use tunnel::health;
use tunnel::metrics::Metrics;

use super::super::signal;
use super::trouble::{self, Trouble};
use crate::error::ExitCode;

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Figures {
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
