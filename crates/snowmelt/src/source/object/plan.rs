//! Which stream can follow an object, and whether one that is there does.
//!
//! Promises: what cannot be captured is refused before anything is made, with its reason and remedy. The rules are
//! those of docs.snowflake.com/en/sql-reference/sql/create-stream and of what was recorded on accounts.
//! Leaves to others: finding out what the object is ([`super`]), making the stream (`source`).

use super::{Kind, Object, PATH};
use crate::config::{Mode, ObjectName, Snapshot, Table};
use crate::source::SourceError;
use crate::source::session::TableRow;
use crate::source::value::{Column, DataType};

/// What a stream records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamMode {
    /// The net difference.
    Standard,
    /// Every row inserted, as it was inserted.
    AppendOnly,
    /// Rows of files that came.
    InsertOnly,
}

impl StreamMode {
    /// `mode` in SHOW STREAMS.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::Standard => "DEFAULT",
            Self::AppendOnly => "APPEND_ONLY",
            Self::InsertOnly => "INSERT_ONLY",
        }
    }

    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::AppendOnly => "append-only",
            Self::InsertOnly => "insert-only",
        }
    }
}

/// How an object is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The words after ON.
    pub on: &'static str,
    /// What the stream records.
    pub mode: StreamMode,
    /// SHOW_INITIAL_ROWS.
    pub initial: bool,
}

impl Object {
    /// How it is captured as `table` says, or why it cannot be.
    ///
    /// # Errors
    /// [`SourceError::NotCapturable`].
    pub fn plan(&self, table: &Table) -> Result<Plan, SourceError> {
        let initial = table.snapshot == Snapshot::Initial;
        let refuse = |reason: &str, remedy: &str| Err(self.refusal(&table.name, reason.to_owned(), remedy));
        let mode = match (&self.kind, table.mode) {
            (Kind::ExternalTable | Kind::IcebergTable { managed: false }, Mode::Standard) => StreamMode::InsertOnly,
            (Kind::ExternalTable | Kind::IcebergTable { managed: false }, Mode::AppendOnly) => {
                return refuse(
                    "only insert-only streams follow it, and they are chosen by themselves",
                    "remove `mode`",
                );
            }
            (_, Mode::Standard) => StreamMode::Standard,
            (_, Mode::AppendOnly) => StreamMode::AppendOnly,
        };
        match &self.kind {
            Kind::MaterializedView => {
                return refuse(
                    "streams cannot follow materialized views",
                    "capture the table it reads, or a plain view with the same query",
                );
            }
            Kind::DynamicTable { refresh_mode, reason, .. } if refresh_mode == "FULL" => {
                let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                return refuse(
                    &format!("it is refreshed as a whole (REFRESH_MODE = FULL{reason}), and streams need INCREMENTAL"),
                    "recreate it with REFRESH_MODE = INCREMENTAL, or capture the tables it reads",
                );
            }
            Kind::DynamicTable { initialized: false, .. } => {
                let remedy = format!("ALTER DYNAMIC TABLE {} REFRESH, or wait for its first refresh", table.name);
                return refuse("it is not initialized: it was never refreshed", &remedy);
            }
            Kind::DynamicTable { .. } if mode == StreamMode::AppendOnly => {
                return refuse("append-only streams cannot follow dynamic tables", "set mode = \"standard\"");
            }
            Kind::ExternalTable if initial => {
                return refuse(
                    "a stream on an external table cannot show the rows that are there already",
                    "set snapshot = \"never\"",
                );
            }
            Kind::ExternalTable if table.key.is_none() => {
                return refuse("its rows have no row id", "set `key` to columns that tell its rows apart");
            }
            Kind::Stage { directory: false, .. } => {
                let remedy = format!("ALTER STAGE {} SET DIRECTORY = (ENABLE = TRUE)", table.name);
                return refuse("the stage has no directory table", &remedy);
            }
            Kind::Stage { .. } if mode == StreamMode::AppendOnly => {
                return refuse("append-only streams cannot follow directory tables", "set mode = \"standard\"");
            }
            Kind::Stage { .. } if initial => {
                return refuse(
                    "a stream on a directory table cannot show the files that are there already",
                    "set snapshot = \"never\"",
                );
            }
            Kind::Stage { .. } if table.key.as_ref().is_some_and(|key| *key != [PATH]) => {
                return refuse("its rows have no row id, and only their path names them", "remove `key`");
            }
            _ => {}
        }
        Ok(Plan { on: self.kind.sql(), mode, initial })
    }

