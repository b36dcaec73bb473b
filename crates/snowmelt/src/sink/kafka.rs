//! The transactional producer of one capture.

use std::time::Duration;

use bytes::Bytes;
use krafka::Record;
use krafka::producer::TransactionalProducer;

use super::SinkError;
use super::cluster::Cluster;
use super::resume::{Known, ShapeRecord, Until, read_known, shape_key};
use super::topics::{self, Wanted};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Table};
use crate::encode::Encoded;
use crate::failpoint;
use crate::shape::Shape;

/// How long an abort may take; the next claim of the id aborts as well.
const ABORT: Duration = Duration::from_secs(5);

/// Kafka's side of one capture, fenced against every other publisher of it.
pub struct Sink {
    producer: TransactionalProducer,
    transactional_id: String,
    topic: String,
    checkpoint_topic: String,
    notifications: String,
    capture: Bytes,
    shape_key: Bytes,
    /// The last published shape.
    shape: Option<Shape>,
}

/// What one transaction writes beside the checkpoint.
#[derive(Debug, Default)]
pub struct Writes {
    /// Records for the capture's topic.
    pub records: Vec<Encoded>,
    /// Records for the topic of notifications, before those.
    pub notices: Vec<Vec<u8>>,
    /// The shape of the records, where it is another than that of those before.
    pub shape: Option<Shape>,
}

impl From<Vec<Encoded>> for Writes {
    fn from(records: Vec<Encoded>) -> Self {
        Self { records, ..Self::default() }
    }
}

impl Sink {
    /// Makes missing topics of `table`, claims the capture's transactional id, then reads its checkpoint.
    ///
    /// # Errors
    /// [`SinkError`]; after any, nothing of this capture is open in Kafka for longer than `transaction_timeout`.
    pub async fn resume(
        cluster: &Cluster,
        config: &Config,
        capture: &str,
        table: &Table,
    ) -> Result<(Self, Option<Checkpoint>), SinkError> {
        let topic = table.topic.as_str();
        let checkpoints = Wanted::checkpoint(config);
        if !topics::ensure(cluster, &checkpoints).await? {
            topics::require_compaction(cluster, &checkpoints.name).await?;
        }
        topics::ensure(cluster, &Wanted::events(config, topic)).await?;
        let notifications = Wanted::notifications(config);
        topics::ensure(cluster, &notifications).await?;
        topics::ensure(cluster, &Wanted::commands(config)).await?;
        if let Some(dead_letters) = &table.dead_letters {
            topics::ensure(cluster, &Wanted::dead_letters(config, dead_letters)).await?;
        }
        let transactional_id = transactional_id(capture);
        let producer = cluster.producer(&transactional_id).await?;
        failpoint::hit("after-fence");
        let Known { checkpoint, shape } = read_known(cluster, &checkpoints.name, capture, Until::End).await?;
        tracing::info!(
            transactional_id,
            transaction_version = %producer.transaction_version(),
            ?checkpoint,
            "claimed the transactional id and read the checkpoint"
        );
        let sink = Self {
            producer,
            transactional_id,
            topic: topic.to_owned(),
            checkpoint_topic: checkpoints.name,
            notifications: notifications.name,
            capture: Bytes::copy_from_slice(capture.as_bytes()),
            shape_key: shape_key(capture).into(),
            shape,
        };
        Ok((sink, checkpoint))
    }

    /// The last shape that was published; `None` before the first.
    #[must_use]
    pub fn shape(&self) -> Option<&Shape> {
        self.shape.as_ref()
    }

    /// The last committed checkpoint, for a look from outside: nobody is fenced.
    ///
    /// # Errors
    /// [`SinkError::Kafka`] when the cluster cannot be asked.
    pub async fn peek(cluster: &Cluster, config: &Config, capture: &str) -> Result<Option<Checkpoint>, SinkError> {
        Ok(read_known(cluster, &config.checkpoint.topic, capture, Until::Stable).await?.checkpoint)
    }

