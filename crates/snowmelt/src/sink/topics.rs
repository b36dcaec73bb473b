//! Topics: made where they are missing, compared with what exactly-once needs where they exist.
//!
//! Kafka's own auto-creation is not relied on: it would give a checkpoint topic that forgets.

use krafka::KrafkaError;
use krafka::admin::{ConfigResource, CreateTopicsOptions, DescribeConfigsOptions, DescribeTopicsOptions, NewTopic};
use krafka::error::ErrorCode;

use super::SinkError;
use super::cluster::Cluster;
use crate::config::Config;

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Name.
    pub name: String,
    /// Partitions when it is made.
    pub partitions: i32,
    /// Replicas when it is made; −1 for the broker's default.
    pub replication_factor: i16,
    /// Settings when it is made.
    pub settings: Vec<(&'static str, String)>,
    /// Whether it may be made.
    pub create: bool,
}

impl Wanted {
    /// The checkpoint topic: compacted, and with small segments, so that reading it to its end stays short.
    #[must_use]
    pub fn checkpoint(config: &Config) -> Self {
        Self {
            name: config.checkpoint.topic.clone(),
            partitions: config.checkpoint.partitions,
            replication_factor: config.checkpoint.replication_factor,
            settings: vec![
                ("cleanup.policy", "compact".to_owned()),
                ("segment.bytes", (16 << 20).to_string()),
                ("min.cleanable.dirty.ratio", "0.1".to_owned()),
            ],
            create: true,
        }
    }

    /// The topic of commands: compacted, because only the latest of a capture counts.
    #[must_use]
    pub fn commands(config: &Config) -> Self {
        Self {
            name: config.topics.commands.clone(),
            partitions: 1,
            settings: vec![("cleanup.policy", "compact".to_owned())],
            ..Self::checkpoint(config)
        }
    }

    /// The topic of notifications. One partition, so that what is announced stays in order; kept for ever, because the
    /// shape of old events is only told here.
    #[must_use]
    pub fn notifications(config: &Config) -> Self {
        Self {
            name: config.topics.notifications.clone(),
            partitions: 1,
            settings: vec![("retention.ms", "-1".to_owned())],
            ..Self::checkpoint(config)
        }
    }

    /// A table's topic.
    #[must_use]
    pub fn events(config: &Config, topic: &str) -> Self {
        let mut settings = Vec::new();
        if config.kafka.max_message_bytes > BROKER_DEFAULT_MAX_MESSAGE {
            settings.push(("max.message.bytes", config.kafka.max_message_bytes.to_string()));
        }
        Self {
            name: topic.to_owned(),
            partitions: config.topics.partitions,
            replication_factor: config.topics.replication_factor,
            settings,
            create: config.topics.create,
        }
    }

    /// A topic of rows that cannot be published. Each stands for itself, so that nothing may be compacted away.
    #[must_use]
    pub fn dead_letters(config: &Config, topic: &str) -> Self {
        let mut wanted = Self::events(config, topic);
        wanted.settings.push(("cleanup.policy", "delete".to_owned()));
        wanted
    }

    fn advice(&self) -> String {
        let settings: String = self.settings.iter().map(|(name, value)| format!(", {name}={value}")).collect();
        format!(" with {} partitions{settings}", self.partitions)
    }
}

/// `message.max.bytes` of a broker that nobody configured (Kafka's `ServerLogConfigs`).
const BROKER_DEFAULT_MAX_MESSAGE: usize = 1_048_588;

/// Makes the topic if it is missing and may be made. True when it was made.
///
/// # Errors
/// [`SinkError::TopicMissing`] and [`SinkError::TopicRefused`] for a topic that stays missing.
pub async fn ensure(cluster: &Cluster, wanted: &Wanted) -> Result<bool, SinkError> {
    if exists(cluster, &wanted.name).await? {
        return Ok(false);
    }
    if !wanted.create {
        return Err(SinkError::TopicMissing { topic: wanted.name.clone(), advice: wanted.advice() });
    }
    create(cluster, wanted, false).await?;
    Ok(true)
}

