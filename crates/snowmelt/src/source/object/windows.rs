//! Whether an object's history can be read by windows.
//!
//! Promises: what cannot be is refused before anything is read, with its reason and remedy.

use super::{Kind, Object};
use crate::config::Table;
use crate::source::SourceError;

impl Object {
    /// Refuses an object whose history cannot be read by windows as `table` says
    /// (docs.snowflake.com/en/sql-reference/constructs/changes).
    ///
    /// # Errors
    /// [`SourceError::NotCapturable`]; [`SourceError::TrackingOff`].
    pub fn check_windows(&self, table: &Table) -> Result<(), SourceError> {
        let refuse = |reason: &str, remedy: &str| Err(self.refusal(&table.name, reason.to_owned(), remedy));
        let through_a_stream = "set read = \"stream\", as far as a stream can follow it";
        match &self.kind {
            Kind::Table(_) | Kind::EventTable | Kind::IcebergTable { managed: true } | Kind::View { .. } => {}
            Kind::ExternalTable | Kind::Stage { .. } => {
                return refuse("CHANGES is not supported on external and directory tables", through_a_stream);
            }
            Kind::DynamicTable { .. } | Kind::IcebergTable { managed: false } => {
                return refuse("Snowflake documents no CHANGES for it", through_a_stream);
            }
            Kind::MaterializedView => {
                return refuse("changes of materialized views are not tracked", "capture the table it reads");
            }
        }
        if self.retention_days == Some(0) {
            let remedy =
                format!("ALTER TABLE {} SET DATA_RETENTION_TIME_IN_DAYS = 1 or more, as its owner", table.name);
            return refuse("its DATA_RETENTION_TIME_IN_DAYS is 0, so that it has no history to read", &remedy);
        }
        if self.change_tracking == Some(false) {
            let kind = if matches!(self.kind, Kind::View { .. }) { "VIEW" } else { "TABLE" };
            let owner = self.owner.clone();
            return Err(SourceError::TrackingOff { table: table.name.to_string(), kind, owner });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::{object, table};
    use super::*;
    use crate::config::{Mode, Snapshot};

    #[test]
    fn windows_need_a_history_that_is_kept_and_tracked() {
        let table = table(Mode::Standard, Snapshot::Initial, None);
        let said = |object: Object| object.check_windows(&table).map_err(|error| error.to_string());
        let plain = || object(Kind::Table("table".to_owned()));
        assert_eq!(said(plain()), Ok(()));
        assert_eq!(said(object(Kind::View { secure: true })), Ok(()));
        let off = Object { change_tracking: Some(false), ..object(Kind::View { secure: false }) };
        for (object, words) in [
            (Object { retention_days: Some(0), ..plain() }, "DATA_RETENTION_TIME_IN_DAYS is 0"),
            (Object { change_tracking: Some(false), ..plain() }, "ALTER TABLE D.S.T SET CHANGE_TRACKING = TRUE"),
            (off, "its owner (R) switches it on: ALTER VIEW D.S.T SET CHANGE_TRACKING"),
            (object(Kind::ExternalTable), "set read = \"stream\""),
            (object(Kind::MaterializedView), "capture the table it reads"),
            (object(Kind::IcebergTable { managed: false }), "documents no CHANGES"),
        ] {
            let error = said(object).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
