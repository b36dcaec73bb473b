//! Staged rows to events.
//!
//! A staging table's rows come in ordinal order, in batches that may end between the two halves of an
//! update. The staging statement gave each row a phase: 0 for a key that goes, 1 for an update that
//! keeps its key, 2 for a key that comes; so the order in which events leave here folds to the right
//! table even when keys were swapped between rows.
//! Every row becomes part of exactly one event or of an error: a gap in the ordinals, a half without
//! its other half, an action that does not belong to its phase. Nothing is dropped, nothing guessed.

use std::sync::Arc;

use thiserror::Error;

use super::{Event, Op, RowOrdinal, RowRef};
use crate::source::value::{Column, Rows, Value};

/// Where a staged row's metadata columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// `METADATA$ACTION`: TEXT, `INSERT` or `DELETE`.
    pub action: usize,
    /// `METADATA$ISUPDATE`: BOOLEAN.
    pub is_update: usize,
    /// `METADATA$ROW_ID`: TEXT.
    pub row_id: usize,
    /// `SNOWMELT$PHASE`: NUMBER, 0 to 2.
    pub phase: usize,
    /// `SNOWMELT$ROW`: NUMBER, from 1.
    pub row: usize,
    /// `SNOWMELT$SUM`: NUMBER; of windows only.
    pub sum: Option<usize>,
}

impl Metadata {
    /// Name of the row id's column.
    pub const ROW_ID: &'static str = "METADATA$ROW_ID";

    /// Finds the metadata columns by name.
    ///
    /// # Errors
    /// Names the first that is missing.
    pub fn find(columns: &[Column]) -> Result<Self, PairingError> {
        let find = |name: &'static str| {
            columns.iter().position(|column| column.name == name).ok_or(PairingError::MissingColumn { name })
        };
        Ok(Self {
            action: find("METADATA$ACTION")?,
            is_update: find("METADATA$ISUPDATE")?,
            row_id: find(Self::ROW_ID)?,
            phase: find("SNOWMELT$PHASE")?,
            row: find("SNOWMELT$ROW")?,
            sum: find(crate::source::changes::SUM).ok(),
        })
    }

    /// Whether a column is one of these rather than the table's own.
    pub fn contains(&self, column: usize) -> bool {
        [self.action, self.is_update, self.row_id, self.phase, self.row].contains(&column) || self.sum == Some(column)
    }
}

/// A staging table whose rows do not make sense. Retrying will not help: the table never changes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PairingError {
    /// The staging table has not the columns the staging statement gives it.
    #[error("the staging table has no column {name}; it was not made by this program")]
    MissingColumn {
        /// The column's name.
        name: &'static str,
    },
    /// A metadata cell of the wrong kind.
    #[error("{table}, row after {after}: {column} came as {came}, expected {expected}")]
    Metadata {
        /// Staging table.
        table: Arc<str>,
        /// Last ordinal that was read well.
        after: RowOrdinal,
        /// Column name.
        column: &'static str,
        /// The cell.
        came: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// A row without a row id, where the row id is the key.
    #[error("{table}, row after {after}: it has no row id, and no key is configured; set `key` for the table")]
    NoRowId {
        /// Staging table.
        table: Arc<str>,
        /// Last ordinal that was read well.
        after: RowOrdinal,
    },
    /// A row is missing or came twice.
    #[error("{table}: row {came} came where row {expected} was due (row id {row_id}); rows are missing or repeated")]
    Gap {
        /// Staging table.
        table: Arc<str>,
        /// Ordinal that was due.
        expected: RowOrdinal,
        /// Ordinal that came.
        came: RowOrdinal,
        /// Row id of the row that came.
        row_id: String,
    },
    /// A row whose action, phase and update mark contradict each other or the order.
    #[error("{table}, row {row} (row id {row_id}): {reason}")]
    Contradiction {
        /// Staging table.
        table: Arc<str>,
        /// The row's ordinal.
        row: RowOrdinal,
        /// Its row id.
        row_id: String,
        /// What contradicts what.
        reason: &'static str,
    },
    /// The old half of an update without its new half.
    #[error("{table}, row {row} (row id {row_id}): the old half of an update came without its new half")]
    Leftover {
        /// Staging table.
        table: Arc<str>,
        /// The half's ordinal.
        row: RowOrdinal,
        /// Its row id.
        row_id: String,
    },
}

