//! Snowflake's side of one capture: claim, release, next batch. Knows nothing of Kafka.
//!
//! ```text
//!                        stream (default)                            changes
//! open(checkpoint)       claim the capture, drop what Kafka has      nothing is made in Snowflake
//! next_batch(checkpoint) an unfinished staging table, else stage     an unfinished window, else the next one that is closed
//! release(checkpoint)    drop the staging table                      nothing
//! ```
//!
//! A table is read in one of two ways, as its `read` says: through a stream and staging tables (`stream`), or by closed
//! windows of its history (`changes`), which only needs SELECT. To the pipeline they are one: a batch has a number, rows
//! that are numbered from 1 in an order that is the same whenever they are read, and a total.

pub mod changes;
pub mod error;
mod key;
pub mod listing;
pub mod object;
pub mod selection;
pub mod session;
pub mod staging;
pub mod stream;
pub mod value;

use std::sync::Arc;
use std::time::Duration;

pub use error::SourceError;
pub(crate) use key::{own_key, resolve_key};

use self::changes::ChangesSource;
use self::session::{RowStream, Session};
use self::staging::Note;
use self::stream::StreamSource;
use crate::budget::Pool;
use crate::checkpoint::{Checkpoint, Window};
use crate::config::{Config, Table, Way};

/// Snowflake's side of one capture.
pub enum Source {
    /// Through a stream.
    Stream(Box<StreamSource>),
    /// By windows of the table's history.
    Changes(Box<ChangesSource>),
}

/// The changes of one read of the stream, or of one window; or what is left of them.
pub struct Batch {
    /// Number of the staging table or of the window.
    pub number: u64,
    /// Rows of it that Kafka has already; the first row of `rows` is the one after, but for `anchor`.
    pub row: u64,
    /// Rows there are in all.
    pub total: u64,
    /// How its rows were ordered, and whether they are initial rows.
    pub note: Note,
    /// When the staging table was made, or where the window ends, in milliseconds since 1970, by Snowflake's clock.
    pub staged_at_ms: i64,
    /// Of a window: its bounds.
    pub window: Option<Window>,
    /// Of a window that was begun before: `rows` begins with row `row` itself, to be recognised and then left out.
    pub anchor: Option<Anchor>,
    /// The rows.
    pub rows: RowStream,
}

/// By what the row is recognised that a begun window goes on behind.
#[derive(Debug, Clone)]
pub struct Anchor {
    /// The window, in words.
    pub window: String,
    /// What [`changes::SUM`] was there; `None` when the table's columns have changed since.
    pub sum: Option<String>,
}

/// What a look at a stream, or at a table read by windows, found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The probe said that it has no data.
    Nothing,
    /// The probe said that it has data, which may turn out to be none.
    Data,
    /// The capture is new: its initial rows are read without a probe.
    Initial,
}

/// Whoever decides when the warehouse is used. Asked after each look, right before the first statement that needs one; what
/// was begun already is read without asking.
pub trait Permit: Send {
    /// Whether to read now what was found. A no is no error: the next look finds it again.
    fn may_read(&mut self, found: Found) -> bool;
}

impl Source {
    /// Takes the capture over in Snowflake, after `checkpoint.claim` was committed to Kafka.
    ///
    /// # Errors
    /// [`SourceError::WayChanged`] when the checkpoint was written by the other way of reading; see the two ways.
    pub async fn open(
        session: Arc<Session>,
        config: &Config,
        table: &Table,
        checkpoint: &Checkpoint,
        pool: Pool,
    ) -> Result<Self, SourceError> {
        let was = if checkpoint.window.is_some() { Way::Changes } else { Way::Stream };
        if checkpoint.batch > 0 && was != table.read {
            return Err(SourceError::WayChanged { table: table.name.to_string(), was, now: table.read });
        }
        Ok(match table.read {
            Way::Stream => {
                let Some(state_schema) = &config.snowflake.state_schema else {
                    return Err(SourceError::NoStateSchema { table: table.name.to_string() });
                };
                let opened = StreamSource::open(session, state_schema, table, checkpoint, pool).await?;
                Self::Stream(Box::new(opened))
            }
            Way::Changes => Self::Changes(Box::new(ChangesSource::open(session, config.changes.lag, table, pool))),
        })
    }

    /// The next rows after `checkpoint`; `None` when there are none, or `permit` says no to what there is; finding that
    /// out needs no warehouse.
    ///
    /// # Errors
    /// Whatever Snowflake refuses; after an error the source must be opened again.
    pub async fn next_batch(
        &mut self,
        checkpoint: &Checkpoint,
        permit: &mut dyn Permit,
    ) -> Result<Option<Batch>, SourceError> {
        match self {
            Self::Stream(source) => source.next_batch(checkpoint, permit).await,
            Self::Changes(source) => source.next_batch(checkpoint, permit).await,
        }
    }

    /// Gives back what `checkpoint`, which must be committed, says is whole in Kafka.
    ///
    /// # Errors
    /// When Snowflake cannot be asked or refuses.
    pub async fn release(&mut self, checkpoint: &Checkpoint) -> Result<(), SourceError> {
        match self {
            Self::Stream(source) => source.release(checkpoint).await,
            Self::Changes(_) => Ok(()),
        }
    }

    /// Looks at table and key anew before the next batch: the table has changed its shape.
    pub fn look_again(&mut self) {
        match self {
            Self::Stream(source) => source.look_again(),
            // Each window looks by itself.
            Self::Changes(_) => {}
        }
    }

    /// Whether everything that was read is in Kafka, between two batches: only then may a new snapshot follow without a
    /// gap.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        match self {
            Self::Stream(source) => source.is_drained(),
            // Reading moves nothing.
            Self::Changes(_) => true,
        }
    }

    /// When unread changes may be lost, in milliseconds since 1970; needs no warehouse.
    ///
    /// # Errors
    /// An error for which [`SourceError::is_stream_lost`] holds when they are; whatever Snowflake refuses.
    pub async fn stale_after(&self, checkpoint: &Checkpoint) -> Result<Option<i64>, SourceError> {
        match self {
            Self::Stream(source) => source.stale_after(checkpoint).await,
            Self::Changes(source) => source.stale_after(checkpoint).await,
        }
    }

    /// How long before that to warn, where `configured` is what the configuration says; and the warning.
    #[must_use]
    pub fn warning(&self, configured: Duration) -> (Duration, &'static str) {
        match self {
            Self::Stream(_) => (
                configured,
                "the stream may go stale soon; raise MAX_DATA_EXTENSION_TIME_IN_DAYS of the table, or see why it is not read",
            ),
            Self::Changes(source) => (
                source.warn_before(configured),
                "unread changes leave Time Travel soon; raise DATA_RETENTION_TIME_IN_DAYS of the table, or see why they are not read",
            ),
        }
    }

    /// The session that everything here goes through.
    pub(crate) fn session(&self) -> &Arc<Session> {
        match self {
            Self::Stream(source) => source.session(),
            Self::Changes(source) => source.session(),
        }
    }

    /// Ends the session.
    pub async fn close(self) {
        match self {
            Self::Stream(source) => source.close().await,
            Self::Changes(source) => source.close().await,
        }
    }
}

/// The staging table to read next: the checkpoint's own while it is unfinished, else the one after.
fn next_number(checkpoint: &Checkpoint) -> u64 {
    if checkpoint.batch_is_whole() { checkpoint.batch + 1 } else { checkpoint.batch }
}
