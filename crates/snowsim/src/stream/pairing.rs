//! From images sorted by row id to change rows with the three METADATA columns.
//!
//! Promises: an old and a new image of one row become DELETE + INSERT with `METADATA$ISUPDATE`, or
//! nothing when they are equal in every column; an image alone is a plain DELETE or INSERT. At most
//! one row is carried from batch to batch.
//! Leaves to others: the sorting (`provider`).

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt64Type};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow_ord::ord::make_comparator;
use arrow_schema::{Field, SchemaRef, SortOptions};

use crate::error::SqlError;
use crate::types::SnowType;

/// Which side of the difference an image is on: 0 old, 1 new.
pub(crate) const SIDE_COLUMN: &str = "$SIDE";
/// Name of the column telling INSERT from DELETE.
pub(crate) const ACTION: &str = "METADATA$ACTION";
/// Name of the column telling halves of updates.
pub(crate) const IS_UPDATE: &str = "METADATA$ISUPDATE";
/// Name of the row id column.
pub(crate) const ROW_ID: &str = "METADATA$ROW_ID";

const SALT: u64 = 0x5f0e_11ed_0b5e_55ed;

/// The three columns streams add.
#[must_use]
pub(crate) fn metadata_fields() -> [Field; 3] {
    [
        SnowType::TEXT.field(ACTION, false),
        SnowType::Boolean.field(IS_UPDATE, false),
        SnowType::TEXT.field(ROW_ID, false),
    ]
}

/// The row id as streams show it: 40 hex digits that tell nothing of the row's age.
#[must_use]
pub(crate) fn row_id_text(lineage: u64, row: u64) -> String {
    let mut text = String::with_capacity(48);
    let mut state = mix(lineage ^ SALT) ^ row;
    for _ in 0..3 {
        state = mix(state);
        let _ = write!(text, "{state:016x}");
    }
    text.truncate(40);
    text
}

/// A bijection of 64 bits, so different rows never share a row id.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Appends the METADATA columns to rows that are all plain inserts.
pub(crate) fn as_inserts(columns: Vec<ArrayRef>, rows: &UInt64Array, lineage: u64) -> Vec<ArrayRef> {
    let count = rows.len();
    let mut columns = columns;
    columns.push(Arc::new(StringArray::from(vec!["INSERT"; count])));
    columns.push(Arc::new(BooleanArray::from(vec![false; count])));
    columns.push(Arc::new(StringArray::from_iter_values(rows.values().iter().map(|row| row_id_text(lineage, *row)))));
    columns
}

/// Pairs images as they come.
#[derive(Debug)]
pub(crate) struct Pairing {
    schema: SchemaRef,
    lineage: u64,
    carried: Option<RecordBatch>,
}

impl Pairing {
    /// For images with the table's columns, the row id and the side (in this order), sorted by row
    /// id and side; `schema` is the table's columns and the METADATA columns.
    #[must_use]
    pub(crate) fn new(schema: SchemaRef, lineage: u64) -> Self {
        Self { schema, lineage, carried: None }
    }

    /// The change rows of the next images.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let batch = match self.carried.take() {
            Some(carried) => arrow_select::concat::concat_batches(batch.schema_ref(), [&carried, batch])?,
            None => batch.clone(),
        };
        self.pair(&batch, false)
    }

    /// The change row of the image left over, if any.
    pub(crate) fn finish(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        match self.carried.take() {
            Some(carried) => Ok(Some(self.pair(&carried, true)?)),
            None => Ok(None),
        }
    }

    fn pair(&mut self, batch: &RecordBatch, last: bool) -> Result<RecordBatch, SqlError> {
        let width = batch.num_columns() - 2;
        let rows = batch.column(width).as_primitive::<UInt64Type>();
        let sides = batch.column(width + 1).as_primitive::<UInt8Type>();
        let comparators = batch.columns()[..width]
            .iter()
            .map(|column| make_comparator(column, column, SortOptions::default()))
            .collect::<Result<Vec<_>, _>>()?;
        let equal = |a: usize, b: usize| comparators.iter().all(|compare| compare(a, b).is_eq());
        let mut kept: Vec<u64> = Vec::with_capacity(batch.num_rows());
        let mut updates: Vec<bool> = Vec::with_capacity(batch.num_rows());
        let mut at = 0;
        while at < batch.num_rows() {
            let next = at + 1;
            let old = sides.value(at) == 0;
            if old && next == batch.num_rows() && !last {
                self.carried = Some(batch.slice(at, 1));
                break;
            }
            let paired = old && next < batch.num_rows() && rows.value(next) == rows.value(at);
            if paired {
                if !equal(at, next) {
                    kept.extend([at as u64, next as u64]);
                    updates.extend([true, true]);
                }
                at += 2;
            } else {
                kept.push(at as u64);
                updates.push(false);
                at += 1;
            }
        }
        let kept = UInt64Array::from(kept);
        let taken = arrow_select::take::take_record_batch(batch, &kept)?;
        let mut columns = taken.columns()[..width].to_vec();
        let sides = taken.column(width + 1).as_primitive::<UInt8Type>();
        columns.push(Arc::new(StringArray::from_iter_values(
            sides.values().iter().map(|side| if *side == 0 { "DELETE" } else { "INSERT" }),
        )));
        columns.push(Arc::new(BooleanArray::from(updates)));
        let rows = taken.column(width).as_primitive::<UInt64Type>();
        columns.push(Arc::new(StringArray::from_iter_values(
            rows.values().iter().map(|row| row_id_text(self.lineage, *row)),
        )));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