/// The state machine, one per staging table and reading.
#[derive(Debug)]
pub struct Pairing {
    table: Arc<str>,
    metadata: Metadata,
    key: Vec<usize>,
    initial: bool,
    last: RowOrdinal,
    phase: Phase,
    held: Option<RowRef>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Going,
    Staying,
    Coming,
}

/// The metadata of one row.
struct Staged<'r> {
    insert: bool,
    is_update: bool,
    row_id: &'r str,
    phase: Phase,
    row: RowOrdinal,
}

impl Pairing {
    /// Begins behind `start`, the ordinal of the last row that is already in Kafka. `key` are the
    /// indices of the key columns, none where the row id is the key. `initial` says that the batch is
    /// the first of a stream that shows initial rows, so that what comes is read, not created.
    ///
    /// # Errors
    /// A metadata column is missing.
    pub fn new(
        table: impl Into<Arc<str>>,
        columns: &[Column],
        key: &[usize],
        start: RowOrdinal,
        initial: bool,
    ) -> Result<Self, PairingError> {
        Ok(Self {
            table: table.into(),
            metadata: Metadata::find(columns)?,
            key: key.to_vec(),
            initial,
            last: start,
            phase: Phase::Going,
            held: None,
        })
    }

    /// Takes the next batch and adds its events to `events`, in order.
    ///
    /// # Errors
    /// See [`PairingError`]; events before the offending row have been added, and the reading is over.
    pub fn feed(&mut self, rows: &Arc<Rows>, events: &mut Vec<Event>) -> Result<(), PairingError> {
        (0..rows.len()).try_for_each(|row| self.push(rows, row, events))
    }

    /// Takes one row, which must be the next, and adds the event or the two events it completes.
    ///
    /// # Errors
    /// See [`PairingError`].
    pub fn push(&mut self, rows: &Arc<Rows>, index: usize, events: &mut Vec<Event>) -> Result<(), PairingError> {
        let staged = self.staged(rows, index)?;
        let contradiction = |reason| {
            Err(PairingError::Contradiction {
                table: Arc::clone(&self.table),
                row: staged.row,
                row_id: staged.row_id.to_owned(),
                reason,
            })
        };
        if staged.phase < self.phase {
            return contradiction("its phase is lower than the row's before it");
        }
        if let Some(held) = &self.held {
            let is_other_half = staged.phase == Phase::Staying
                && staged.insert
                && match held.value(self.metadata.row_id) {
                    Value::Text(row_id) => row_id == staged.row_id,
                    _ => staged.row_id.is_empty(),
                };
            if !is_other_half {
                return Err(self.leftover(held));
            }
        }
        let row = RowRef::new(Arc::clone(rows), index);
        let position = staged.row;
        match (staged.phase, staged.insert) {
            (Phase::Going, false) => events.push(Event::delete(row, position, true)),
            (Phase::Going, true) => return contradiction("an INSERT in phase 0, where keys go"),
            (Phase::Staying, _) if !staged.is_update => {
                return contradiction("no update, but in phase 1, where updates are");
            }
            (Phase::Staying, false) => self.held = Some(row),
            (Phase::Staying, true) => match self.held.take() {
                Some(before) => self.pair(before, row, position, events),
                None => return contradiction("the new half of an update came without its old half"),
            },
            (Phase::Coming, true) => {
                let op = if self.initial { Op::Read } else { Op::Create };
                events.push(Event { op, before: None, after: Some(row), position, boundary: true });
            }
            (Phase::Coming, false) => return contradiction("a DELETE in phase 2, where keys come"),
        }
        self.last = position;
        self.phase = staged.phase;
        Ok(())
    }

    /// Ends the reading and gives the ordinal of the last row.
    ///
    /// # Errors
    /// Half of an update is left over.
    pub fn finish(self) -> Result<RowOrdinal, PairingError> {
        match &self.held {
            None => Ok(self.last),
            Some(held) => Err(self.leftover(held)),
        }
    }

