//! The stream way: a stream's changes, staged by one statement, numbered, read, dropped.
//!
//! ```text
//! open(checkpoint)        claim the capture, list what is staged, drop what Kafka has
//! next_batch(checkpoint)  an unfinished staging table, else probe the stream and stage its changes
//! release(checkpoint)     drop the staging table that is whole in Kafka
//! ```
//!
//! Every statement here may be cut off at any moment and run again: creations say IF NOT EXISTS under a number that is
//! never used twice, drops only touch what a committed checkpoint covers. The stream itself is `follow`'s.

mod follow;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::SourceError;
use super::selection::Selection;
use super::session::Session;
use super::staging::{self, Made, Names, Note};
use super::value::Column;
use super::{Batch, Found, Permit, next_number};
use crate::budget::Pool;
use crate::checkpoint::Checkpoint;
use crate::config::{ObjectName, SchemaName, Table};
use crate::error::Next;
use crate::failpoint;

/// The stream way of one capture.
pub struct StreamSource {
    session: Arc<Session>,
    table: Table,
    names: Names,
    pool: Pool,
    claim: u64,
    /// The capture's stream, once it is known to be there.
    stream: Option<Stream>,
    /// Staging tables of the checkpoint's generation that are there.
    staged: BTreeSet<u64>,
    /// Whether the first empty probe after opening is still to come.
    fresh: bool,
    /// Whether the stream was read by this source, or found empty: no older publisher's statement can move it any more.
    settled: bool,
}

/// The stream a capture reads.
struct Stream {
    name: ObjectName,
    /// Whether the first read yields the table's initial rows.
    initial: bool,
    /// Whether changes from before those may be missing.
    gap: bool,
    /// Key columns with their types; `None` when the row id is the key.
    key: Option<Vec<Column>>,
}

/// What became of a look at the stream.
enum Staged {
    Yes,
    /// The stream has nothing.
    Nothing,
    /// It may not be read yet.
    Held,
}

impl StreamSource {
    /// Takes the capture over in Snowflake: makes the claim table of `checkpoint.claim`, which must be committed to
    /// Kafka already, drops those of older publishers, and drops the staging tables that Kafka has.
    ///
    /// # Errors
    /// [`SourceError::Superseded`] when a newer publisher has claimed the capture; [`SourceError::UnexpectedStaging`]
    /// when there is a staging table that the checkpoint cannot explain.
    pub async fn open(
        session: Arc<Session>,
        state_schema: &SchemaName,
        table: &Table,
        checkpoint: &Checkpoint,
        pool: Pool,
    ) -> Result<Self, SourceError> {
        let mut source = Self {
            session,
            names: Names::new(state_schema, &checkpoint.nonce, &table.name),
            table: table.clone(),
            pool,
            claim: checkpoint.claim,
            stream: None,
            staged: BTreeSet::new(),
            fresh: true,
            settled: false,
        };
        source.take_claim().await?;
        for (name, made) in source.list().await? {
            match made {
                // Claims are checked after ours is in place: of two publishers, the older one sees the newer's.
                Made::Claim(claim) if claim > source.claim => {
                    source.drop_table(&source.names.claim(source.claim)).await?;
                    return Err(SourceError::Superseded { capture: checkpoint.capture.clone() });
                }
                Made::Claim(claim) if claim < source.claim => source.drop_table(&name).await?,
                Made::Claim(_) => {}
                Made::Staging { generation, .. } if generation < checkpoint.generation => {
                    source.drop_table(&name).await?
                }
                Made::Staging { generation, batch }
                    if generation > checkpoint.generation || batch > next_number(checkpoint) =>
                {
                    return Err(SourceError::UnexpectedStaging { name: name.to_string(), batch: checkpoint.batch });
                }
                Made::Staging { batch, .. } => {
                    source.staged.insert(batch);
                }
            }
        }
        source.release(checkpoint).await?;
        Ok(source)
    }

    async fn is_staged(&self, generation: u64, batch: u64) -> Result<bool, SourceError> {
        let wanted = Made::Staging { generation, batch };
        Ok(self.list().await?.iter().any(|(_, made)| *made == wanted))
    }

