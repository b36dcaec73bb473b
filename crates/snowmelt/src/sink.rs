//! Kafka's side of one capture: fence, read the checkpoint, commit slices. Knows nothing of Snowflake.
//!
//! ```text
//! resume   claim the transactional id (fences every older producer, aborts what it left open), THEN read the checkpoint
//! commit   one transaction = the slice's records + one checkpoint record
//! ```
//!
//! Whatever goes wrong between, the producer is dropped and the caller resumes: the outcome of a commit that was not
//! answered is read from the checkpoint topic, never guessed, and no commit is retried under a new identity.

mod captures;
pub mod cluster;
pub mod commands;
mod kafka;
mod resume;
#[cfg(all(test, feature = "demo"))]
mod tests;
pub mod topics;

use std::fmt;

use krafka::KrafkaError;
use krafka::error::ErrorCode;

pub use captures::captures;
pub use cluster::Cluster;
pub use commands::Commands;
pub use kafka::{Sink, Writes, transactional_id};

use crate::checkpoint::CheckpointError;
use crate::error::Next;

/// A failure of Kafka's side.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A request to Kafka failed.
    #[error("kafka: {what} failed: {source}{}", Remedy(source))]
    Kafka {
        /// The request, in words.
        what: String,
        /// The client's error.
        source: KrafkaError,
    },
    /// Another publisher claimed the transactional id.
    #[error(
        "another publisher took over transactional id {transactional_id}; this one gives way and must not be restarted beside it"
    )]
    Fenced {
        /// The transactional id.
        transactional_id: String,
    },
    /// A topic is missing and may not be created by this program.
    #[error("topic {topic} does not exist and topics.create is false; create it{advice}")]
    TopicMissing {
        /// The topic.
        topic: String,
        /// Settings to create it with.
        advice: String,
    },
    /// A topic is missing and the cluster refuses to create it.
    #[error(
        "topic {topic} does not exist and cannot be created: {reason}; create it by hand{advice}, or allow CREATE on it"
    )]
    TopicRefused {
        /// The topic.
        topic: String,
        /// The cluster's words.
        reason: String,
        /// Settings to create it with.
        advice: String,
    },
    /// The checkpoint topic would lose checkpoints.
    #[error(
        "checkpoint topic {topic} has cleanup.policy={policy}, so that kafka throws checkpoints away and every table would \
         be sent again; set cleanup.policy=compact on it"
    )]
    Forgetful {
        /// The topic.
        topic: String,
        /// Its policy.
        policy: String,
    },
    /// A record is larger than the topic takes.
    #[error(
        "row {row_id} of {table} makes a record of {size} bytes, topic {topic} takes {limit}. Raise max.message.bytes of the \
         topic and kafka.max_message_bytes; the capture waits at this row and nothing is lost"
    )]
    TooLarge {
        /// The captured table.
        table: String,
        /// METADATA$ROW_ID of the row.
        row_id: String,
        /// The topic.
        topic: String,
        /// Bytes of key, value and headers.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The checkpoint record cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file or secret of the configuration cannot be used.
    #[error("kafka: {what}: {reason}")]
    Setting {
        /// The setting.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a person can do about a client error.
struct Remedy<'a>(&'a KrafkaError);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.0 {
            KrafkaError::Broker { code, .. } => code,
            KrafkaError::Auth { .. } => return f.write_str("; check [kafka.sasl] and [kafka.tls]"),
            // Carries the broker's reason in words only.
            KrafkaError::TransactionAbortable { message } if message.contains("MessageTooLarge") => {
                &ErrorCode::MessageTooLarge
            }
            KrafkaError::TransactionAbortable { message } if message.contains("TopicAuthorizationFailed") => {
                &ErrorCode::TopicAuthorizationFailed
            }
            _ => return Ok(()),
        };
        f.write_str(match code {
            ErrorCode::TopicAuthorizationFailed => "; grant DESCRIBE, WRITE and READ on the topic",
            ErrorCode::TransactionalIdAuthorizationFailed => "; grant DESCRIBE and WRITE on the transactional id",
            ErrorCode::ClusterAuthorizationFailed => "; grant IDEMPOTENT_WRITE on the cluster",
            ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
                "; raise max.message.bytes of the topic, or lower kafka.batch_bytes"
            }
            ErrorCode::InvalidTransactionTimeout => {
                "; lower kafka.transaction_timeout below transaction.max.timeout.ms"
            }
            _ => return Ok(()),
        })
    }
}

impl SinkError {
    /// Wraps a client error, telling fencing apart.
    pub(crate) fn kafka(what: &str, transactional_id: &str, source: KrafkaError) -> Self {
        let fenced = match &source {
            KrafkaError::Fenced { .. } => true,
            KrafkaError::Broker { code, .. } => {
                matches!(code, ErrorCode::ProducerFenced | ErrorCode::InvalidProducerEpoch)
            }
            _ => false,
        };
        if fenced {
            Self::Fenced { transactional_id: transactional_id.to_owned() }
        } else {
            Self::Kafka { what: what.to_owned(), source }
        }
    }

    /// What the pipeline does about it.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            Self::Fenced { .. } => Next::Yield,
            Self::Kafka { source, .. } if is_for_a_person(source) => Next::Halt,
            Self::Kafka { .. } => Next::Restart,
            Self::TopicMissing { .. }
            | Self::TopicRefused { .. }
            | Self::TooLarge { .. }
            | Self::Forgetful { .. }
            | Self::Checkpoint(_)
            | Self::Setting { .. } => Next::Halt,
        }
    }
}

/// Failures that the same request would meet again.
fn is_for_a_person(error: &KrafkaError) -> bool {
    match error {
        KrafkaError::Auth { .. } | KrafkaError::Config { .. } | KrafkaError::Serialization { .. } => true,
        KrafkaError::Broker { code, .. } => matches!(
            code,
            ErrorCode::TopicAuthorizationFailed
                | ErrorCode::TransactionalIdAuthorizationFailed
                | ErrorCode::ClusterAuthorizationFailed
                | ErrorCode::SaslAuthenticationFailed
                | ErrorCode::MessageTooLarge
                | ErrorCode::RecordListTooLarge
                | ErrorCode::InvalidTransactionTimeout
                | ErrorCode::InvalidRequiredAcks
                | ErrorCode::UnsupportedVersion
                | ErrorCode::InvalidTopic
        ),
        // Carries the broker's reason in words only.
        KrafkaError::TransactionAbortable { message } => {
            message.contains("MessageTooLarge") || message.contains("TopicAuthorizationFailed")
        }
        _ => false,
    }
}