    /// Whether a row waits for its other half, and keeps the batch alive that it came in.
    pub fn holds_a_row(&self) -> bool {
        self.held.is_some()
    }

    /// The ordinal of the last row taken, 0 before the first.
    pub fn last(&self) -> RowOrdinal {
        self.last
    }

    /// The statement that gave the phases compares keys as SQL does, and a collation may call keys equal
    /// whose bytes differ. To Kafka those are two keys: one goes, the other comes. Their rows cannot be
    /// separated by a checkpoint, because the pair is read as one.
    fn pair(&self, before: RowRef, after: RowRef, position: RowOrdinal, events: &mut Vec<Event>) {
        if self.key.iter().all(|&column| before.value(column) == after.value(column)) {
            let (before, after) = (Some(before), Some(after));
            events.push(Event { op: Op::Update, before, after, position, boundary: true });
        } else {
            events.push(Event::delete(before, RowOrdinal(position.0.saturating_sub(1)), false));
            let after = Some(after);
            events.push(Event { op: Op::Create, before: None, after, position, boundary: true });
        }
    }

    fn staged<'r>(&self, rows: &'r Rows, index: usize) -> Result<Staged<'r>, PairingError> {
        let wrong = |column, came: Value<'_>, expected| PairingError::Metadata {
            table: Arc::clone(&self.table),
            after: self.last,
            column,
            came: format!("{came:?}").chars().take(60).collect(),
            expected,
        };
        let row_id = match rows.value(self.metadata.row_id, index) {
            Value::Text(row_id) => row_id,
            // Streams on external and directory tables have none.
            Value::Null => "",
            other => return Err(wrong(Metadata::ROW_ID, other, "text")),
        };
        if row_id.is_empty() && self.key.is_empty() {
            return Err(PairingError::NoRowId { table: Arc::clone(&self.table), after: self.last });
        }
        let row = match rows.value(self.metadata.row, index) {
            Value::Fixed { unscaled, scale: 0 } if u64::try_from(unscaled).is_ok() => {
                RowOrdinal(u64::try_from(unscaled).unwrap_or_default())
            }
            other => return Err(wrong("SNOWMELT$ROW", other, "a whole number")),
        };
        let expected = RowOrdinal(self.last.0.saturating_add(1));
        if row != expected {
            let table = Arc::clone(&self.table);
            return Err(PairingError::Gap { table, expected, came: row, row_id: row_id.to_owned() });
        }
        let phase = match rows.value(self.metadata.phase, index) {
            Value::Fixed { unscaled: 0, scale: 0 } => Phase::Going,
            Value::Fixed { unscaled: 1, scale: 0 } => Phase::Staying,
            Value::Fixed { unscaled: 2, scale: 0 } => Phase::Coming,
            other => return Err(wrong("SNOWMELT$PHASE", other, "0, 1 or 2")),
        };
        let insert = match rows.value(self.metadata.action, index) {
            Value::Text("INSERT") => true,
            Value::Text("DELETE") => false,
            other => return Err(wrong("METADATA$ACTION", other, "INSERT or DELETE")),
        };
        let is_update = match rows.value(self.metadata.is_update, index) {
            Value::Boolean(is_update) => is_update,
            other => return Err(wrong("METADATA$ISUPDATE", other, "a boolean")),
        };
        Ok(Staged { insert, is_update, row_id, phase, row })
    }

    fn leftover(&self, held: &RowRef) -> PairingError {
        let row_id = match held.value(self.metadata.row_id) {
            Value::Text(row_id) => row_id.to_owned(),
            other => format!("{other:?}"),
        };
        PairingError::Leftover { table: Arc::clone(&self.table), row: self.last, row_id }
    }
}