    async fn take_claim(&self) -> Result<(), SourceError> {
        let claim = self.names.claim(self.claim);
        let sql = format!("CREATE TABLE IF NOT EXISTS {} (X INT)", claim.quoted());
        self.session.table("the claim of the capture", &sql).await?;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<(ObjectName, Made)>, SourceError> {
        let found = self.session.table("the list of staging tables", &self.names.show_all()).await?;
        Ok(found
            .rows()
            .filter_map(|row| {
                let name = row.text("name")?;
                let made = self.names.parse(&name)?;
                Some((self.names.object_named(name), made))
            })
            .collect())
    }

    async fn drop_table(&self, name: &ObjectName) -> Result<(), SourceError> {
        self.session.table("the release of a table", &format!("DROP TABLE IF EXISTS {}", name.quoted())).await?;
        Ok(())
    }

    /// Drops every staging table that `checkpoint`, which must be committed, says is whole in Kafka.
    ///
    /// # Errors
    /// When Snowflake cannot be asked or refuses.
    pub async fn release(&mut self, checkpoint: &Checkpoint) -> Result<(), SourceError> {
        let next = next_number(checkpoint);
        while let Some(&batch) = self.staged.first().filter(|&&batch| batch < next) {
            failpoint::hit("before-release");
            self.drop_table(&self.names.staging(checkpoint.generation, batch)).await?;
            failpoint::hit("after-release");
            self.staged.remove(&batch);
        }
        Ok(())
    }

    /// The next rows after `checkpoint`: what is left of its staging table, or a new read of the stream. `None` when
    /// the stream has nothing, or `permit` says no to what it has; finding that out needs no warehouse.
    ///
    /// # Errors
    /// Whatever Snowflake refuses; after an error the source must be opened again.
    pub async fn next_batch(
        &mut self,
        checkpoint: &Checkpoint,
        permit: &mut dyn Permit,
    ) -> Result<Option<Batch>, SourceError> {
        let number = next_number(checkpoint);
        let row = if checkpoint.batch_is_whole() { 0 } else { checkpoint.row };
        if !self.staged.contains(&number) {
            if row > 0 {
                let name = self.names.staging(checkpoint.generation, number);
                return Err(SourceError::StagingMissing { name: name.to_string(), row, rows: checkpoint.rows });
            }
            if self.stream.is_none() {
                self.stream = Some(self.find_stream(checkpoint).await?);
            }
            // A dead publisher's staging statement may still have been running when the tables were listed. An empty
            // stream may mean that it has moved it since, so the tables are listed once more.
            let staged = match self.stage(checkpoint, number, permit).await? {
                Staged::Yes => true,
                Staged::Held => return Ok(None),
                Staged::Nothing => {
                    std::mem::take(&mut self.fresh) && self.is_staged(checkpoint.generation, number).await?
                }
            };
            self.settled = true;
            if !staged {
                return Ok(None);
            }
            self.staged.insert(number);
        }
        match self.read(checkpoint.generation, number, row).await {
            // A newer publisher may have carried and dropped it between our two statements.
            Err(error @ SourceError::StagingMissing { .. }) => Err(self.diagnose(checkpoint, error).await),
            read => read.map(Some),
        }
    }

    /// Looks at stream and key anew before the next batch: the table has changed its shape.
    pub fn look_again(&mut self) {
        self.stream = None;
    }

    /// Whether everything that the stream has yielded is in Kafka, and nothing can have been read from it unseen: only
    /// then may the stream be left for another.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.settled && self.staged.is_empty()
    }

    /// Looks at the stream's state, which needs no warehouse: when it may go stale, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`SourceError::StreamStale`] and [`SourceError::StreamMissing`]; whatever Snowflake refuses.
    pub async fn stale_after(&self, checkpoint: &Checkpoint) -> Result<Option<i64>, SourceError> {
        match &self.stream {
            Some(stream) => self.look_at(stream, checkpoint).await,
            None => Ok(None),
        }
    }

    async fn look_at(&self, stream: &Stream, checkpoint: &Checkpoint) -> Result<Option<i64>, SourceError> {
        let found = self.session.table("the state of the stream", &staging::show_one("STREAMS", &stream.name)).await?;
        let Some(row) = found.rows().next() else { return Err(self.stream_missing(&stream.name, checkpoint)) };
        self.require_fresh(&stream.name, &row, checkpoint)?;
        self.require_followed(&stream.name, &row).await?;
        Ok(row.millis("stale_after"))
    }