    /// Whether a newer publisher than number `claim` has claimed the capture. Asked before an id is claimed again: a
    /// failure that looks like the cluster's may be the first a publisher hears of its successor, and claiming the id
    /// back would fence that one.
    ///
    /// # Errors
    /// [`SinkError::Fenced`] when there is one; [`SinkError::Kafka`] when the cluster cannot be asked.
    pub async fn require_newest(
        cluster: &Cluster,
        config: &Config,
        capture: &str,
        claim: u64,
    ) -> Result<(), SinkError> {
        match Self::peek(cluster, config, capture).await? {
            Some(found) if found.claim > claim => {
                Err(SinkError::Fenced { transactional_id: transactional_id(capture) })
            }
            _ => Ok(()),
        }
    }

    /// Commits `writes` and `checkpoint` together. On an error the outcome may be unknown: drop this sink and resume.
    ///
    /// # Errors
    /// [`SinkError::Fenced`] when another publisher took over, [`SinkError::Kafka`] otherwise.
    pub async fn commit(&mut self, writes: impl Into<Writes>, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        let mut writes = writes.into();
        let shape = writes.shape.take();
        let Err(source) = self.transact(writes, shape.as_ref(), checkpoint).await else {
            self.shape = shape.or(self.shape.take());
            return Ok(());
        };
        // A newer publisher may only show as a refused record. Whether it is one, ending the transaction tells: a fenced
        // producer may not even abort. To start again instead would claim the id back from it.
        let source = if source.requires_abort() { self.abort().await.err().unwrap_or(source) } else { source };
        Err(SinkError::kafka("the transaction", &self.transactional_id, source))
    }

    /// Aborts; an error only when it says that this producer is fenced.
    async fn abort(&self) -> krafka::Result<()> {
        match tokio::time::timeout(ABORT, self.producer.abort()).await {
            Ok(Err(error)) if error.is_fatal() => Err(error),
            _ => Ok(()),
        }
    }

    async fn transact(&self, writes: Writes, shape: Option<&Shape>, checkpoint: &Checkpoint) -> krafka::Result<()> {
        self.producer.begin()?;
        let Writes { records, notices, .. } = writes;
        for notice in notices {
            let record = Record::new(self.notifications.as_str(), notice).key(self.capture.clone());
            drop(self.producer.enqueue(record).await?);
        }
        let half = records.len() / 2;
        for (index, encoded) in records.into_iter().enumerate() {
            let topic = encoded.topic.as_deref().unwrap_or(&self.topic);
            let mut record = Record::new(topic, Bytes::new()).key(encoded.key);
            record.value = encoded.value;
            for (name, value) in encoded.headers {
                record = record.header(name, value);
            }
            // A handle need not be kept: a transaction with a failed send refuses to commit.
            drop(self.producer.enqueue(record).await?);
            if index == half {
                failpoint::hit("mid-slice");
            }
        }
        if let Some(shape) = shape {
            let record =
                ShapeRecord { generation: checkpoint.generation, batch: checkpoint.batch, shape: shape.clone() };
            // Serialising a plain struct of numbers and text into memory cannot fail.
            let value = serde_json::to_vec(&record).unwrap_or_default();
            let record = Record::new(self.checkpoint_topic.as_str(), value).key(self.shape_key.clone());
            drop(self.producer.enqueue(record).await?);
        }
        let record = Record::new(self.checkpoint_topic.as_str(), checkpoint.to_bytes()).key(self.capture.clone());
        drop(self.producer.enqueue(record).await?);
        failpoint::hit("before-commit");
        self.producer.commit().await?;
        failpoint::hit("after-commit");
        Ok(())
    }

    /// The transaction protocol the cluster speaks, for the status: version 2 (KIP-890) closes the delayed-EndTxn hole.
    #[must_use]
    pub fn transaction_version(&self) -> String {
        self.producer.transaction_version().to_string()
    }

    /// Ends the producer; nothing may be open.
    pub async fn close(self) {
        if let Err(error) = self.producer.close().await {
            tracing::debug!(%error, "the producer did not close cleanly");
        }
    }
}

/// The transactional id of a capture.
#[must_use]
pub fn transactional_id(capture: &str) -> String {
    format!("snowmelt/{capture}")
}
