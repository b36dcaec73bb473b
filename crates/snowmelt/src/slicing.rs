//! A batch's rows to slices: the records of one Kafka transaction and the row it ends at.
//!
//! ```text
//! RowStream ─▶ pairing ─▶ encode ─▶ Slice ─▶ (channel of one) ─▶ the pipeline commits it
//! ```
//!
//! Runs as a task of its own beside the committing one, so that reading, encoding and committing overlap. A slice ends
//! at a bound of rows, bytes or time, whichever comes first, and only ever between two events.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::budget::{Pool, Share};
use crate::change::{Event, Pairing, RowOrdinal};
use crate::config::{Config, Table};
use crate::encode::{BatchInfo, Encoded, Encoder, EncoderOptions, Key};
use crate::error::Error;
use crate::sink::SinkError;
use crate::source::value::{Column, Value};
use crate::source::{Batch, SourceError};
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
    pub(crate) rows: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    #[expect(dead_code, reason = "held until the slice is committed")]
    share: Share,
}

/// Makes the slices of one batch.
pub(crate) struct Slicer {
    encoder: Encoder,
    pairing: Pairing,
    info: BatchInfo,
    pool: Pool,
    limits: Limits,
    table: String,
    topic: String,
    row_id: usize,
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

/// The slice being filled.
struct Open {
    records: Vec<Encoded>,
    events: u64,
    bytes: usize,
    last: RowOrdinal,
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
        let row_id = crate::change::Metadata::find(columns)?.row_id;
        let key = if key.is_empty() { Key::RowId } else { Key::Columns(key) };
        Ok(Self {
            encoder: Encoder::new(options, columns, key)?,
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
            to,
            open: None,
            now_ms: now_ms(),
            sent: batch.row,
        })
    }

    /// Reads the batch to its end. Returns early without an error when the receiver went away.
    pub(crate) async fn run(mut self, mut batch: Batch) -> Result<(), Error> {
        let mut events: Vec<Event> = Vec::new();
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
                    self.pairing.push(rows, index, &mut events)?;
                    for event in events.drain(..) {
                        if !self.add(&event).await? {
                            return Ok(());
                        }
                    }
                }
            }
        }
        if self.open.is_none() && batch.total == 0 {
            // Nothing at all: the checkpoint alone moves, so that the empty staging table can go.
            self.open = Some(self.start(RowOrdinal(0)).await);
        }
        let Self { pairing, mut open, mut sent, to, .. } = self;
        pairing.finish()?;
        flush(&mut open, &mut sent, &to).await;
        Ok(())
    }

    /// Adds one event; false when the receiver went away.
    async fn add(&mut self, event: &Event) -> Result<bool, Error> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.start(event.position).await,
        };
        let look = open.events % CLOCK_EVERY == CLOCK_EVERY - 1;
        if look {
            self.now_ms = now_ms();
        }
        let before = open.records.len();
        let refused = match self.encoder.encode(event, &self.info, self.now_ms, &mut open.records) {
            Err(error) => Some(Error::Encode(error)),
            Ok(()) => self.too_large(event, open.records.get(before..).unwrap_or_default()).map(Error::Sink),
        };
        if let Some(error) = refused {
            // What came before the bad row still goes out, so that the capture waits exactly at it.
            open.records.truncate(before);
            if !open.records.is_empty() && event_is_behind(&open, event) {
                self.open = Some(open);
                self.flush().await;
            }
            return Err(error);
        }
        open.bytes += open.records.get(before..).unwrap_or_default().iter().map(Encoded::size).sum::<usize>();
        open.events += 1;
        if event.boundary {
            open.last = event.position;
        }
        let full = open.records.len() >= self.limits.rows
            || open.bytes >= self.limits.bytes
            || look && open.since.elapsed() >= self.limits.interval;
        let finished = full && event.boundary;
        self.open = Some(open);
        Ok(if finished { self.flush().await } else { true })
    }

    fn too_large(&self, event: &Event, records: &[Encoded]) -> Option<SinkError> {
        let size = records.iter().map(Encoded::size).max()? + RECORD_OVERHEAD;
        (size > self.limits.message).then(|| SinkError::TooLarge {
            table: self.table.clone(),
            row_id: match event.subject().map(|row| row.value(self.row_id)) {
                Some(Value::Text(row_id)) => row_id.to_owned(),
                _ => String::new(),
            },
            topic: self.topic.clone(),
            size,
            limit: self.limits.message,
        })
    }

    async fn start(&self, last: RowOrdinal) -> Open {
        let share = self.pool.take(self.limits.bytes).await;
        Open { records: Vec::new(), events: 0, bytes: 0, last, since: Instant::now(), share }
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
        rows,
        events: open.events,
        bytes: open.bytes as u64,
        share: open.share,
    };
    to.send(slice).await.is_ok()
}

/// Whether the slice ends before `event`, so that it may be sent without it.
fn event_is_behind(open: &Open, event: &Event) -> bool {
    open.last < event.position
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
