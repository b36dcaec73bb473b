//! `snowmelt check`: everything a publisher needs, tried before it runs.

use std::path::PathBuf;

use clap::Args;

use super::output;
use crate::check::{self, Level};
use crate::config::Config;
use crate::error::ExitCode;

/// Try everything that `run` will need, and say what is missing and how to mend it.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The configuration file (docs/configuration.md)
    #[arg(long, short, default_value = "snowmelt.toml")]
    config: PathBuf,
    /// Do not wake the warehouse: leave the one staging statement untried
    #[arg(long)]
    metadata_only: bool,
    /// Print the findings as one JSON line
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) async fn run(self) -> ExitCode {
        let config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(problems) => {
                output::problem(problems);
                return ExitCode::Usage;
            }
        };
        let findings = check::check(&config, !self.metadata_only).await;
        if self.json {
            output::json(&findings.all());
        } else {
            for finding in findings.all() {
                let mark = match finding.level {
                    Level::Ok => "ok     ",
                    Level::Warning => "warning",
                    Level::Problem => "PROBLEM",
                };
                output::line(format_args!("{mark}  {}: {}", finding.subject, finding.found));
                if let Some(remedy) = &finding.remedy {
                    output::line(format_args!("         -> {remedy}"));
                }
            }
        }
        match findings.worst() {
            Level::Problem => ExitCode::Findings,
            Level::Ok | Level::Warning => ExitCode::Ok,
        }
    }
}