    /// Refuses columns that a standard stream cannot follow (docs.snowflake.com/en/sql-reference/sql/create-stream).
    ///
    /// # Errors
    /// [`SourceError::NotCapturable`] naming the columns.
    pub fn check_columns(&self, name: &ObjectName, plan: &Plan, columns: &[Column]) -> Result<(), SourceError> {
        let geospatial = |column: &&Column| matches!(column.ty, DataType::Geography | DataType::Geometry);
        let places: Vec<&str> = columns.iter().filter(geospatial).map(|column| column.name.as_str()).collect();
        if plan.mode != StreamMode::Standard || places.is_empty() {
            return Ok(());
        }
        let reason = format!("standard streams cannot follow geospatial columns ({})", places.join(", "));
        Err(self.refusal(name, reason, "set mode = \"append_only\", or capture a view that leaves these columns out"))
    }

    pub(super) fn refusal(&self, name: &ObjectName, reason: String, remedy: &str) -> SourceError {
        SourceError::NotCapturable {
            object: name.to_string(),
            kind: self.kind.word().to_owned(),
            reason,
            remedy: remedy.to_owned(),
        }
    }

    /// What a refused CREATE STREAM means. A view's query may be one whose changes Snowflake cannot tell; its own
    /// words say which part.
    #[must_use]
    pub fn refused_stream(&self, name: &ObjectName, error: SourceError) -> SourceError {
        match (&self.kind, &error) {
            (Kind::View { .. }, SourceError::Refused { message, .. })
                if message.to_ascii_lowercase().contains("change tracking is not supported") =>
            {
                let said = message.rsplit('\n').next().unwrap_or(message);
                let reason = format!("snowflake cannot tell its changes: {said}");
                self.refusal(
                    name,
                    reason,
                    "keep to projections, filters, inner joins and UNION ALL, or capture the tables it reads",
                )
            }
            _ => error,
        }
    }

