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
//! A new snapshot is a new generation: a checkpoint that says so is committed, and the loop starts at its first line.
//!
//! Why this neither loses nor repeats is argued in `docs/guarantees.md`. What the code must keep: the checkpoint only
//! moves by a commit; after any failure everything is dropped and the loop starts at its first line.

mod announce;
mod pace;
mod patience;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use self::announce::Announcer;
use self::pace::Pace;
use self::patience::Patience;
use crate::checkpoint::Checkpoint;
use crate::command::{Command, Wish};
use crate::config::{OnStale, Table};
use crate::error::{Error, ExitCode, Next};
use crate::failpoint;
use crate::fleet::Shared;
use crate::sink::{Sink, Writes};
use crate::slicing::Slicer;
use crate::source::session::Session;
use crate::source::{Batch, Source, SourceError};
use crate::status::{Committed, State};

/// A capture that ran this long without a failure is taken for healthy again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// A stream that may go stale this soon is read whatever it costs, if `staleness.warn_before` is not shorter still.
const READ_BEFORE_STALE: Duration = Duration::from_secs(6 * 3_600);

/// One table's way to Kafka.
pub(crate) struct Capture {
    /// `<pipeline>/<table>`: checkpoint key and, prefixed, transactional id.
    id: String,
    name: String,
    table: Table,
    shared: Shared,
    patience: Patience,
    pace: Pace,
    /// Whether the stream must not wait any longer.
    pressed: bool,
    /// The last claim of this process; 0 before the first.
    claim: u64,
    /// The command that was dealt with last, as far as this process knows.
    answered: Option<String>,
}

/// Why [`Capture::carry`] came back without an error.
enum Ended {
    /// As asked.
    Stopped,
    /// At the beginning of a new generation.
    Anew,
}

impl Capture {
    pub(crate) fn new(table: Table, shared: Shared) -> Self {
        let name = table.name.to_string();
        shared.status.add(&name, &table.topic, table.pattern.as_deref());
        let id = format!("{}/{name}", shared.config.name);
        let patience = Patience::new(&shared);
        let pace = Pace::new(&shared.clock, &shared.warehouse, &name, shared.config.poll);
        Self { id, name, table, shared, patience, pace, pressed: false, claim: 0, answered: None }
    }

