//! The only thing that flows back: how far a capture's rows are in Kafka.
//!
//! A checkpoint is a record in a compacted topic, keyed by capture, written in the same Kafka transaction as the events
//! it covers. So a checkpoint is committed if and only if its events are. It also carries the capture's random nonce
//! (part of every object name in Snowflake) and the number of the last claim, which fences older publishers there.

mod window;

use serde::{Deserialize, Serialize};

pub use window::{Look, Window};

/// The newest layout this program knows: that of captures that are read by windows. An older program must not take such
/// a checkpoint for one of a stream.
pub const VERSION: u32 = 2;
/// The layout of captures that are read through streams.
const OF_STREAMS: u32 = 1;

/// How far a capture is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Layout version; a reader refuses a newer one than it knows, because it could not honour it.
    pub version: u32,
    /// `<pipeline>/<table>`: also the record's key.
    pub capture: String,
    /// Eight upper-case hex digits, drawn once per capture.
    pub nonce: String,
    /// How many publishers have claimed this capture so far.
    pub claim: u64,
    /// The stream's generation: a new snapshot of the table starts a new one.
    pub generation: u64,
    /// The staging table last read from; 0 before the first.
    pub batch: u64,
    /// Rows of that staging table that are in Kafka.
    pub row: u64,
    /// Rows that staging table has.
    pub rows: u64,
    /// Fingerprint of that staging table's columns.
    pub schema: String,
    /// Whether changes from before this generation's snapshot may be missing from Kafka, deletes above all.
    #[serde(default)]
    pub gap: bool,
    /// Where in the table's history the capture is; there if and only if it is read by windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// The last command that this capture has dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Answered>,
    /// Program and version that wrote this record.
    pub writer: String,
}

/// A command that was carried out or refused; as part of a checkpoint it is so exactly once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The command's id.
    pub id: String,
    /// Why it was refused; `None` when it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Why a checkpoint record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not the JSON of a checkpoint.
    #[error(
        "the checkpoint record of {capture} cannot be read ({reason}); it was not written by snowmelt or is damaged"
    )]
    Unreadable {
        /// The capture.
        capture: String,
        /// The parser's words.
        reason: String,
    },
    /// Written by a newer program.
    #[error(
        "the checkpoint record of {capture} has layout version {version}, this program knows up to {VERSION}; \
         run the newer program ({writer}) again"
    )]
    Newer {
        /// The capture.
        capture: String,
        /// The record's version.
        version: u32,
        /// The program that wrote it.
        writer: String,
    },
}

impl Checkpoint {
    /// Where a capture starts that Kafka knows nothing of.
    #[must_use]
    pub fn start(capture: &str, nonce: String) -> Self {
        Self {
            version: OF_STREAMS,
            capture: capture.to_owned(),
            nonce,
            claim: 0,
            generation: 1,
            batch: 0,
            row: 0,
            rows: 0,
            schema: String::new(),
            gap: false,
            window: None,
            command: None,
            writer: writer(),
        }
    }

    /// The checkpoint a publisher writes first of all: same position, next claim.
    #[must_use]
    pub fn claimed(&self) -> Self {
        Self { claim: self.claim + 1, ..self.clone() }.written()
    }

    /// The checkpoint after `row` of `rows` rows of staging table `batch`.
    #[must_use]
    pub fn advanced(&self, batch: u64, row: u64, rows: u64, schema: &str) -> Self {
        Self { batch, row, rows, schema: schema.to_owned(), ..self.clone() }.written()
    }

    /// The same position, in the window that was read; `None` for a staging table.
    #[must_use]
    pub fn of_window(self, window: Option<Window>) -> Self {
        Self { window, ..self }.written()
    }

    /// The checkpoint at the beginning of the next generation: a new snapshot of the table. `gap` says that what
    /// happened before it may not all have been read. Without a gap a window stays: the snapshot is of its end.
    #[must_use]
    pub fn next_generation(&self, gap: bool) -> Self {
        let window = self.window.clone().filter(|_| !gap);
        Self { generation: self.generation + 1, batch: 0, row: 0, rows: 0, gap, window, ..self.clone() }.written()
    }

