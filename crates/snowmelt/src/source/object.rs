//! What kind of object a configured name is; `plan` says which stream can follow it.
//!
//! ```text
//! SHOW … ──▶ Object ──▶ plan(table) ──▶ Plan: ON <kind>, mode, initial rows, key
//!                             └──▶ refusal: what cannot be captured, with its reason and remedy
//! ```
//! Only SHOW and DESCRIBE are used, so nothing here needs a warehouse. Which kinds there are and what each allows is a
//! table in docs/events.md. What only Snowflake can know, whether a view's query can be tracked, shows when the stream
//! is made ([`Object::refused_stream`]).

mod plan;
mod windows;

use std::sync::Arc;

pub use plan::{Plan, StreamMode};

use super::SourceError;
use super::session::{Session, TableRow};
use super::staging::show_one;
use crate::config::ObjectName;

/// Key of a directory table: it lists each path once, and its rows have no row id.
pub const PATH: &str = "RELATIVE_PATH";

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A permanent, transient or temporary table; the word is Snowflake's.
    Table(String),
    /// A view.
    View {
        /// Streams on it do not keep its tables' history (docs.snowflake.com/en/sql-reference/sql/create-stream).
        secure: bool,
    },
    /// A materialized view.
    MaterializedView,
    /// A dynamic table.
    DynamicTable {
        /// `INCREMENTAL` or `FULL`.
        refresh_mode: String,
        /// Why it is FULL, if Snowflake says.
        reason: Option<String>,
        /// Whether it has been refreshed at all.
        initialized: bool,
    },
    /// An external table.
    ExternalTable,
    /// An event table.
    EventTable,
    /// An Iceberg table.
    IcebergTable {
        /// Whether Snowflake is its catalog.
        managed: bool,
    },
    /// A stage, whose directory table is meant.
    Stage {
        /// Whether the directory table is enabled.
        directory: bool,
        /// Whether its files are outside of Snowflake.
        external: bool,
    },
}

/// An object as SHOW describes it.
#[derive(Debug, Clone)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Owning role.
    pub owner: String,
    /// Whether changes are tracked; `None` where the kind has no such switch.
    pub change_tracking: Option<bool>,
    /// Days of Time Travel; `None` where SHOW does not say.
    pub retention_days: Option<u32>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: Option<i64>,
}

impl Kind {
    /// The word for people.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Table(word) => word,
            Self::View { secure: false } => "view",
            Self::View { secure: true } => "secure view",
            Self::MaterializedView => "materialized view",
            Self::DynamicTable { .. } => "dynamic table",
            Self::ExternalTable => "external table",
            Self::EventTable => "event table",
            Self::IcebergTable { managed: true } => "iceberg table",
            Self::IcebergTable { managed: false } => "externally managed iceberg table",
            Self::Stage { .. } => "directory table",
        }
    }

    /// The words that GRANT has for it (docs.snowflake.com/en/sql-reference/sql/grant-privilege).
    #[must_use]
    pub fn granted_on(&self) -> &'static str {
        match self {
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::IcebergTable { .. } => "ICEBERG TABLE",
            other => other.sql(),
        }
    }

    /// The words that CREATE STREAM has for it.
    #[must_use]
    pub fn sql(&self) -> &'static str {
        match self {
            Self::View { .. } | Self::MaterializedView => "VIEW",
            Self::DynamicTable { .. } => "DYNAMIC TABLE",
            Self::ExternalTable => "EXTERNAL TABLE",
            Self::EventTable => "EVENT TABLE",
            Self::Stage { .. } => "STAGE",
            // An Iceberg table is a table to CREATE STREAM.
            Self::Table(_) | Self::IcebergTable { .. } => "TABLE",
        }
    }

    /// `source_type` of a stream on it in SHOW STREAMS.
    fn source_type(&self) -> &'static str {
        match self {
            Self::View { .. } | Self::MaterializedView => "View",
            Self::DynamicTable { .. } => "Dynamic Table",
            Self::ExternalTable => "External Table",
            Self::Stage { .. } => "Stage",
            Self::Table(_) | Self::EventTable | Self::IcebergTable { .. } => "Table",
        }
    }

    /// Whether it can have a declared primary key that SHOW PRIMARY KEYS tells.
    #[must_use]
    pub fn has_primary_key(&self) -> bool {
        matches!(self, Self::Table(_) | Self::IcebergTable { .. } | Self::EventTable)
    }

    /// Whether its columns can be asked for by describing a SELECT from it.
    #[must_use]
    pub fn can_be_selected(&self) -> bool {
        !matches!(self, Self::Stage { .. } | Self::DynamicTable { initialized: false, .. })
    }
}