    /// Probes the stream and, if `permit` allows, stages its changes as table `number`.
    async fn stage(
        &self,
        checkpoint: &Checkpoint,
        number: u64,
        permit: &mut dyn Permit,
    ) -> Result<Staged, SourceError> {
        let Some(stream) = &self.stream else { return Ok(Staged::Nothing) };
        // The first batch of a new stream is its initial rows, read even if there are none: what comes after them are
        // changes, and a probe could not tell the two apart.
        let initial = stream.initial && checkpoint.batch == 0;
        let found = match initial {
            true => Found::Initial,
            false if self.has_data(checkpoint, stream).await? => Found::Data,
            false => Found::Nothing,
        };
        match (permit.may_read(found), found) {
            (_, Found::Nothing) => return Ok(Staged::Nothing),
            (false, _) => return Ok(Staged::Held),
            (true, _) => {}
        }
        // Not only when it is found: tables may swap their names while it is read.
        self.look_at(stream, checkpoint).await?;
        let key = stream.key.as_ref().map(|key| key.iter().map(|column| column.name.clone()).collect());
        let columns: Vec<&Column> = stream.key.iter().flatten().collect();
        let selection = self.select(stream).await?;
        let sql = staging::create_staging(
            &self.names.staging(checkpoint.generation, number),
            &stream.name,
            &self.names.claim(self.claim),
            &columns,
            &selection,
            &Note::new(key, initial).after_gap(initial && stream.gap),
        );
        failpoint::hit("before-staging");
        // Sent once: a copy that the network delivers late, after this table was released, would make the table anew and
        // move the stream unseen. Starting again instead takes a new claim, without which no late copy compiles.
        let staged = self.session.once("the staging of changes", &sql).await;
        failpoint::hit("after-staging");
        match staged {
            Ok(_) => Ok(Staged::Yes),
            Err(error) if error.is_object_missing() => Err(self.diagnose(checkpoint, error).await),
            // Whatever Snowflake calls it: a statement that names the columns there were fails when there are others.
            Err(error @ SourceError::Refused { .. }) => match self.diagnose(checkpoint, error).await {
                error @ SourceError::Refused { .. } if self.select(stream).await? != selection => {
                    tracing::debug!(%error, "staging was refused for other columns");
                    Err(SourceError::ColumnsChanged { table: self.table.name.to_string() })
                }
                error => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// The configured rows and columns, resolved against the columns the stream has now.
    async fn select(&self, stream: &Stream) -> Result<Selection, SourceError> {
        let key: Vec<String> = stream.key.iter().flatten().map(|column| column.name.clone()).collect();
        if Selection::takes_all_columns(&self.table) {
            return Selection::resolve(&self.table, &[], &key);
        }
        let sql = format!("SELECT * FROM {}", stream.name.quoted());
        let columns = self.session.describe("the columns of the stream", &sql).await?;
        Selection::resolve(&self.table, &columns, &key)
    }

    async fn has_data(&self, checkpoint: &Checkpoint, stream: &Stream) -> Result<bool, SourceError> {
        let sql = format!("SELECT SYSTEM$STREAM_HAS_DATA({})", staging::literal(&stream.name.quoted()));
        match self.session.table("the probe of the stream", &sql).await {
            Ok(answer) => Ok(answer.scalar().is_some_and(|flag| flag.eq_ignore_ascii_case("true") || flag == "1")),
            Err(error @ SourceError::Refused { .. }) => Err(self.diagnose(checkpoint, error).await),
            Err(error) => Err(error),
        }
    }

    /// What a refusal that may mean several things means: superseded, or the stream is gone or stale, or else itself.
    async fn diagnose(&self, checkpoint: &Checkpoint, error: SourceError) -> SourceError {
        match self.list().await {
            Err(error) => return error,
            Ok(tables) if !tables.iter().any(|(_, made)| *made == Made::Claim(self.claim)) => {
                return SourceError::Superseded { capture: checkpoint.capture.clone() };
            }
            Ok(_) => {}
        }
        match self.find_stream(checkpoint).await {
            Err(cause) if cause.next() == Next::Halt => cause,
            _ => error,
        }
    }

    async fn read(&self, generation: u64, number: u64, row: u64) -> Result<Batch, SourceError> {
        let name = self.names.staging(generation, number);
        let what = format!("staging table {name}");
        let found = self.session.table(&what, &staging::show_one("TABLES", &name)).await?;
        let Some(entry) = found.rows().next() else {
            return Err(SourceError::StagingMissing { name: name.to_string(), row, rows: 0 });
        };
        let note =
            entry.text("comment").and_then(|comment| Note::parse(&comment)).ok_or_else(|| SourceError::Protocol {
                what: what.clone(),
                reason: "its comment is not the note it was made with".to_owned(),
            })?;
        let staged_at_ms = entry.millis("created_on").unwrap_or_default();
        let rows = self.session.query(&what, &staging::read_staging(&name, row)).await?.rows(&what, &self.pool)?;
        let total = row + rows.total();
        Ok(Batch { number, row, total, note, staged_at_ms, window: None, anchor: None, rows })
    }

    /// The session that everything here goes through.
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Ends the session.
    pub async fn close(self) {
        self.session.close().await;
    }
}
