//! Snowflake's side of one capture: claim, release, next batch. Knows nothing of Kafka.
//!
//! ```text
//! open(checkpoint)        claim the capture, list what is staged, drop what Kafka has
//! next_batch(checkpoint)  an unfinished staging table, else probe the stream and stage its changes
//! release(checkpoint)     drop the staging table that is whole in Kafka
//! ```
//!
//! Every statement here may be cut off at any moment and run again: creations say IF NOT EXISTS under a number that is
//! never used twice, drops only touch what a committed checkpoint covers.

pub mod error;
pub mod listing;
pub mod object;
pub mod selection;
pub mod session;
pub mod staging;
pub mod value;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use error::SourceError;

use self::object::Object;
use self::selection::Selection;
use self::session::{RowStream, Session, TableRow};
use self::staging::{Made, Names, Note};
use self::value::{Column, DataType};
use crate::budget::Pool;
use crate::checkpoint::Checkpoint;
use crate::config::{ObjectName, SchemaName, Snapshot, Table};
use crate::error::Next;
use crate::failpoint;

/// The code of a read of a stale stream.
const STALE: &str = "091901";

/// Snowflake's side of one capture.
pub struct Source {
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

/// The changes of one read of the stream, or what is left of them.
pub struct Batch {
    /// Number of the staging table.
    pub number: u64,
    /// Rows of it that Kafka has already; the first row of `rows` is the one after.
    pub row: u64,
    /// Rows in the staging table.
    pub total: u64,
    /// How its rows were ordered, and whether they are initial rows.
    pub note: Note,
    /// When the staging table was made, in milliseconds since 1970, by Snowflake's clock.
    pub staged_at_ms: i64,
    /// The rows.
    pub rows: RowStream,
}

/// What a look at a stream found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The probe said that it has no data.
    Nothing,
    /// The probe said that it has data, which may turn out to be none.
    Data,
    /// The stream is new: its initial rows are read without a probe.
    Initial,
}

/// Whoever decides when the warehouse is used. Asked after each look at the stream, right before the first statement that
/// needs one; what is staged already is read without asking.
pub trait Permit: Send {
    /// Whether to read now what was found. A no is no error: the next look finds it again.
    fn may_read(&mut self, found: Found) -> bool;
}

/// What became of a look at the stream.
enum Staged {
    Yes,
    /// The stream has nothing.
    Nothing,
    /// It may not be read yet.
    Held,
}

impl Source {
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

    /// Finds the capture's stream, makes it when the capture is new, and learns the key.
    async fn find_stream(&self, checkpoint: &Checkpoint) -> Result<Stream, SourceError> {
        let adopted = self.table.stream.clone();
        let name = adopted.clone().unwrap_or_else(|| self.names.stream(checkpoint.generation));
        let show = staging::show_one("STREAMS", &name);
        let mut found = self.session.table("the state of the stream", &show).await?;
        if found.rows().next().is_none() {
            if adopted.is_some() || checkpoint.batch > 0 {
                return Err(self.stream_missing(&name, checkpoint));
            }
            self.make_stream(&name, checkpoint).await?;
            found = self.session.table("the state of the stream", &show).await?;
        }
        let Some(row) = found.rows().next() else {
            return Err(SourceError::Protocol {
                what: "the state of the stream".to_owned(),
                reason: format!("{name} was just made and is not listed"),
            });
        };
        self.require_fresh(&name, &row, checkpoint)?;
        if checkpoint.generation > 1 && checkpoint.batch == 0 {
            self.drop_older_streams(checkpoint.generation).await?;
        }
        let note = row.text("comment").and_then(|comment| Note::parse(&comment)).filter(|_| adopted.is_none());
        if let Some(note) = &note
            && note.filter != Note::new(None, false).filtered(self.table.filter.as_ref()).filter
        {
            return Err(SourceError::FilterChanged { stream: name.to_string(), table: self.table.name.to_string() });
        }
        let (initial, gap) = note.map_or((false, false), |note| (note.initial, note.gap));
        // A stream of our own follows its source through a rename; the capture keeps the name it began with.
        self.require_followed(&name, &row).await?;
        let on = self.follows(&row).filter(|_| adopted.is_none()).unwrap_or_else(|| self.table.name.clone());
        let object = self.find_object(&on).await?;
        object.check_stream(&on, &object.plan(&self.table)?, &row)?;
        let key = match self.find_key(&name, &on, &object).await {
            // It may go stale between two statements, or only say so when it is read.
            Err(SourceError::Refused { code, message, .. }) if code == STALE => {
                return Err(self.stream_stale(&name, message, checkpoint));
            }
            key => key?,
        };
        Ok(Stream { name, initial, gap, key })
    }

