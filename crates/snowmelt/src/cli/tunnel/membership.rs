//! How inlet, outlet and relay become members of a project.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueHint};
use tunnel::node::{KeySource, Node, NodeOptions};
use tunnel::ticket::Ticket;

use super::secret::{self, Hidden, Passphrase};
use super::trouble::Trouble;
use crate::membership;

#[derive(Debug, Args)]
pub(super) struct Membership {
    /// The invitation of `snowmelt project ticket`, needed at the first start only. Other users of this machine can see
    /// options: better put it in the variable SNOWMELT_TICKET, or in a file
    #[arg(long, value_name = "TICKET", conflicts_with = "ticket_file")]
    ticket: Option<Hidden>,
    /// A file with the ticket; it may be empty once the node has joined
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ticket_file: Option<PathBuf>,
    /// Where this node keeps its key and credential, so that it needs no new ticket when it starts again. By default a
    /// folder with the command's name; with a key given, nothing is kept unless this is given too
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    state: Option<PathBuf>,
    /// This node's key (PKCS #8 in PEM, EC on P-256), instead of one made and kept in --state; the variable
    /// SNOWMELT_NODE_KEY holds the PEM itself
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: Passphrase,
}

impl Membership {
    /// Joins, however long the authority is away. `default` is where state is kept unless it is said.
    pub(super) async fn join(self, default: &str, relay_ca: Option<PathBuf>) -> Result<Arc<Node>, Trouble> {
        Ok(membership::join(self.options(default, relay_ca)?).await?)
    }

    fn options(self, default: &str, relay_ca: Option<PathBuf>) -> Result<NodeOptions, Trouble> {
        let key = match &self.key_file {
            Some(path) => {
                Some((secret::of_file(path, "--key-file")?, format!("the file {} of --key-file", path.display())))
            }
            None => {
                secret::of_variable("SNOWMELT_NODE_KEY").map(|pem| (pem, "the variable SNOWMELT_NODE_KEY".to_owned()))
            }
        };
        let (key, state) = match key {
            Some((pem, what)) => (KeySource::Pem { pem, what }, self.state),
            None => (KeySource::State, Some(self.state.unwrap_or_else(|| PathBuf::from(default)))),
        };
        let line = match (self.ticket, &self.ticket_file) {
            (Some(ticket), _) => Some(ticket),
            (None, Some(path)) => secret::of_file(path, "--ticket-file").map(|text| Some(Hidden::from(text)))?,
            (None, None) => secret::of_variable("SNOWMELT_TICKET").map(Hidden::from),
        };
        // A ticket that was used may be taken out of its file or variable.
        let line = line.filter(|line| !line.text().trim().is_empty());
        let ticket = line.map(|line| line.text().parse::<Ticket>());
        let ticket = ticket.transpose().map_err(|error| Trouble::Usage(error.to_string()))?;
        Ok(NodeOptions { state, key, passphrase: self.passphrase.read()?, ticket, relay_ca })
    }
}
