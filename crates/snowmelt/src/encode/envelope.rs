//! The `debezium` envelope and the headers of a `plain` record.
//!
//! What is the same for a whole batch is written once and copied into each record.

use bytes::Bytes;

use super::image::Image;
use super::{Arena, BatchInfo, EncoderOptions, Refusal, json};
use crate::change::{Event, Op, RowRef};

/// A batch's constant bytes.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) batch: BatchInfo,
    /// `,"source":{…,"row":` of a change and of a row that was there before.
    changed: Vec<u8>,
    initial: Vec<u8>,
    generation: Bytes,
    number: Bytes,
    staged_at: Bytes,
}

impl Source {
    pub(super) fn new(options: &EncoderOptions, batch: &BatchInfo) -> Self {
        Self {
            batch: batch.clone(),
            changed: block(options, batch, "false"),
            initial: block(options, batch, "true"),
            generation: batch.generation.to_string().into(),
            number: batch.batch.to_string().into(),
            staged_at: batch.staged_at_ms.to_string().into(),
        }
    }

    /// Writes `{"before":…,"after":…,"source":…,"op":…,"ts_ms":…}`.
    pub(super) fn envelope(
        &self,
        event: &Event,
        image: &Image,
        row_id: &str,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut side = |name: &[u8], row: Option<&RowRef>| {
            out.extend_from_slice(name);
            match row {
                Some(row) => image.write(row, out),
                None => {
                    out.extend_from_slice(b"null");
                    Ok(())
                }
            }
        };
        side(b"{\"before\":", event.before.as_ref())?;
        side(b",\"after\":", event.after.as_ref())?;
        self.identity(event, row_id, now_ms, out);
        out.push(b'}');
        Ok(())
    }

    /// Writes `,"source":…,"op":…,"ts_ms":…`.
    pub(super) fn identity(&self, event: &Event, row_id: &str, now_ms: i64, out: &mut Vec<u8>) {
        let initial = event.op == Op::Read;
        out.extend_from_slice(if initial { &self.initial } else { &self.changed });
        json::unsigned(out, event.position.0);
        out.extend_from_slice(b",\"row_id\":");
        json::string(out, row_id);
        out.extend_from_slice(b"},\"op\":\"");
        out.extend_from_slice(event.op.letter().as_bytes());
        out.extend_from_slice(b"\",\"ts_ms\":");
        json::signed(out, now_ms);
    }

    /// The headers by which a reader of a `plain` record tells what happened and where it comes from.
    pub(super) fn headers(
        &self,
        event: &Event,
        row_id: &str,
        scratch: &mut Vec<u8>,
        arena: &mut Arena,
    ) -> Vec<(&'static str, Bytes)> {
        scratch.clear();
        json::unsigned(scratch, event.position.0);
        vec![
            ("snowmelt.op", Bytes::from_static(event.op.letter().as_bytes())),
            ("snowmelt.generation", self.generation.clone()),
            ("snowmelt.batch", self.number.clone()),
            ("snowmelt.row", arena.keep(scratch)),
            ("snowmelt.row_id", arena.keep(&mut row_id.as_bytes().to_vec())),
            ("snowmelt.staged_at_ms", self.staged_at.clone()),
        ]
    }
}

fn block(options: &EncoderOptions, batch: &BatchInfo, snapshot: &str) -> Vec<u8> {
    let mut out = b",\"source\":{\"version\":".to_vec();
    json::string(&mut out, &options.version);
    out.extend_from_slice(b",\"connector\":\"snowmelt\",\"name\":");
    json::string(&mut out, &options.pipeline);
    out.extend_from_slice(b",\"ts_ms\":");
    json::signed(&mut out, batch.staged_at_ms);
    for (name, text) in [
        (",\"snapshot\":", snapshot),
        (",\"db\":", batch.database.as_str()),
        (",\"schema\":", batch.schema.as_str()),
        (",\"table\":", batch.table.as_str()),
    ] {
        out.extend_from_slice(name.as_bytes());
        json::string(&mut out, text);
    }
    out.extend_from_slice(b",\"generation\":");
    json::unsigned(&mut out, batch.generation);
    out.extend_from_slice(b",\"batch\":");
    json::unsigned(&mut out, batch.batch);
    out.extend_from_slice(b",\"row\":");
    out
}
