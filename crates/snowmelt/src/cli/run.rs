//! `snowmelt run`: the publisher.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio_util::task::AbortOnDropHandle;

use super::tunnel::trouble::Trouble;
use super::{output, signal};
use crate::config::Config;
use crate::error::ExitCode;
use crate::fleet;
use crate::health;
use crate::inlet::{self, Authority, Passage};
use crate::status::Status;

/// Carry the tables of a configuration to Kafka until stopped.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The configuration file (docs/configuration.md)
    #[arg(long, short, default_value = "snowmelt.toml")]
    config: PathBuf,
    /// Serve figures and health over plain HTTP there (/metrics, /health/live, /health/ready)
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Print the final status of every table as one JSON line
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(crate) async fn run(self) -> ExitCode {
        let mut config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(problems) => {
                output::problem(problems);
                return ExitCode::Usage;
            }
        };
        for warning in &config.snowflake.warnings {
            tracing::warn!("{warning}");
        }
        let stop = signal::stop_token();
        let status = Status::default();
        let _pages = match self.pages(&status).await {
            Ok(pages) => pages,
            Err(problem) => {
                output::problem(problem);
                return ExitCode::Usage;
            }
        };
        let passage = tokio::select! {
            opened = Passage::open(&mut config, Authority::IsAwaited) => opened,
            () = stop.cancelled() => return ExitCode::Ok,
        };
        let passage = match passage {
            Ok(passage) => passage,
            Err(error) => return tunnel_ended(error),
        };
        let config = Arc::new(config);
        let running = async {
            let running = fleet::run(Arc::clone(&config), status.clone(), stop.clone());
            // A publisher whose tunnel is refused has no Kafka: it ends as if killed, which loses nothing.
            Passage::beside(passage, running).await.unwrap_or_else(tunnel_ended)
        };
        tokio::pin!(running);
        let code = tokio::select! {
            code = &mut running => code,
            () = stop.cancelled() => {
                tracing::info!("stopping: the transaction under way is finished, then no new one is begun");
                let limit = config.delivery.shutdown_timeout;
                tokio::time::timeout(limit, running).await.unwrap_or_else(|_| {
                    tracing::error!(?limit, "not stopped in time; what was not committed will be read again, nothing is lost");
                    ExitCode::Unfinished
                })
            }
        };
        if self.json {
            output::json(&status.snapshot());
        }
        tracing::info!(?code, "ended");
        code
    }
}

impl Run {
    /// The pages, which are there from the start to the end: also while the tunnel is awaited.
    async fn pages(&self, status: &Status) -> Result<Option<AbortOnDropHandle<()>>, String> {
        let Some(address) = self.metrics else { return Ok(None) };
        let listener = health::listen(address).await?;
        let status = status.clone();
        Ok(Some(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = health::serve(listener, status).await {
                tracing::error!(%error, "the pages of --metrics ended");
            }
        }))))
    }
}

fn tunnel_ended(error: inlet::Error) -> ExitCode {
    let trouble = Trouble::from(error);
    tracing::error!("{trouble}");
    trouble.code()
}