    /// Makes the stream of a generation. A later one begins where the one before it stands, so that between the two
    /// nothing is missed, not even a delete; unless that one is lost, or the checkpoint says that not all it yielded
    /// has been read.
    async fn make_stream(&self, stream: &ObjectName, checkpoint: &Checkpoint) -> Result<(), SourceError> {
        let what = "the creation of the stream";
        let name = &self.table.name;
        let object = self.find_object(name).await?;
        let again = checkpoint.generation > 1;
        let plan = match again {
            // Not every kind of object has initial rows to give; those that have none go on from where they are.
            true => object
                .plan(&Table { snapshot: Snapshot::Initial, ..self.table.clone() })
                .or_else(|_| object.plan(&self.table))?,
            false => object.plan(&self.table)?,
        };
        if object.kind.can_be_selected() {
            let sql = format!("SELECT * FROM {}", name.quoted());
            match self.session.describe("the columns of the table", &sql).await {
                Ok(columns) => object.check_columns(name, &plan, &columns)?,
                // A view whose query no longer compiles, for one, says so better when the stream is made.
                Err(error) => tracing::debug!(%error, "the columns are not known"),
            }
        }
        let note = Note::new(None, plan.initial).filtered(self.table.filter.as_ref());
        let before = self.names.stream(checkpoint.generation.saturating_sub(1));
        let seamless = again && !checkpoint.gap && {
            let found =
                self.session.table("the state of the stream before", &staging::show_one("STREAMS", &before)).await?;
            let fits = |row: TableRow<'_>| {
                self.require_fresh(&before, &row, checkpoint).is_ok() && self.follows(&row).is_none()
            };
            found.rows().next().is_some_and(fits)
        };
        if seamless {
            let sql = staging::create_stream(stream, &plan, name, Some(&before), &note);
            match self.session.table(what, &sql).await {
                Ok(_) => {
                    failpoint::hit("after-create-stream");
                    return Ok(());
                }
                Err(error @ SourceError::Refused { .. }) if error.next() == Next::Halt => {
                    tracing::warn!(%stream, %before, %error, "the new stream cannot begin where the old one stands; it begins now");
                }
                Err(error) => return Err(error),
            }
        }
        let sql = staging::create_stream(stream, &plan, name, None, &note.after_gap(again));
        match self.session.table(what, &sql).await {
            Ok(_) => {
                failpoint::hit("after-create-stream");
                Ok(())
            }
            Err(error) if error.is_object_missing() => Err(self.table_missing()),
            Err(error) => Err(object.refused_stream(name, error)),
        }
    }

    async fn find_object(&self, name: &ObjectName) -> Result<Object, SourceError> {
        Object::find(&self.session, name).await?.ok_or_else(|| self.table_missing())
    }

    /// Drops the streams of earlier generations; the present one's must be there already.
    async fn drop_older_streams(&self, generation: u64) -> Result<(), SourceError> {
        let found = self.session.table("the list of streams", &self.names.show_streams()).await?;
        for row in found.rows() {
            let Some(name) = row.text("name") else { continue };
            if self.names.generation(&name).is_some_and(|older| older < generation) {
                let stream = self.names.object_named(name);
                let sql = format!("DROP STREAM IF EXISTS {}", stream.quoted());
                self.session.table("the release of an older stream", &sql).await?;
            }
        }
        Ok(())
    }

    fn stream_missing(&self, stream: &ObjectName, checkpoint: &Checkpoint) -> SourceError {
        SourceError::StreamMissing {
            stream: stream.to_string(),
            table: self.table.name.to_string(),
            batch: checkpoint.batch,
        }
    }

    /// Refuses a stream that `SHOW STREAMS` calls stale.
    fn require_fresh(
        &self,
        stream: &ObjectName,
        row: &TableRow<'_>,
        checkpoint: &Checkpoint,
    ) -> Result<(), SourceError> {
        if row.text("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")) {
            let reason = row.text("invalid_reason").filter(|reason| !reason.is_empty() && reason != "N/A");
            let reason = reason.unwrap_or_else(|| "its offset left the table's retention".to_owned());
            return Err(self.stream_stale(stream, reason, checkpoint));
        }
        Ok(())
    }

    /// The name of what the stream follows, where it is another than the configured one. A name that cannot be read says
    /// nothing.
    fn follows(&self, row: &TableRow<'_>) -> Option<ObjectName> {
        let name = row.text("table_name").and_then(|name| name.parse::<ObjectName>().ok());
        name.filter(|name| *name != self.table.name)
    }

    /// Refuses a stream whose object gave its name to another. One that was only renamed is still the same.
    async fn require_followed(&self, stream: &ObjectName, row: &TableRow<'_>) -> Result<(), SourceError> {
        // Of a stream that was taken over, another table is a mistake of the configuration, and said as such.
        let Some(now) = self.follows(row).filter(|_| self.table.stream.is_none()) else { return Ok(()) };
        match Object::find(&self.session, &self.table.name).await? {
            None => Ok(()),
            Some(_) => Err(SourceError::StreamMoved {
                stream: stream.to_string(),
                table: self.table.name.to_string(),
                now: now.to_string(),
            }),
        }
    }

    fn stream_stale(&self, stream: &ObjectName, reason: String, checkpoint: &Checkpoint) -> SourceError {
        SourceError::StreamStale {
            stream: stream.to_string(),
            table: self.table.name.to_string(),
            reason,
            batch: checkpoint.batch,
        }
    }

    /// The configured key, else the one its kind has, else none.
    async fn find_key(
        &self,
        stream: &ObjectName,
        on: &ObjectName,
        object: &Object,
    ) -> Result<Option<Vec<Column>>, SourceError> {
        let names = match &self.table.key {
            Some(key) => key.clone(),
            None => match own_key(&self.session, on, object).await {
                Err(error) if error.is_object_missing() => return Err(self.table_missing()),
                key => key?,
            },
        };
        if names.is_empty() {
            return Ok(None);
        }
        let sql = format!("SELECT * FROM {}", stream.quoted());
        let columns = self.session.describe("the columns of the stream", &sql).await?;
        resolve_key(&self.table.name, &names, &columns).map(Some)
    }

    fn table_missing(&self) -> SourceError {
        SourceError::TableMissing {
            table: self.table.name.to_string(),
            role: self.session.info().role_name.clone().unwrap_or_else(|| "of the session".to_owned()),
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
        Ok(Batch { number, row, total: row + rows.total(), note, staged_at_ms, rows })
    }

    /// The session that everything here goes through.
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Ends the session.
    pub async fn close(self) {
        self.session.close().await;
    }
}

