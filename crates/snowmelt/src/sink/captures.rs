//! The captures a pipeline has ever had, by their checkpoints. A look from outside: nobody is fenced.

use std::collections::BTreeMap;

use super::SinkError;
use super::cluster::Cluster;
use super::resume::{self, Until};
use super::topics;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, ObjectName};

/// The last committed checkpoint of every table of the pipeline. Records that cannot be read are passed over: whoever
/// resumes the capture says what is wrong with them.
///
/// # Errors
/// [`SinkError::Kafka`] when the cluster cannot be asked.
pub async fn captures(cluster: &Cluster, config: &Config) -> Result<BTreeMap<ObjectName, Checkpoint>, SinkError> {
    let topic = &config.checkpoint.topic;
    let mut last = BTreeMap::<ObjectName, Checkpoint>::new();
    if !topics::exists(cluster, topic).await? {
        return Ok(last);
    }
    let prefix = format!("{}/", config.name);
    resume::read(cluster, topic, Until::Stable, |key, value| {
        let Ok(capture) = std::str::from_utf8(key) else { return };
        // Other records of a capture have keys that are no table's name.
        let Some(Ok(table)) = capture.strip_prefix(&prefix).map(str::parse::<ObjectName>) else { return };
        let Ok(found) = Checkpoint::from_bytes(capture, value) else { return };
        let place = |of: &Checkpoint| (of.claim, of.generation, of.batch, of.row);
        if last.get(&table).is_none_or(|known| place(&found) >= place(known)) {
            last.insert(table, found);
        }
    })
    .await?;
    Ok(last)
}