    /// Whether a stream, as SHOW STREAMS lists it, is one on `name` that `plan` would make.
    ///
    /// # Errors
    /// [`SourceError::StreamUnfit`] saying what differs.
    pub fn check_stream(&self, name: &ObjectName, plan: &Plan, row: &TableRow<'_>) -> Result<(), SourceError> {
        let stream = format!(
            "{}.{}.{}",
            row.text("database_name").unwrap_or_default(),
            row.text("schema_name").unwrap_or_default(),
            row.text("name").unwrap_or_default()
        );
        let unfit = |reason: String, remedy: String| Err(SourceError::StreamUnfit { stream, reason, remedy });
        let on = row.text("table_name").unwrap_or_default();
        if !is_named(&on, name) {
            return unfit(format!("it is a stream on {on}, not on {name}"), format!("name a stream on {name}"));
        }
        let kind = row.text("source_type").unwrap_or_default();
        if !kind.is_empty() && !kind.eq_ignore_ascii_case(self.kind.source_type()) {
            let wanted = self.kind.source_type().to_ascii_lowercase();
            return unfit(
                format!("it follows a {}, and {name} is a {wanted}", kind.to_ascii_lowercase()),
                format!("create it anew on {} {name}", plan.on),
            );
        }
        let mode = row.text("mode").unwrap_or_default();
        if !mode.eq_ignore_ascii_case(plan.mode.shown()) {
            let wanted = plan.mode.word();
            return unfit(
                format!("its mode is {mode}, and a {wanted} stream ({}) is wanted", plan.mode.shown()),
                "set `mode` to what the stream records; to change it, give the pipeline a new name and let it begin anew"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// Whether a fully qualified name in a SHOW, which may leave out quotes, is `name`.
fn is_named(shown: &str, name: &ObjectName) -> bool {
    shown.parse::<ObjectName>().ok().as_ref() == Some(name)
        || shown == format!("{}.{}.{}", name.database, name.schema, name.name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{Columns, OnPoison, OnStale, Way};

    pub(crate) fn object(kind: Kind) -> Object {
        Object { kind, owner: "R".to_owned(), change_tracking: Some(true), retention_days: Some(1), created_ms: None }
    }

    pub(crate) fn table(mode: Mode, snapshot: Snapshot, key: Option<&str>) -> Table {
        Table {
            name: "D.S.T".parse().unwrap(),
            pattern: None,
            key: key.map(|key| vec![key.to_owned()]),
            topic: "t".to_owned(),
            names_topic: false,
            snapshot,
            on_stale: OnStale::Halt,
            on_poison: OnPoison::Fail,
            dead_letters: None,
            filter: None,
            columns: Columns::default(),
            read: Way::Stream,
            max_rows_per_batch: None,
            mode,
            stream: None,
        }
    }

    #[test]
    fn every_kind_has_its_stream_or_its_reason() {
        let dynamic = |mode: &str, initialized| Kind::DynamicTable {
            refresh_mode: mode.to_owned(),
            reason: Some("LIMIT".to_owned()),
            initialized,
        };
        let plain = || Kind::Table("table".to_owned());
        let foreign = Kind::IcebergTable { managed: false };
        let stage = Kind::Stage { directory: true, external: false };
        let (standard, append, first, never) = (Mode::Standard, Mode::AppendOnly, Snapshot::Initial, Snapshot::Never);
        for (kind, table, expected) in [
            (plain(), table(standard, first, None), "TABLE DEFAULT initial"),
            (plain(), table(append, never, None), "TABLE APPEND_ONLY"),
            (Kind::View { secure: true }, table(append, first, None), "VIEW APPEND_ONLY initial"),
            (Kind::EventTable, table(standard, first, None), "EVENT TABLE DEFAULT initial"),
            (dynamic("INCREMENTAL", true), table(standard, first, None), "DYNAMIC TABLE DEFAULT initial"),
            (foreign.clone(), table(standard, first, None), "TABLE INSERT_ONLY initial"),
            (Kind::ExternalTable, table(standard, never, Some("ID")), "EXTERNAL TABLE INSERT_ONLY"),
            (stage.clone(), table(standard, never, None), "STAGE DEFAULT"),
            (Kind::MaterializedView, table(standard, first, None), "capture the table it reads"),
            (dynamic("FULL", true), table(standard, first, None), "REFRESH_MODE = FULL: LIMIT"),
            (dynamic("INCREMENTAL", false), table(standard, first, None), "ALTER DYNAMIC TABLE D.S.T REFRESH"),
            (dynamic("INCREMENTAL", true), table(append, first, None), "set mode = \"standard\""),
            (foreign, table(append, first, None), "remove `mode`"),
            (Kind::ExternalTable, table(standard, first, Some("ID")), "set snapshot = \"never\""),
            (Kind::ExternalTable, table(standard, never, None), "set `key`"),
            (
                Kind::Stage { directory: false, external: false },
                table(standard, never, None),
                "SET DIRECTORY = (ENABLE = TRUE)",
            ),
            (stage.clone(), table(append, never, None), "set mode = \"standard\""),
            (stage.clone(), table(standard, first, None), "set snapshot = \"never\""),
            (stage, table(standard, never, Some("SIZE")), "remove `key`"),
        ] {
            let shown = match object(kind.clone()).plan(&table) {
                Ok(plan) => {
                    let initial = if plan.initial { " initial" } else { "" };
                    format!("{} {}{initial}", plan.on, plan.mode.shown())
                }
                Err(error) => error.to_string(),
            };
            let fits =
                if expected.contains('_') && shown.len() < 40 { shown == expected } else { shown.contains(expected) };
            assert!(fits, "{kind:?}: {shown}");
        }
    }

    #[test]
    fn places_need_an_append_only_stream() {
        let columns = [Column { name: "AT".to_owned(), ty: DataType::Geography, nullable: true }];
        let name: ObjectName = "D.S.T".parse().unwrap();
        let object = object(Kind::Table("table".to_owned()));
        let plan = |mode| Plan { on: "TABLE", mode, initial: true };
        object.check_columns(&name, &plan(StreamMode::AppendOnly), &columns).unwrap();
        let error = object.check_columns(&name, &plan(StreamMode::Standard), &columns).unwrap_err().to_string();
        assert!(error.contains("geospatial columns (AT)") && error.contains("append_only"), "{error}");
    }

    #[test]
    fn a_shown_name_may_lack_its_quotes() {
        let name = ObjectName { database: "D".into(), schema: "S".into(), name: "odd one".into() };
        assert!(is_named("D.S.odd one", &name) && is_named("D.S.\"odd one\"", &name));
        assert!(!is_named("D.S.ODD ONE", &name));
    }
}
