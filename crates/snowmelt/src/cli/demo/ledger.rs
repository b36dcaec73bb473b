//! The books: what arrived, folded by key, held against what may arrive and, at the end, against the tables.
//!
//! Four things are wrong and each is counted: a **repeat** (an event from a place that was seen before), a **break** (an
//! event whose `before` is not the row that key had, so that something between is missing or out of order), a **loss** (a
//! row of the table that the fold has not, or has otherwise) and a **ghost** (a row of the fold that the table has not).
//! Memory: the folded rows, and one bit for each row that was ever staged.

use std::collections::HashMap;

use super::event::{Event, Image, Op, Place, Record};
use super::shop::Table;

/// How many offences are kept in words.
const KEPT: usize = 10;
/// No staging table is near this; a larger number is damage, and must not be counted on.
const MOST_ROWS: u64 = 1 << 36;

/// A table's rows by key, as [`Table::rows`] reads them.
pub(super) type TableRows = HashMap<String, Vec<Option<String>>>;

/// The books of one table.
#[derive(Debug)]
pub(super) struct Ledger {
    table: &'static Table,
    fold: HashMap<Box<str>, Image>,
    seen: HashMap<(u64, u64), Places>,
    /// Events, tombstones not counted.
    events: u64,
    repeated: u64,
    broken: u64,
    offences: Vec<String>,
}

/// What the books say at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Events that arrived.
    pub(super) events: u64,
    /// Rows of the table.
    pub(super) rows: u64,
    /// Losses, ghosts and breaks.
    pub(super) lost: u64,
    /// Repeats.
    pub(super) repeated: u64,
    /// The first offences, in words.
    pub(super) offences: Vec<String>,
}

impl Ledger {
    /// Empty books.
    pub(super) fn new(table: &'static Table) -> Self {
        Self {
            table,
            fold: HashMap::new(),
            seen: HashMap::new(),
            events: 0,
            repeated: 0,
            broken: 0,
            offences: Vec::new(),
        }
    }

    /// Enters a record, in the order in which its partition holds it.
    pub(super) fn enter(&mut self, record: &Record) {
        match record {
            Record::Tombstone(key) => {
                if self.fold.contains_key(key) {
                    self.breaks(key, "has a tombstone although its row was not deleted");
                }
            }
            Record::Event(event) => self.event(event),
        }
    }

    fn event(&mut self, event: &Event) {
        self.events += 1;
        let Place { generation, batch, row } = event.place;
        if row == 0 || row > MOST_ROWS {
            return self.breaks(&event.key, &format!("has an event from row {row} of batch {batch}, which cannot be"));
        }
        if !self.seen.entry((generation, batch)).or_default().insert(row) {
            self.repeated += 1;
            let what = format!("has a second event from row {row} of batch {batch}");
            return self.note(&event.key, &what);
        }
        let now = match &event.after {
            Some(after) => self.fold.insert(event.key.clone(), Image::clone(after)),
            None => self.fold.remove(&event.key),
        };
        if now != event.before {
            let op = event.op.letter();
            let what = match (&event.before, &now) {
                (None, _) => format!("came again ({op}, row {row} of batch {batch}) although it was there"),
                (Some(_), None) => format!("changed ({op}, row {row} of batch {batch}) although it was not there"),
                _ => format!("has an event ({op}, row {row} of batch {batch}) whose before is not the row it had"),
            };
            self.breaks(&event.key, &what);
        } else if event.op == Op::Update && event.before == event.after {
            self.breaks(&event.key, "has an update that changes nothing");
        }
    }

    fn breaks(&mut self, key: &str, what: &str) {
        self.broken += 1;
        self.note(key, what);
    }

    fn note(&mut self, key: &str, what: &str) {
        if self.offences.len() < KEPT {
            self.offences.push(format!("{} {key} {what}", self.table.name));
        }
    }

