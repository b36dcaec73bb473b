//! Change events: what happened to one row, with the row before and after.
//!
//! An event borrows nothing and copies nothing: it points into the batches its rows came in and keeps
//! them alive. `pairing` makes events from staged rows; how an event looks in Kafka is `encode`'s.

mod pairing;

#[cfg(test)]
mod inverse;

pub use pairing::{Metadata, Pairing, PairingError};

use std::fmt;
use std::sync::Arc;

use crate::source::value::{Rows, Value};

/// The place of a row in its staging table (`SNOWMELT$ROW`), from 1. As a position reached, 0 means
/// that nothing has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RowOrdinal(pub u64);

impl fmt::Display for RowOrdinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// The key came.
    Create,
    /// The row with this key changed and kept its key.
    Update,
    /// The key went.
    Delete,
    /// The row was there when the capture began.
    Read,
}

impl Op {
    /// The letter that stands for it in a record: `c`, `u`, `d` or `r`.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Read => "r",
        }
    }
}

/// One row of a batch that it keeps alive.
#[derive(Debug, Clone)]
pub struct RowRef {
    rows: Arc<Rows>,
    index: usize,
}

impl RowRef {
    /// Points at a row; `index` is within `rows`.
    pub fn new(rows: Arc<Rows>, index: usize) -> Self {
        Self { rows, index }
    }

    /// The cell in a column.
    #[inline]
    pub fn value(&self, column: usize) -> Value<'_> {
        self.rows.value(column, self.index)
    }

    /// The batch the row is in.
    pub fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// The row's share of its batch's memory, in bytes; every row counts alike.
    pub fn size(&self) -> usize {
        self.rows.bytes() / self.rows.len().max(1)
    }
}

/// One change of one row.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub op: Op,
    /// The row before: present in an update and a delete.
    pub before: Option<RowRef>,
    /// The row after: present in a create, an update and a read.
    pub after: Option<RowRef>,
    /// The ordinal of the event's last row. With the batch number it identifies the event, and where
    /// [`boundary`](Self::boundary) holds it is where reading resumes after the event.
    pub position: RowOrdinal,
    /// Whether a checkpoint may fall behind this event. False only for the delete that an update pair
    /// was split into: the create that follows needs the same pair to be read again.
    pub boundary: bool,
}

impl Event {
    /// The row that gives the event its key: the new one, or the old one of a delete.
    pub fn subject(&self) -> Option<&RowRef> {
        self.after.as_ref().or(self.before.as_ref())
    }

    /// Memory its rows take, in bytes, before they are encoded.
    pub fn size(&self) -> usize {
        [&self.before, &self.after].into_iter().flatten().map(RowRef::size).sum()
    }
}
