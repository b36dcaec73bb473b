//! What each capture is doing, for the log, the demo's view and later the page. Written by the pipeline only; costs are
//! asked of [`crate::warehouse`] when they are read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, ExitCode};
use crate::warehouse::{Cost, Warehouse};

/// What a capture is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Claiming the transactional id and reading the checkpoint.
    Resuming,
    /// Carrying a batch.
    Delivering {
        /// The staging table's number.
        batch: u64,
        /// Whether its rows are the table's initial rows.
        initial: bool,
        /// Rows it has; how many of them are in Kafka, the checkpoint says.
        rows: u64,
    },
    /// Nothing to carry; the stream is probed at the poll interval.
    Idle,
    /// The stream has changes, which are not read yet to spare the warehouse.
    Waiting {
        /// What for.
        by: Waiting,
        /// When they are read at the latest, unless the budget is used up again by then; milliseconds since 1970.
        until_ms: i64,
        /// When the stream was last known to have none: no change that waits is older. Milliseconds since 1970; `None`
        /// when that is not known.
        quiet_at_ms: Option<i64>,
    },
    /// Starting again from the checkpoint after a failure that passes by itself.
    Retrying {
        /// The failure.
        reason: String,
    },
    /// Waiting for a person.
    Halted {
        /// What, why, and what to do.
        reason: String,
    },
    /// Another publisher took over.
    Fenced {
        /// By what it was noticed.
        reason: String,
    },
    /// Stopped as asked.
    Stopped,
}

/// What changes wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// Other tables' changes, to share a wake of the warehouse, until `poll.freshness` demands one.
    Freshness,
    /// Room in `poll.max_warehouse_seconds_per_hour`.
    Budget,
}

/// One capture's figures since the process started.
#[derive(Debug, Clone, Serialize)]
pub struct CaptureStatus {
    /// What it is doing.
    #[serde(flatten)]
    pub state: State,
    /// Topic of its events.
    pub topic: String,
    /// The `match` of the configuration that found the table; `None` when it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Events committed to Kafka, tombstones not counted.
    pub events: u64,
    /// Events that could not be published and went to the dead-letter topic instead.
    pub dead_letters: u64,
    /// Staged rows whose events are committed.
    pub rows: u64,
    /// Bytes of keys, values and headers committed.
    pub bytes: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Times it started again from the checkpoint.
    pub restarts: u64,
    /// Batches that are whole in Kafka.
    pub batches: u64,
    /// The last committed checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// Milliseconds from staging to commit of the last slice; `None` before the first.
    pub lag_ms: Option<i64>,
    /// When the stream may go stale, in milliseconds since 1970, by Snowflake's forecast; `None` before it was asked.
    pub stale_after_ms: Option<i64>,
    /// Whether that is sooner than `staleness.warn_before`.
    pub stale_soon: bool,
    /// The latest change of the table's shape, in words; `None` when there was none.
    pub shape_change: Option<String>,
    /// Snapshots that were ordered, or made because a stream was lost.
    pub snapshots: u64,
    /// Transaction protocol negotiated with the cluster.
    pub transaction_version: Option<String>,
    /// What it has cost.
    pub cost: Cost,
    /// When the last slice was committed.
    #[serde(skip)]
    pub last_commit: Option<Instant>,
    /// Why it ended, for the exit code.
    #[serde(skip)]
    pub exit: Option<ExitCode>,
}

/// The status of all captures; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Status {
    captures: Arc<Mutex<BTreeMap<String, CaptureStatus>>>,
    warehouse: Arc<OnceLock<Warehouse>>,
}

impl Status {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, CaptureStatus>> {
        // Figures stay readable even if a writer panicked half-way.
        self.captures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of everything.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, CaptureStatus> {
        let mut captures = self.lock().clone();
        if let Some(warehouse) = self.warehouse.get() {
            for (table, capture) in &mut captures {
                capture.cost = warehouse.cost(table);
            }
        }
        captures
    }

    /// Says where costs are kept.
    pub(crate) fn charge_to(&self, warehouse: Warehouse) {
        let _ = self.warehouse.set(warehouse);
    }

    pub(crate) fn add(&self, table: &str, topic: &str, pattern: Option<&str>) {
        let status = CaptureStatus {
            state: State::Resuming,
            topic: topic.to_owned(),
            pattern: pattern.map(str::to_owned),
            events: 0,
            dead_letters: 0,
            rows: 0,
            bytes: 0,
            commits: 0,
            restarts: 0,
            batches: 0,
            checkpoint: None,
            lag_ms: None,
            stale_after_ms: None,
            stale_soon: false,
            shape_change: None,
            snapshots: 0,
            transaction_version: None,
            cost: Cost::default(),
            last_commit: None,
            exit: None,
        };
        self.lock().insert(table.to_owned(), status);
    }

    /// Shows a table that is found and cannot be captured, or a pattern whose tables cannot be listed.
    pub(crate) fn refuse(&self, name: &str, pattern: Option<&str>, reason: &str, exit: ExitCode) {
        self.add(name, "", pattern);
        self.ended(name, State::Halted { reason: reason.to_owned() }, exit);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    fn change(&self, table: &str, change: impl FnOnce(&mut CaptureStatus)) {
        if let Some(status) = self.lock().get_mut(table) {
            change(status);
        }
    }

    pub(crate) fn enter(&self, table: &str, state: State) {
        self.change(table, |status| status.state = state);
    }

    pub(crate) fn forecast(&self, table: &str, stale_after_ms: Option<i64>, soon: bool) {
        self.change(table, |status| {
            status.stale_after_ms = stale_after_ms.or(status.stale_after_ms);
            status.stale_soon = soon;
        });
    }

    pub(crate) fn reshaped(&self, table: &str, words: String) {
        self.change(table, |status| status.shape_change = Some(words));
    }

    pub(crate) fn began_anew(&self, table: &str, checkpoint: &Checkpoint) {
        self.change(table, |status| {
            status.snapshots += 1;
            status.checkpoint = Some(checkpoint.clone());
        });
    }

    pub(crate) fn resumed(&self, table: &str, checkpoint: &Checkpoint, transaction_version: String) {
        self.change(table, |status| {
            status.checkpoint = Some(checkpoint.clone());
            status.transaction_version = Some(transaction_version);
        });
    }

    pub(crate) fn committed(&self, table: &str, slice: &Committed<'_>) {
        self.change(table, |status| {
            status.events += slice.events;
            status.dead_letters += slice.dead_letters;
            status.rows += slice.rows;
            status.bytes += slice.bytes;
            status.commits += 1;
            status.batches += u64::from(slice.checkpoint.batch_is_whole());
            status.checkpoint = Some(slice.checkpoint.clone());
            status.lag_ms = Some((now_ms() - slice.staged_at_ms).max(0));
            status.last_commit = Some(Instant::now());
        });
    }

    pub(crate) fn retrying(&self, table: &str, error: &Error) {
        self.change(table, |status| {
            status.restarts += 1;
            status.state = State::Retrying { reason: error.to_string() };
        });
    }

    pub(crate) fn ended(&self, table: &str, state: State, exit: ExitCode) {
        self.change(table, |status| {
            status.state = state;
            status.exit = Some(exit);
        });
    }
}

/// What a committed slice adds.
pub(crate) struct Committed<'a> {
    pub(crate) events: u64,
    pub(crate) dead_letters: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) staged_at_ms: i64,
    pub(crate) checkpoint: &'a Checkpoint,
}

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}