    /// Compares the fold with the table, row by row.
    pub(super) fn close(mut self, rows: &TableRows) -> Findings {
        let mut missing = 0;
        let mut keys: Vec<&String> = rows.keys().collect();
        // Offences are named in the same order in every run.
        keys.sort_unstable();
        for key in keys {
            let (Some(row), folded) = (rows.get(key), self.fold.remove(key.as_str())) else { continue };
            match folded.map(|image| self.table.comparable(&image)) {
                Some(folded) if folded == *row => {}
                Some(folded) => {
                    missing += 1;
                    let what = self.difference(row, &folded);
                    self.note(key, &what);
                }
                None => {
                    missing += 1;
                    self.note(key, "is in the table and did not arrive");
                }
            }
        }
        let mut ghosts: Vec<Box<str>> = self.fold.keys().cloned().collect();
        ghosts.sort_unstable();
        for key in &ghosts {
            self.note(key, "arrived and is not in the table");
        }
        Findings {
            events: self.events,
            rows: rows.len() as u64,
            lost: missing + self.broken + ghosts.len() as u64,
            repeated: self.repeated,
            offences: self.offences,
        }
    }

    fn difference(&self, row: &[Option<String>], folded: &[Option<String>]) -> String {
        let show = |cell: Option<&Option<String>>| cell.cloned().flatten().unwrap_or_else(|| "NULL".to_owned());
        let differs = (0..row.len()).find(|&column| row.get(column) != folded.get(column)).unwrap_or_default();
        let name = self.table.columns.get(differs).map_or("a column", |column| column.name);
        format!("has {name} {} in the table and {} in Kafka", show(row.get(differs)), show(folded.get(differs)))
    }
}

impl Findings {
    /// The findings of several tables together.
    pub(super) fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = Self::default();
        for findings in all {
            sum.events += findings.events;
            sum.rows += findings.rows;
            sum.lost += findings.lost;
            sum.repeated += findings.repeated;
            sum.offences.extend(findings.offences);
        }
        sum.offences.truncate(KEPT);
        sum
    }

    /// Whether nothing is lost and nothing repeated.
    pub(super) fn ok(&self) -> bool {
        self.lost == 0 && self.repeated == 0
    }
}

/// The places of one batch that were seen: a bit for each.
#[derive(Debug, Default)]
struct Places(Vec<u64>);

