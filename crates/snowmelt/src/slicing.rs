//! A batch's rows to slices: the records of one Kafka transaction and the row it ends at.
//!
//! ```text
//! RowStream ─▶ pairing ─▶ encode ─▶ Slice ─▶ (channel of one) ─▶ the pipeline commits it
//! ```
//!
//! Runs as a task of its own beside the committing one, so that reading, encoding and committing overlap. A slice ends
//! at a bound of rows, bytes or time, whichever comes first, and only ever between two events. An event that cannot be
//! published is one of its slice all the same: as a dead letter, where the table's policy says so.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::budget::{Pool, Share};
use crate::change::{Event, Metadata, Pairing, RowOrdinal, RowRef};
use crate::config::{Config, Table};
use crate::encode::{BatchInfo, DeadLetters, EncodeError, Encoded, Encoder, EncoderOptions, Key, Poison};
use crate::error::Error;
use crate::sink::SinkError;
use crate::source::value::{Column, DataType, Value};
use crate::source::{Anchor, Batch, SourceError};
use crate::status::now_ms;

/// What a record costs in a batch beyond its key, value and headers (record and batch headers of Kafka's format 2).
const RECORD_OVERHEAD: usize = 128;

/// How many events go between two looks at the clock: at hundreds of thousands of events a second, asking for each is
/// a measurable part of the work.
const CLOCK_EVERY: u64 = 64;

/// The records of one transaction.
pub(crate) struct Slice {
    pub(crate) records: Vec<Encoded>,
    /// Staged rows up to and including this one are covered.
    pub(crate) row: RowOrdinal,
    /// Of a window: the running sum at that row.
    pub(crate) sum: Option<String>,
    pub(crate) rows: u64,
    pub(crate) events: u64,
    pub(crate) dead_letters: u64,
    pub(crate) bytes: u64,
    #[expect(dead_code, reason = "held until the slice is committed")]
    share: Share,
}

/// Makes the slices of one batch.
pub(crate) struct Slicer {
    encoder: Encoder,
    dead_letters: Option<DeadLetters>,
    /// Columns whose cells have any length.
    long: Vec<usize>,
    pairing: Pairing,
    info: BatchInfo,
    pool: Pool,
    limits: Limits,
    table: String,
    topic: String,
    row_id: usize,
    /// The running sum's column, and the row's before, in a window.
    sum: Option<usize>,
    row: usize,
    to: mpsc::Sender<Slice>,
    open: Option<Open>,
    /// Milliseconds since 1970 when the clock was last looked at.
    now_ms: i64,
    /// Where the last finished slice ended.
    sent: u64,
}

struct Limits {
    rows: usize,
    bytes: usize,
    interval: Duration,
    message: usize,
}

/// A slice's counts at its last boundary.
#[derive(Clone, Copy, Default)]
struct Settled {
    records: usize,
    events: u64,
    dead_letters: u64,
}

/// The slice being filled.
struct Open {
    records: Vec<Encoded>,
    /// Dead letters counted.
    events: u64,
    dead_letters: u64,
    bytes: usize,
    last: RowOrdinal,
    /// The running sum there.
    sum: Option<String>,
    /// What there was behind `last`: all, unless the first half of a pair that was split came since.
    settled: Settled,
    since: Instant,
    share: Share,
}

impl Slicer {
    pub(crate) fn new(
        config: &Config,
        table: &Table,
        generation: u64,
        batch: &Batch,
        pool: &Pool,
        to: mpsc::Sender<Slice>,
    ) -> Result<Self, Error> {
        let columns: &[Column] = batch.rows.columns();
        let key = key_columns(table, columns, batch.note.key.as_deref())?;
        let format = &config.format;
        let options = EncoderOptions {
            envelope: format.envelope,
            inline_schema: format.schema,
            tombstones: format.tombstones,
            numbers: format.numbers,
            variant: format.variant,
            binary: format.binary,
            ..EncoderOptions::new(table.topic.as_str(), config.name.as_str())
        };
        let name = table.name.to_string();
        let start = RowOrdinal(batch.row);
        let pairing = Pairing::new(name.as_str(), columns, &key, start, batch.note.initial)?;
        let Metadata { row_id, row, sum, .. } = Metadata::find(columns)?;
        let key = if key.is_empty() { Key::RowId } else { Key::Columns(key) };
        Ok(Self {
            encoder: Encoder::new(options, columns, key)?,
            dead_letters: table.dead_letters.as_deref().map(|topic| DeadLetters {
                topic: topic.into(),
                limit: config.kafka.max_message_bytes.saturating_sub(RECORD_OVERHEAD),
            }),
            long: (0..columns.len()).filter(|&index| has_any_length(columns[index].ty)).collect(),
            pairing,
            info: BatchInfo {
                database: table.name.database.clone(),
                schema: table.name.schema.clone(),
                table: table.name.name.clone(),
                generation,
                batch: batch.number,
                staged_at_ms: batch.staged_at_ms,
            },
            pool: pool.clone(),
            limits: Limits {
                rows: config.delivery.slice_rows,
                bytes: config.delivery.slice_bytes,
                interval: config.delivery.slice_interval,
                message: config.kafka.max_message_bytes,
            },
            table: name,
            topic: table.topic.clone(),
            row_id,
            sum,
            row,
            to,
            open: None,
            now_ms: now_ms(),
            sent: batch.row,
        })
    }

