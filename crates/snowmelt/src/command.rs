//! What a person asks of a capture: a record on `commands.topic`, which the publisher that owns the capture reads.
//!
//! A command waits in Kafka until a publisher is there, and only the latest of a capture counts. That it was dealt
//! with stands in the capture's checkpoint ([`crate::checkpoint::Answered`]), so that it is done once, whatever is
//! killed meanwhile. Nothing but Kafka is needed to give one: no port of the publisher's, and no warehouse.

use serde::{Deserialize, Serialize};

/// The layout this writer writes.
pub const VERSION: u32 = 1;

/// A command for one capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Layout version; a newer one is refused by an older publisher, in words.
    pub version: u32,
    /// Sixteen lower-case hex digits.
    pub id: String,
    /// What is wanted.
    #[serde(flatten)]
    pub wish: Wish,
    /// When it was given, in milliseconds since 1970.
    pub at_ms: i64,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Wish {
    /// Send the whole table again, then its changes.
    Snapshot,
    /// A word of a newer program.
    #[serde(other)]
    Unknown,
}

impl Command {
    /// A new command with an id of its own.
    #[must_use]
    pub fn new(wish: Wish, at_ms: i64) -> Self {
        Self { version: VERSION, id: format!("{:016x}", rand::random::<u64>()), wish, at_ms }
    }

    /// The record's value.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serialising a plain struct of numbers and text into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a record; `None` when it is no command. A stranger's record on the topic must stop nothing.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_its_round_trip_and_a_new_word_is_known_as_such() {
        let command = Command::new(Wish::Snapshot, 7);
        assert_eq!(Command::from_bytes(&command.to_bytes()), Some(command.clone()));
        let text = String::from_utf8(command.to_bytes()).unwrap().replace("snapshot", "dance");
        assert_eq!(Command::from_bytes(text.as_bytes()).map(|command| command.wish), Some(Wish::Unknown));
        for bytes in [&b""[..], b"{}", b"null", b"\xff"] {
            assert_eq!(Command::from_bytes(bytes), None);
        }
        assert_ne!(Command::new(Wish::Snapshot, 7).id, command.id);
    }
}
