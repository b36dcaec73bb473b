//! `snowmelt project ticket`.

use std::collections::BTreeSet;
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
    /// Print ticket and terms as one JSON line
    #[arg(long)]
    json: bool,
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
