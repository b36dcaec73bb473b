//! A result's rows, fetched ahead within the byte budget, decoded off the event loop, in order and counted.
//!
//! A result is a first part inside the reply and chunks behind URLs (gosnowflake `chunk_downloader.go`). A JSON chunk
//! is the gzip of row arrays joined by commas without outer brackets; an Arrow chunk is an IPC stream, gzipped or not.
//! A chunk that arrives short is fetched again; one that stays short fails the read. URLs expire: a 403 asks for the
//! result again and goes on with the fresh URLs, at this chunk. If the result itself is gone (000612), the read fails,
//! and the pipeline reads the staging table again from the row that Kafka has.

use std::io::Read as _;
use std::sync::Arc;

use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use base64::Engine as _;
use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::http::{self, ATTEMPTS, Answer};
use super::wire::ChunkMeta;
use super::{ResultSet, Session};
use crate::budget::{Pool, Share};
use crate::source::error::SourceError;
use crate::source::value::{Column, Rows, Value};

/// Chunks under way at once, the one being read not counted.
const AHEAD: usize = 3;
/// Tries at one chunk whose body came short or damaged, over and above the retries of each request.
const DAMAGED_TRIES: u32 = 4;
/// A JSON cell costs about this many times its text once it is a row of owned cells.
const JSON_OVERHEAD: usize = 4;

/// Some rows, and the share of the byte budget they hold.
pub struct RowChunk {
    /// Batches in order.
    pub rows: Vec<Arc<Rows>>,
    share: Option<Share>,
}

impl RowChunk {
    /// The share of rows that outlive their chunk. It takes no room any more: whoever keeps them may be waiting for the
    /// next chunk, which may be waiting for room.
    #[must_use]
    pub fn outlived(self) -> Option<Share> {
        self.share.map(Share::without_room)
    }
}

/// A result's rows in order.
pub struct RowStream {
    what: String,
    columns: Arc<[Column]>,
    announced: u64,
    received: u64,
    first: Option<RowChunk>,
    /// The download awaited now: kept here so that dropping an unfinished [`RowStream::next`] loses nothing.
    current: Option<AbortOnDropHandle<Result<RowChunk, SourceError>>>,
    downloads: mpsc::Receiver<AbortOnDropHandle<Result<RowChunk, SourceError>>>,
    _dispatcher: AbortOnDropHandle<()>,
}

/// A small result, held whole.
#[derive(Debug)]
pub struct Table {
    columns: Arc<[Column]>,
    batches: Vec<Arc<Rows>>,
}

/// One row of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub struct TableRow<'a> {
    columns: &'a [Column],
    rows: &'a Rows,
    index: usize,
}

impl Table {
    /// Rows in order.
    pub fn rows(&self) -> impl Iterator<Item = TableRow<'_>> {
        let columns: &[Column] = &self.columns;
        self.batches.iter().flat_map(move |rows| (0..rows.len()).map(move |index| TableRow { columns, rows, index }))
    }

    /// The only cell of a one-cell result.
    #[must_use]
    pub fn scalar(&self) -> Option<String> {
        self.rows().next()?.at(0)
    }
}

impl TableRow<'_> {
    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The cell at position `column` as text; `None` for NULL.
    #[must_use]
    pub fn at(&self, column: usize) -> Option<String> {
        (column < self.columns.len()).then(|| text(self.rows.value(column, self.index))).flatten()
    }

    /// The cell under `name` (any case) as text; `None` for NULL or when there is no such column.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.at(self.column(name)?)
    }

    /// The timestamp under `name` in milliseconds since 1970.
    #[must_use]
    pub fn millis(&self, name: &str) -> Option<i64> {
        match self.rows.value(self.column(name)?, self.index) {
            Value::Timestamp { seconds, nanos, .. } => Some(seconds * 1000 + i64::from(nanos / 1_000_000)),
            _ => None,
        }
    }
}

/// What a chunk was announced with.
#[derive(Clone, Copy)]
struct Meta {
    rows: u64,
    /// Bytes unpacked.
    size: usize,
    /// Bytes packed.
    packed: usize,
}

impl Meta {
    fn of(chunk: &ChunkMeta) -> Self {
        let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Self { rows: chunk.row_count, size: bytes(chunk.uncompressed_size), packed: bytes(chunk.compressed_size) }
    }
}

/// What downloads share.
struct Fetcher {
    session: Arc<Session>,
    what: String,
    columns: Arc<[Column]>,
    arrow: bool,
    query_id: String,
    headers: Vec<(String, String)>,
    chunks: Mutex<Addresses>,
}

/// Where the chunks are.
struct Addresses {
    /// Replaced as a whole when an address has expired; counts stay the same.
    chunks: Vec<ChunkMeta>,
    /// How often they were replaced.
    age: u64,
}

