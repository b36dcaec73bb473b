//! The one loop: Snowflake's changes to Kafka, exactly once. Read `Capture::carry` aloud.
//!
//! ```text
//!  sink.resume()          claim the transactional id, then read the checkpoint
//!  commit(claimed)        number this publisher, in Kafka
//!  source.open()          claim the capture in Snowflake, drop what Kafka has
//!  ┌▶ next_batch()        an unfinished staging table, or probe the stream and stage its changes
//!  │  commit(slice)…      events + checkpoint in one transaction, slice after slice
//!  └─ release()           drop the staging table that is whole in Kafka
//! ```
//!
//! Why this neither loses nor repeats is argued in `docs/guarantees.md`. What the code must keep: the checkpoint only
//! moves by a commit; after any failure everything is dropped and the loop starts at its first line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::Backoff;
use crate::budget::Budget;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Table};
use crate::error::{Error, ExitCode, Next};
use crate::failpoint;
use crate::sink::{Cluster, Sink};
use crate::slicing::{Slicer, fingerprint};
use crate::source::session::Session;
use crate::source::{Batch, Source};
use crate::status::{Committed, State, Status};

/// A capture that ran this long without a failure is taken for healthy again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// Carries all configured tables until `stop`, or until none can go on. Returns the process's exit code.
pub async fn run(config: Arc<Config>, status: Status, stop: CancellationToken) -> ExitCode {
    let budget = Budget::new(config.delivery.memory);
    let cluster = Arc::new(OnceCell::new());
    let mut captures = JoinSet::new();
    for table in &config.tables {
        let name = table.name.to_string();
        status.add(&name, &table.topic);
        let capture = Capture {
            id: format!("{}/{name}", config.name),
            name,
            table: table.clone(),
            config: Arc::clone(&config),
            cluster: Arc::clone(&cluster),
            budget: budget.clone(),
            status: status.clone(),
            stop: stop.clone(),
            claim: AtomicU64::new(0),
        };
        captures.spawn(capture.run());
    }
    while let Some(ended) = captures.join_next().await {
        match ended {
            // Whoever claimed one capture of this pipeline is another publisher of it: all give way.
            Ok(ExitCode::Fenced) => stop.cancel(),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "a capture's task ended without a result"),
        }
    }
    tracing::info!(memory = config.delivery.memory, peak = budget.peak(), "most bytes in flight at one time");
    let codes = status.snapshot().into_values().filter_map(|capture| capture.exit);
    codes.max_by_key(|code| (*code == ExitCode::Fenced, *code != ExitCode::Ok)).unwrap_or(ExitCode::Bug)
}

/// One table's way to Kafka.
struct Capture {
    /// `<pipeline>/<table>`: checkpoint key and, prefixed, transactional id.
    id: String,
    name: String,
    table: Table,
    config: Arc<Config>,
    cluster: Arc<OnceCell<Cluster>>,
    budget: Budget,
    status: Status,
    stop: CancellationToken,
    /// The last claim of this process; 0 before the first.
    claim: AtomicU64,
}

/// Why [`Capture::carry`] came back without an error.
struct Stopped;