/// The staging table to read next: the checkpoint's own while it is unfinished, else the one after.
fn next_number(checkpoint: &Checkpoint) -> u64 {
    if checkpoint.batch_is_whole() { checkpoint.batch + 1 } else { checkpoint.batch }
}

/// The key that an object has without a configured one: its path, its declared primary key, or none.
pub(crate) async fn own_key(
    session: &Arc<Session>,
    table: &ObjectName,
    object: &Object,
) -> Result<Vec<String>, SourceError> {
    if matches!(object.kind, object::Kind::Stage { .. }) {
        return Ok(vec![object::PATH.to_owned()]);
    }
    if !object.kind.has_primary_key() {
        return Ok(Vec::new());
    }
    let sql = format!("SHOW PRIMARY KEYS IN TABLE {}", table.quoted());
    let found = session.table("the primary key", &sql).await?;
    let mut columns: Vec<(u32, String)> = found
        .rows()
        .filter_map(|row| Some((row.text("key_sequence")?.parse().ok()?, row.text("column_name")?)))
        .collect();
    columns.sort_unstable();
    Ok(columns.into_iter().map(|(_, name)| name).collect())
}

/// The key columns with their types.
pub(crate) fn resolve_key(
    table: &ObjectName,
    names: &[String],
    columns: &[Column],
) -> Result<Vec<Column>, SourceError> {
    names
        .iter()
        .map(|name| {
            let column = columns.iter().find(|column| column.name == *name).ok_or_else(|| SourceError::KeyMissing {
                column: name.clone(),
                table: table.to_string(),
                known: columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", "),
            })?;
            match column.ty {
                DataType::Variant
                | DataType::Object
                | DataType::Array
                | DataType::Map
                | DataType::Geography
                | DataType::Geometry
                | DataType::Vector { .. } => {
                    Err(SourceError::KeyType { column: name.clone(), table: table.to_string() })
                }
                _ => Ok(column.clone()),
            }
        })
        .collect()
}
