//! One state of a table, and the difference that makes the next.
//!
//! Promises: `Version::apply` and `Delta::between` are inverse, and deterministic, so replaying the
//! journal gives the very versions that were committed.
//! Leaves to others: the rows themselves (`part`).

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::deletes::{Deletes, Run};
use super::part::{Part, PartKind, PartMeta};
use crate::error::SqlError;

/// What kind of statement made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// The table's first version.
    Create,
    /// Any DML, or several of one transaction.
    Write,
    /// Maintenance: rows moved to other parts, none changed.
    Compact,
}

/// A part as one version sees it.
#[derive(Debug, Clone)]
pub(crate) struct PartView {
    /// The rows.
    pub(crate) part: Arc<Part>,
    /// Those of them that this version does not have.
    pub(crate) deletes: Arc<Deletes>,
}

impl PartView {
    /// Rows this version has of the part.
    #[must_use]
    pub(crate) fn live(&self) -> u64 {
        u64::from(self.part.meta.rows) - self.deletes.count()
    }
}

/// One committed (or, inside a transaction, pending) state of a table.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// 0, 1, 2 … within the table.
    pub(crate) number: u64,
    /// The account-wide number of the commit that made it.
    pub(crate) sequence: u64,
    /// Commit time, nanoseconds since the epoch; strictly increasing over the account's commits.
    pub(crate) at: i64,
    /// What made it.
    pub(crate) operation: Operation,
    /// Query id of the statement that made it.
    pub(crate) statement: String,
    /// Its parts, oldest first.
    pub(crate) parts: Vec<PartView>,
    /// Parts of inserted rows that this version brought, also those deleted since.
    pub(crate) inserted: Vec<Arc<Part>>,
    /// The id the next inserted row gets.
    pub(crate) next_row: u64,
    /// How many AUTOINCREMENT values have been handed out.
    pub(crate) next_identity: i64,
}

/// What the journal says of a new version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Delta {
    /// What made it.
    pub(crate) operation: Operation,
    /// Query id of the statement.
    pub(crate) statement: String,
    /// New parts, in order.
    pub(crate) added: Vec<PartMeta>,
    /// Parts that left (all their rows are gone or moved).
    pub(crate) removed: Vec<u64>,
    /// Newly deleted rows of parts that stay.
    pub(crate) deleted: Vec<(u64, Vec<Run>)>,
    /// See [`Version::next_row`].
    pub(crate) next_row: u64,
    /// See [`Version::next_identity`].
    pub(crate) next_identity: i64,
}

impl Version {
    /// The state before any row.
    #[must_use]
    pub(crate) fn empty(sequence: u64, at: i64, statement: &str) -> Self {
        Self {
            number: 0,
            sequence,
            at,
            operation: Operation::Create,
            statement: statement.to_owned(),
            parts: Vec::new(),
            inserted: Vec::new(),
            next_row: 1,
            next_identity: 0,
        }
    }

    /// How many rows it has.
    #[must_use]
    pub(crate) fn rows(&self) -> u64 {
        self.parts.iter().map(PartView::live).sum()
    }

    /// Bytes of its parts on disk.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|view| view.part.meta.bytes).sum()
    }

    /// The next version: this one changed by `delta`, whose parts `open` finds by their metadata.
    pub(crate) fn apply(
        &self,
        delta: &Delta,
        sequence: u64,
        at: i64,
        open: &mut dyn FnMut(&PartMeta) -> Result<Arc<Part>, SqlError>,
    ) -> Result<Self, SqlError> {
        let deleted: HashMap<u64, &Vec<Run>> = delta.deleted.iter().map(|(id, runs)| (*id, runs)).collect();
        let mut parts = Vec::with_capacity(self.parts.len() + delta.added.len());
        let mut push = |part: Arc<Part>, deletes: &Arc<Deletes>| {
            let deletes = match deleted.get(&part.meta.id) {
                Some(runs) => {
                    let mut changed = Deletes::clone(deletes);
                    changed.extend(runs);
                    Arc::new(changed)
                }
                None => Arc::clone(deletes),
            };
            parts.push(PartView { part, deletes });
        };
        for view in &self.parts {
            if !delta.removed.contains(&view.part.meta.id) {
                push(Arc::clone(&view.part), &view.deletes);
            }
        }
        let none = Arc::new(Deletes::default());
        let mut inserted = Vec::new();
        for meta in &delta.added {
            let part = open(meta)?;
            if meta.kind == PartKind::Insert {
                inserted.push(Arc::clone(&part));
            }
            push(part, &none);
        }
        Ok(Self {
            number: self.number + 1,
            sequence,
            at,
            operation: delta.operation,
            statement: delta.statement.clone(),
            parts,
            inserted,
            next_row: delta.next_row,
            next_identity: delta.next_identity,
        })
    }
}

impl Delta {
    /// What leads from `base` to `next`.
    #[must_use]
    pub(crate) fn between(base: &Version, next: &Version) -> Self {
        let before: HashMap<u64, &PartView> = base.parts.iter().map(|view| (view.part.meta.id, view)).collect();
        let after: HashMap<u64, ()> = next.parts.iter().map(|view| (view.part.meta.id, ())).collect();
        let none = Arc::new(Deletes::default());
        let mut added = Vec::new();
        let mut deleted = Vec::new();
        for view in &next.parts {
            let meta = &view.part.meta;
            let earlier = match before.get(&meta.id) {
                Some(earlier) => &earlier.deletes,
                None => {
                    added.push(meta.clone());
                    &none
                }
            };
            if !Arc::ptr_eq(earlier, &view.deletes) {
                let runs = view.deletes.since(earlier, meta.rows);
                if !runs.is_empty() {
                    deleted.push((meta.id, runs));
                }
            }
        }
        Self {
            operation: next.operation,
            statement: next.statement.clone(),
            added,
            removed: base.parts.iter().map(|view| view.part.meta.id).filter(|id| !after.contains_key(id)).collect(),
            deleted,
            next_row: next.next_row,
            next_identity: next.next_identity,
        }
    }

    /// Whether it changes nothing at all.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.deleted.is_empty()
    }
}
