//! Writing query results into tables: types, NOT NULL, AUTOINCREMENT.
//!
//! Promises: what is written has exactly the table's types; a NULL in a NOT NULL column fails the
//! statement and leaves no part behind.
//! Leaves to others: parts (`table::write`), versions (`session::dml`).

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt64Array};

use super::Session;
use super::transaction::Pending;
use crate::error::SqlError;
use crate::table::Column;
use crate::table::deletes::Deletes;
use crate::table::part::{Part, PartKind};
use crate::table::version::{PartView, Version};
use crate::table::write::PartWriter;

impl Session {
    /// A writer of parts with a table's columns.
    pub(super) fn writer(&self, kind: PartKind, columns: &[Column]) -> PartWriter {
        let shape = columns.iter().map(|column| (column.id, column.ty)).collect();
        PartWriter::new(&self.engine.store, kind, shape)
    }
}

/// Refuses NULLs in NOT NULL columns.
pub(super) fn check_nulls(columns: &[Column], arrays: &[ArrayRef]) -> Result<(), SqlError> {
    for (column, array) in columns.iter().zip(arrays) {
        if !column.nullable && array.null_count() > 0 {
            return Err(SqlError::new(
                "100072",
                "22000",
                format!("NULL result in a non-nullable column {}", column.name),
            ));
        }
    }
    Ok(())
}

/// Row ids for new rows, taken from a version's counter.
pub(super) fn new_rows(version: &mut Version, rows: usize) -> UInt64Array {
    let first = version.next_row;
    version.next_row += u64::try_from(rows).unwrap_or(0);
    UInt64Array::from_iter_values(first..version.next_row)
}

impl Pending {
    /// The state changed by a statement: new parts, and rows deleted by part index and position.
    pub(super) fn changed(mut self, mut next: Version, deleted: &[(usize, u32)], fresh: Vec<Arc<Part>>) -> Self {
        let mut changed: std::collections::BTreeMap<usize, Deletes> = std::collections::BTreeMap::new();
        for (part, position) in deleted {
            let deletes = changed.entry(*part).or_insert_with(|| Deletes::clone(&next.parts[*part].deletes));
            deletes.insert(*position);
        }
        for (part, deletes) in changed {
            next.parts[part].deletes = Arc::new(deletes);
        }
        next.parts.retain(|view| view.live() > 0);
        let views = fresh.iter().map(|part| PartView { part: Arc::clone(part), deletes: Arc::default() });
        next.parts.extend(views);
        self.fresh.extend(fresh);
        self.current = Arc::new(next);
        self
    }
}
