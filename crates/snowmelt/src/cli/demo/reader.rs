//! The consumer: reads both topics as any application would, `read_committed`, and keeps the books.
//!
//! It shares nothing with the publisher but the cluster. It stands in no group, so that it reads every partition from
//! its first record. Asked to, it reads on until it has everything that is in the topics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use krafka::KrafkaError;
use krafka::admin::{ListOffsetsOptions, OffsetSpec};
use krafka::consumer::{AutoOffsetReset, Consumer, IsolationLevel, TopicPartition};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::event::{Event, Op, Record};
use super::ledger::Ledger;
use super::moment::Moment;
use super::shop::{TABLES, Table};
use crate::config::Config;
use crate::sink::topics::{self, Wanted};
use crate::sink::{Cluster, SinkError};

/// Longest wait of one poll.
const POLL: Duration = Duration::from_millis(100);
/// Polls that may fail one after the other, half a second apart.
const PATIENCE: u32 = 40;

/// Why the reader cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The cluster.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The consumer.
    #[error("the demo's consumer failed: {0}")]
    Consumer(#[from] KrafkaError),
    /// A record that cannot be right.
    #[error("the record at {topic}-{partition}@{offset} is wrong: {reason}")]
    Record {
        /// Its topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// What is wrong.
        reason: String,
    },
    /// The cluster does not get to know its own topic.
    #[error("topic {topic} was made and the cluster does not name its partitions; is one of its brokers down?")]
    NoPartitions {
        /// The topic.
        topic: String,
    },
}

/// The consumer.
pub(super) struct Reader {
    cluster: Cluster,
    consumer: Consumer,
    /// Topics and how many partitions they have, in the order of [`TABLES`].
    topics: Vec<(String, i32)>,
    ledgers: Vec<Ledger>,
    board: Arc<Board>,
}

/// Asks a running reader to read to the end.
#[derive(Debug, Clone)]
pub(super) struct ToTheEnd(mpsc::Sender<oneshot::Sender<()>>);

impl ToTheEnd {
    /// Ready when the reader has everything that was in the topics at the call, or is gone.
    pub(super) async fn read(&self) {
        let (sender, done) = oneshot::channel();
        if self.0.send(sender).await.is_ok() {
            // A reader that failed says so by its own result.
            let _ = done.await;
        }
    }
}

impl Reader {
    /// Connects, and makes the topics where the publisher has not yet.
    pub(super) async fn open(config: &Config, board: Arc<Board>) -> Result<Self, ReadError> {
        let cluster = Cluster::connect(&config.kafka).await?;
        let consumer = cluster
            .kafka()
            .consumer_without_group()
            .isolation_level(IsolationLevel::ReadCommitted)
            .auto_offset_reset(AutoOffsetReset::Earliest)
            .fetch_max_wait(POLL)
            .build()
            .await?;
        let mut topics = Vec::new();
        for table in &config.tables {
            topics::ensure(&cluster, &Wanted::events(config, &table.topic)).await?;
            let partitions = known_partitions(&cluster, &table.topic).await?;
            consumer.assign(&table.topic, (0..partitions).collect()).await?;
            topics.push((table.topic.clone(), partitions));
        }
        let ledgers = TABLES.iter().map(|table| Ledger::new(table)).collect();
        Ok(Self { cluster, consumer, topics, ledgers, board })
    }

    /// Reads in the background until `stop`; then gives the books, in the order of [`TABLES`].
    pub(super) fn start(
        self,
        stop: CancellationToken,
    ) -> (ToTheEnd, tokio::task::JoinHandle<Result<Vec<Ledger>, ReadError>>) {
        let (sender, requests) = mpsc::channel(1);
        (ToTheEnd(sender), tokio::spawn(self.run(requests, stop)))
    }

