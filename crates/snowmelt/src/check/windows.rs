//! A table that is read by windows: whether it has a history that is kept for long enough, and can be asked for.

use std::sync::Arc;
use std::time::Duration;

use super::Findings;
use crate::config::{Config, Snapshot, Table};
use crate::source::changes::ChangesSource;
use crate::source::object::{Kind, Object};
use crate::source::session::Session;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Looks at its history. Everything is compiled and not run, but for the probe, which needs no warehouse.
pub(super) async fn check(
    session: &Arc<Session>,
    config: &Config,
    table: &Table,
    object: &Object,
    key: &[String],
    findings: &mut Findings,
) {
    let name = &table.name;
    let subject = format!("windows of {name}");
    if table.snapshot == Snapshot::Initial && key.is_empty() {
        return findings.problem(
            subject,
            "without a stream, the rows that are there already have no row id to be their key",
            "set `key`, or snapshot = \"never\", or read = \"stream\"",
        );
    }
    match ChangesSource::trial(session, table, config.changes.lag).await {
        Ok(true) => {}
        Ok(false) => {
            let found =
                "its changes cannot be told yet: it was made, or began to be tracked, less than changes.lag ago";
            return findings.warning(subject, found, "none is needed, the publisher waits");
        }
        Err(error) => return findings.failure(subject, error),
    }
    let found = format!("{}, read by windows that end {:?} behind", object.kind.word(), config.changes.lag);
    let Some(days) = object.retention_days else {
        return findings.warning(
            subject,
            format!("{found}; how long its history is kept is up to the tables it reads, and it cannot be noticed if one of them is swapped"),
            "let the publisher read it well within DATA_RETENTION_TIME_IN_DAYS of the tables; do not swap them",
        );
    };
    let kept = DAY.saturating_mul(days);
    // An idle table's window begins up to a quarter of that ago.
    if config.changes.lag.saturating_add(config.poll.interval) > kept / 4 {
        return findings.problem(
            subject,
            format!("{found}; its history is kept for {days} days, too short for this lag and poll.interval"),
            "raise DATA_RETENTION_TIME_IN_DAYS of the table, or lower changes.lag or poll.interval",
        );
    }
    if matches!(object.kind, Kind::View { .. }) {
        return findings.ok(subject, found);
    }
    findings.ok(subject, format!("{found}; changes not read within {days} days are lost"));
}
