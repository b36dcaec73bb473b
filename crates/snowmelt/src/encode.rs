//! Events to Kafka records: key, value and headers as JSON bytes.
//!
//! Two envelopes: `debezium` (before, after, source, op) and `plain` (the row alone, a delete is a
//! tombstone, the rest in headers). Equal keys give equal bytes, always, because partition and
//! compaction go by them; no digit is lost; the metadata columns of the staging table are not part of
//! the row. A value that has no form in JSON is an error that names it, for the table's policy to
//! judge, which may want a dead letter instead (`dead_letter`). An [`Encoder`] is made once per table schema and writes straight from cells to bytes.

mod calendar;
mod dead_letter;
mod envelope;
mod image;
mod json;
mod options;
mod schema;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod trial;

pub use dead_letter::{DeadLetters, Poison};
pub use options::{BatchInfo, BinaryForm, EncoderOptions, Envelope, Key, Numbers, SetupError, VariantForm};

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use crate::change::{Event, Metadata, Op, RowOrdinal};
use crate::source::value::{Column, Value};
use envelope::Source;
use image::Image;

/// One record for Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Key, never empty.
    pub key: Bytes,
    /// Value; none makes the record a tombstone.
    pub value: Option<Bytes>,
    /// Headers, in order.
    pub headers: Vec<(&'static str, Bytes)>,
    /// Topic; `None` for the table's own, where all go but dead letters.
    pub topic: Option<Arc<str>>,
}

impl Encoded {
    /// Bytes of key, value and headers together.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len) + headers
    }
}

/// A row that cannot be written in the form that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("column {column}, row {row} (row id {row_id}): {reason}")]
pub struct EncodeError {
    /// Column name.
    pub column: String,
    /// Ordinal of the event in its staging table.
    pub row: RowOrdinal,
    /// The row's id in Snowflake.
    pub row_id: String,
    /// What cannot be written, and what to do about it.
    pub reason: String,
}

/// A cell that has no form in JSON; the column is the index in its image.
#[derive(Debug)]
struct Refusal {
    column: usize,
    reason: String,
}

/// Writes the events of one table with one schema.
#[derive(Debug)]
pub struct Encoder {
    options: EncoderOptions,
    metadata: Metadata,
    columns: Vec<String>,
    key: Wrapped,
    row: Wrapped,
    source: Option<Source>,
    scratch: Vec<u8>,
    arena: Arena,
}

/// An image and the constant bytes around it: nothing, or the schema block.
#[derive(Debug)]
struct Wrapped {
    image: Image,
    prefix: Vec<u8>,
    suffix: &'static [u8],
}

impl Encoder {
    /// Makes an encoder for staged rows with these columns.
    ///
    /// # Errors
    /// A metadata column is missing, the key names no column or a metadata column, or the options
    /// contradict each other.
    pub fn new(options: EncoderOptions, columns: &[Column], key: Key) -> Result<Self, SetupError> {
        options.check()?;
        let metadata = Metadata::find(columns)?;
        let key_columns = key.columns(columns, &metadata)?;
        let row_columns: Vec<usize> = (0..columns.len()).filter(|&column| !metadata.contains(column)).collect();
        let wrapped = |image: Image, schema: String| Wrapped {
            image,
            prefix: if options.inline_schema {
                format!("{{\"schema\":{schema},\"payload\":").into_bytes()
            } else {
                Vec::new()
            },
            suffix: if options.inline_schema { b"}" } else { b"" },
        };
        let key_schema = schema::key(&options, columns, &key_columns);
        let row_schema = match options.envelope {
            Envelope::Debezium => schema::envelope(&options, columns, &row_columns),
            Envelope::Plain => schema::row(&options, columns, &row_columns),
        };
        Ok(Self {
            metadata,
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            key: wrapped(Image::new(&options, columns, &key_columns), key_schema),
            row: wrapped(Image::new(&options, columns, &row_columns), row_schema),
            source: None,
            scratch: Vec::new(),
            arena: Arena::default(),
            options,
        })
    }

    /// Adds an event's records to `out`: one, or two where a tombstone follows a delete. `now_ms` is
    /// when the event is written, in milliseconds since 1970.
    ///
    /// # Errors
    /// A cell has no form in JSON; `out` is then as it was.
    pub fn encode(
        &mut self,
        event: &Event,
        batch: &BatchInfo,
        now_ms: i64,
        out: &mut Vec<Encoded>,
    ) -> Result<(), EncodeError> {
        if self.source.as_ref().is_none_or(|source| source.batch != *batch) {
            self.source = Some(Source::new(&self.options, batch));
        }
        match self.write(event, now_ms) {
            Ok((record, tombstone)) => {
                out.push(record);
                out.extend(tombstone);
                Ok(())
            }
            Err(refusal) => Err(EncodeError {
                column: self.columns.get(refusal.column).cloned().unwrap_or_default(),
                row: event.position,
                row_id: self.row_id(event).to_owned(),
                reason: refusal.reason,
            }),
        }
    }

    fn row_id<'e>(&self, event: &'e Event) -> &'e str {
        match event.subject().map(|row| row.value(self.metadata.row_id)) {
            Some(Value::Text(row_id)) => row_id,
            _ => "",
        }
    }

    fn write(&mut self, event: &Event, now_ms: i64) -> Result<(Encoded, Option<Encoded>), Refusal> {
        let row_id = self.row_id(event);
        let Self { options, metadata, key, row, source, scratch, arena, .. } = self;
        let (Some(subject), Some(source)) = (event.subject(), source) else {
            let reason = "the event has no row".to_owned();
            return Err(Refusal { column: metadata.row_id, reason });
        };

        scratch.clear();
        key.write(subject, scratch)?;
        let key = arena.keep(scratch);

        scratch.clear();
        match options.envelope {
            Envelope::Debezium => {
                scratch.extend_from_slice(&row.prefix);
                source.envelope(event, &row.image, row_id, now_ms, scratch)?;
                scratch.extend_from_slice(row.suffix);
                let value = Some(arena.keep(scratch));
                let tombstone = (event.op == Op::Delete && options.follows_deletes()).then(|| Encoded {
                    key: key.clone(),
                    value: None,
                    headers: Vec::new(),
                    topic: None,
                });
                Ok((Encoded { key, value, headers: Vec::new(), topic: None }, tombstone))
            }
            Envelope::Plain => {
                let value = match &event.after {
                    Some(after) => {
                        row.write(after, scratch)?;
                        Some(arena.keep(scratch))
                    }
                    None => None,
                };
                let headers = source.headers(event, row_id, scratch, arena);
                Ok((Encoded { key, value, headers, topic: None }, None))
            }
        }
    }
}

/// Where finished bytes are kept: one allocation for many records.
#[derive(Debug, Default)]
struct Arena {
    free: BytesMut,
}

impl Arena {
    const CHUNK: usize = 64 * 1024;
    const LARGE: usize = 1024 * 1024;

    fn keep(&mut self, bytes: &mut Vec<u8>) -> Bytes {
        // So large a value is taken as it is: a copy would need its room twice, and the buffer would keep it.
        if bytes.len() > Self::LARGE {
            let mut taken = std::mem::take(bytes);
            taken.shrink_to_fit();
            return taken.into();
        }
        // A large value would waste the rest of a chunk, and a small one would keep it alive.
        if bytes.len() > Self::CHUNK / 4 {
            return Bytes::copy_from_slice(bytes);
        }
        if self.free.capacity() < bytes.len() {
            self.free = BytesMut::with_capacity(Self::CHUNK);
        }
        self.free.extend_from_slice(bytes);
        self.free.split().freeze()
    }
}