    async fn run(
        mut self,
        mut requests: mpsc::Receiver<oneshot::Sender<()>>,
        stop: CancellationToken,
    ) -> Result<Vec<Ledger>, ReadError> {
        while !stop.is_cancelled() {
            self.poll(&stop).await?;
            if let Ok(request) = requests.try_recv() {
                self.read_to_the_end(&stop).await?;
                // Whoever asked may have given up.
                let _ = request.send(());
            }
        }
        if let Err(error) = self.consumer.close().await {
            tracing::debug!(%error, "the demo's consumer did not close cleanly");
        }
        Ok(self.ledgers)
    }

    async fn poll(&mut self, stop: &CancellationToken) -> Result<(), ReadError> {
        let mut failures = 0;
        let records = loop {
            match self.consumer.poll(POLL).await {
                Ok(records) => break records,
                // A broker that moves or restarts is no finding.
                Err(error) if error.is_retriable() && failures < PATIENCE && !stop.is_cancelled() => {
                    failures += 1;
                    tracing::debug!(%error, failures, "the demo's consumer polls again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let now = Moment::now(0).instant();
        for record in records {
            let Some(index) = self.topics.iter().position(|(topic, _)| **topic == *record.topic) else { continue };
            let (Some(table), Some(ledger)) = (TABLES.get(index), self.ledgers.get_mut(index)) else { continue };
            let read = Record::read(table, record.key.as_deref(), record.value.as_deref()).map_err(|reason| {
                let (topic, partition, offset) = (record.topic.to_string(), record.partition, record.offset);
                ReadError::Record { topic, partition, offset, reason }
            })?;
            ledger.enter(&read);
            if let Record::Event(event) = &read {
                self.board.figures().arrived(index, event, lag(table, event, now));
            }
        }
        Ok(())
    }

    /// Reads on until every partition's end, as it is now, is passed.
    async fn read_to_the_end(&mut self, stop: &CancellationToken) -> Result<(), ReadError> {
        let ends = self.ends().await?;
        loop {
            let mut behind = false;
            for ((topic, partition), end) in &ends {
                behind |= self.consumer.position(topic, *partition).await.is_none_or(|position| position < *end);
            }
            if !behind || stop.is_cancelled() {
                return Ok(());
            }
            self.poll(stop).await?;
        }
    }

    async fn ends(&self) -> Result<HashMap<(String, i32), i64>, ReadError> {
        let wanted = self.topics.iter().flat_map(|(topic, partitions)| {
            (0..*partitions).map(move |partition| (TopicPartition::new(topic.as_str(), partition), OffsetSpec::Latest))
        });
        // The end with what is not committed: what must be waited for may still be on its way to commit.
        let options = ListOffsetsOptions::default().read_committed(false);
        let mut ends = HashMap::new();
        for (partition, answer) in self.cluster.admin().list_offsets(wanted, options).await? {
            let end = answer?.offset;
            if end > 0 {
                ends.insert((partition.topic.clone(), partition.partition), end);
            }
        }
        Ok(ends)
    }
}

/// The topic's partitions. A cluster answers CreateTopics before all its brokers know of the topic, so a topic that was
/// just made may not be there for a moment.
async fn known_partitions(cluster: &Cluster, topic: &str) -> Result<i32, ReadError> {
    for _ in 0..PATIENCE {
        if let Some(count) = topics::partitions(cluster, topic).await?.filter(|count| *count > 0) {
            return Ok(i32::try_from(count).unwrap_or(i32::MAX));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Err(ReadError::NoPartitions { topic: topic.to_owned() })
}

/// Milliseconds since the statement that wrote this row, where the row says when that was.
fn lag(table: &Table, event: &Event, now: i128) -> Option<u64> {
    let stamped = event.op == Op::Create || (event.op == Op::Update && table.stamps_updates);
    let stamp = event.after.as_ref().filter(|_| stamped)?.get(table.stamp)?.as_deref()?;
    let since = now - Moment::parse(stamp)?.instant();
    u64::try_from(since / 1_000_000).ok()
}
