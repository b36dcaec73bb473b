//! `snowmelt demo`: being written.

use clap::Args;

use crate::error::ExitCode;

/// Show the whole thing on this machine.
#[derive(Debug, Args)]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) async fn run(self) -> ExitCode {
        ExitCode::Bug
    }
}
