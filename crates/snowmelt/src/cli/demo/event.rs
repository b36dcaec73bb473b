//! What arrives at the consumer: a record of the `debezium` envelope as an event, cell by cell.
//!
//! Strict: a record that lacks a part of the envelope, whose key is not its row's key, or whose row has other columns
//! than its table is an error that names topic position and reason. Cells keep their exact text; no number is read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::shop::Table;

/// A row as an event shows it: the text of each cell in column order, `None` for NULL.
pub(super) type Image = Arc<[Option<Box<str>>]>;

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// It came.
    Create,
    /// Its row changed.
    Update,
    /// It went.
    Delete,
    /// It was there when the capture began.
    Read,
}

impl Op {
    /// The letter in the envelope.
    pub(super) fn letter(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Read => "r",
        }
    }
}

/// Where an event stands in what Snowflake gave: no two events of a table stand at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) generation: u64,
    pub(super) batch: u64,
    pub(super) row: u64,
}

/// A change of one row.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) op: Op,
    pub(super) key: Box<str>,
    pub(super) place: Place,
    pub(super) before: Option<Image>,
    pub(super) after: Option<Image>,
}

/// A record.
#[derive(Debug, Clone)]
pub(super) enum Record {
    /// An event.
    Event(Event),
    /// What follows a delete, so that compaction may forget the key.
    Tombstone(Box<str>),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Source<'a>,
    op: &'a str,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    table: Cow<'a, str>,
    generation: u64,
    batch: u64,
    row: u64,
}

impl Record {
    /// Reads a record of `table`'s topic.
    pub(super) fn read(table: &Table, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, String> {
        let key: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(key.ok_or("a record has no key")?)
            .map_err(|error| format!("the key is not a JSON object: {error}"))?;
        let key_column = table.columns.first().map_or("", |column| column.name);
        let key = match (key.len(), key.get(key_column)) {
            (1, Some(text)) => cell(text)?.ok_or("the key is null")?,
            _ => return Err(format!("the key is not {key_column} alone")),
        };
        let Some(value) = value else { return Ok(Self::Tombstone(key)) };
        let envelope: Envelope<'_> =
            serde_json::from_slice(value).map_err(|error| format!("the value of key {key} is no event: {error}"))?;
        if envelope.source.table != table.name {
            return Err(format!("the event of key {key} is of table {}", envelope.source.table));
        }
        let before = envelope.before.map(|row| image(table, row)).transpose()?;
        let after = envelope.after.map(|row| image(table, row)).transpose()?;
        let op = match (envelope.op, &before, &after) {
            ("c", None, Some(_)) => Op::Create,
            ("r", None, Some(_)) => Op::Read,
            ("u", Some(_), Some(_)) => Op::Update,
            ("d", Some(_), None) => Op::Delete,
            (op, before, after) => {
                let (before, after) = (before.is_some(), after.is_some());
                return Err(format!("the event of key {key} has op {op:?}, before {before}, after {after}"));
            }
        };
        for row in [&before, &after].into_iter().flatten() {
            if row.first().and_then(Option::as_deref) != Some(&*key) {
                return Err(format!("the event under key {key} is of another row"));
            }
        }
        let Source { generation, batch, row, .. } = envelope.source;
        Ok(Self::Event(Event { op, key, place: Place { generation, batch, row }, before, after }))
    }
}

fn image(table: &Table, row: &RawValue) -> Result<Image, String> {
    let mut cells: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(row.get()).map_err(|error| format!("a row is not a JSON object: {error}"))?;
    let image = table
        .columns
        .iter()
        .map(|column| match cells.remove(column.name) {
            Some(text) => cell(text),
            None => Err(format!("a row lacks column {}", column.name)),
        })
        .collect::<Result<Image, String>>()?;
    match cells.keys().next() {
        None => Ok(image),
        Some(stranger) => Err(format!("a row has a column {stranger}, which the table has not")),
    }
}

/// A cell's text: a string's content, the digits of a number, a word; `None` for null.
fn cell(raw: &RawValue) -> Result<Option<Box<str>>, String> {
    let text = raw.get();
    if text == "null" {
        Ok(None)
    } else if text.starts_with('"') {
        serde_json::from_str(text).map(Some).map_err(|error| format!("a string cannot be read: {error}"))
    } else {
        Ok(Some(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::shop::ORDERS;

    const KEY: &[u8] = br#"{"ID":"a"}"#;
    const ROW: &str =
        r#"{"ID":"a","CUSTOMER_ID":7,"AMOUNT":"12.50","STATUS":null,"PLACED_AT":"2026-01-01T00:00:00+02:00"}"#;

    fn value(before: &str, after: &str, op: &str) -> String {
        format!(
            r#"{{"before":{before},"after":{after},"source":{{"table":"ORDERS","generation":1,"batch":2,"row":3}},"op":"{op}","ts_ms":1}}"#
        )
    }

    #[test]
    fn an_event_keeps_the_text_of_its_cells() {
        let Ok(Record::Event(event)) = Record::read(&ORDERS, Some(KEY), Some(value("null", ROW, "c").as_bytes()))
        else {
            panic!("no event")
        };
        assert_eq!((event.op, &*event.key), (Op::Create, "a"));
        assert_eq!(event.place, Place { generation: 1, batch: 2, row: 3 });
        let cells: Vec<Option<&str>> = event.after.iter().flat_map(|row| row.iter().map(Option::as_deref)).collect();
        assert_eq!(cells, [Some("a"), Some("7"), Some("12.50"), None, Some("2026-01-01T00:00:00+02:00")]);
        assert!(matches!(Record::read(&ORDERS, Some(KEY), None), Ok(Record::Tombstone(key)) if &*key == "a"));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let other = ROW.replace("\"ID\":\"a\"", "\"ID\":\"b\"");
        let wider = ROW.replace("\"STATUS\"", "\"MORE\":1,\"STATUS\"");
        let narrower = ROW.replace("\"STATUS\":null,", "");
        for (before, after, op) in [
            ("null", ROW, "d"),
            (ROW, "null", "u"),
            (ROW, ROW, "c"),
            ("null", ROW, "x"),
            ("null", other.as_str(), "c"),
            ("null", wider.as_str(), "c"),
            ("null", narrower.as_str(), "c"),
            ("null", "[]", "c"),
        ] {
            let value = value(before, after, op);
            assert!(Record::read(&ORDERS, Some(KEY), Some(value.as_bytes())).is_err(), "{value}");
        }
        for key in [&b"{}"[..], b"{\"ID\":null}", b"{\"ID\":\"a\",\"B\":1}", b"a"] {
            assert!(Record::read(&ORDERS, Some(key), None).is_err());
        }
        assert!(Record::read(&ORDERS, None, None).is_err());
    }
}
