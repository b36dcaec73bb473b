//! A stream: a named offset in the history of each table it looks at.
//!
//! Promises: an offset moves only when a statement that reads the stream commits; a stream whose
//! offset has left the kept history says so and never returns rows that are not the true difference.
//! Leaves to others: the difference itself (`delta`, `view`), locks and commits (`engine`).

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Name, Object, ObjectId};
use crate::error::SqlError;
use crate::table::Table;
use crate::table::nature::Nature;

pub(crate) mod delta;
pub(crate) mod marked;
pub(crate) mod pairing;
pub(crate) mod provider;
pub(crate) mod trackable;
pub(crate) mod view;

const DAY: i64 = 86_400_000_000_000;

/// What a stream records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// The net difference.
    Default,
    /// Every row inserted, as it was inserted.
    AppendOnly,
    /// Rows inserted that are still there.
    InsertOnly,
}

impl Mode {
    /// `mode` in SHOW STREAMS.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::AppendOnly => "APPEND_ONLY",
            Self::InsertOnly => "INSERT_ONLY",
        }
    }
}

/// A table in whose history a stream has an offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Base {
    /// The table.
    pub(crate) table: ObjectId,
    /// Its name when the stream was made, for messages once it is gone.
    pub(crate) name: Name,
    /// The version up to which changes have been consumed.
    pub(crate) offset: u64,
}

/// A stream as the catalog holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stream {
    /// Identity.
    pub(crate) id: ObjectId,
    /// Name.
    pub(crate) name: Name,
    /// What it was made on: a table, a view or a stage.
    pub(crate) source: Object,
    /// That object's name when the stream was made.
    pub(crate) source_name: Name,
    /// The table it watches; of a view, every table the view reads.
    pub(crate) bases: Vec<Base>,
    /// What it records.
    pub(crate) mode: Mode,
    /// SHOW_INITIAL_ROWS and nothing consumed yet: shows the rows at the offset and no change.
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
    /// Its tables with their offsets; those that are gone are left out.
    pub(crate) fn tables<'a>(&'a self, catalog: &'a Catalog) -> impl Iterator<Item = (&'a Base, &'a Table)> {
        self.bases.iter().filter_map(|base| Some((base, catalog.table(base.table)?)))
    }

    /// When the stream becomes stale unless consumed before, nanoseconds since the epoch.
    #[must_use]
    pub(crate) fn stale_after(&self, catalog: &Catalog) -> Option<i64> {
        let days = self.tables(catalog).map(|(_, table)| table.definition.stream_days()).min()?;
        Some(self.touched.saturating_add(DAY * i64::from(days)))
    }

    /// Whether an offset has left the kept history.
    #[must_use]
    pub(crate) fn is_stale(&self, catalog: &Catalog, now: i64) -> bool {
        self.stale_after(catalog).is_none_or(|after| now > after)
            || self.tables(catalog).any(|(base, table)| base.offset < table.versions[0].number)
    }

    /// Why the stream cannot be read, or `None` if it can.
    #[must_use]
    pub(crate) fn invalid_reason(&self, catalog: &Catalog) -> Option<String> {
        if catalog.name_of(self.source).is_none() {
            let kind = match self.source {
                Object::View(_) => "View",
                Object::Stage(_) => "Stage",
                Object::Table(_) | Object::Stream(_) => "Base table",
            };
            return Some(format!("{kind} '{}' dropped or replaced", self.source_name));
        }
        if let Object::Stage(id) = self.source
            && catalog.stages.get(&id).is_some_and(|stage| !stage.directory)
        {
            return Some(format!("Directory table of stage '{}' was disabled", self.source_name));
        }
        self.bases.iter().find_map(|base| match catalog.table(base.table) {
            None => Some(format!("Base table '{}' dropped or replaced", base.name)),
            Some(table) => match table.definition.tracked_since {
                Some(since) if since <= base.offset => None,
                _ => Some(format!("Change tracking was disabled on table '{}'", table.definition.full_name())),
            },
        })
    }

    /// The source's kind as SHOW STREAMS writes it.
    #[must_use]
    pub(crate) fn source_type(&self, catalog: &Catalog) -> &'static str {
        match self.source {
            Object::View(_) => "View",
            Object::Stage(_) => "Stage",
            Object::Table(id) => catalog.table(id).map_or("Table", |table| table.definition.nature.source_type()),
            Object::Stream(_) => "Stream",
        }
    }

    /// The source's name now, or as it was.
    #[must_use]
    pub(crate) fn source_now(&self, catalog: &Catalog) -> Name {
        catalog.name_of(self.source).unwrap_or_else(|| self.source_name.clone())
    }

    /// Its tables, in the order of `bases`, if the stream can be read now.
    pub(crate) fn readable<'a>(&self, catalog: &'a Catalog, now: i64) -> Result<Vec<&'a Table>, SqlError> {
        if let Some(reason) = self.invalid_reason(catalog) {
            return Err(SqlError::new(
                "091901",
                "55000",
                format!("Stream {} is invalid: {reason}. Recreate the stream.", self.name),
            ));
        }
        let mut tables = Vec::with_capacity(self.bases.len());
        for base in &self.bases {
            let table = catalog.table(base.table).ok_or_else(|| SqlError::missing("Table", &base.name))?;
            if let Nature::Dynamic(dynamic) = &table.definition.nature
                && dynamic.data_at.is_none()
            {
                return Err(not_initialized(&table.definition.full_name()));
            }
            tables.push(table);
        }
        if self.is_stale(catalog, now) {
            return Err(SqlError::new(
                "091901",
                "55000",
                format!(
                    "Stream {} is stale: its offset is out of the data retention period of table {}. \
                     Recreate the stream.",
                    self.name,
                    self.source_now(catalog)
                ),
            ));
        }
        Ok(tables)
    }
}

/// A dynamic table before its first refresh (recorded on an account; see docs/simulator.md).
pub(crate) fn not_initialized(name: &str) -> SqlError {
    SqlError::new(
        "002745",
        "55000",
        format!(
            "Dynamic Table '{name}' is not initialized. Please run a manual refresh or wait for a scheduled refresh \
             before querying."
        ),
    )
}
