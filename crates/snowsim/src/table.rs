//! A table: its definition, and its history as immutable parts and versions over them.
//!
//! ```text
//!  version 1        version 2              version 3
//!  [part a]   ──▶   [part a, part b]  ──▶  [part a minus rows 3 and 9, part b, part c]
//! ```
//! Promises: a version never changes once committed, so whoever holds one reads it undisturbed; a
//! row keeps its id when it is updated or moved, so two versions compare by row id.
//! Leaves to others: who may write when (`engine::lock`), what reaches the disk (`catalog::journal`).

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::ObjectId;
use crate::types::SnowType;

pub(crate) mod deletes;
pub(crate) mod nature;
pub(crate) mod part;
pub(crate) mod scan;
pub(crate) mod version;
pub(crate) mod write;

use nature::{FILENAME, Nature};
use version::Version;

/// How long a table lives and what protects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TableKind {
    /// An ordinary table.
    Permanent,
    /// No fail-safe; the kind of the publisher's staging tables.
    Transient,
    /// Belongs to one session.
    Temporary,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Column {
    /// Identity that survives renames; parts store columns under it.
    pub(crate) id: u32,
    /// Current name.
    pub(crate) name: String,
    /// Its type.
    pub(crate) ty: SnowType,
    /// Whether NULL is allowed.
    pub(crate) nullable: bool,
    /// SQL of the DEFAULT expression.
    pub(crate) default: Option<String>,
    /// AUTOINCREMENT: start and step.
    pub(crate) identity: Option<(i64, i64)>,
    /// Text of the value that rows older than the column have; `None` is NULL.
    pub(crate) fill: Option<String>,
    /// Comment.
    pub(crate) comment: Option<String>,
}

/// A PRIMARY KEY or UNIQUE constraint: remembered, shown, never enforced (as Snowflake does).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// Constraint name.
    pub(crate) name: String,
    /// Ids of its columns, in order.
    pub(crate) columns: Vec<u32>,
}

/// What CREATE and ALTER TABLE say about a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// Identity of the table, never reused.
    pub(crate) id: ObjectId,
    /// The table whose row ids this one continues: itself, or the origin of a clone.
    pub(crate) lineage: ObjectId,
    /// Database.
    pub(crate) database: String,
    /// Schema.
    pub(crate) schema: String,
    /// Name.
    pub(crate) name: String,
    /// Permanent, transient or temporary.
    pub(crate) kind: TableKind,
    /// Columns in order.
    pub(crate) columns: Vec<Column>,
    /// The id the next added column gets.
    pub(crate) next_column: u32,
    /// PRIMARY KEY.
    pub(crate) primary_key: Option<Key>,
    /// UNIQUE constraints.
    pub(crate) unique: Vec<Key>,
    /// Comment.
    pub(crate) comment: Option<String>,
    /// DATA_RETENTION_TIME_IN_DAYS, if set on the table.
    pub(crate) retention_days: Option<u32>,
    /// MAX_DATA_EXTENSION_TIME_IN_DAYS, if set on the table.
    pub(crate) extension_days: Option<u32>,
    /// Since which version changes are tracked; `None` while tracking is off.
    pub(crate) tracked_since: Option<u64>,
    /// Creation, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// Owning role.
    pub(crate) owner: String,
    /// What it is besides a table.
    pub(crate) nature: Nature,
}

impl Definition {
    /// Its columns as `*` shows them.
    #[must_use]
    pub(crate) fn shown(&self) -> Vec<Column> {
        let external = matches!(self.nature, Nature::External(_));
        self.columns.iter().filter(|column| !external || column.name != FILENAME).cloned().collect()
    }

    /// The column of a name.
    #[must_use]
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Days of Time Travel.
    #[must_use]
    pub(crate) fn retention(&self) -> u32 {
        self.retention_days.unwrap_or(1)
    }

    /// Days for which an unconsumed stream stays readable: the longer of retention and extension.
    #[must_use]
    pub(crate) fn stream_days(&self) -> u32 {
        self.retention().max(self.extension_days.unwrap_or(14))
    }

    /// `DB.SCHEMA.NAME`, as SHOW writes it.
    #[must_use]
    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}.{}", self.database, self.schema, self.name)
    }
}

/// A table as the catalog holds it.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its definition.
    pub(crate) definition: Definition,
    /// History, oldest kept version first; never empty.
    pub(crate) versions: VecDeque<Arc<Version>>,
}

impl Table {
    /// The newest committed version.
    #[must_use]
    pub(crate) fn current(&self) -> &Arc<Version> {
        &self.versions[self.versions.len() - 1]
    }

    /// The version of a number, if still kept.
    #[must_use]
    pub(crate) fn version(&self, number: u64) -> Option<&Arc<Version>> {
        let first = self.versions.front()?.number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.versions.get(index)
    }

    /// The newest version committed at or before a time, if still kept.
    #[must_use]
    pub(crate) fn version_at(&self, nanos: i64) -> Option<&Arc<Version>> {
        let later = self.versions.partition_point(|version| version.at <= nanos);
        self.versions.get(later.checked_sub(1)?)
    }

    /// The newest version of a commit sequence number or older; the oldest kept otherwise.
    #[must_use]
    pub(crate) fn version_of_sequence(&self, sequence: u64) -> &Arc<Version> {
        self.versions.iter().rev().find(|version| version.sequence <= sequence).unwrap_or(&self.versions[0])
    }
}