impl Places {
    /// True when it was not seen before.
    fn insert(&mut self, row: u64) -> bool {
        let (word, bit) = (usize::try_from(row / 64).unwrap_or(usize::MAX), 1_u64 << (row % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        match self.0.get_mut(word) {
            Some(word) => {
                let new = *word & bit == 0;
                *word |= bit;
                new
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::shop::ORDERS;

    const AT: &str = "2026-01-01T00:00:00.000000000+02:00";

    fn image(key: &str, status: &str) -> Image {
        [key, "7", "12.50", status, AT].into_iter().map(|cell| Some(cell.into())).collect()
    }

    /// The row in the table that `image(key, status)` is the event of.
    fn row(key: &str, status: &str) -> (String, Vec<Option<String>>) {
        let cells = [key, "7", "12.50", status, "1767225600 1767218400.0"];
        (key.to_owned(), cells.into_iter().map(|cell| Some(cell.to_owned())).collect())
    }

    /// An event of key `key`; `before` and `after` are statuses.
    fn event(batch: u64, row: u64, key: &str, before: Option<&str>, after: Option<&str>) -> Record {
        let op = match (before, after) {
            (None, _) => Op::Create,
            (_, None) => Op::Delete,
            _ => Op::Update,
        };
        Record::Event(Event {
            op,
            key: key.into(),
            place: Place { generation: 1, batch, row },
            before: before.map(|status| image(key, status)),
            after: after.map(|status| image(key, status)),
        })
    }

    /// A history without fault: `a` is new, then paid; `b` came and went; `c` stays.
    fn history() -> Vec<Record> {
        vec![
            event(1, 1, "a", None, Some("new")),
            event(1, 2, "b", None, Some("new")),
            event(1, 3, "c", None, Some("new")),
            event(2, 1, "b", Some("new"), None),
            Record::Tombstone("b".into()),
            event(2, 3, "a", Some("new"), Some("paid")),
        ]
    }

    fn table() -> TableRows {
        [row("a", "paid"), row("c", "new")].into()
    }

    fn findings(history: &[Record], table: &TableRows) -> Findings {
        let mut ledger = Ledger::new(&ORDERS);
        history.iter().for_each(|record| ledger.enter(record));
        ledger.close(table)
    }

    fn verdict(history: &[Record], table: &TableRows) -> (u64, u64, String) {
        let findings = findings(history, table);
        assert_eq!(findings.ok(), findings.lost + findings.repeated == 0);
        (findings.lost, findings.repeated, findings.offences.join("; "))
    }

    #[test]
    fn a_history_without_fault_is_found_without_fault() {
        let found = findings(&history(), &table());
        assert_eq!(found, Findings { events: 5, rows: 2, ..Findings::default() });
    }

    #[test]
    fn a_repeat_is_found_wherever_it_comes() {
        for (index, record) in history().into_iter().enumerate() {
            if matches!(record, Record::Tombstone(_)) {
                continue;
            }
            for again in index + 1..=history().len() {
                let mut history = history();
                history.insert(again, record.clone());
                let (lost, repeated, offences) = verdict(&history, &table());
                assert_eq!((lost, repeated), (0, 1), "{offences}");
                assert!(offences.contains("second event"), "{offences}");
            }
        }
    }

    #[test]
    fn the_loss_of_any_event_is_found() {
        for index in 0..history().len() {
            let mut history = history();
            if matches!(history.remove(index), Record::Tombstone(_)) {
                continue;
            }
            let (lost, repeated, offences) = verdict(&history, &table());
            assert!(lost >= 1 && repeated == 0, "without event {index}: {offences}");
        }
    }

    #[test]
    fn a_row_that_did_not_arrive_is_lost() {
        let mut table = table();
        table.extend([row("d", "new")]);
        let (lost, _, offences) = verdict(&history(), &table);
        assert_eq!((lost, offences.as_str()), (1, "ORDERS d is in the table and did not arrive"));
    }

    #[test]
    fn a_row_that_is_not_in_the_table_is_a_ghost() {
        let mut table = table();
        table.remove("c");
        let (lost, _, offences) = verdict(&history(), &table);
        assert_eq!((lost, offences.as_str()), (1, "ORDERS c arrived and is not in the table"));
    }

    #[test]
    fn one_nanosecond_or_one_digit_or_another_offset_is_a_difference() {
        for (column, text) in
            [(2, "12.5"), (2, "12.51"), (3, "Paid"), (4, "1767225600 1767218400.1"), (4, "1767218400 1767218400.0")]
        {
            let mut table = table();
            table.get_mut("a").unwrap()[column] = Some(text.to_owned());
            let (lost, _, offences) = verdict(&history(), &table);
            assert_eq!(lost, 1, "{text}");
            assert!(offences.contains(text) && offences.contains(ORDERS.columns[column].name), "{offences}");
        }
        let mut table = table();
        table.get_mut("a").unwrap()[3] = None;
        assert_eq!(verdict(&history(), &table).0, 1, "NULL is not a text");
    }

    #[test]
    fn a_broken_chain_is_found_even_if_the_fold_is_right_in_the_end() {
        let mut history = history();
        history[5] = event(2, 3, "a", Some("sent"), Some("paid"));
        let (lost, repeated, offences) = verdict(&history, &table());
        assert_eq!((lost, repeated), (1, 0));
        assert!(offences.contains("ORDERS a has an event (u, row 3 of batch 2) whose before"), "{offences}");
    }

    #[test]
    fn an_order_that_only_the_fold_would_forgive_is_found() {
        let mut history = history();
        history.extend([event(3, 1, "a", Some("sent"), Some("paid")), event(3, 3, "a", Some("paid"), Some("sent"))]);
        assert!(verdict(&history, &[row("a", "sent"), row("c", "new")].into()).0 >= 1);
        history.swap(6, 7);
        assert_eq!(verdict(&history, &table()).0, 0);
    }

    #[test]
    fn a_tombstone_without_a_delete_and_a_place_that_cannot_be_are_found() {
        for stranger in [
            Record::Tombstone("a".into()),
            event(9, 0, "z", None, Some("new")),
            event(9, u64::MAX, "z", None, Some("new")),
        ] {
            let mut history = history();
            history.push(stranger);
            assert_eq!(verdict(&history, &table()).0, 1);
        }
    }

    #[test]
    fn only_the_first_offences_are_put_into_words() {
        let history: Vec<Record> = (1..=50).map(|row| event(1, row, &format!("{row}"), None, Some("new"))).collect();
        let found = findings(&history, &TableRows::new());
        assert_eq!((found.lost, found.offences.len()), (50, 10));
        let sum = Findings::sum([found.clone(), found]);
        assert_eq!((sum.lost, sum.offences.len()), (100, 10));
    }
}
