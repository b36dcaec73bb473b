//! The transactional producer of one capture.

use bytes::Bytes;
use krafka::Record;
use krafka::producer::TransactionalProducer;

use super::SinkError;
use super::cluster::Cluster;
use super::resume::read_checkpoint;
use super::topics::{self, Wanted};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::encode::Encoded;
use crate::failpoint;

/// Kafka's side of one capture, fenced against every other publisher of it.
pub struct Sink {
    producer: TransactionalProducer,
    transactional_id: String,
    topic: String,
    checkpoint_topic: String,
    capture: Bytes,
}

impl Sink {
    /// Makes missing topics, claims the capture's transactional id, then reads its checkpoint.
    ///
    /// # Errors
    /// [`SinkError`]; after any, nothing of this capture is open in Kafka for longer than `transaction_timeout`.
    pub async fn resume(
        cluster: &Cluster,
        config: &Config,
        capture: &str,
        topic: &str,
    ) -> Result<(Self, Option<Checkpoint>), SinkError> {
        let checkpoints = Wanted::checkpoint(config);
        if !topics::ensure(cluster, &checkpoints).await? {
            topics::require_compaction(cluster, &checkpoints.name).await?;
        }
        topics::ensure(cluster, &Wanted::events(config, topic)).await?;
        let transactional_id = transactional_id(capture);
        let producer = cluster.producer(&transactional_id).await?;
        failpoint::hit("after-fence");
        let checkpoint = read_checkpoint(cluster, &checkpoints.name, capture).await?;
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
            capture: Bytes::copy_from_slice(capture.as_bytes()),
        };
        Ok((sink, checkpoint))
    }

    /// Commits `records` and `checkpoint` together. On an error the outcome may be unknown: drop this sink and resume.
    ///
    /// # Errors
    /// [`SinkError::Fenced`] when another publisher took over, [`SinkError::Kafka`] otherwise.
    pub async fn commit(&mut self, records: Vec<Encoded>, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        self.transact(records, checkpoint)
            .await
            .map_err(|source| SinkError::kafka("the transaction", &self.transactional_id, source))
    }

    async fn transact(&self, records: Vec<Encoded>, checkpoint: &Checkpoint) -> krafka::Result<()> {
        self.producer.begin()?;
        let half = records.len() / 2;
        for (index, encoded) in records.into_iter().enumerate() {
            let mut record = Record::new(self.topic.as_str(), Bytes::new()).key(encoded.key);
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