fn yes(row: &TableRow<'_>, column: &str) -> bool {
    row.text(column).is_some_and(|text| ["Y", "TRUE", "ON", "YES"].iter().any(|word| text.eq_ignore_ascii_case(word)))
}

impl Object {
    /// Finds what `name` is; `None` when the role sees no such object. A table's name comes before a stage's.
    ///
    /// # Errors
    /// When Snowflake cannot be asked.
    pub async fn find(session: &Arc<Session>, name: &ObjectName) -> Result<Option<Self>, SourceError> {
        if let Some(mut found) = show(session, "TABLES", name, Self::of_table).await? {
            match found.kind {
                Kind::DynamicTable { .. } => {
                    if let Some(known) = show(session, "DYNAMIC TABLES", name, Self::of_dynamic_table).await? {
                        found.kind = known.kind;
                    }
                }
                Kind::IcebergTable { .. } => {
                    if let Some(known) = show(session, "ICEBERG TABLES", name, Self::of_iceberg_table).await? {
                        found.kind = known.kind;
                    }
                }
                _ => {}
            }
            return Ok(Some(found));
        }
        if let Some(found) = show(session, "VIEWS", name, Self::of_view).await? {
            return Ok(Some(found));
        }
        // Should SHOW TABLES leave a kind out, its own SHOW has it.
        if let Some(found) = show(session, "DYNAMIC TABLES", name, Self::of_dynamic_table).await? {
            return Ok(Some(found));
        }
        let external = |row: &TableRow<'_>| Self::of(row, Kind::ExternalTable);
        if let Some(found) = show(session, "EXTERNAL TABLES", name, external).await? {
            return Ok(Some(found));
        }
        let stage = |row: &TableRow<'_>| {
            let external = row.text("type").is_some_and(|kind| kind.to_ascii_uppercase().starts_with("EXTERNAL"));
            Self::of(row, Kind::Stage { directory: yes(row, "directory_enabled"), external })
        };
        show(session, "STAGES", name, stage).await
    }

    fn of(row: &TableRow<'_>, kind: Kind) -> Self {
        Self {
            kind,
            owner: row.text("owner").unwrap_or_default(),
            change_tracking: row.text("change_tracking").map(|_| yes(row, "change_tracking")),
            retention_days: row.text("retention_time").and_then(|days| days.parse().ok()),
            created_ms: row.millis("created_on"),
        }
    }

    fn of_table(row: &TableRow<'_>) -> Self {
        let kind = if yes(row, "is_external") {
            Kind::ExternalTable
        } else if yes(row, "is_dynamic") {
            Kind::DynamicTable { refresh_mode: String::new(), reason: None, initialized: true }
        } else if yes(row, "is_event") {
            Kind::EventTable
        } else if yes(row, "is_iceberg") {
            Kind::IcebergTable { managed: true }
        } else {
            Kind::Table(match row.text("kind").unwrap_or_default().to_ascii_lowercase() {
                word if word.is_empty() || word == "table" => "table".to_owned(),
                word => format!("{word} table"),
            })
        };
        Self::of(row, kind)
    }

    fn of_view(row: &TableRow<'_>) -> Self {
        let kind = match yes(row, "is_materialized") {
            true => Kind::MaterializedView,
            false => Kind::View { secure: yes(row, "is_secure") },
        };
        Self::of(row, kind)
    }

    fn of_dynamic_table(row: &TableRow<'_>) -> Self {
        let kind = Kind::DynamicTable {
            refresh_mode: row.text("refresh_mode").unwrap_or_default().to_ascii_uppercase(),
            reason: row.text("refresh_mode_reason").filter(|reason| !reason.is_empty()),
            initialized: row.millis("data_timestamp").is_some(),
        };
        Self::of(row, kind)
    }

    fn of_iceberg_table(row: &TableRow<'_>) -> Self {
        let managed = row.text("iceberg_table_type").is_none_or(|kind| !kind.eq_ignore_ascii_case("unmanaged"));
        Self::of(row, Kind::IcebergTable { managed })
    }
}

async fn show(
    session: &Arc<Session>,
    kinds: &str,
    name: &ObjectName,
    read: impl Fn(&TableRow<'_>) -> Object,
) -> Result<Option<Object>, SourceError> {
    let what = format!("the list of {}", kinds.to_ascii_lowercase());
    match session.table(&what, &show_one(kinds, name)).await {
        // LIKE takes no notice of case; names do.
        Ok(listed) => {
            let found = listed.rows().find(|row| row.text("name").as_deref() == Some(&name.name));
            Ok(found.as_ref().map(read))
        }
        Err(error) if error.is_object_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
