//! `snowmelt project`: what is done where the project is kept.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use tunnel::authority;

use super::secret::Passphrase;
use super::trouble::{self, Trouble};
use super::{create, nodes, revoke, serve, show, ticket};
use crate::error::ExitCode;

/// Make and look after a project: what lets relay, outlets and inlets trust each other.
#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// Make a project: the authority's key and settings, in a directory
    Create(create::Create),
    /// Run the project's authority and relay in one process, on one public port
    Serve(serve::Serve),
    /// Make a ticket, which lets a node join: one line on standard output, a secret until it is used
    Ticket(ticket::Ticket),
    /// Show the project's id, fingerprint and addresses
    Show(show::Show),
    /// List the nodes that have joined
    Nodes(nodes::Nodes),
    /// Shut a node out: at once at the relay, and for good when its credential ends
    Revoke(revoke::Revoke),
}

impl Project {
    pub(crate) async fn run(self) -> ExitCode {
        match self {
            Self::Create(create) => trouble::said(create.run()),
            Self::Serve(serve) => serve.run().await,
            Self::Ticket(ticket) => trouble::said(ticket.run()),
            Self::Show(show) => trouble::said(show.run()),
            Self::Nodes(nodes) => trouble::said(nodes.run()),
            Self::Revoke(revoke) => trouble::said(revoke.run()),
        }
    }
}

/// Where a project is kept.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The project's directory. Whoever has it can let nodes in: back it up, and keep it to yourself
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, default_value = "./project", env = "SNOWMELT_PROJECT")]
    pub(super) dir: PathBuf,
    #[command(flatten)]
    pub(super) passphrase: Passphrase,
}

impl Place {
    /// Opens the project.
    pub(super) fn open(&self) -> Result<authority::Project, Trouble> {
        let passphrase = self.passphrase.read()?;
        Ok(authority::Project::open(&self.dir, passphrase.as_ref().map(|text| text.as_str()))?)
    }
}
