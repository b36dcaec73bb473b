//! Tables that are gone, and of which changes are staged that Kafka has not got yet.
//!
//! No listing finds such a table any more, and yet its changes must not stay behind: its capture is begun once more,
//! delivers what is staged, and then says that the table is gone.

use std::sync::Arc;

use crate::config::{Config, NamePattern, ObjectName};
use crate::error::Error;
use crate::sink::{Cluster, captures};
use crate::source::listing;
use crate::source::session::Session;
use crate::source::staging::{Made, Names};

/// The tables of this pipeline of which something is staged and not in Kafka.
pub(super) async fn staged(
    session: &Arc<Session>,
    cluster: &Cluster,
    config: &Config,
) -> Result<Vec<ObjectName>, Error> {
    // Whoever reads by windows stages nothing.
    let Some(state) = config.state_schema_in_use() else { return Ok(Vec::new()) };
    let Ok(own) = format!("{state}.SNOWMELT_*").parse::<NamePattern>() else {
        return Err(Error::Internal(format!("{state} is no schema")));
    };
    let made = listing::tables(session, &own).await?;
    let mut left = Vec::new();
    for (table, checkpoint) in captures(cluster, config).await? {
        let names = Names::new(state, &checkpoint.nonce, &table);
        let is_left = |name: &ObjectName| match names.parse(&name.name) {
            Some(Made::Staging { generation, batch }) => {
                let finished = checkpoint.batch_is_whole();
                let delivered = batch < checkpoint.batch || (batch == checkpoint.batch && finished);
                generation == checkpoint.generation && !delivered
            }
            _ => false,
        };
        if made.iter().any(is_left) {
            left.push(table);
        }
    }
    Ok(left)
}
