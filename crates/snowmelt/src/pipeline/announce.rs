//! What is announced with one batch, and with which of its slices.

use crate::checkpoint::Checkpoint;
use crate::config::Table;
use crate::encode::Encoded;
use crate::notification::{Notice, Place};
use crate::shape::{Difference, Shape};
use crate::sink::Writes;
use crate::source::Batch;
use crate::status::now_ms;

/// The notices of one batch. Those of its beginning go with its first slice, unless that is in Kafka already.
pub(super) struct Announcer {
    place: Place,
    shape: Shape,
    /// Whether the shape is not the one published last.
    news: bool,
    changes: Option<Vec<Difference>>,
    /// Rows and gap of a snapshot.
    snapshot: Option<(u64, bool)>,
    begun: bool,
}

impl Announcer {
    /// `published` is the shape published last.
    pub(super) fn new(
        pipeline: &str,
        table: &Table,
        batch: &Batch,
        checkpoint: &Checkpoint,
        published: Option<&Shape>,
    ) -> Self {
        let shape = Shape::of(batch.rows.columns(), batch.note.key.as_deref());
        Self {
            place: Place {
                name: pipeline.to_owned(),
                table: table.name.to_string(),
                topic: table.topic.clone(),
                generation: checkpoint.generation,
                batch: batch.number,
            },
            news: published != Some(&shape),
            changes: published.map(|before| shape.since(before)),
            shape,
            snapshot: batch.note.initial.then_some((batch.total, batch.note.gap)),
            begun: checkpoint.batch == batch.number && checkpoint.row > 0,
        }
    }

    /// What changed, where something did.
    pub(super) fn words(&self) -> Option<String> {
        let changes = self.changes.as_ref().filter(|changes| !changes.is_empty())?;
        Some(changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    /// Whether something changed since the batch before.
    pub(super) fn is_other_shape(&self) -> bool {
        self.changes.as_ref().is_some_and(|changes| !changes.is_empty())
    }

    /// Fingerprint of the batch's columns.
    pub(super) fn fingerprint(&self) -> String {
        self.shape.fingerprint()
    }

    /// The next slice with what is announced beside it.
    pub(super) fn writes(&mut self, records: Vec<Encoded>, last: bool) -> Writes {
        let mut writes = Writes::from(records);
        let now = now_ms();
        let mut notify = |notice: Notice| writes.notices.push(notice.to_bytes(&self.place, now));
        if !std::mem::replace(&mut self.begun, true) {
            if self.news {
                notify(Notice::Schema { shape: self.shape.clone(), changes: self.changes.clone() });
            }
            if let Some((rows, gap)) = self.snapshot {
                notify(Notice::SnapshotBegin { rows, gap });
            }
            writes.shape = self.news.then(|| self.shape.clone());
        }
        if let Some((rows, _)) = self.snapshot.filter(|_| last) {
            writes.notices.push(Notice::SnapshotEnd { rows }.to_bytes(&self.place, now));
        }
        writes
    }
}