impl ResultSet {
    /// Starts fetching. `pool` bounds what is fetched ahead.
    ///
    /// # Errors
    /// When the first part cannot be decoded.
    pub fn rows(self, what: &str, pool: &Pool) -> Result<RowStream, SourceError> {
        let Self { session, columns, mut data } = self;
        let arrow = data.query_result_format.as_deref() == Some("arrow");
        let first = if let Some(text) = data.rowset_base64.take().filter(|text| !text.is_empty()) {
            let body =
                base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| protocol(what, &error))?;
            decode_arrow(what, &columns, Bytes::from(body))?
        } else {
            vec![Rows::from_json(&columns, &data.rowset.take().unwrap_or_default())?]
        };
        let chunks = data.chunks.take().unwrap_or_default();
        let metas: Vec<Meta> = chunks.iter().map(Meta::of).collect();
        let fetcher = Arc::new(Fetcher {
            session,
            what: what.to_owned(),
            columns: Arc::clone(&columns),
            arrow,
            query_id: data.query_id,
            headers: chunk_headers(data.chunk_headers.take(), data.qrmk.take()),
            chunks: Mutex::new(Addresses { chunks, age: 0 }),
        });
        let (sender, downloads) = mpsc::channel(AHEAD);
        let pool = pool.clone();
        // One dispatcher takes from the budget in chunk order: were later chunks to take it first, the reader would
        // wait for a chunk that waits for room only the reader can make.
        let dispatcher = tokio::spawn(async move {
            for (index, meta) in metas.into_iter().enumerate() {
                let cost = if fetcher.arrow { meta.size } else { meta.size.saturating_mul(JSON_OVERHEAD) };
                // While it is unpacked, a chunk is there in both forms.
                let mut share = pool.take(cost.saturating_add(meta.packed)).await;
                let fetcher = Arc::clone(&fetcher);
                let download = tokio::spawn(async move {
                    let rows = fetcher.download(index, meta).await?;
                    // Arrow's cells are parts of the unpacked body, which stays whole as long as any of them does.
                    let whole = if fetcher.arrow { meta.size } else { 0 };
                    share.settle(rows.iter().map(|rows| rows.bytes()).sum::<usize>().max(whole));
                    Ok(RowChunk { rows, share: Some(share) })
                });
                if sender.send(AbortOnDropHandle::new(download)).await.is_err() {
                    return;
                }
            }
        });
        Ok(RowStream {
            what: what.to_owned(),
            columns,
            announced: data.total,
            received: 0,
            first: Some(RowChunk { rows: first.into_iter().map(Arc::new).collect(), share: None }),
            current: None,
            downloads,
            _dispatcher: AbortOnDropHandle::new(dispatcher),
        })
    }
}

impl RowStream {
    /// The result's columns, in order.
    #[must_use]
    pub fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// Rows the server announced.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.announced
    }

    /// The next rows, `None` after the last. Cancel safe.
    ///
    /// # Errors
    /// [`SourceError::RowsMissing`] when the result ends before all announced rows came; download and decode failures.
    pub async fn next(&mut self) -> Result<Option<RowChunk>, SourceError> {
        let chunk = match self.first.take() {
            Some(first) => Some(first),
            None => {
                if self.current.is_none() {
                    self.current = self.downloads.recv().await;
                }
                match &mut self.current {
                    None => None,
                    Some(download) => {
                        let chunk = download.await.map_err(|error| protocol(&self.what, &error))?;
                        self.current = None;
                        Some(chunk?)
                    }
                }
            }
        };
        let Some(chunk) = chunk else {
            return if self.received == self.announced {
                Ok(None)
            } else {
                Err(SourceError::RowsMissing {
                    what: self.what.clone(),
                    announced: self.announced,
                    received: self.received,
                })
            };
        };
        self.received += chunk.rows.iter().map(|rows| rows.len() as u64).sum::<u64>();
        Ok(Some(chunk))
    }
}

impl Fetcher {
    async fn download(&self, index: usize, meta: Meta) -> Result<Vec<Arc<Rows>>, SourceError> {
        let what = format!("chunk {} of {}", index + 1, self.what);
        let mut tries = 0;
        loop {
            tries += 1;
            let (body, age) = self.fetch(index, &what).await?;
            let problem = match body {
                None => protocol(&what, &"its address expired and the fresh one was refused as well (HTTP status 403)"),
                Some(body) => match self.decode(&what, body, meta.size).await {
                    Ok(rows) => {
                        let received = rows.iter().map(|rows| rows.len() as u64).sum::<u64>();
                        if received == meta.rows {
                            return Ok(rows);
                        }
                        SourceError::RowsMissing { what: what.clone(), announced: meta.rows, received }
                    }
                    Err(error @ SourceError::Value(_)) => return Err(error),
                    Err(error) => error,
                },
            };
            if tries >= DAMAGED_TRIES {
                return Err(problem);
            }
            tracing::debug!(%problem, "fetching a chunk again");
            self.refresh(&what, age).await?;
        }
    }

