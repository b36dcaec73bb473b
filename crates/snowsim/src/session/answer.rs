//! Results that are not the engine's: a few rows made by hand.
//!
//! Promises: the same shape as any result, in the canonical representation.
//! Leaves to others: what the rows say.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::Rows;
use crate::error::SqlError;
use crate::types::convert::Builder;
use crate::types::timestamp::Timestamp;
use crate::types::value::Value;
use crate::types::{ColumnMeta, SnowType};

/// The type of counts of rows.
pub(crate) const COUNT: SnowType = SnowType::Fixed { precision: 19, scale: 0 };
/// The type of creation dates in SHOW.
pub(crate) const CREATED: SnowType = SnowType::TimestampLtz { scale: 3 };

/// A cell of text.
pub(crate) fn text(text: impl Into<String>) -> Option<Value> {
    Some(Value::Text(text.into()))
}

/// A cell of a count.
pub(crate) fn count(number: u64) -> Option<Value> {
    Some(Value::Fixed(i128::from(number), 0))
}

/// A cell of a moment, given as nanoseconds since the epoch.
pub(crate) fn moment(nanos: i64) -> Option<Value> {
    Some(Value::Ltz(Timestamp::from_nanos(i128::from(nanos)).truncate(3)))
}

/// A result of given columns and rows.
pub(crate) fn rows(columns: &[(&str, SnowType)], rows: Vec<Vec<Option<Value>>>) -> Result<Rows, SqlError> {
    let mut builders: Vec<Builder> = columns.iter().map(|(_, ty)| Builder::new(*ty, rows.len())).collect();
    let count = rows.len();
    for row in rows {
        for (builder, value) in builders.iter_mut().zip(row) {
            builder.push(value)?;
        }
    }
    let fields: Vec<Field> = columns.iter().map(|(name, ty)| ty.field(name, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = builders.into_iter().map(Builder::finish).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options)?;
    let metas = columns
        .iter()
        .map(|(name, ty)| ColumnMeta {
            name: (*name).to_owned(),
            database: String::new(),
            schema: String::new(),
            table: String::new(),
            ty: *ty,
            nullable: true,
        })
        .collect();
    let stream = futures::stream::iter([Ok(batch)]);
    Ok((metas, Box::pin(RecordBatchStreamAdapter::new(schema, stream))))
}

/// The one-row answer of DDL.
pub(crate) fn status(message: &str) -> Result<Rows, SqlError> {
    rows(&[("status", SnowType::TEXT)], vec![vec![text(message)]])
}

/// The one-row answer of DML.
pub(crate) fn counts(numbers: &[(&str, u64)]) -> Result<Rows, SqlError> {
    let columns: Vec<(&str, SnowType)> = numbers.iter().map(|(name, _)| (*name, COUNT)).collect();
    rows(&columns, vec![numbers.iter().map(|(_, number)| count(*number)).collect()])
}