/// Asks the cluster whether it would make the topic, without making it.
///
/// # Errors
/// [`SinkError::TopicRefused`] when it would not.
pub async fn try_create(cluster: &Cluster, wanted: &Wanted) -> Result<(), SinkError> {
    create(cluster, wanted, true).await
}

async fn create(cluster: &Cluster, wanted: &Wanted, only_validate: bool) -> Result<(), SinkError> {
    let refused = |reason: &dyn std::fmt::Display| SinkError::TopicRefused {
        topic: wanted.name.clone(),
        reason: reason.to_string(),
        advice: wanted.advice(),
    };
    let mut topic =
        NewTopic::new(&wanted.name, wanted.partitions, wanted.replication_factor).map_err(|error| refused(&error))?;
    for (name, value) in &wanted.settings {
        topic = topic.with_config(*name, value.clone());
    }
    let what = format!("creating topic {}", wanted.name);
    let mut answers = cluster
        .admin()
        .create_topics([topic], CreateTopicsOptions::default().validate_only(only_validate))
        .await
        .map_err(|source| SinkError::Kafka { what: what.clone(), source })?;
    match answers.remove(&wanted.name) {
        // Somebody else made it between the look and the call: that is what was wanted.
        Some(Ok(())) | Some(Err(KrafkaError::Broker { code: ErrorCode::TopicAlreadyExists, .. })) => Ok(()),
        Some(Err(source)) if source.is_retriable() => Err(SinkError::Kafka { what, source }),
        Some(Err(error)) => Err(refused(&error)),
        None => Err(refused(&"the broker did not answer for it")),
    }
}

/// Whether the topic exists.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn exists(cluster: &Cluster, name: &str) -> Result<bool, SinkError> {
    Ok(partitions(cluster, name).await?.is_some())
}

/// How many partitions the topic has; `None` when it does not exist.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn partitions(cluster: &Cluster, name: &str) -> Result<Option<usize>, SinkError> {
    let what = format!("looking for topic {name}");
    let mut described = cluster
        .admin()
        .describe_topics([name], DescribeTopicsOptions::default())
        .await
        .map_err(|source| SinkError::Kafka { what: what.clone(), source })?;
    match described.remove(name) {
        Some(Ok(topic)) => Ok(Some(topic.partitions.len())),
        None | Some(Err(KrafkaError::Broker { code: ErrorCode::UnknownTopicOrPartition, .. })) => Ok(None),
        Some(Err(KrafkaError::UnknownTopic { .. })) => Ok(None),
        Some(Err(source)) => Err(SinkError::Kafka { what, source }),
    }
}

/// One setting of the topic; `None` when the broker does not tell.
///
/// # Errors
/// When the cluster refuses to describe it; a broker that does not know the request is an error too.
pub async fn setting(cluster: &Cluster, topic: &str, name: &str) -> Result<Option<String>, SinkError> {
    let what = format!("reading {name} of topic {topic}");
    let resource = ConfigResource::topic(topic);
    let mut described = cluster
        .admin()
        .describe_configs([resource.clone()], DescribeConfigsOptions::default().config_names(vec![name.to_owned()]))
        .await
        .map_err(|source| SinkError::Kafka { what: what.clone(), source })?;
    let entries = match described.remove(&resource) {
        Some(answer) => answer.map_err(|source| SinkError::Kafka { what, source })?,
        None => return Ok(None),
    };
    Ok(entries.into_iter().find(|entry| entry.name == name).and_then(|entry| entry.value))
}

/// Refuses a checkpoint topic that forgets: with `cleanup.policy=delete` an old checkpoint is thrown away, and the
/// capture would begin again with all its rows. A broker that does not tell is believed.
///
/// # Errors
/// [`SinkError::Forgetful`].
pub async fn require_compaction(cluster: &Cluster, topic: &str) -> Result<(), SinkError> {
    match setting(cluster, topic, "cleanup.policy").await {
        Ok(Some(policy)) if policy != "compact" => Err(SinkError::Forgetful { topic: topic.to_owned(), policy }),
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::debug!(%error, "the cleanup policy of the checkpoint topic is not known");
            Ok(())
        }
    }
}
