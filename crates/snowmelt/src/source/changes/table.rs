//! The table that windows are read from: fit for it, still the same, and with which columns and key.

use std::sync::Arc;

use super::ChangesSource;
use crate::checkpoint::{Checkpoint, Window};
use crate::config::Mode;
use crate::moment::moment;
use crate::source::SourceError;
use crate::source::key::{own_key, resolve_key};
use crate::source::object::Object;
use crate::source::selection::{self, Selection};
use crate::source::value::Column;

/// Changes are not, or were not, tracked (facts: recorded on an account).
const NOT_TRACKED: &str = "091930";

/// A table as it is right before a window is read.
pub(super) struct Seen {
    pub(super) object: Object,
    pub(super) columns: Arc<[Column]>,
    /// When it was created, in milliseconds since 1970; 0 if Snowflake does not tell.
    pub(super) created: i64,
}

impl ChangesSource {
    /// The table, fit to be read by windows, and the one that `window` was read from.
    pub(super) async fn see(&mut self, window: Option<&Window>) -> Result<Seen, SourceError> {
        let object = self.find().await?;
        object.check_windows(&self.table)?;
        if let Some(window) = window {
            self.require_same_table(&object, window.table)?;
        }
        self.retention_days = object.retention_days;
        let columns = self.columns().await?;
        let created = object.created_ms.unwrap_or_default();
        Ok(Seen { object, columns, created })
    }

    pub(super) async fn find(&self) -> Result<Object, SourceError> {
        Object::find(&self.session, &self.table.name).await?.ok_or_else(|| self.table_missing())
    }

    pub(super) async fn columns(&self) -> Result<Arc<[Column]>, SourceError> {
        let sql = format!("SELECT * FROM {}", self.table.name.quoted());
        self.session.describe("the columns of the table", &sql).await
    }

    pub(super) fn require_same_table(&self, object: &Object, table: i64) -> Result<(), SourceError> {
        let now = object.created_ms.unwrap_or_default();
        if now == table {
            return Ok(());
        }
        let (was, now) = (moment(table), moment(now));
        Err(SourceError::TableReplaced { table: self.table.name.to_string(), was, now })
    }

    /// Refuses a configuration that asks for other rows than the checkpoint's windows had.
    pub(super) fn require_same_question(&self, window: &Window) -> Result<(), SourceError> {
        let (stream, table) = (format!("the checkpoint's {window}"), self.table.name.to_string());
        if window.filter != self.filter() {
            return Err(SourceError::FilterChanged { stream, table });
        }
        if window.append_only != (self.table.mode == Mode::AppendOnly) {
            let was = if window.append_only { "append_only" } else { "standard" };
            return Err(SourceError::StreamUnfit {
                stream,
                reason: format!("it was read with mode = \"{was}\""),
                remedy: format!("set mode as it was, or order a new snapshot: snowmelt snapshot {table}"),
            });
        }
        Ok(())
    }

    pub(super) fn filter(&self) -> Option<String> {
        self.table.filter.as_ref().map(|filter| selection::fingerprint(filter.as_sql()))
    }

    pub(super) fn select(&self, seen: &Seen, key: Option<&[String]>) -> Result<Selection, SourceError> {
        Selection::resolve(&self.table, &seen.columns, key.unwrap_or_default())
    }

    /// The configured key, else the declared one, else none.
    pub(super) async fn key(&self, seen: &Seen) -> Result<Option<Vec<String>>, SourceError> {
        let names = match &self.table.key {
            Some(key) => key.clone(),
            None => own_key(&self.session, &self.table.name, &seen.object).await?,
        };
        resolve_key(&self.table.name, &names, &seen.columns)?;
        Ok(Some(names).filter(|names| !names.is_empty()))
    }

    /// What a refusal of a window means: that its beginning is beyond Time Travel, or was not tracked; or else itself.
    pub(super) fn lost(&self, error: SourceError, since: i64, checkpoint: &Checkpoint) -> SourceError {
        match error {
            SourceError::Refused { code, message, .. }
                if code == NOT_TRACKED || message.contains("Time travel data is not available") =>
            {
                SourceError::WindowLost {
                    table: self.table.name.to_string(),
                    since: moment(since),
                    reason: message,
                    batch: checkpoint.batch,
                }
            }
            error if error.is_object_missing() => self.table_missing(),
            error => error,
        }
    }

    pub(super) fn table_missing(&self) -> SourceError {
        SourceError::TableMissing {
            table: self.table.name.to_string(),
            role: self.session.info().role_name.clone().unwrap_or_else(|| "of the session".to_owned()),
        }
    }
}
