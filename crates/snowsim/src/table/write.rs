//! Writing rows into new parts.
//!
//! Promises: memory is bounded by one batch per writer; a writer that is dropped before it is
//! finished leaves no file; statistics are those of the rows really written.
//! Leaves to others: conversion to the table's types and NOT NULL (`engine::dml`).

use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::coalesce::BatchCoalescer;

use super::part::{Part, PartColumn, PartKind, PartMeta, ROW_COLUMN, Store};
use crate::error::SqlError;
use crate::types::SnowType;

/// Rows of a part at most.
pub(crate) const PART_ROWS: u32 = 262_144;
/// Rows of a batch inside a part.
const BATCH_ROWS: usize = 8_192;

/// Writes rows of one table into as many parts as they need.
pub(crate) struct PartWriter {
    store: Arc<Store>,
    kind: PartKind,
    columns: Vec<(u32, SnowType)>,
    schema: SchemaRef,
    pending: BatchCoalescer,
    open: Option<OpenPart>,
    finished: Vec<Arc<Part>>,
}

struct OpenPart {
    /// Owns the file from its first byte, so that it vanishes with the writer if not finished.
    guard: Arc<Part>,
    file: FileWriter<BufWriter<File>>,
    rows: u32,
    tallies: Vec<Tally>,
}

/// Running statistics of one column.
#[derive(Debug, Clone)]
struct Tally {
    range: Option<(i128, i128)>,
    last: Option<i128>,
    sorted: bool,
    usable: bool,
}

impl PartWriter {
    /// A writer for rows whose columns have these ids and types, in this order.
    #[must_use]
    pub(crate) fn new(store: &Arc<Store>, kind: PartKind, columns: Vec<(u32, SnowType)>) -> Self {
        let mut fields: Vec<Field> =
            columns.iter().map(|(id, ty)| Field::new(format!("c{id}"), ty.arrow(), true)).collect();
        fields.push(Field::new(ROW_COLUMN, DataType::UInt64, false));
        let schema = Arc::new(Schema::new(fields));
        Self {
            store: Arc::clone(store),
            kind,
            columns,
            schema: Arc::clone(&schema),
            pending: BatchCoalescer::new(schema, BATCH_ROWS),
            open: None,
            finished: Vec::new(),
        }
    }

    /// Appends rows: one canonical array per column, and their row ids.
    pub(crate) fn push(&mut self, mut columns: Vec<ArrayRef>, rows: UInt64Array) -> Result<(), SqlError> {
        columns.push(Arc::new(rows));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.pending.push_batch(batch)?;
        while let Some(batch) = self.pending.next_completed_batch() {
            self.write(&batch)?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
        let mut part = match self.open.take() {
            Some(part) => part,
            None => self.start()?,
        };
        part.file.write(batch)?;
        part.rows += u32::try_from(batch.num_rows()).map_err(SqlError::internal)?;
        for (tally, column) in part.tallies.iter_mut().zip(batch.columns()) {
            tally.add(column);
        }
        if part.rows + u32::try_from(BATCH_ROWS).unwrap_or(0) > PART_ROWS {
            self.end(part)?;
        } else {
            self.open = Some(part);
        }
        Ok(())
    }

    fn start(&self) -> Result<OpenPart, SqlError> {
        let id = self.store.reserve();
        let guard = Part::new(PartMeta { id, rows: 0, bytes: 0, kind: self.kind, columns: Vec::new() }, &self.store);
        let file = BufWriter::with_capacity(1 << 18, File::create(self.store.path(id))?);
        Ok(OpenPart {
            guard,
            file: FileWriter::try_new(file, &self.schema)?,
            rows: 0,
            tallies: self.columns.iter().map(|(_, ty)| Tally::new(*ty)).collect(),
        })
    }

    fn end(&mut self, part: OpenPart) -> Result<(), SqlError> {
        let OpenPart { guard, mut file, rows, tallies } = part;
        file.finish()?;
        // Flushes the buffer into the file; the file must be whole before the journal names it.
        let file = file.into_inner()?.into_inner().map_err(|error| error.into_error())?;
        let bytes = file.metadata()?.len();
        let columns = self
            .columns
            .iter()
            .zip(tallies)
            .map(|((id, ty), tally)| PartColumn {
                id: *id,
                ty: *ty,
                sorted: tally.usable && tally.sorted && tally.range.is_some(),
                range: tally
                    .range
                    .filter(|_| tally.usable)
                    .map(|(least, greatest)| (least.to_string(), greatest.to_string())),
            })
            .collect();
        let meta = PartMeta { rows, bytes, columns, ..guard.meta.clone() };
        // The guard must not take the file with it: it becomes the part itself.
        let part = match Arc::try_unwrap(guard) {
            Ok(guard) => guard.described(meta),
            Err(_) => return Err(SqlError::internal("an unfinished part is shared")),
        };
        self.finished.push(part);
        Ok(())
    }

    /// Writes what is pending and returns the parts.
    pub(crate) fn finish(mut self) -> Result<Vec<Arc<Part>>, SqlError> {
        self.pending.finish_buffered_batch()?;
        while let Some(batch) = self.pending.next_completed_batch() {
            self.write(&batch)?;
        }
        if let Some(part) = self.open.take() {
            self.end(part)?;
        }
        Ok(self.finished)
    }
}

impl Tally {
    fn new(ty: SnowType) -> Self {
        Self { range: None, last: None, sorted: true, usable: matches!(ty, SnowType::Fixed { .. }) }
    }

    fn add(&mut self, column: &ArrayRef) {
        if !self.usable {
            return;
        }
        if column.null_count() > 0 {
            self.usable = false;
            return;
        }
        for value in column.as_primitive::<Decimal128Type>().values() {
            self.sorted &= self.last.is_none_or(|last| last <= *value);
            self.last = Some(*value);
            let (least, greatest) = self.range.unwrap_or((*value, *value));
            self.range = Some((least.min(*value), greatest.max(*value)));
        }
    }
}