impl Capture {
    /// Carries until stopped; starts again from the checkpoint after every failure that passes by itself.
    async fn run(self) -> ExitCode {
        let retry = &self.config.retry;
        let mut backoff = Backoff::new(retry.initial, retry.max);
        let (state, code) = loop {
            self.status.enter(&self.name, State::Resuming);
            let started = tokio::time::Instant::now();
            let error = match self.carry().await {
                Ok(Stopped) => break (State::Stopped, ExitCode::Ok),
                Err(error) => error,
            };
            let reason = error.to_string();
            match error.next() {
                Next::Halt => {
                    tracing::error!(table = self.name, %error, "the capture is halted");
                    break (State::Halted { reason }, error.exit_code());
                }
                Next::Yield => {
                    tracing::error!(table = self.name, %error, "the capture gives way");
                    break (State::Fenced { reason }, ExitCode::Fenced);
                }
                Next::Restart => {}
            }
            if started.elapsed() > HEALTHY_AFTER {
                backoff.reset();
            }
            self.status.retrying(&self.name, &error);
            let wait = backoff.next_wait();
            tracing::warn!(table = self.name, %error, ?wait, "starting again from the checkpoint");
            if self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                break (State::Stopped, ExitCode::Ok);
            }
        };
        self.status.ended(&self.name, state, code);
        code
    }

    /// The loop.
    async fn carry(&self) -> Result<Stopped, Error> {
        let Some((mut sink, mut source, mut checkpoint)) = self.resume().await? else { return Ok(Stopped) };
        let outcome = loop {
            let batch = match self.stop.run_until_cancelled(source.next_batch(&checkpoint)).await {
                None => break Ok(Stopped),
                Some(Err(error)) => break Err(error.into()),
                Some(Ok(batch)) => batch,
            };
            let Some(batch) = batch else {
                self.status.enter(&self.name, State::Idle);
                let pause = tokio::time::sleep(self.config.poll.interval);
                if self.stop.run_until_cancelled(pause).await.is_none() {
                    break Ok(Stopped);
                }
                continue;
            };
            if let Err(error) = self.deliver(batch, &mut sink, &mut checkpoint).await {
                break Err(error);
            }
            if let Err(error) = source.release(&checkpoint).await {
                break Err(error.into());
            }
            if self.stop.is_cancelled() {
                break Ok(Stopped);
            }
        };
        if outcome.is_ok() {
            sink.close().await;
        }
        source.close().await;
        outcome
    }

    /// Claims the capture on both sides: in Kafka first, because the claim there is what orders publishers. `None` when
    /// stopped meanwhile.
    async fn resume(&self) -> Result<Option<(Sink, Source, Checkpoint)>, Error> {
        let Some(claimed) = self.stop.run_until_cancelled(self.claim_in_kafka()).await else { return Ok(None) };
        let (mut sink, checkpoint) = claimed?;
        // Not given up half-way, whoever asks: readers would wait at a transaction left open.
        sink.commit(Vec::new(), &checkpoint).await?;
        self.claim.store(checkpoint.claim, Ordering::Relaxed);
        failpoint::hit("after-claim");
        self.status.resumed(&self.name, &checkpoint, sink.transaction_version());
        match self.stop.run_until_cancelled(self.open_source(&checkpoint)).await {
            None => Ok(None),
            Some(source) => Ok(Some((sink, source?, checkpoint))),
        }
    }

    /// The fenced sink, and the checkpoint that claims the capture.
    async fn claim_in_kafka(&self) -> Result<(Sink, Checkpoint), Error> {
        let cluster = self.cluster.get_or_try_init(|| Cluster::connect(&self.config.kafka)).await?;
        let claim = self.claim.load(Ordering::Relaxed);
        if claim > 0 {
            Sink::require_newest(cluster, &self.config, &self.id, claim).await?;
        }
        let (sink, found) = Sink::resume(cluster, &self.config, &self.id, &self.table.topic).await?;
        let known = found.unwrap_or_else(|| Checkpoint::start(&self.id, nonce()));
        Ok((sink, known.claimed()))
    }

    async fn open_source(&self, checkpoint: &Checkpoint) -> Result<Source, Error> {
        let session = Session::connect(&self.config.snowflake).await?;
        let state_schema = &self.config.snowflake.state_schema;
        let pool = self.budget.chunks.clone();
        Ok(Source::open(session, state_schema, &self.table, checkpoint, pool).await?)
    }

    /// Carries one batch, moving `checkpoint` with every commit. Returns early, between two commits, when stopped.
    async fn deliver(&self, batch: Batch, sink: &mut Sink, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        let (number, total, staged_at_ms) = (batch.number, batch.total, batch.staged_at_ms);
        self.status.enter(&self.name, State::Delivering { batch: number, initial: batch.note.initial });
        let schema = fingerprint(batch.rows.columns());
        let (to, mut slices) = mpsc::channel(1);
        let slicer = Slicer::new(&self.config, &self.table, checkpoint.generation, &batch, &self.budget.slices, to)?;
        let reading = AbortOnDropHandle::new(tokio::spawn(slicer.run(batch)));
        while let Some(mut slice) = slices.recv().await {
            let next = checkpoint.advanced(number, slice.row.0, total, &schema);
            sink.commit(std::mem::take(&mut slice.records), &next).await?;
            *checkpoint = next;
            let (rows, events, bytes, dead_letters) = (slice.rows, slice.events, slice.bytes, slice.dead_letters);
            let committed = Committed { events, dead_letters, rows, bytes, staged_at_ms, checkpoint };
            self.status.committed(&self.name, &committed);
            if dead_letters > 0 {
                let (row, topic) = (checkpoint.row, self.table.dead_letters.as_deref());
                tracing::warn!(table = self.name, batch = number, row, dead_letters, topic, "rows became dead letters");
            }
            if self.stop.is_cancelled() {
                return Ok(());
            }
        }
        reading.await.map_err(|error| Error::Internal(format!("the reader of batch {number} failed: {error}")))??;
        if checkpoint.batch == number && checkpoint.batch_is_whole() {
            return Ok(());
        }
        Err(Error::Internal(format!("batch {number} ended at row {} of {total}", checkpoint.row)))
    }
}

/// Eight random hex digits.
fn nonce() -> String {
    format!("{:08X}", rand::random::<u32>())
}
