//! The only thing that flows back: how far a capture's rows are in Kafka.
//!
//! A checkpoint is a record in a compacted topic, keyed by capture, written in the same Kafka transaction as the events
//! it covers. So a checkpoint is committed if and only if its events are. It also carries the capture's random nonce
//! (part of every object name in Snowflake) and the number of the last claim, which fences older publishers there.

use serde::{Deserialize, Serialize};

/// The layout this writer writes.
pub const VERSION: u32 = 1;

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
            version: VERSION,
            capture: capture.to_owned(),
            nonce,
            claim: 0,
            generation: 1,
            batch: 0,
            row: 0,
            rows: 0,
            schema: String::new(),
            gap: false,
            command: None,
            writer: writer(),
        }
    }

    /// The checkpoint a publisher writes first of all: same position, next claim.
    #[must_use]
    pub fn claimed(&self) -> Self {
        Self { version: VERSION, claim: self.claim + 1, writer: writer(), ..self.clone() }
    }

    /// The checkpoint after `row` of `rows` rows of staging table `batch`.
    #[must_use]
    pub fn advanced(&self, batch: u64, row: u64, rows: u64, schema: &str) -> Self {
        Self { version: VERSION, batch, row, rows, schema: schema.to_owned(), writer: writer(), ..self.clone() }
    }

    /// The checkpoint at the beginning of the next generation: a new snapshot of the table. `gap` says that what
    /// happened before it may not all have been read.
    #[must_use]
    pub fn next_generation(&self, gap: bool) -> Self {
        Self { generation: self.generation + 1, batch: 0, row: 0, rows: 0, gap, writer: writer(), ..self.clone() }
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
