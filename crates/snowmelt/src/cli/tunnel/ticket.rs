//! `snowmelt project ticket`.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tunnel::attribute::{Attribute, RelayName};
use tunnel::authority::TicketTerms;

use super::super::duration::duration;
use super::super::output;
use super::project::Place;
use super::trouble::Trouble;

/// Make a ticket, which lets a node join: one line on standard output, a secret until it is used.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  snowmelt project ticket --attribute snowflake-kafka-outlet --relay kafka\n  snowmelt project ticket --attribute snowflake-kafka-inlet --usage-count 3 --expires-in 1h"
)]
pub(crate) struct Ticket {
    #[command(flatten)]
    place: Place,
    /// How many nodes can join with it
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    usage_count: u32,
    /// How long it can be used; nodes that have joined stay members
    #[arg(long, value_name = "DURATION", default_value = "10h", value_parser = duration)]
    expires_in: Duration,
    /// What its nodes are, for `--allow` of the other side; give it several times for several
    #[arg(long = "attribute", value_name = "NAME", required = true, value_delimiter = ',')]
    attributes: Vec<Attribute>,
    /// The name that its nodes may register at the relay (outlets need one); give it several times for several
    #[arg(long = "relay", value_name = "NAME", value_delimiter = ',')]
    relays: Vec<RelayName>,
    /// Write the ticket into this file, which only its owner may read, instead of to standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    out: Option<PathBuf>,
    /// Print ticket and terms as one JSON line
    #[arg(long)]
    json: bool,
}

/// Opened for writing, with no rights for others also if it was there before.
fn private(file: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    let opened = options.mode(0o600).open(file)?;
    opened.set_permissions(Permissions::from_mode(0o600))?;
    Ok(opened)
}

impl Ticket {
    pub(super) fn run(self) -> Result<(), Trouble> {
        let project = self.place.open()?;
        let terms = TicketTerms {
            uses: self.usage_count,
            expires_in: self.expires_in,
            attributes: self.attributes.into_iter().collect(),
            relays: self.relays.into_iter().collect::<BTreeSet<_>>(),
        };
        if let Some(file) = self.out {
            // Tried before the ticket is made: one that nobody gets would count as given out.
            let unwritable = |error: std::io::Error| {
                Trouble::Usage(format!("{} cannot be written: {error}; name another file with --out", file.display()))
            };
            let mut private = private(&file).map_err(unwritable)?;
            let line = project.ticket(terms)?.to_line();
            private.set_len(0).and_then(|()| writeln!(private, "{line}")).map_err(unwritable)?;
            output::line(format_args!("the ticket is in {}", file.display()));
            return Ok(());
        }
        let ticket = project.ticket(terms.clone())?;
        if self.json {
            output::json(&json!({
                "ticket": ticket.to_line(),
                "usage_count": terms.uses,
                "expires_in_seconds": terms.expires_in.as_secs(),
                "attributes": terms.attributes,
                "relays": terms.relays,
            }));
        } else {
            output::line(ticket.to_line());
        }
        Ok(())
    }
}
