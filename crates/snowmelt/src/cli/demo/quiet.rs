//! When everything that was written has left Snowflake: asked of Snowflake itself, not of the publisher.
//!
//! Why the order of the questions matters: once the writer has stopped, a stream that says it has nothing has given
//! everything to staging tables, and no new one can appear. A staging table is dropped only when Kafka has all of it.
//! So streams first, then staging tables; if there are neither, everything is in Kafka.

use std::sync::Arc;
use std::time::Duration;

use super::shop::{STATE_SCHEMA, TABLES};
use crate::config::quote;
use crate::source::SourceError;
use crate::source::session::Session;
use crate::source::staging::literal;
use crate::status::Status;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until everything has left. `missing` says at any time what it is waiting for.
pub(super) async fn everything_left(
    session: &Arc<Session>,
    status: &Status,
    missing: &mut String,
) -> Result<(), SourceError> {
    loop {
        match waiting_for(session, status).await? {
            None => return Ok(()),
            Some(what) => *missing = what,
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What has not left yet; `None` when there is nothing.
async fn waiting_for(session: &Arc<Session>, status: &Status) -> Result<Option<String>, SourceError> {
    // A capture that has not carried its initial rows may not even have made its stream.
    for (table, capture) in status.snapshot() {
        if capture.checkpoint.is_none_or(|checkpoint| checkpoint.batch == 0) {
            return Ok(Some(format!("the initial rows of {table}")));
        }
    }
    let what = "the demo's look at the streams";
    let streams = session.table(what, &format!("SHOW STREAMS IN SCHEMA {STATE_SCHEMA}")).await?;
    let streams: Vec<String> = streams.rows().filter_map(|row| row.text("name")).collect();
    if streams.len() != TABLES.len() {
        return Ok(Some(format!("{} streams, there are {}", TABLES.len(), streams.len())));
    }
    for stream in streams {
        let name = literal(&format!("{STATE_SCHEMA}.{}", quote(&stream)));
        let answer = session.table(what, &format!("SELECT SYSTEM$STREAM_HAS_DATA({name})")).await?;
        if answer.scalar().is_none_or(|flag| !flag.eq_ignore_ascii_case("false") && flag != "0") {
            return Ok(Some(format!("stream {stream}, which has changes that are not staged")));
        }
    }
    let tables = session.table(what, &format!("SHOW TABLES IN SCHEMA {STATE_SCHEMA}")).await?;
    let staging = tables.rows().filter_map(|row| row.text("name")).find(|name| !name.contains("_CLAIM_"));
    Ok(staging.map(|name| format!("staging table {name}, which is not whole in Kafka")))
}
