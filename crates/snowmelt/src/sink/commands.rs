//! The topic of commands: written by `snowmelt snapshot`, followed by the publisher.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use krafka::Record;
use krafka::consumer::{AutoOffsetReset, Consumer, IsolationLevel};
use tokio::sync::watch;

use super::SinkError;
use super::cluster::Cluster;
use super::resume::{self, Until};
use super::topics::{self, Wanted};
use crate::backoff::Backoff;
use crate::command::Command;
use crate::config::Config;

/// How long a look at the topic waits for something new.
const LOOK: Duration = Duration::from_secs(1);

/// The latest command of every capture; clones share it.
#[derive(Debug, Clone)]
pub struct Commands {
    latest: watch::Receiver<Arc<HashMap<String, Command>>>,
}

/// Keeps a [`Commands`] up to date.
pub(crate) struct Follower {
    latest: watch::Sender<Arc<HashMap<String, Command>>>,
}

/// A follower, and what it follows.
pub(crate) fn channel() -> (Follower, Commands) {
    let (sender, receiver) = watch::channel(Arc::default());
    (Follower { latest: sender }, Commands { latest: receiver })
}

impl Commands {
    /// The latest command of `capture`.
    #[must_use]
    pub fn latest(&self, capture: &str) -> Option<Command> {
        self.latest.borrow().get(capture).cloned()
    }

    /// Waits until `capture` has a latest command other than `known`.
    pub async fn other_than(&mut self, capture: &str, known: Option<&str>) -> Command {
        loop {
            let latest = self.latest.borrow_and_update().get(capture).cloned();
            match latest {
                Some(command) if Some(command.id.as_str()) != known => return command,
                _ => {}
            }
            // The follower lives as long as the publisher; without one there is nothing to wait for.
            if self.latest.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Follower {
    /// Follows the topic until dropped, whatever fails.
    pub(crate) async fn run(self, cluster: &Cluster, config: &Config) {
        let mut backoff = Backoff::new(config.retry.initial, config.retry.max);
        loop {
            let Err(error) = self.follow(cluster, config, &mut backoff).await;
            let wait = backoff.next_wait();
            tracing::warn!(%error, again_in = ?wait, "commands cannot be read; captures go on without");
            tokio::time::sleep(wait).await;
        }
    }

    async fn follow(
        &self,
        cluster: &Cluster,
        config: &Config,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, SinkError> {
        let topic = config.topics.commands.as_str();
        // Made by whoever claims a capture or gives a command.
        while !topics::exists(cluster, topic).await? {
            tokio::time::sleep(LOOK).await;
        }
        let consumer = reader(cluster, topic).await?;
        let mut known = HashMap::clone(&self.latest.borrow());
        loop {
            let mut news = false;
            for record in poll(&consumer, topic).await? {
                let (Some(key), Some(value)) = (&record.key, &record.value) else { continue };
                let (Ok(capture), Some(command)) = (std::str::from_utf8(key), Command::from_bytes(value)) else {
                    tracing::warn!(topic, offset = record.offset, "a record that is no command is passed over");
                    continue;
                };
                known.insert(capture.to_owned(), command);
                news = true;
            }
            backoff.reset();
            if news {
                self.latest.send_replace(Arc::new(known.clone()));
            }
        }
    }
}

/// Puts a command where the publisher finds it, now or when it starts.
///
/// # Errors
/// [`SinkError`] when the topic cannot be written to.
pub async fn give(cluster: &Cluster, config: &Config, capture: &str, command: &Command) -> Result<(), SinkError> {
    let wanted = Wanted::commands(config);
    topics::ensure(cluster, &wanted).await?;
    let failed = |source| SinkError::Kafka { what: "giving the command".to_owned(), source };
    let producer = cluster.kafka().producer().delivery_timeout(cluster.settings().delivery_timeout).build().await;
    let producer = producer.map_err(failed)?;
    let key = Bytes::copy_from_slice(capture.as_bytes());
    let sent = producer.send(Record::new(wanted.name.as_str(), command.to_bytes()).key(key)).await;
    let _at = sent.map_err(failed)?;
    producer.close().await.map_err(failed)
}

/// The latest command of `capture`, read from the topic; `None` when there is none.
///
/// # Errors
/// [`SinkError`] when the topic cannot be read.
pub async fn read(cluster: &Cluster, config: &Config, capture: &str) -> Result<Option<Command>, SinkError> {
    let topic = &config.topics.commands;
    let mut found = None;
    if topics::exists(cluster, topic).await? {
        resume::read(cluster, topic, Until::Stable, |key, value| {
            if key == capture.as_bytes() {
                found = Command::from_bytes(value).or(found.take());
            }
        })
        .await?;
    }
    Ok(found)
}

/// A reader of the whole topic, from its beginning on.
async fn reader(cluster: &Cluster, topic: &str) -> Result<Consumer, SinkError> {
    let failed = |source| SinkError::Kafka { what: format!("reading topic {topic}"), source };
    let count = topics::partitions(cluster, topic).await?.unwrap_or_default();
    let consumer = cluster
        .kafka()
        .consumer_without_group()
        .isolation_level(IsolationLevel::ReadCommitted)
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .build()
        .await
        .map_err(failed)?;
    let partitions = (0..i32::try_from(count).unwrap_or(i32::MAX)).collect();
    consumer.assign(topic, partitions).await.map_err(failed)?;
    Ok(consumer)
}

async fn poll(consumer: &Consumer, topic: &str) -> Result<Vec<krafka::consumer::ConsumerRecord>, SinkError> {
    let read = consumer.poll(LOOK).await;
    let read = read.map_err(|source| SinkError::Kafka { what: format!("reading topic {topic}"), source })?;
    Ok(read.into_iter().collect())
}
