//! Dead letters: records about events that cannot be published, for the table's policy `dead_letter`.
//!
//! A dead letter says why, where the event comes from, what its key is if that can be written, and the values as far as
//! they fit: a long one is cut, with its length told; one without a form in JSON stands as text or as null, with the
//! reason told; columns that find no room are counted. It is bounded whatever the row is, and always smaller than what
//! Kafka takes. If not even its head fits, there is none, and the capture halts as it would without the policy.

use std::sync::Arc;

use bytes::Bytes;

use super::image::Image;
use super::json::{self, Style};
use super::{Encoded, Encoder, Refusal};
use crate::change::{Event, Op, RowRef};
use crate::source::value::Value;

/// Bytes of one value that a dead letter shows at most, before they are escaped.
const CELL: usize = 4 << 10;
/// Bytes of a dead letter, whatever Kafka takes.
const LARGEST: usize = 256 << 10;
/// Bytes of a key that a dead letter shows.
const KEY: usize = 8 << 10;
/// Bytes of a reason in words.
const WORDS: usize = 1 << 10;
/// What is written after the images at most: counts and closing brackets.
const TAIL: usize = 128;

/// Where dead letters go.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    /// The topic.
    pub topic: Arc<str>,
    /// Bytes of key, value and headers that a record may have.
    pub limit: usize,
}

/// Why an event cannot be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poison {
    /// Its record is larger than Kafka takes.
    TooLarge {
        /// Bytes of key, value, headers and what a batch adds.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A value has no form in JSON.
    Unencodable {
        /// The column.
        column: String,
        /// What cannot be written.
        reason: String,
    },
}

impl Poison {
    /// The word for it, in the record and its headers.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Unencodable { .. } => "unencodable",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::TooLarge { size, limit } => {
                format!("the record has {size} bytes, kafka.max_message_bytes is {limit}")
            }
            Self::Unencodable { column, reason } => format!("column {column}: {reason}"),
        }
    }
}

impl Encoder {
    /// Adds the dead letter of an event that could not be encoded, or was too large, and what the key still needs: a
    /// tombstone where the event is a delete that tombstones follow and its key can be written. False when there is no
    /// room for even the least of it; `out` is then as it was.
    pub fn dead_letter(
        &mut self,
        event: &Event,
        poison: &Poison,
        to: &DeadLetters,
        now_ms: i64,
        out: &mut Vec<Encoded>,
    ) -> bool {
        let row_id = self.row_id(event).to_owned();
        let (Some(subject), Some(source)) = (event.subject(), &self.source) else { return false };

        let mut key_text = Vec::new();
        let key = self.key.image.write(subject, &mut key_text).ok().map(|()| key_text);

        let mut record_key = b"{\"db\":".to_vec();
        json::string(&mut record_key, &source.batch.database);
        for (name, text) in [("schema", &source.batch.schema), ("table", &source.batch.table), ("row_id", &row_id)] {
            record_key.extend_from_slice(format!(",\"{name}\":").as_bytes());
            json::string(&mut record_key, text);
        }
        record_key.push(b'}');

        let mut headers = vec![
            ("snowmelt.reason", Bytes::from_static(poison.code().as_bytes())),
            ("snowmelt.topic", Bytes::copy_from_slice(self.options.topic.as_bytes())),
            ("snowmelt.db", Bytes::copy_from_slice(source.batch.database.as_bytes())),
            ("snowmelt.schema", Bytes::copy_from_slice(source.batch.schema.as_bytes())),
            ("snowmelt.table", Bytes::copy_from_slice(source.batch.table.as_bytes())),
        ];
        headers.extend(source.headers(event, &row_id, &mut self.scratch, &mut self.arena));

        let mut value = b"{\"reason\":{\"code\":\"".to_vec();
        value.extend_from_slice(poison.code().as_bytes());
        value.extend_from_slice(b"\",\"text\":");
        json::string(&mut value, prefix(&poison.words(), WORDS));
        value.extend_from_slice(b"},\"topic\":");
        json::string(&mut value, &self.options.topic);
        source.identity(event, &row_id, now_ms, &mut value);
        value.extend_from_slice(b",\"key\":");
        value.extend_from_slice(key.as_deref().filter(|key| key.len() <= KEY.min(to.limit / 4)).unwrap_or(b"null"));

        let letter = Encoded { key: record_key.into(), value: None, headers, topic: Some(Arc::clone(&to.topic)) };
        let taken = letter.size() + value.len() + TAIL;
        let Some(mut room) = to.limit.min(LARGEST).checked_sub(taken) else { return false };
        let mut notes = Notes::default();
        for (name, row, share) in [("after", &event.after, 2), ("before", &event.before, 1)] {
            value.extend_from_slice(format!(",\"{name}\":").as_bytes());
            match row {
                // The first of two images leaves the other its half.
                Some(row) => {
                    let share = if event.before.is_some() && event.after.is_some() { share } else { 1 };
                    room -= notes.image(&self.row.image, &self.columns, name, row, room / share, &mut value);
                }
                None => value.extend_from_slice(b"null"),
            }
        }
        for (name, list) in [("cut", &notes.cut), ("unencodable", &notes.unencodable)] {
            value.extend_from_slice(format!(",\"{name}\":[").as_bytes());
            value.extend_from_slice(list);
            value.push(b']');
        }
        value.extend_from_slice(b",\"left_out\":");
        json::unsigned(&mut value, notes.left_out);
        value.push(b'}');
        let letter = Encoded { value: Some(value.into()), ..letter };
        debug_assert!(letter.size() <= to.limit, "{} of {}", letter.size(), to.limit);

        out.push(letter);
        if event.op == Op::Delete && self.options.follows_deletes() {
            out.extend(self.tombstone(subject).filter(|tombstone| tombstone.size() <= to.limit));
        }
        true
    }