    /// Reads the batch to its end. Returns early without an error when the receiver went away.
    pub(crate) async fn run(mut self, mut batch: Batch) -> Result<(), Error> {
        let mut events: Vec<Event> = Vec::new();
        let mut outlived: Option<Share> = None;
        loop {
            // A slice does not wait for rows longer than its interval. That also keeps the byte budget moving: a
            // capture that holds half a slice while it waits for chunk room would stand in the way of the others.
            let next = match &self.open {
                Some(open) => match timeout_at(open.since + self.limits.interval, batch.rows.next()).await {
                    Ok(next) => next,
                    Err(_) => {
                        if !self.flush().await {
                            return Ok(());
                        }
                        continue;
                    }
                },
                None => batch.rows.next().await,
            };
            let Some(chunk) = next? else { break };
            self.now_ms = now_ms();
            for rows in &chunk.rows {
                for index in 0..rows.len() {
                    if let Some(anchor) = batch.anchor.take() {
                        self.recognise(&anchor, batch.row, &RowRef::new(Arc::clone(rows), index))?;
                        continue;
                    }
                    self.pairing.push(rows, index, &mut events)?;
                    for event in events.drain(..) {
                        if !self.add(&event).await? {
                            return Ok(());
                        }
                    }
                }
            }
            // The halves of an update may lie in two chunks, and then the first is there until the second is read.
            drop(outlived.take());
            outlived = if self.pairing.holds_a_row() { chunk.outlived() } else { None };
        }
        if self.open.is_none() && batch.total == 0 {
            // Nothing at all: the checkpoint alone moves, so that the empty staging table can go.
            self.open = Some(self.start(RowOrdinal(0), 0).await);
        }
        let Self { pairing, mut open, mut sent, to, .. } = self;
        pairing.finish()?;
        flush(&mut open, &mut sent, &to).await;
        Ok(())
    }

    /// Compares a window's row that is in Kafka already with what it was.
    fn recognise(&self, anchor: &Anchor, row: u64, found: &RowRef) -> Result<(), Error> {
        let (came, sum) = (whole(found.value(self.row)), self.sum.and_then(|sum| whole(found.value(sum))));
        let known = anchor.sum.is_none() || anchor.sum == sum;
        if came == Some(row.to_string()) && known {
            return Ok(());
        }
        let said = |row: &str, sum: Option<&str>| format!("sum of hashes {} at row {row}", sum.unwrap_or("unknown"));
        Err(Error::Source(SourceError::WindowChanged {
            table: self.table.clone(),
            window: anchor.window.clone(),
            was: said(&row.to_string(), anchor.sum.as_deref()),
            now: said(came.as_deref().unwrap_or("unknown"), sum.as_deref()),
        }))
    }

    /// Adds one event; false when the receiver went away.
    async fn add(&mut self, event: &Event) -> Result<bool, Error> {
        let estimate = self.estimate(event);
        // An event that needs more room than the slice has left begins one of its own, with room for it. Only behind an
        // event that a checkpoint may follow; the two halves of a pair that was split are let through together.
        let crowded = |open: &Open| {
            open.events > 0
                && open.settled.events == open.events
                && open.bytes.saturating_add(estimate) > open.share.bytes()
        };
        if self.open.as_ref().is_some_and(crowded) && !self.flush().await {
            return Ok(false);
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.start(event.position, estimate).await,
        };
        let look = open.events % CLOCK_EVERY == CLOCK_EVERY - 1;
        if look {
            self.now_ms = now_ms();
        }
        let before = open.records.len();
        let poison = match self.encoder.encode(event, &self.info, self.now_ms, &mut open.records) {
            Err(EncodeError { column, reason, .. }) => Some(Poison::Unencodable { column, reason }),
            Ok(()) => self.too_large(open.records.get(before..).unwrap_or_default()),
        };
        if let Some(poison) = poison {
            open.records.truncate(before);
            let told = match &self.dead_letters {
                Some(to) => self.encoder.dead_letter(event, &poison, to, self.now_ms, &mut open.records),
                None => false,
            };
            if !told {
                // What came before the bad row still goes out, so that the capture waits exactly at it; but for the first
                // half of its own pair, which is read again with it.
                let Settled { records, events, dead_letters } = open.settled;
                open.records.truncate(records);
                (open.events, open.dead_letters) = (events, dead_letters);
                if events > 0 {
                    self.open = Some(open);
                    self.flush().await;
                }
                return Err(self.halted_by(event, poison));
            }
            open.dead_letters += 1;
        }
        open.bytes += open.records.get(before..).unwrap_or_default().iter().map(Encoded::size).sum::<usize>();
        if open.bytes > open.share.bytes() {
            open.share.settle(open.bytes);
        }
        open.events += 1;
        if event.boundary {
            open.last = event.position;
            open.sum = self.sum.and_then(|sum| whole(event.subject()?.value(sum)));
            open.settled =
                Settled { records: open.records.len(), events: open.events, dead_letters: open.dead_letters };
        }
        let full = open.records.len() >= self.limits.rows
            || open.bytes >= self.limits.bytes
            || look && open.since.elapsed() >= self.limits.interval;
        let finished = full && event.boundary;
        self.open = Some(open);
        Ok(if finished { self.flush().await } else { true })
    }

