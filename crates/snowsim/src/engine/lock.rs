//! Locks on tables and streams, held from the first write (or consuming read) to the end of the transaction.
//!
//! Promises: one holder at a time; a waiter gives up after LOCK_TIMEOUT; dropping the guard, even
//! because the statement was cancelled, frees the lock.
//! Leaves to others: which locks a statement needs, and in which order (`session`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::catalog::ObjectId;
use crate::error::SqlError;

/// Who may wait for one lock at once, as in Snowflake.
const MOST_WAITERS: usize = 20;

/// All locks of an account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    table: Arc<Mutex<HashMap<ObjectId, Entry>>>,
    freed: Arc<Notify>,
}

#[derive(Debug)]
struct Entry {
    transaction: u64,
    waiters: usize,
}

/// A lock that is held; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Guard {
    locks: Locks,
    object: ObjectId,
}

/// One waiter, counted while it waits.
struct Waiter<'a>(&'a Locks, ObjectId);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.0.table.lock().get_mut(&self.1) {
            entry.waiters = entry.waiters.saturating_sub(1);
        }
    }
}

impl Locks {
    /// Takes a lock for a transaction, waiting at most `timeout`; `None` if it already has it.
    pub(crate) async fn acquire(
        &self,
        object: ObjectId,
        name: &str,
        transaction: u64,
        timeout: Duration,
    ) -> Result<Option<Guard>, SqlError> {
        let deadline = tokio::time::Instant::now() + timeout;
        let mut waiter = None;
        loop {
            let freed = self.freed.notified();
            {
                let mut table = self.table.lock();
                match table.get_mut(&object) {
                    None => {
                        table.insert(object, Entry { transaction, waiters: 0 });
                        drop(table);
                        drop(waiter);
                        return Ok(Some(Guard { locks: self.clone(), object }));
                    }
                    Some(entry) if entry.transaction == transaction => return Ok(None),
                    Some(entry) if waiter.is_none() => {
                        if entry.waiters >= MOST_WAITERS {
                            return Err(too_long(name, entry.transaction, "too many statements wait for it"));
                        }
                        entry.waiters += 1;
                        waiter = Some(Waiter(self, object));
                    }
                    Some(_) => {}
                }
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                let holder = self.table.lock().get(&object).map(|entry| entry.transaction);
                if let Some(holder) = holder {
                    return Err(too_long(name, holder, "this lock has not yet been released"));
                }
            }
        }
    }
}

fn too_long(name: &str, holder: u64, reason: &str) -> SqlError {
    SqlError::new(
        "000625",
        "57014",
        format!(
            "Statement was aborted because resource '{name}' is locked by transaction {holder} and {reason}; \
             commit or roll back that transaction, or raise LOCK_TIMEOUT."
        ),
    )
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.locks.table.lock().remove(&self.object);
        self.locks.freed.notify_waiters();
    }
}
