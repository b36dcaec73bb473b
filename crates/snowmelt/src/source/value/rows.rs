//! A batch of typed rows.
//!
//! [`Rows`] is made from one Arrow batch (its arrays are kept, not copied) or from JSON cells, and is
//! read cell by cell without a failure. It knows how many bytes it holds, for the memory budget.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::cells::Cells;
use super::{Column, Value, ValueError, arrow, json};

/// A columnar batch; every cell in it has been checked.
#[derive(Debug, Clone)]
pub struct Rows {
    columns: Arc<[Column]>,
    cells: Vec<Cells>,
    len: usize,
    bytes: usize,
}

impl Rows {
    /// Takes an Arrow batch in Snowflake's wire layout. Columns go by position, as the official drivers
    /// read them, and scales come from `columns`, not from Arrow.
    ///
    /// # Errors
    /// The batch has another number of columns, a column has an Arrow type that its Snowflake type
    /// never has, or a cell is out of its type's range.
    pub fn from_arrow(columns: &Arc<[Column]>, batch: &RecordBatch) -> Result<Self, ValueError> {
        let arrays = batch.columns();
        if arrays.len() != columns.len() {
            return Err(ValueError::Width { row: 0, came: arrays.len(), expected: columns.len() });
        }
        let cells = columns
            .iter()
            .zip(arrays)
            .map(|(column, array)| arrow::read(column, array))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(columns, cells, batch.num_rows()))
    }

    /// Parses the rows of a JSON result, `None` being SQL NULL.
    ///
    /// # Errors
    /// A row has another number of cells, or a cell is not a value of its column's type.
    pub fn from_json<R, S>(columns: &Arc<[Column]>, rows: &[R]) -> Result<Self, ValueError>
    where
        R: AsRef<[Option<S>]>,
        S: AsRef<str>,
    {
        for (row, cells) in rows.iter().enumerate() {
            let came = cells.as_ref().len();
            if came != columns.len() {
                return Err(ValueError::Width { row, came, expected: columns.len() });
            }
        }
        let cells = columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                json::read(column, rows.len(), |row| rows[row].as_ref()[index].as_ref().map(AsRef::as_ref))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(columns, cells, rows.len()))
    }

    fn new(columns: &Arc<[Column]>, cells: Vec<Cells>, len: usize) -> Self {
        let bytes = cells.iter().map(Cells::bytes).sum();
        Self { columns: Arc::clone(columns), cells, len, bytes }
    }

    /// The columns, in order.
    pub fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The cell at a column and a row, both from 0. Like indexing a slice, it must be within
    /// [`columns`](Self::columns) and [`len`](Self::len).
    #[inline]
    pub fn value(&self, column: usize, row: usize) -> Value<'_> {
        self.cells[column].value(row)
    }

    /// Bytes of memory the cells take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
