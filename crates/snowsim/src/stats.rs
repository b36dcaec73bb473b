//! What the simulator has done so far, for tests and for `GET /simulator/stats`.
//!
//! Counts only ever grow; none of them decides anything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;

use crate::engine::Engine;
use crate::warehouse::WarehouseUse;

/// A reading of the counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Statements that ran, each request id counted once.
    pub statements: u64,
    /// Of these, the ones that would have used a warehouse.
    pub warehouse_statements: u64,
    /// Statements by their first word, in lower case.
    pub by_kind: BTreeMap<String, u64>,
    /// Statements that ended in an error.
    pub failed_statements: u64,
    /// Repeated request ids answered with the first execution's answer.
    pub replays: u64,
    /// Requests for a statement that said to be retries (`clientStartTime`, `retryCount`, `retryReason`).
    pub declared_retries: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins refused.
    pub refused_logins: u64,
    /// Session tokens renewed.
    pub renewals: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Result chunks served whole or in part.
    pub chunk_downloads: u64,
    /// Statements aborted on request.
    pub aborts: u64,
    /// Sessions open now.
    pub open_sessions: u64,
    /// What each warehouse has been used for, by name.
    pub warehouses: BTreeMap<String, WarehouseUse>,
}

/// The counters behind [`Stats`].
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) statements: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) replays: AtomicU64,
    pub(crate) declared_retries: AtomicU64,
    pub(crate) logins: AtomicU64,
    pub(crate) refused_logins: AtomicU64,
    pub(crate) renewals: AtomicU64,
    pub(crate) heartbeats: AtomicU64,
    pub(crate) chunks: AtomicU64,
    pub(crate) aborts: AtomicU64,
    by_kind: Mutex<BTreeMap<String, u64>>,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    /// Counts a statement by its first word.
    pub(crate) fn statement(&self, sql: &str) {
        count(&self.statements);
        let word: String = sql
            .trim_start()
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .take(24)
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        let kind = if word.is_empty() { "other".to_owned() } else { word };
        *self.by_kind.lock().entry(kind).or_default() += 1;
    }

    /// Reads every counter.
    pub(crate) fn read(&self, engine: &Engine, open_sessions: u64) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            statements: get(&self.statements),
            warehouse_statements: engine.warehouse_statements(),
            by_kind: self.by_kind.lock().clone(),
            failed_statements: get(&self.failed),
            replays: get(&self.replays),
            declared_retries: get(&self.declared_retries),
            logins: get(&self.logins),
            refused_logins: get(&self.refused_logins),
            renewals: get(&self.renewals),
            heartbeats: get(&self.heartbeats),
            chunk_downloads: get(&self.chunks),
            aborts: get(&self.aborts),
            open_sessions,
            warehouses: engine.warehouse_use(),
        }
    }
}