impl Event {
    fn delete(row: RowRef, position: RowOrdinal, boundary: bool) -> Self {
        Self { op: Op::Delete, before: Some(row), after: None, position, boundary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::inverse::{columns, staged};

    /// Rows as (row id, phase, action, update, key), fed in one batch behind `start`.
    fn pair(start: u64, initial: bool, rows: &[(u64, &str, u8, &str, bool, &str)]) -> Result<Vec<Event>, PairingError> {
        let columns = columns();
        let mut pairing = Pairing::new("STG_1", &columns, &[0], RowOrdinal(start), initial)?;
        let mut events = Vec::new();
        pairing.feed(&staged(rows), &mut events)?;
        pairing.finish()?;
        Ok(events)
    }

    fn message(start: u64, rows: &[(u64, &str, u8, &str, bool, &str)]) -> String {
        pair(start, false, rows).unwrap_err().to_string()
    }

    #[test]
    fn a_key_that_differs_only_for_kafka_goes_and_comes_without_a_checkpoint_between() {
        let rows = [(8, "r", 1, "DELETE", true, "straße"), (9, "r", 1, "INSERT", true, "STRASSE")];
        let events = pair(7, false, &rows).unwrap();
        let seen: Vec<_> = events.iter().map(|e| (e.op, e.position.0, e.boundary)).collect();
        assert_eq!(seen, [(Op::Delete, 8, false), (Op::Create, 9, true)]);
    }

    #[test]
    fn initial_rows_are_read() {
        let rows = [(1, "r", 2, "INSERT", false, "a")];
        assert_eq!(pair(0, true, &rows).unwrap()[0].op, Op::Read);
        assert_eq!(pair(0, false, &rows).unwrap()[0].op, Op::Create);
    }

    #[test]
    fn a_gap_names_table_ordinals_and_row_id() {
        let gap = message(4, &[(6, "ab12", 2, "INSERT", false, "a")]);
        assert!(gap.starts_with("STG_1: row 6 came where row 5 was due (row id ab12)"), "{gap}");
        let again = message(4, &[(4, "ab12", 2, "INSERT", false, "a")]);
        assert!(again.contains("row 4 came where row 5 was due"), "{again}");
    }

    #[test]
    fn a_half_without_its_other_half_is_an_error() {
        let old = (1, "r", 1, "DELETE", true, "a");
        let leftover = "STG_1, row 1 (row id r): the old half of an update came without its new half";
        assert_eq!(message(0, &[old]), leftover);
        assert_eq!(message(0, &[old, (2, "s", 1, "DELETE", true, "b")]), leftover);
        assert_eq!(message(0, &[old, (2, "s", 1, "INSERT", true, "a")]), leftover);
        assert_eq!(message(0, &[old, (2, "r", 2, "INSERT", true, "a")]), leftover);
        let new = message(0, &[(1, "r", 1, "INSERT", true, "a")]);
        assert!(new.contains("the new half of an update came without its old half"), "{new}");
    }

    #[test]
    fn rows_without_a_row_id_need_a_key_and_pair_by_their_place() {
        let events = pair(0, false, &[(1, "", 1, "DELETE", true, "a"), (2, "", 1, "INSERT", true, "a")]).unwrap();
        assert_eq!(events.iter().map(|event| event.op).collect::<Vec<_>>(), [Op::Update]);
        let mut pairing = Pairing::new("STG_1", &columns(), &[], RowOrdinal(0), false).unwrap();
        let refused = pairing.feed(&staged(&[(1, "", 2, "INSERT", false, "a")]), &mut Vec::new()).unwrap_err();
        assert!(refused.to_string().contains("no row id, and no key is configured"), "{refused}");
    }

    #[test]
    fn what_contradicts_its_phase_is_an_error() {
        let refused = |phase, action, update| message(0, &[(1, "r", phase, action, update, "a")]);
        assert!(refused(0, "INSERT", false).contains("an INSERT in phase 0"));
        assert!(refused(2, "DELETE", false).contains("a DELETE in phase 2"));
        assert!(refused(1, "DELETE", false).contains("no update, but in phase 1"));
        assert!(refused(3, "DELETE", false).contains("SNOWMELT$PHASE came as"));
        assert!(refused(0, "delete", false).contains("expected INSERT or DELETE"));
        let back = [(1, "r", 2, "INSERT", false, "a"), (2, "s", 0, "DELETE", false, "b")];
        assert!(message(0, &back).contains("its phase is lower than the row's before it"));
    }

    #[test]
    fn a_table_that_was_not_staged_is_refused() {
        let error = Pairing::new("T", &columns()[..3], &[0], RowOrdinal(0), false).unwrap_err();
        assert!(error.to_string().contains("no column METADATA$ISUPDATE"), "{error}");
    }
}
