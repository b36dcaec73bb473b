//! What a table is besides an ordinary one.
//!
//! Promises: every kind keeps its rows as an ordinary table does, in parts and versions, so streams work on all of
//! them alike; what differs is who writes the rows, and which streams are allowed.
//! Leaves to others: filling them (`session::dynamic`, `session::external`, `session::stage`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::Name;

/// Column of external tables and their streams that names the row's file.
pub(crate) const FILENAME: &str = "METADATA$FILENAME";

/// The kind of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Nature {
    /// An ordinary table.
    #[default]
    Plain,
    /// Filled by refreshes of its query.
    Dynamic(Dynamic),
    /// Of fixed columns, for telemetry.
    Event,
    /// Rows of files in a stage.
    External(External),
    /// An Iceberg table, whose catalog is Snowflake (`managed`) or another.
    Iceberg {
        /// Whether Snowflake is its catalog.
        managed: bool,
    },
    /// The files of a stage as rows; it has its stage's name and is reached through it only.
    Directory,
}

/// A dynamic table's own properties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dynamic {
    /// The whole CREATE DYNAMIC TABLE.
    pub(crate) text: String,
    /// REFRESH_MODE as resolved when it was created: INCREMENTAL, otherwise FULL.
    pub(crate) incremental: bool,
    /// Why AUTO became FULL.
    pub(crate) reason: Option<String>,
    /// TARGET_LAG.
    pub(crate) target_lag: String,
    /// WAREHOUSE.
    pub(crate) warehouse: String,
    /// Time of the data it shows, nanoseconds since the epoch; `None` before the first refresh.
    pub(crate) data_at: Option<i64>,
}

/// An external table's own properties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct External {
    /// The stage its files are in.
    pub(crate) stage: Name,
    /// Files below this path only.
    pub(crate) path: String,
    /// Whether it has PARTITION BY.
    pub(crate) partitioned: bool,
    /// SQL of each column after VALUE, in terms of VALUE.
    pub(crate) expressions: Vec<String>,
    /// Files whose rows it has, with the time each was written, nanoseconds since the epoch.
    pub(crate) files: BTreeMap<String, i64>,
}

impl Nature {
    /// The word in messages about wrong kinds.
    #[must_use]
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Plain => "TABLE",
            Self::Dynamic(_) => "DYNAMIC_TABLE",
            Self::Event => "EVENT_TABLE",
            Self::External(_) => "EXTERNAL_TABLE",
            Self::Iceberg { .. } => "ICEBERG_TABLE",
            Self::Directory => "STAGE",
        }
    }

    /// `source_type` of a stream on it.
    #[must_use]
    pub(crate) fn source_type(&self) -> &'static str {
        match self {
            Self::Plain | Self::Event | Self::Iceberg { .. } => "Table",
            Self::Dynamic(_) => "Dynamic Table",
            Self::External(_) => "External Table",
            Self::Directory => "Stage",
        }
    }

    /// Whether only insert-only streams follow it.
    #[must_use]
    pub(crate) fn insert_only(&self) -> bool {
        matches!(self, Self::External(_) | Self::Iceberg { managed: false })
    }

    /// Whether its streams leave the row id empty.
    #[must_use]
    pub(crate) fn hides_row_ids(&self) -> bool {
        matches!(self, Self::External(_) | Self::Directory)
    }

    /// Whether INSERT, UPDATE and DELETE of users are refused.
    #[must_use]
    pub(crate) fn read_only(&self) -> bool {
        matches!(self, Self::External(_) | Self::Dynamic(_) | Self::Directory)
    }
}
