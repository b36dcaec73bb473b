//! The stream of a capture: found, made, recognised, and its key learnt.

use super::{Stream, StreamSource};
use crate::checkpoint::Checkpoint;
use crate::config::{ObjectName, Snapshot, Table};
use crate::error::Next;
use crate::failpoint;
use crate::source::error::SourceError;
use crate::source::key::{own_key, resolve_key};
use crate::source::object::Object;
use crate::source::session::TableRow;
use crate::source::staging::{self, Note};
use crate::source::value::Column;

/// The code of a read of a stale stream.
const STALE: &str = "091901";

impl StreamSource {
    /// Finds the capture's stream, makes it when the capture is new, and learns the key.
    pub(super) async fn find_stream(&self, checkpoint: &Checkpoint) -> Result<Stream, SourceError> {
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
            return Err(SourceError::FilterChanged {
                stream: format!("stream {name}"),
                table: self.table.name.to_string(),
            });
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

    pub(super) async fn find_object(&self, name: &ObjectName) -> Result<Object, SourceError> {
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

    pub(super) fn stream_missing(&self, stream: &ObjectName, checkpoint: &Checkpoint) -> SourceError {
        SourceError::StreamMissing {
            stream: stream.to_string(),
            table: self.table.name.to_string(),
            batch: checkpoint.batch,
        }
    }

    /// Refuses a stream that `SHOW STREAMS` calls stale.
    pub(super) fn require_fresh(
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
    pub(super) async fn require_followed(&self, stream: &ObjectName, row: &TableRow<'_>) -> Result<(), SourceError> {
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

    pub(super) fn table_missing(&self) -> SourceError {
        SourceError::TableMissing {
            table: self.table.name.to_string(),
            role: self.session.info().role_name.clone().unwrap_or_else(|| "of the session".to_owned()),
        }
    }
}
