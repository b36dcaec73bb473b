//! `snowmelt project nodes`.

use clap::Args;
use serde::Serialize;
use tunnel::authority::Member;
use tunnel::credential::Id;

use super::super::output;
use super::moment::utc;
use super::project::Place;
use super::trouble::Trouble;

/// List the nodes that have joined.
#[derive(Debug, Args)]
pub(crate) struct Nodes {
    #[command(flatten)]
    place: Place,
    /// Print them as one JSON line; times are milliseconds since 1970
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed {
    id: Id,
    #[serde(flatten)]
    member: Member,
}

impl Nodes {
    pub(super) fn run(self) -> Result<(), Trouble> {
        let nodes: Vec<Listed> =
            self.place.open()?.nodes()?.into_iter().map(|(id, member)| Listed { id, member }).collect();
        if self.json {
            output::json(&nodes);
            return Ok(());
        }
        if nodes.is_empty() {
            output::line("no node has joined yet; `snowmelt project ticket` lets one in");
        }
        for Listed { id, member } in nodes {
            output::line(format_args!("{id}"));
            output::line(format_args!("  attributes  {}", words(&member.attributes)));
            if !member.relays.is_empty() {
                output::line(format_args!("  relay names {}", words(&member.relays)));
            }
            output::line(format_args!("  enrolled    {}", utc(member.enrolled_at)));
            output::line(format_args!("  renewed     {}", utc(member.renewed_at)));
            if let Some(at) = member.revoked_at {
                output::line(format_args!("  REVOKED     {}", utc(at)));
            }
        }
        Ok(())
    }
}

fn words<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}
