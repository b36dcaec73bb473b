//! Reading a capture's checkpoint. Only sound after its transactional id was claimed.
//!
//! Why the last committed record found here stays the last: the claim came first, so no older producer can commit any
//! more, and what it left open is aborted. Why none is overlooked: the log is read to the end it had after the claim,
//! the *uncommitted* end. Another capture's open transaction holds the last stable offset back, and a reader that
//! stopped there would miss a committed record of ours behind it; so this one waits until that transaction ends (by
//! itself or by its time-out) and reads on.

use std::collections::HashMap;
use std::time::Duration;

use krafka::KrafkaError;
use krafka::admin::{ListOffsetsOptions, OffsetSpec};
use krafka::consumer::{AutoOffsetReset, IsolationLevel, TopicPartition};
use serde::{Deserialize, Serialize};

use super::SinkError;
use super::cluster::Cluster;
use super::topics;
use crate::checkpoint::Checkpoint;
use crate::shape::Shape;

/// How often the log says that it is waiting for somebody's transaction.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// To the uncommitted end: after a claim, for the checkpoint to go on from.
    End,
    /// To the last stable offset: without a claim, for a look that waits for nobody's transaction, least of all our own.
    Stable,
}

/// What Kafka knows of a capture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The last committed checkpoint; `None` when there never was one.
    pub(super) checkpoint: Option<Checkpoint>,
    /// The last published shape.
    pub(super) shape: Option<Shape>,
}

/// The record of a capture's shape, beside its checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ShapeRecord {
    pub(super) generation: u64,
    pub(super) batch: u64,
    #[serde(flatten)]
    pub(super) shape: Shape,
}

/// Key of the record of a capture's shape. A pipeline's name has no `#`, so it is no capture's.
pub(super) fn shape_key(capture: &str) -> String {
    format!("{capture}#shape")
}

/// What is committed of `capture`.
pub(super) async fn read_known(
    cluster: &Cluster,
    topic: &str,
    capture: &str,
    until: Until,
) -> Result<Known, SinkError> {
    let (mut known, mut shape, mut damaged) = (Known::default(), None::<ShapeRecord>, None);
    let shape_key = shape_key(capture);
    read(cluster, topic, until, |key, value| {
        if key == shape_key.as_bytes() {
            // It only serves to say what changed; one that cannot be read is as none.
            let found = serde_json::from_slice::<ShapeRecord>(value).ok();
            let place = |record: &ShapeRecord| (record.generation, record.batch);
            if found.as_ref().map(place) >= shape.as_ref().map(place) {
                shape = found;
            }
        }
        if key != capture.as_bytes() {
            return;
        }
        match Checkpoint::from_bytes(capture, value) {
            Err(error) => damaged = Some(error),
            // One partition holds a key's records in order; the comparison only matters after the topic was given
            // more partitions, when an old record may be met after a newer one.
            Ok(found) => {
                let place = |of: &Checkpoint| (of.claim, of.generation, of.batch, of.row);
                if known.checkpoint.as_ref().is_none_or(|last| place(&found) >= place(last)) {
                    known.checkpoint = Some(found);
                }
            }
        }
    })
    .await?;
    known.shape = shape.map(|record| record.shape);
    damaged.map_or(Ok(known), |error| Err(error.into()))
}

/// Reads a topic to its end, giving every record's key and value.
pub(super) async fn read(
    cluster: &Cluster,
    topic: &str,
    until: Until,
    mut each: impl FnMut(&[u8], &[u8]),
) -> Result<(), SinkError> {
    let failed = |source| SinkError::Kafka { what: format!("reading topic {topic}"), source };
    // A broker with old metadata may not know the topic yet. Taken for "no checkpoint" that would repeat every table.
    let count = topics::partitions(cluster, topic).await?.filter(|&count| count > 0);
    let Some(count) = count else { return Err(failed(KrafkaError::unknown_topic(topic))) };
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let ends = ends(cluster, topic, count, until).await?;
    let consumer = cluster
        .kafka()
        .consumer_without_group()
        .isolation_level(IsolationLevel::ReadCommitted)
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .build()
        .await
        .map_err(failed)?;
    consumer.assign(topic, ends.keys().copied().collect()).await.map_err(failed)?;
    let mut said = tokio::time::Instant::now();
    loop {
        let mut behind = Vec::new();
        for (&partition, &end) in &ends {
            if consumer.position(topic, partition).await.is_none_or(|position| position < end) {
                behind.push(partition);
            }
        }
        if behind.is_empty() {
            break;
        }
        if said.elapsed() > PATIENCE {
            tracing::info!(topic, ?behind, "waiting for another capture's open transaction to end");
            said = tokio::time::Instant::now();
        }
        for record in consumer.poll(Duration::from_millis(200)).await.map_err(failed)? {
            if let (Some(key), Some(value)) = (&record.key, &record.value) {
                each(key, value);
            }
        }
    }
    if let Err(error) = consumer.close().await {
        tracing::debug!(%error, topic, "the reader did not close cleanly");
    }
    Ok(())
}

/// The end of every partition that has records.
async fn ends(cluster: &Cluster, topic: &str, count: i32, until: Until) -> Result<HashMap<i32, i64>, SinkError> {
    let failed = |source| SinkError::Kafka { what: format!("finding the end of topic {topic}"), source };
    let wanted = (0..count).map(|partition| (TopicPartition::new(topic, partition), OffsetSpec::Latest));
    let listed = cluster
        .admin()
        .list_offsets(wanted, ListOffsetsOptions::default().read_committed(until == Until::Stable))
        .await
        .map_err(failed)?;
    let mut ends = HashMap::new();
    if listed.len() != usize::try_from(count).unwrap_or_default() {
        return Err(failed(KrafkaError::unknown_topic(topic)));
    }
    for (partition, answer) in listed {
        let end = answer.map_err(failed)?.offset;
        if end > 0 {
            ends.insert(partition.partition, end);
        }
    }
    Ok(ends)
}
