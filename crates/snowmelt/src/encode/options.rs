//! What an encoder is told: the form of its records, the key, and the batch an event belongs to.

use thiserror::Error;

use crate::change::{Metadata, PairingError};
use crate::source::value::Column;

pub use crate::config::{BinaryForm, Envelope, Numbers, VariantForm};

/// How to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Form of the value.
    pub envelope: Envelope,
    /// Whether key and value carry their Connect schema.
    pub inline_schema: bool,
    /// Whether a `debezium` delete is followed by a tombstone. A `plain` delete always is one.
    pub tombstones: bool,
    /// Form of exact numbers.
    pub numbers: Numbers,
    /// Form of semi-structured values.
    pub variant: VariantForm,
    /// Form of bytes.
    pub binary: BinaryForm,
    /// Topic; it names the inline schemas.
    pub topic: String,
    /// Pipeline name, `source.name` in a `debezium` record.
    pub pipeline: String,
    /// Program version, `source.version` in a `debezium` record.
    pub version: String,
}

impl EncoderOptions {
    /// The defaults, for a topic and a pipeline.
    pub fn new(topic: impl Into<String>, pipeline: impl Into<String>) -> Self {
        Self {
            envelope: Envelope::Debezium,
            inline_schema: false,
            tombstones: true,
            numbers: Numbers::Auto,
            variant: VariantForm::String,
            binary: BinaryForm::Base64,
            topic: topic.into(),
            pipeline: pipeline.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether a delete is followed by a record of its key without a value. A `plain` delete is one itself.
    pub(super) fn follows_deletes(&self) -> bool {
        self.tombstones && self.envelope == Envelope::Debezium
    }

    /// Refuses what no reader could understand.
    pub(super) fn check(&self) -> Result<(), SetupError> {
        if self.inline_schema && self.variant == VariantForm::Json {
            return Err(SetupError::UnschemedVariant);
        }
        Ok(())
    }
}

/// What an event's key is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// These columns, in this order.
    Columns(Vec<usize>),
    /// The row id that Snowflake gives each row.
    RowId,
}

impl Key {
    /// The columns the key is read from.
    pub(super) fn columns(&self, columns: &[Column], metadata: &Metadata) -> Result<Vec<usize>, SetupError> {
        match self {
            Self::RowId => Ok(vec![metadata.row_id]),
            Self::Columns(key) if key.is_empty() => Err(SetupError::EmptyKey),
            Self::Columns(key) => {
                let wrong = |index: &&usize| **index >= columns.len() || metadata.contains(**index);
                match key.iter().find(wrong) {
                    Some(&index) => Err(SetupError::KeyColumn { index, columns: columns.len() }),
                    None => Ok(key.clone()),
                }
            }
        }
    }
}

/// The batch an event belongs to, the same for all rows of a staging table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchInfo {
    /// Database of the captured table.
    pub database: String,
    /// Schema of the captured table.
    pub schema: String,
    /// Captured table.
    pub table: String,
    /// Generation: one more after each new snapshot of the table.
    pub generation: u64,
    /// Number of the staging table in its generation.
    pub batch: u64,
    /// When the batch was staged, in milliseconds since 1970.
    pub staged_at_ms: i64,
}

/// An encoder that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetupError {
    /// The staging table has not the metadata columns.
    #[error(transparent)]
    Metadata(#[from] PairingError),
    /// A key without columns.
    #[error("the key has no column; name at least one or use the row id")]
    EmptyKey,
    /// A key column that is not one of the row's.
    #[error("key column {index} is not one of the row's columns ({columns} with metadata)")]
    KeyColumn {
        /// Index that was given.
        index: usize,
        /// Number of staged columns.
        columns: usize,
    },
    /// Raw JSON of any shape has no Connect schema.
    #[error(
        "an inline schema cannot describe variant columns as raw json; use variant = \"string\" or leave the schema out"
    )]
    UnschemedVariant,
}
