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

use super::SinkError;
use super::cluster::Cluster;
use super::topics;
use crate::checkpoint::Checkpoint;

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

/// The last committed checkpoint of `capture`; `None` when there never was one.
pub(super) async fn read_checkpoint(
    cluster: &Cluster,
    topic: &str,
    capture: &str,
    until: Until,
) -> Result<Option<Checkpoint>, SinkError> {
    let what = "reading the checkpoint";
    let failed = |source| SinkError::Kafka { what: what.to_owned(), source };
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
    let mut last: Option<Checkpoint> = None;
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
            let (Some(key), Some(value)) = (&record.key, &record.value) else { continue };
            if key.as_ref() != capture.as_bytes() {
                continue;
            }
            let found = Checkpoint::from_bytes(capture, value)?;
            // One partition holds a key's records in order; the comparison only matters after the topic was given
            // more partitions, when an old record may be met after a newer one.
            let newer = last.as_ref().is_none_or(|last| {
                (found.claim, found.generation, found.batch, found.row)
                    >= (last.claim, last.generation, last.batch, last.row)
            });
            if newer {
                last = Some(found);
            }
        }
    }
    if let Err(error) = consumer.close().await {
        tracing::debug!(%error, "the checkpoint reader did not close cleanly");
    }
    Ok(last)
}

/// The end of every partition that has records.
async fn ends(cluster: &Cluster, topic: &str, count: i32, until: Until) -> Result<HashMap<i32, i64>, SinkError> {
    let what = "finding the end of the checkpoint topic";
    let failed = |source| SinkError::Kafka { what: what.to_owned(), source };
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
