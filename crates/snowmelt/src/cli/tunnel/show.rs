//! `snowmelt project show`.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;
use tunnel::address::Address;
use tunnel::credential::{Fingerprint, Id};
use tunnel::ticket::RelayTrust;

use super::super::output;
use super::project::Place;
use super::trouble::Trouble;

/// Show the project's id, fingerprint and addresses.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    place: Place,
    /// Print only what a Snowflake network rule needs to let nodes out: VALUE_LIST = ('host:port')
    #[arg(long, conflicts_with = "json")]
    egress_allow_list: bool,
    /// Print it as one JSON line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    id: Id,
    fingerprint: Fingerprint,
    relay: Address,
    authority: Address,
    relay_trust: RelayTrust,
    credential_lifetime_seconds: u64,
}

impl Show {
    pub(super) fn run(self) -> Result<(), Trouble> {
        let project = self.place.open()?;
        let settings = project.settings().clone();
        if self.egress_allow_list {
            output::line(allow_list(&settings.relay, &settings.authority));
            return Ok(());
        }
        let shown = Shown {
            id: project.id(),
            fingerprint: project.fingerprint(),
            relay: settings.relay,
            authority: settings.authority,
            relay_trust: settings.relay_trust,
            credential_lifetime_seconds: settings.credential_lifetime_seconds,
        };
        if self.json {
            output::json(&shown);
            return Ok(());
        }
        let trust = match shown.relay_trust {
            RelayTrust::Project => "its certificate is the project's own",
            RelayTrust::System => "its certificate is by a public certificate authority",
        };
        output::line(format_args!("project      {}", shown.id));
        output::line(format_args!("fingerprint  {}", shown.fingerprint));
        output::line(format_args!("relay        {} ({trust})", shown.relay));
        output::line(format_args!("authority    {}", shown.authority));
        output::line(format_args!("credentials  last {} s", shown.credential_lifetime_seconds));
        Ok(())
    }
}

/// A list as SQL has it. Addresses hold no quotes: letters, digits, dots, dashes, underscores, colons and brackets.
fn allow_list(relay: &Address, authority: &Address) -> String {
    let addresses: BTreeSet<String> = [relay, authority].iter().map(|address| format!("'{address}'")).collect();
    format!("({})", addresses.into_iter().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_says_nothing_twice() {
        let (a, b): (Address, Address) = ("b.example.com:443".parse().unwrap(), "a.example.com:8443".parse().unwrap());
        assert_eq!(allow_list(&a, &a), "('b.example.com:443')");
        assert_eq!(allow_list(&a, &b), "('a.example.com:8443', 'b.example.com:443')");
    }
}