    /// As this program writes it.
    fn written(self) -> Self {
        let version = if self.window.is_some() { VERSION } else { OF_STREAMS };
        Self { version, writer: writer(), ..self }
    }

    /// The same position, with a command dealt with.
    #[must_use]
    pub fn answering(self, command: &str, refused: Option<String>) -> Self {
        Self { command: Some(Answered { id: command.to_owned(), refused }), ..self }
    }

    /// Whether the staging table is whole in Kafka, so that it may be dropped.
    #[must_use]
    pub fn batch_is_whole(&self) -> bool {
        self.row == self.rows
    }

    /// The record's value.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serialising a plain struct of numbers and text into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a record of `capture`.
    ///
    /// # Errors
    /// [`CheckpointError`] when the record is damaged or newer than this program. Unknown fields of the same version
    /// are accepted: an old reader must survive a new writer's additions.
    pub fn from_bytes(capture: &str, bytes: &[u8]) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
            #[serde(default)]
            writer: String,
        }
        let unreadable = |error: serde_json::Error| CheckpointError::Unreadable {
            capture: capture.to_owned(),
            reason: error.to_string(),
        };
        let head: Head = serde_json::from_slice(bytes).map_err(unreadable)?;
        if head.version > VERSION {
            return Err(CheckpointError::Newer {
                capture: capture.to_owned(),
                version: head.version,
                writer: head.writer,
            });
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }
}

fn writer() -> String {
    concat!("snowmelt ", env!("CARGO_PKG_VERSION")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_round_trip() {
        let checkpoint = Checkpoint::start("p/DB.S.T", "0A1B2C3D".into()).claimed().advanced(7, 5, 9, "f00");
        let read = Checkpoint::from_bytes("p/DB.S.T", &checkpoint.to_bytes()).unwrap();
        assert_eq!(read, checkpoint);
        assert!(!read.batch_is_whole());
    }

    #[test]
    fn a_window_makes_it_unreadable_to_programs_that_know_none() {
        let start = Checkpoint::start("p/DB.S.T", "0A1B2C3D".into());
        assert_eq!(start.version, 1);
        let window = Window {
            from: Some(1),
            to: 2,
            table: 0,
            key: Some(vec!["ID".into()]),
            append_only: false,
            filter: None,
            columns: "c".into(),
            sum: "-7".into(),
            looks: vec![Look { from: None, to: 1, rows: 3, sum: "5".into(), columns: "c".into() }],
        };
        let read = start.advanced(1, 4, 4, "f").of_window(Some(window));
        assert_eq!(read.version, 2);
        assert_eq!(Checkpoint::from_bytes("p/DB.S.T", &read.to_bytes()).unwrap(), read);
        assert_eq!(read.next_generation(false).window, read.window, "a snapshot without a gap is of the window's end");
        assert_eq!((read.next_generation(true).window, read.next_generation(true).version), (None, 1));
    }

    #[test]
    fn a_newer_layout_is_refused_and_an_addition_is_not() {
        let mut value: serde_json::Value =
            serde_json::from_slice(&Checkpoint::start("c", "N".into()).to_bytes()).unwrap();
        value["addition"] = 1.into();
        assert!(Checkpoint::from_bytes("c", value.to_string().as_bytes()).is_ok());
        value["version"] = (VERSION + 1).into();
        let error = Checkpoint::from_bytes("c", value.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, CheckpointError::Newer { .. }), "{error}");
    }

    #[test]
    fn what_is_no_checkpoint_is_an_error() {
        for bytes in [&b""[..], b"{}", b"null", b"[1]", b"\xff\xfe"] {
            assert!(Checkpoint::from_bytes("c", bytes).is_err());
        }
    }
}