    /// The body, or `None` when the address has expired; and the age of the address.
    async fn fetch(&self, index: usize, what: &str) -> Result<(Option<Bytes>, u64), SourceError> {
        let (url, age) = {
            let addresses = self.chunks.lock().await;
            (addresses.chunks.get(index).map(|chunk| chunk.url.clone()).unwrap_or_default(), addresses.age)
        };
        let answer = http::send(self.session.url(), what, ATTEMPTS, |_| {
            let request = self.session.http().get(&url);
            Ok(self.headers.iter().fold(request, |request, (name, value)| request.header(name, value)))
        })
        .await?;
        Ok(match answer {
            Answer::Body(body) => (Some(body), age),
            Answer::Forbidden => (None, age),
        })
    }

    /// Asks for fresh addresses, unless somebody has since those of this `age`: all that are under way expire together,
    /// and one answer has the addresses of all.
    async fn refresh(&self, what: &str, age: u64) -> Result<(), SourceError> {
        let mut addresses = self.chunks.lock().await;
        if addresses.age != age {
            return Ok(());
        }
        let fresh = self.session.result_again(what, &self.query_id).await?.chunks.unwrap_or_default();
        let known = &addresses.chunks;
        let same = fresh.len() == known.len() && fresh.iter().zip(known).all(|(a, b)| a.row_count == b.row_count);
        if !same {
            return Err(protocol(what, &"the result asked for again has other chunks than before"));
        }
        *addresses = Addresses { chunks: fresh, age: age + 1 };
        tracing::debug!(what, "the chunks have fresh addresses");
        Ok(())
    }

    async fn decode(&self, what: &str, body: Bytes, size: usize) -> Result<Vec<Arc<Rows>>, SourceError> {
        let (arrow, columns, name) = (self.arrow, Arc::clone(&self.columns), what.to_owned());
        tokio::task::spawn_blocking(move || {
            let body = inflate(&name, body, size)?;
            let rows = if arrow { decode_arrow(&name, &columns, body)? } else { decode_json(&name, &columns, &body)? };
            Ok(rows.into_iter().map(Arc::new).collect())
        })
        .await
        .map_err(|error| protocol(what, &error))?
    }
}

/// Reads a small result whole.
pub(crate) async fn collect(what: &str, result: ResultSet) -> Result<Table, SourceError> {
    // A budget of its own: metadata must not wait behind bulk data.
    let pool = crate::budget::Budget::new(1 << 20).chunks;
    let mut stream = result.rows(what, &pool)?;
    let columns = Arc::clone(stream.columns());
    let mut batches = Vec::new();
    while let Some(chunk) = stream.next().await? {
        batches.extend(chunk.rows);
    }
    Ok(Table { columns, batches })
}

/// Metadata cells as text. Only the types that `SHOW`, `DESCRIBE` and system functions answer with have one.
fn text(value: Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) | Value::Variant(text) => Some(text.to_owned()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Fixed { unscaled, scale: 0 } => Some(unscaled.to_string()),
        Value::Real(number) => Some(number.to_string()),
        _ => None,
    }
}

fn chunk_headers(
    given: Option<std::collections::BTreeMap<String, String>>,
    qrmk: Option<String>,
) -> Vec<(String, String)> {
    match (given, qrmk) {
        (Some(headers), _) if !headers.is_empty() => headers.into_iter().collect(),
        (_, Some(key)) if !key.is_empty() => vec![
            ("x-amz-server-side-encryption-customer-algorithm".to_owned(), "AES256".to_owned()),
            ("x-amz-server-side-encryption-customer-key".to_owned(), key),
        ],
        _ => Vec::new(),
    }
}

/// `size` is what the server announced; a buffer of that size need not grow, which would take its room twice.
fn inflate(what: &str, body: Bytes, size: usize) -> Result<Bytes, SourceError> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body);
    }
    // Deflate packs at most about 1,032 to 1: what is announced beyond that is not believed.
    let mut out = Vec::with_capacity(size.min(body.len().saturating_mul(1_032)) + 1);
    flate2::read::MultiGzDecoder::new(body.as_ref()).read_to_end(&mut out).map_err(|error| protocol(what, &error))?;
    Ok(Bytes::from(out))
}

fn decode_arrow(what: &str, columns: &Arc<[Column]>, body: Bytes) -> Result<Vec<Rows>, SourceError> {
    let mut buffer = Buffer::from(body);
    let mut decoder = StreamDecoder::new();
    let mut rows = Vec::new();
    while !buffer.is_empty() {
        if let Some(batch) = decoder.decode(&mut buffer).map_err(|error| protocol(what, &error))? {
            rows.push(Rows::from_arrow(columns, &batch)?);
        }
    }
    decoder.finish().map_err(|error| protocol(what, &error))?;
    Ok(rows)
}

fn decode_json(what: &str, columns: &Arc<[Column]>, body: &[u8]) -> Result<Vec<Rows>, SourceError> {
    let mut text = Vec::with_capacity(body.len() + 2);
    text.push(b'[');
    text.extend_from_slice(body);
    text.push(b']');
    let cells: Vec<Vec<Option<String>>> = serde_json::from_slice(&text).map_err(|error| protocol(what, &error))?;
    Ok(vec![Rows::from_json(columns, &cells)?])
}

fn protocol(what: &str, reason: &dyn std::fmt::Display) -> SourceError {
    SourceError::Protocol { what: what.to_owned(), reason: reason.to_string() }
}
