//! `snowmelt health`: what an image without a shell has for its health checks.

use std::time::Duration;

use clap::Args;

use super::duration::duration;
use super::output;
use crate::error::ExitCode;

/// Ask a running process of this program, over plain HTTP, whether it is ready.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 it is, 1 it is not or does not answer.\n\n\
                        Example:\n  snowmelt health 127.0.0.1:9464")]
pub(crate) struct Health {
    /// What the process has for `--metrics`
    #[arg(value_name = "HOST:PORT")]
    address: tunnel::address::Address,
    /// Ask only whether it lives
    #[arg(long)]
    live: bool,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    timeout: Duration,
}

impl Health {
    pub(crate) async fn run(self) -> ExitCode {
        let page = if self.live { "live" } else { "ready" };
        let url = format!("http://{}/health/{page}", self.address);
        let asked = async {
            // A proxy of the environment is for the way out, not for the process next door.
            let client = reqwest::Client::builder().no_proxy().timeout(self.timeout).build()?;
            let answer = client.get(&url).send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
        };
        match asked.await {
            Ok((status, text)) if status.is_success() => {
                output::line(text.trim_end());
                ExitCode::Ok
            }
            Ok((status, text)) => {
                output::problem(format_args!("{url} says {}: {}", status.as_u16(), text.trim_end()));
                ExitCode::Findings
            }
            Err(error) => {
                let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                output::problem(format_args!("{url} does not answer: {reason}"));
                ExitCode::Findings
            }
        }
    }
}