    fn too_large(&self, records: &[Encoded]) -> Option<Poison> {
        let size = records.iter().map(Encoded::size).max()? + RECORD_OVERHEAD;
        (size > self.limits.message).then_some(Poison::TooLarge { size, limit: self.limits.message })
    }

    fn halted_by(&self, event: &Event, poison: Poison) -> Error {
        let row_id = match event.subject().map(|row| row.value(self.row_id)) {
            Some(Value::Text(row_id)) => row_id.to_owned(),
            _ => String::new(),
        };
        match poison {
            Poison::Unencodable { column, reason } => {
                EncodeError { column, row: event.position, row_id, reason }.into()
            }
            Poison::TooLarge { size, limit } => {
                let (table, topic) = (self.table.clone(), self.topic.clone());
                SinkError::TooLarge { table, row_id, topic, size, limit }.into()
            }
        }
    }

    /// About how many bytes the event's records will have: its long cells and something for the rest. Known before they
    /// are written, so that room is there first.
    fn estimate(&self, event: &Event) -> usize {
        const REST: usize = 1024;
        let long = |row: &RowRef| -> usize {
            let length = |&column: &usize| match row.value(column) {
                Value::Text(text) | Value::Variant(text) => text.len(),
                Value::Binary(bytes) => bytes.len() / 3 * 4,
                _ => 0,
            };
            self.long.iter().map(length).sum()
        };
        let rows = [&event.before, &event.after];
        rows.into_iter().flatten().map(long).sum::<usize>() + REST
    }

    async fn start(&self, last: RowOrdinal, estimate: usize) -> Open {
        let share = self.pool.take(self.limits.bytes.max(estimate)).await;
        Open {
            records: Vec::new(),
            events: 0,
            dead_letters: 0,
            bytes: 0,
            last,
            sum: None,
            settled: Settled::default(),
            since: Instant::now(),
            share,
        }
    }

    async fn flush(&mut self) -> bool {
        flush(&mut self.open, &mut self.sent, &self.to).await
    }
}

/// Sends the open slice on; false when the receiver went away.
async fn flush(open: &mut Option<Open>, sent: &mut u64, to: &mpsc::Sender<Slice>) -> bool {
    let Some(open) = open.take() else { return true };
    let rows = open.last.0.saturating_sub(*sent);
    *sent = open.last.0;
    let slice = Slice {
        records: open.records,
        row: open.last,
        sum: open.sum,
        rows,
        events: open.events - open.dead_letters,
        dead_letters: open.dead_letters,
        bytes: open.bytes as u64,
        share: open.share,
    };
    to.send(slice).await.is_ok()
}

/// A whole number as text.
fn whole(value: Value<'_>) -> Option<String> {
    match value {
        Value::Fixed { unscaled, scale: 0 } => Some(unscaled.to_string()),
        _ => None,
    }
}

fn has_any_length(ty: DataType) -> bool {
    matches!(
        ty,
        DataType::Text
            | DataType::Binary
            | DataType::Variant
            | DataType::Object
            | DataType::Array
            | DataType::Map
            | DataType::Geography
            | DataType::Geometry
    )
}

/// The key columns' indices by the names the batch was ordered with; empty when the row id is the key.
fn key_columns(table: &Table, columns: &[Column], key: Option<&[String]>) -> Result<Vec<usize>, Error> {
    key.unwrap_or_default()
        .iter()
        .map(|name| {
            columns.iter().position(|column| column.name == *name).ok_or_else(|| {
                Error::Source(SourceError::KeyMissing {
                    column: name.clone(),
                    table: table.name.to_string(),
                    known: columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", "),
                })
            })
        })
        .collect()
}