    fn tombstone(&mut self, subject: &RowRef) -> Option<Encoded> {
        self.scratch.clear();
        let key = self.key.write(subject, &mut self.scratch).ok().map(|()| self.arena.keep(&mut self.scratch))?;
        Some(Encoded { key, value: None, headers: Vec::new(), topic: None })
    }
}

/// What is told about values that do not stand in the images whole.
#[derive(Default)]
struct Notes {
    /// JSON objects, comma between.
    cut: Vec<u8>,
    unencodable: Vec<u8>,
    left_out: u64,
}

impl Notes {
    /// Writes an image into at most `room` bytes, notes included; returns how many it took.
    fn image(
        &mut self,
        image: &Image,
        columns: &[String],
        name: &str,
        row: &RowRef,
        room: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        let start = out.len() + self.cut.len() + self.unencodable.len();
        // The brackets' bytes are in the tail's allowance.
        out.push(b'{');
        let mut first = true;
        for (column, label, style) in image.fields() {
            let marks = (out.len(), self.cut.len(), self.unencodable.len());
            if !first {
                out.push(b',');
            }
            out.extend_from_slice(label);
            self.cell(columns.get(column).map_or("", String::as_str), name, row.value(column), style, out);
            if out.len() + self.cut.len() + self.unencodable.len() - start > room {
                out.truncate(marks.0);
                self.cut.truncate(marks.1);
                self.unencodable.truncate(marks.2);
                self.left_out += 1;
            } else {
                first = false;
            }
        }
        out.push(b'}');
        (out.len() + self.cut.len() + self.unencodable.len() - start).min(room)
    }

    fn cell(&mut self, column: &str, image: &str, value: Value<'_>, style: Style, out: &mut Vec<u8>) {
        match value {
            Value::Text(text) | Value::Variant(text) if text.len() > CELL => {
                json::string(out, prefix(text, CELL));
                self.note_cut(column, image, text.len());
            }
            Value::Binary(bytes) if bytes.len() > CELL => {
                // A multiple of three, so that the base64 is that of the bytes shown.
                let shown = bytes.get(..CELL - CELL % 3).unwrap_or(bytes);
                let _ = json::value(out, Value::Binary(shown), style);
                self.note_cut(column, image, bytes.len());
            }
            value => {
                let mark = out.len();
                let Err(reason) = json::value(out, value, style) else { return };
                out.truncate(mark);
                match value {
                    Value::Variant(text) => json::string(out, text),
                    _ => out.extend_from_slice(b"null"),
                }
                note(&mut self.unencodable, column, image);
                self.unencodable.extend_from_slice(b",\"reason\":");
                json::string(&mut self.unencodable, prefix(&reason, WORDS));
                self.unencodable.push(b'}');
            }
        }
    }

    fn note_cut(&mut self, column: &str, image: &str, bytes: usize) {
        note(&mut self.cut, column, image);
        self.cut.extend_from_slice(b",\"bytes\":");
        json::unsigned(&mut self.cut, bytes as u64);
        self.cut.push(b'}');
    }
}

fn note(list: &mut Vec<u8>, column: &str, image: &str) {
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(format!("{{\"image\":\"{image}\",\"column\":").as_bytes());
    json::string(list, column);
}

/// At most so many bytes of a text, whole characters.
fn prefix(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

impl super::Wrapped {
    pub(super) fn write(&self, row: &RowRef, out: &mut Vec<u8>) -> Result<(), Refusal> {
        out.extend_from_slice(&self.prefix);
        self.image.write(row, out)?;
        out.extend_from_slice(self.suffix);
        Ok(())
    }
}
