//! The publisher's errors at the edge: what happens next, what a person should do, which exit code says so.
//!
//! Each layer has an error type of its own; [`Error`] only gathers them. Anything a user or the world is to blame for
//! has an exit code of its own (documented in `docs/operations.md`); what is left is a bug and exits with 70.

use crate::change::PairingError;
use crate::encode::{EncodeError, SetupError};
use crate::sink::SinkError;
use crate::source::SourceError;
use crate::source::value::ValueError;

/// What the pipeline does about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start again from the checkpoint after a wait: the outcome is unknown, or the fault passes by itself.
    Restart,
    /// Stop this capture and say so: only a person can help. Nothing is lost meanwhile.
    Halt,
    /// Another publisher owns the transactional id: give way and exit.
    Yield,
}

/// Any failure of a capture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Snowflake's side.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Kafka's side.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The rows of a staging table do not make sense together.
    #[error(transparent)]
    Pairing(#[from] PairingError),
    /// A row cannot be written in the chosen format.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// No encoder can be made for the table's columns.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A task of the publisher itself ended without a result.
    #[error("internal: {0}; this is a bug, please report it")]
    Internal(String),
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        Self::Source(SourceError::Value(error))
    }
}

impl Error {
    /// What the pipeline does about it.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            Self::Source(error) => error.next(),
            Self::Sink(error) => error.next(),
            Self::Pairing(_) | Self::Encode(_) | Self::Setup(_) | Self::Internal(_) => Next::Halt,
        }
    }

    /// The process's exit code when this error ends it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Source(_) | Self::Pairing(_) => ExitCode::Source,
            Self::Sink(SinkError::Fenced { .. }) => ExitCode::Fenced,
            Self::Sink(SinkError::TooLarge { .. }) => ExitCode::Row,
            Self::Sink(_) => ExitCode::Sink,
            Self::Encode(_) | Self::Setup(_) => ExitCode::Row,
            Self::Internal(_) => ExitCode::Bug,
        }
    }
}

/// Exit codes of the binary: an interface, documented in `docs/operations.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All went well.
    Ok = 0,
    /// A verification or check found something wrong.
    Findings = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Snowflake's side needs a person.
    Source = 3,
    /// Kafka's side needs a person.
    Sink = 4,
    /// Another publisher took over; do not restart this one beside it.
    Fenced = 5,
    /// A row cannot be published as configured.
    Row = 6,
    /// A stop was asked for but did not finish in time; nothing is lost.
    Unfinished = 7,
    /// A bug.
    Bug = 70,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
