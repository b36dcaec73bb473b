//! `snowmelt project revoke`.

use std::time::SystemTime;

use clap::Args;
use tunnel::credential::Id;

use super::super::output;
use super::project::Place;
use super::trouble::Trouble;

/// Shut a node out: at once at the relay, and for good when its credential ends.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    place: Place,
    /// The node's id, as `snowmelt project nodes` lists it
    #[arg(value_name = "NODE")]
    node: Id,
}

impl Revoke {
    pub(super) fn run(self) -> Result<(), Trouble> {
        let project = self.place.open()?;
        project.revoke(&self.node, SystemTime::now())?;
        output::line(format_args!(
            "node {} is revoked: a running relay ends its connections within seconds, and it gets no new credential; \
             the one it has ends within {} s",
            self.node,
            project.settings().credential_lifetime_seconds
        ));
        Ok(())
    }
}
