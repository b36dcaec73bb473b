//! Maintenance: many small parts of a table become one.
//!
//! Promises: rows keep their ids and values, so no stream sees it; runs only under the lock that
//! the commit before it still holds.
//! Leaves to others: nothing; if it cannot run now, it runs after a later commit.

use std::sync::Arc;

use super::Session;
use crate::catalog::ObjectId;
use crate::catalog::change::Change;
use crate::error::SqlError;
use crate::table::part::{PartKind, ROW_COLUMN};
use crate::table::scan::{Output, Selection, read_part, row_ids};
use crate::table::version::{Delta, Operation, PartView, Version};
use crate::table::write::PartWriter;

/// A part with fewer live rows than this is small.
const SMALL: u64 = 16_384;
/// How many small parts a table may have.
const MOST: usize = 32;

impl Session {
    /// Merges a table's small parts if there are too many.
    pub(super) fn compact(&self, table: ObjectId) -> Result<(), SqlError> {
        let (version, columns) = {
            let catalog = self.engine.catalog();
            let Some(table) = catalog.table(table) else {
                return Ok(());
            };
            // Insert-only streams tell rows by the parts they came in.
            if table.definition.nature.insert_only() {
                return Ok(());
            }
            (Arc::clone(table.current()), table.definition.columns.clone())
        };
        let (small, mut kept): (Vec<PartView>, Vec<PartView>) =
            version.parts.iter().cloned().partition(|view| view.live() < SMALL);
        if small.len() <= MOST {
            return Ok(());
        }
        let shape = columns.iter().map(|column| (column.id, column.ty)).collect();
        let mut writer = PartWriter::new(&self.engine.store, PartKind::Compact, shape);
        for view in &small {
            let outputs = columns.iter().cloned().map(Output::Column).chain([Output::Row]).collect();
            for batch in read_part(&view.part, Selection::Live(Arc::clone(&view.deletes)), outputs)? {
                let batch = batch?;
                let rows = row_ids(&batch, ROW_COLUMN)?;
                writer.push(batch.columns()[..columns.len()].to_vec(), rows)?;
            }
        }
        let fresh = writer.finish()?;
        kept.extend(fresh.iter().map(|part| PartView { part: Arc::clone(part), deletes: Arc::default() }));
        let next = Version { parts: kept, operation: Operation::Compact, ..Version::clone(&version) };
        let mut delta = Delta::between(&version, &next);
        delta.operation = Operation::Compact;
        delta.statement = String::new();
        self.engine.commit(fresh, |catalog| {
            let untouched = catalog.table(table).is_some_and(|current| {
                current.current().number == version.number && current.definition.columns == columns
            });
            let changes = match untouched {
                true => vec![Change::Write { table, delta: Box::new(delta) }],
                false => Vec::new(),
            };
            Ok((changes, ()))
        })
    }
}