    /// Carries until stopped; starts again from the checkpoint after every failure that passes by itself.
    pub(crate) async fn run(mut self) -> ExitCode {
        let (state, code) = loop {
            if !self.patience.is_halted() {
                self.shared.status.enter(&self.name, State::Resuming);
            }
            let started = Instant::now();
            let error = match self.carry().await {
                Ok(Ended::Stopped) => break (State::Stopped, ExitCode::Ok),
                Ok(Ended::Anew) => continue,
                Err(error) => error,
            };
            let reason = error.to_string();
            match error.next() {
                Next::Halt => {
                    tracing::error!(table = self.name, %error, "the capture is halted");
                    let state = State::Halted { reason };
                    self.shared.status.enter(&self.name, state.clone());
                    if self.patience.halt(&self.shared, &self.id, self.answered.as_deref()).await {
                        continue;
                    }
                    break (state, error.exit_code());
                }
                Next::Yield => {
                    tracing::error!(table = self.name, %error, "the capture gives way");
                    break (State::Fenced { reason }, ExitCode::Fenced);
                }
                Next::Restart => {}
            }
            if started.elapsed() > HEALTHY_AFTER {
                self.patience.works(&self.shared);
            }
            if !self.patience.is_halted() {
                self.shared.status.retrying(&self.name, &error);
            }
            let wait = self.patience.next_wait();
            tracing::warn!(table = self.name, %error, ?wait, "starting again from the checkpoint");
            if self.shared.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                break (State::Stopped, ExitCode::Ok);
            }
        };
        self.shared.status.ended(&self.name, state, code);
        code
    }

    /// The loop.
    async fn carry(&mut self) -> Result<Ended, Error> {
        let Some((mut sink, mut checkpoint)) = self.resume().await? else { return Ok(Ended::Stopped) };
        // A table that waits for a person may be told to begin anew without being readable at all.
        if self.patience.is_halted()
            && let Some(command) = self.command(&checkpoint)
        {
            return self.obey(&command, true, &mut sink, &checkpoint).await.map(|()| Ended::Anew);
        }
        let Some(mut source) = self.open_source(&checkpoint).await? else { return Ok(Ended::Stopped) };
        self.pace.restart();
        let outcome = loop {
            match self.step(&mut sink, &mut source, &mut checkpoint).await {
                Ok(None) => {}
                Ok(Some(ended)) => break Ok(ended),
                Err(Error::Source(error)) if self.may_begin_anew(&error, &checkpoint) => {
                    tracing::warn!(table = self.name, %error, "taking a new snapshot, as on_stale says");
                    break self.begin_anew(checkpoint.next_generation(true), &mut sink).await.map(|()| Ended::Anew);
                }
                Err(error) => break Err(error),
            }
        };
        if outcome.is_ok() {
            sink.close().await;
        }
        source.close().await;
        outcome
    }

    /// One turn: a batch carried, or a pause.
    async fn step(
        &mut self,
        sink: &mut Sink,
        source: &mut Source,
        checkpoint: &mut Checkpoint,
    ) -> Result<Option<Ended>, Error> {
        self.pace.hurry(self.pressed || self.command(checkpoint).is_some());
        self.pace.begin();
        let looking = source.next_batch(checkpoint, &mut self.pace);
        let batch = match self.shared.stop.run_until_cancelled(looking).await {
            None => return Ok(Some(Ended::Stopped)),
            Some(batch) => batch?,
        };
        self.patience.works(&self.shared);
        let idle = batch.is_none();
        if let Some(batch) = batch {
            self.shared.warehouse.learn(source.session()).await;
            let (rows, initial) = (batch.total, batch.note.initial);
            if self.deliver(batch, sink, checkpoint).await? {
                source.look_again();
            }
            self.pace.delivered(rows, initial);
            source.release(checkpoint).await?;
        }
        if self.shared.stop.is_cancelled() {
            return Ok(Some(Ended::Stopped));
        }
        if source.is_drained()
            && let Some(command) = self.command(checkpoint)
        {
            self.obey(&command, false, sink, checkpoint).await?;
            return Ok(Some(Ended::Anew));
        }
        if idle { self.rest(source, checkpoint).await } else { Ok(None) }
    }

    /// Waits until it is worth another look at the stream.
    async fn rest(&mut self, source: &Source, checkpoint: &Checkpoint) -> Result<Option<Ended>, Error> {
        let (state, until) = self.pace.rest();
        self.shared.status.enter(&self.name, state);
        let clock = self.shared.clock.clone();
        loop {
            self.forecast(source, checkpoint).await?;
            self.pace.hurry(self.pressed);
            if self.pace.is_hurried() || clock.now() >= until {
                return Ok(None);
            }
            let news = self.shared.commands.other_than(&self.id, answered(checkpoint));
            let look = self.patience.next_forecast(self.shared.config.staleness.interval);
            tokio::select! {
                () = clock.sleep_until(until.min(look)) => {}
                _ = news => return Ok(None),
                () = self.pace.called() => return Ok(None),
                () = self.shared.stop.cancelled() => return Ok(Some(Ended::Stopped)),
            }
        }
    }

    /// Claims the capture on both sides: in Kafka first, because the claim there is what orders publishers. `None` when
    /// stopped meanwhile.
    async fn resume(&mut self) -> Result<Option<(Sink, Checkpoint)>, Error> {
        let claiming = self.claim_in_kafka();
        let Some(claimed) = self.shared.stop.run_until_cancelled(claiming).await else { return Ok(None) };
        let (mut sink, checkpoint) = claimed?;
        // Not given up half-way, whoever asks: readers would wait at a transaction left open.
        sink.commit(Writes::default(), &checkpoint).await?;
        self.claim = checkpoint.claim;
        self.answered = answered(&checkpoint).map(str::to_owned);
        failpoint::hit("after-claim");
        self.shared.status.resumed(&self.name, &checkpoint, sink.transaction_version());
        Ok(Some((sink, checkpoint)))
    }

    /// The fenced sink, and the checkpoint that claims the capture.
    async fn claim_in_kafka(&self) -> Result<(Sink, Checkpoint), Error> {
        let (cluster, config) = (self.shared.cluster().await?, &self.shared.config);
        if self.claim > 0 {
            Sink::require_newest(cluster, config, &self.id, self.claim).await?;
        }
        let (sink, found) = Sink::resume(cluster, config, &self.id, &self.table).await?;
        let known = found.unwrap_or_else(|| Checkpoint::start(&self.id, nonce()));
        Ok((sink, known.claimed()))
    }

    /// The source, with the capture claimed in Snowflake; `None` when stopped meanwhile.
    async fn open_source(&self, checkpoint: &Checkpoint) -> Result<Option<Source>, Error> {
        let (settings, stop) = (&self.shared.config.snowflake, &self.shared.stop);
        let Some(session) = stop.run_until_cancelled(Session::connect(settings)).await else { return Ok(None) };
        let session = session?;
        session.charge_to(self.pace.tab().clone());
        self.shared.warehouse.learn(&session).await;
        let pool = self.shared.budget.chunks.clone();
        let opening = Source::open(Arc::clone(&session), &self.shared.config, &self.table, checkpoint, pool);
        match stop.run_until_cancelled(opening).await {
            // What it was running is aborted before the session ends.
            None => session.close().await,
            Some(source) => return Ok(Some(source?)),
        }
        Ok(None)
    }

    /// Carries one batch, moving `checkpoint` with every commit. Returns early, between two commits, when stopped. True
    /// when the batch has another shape than the one before.
    async fn deliver(&self, batch: Batch, sink: &mut Sink, checkpoint: &mut Checkpoint) -> Result<bool, Error> {
        let (number, total, staged_at_ms) = (batch.number, batch.total, batch.staged_at_ms);
        let (initial, window) = (batch.note.initial, batch.window.clone());
        self.shared.status.enter(&self.name, State::Delivering { batch: number, initial, rows: total });
        let mut announcer = Announcer::new(&self.shared.config.name, &self.table, &batch, checkpoint, sink.shape());
        if let Some(words) = announcer.words() {
            tracing::warn!(table = self.name, batch = number, "the table has changed: {words}");
            self.shared.status.reshaped(&self.name, words);
        }
        let schema = announcer.fingerprint();
        let (to, mut slices) = mpsc::channel(1);
        let pool = &self.shared.budget.slices;
        let slicer = Slicer::new(&self.shared.config, &self.table, checkpoint.generation, &batch, pool, to)?;
        let reading = AbortOnDropHandle::new(tokio::spawn(slicer.run(batch)));
        while let Some(mut slice) = slices.recv().await {
            let window = window.as_ref().map(|window| match slice.sum.take() {
                Some(sum) => window.at(sum),
                None => window.clone(),
            });
            let next = checkpoint.advanced(number, slice.row.0, total, &schema).of_window(window);
            let writes = announcer.writes(std::mem::take(&mut slice.records), next.batch_is_whole());
            sink.commit(writes, &next).await?;
            *checkpoint = next;
            let (rows, events, bytes, dead_letters) = (slice.rows, slice.events, slice.bytes, slice.dead_letters);
            let committed = Committed { events, dead_letters, rows, bytes, staged_at_ms, checkpoint };
            self.shared.status.committed(&self.name, &committed);
            if dead_letters > 0 {
                let (row, topic) = (checkpoint.row, self.table.dead_letters.as_deref());
                tracing::warn!(table = self.name, batch = number, row, dead_letters, topic, "rows became dead letters");
            }
            if self.shared.stop.is_cancelled() {
                return Ok(false);
            }
        }
        reading.await.map_err(|error| Error::Internal(format!("the reader of batch {number} failed: {error}")))??;
        if checkpoint.batch == number && checkpoint.batch_is_whole() {
            return Ok(announcer.is_other_shape());
        }
        Err(Error::Internal(format!("batch {number} ended at row {} of {total}", checkpoint.row)))
    }

    /// The command that is still to be dealt with.
    fn command(&self, checkpoint: &Checkpoint) -> Option<Command> {
        self.shared.commands.latest(&self.id).filter(|command| answered(checkpoint) != Some(command.id.as_str()))
    }

    /// Deals with a command, as one transaction. `gap` says that not all the stream yielded is in Kafka.
    async fn obey(&self, command: &Command, gap: bool, sink: &mut Sink, checkpoint: &Checkpoint) -> Result<(), Error> {
        let refused = match (&command.wish, &self.table.stream) {
            (Wish::Unknown, _) => Some("this publisher does not know the command; update it".to_owned()),
            (Wish::Snapshot, Some(stream)) => Some(format!(
                "the table is read by the existing stream {stream}, which is not this program's to replace; remove `stream` from the configuration"
            )),
            (Wish::Snapshot, None) => None,
        };
        tracing::info!(table = self.name, command = command.id, ?refused, "a command is dealt with");
        match refused {
            None => self.begin_anew(checkpoint.next_generation(gap).answering(&command.id, None), sink).await,
            Some(reason) => {
                let answer = checkpoint.clone().answering(&command.id, Some(reason));
                Ok(sink.commit(Writes::default(), &answer).await?)
            }
        }
    }

    async fn begin_anew(&self, checkpoint: Checkpoint, sink: &mut Sink) -> Result<(), Error> {
        sink.commit(Writes::default(), &checkpoint).await?;
        failpoint::hit("after-generation");
        self.shared.status.began_anew(&self.name, &checkpoint);
        Ok(())
    }

    /// Whether a lost stream is answered with a new snapshot. Not of a generation that has carried nothing: its stream
    /// would be lost again.
    fn may_begin_anew(&self, error: &SourceError, checkpoint: &Checkpoint) -> bool {
        self.table.on_stale == OnStale::Resnapshot && error.is_stream_lost() && checkpoint.batch > 0
    }

    /// Looks now and then at when the stream may go stale.
    async fn forecast(&mut self, source: &Source, checkpoint: &Checkpoint) -> Result<(), Error> {
        let staleness = self.shared.config.staleness;
        if !self.patience.is_time_for_forecast(staleness.interval) {
            return Ok(());
        }
        let Some(asked) = self.shared.stop.run_until_cancelled(source.stale_after(checkpoint)).await else {
            return Ok(());
        };
        let after = asked?;
        let left =
            after.map(|after| Duration::from_millis((after - self.shared.clock.unix_ms()).max(0).unsigned_abs()));
        let (before, words) = source.warning(staleness.warn_before);
        let soon = left.is_some_and(|left| left < before);
        if self.patience.is_news(soon) {
            tracing::warn!(table = self.name, ?left, "{words}");
        }
        self.pressed = left.is_some_and(|left| left < staleness.warn_before.min(READ_BEFORE_STALE));
        self.shared.status.forecast(&self.name, after, soon);
        Ok(())
    }
}

/// The id of the command that was dealt with last.
fn answered(checkpoint: &Checkpoint) -> Option<&str> {
    checkpoint.command.as_ref().map(|answered| answered.id.as_str())
}

/// Eight random hex digits.
fn nonce() -> String {
    format!("{:08X}", rand::random::<u32>())
}
