//! A stream: a named offset in a table's history.
//!
//! Promises: an offset moves only when a statement that reads the stream commits; a stream whose
//! offset has left the kept history says so and never returns rows that are not the true difference.
//! Leaves to others: the difference itself (`delta`), locks and commits (`engine`).

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Name, ObjectId};
use crate::error::SqlError;
use crate::table::Table;

pub(crate) mod delta;
pub(crate) mod pairing;
pub(crate) mod provider;

const DAY: i64 = 86_400_000_000_000;

/// A stream as the catalog holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stream {
    /// Identity.
    pub(crate) id: ObjectId,
    /// Name.
    pub(crate) name: Name,
    /// The table it watches.
    pub(crate) table: ObjectId,
    /// The table's name when the stream was made, for messages once the table is gone.
    pub(crate) table_name: Name,
    /// Whether only inserts are shown.
    pub(crate) append_only: bool,
    /// The version up to which changes have been consumed.
    pub(crate) offset: u64,
    /// SHOW_INITIAL_ROWS and nothing consumed yet: shows the rows of `offset` and no change.
    pub(crate) initial: bool,
    /// Creation, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// Owning role.
    pub(crate) owner: String,
    /// Comment.
    pub(crate) comment: String,
    /// When it was last consumed (or found empty), nanoseconds since the epoch.
    pub(crate) touched: i64,
}

impl Stream {
    /// When the stream becomes stale unless consumed before, nanoseconds since the epoch.
    #[must_use]
    pub(crate) fn stale_after(&self, table: &Table) -> i64 {
        self.touched.saturating_add(DAY * i64::from(table.definition.stream_days()))
    }

    /// Whether its offset has left the kept history.
    #[must_use]
    pub(crate) fn is_stale(&self, table: &Table, now: i64) -> bool {
        now > self.stale_after(table) || self.offset < table.versions[0].number
    }

    /// Why the stream cannot be read, or `None` if it can.
    #[must_use]
    pub(crate) fn invalid_reason(&self, catalog: &Catalog) -> Option<String> {
        match catalog.table(self.table) {
            None => Some(format!("Base table '{}' dropped or replaced", self.table_name)),
            Some(table) => match table.definition.tracked_since {
                Some(since) if since <= self.offset => None,
                _ => Some(format!("Change tracking was disabled on table '{}'", table.definition.full_name())),
            },
        }
    }

    /// The table, if the stream can be read now.
    pub(crate) fn readable<'a>(&self, catalog: &'a Catalog, now: i64) -> Result<&'a Table, SqlError> {
        if let Some(reason) = self.invalid_reason(catalog) {
            return Err(SqlError::new(
                "091901",
                "55000",
                format!("Stream {} is invalid: {reason}. Recreate the stream.", self.name),
            ));
        }
        let table = catalog.table(self.table).ok_or_else(|| SqlError::missing("Table", &self.table_name))?;
        if self.is_stale(table, now) {
            return Err(SqlError::new(
                "091901",
                "55000",
                format!(
                    "Stream {} is stale: its offset is out of the data retention period of table {}. \
                     Recreate the stream.",
                    self.name,
                    table.definition.full_name()
                ),
            ));
        }
        Ok(table)
    }
}
