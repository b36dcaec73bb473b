//! Results on disk: a first part kept for the reply, the rest as numbered chunk files.
//!
//! A reply must announce its total and every chunk's row count, so a result is spooled whole before it is
//! answered; memory holds one chunk at a time. Links to chunks carry a name nobody can guess, end by the
//! simulator's clock, and are made anew each time the result is asked for. The files go when the result goes.

mod chunker;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arrow_array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::Clock;
use crate::error::SqlError;
use crate::types::ColumnMeta;
use crate::wire::Format;

pub(crate) use chunker::Limits;

/// Batches in flight between the engine and the encoder; each is a few thousand rows.
const IN_FLIGHT: usize = 2;

/// One spooled result.
pub(crate) struct Spooled {
    pub(crate) columns: Vec<ColumnMeta>,
    pub(crate) format: Format,
    /// Rows in all parts together.
    pub(crate) total: u64,
    /// The part that travels in the reply: row arrays for JSON, base64 text for Arrow.
    pub(crate) inline: String,
    pub(crate) chunks: Vec<Chunk>,
    /// What a download must present; stands for the key of the cloud's own encryption.
    pub(crate) key: String,
    directory: Arc<Directory>,
    downloads: AtomicUsize,
}

/// One chunk file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) rows: u64,
    pub(crate) uncompressed: u64,
    pub(crate) compressed: u64,
}

impl Spooled {
    pub(crate) fn path(&self, chunk: usize) -> PathBuf {
        chunker::chunk_path(&self.directory.0, chunk)
    }

    /// Bytes on disk.
    fn size(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.compressed).sum()
    }

    fn is_read(&self) -> bool {
        self.downloads.load(Ordering::Relaxed) >= self.chunks.len()
    }
}

/// A directory that goes when its last owner goes: the result, or an encoder that has lost its result.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, directory = %self.0.display(), "spooled result not removed");
            }
            _ => {}
        }
    }
}

struct Link {
    result: Weak<Spooled>,
    expires: i128,
}

/// Why a chunk cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The link is unknown, has ended, or its result is gone.
    Expired,
    /// The key does not fit.
    WrongKey,
    /// The result has no chunk of this number.
    NoSuchChunk,
}

/// Where results are spooled and how they are reached.
pub(crate) struct Spool {
    directory: PathBuf,
    clock: Arc<Clock>,
    link_lifetime: Duration,
    links: Mutex<HashMap<String, Link>>,
}

impl Spool {
    /// Takes over a directory and empties it: results do not outlive the process that made them.
    pub(crate) fn open(directory: &Path, clock: Arc<Clock>, link_lifetime: Duration) -> io::Result<Spool> {
        match std::fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(directory)?;
        Ok(Spool { directory: directory.to_owned(), clock, link_lifetime, links: Mutex::default() })
    }

    /// Spools a result to its end. Dropping the future stops it and removes what was written.
    pub(crate) async fn write(
        &self,
        columns: Vec<ColumnMeta>,
        mut batches: SendableRecordBatchStream,
        format: Format,
        limits: Limits,
    ) -> Result<Spooled, SqlError> {
        let directory = Arc::new(Directory(self.directory.join(Uuid::new_v4().simple().to_string())));
        let (sender, receiver) = mpsc::channel::<RecordBatch>(IN_FLIGHT);
        let encoder = {
            let (directory, columns) = (Arc::clone(&directory), columns.clone());
            tokio::task::spawn_blocking(move || chunker::run(&directory.0, &columns, format, limits, receiver))
        };
        let mut failure = None;
        while let Some(batch) = batches.next().await {
            match batch {
                Ok(batch) if batch.num_rows() == 0 => {}
                // A closed channel means that the encoder has failed; its own error says why.
                Ok(batch) => {
                    if sender.send(batch).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    failure = Some(SqlError::from(error));
                    break;
                }
            }
        }
        drop(sender);
        let parts = encoder.await.map_err(|error| internal(&format!("result encoder stopped: {error}")))?;
        if let Some(error) = failure {
            return Err(error);
        }
        let parts = parts.map_err(|error| internal(&error))?;
        Ok(Spooled {
            columns,
            format,
            total: parts.total,
            inline: parts.inline,
            chunks: parts.chunks,
            key: Uuid::new_v4().simple().to_string(),
            directory,
            downloads: AtomicUsize::new(0),
        })
    }

    /// A new name under which the result's chunks can be had for a while.
    pub(crate) fn link(&self, result: &Arc<Spooled>) -> String {
        let now = self.clock.now_nanos();
        let name = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let lifetime = i128::try_from(self.link_lifetime.as_nanos()).unwrap_or(i128::MAX / 2);
        let mut links = self.links.lock();
        links.retain(|_, link| link.expires > now && link.result.strong_count() > 0);
        links.insert(name.clone(), Link { result: Arc::downgrade(result), expires: now + lifetime });
        name
    }

    /// The result behind a link, if the link lives and the key fits.
    pub(crate) fn resolve(&self, name: &str, chunk: usize, key: Option<&str>) -> Result<Arc<Spooled>, Denied> {
        let now = self.clock.now_nanos();
        let links = self.links.lock();
        let link = links.get(name).filter(|link| link.expires > now).ok_or(Denied::Expired)?;
        let result = link.result.upgrade().ok_or(Denied::Expired)?;
        if key != Some(result.key.as_str()) {
            return Err(Denied::WrongKey);
        }
        if chunk >= result.chunks.len() {
            return Err(Denied::NoSuchChunk);
        }
        result.downloads.fetch_add(1, Ordering::Relaxed);
        Ok(result)
    }
}

/// Which of these results, oldest first, must go so that those on disk fit in `limit` bytes. A result that
/// has not been read to its end stays whatever it weighs: dropping it would fail its reader.
pub(crate) fn surplus(results: &[Arc<Spooled>], limit: u64) -> Vec<usize> {
    let mut held: u64 = results.iter().map(|result| result.size()).sum();
    let mut chosen = Vec::new();
    for (index, result) in results.iter().enumerate() {
        if held <= limit {
            break;
        }
        if !result.chunks.is_empty() && result.is_read() {
            held = held.saturating_sub(result.size());
            chosen.push(index);
        }
    }
    chosen
}

fn internal(message: &str) -> SqlError {
    SqlError::new("000603", "XX000", format!("SQL execution internal error: {message}"))
}
