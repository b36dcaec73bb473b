//! Whole columns: from the engine's Arrow types to the canonical ones, and casts between them.
//!
//! Promises: the fast paths (same type, integers to NUMBER, NUMBER to NUMBER) and the value by
//! value path give the same answers. Leaves to others: the rules themselves (`value`).

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, LargeStringBuilder, PrimitiveBuilder, StringBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Time64NanosecondType};
use arrow_array::{Array, ArrayRef, Decimal128Array, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field};

use super::json::Json;
use super::timestamp::Timestamp;
use super::value::{Value, out_of_range};
use super::{SnowType, number};
use crate::error::SqlError;

/// What to do with a value that cannot be cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// `CAST`: the statement fails.
    Fail,
    /// `TRY_CAST`: the value becomes NULL.
    Null,
}

/// Brings a column of the engine into the canonical representation of its own type.
pub fn canonical(array: &ArrayRef, field: &Field) -> Result<(ArrayRef, SnowType), SqlError> {
    let ty = SnowType::of_field(field)
        .ok_or_else(|| SqlError::unsupported(format!("a value of engine type {}", field.data_type())))?;
    let arrow = ty.arrow();
    if *array.data_type() == arrow {
        return Ok((Arc::clone(array), ty));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok((cast_with_options(array, &arrow, &options)?, ty))
}

/// Casts a canonical column from one type to another.
pub fn convert(array: &ArrayRef, from: SnowType, to: SnowType, on_failure: OnFailure) -> Result<ArrayRef, SqlError> {
    if from == to || array.null_count() == array.len() {
        return Ok(match array.data_type() == &to.arrow() {
            true => Arc::clone(array),
            false => new_null_array(&to.arrow(), array.len()),
        });
    }
    match (from, to) {
        // Lengthening needs no look at the values.
        (SnowType::Text { length: a }, SnowType::Text { length: b })
        | (SnowType::Binary { length: a }, SnowType::Binary { length: b })
            if a <= b =>
        {
            return Ok(Arc::clone(array));
        }
        (SnowType::Object | SnowType::Array, SnowType::Variant) => return Ok(Arc::clone(array)),
        (SnowType::Fixed { scale: from, .. }, SnowType::Fixed { precision, scale }) => {
            return convert_fixed(array, from, precision, scale, on_failure);
        }
        _ => {}
    }
    let mut builder = Builder::new(to, array.len());
    for row in 0..array.len() {
        let cast = match read(array, row, from)? {
            Some(value) => value.scaled_text(from, to).cast(to),
            None => Ok(None),
        };
        match cast {
            Ok(value) => builder.push(value)?,
            Err(_) if on_failure == OnFailure::Null => builder.push(None)?,
            Err(error) => return Err(error),
        }
    }
    Ok(builder.finish())
}

impl Value {
    /// Text of times shows the digits of the column's scale, which only the column knows.
    fn scaled_text(self, from: SnowType, to: SnowType) -> Self {
        match (from, to) {
            (
                SnowType::Time { scale }
                | SnowType::TimestampNtz { scale }
                | SnowType::TimestampLtz { scale }
                | SnowType::TimestampTz { scale },
                SnowType::Text { .. } | SnowType::Variant,
            ) => Self::Text(self.to_text(scale)),
            _ => self,
        }
    }
}

fn convert_fixed(
    array: &ArrayRef,
    from: i8,
    precision: u8,
    scale: i8,
    on_failure: OnFailure,
) -> Result<ArrayRef, SqlError> {
    let values = array.as_primitive::<Decimal128Type>();
    let moved = |value: i128| number::rescale(value, from, scale).filter(|value| number::fits(*value, precision));
    let moved: Decimal128Array = match on_failure {
        OnFailure::Null => values.unary_opt(moved),
        OnFailure::Fail => {
            values.try_unary(|value| moved(value).ok_or_else(|| out_of_range(&number::format(value, from))))?
        }
    };
    Ok(Arc::new(moved.with_precision_and_scale(precision, scale)?))
}

/// One value of a canonical column; `None` is NULL.
pub fn read(array: &ArrayRef, row: usize, ty: SnowType) -> Result<Option<Value>, SqlError> {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        return Ok(None);
    }
    let instant = || {
        Timestamp::decode(array.as_fixed_size_binary().value(row))
            .ok_or_else(|| SqlError::internal("a timestamp of the wrong width"))
    };
    Ok(Some(match ty {
        SnowType::Fixed { scale, .. } => Value::Fixed(array.as_primitive::<Decimal128Type>().value(row), scale),
        SnowType::Real => Value::Real(array.as_primitive::<Float64Type>().value(row)),
        SnowType::Boolean => Value::Bool(array.as_boolean().value(row)),
        SnowType::Text { .. } => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        SnowType::Binary { .. } => Value::Binary(array.as_binary::<i32>().value(row).to_owned()),
        SnowType::Date => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        SnowType::Time { .. } => Value::Time(array.as_primitive::<Time64NanosecondType>().value(row)),
        SnowType::TimestampNtz { .. } => Value::Ntz(instant()?),
        SnowType::TimestampLtz { .. } => Value::Ltz(instant()?),
        SnowType::TimestampTz { .. } => Value::Tz(instant()?),
        SnowType::Variant | SnowType::Object | SnowType::Array | SnowType::Geography | SnowType::Geometry => {
            let text = array.as_string::<i64>().value(row);
            Value::Json(
                Json::parse(text)
                    .map_err(|detail| SqlError::new("100069", "22P02", format!("Error parsing JSON: {detail}")))?,
            )
        }
    }))
}

/// Builds a canonical column value by value.
#[derive(Debug)]
pub struct Builder {
    ty: SnowType,
    column: Column,
}

#[derive(Debug)]
enum Column {
    Fixed(PrimitiveBuilder<Decimal128Type>),
    Real(PrimitiveBuilder<Float64Type>),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64NanosecondType>),
    Instant(FixedSizeBinaryBuilder),
    Json(LargeStringBuilder),
}

impl Builder {
    /// A builder for a column of `ty`, with room for `rows`.
    #[must_use]
    pub fn new(ty: SnowType, rows: usize) -> Self {
        let column = match ty {
            SnowType::Fixed { .. } => Column::Fixed(PrimitiveBuilder::with_capacity(rows).with_data_type(ty.arrow())),
            SnowType::Real => Column::Real(PrimitiveBuilder::with_capacity(rows)),
            SnowType::Boolean => Column::Bool(BooleanBuilder::with_capacity(rows)),
            SnowType::Text { .. } => Column::Text(StringBuilder::with_capacity(rows, rows * 16)),
            SnowType::Binary { .. } => Column::Binary(BinaryBuilder::with_capacity(rows, rows * 16)),
            SnowType::Date => Column::Date(PrimitiveBuilder::with_capacity(rows)),
            SnowType::Time { .. } => Column::Time(PrimitiveBuilder::with_capacity(rows)),
            SnowType::TimestampNtz { .. } | SnowType::TimestampLtz { .. } | SnowType::TimestampTz { .. } => {
                let width = match ty.arrow() {
                    DataType::FixedSizeBinary(width) => width,
                    _ => super::timestamp::NTZ_WIDTH,
                };
                Column::Instant(FixedSizeBinaryBuilder::with_capacity(rows, width))
            }
            SnowType::Variant | SnowType::Object | SnowType::Array | SnowType::Geography | SnowType::Geometry => {
                Column::Json(LargeStringBuilder::with_capacity(rows, rows * 16))
            }
        };
        Self { ty, column }
    }

    /// Appends a value, which must already be of the builder's type, or NULL.
    pub fn push(&mut self, value: Option<Value>) -> Result<(), SqlError> {
        match (&mut self.column, value) {
            (Column::Fixed(column), Some(Value::Fixed(value, _))) => column.append_value(value),
            (Column::Fixed(column), None) => column.append_null(),
            (Column::Real(column), Some(Value::Real(value))) => column.append_value(value),
            (Column::Real(column), None) => column.append_null(),
            (Column::Bool(column), Some(Value::Bool(value))) => column.append_value(value),
            (Column::Bool(column), None) => column.append_null(),
            (Column::Text(column), Some(Value::Text(value))) => column.append_value(value),
            (Column::Text(column), None) => column.append_null(),
            (Column::Binary(column), Some(Value::Binary(value))) => column.append_value(value),
            (Column::Binary(column), None) => column.append_null(),
            (Column::Date(column), Some(Value::Date(value))) => column.append_value(value),
            (Column::Date(column), None) => column.append_null(),
            (Column::Time(column), Some(Value::Time(value))) => column.append_value(value),
            (Column::Time(column), None) => column.append_null(),
            (Column::Instant(column), Some(Value::Ntz(at))) => column.append_value(at.encode_ntz())?,
            (Column::Instant(column), Some(Value::Ltz(at))) => column.append_value(at.encode_ltz())?,
            (Column::Instant(column), Some(Value::Tz(at))) => column.append_value(at.encode_tz())?,
            (Column::Instant(column), None) => column.append_null(),
            (Column::Json(column), Some(Value::Json(json))) => column.append_value(json.to_string()),
            (Column::Json(column), None) => column.append_null(),
            (_, Some(value)) => {
                return Err(SqlError::internal(format!("the value {value:?} is not a {}", self.ty)));
            }
        }
        Ok(())
    }

    /// The finished column.
    #[must_use]
    pub fn finish(self) -> ArrayRef {
        match self.column {
            Column::Fixed(mut column) => Arc::new(column.finish()),
            Column::Real(mut column) => Arc::new(column.finish()),
            Column::Bool(mut column) => Arc::new(column.finish()),
            Column::Text(mut column) => Arc::new(column.finish()),
            Column::Binary(mut column) => Arc::new(column.finish()),
            Column::Date(mut column) => Arc::new(column.finish()),
            Column::Time(mut column) => Arc::new(column.finish()),
            Column::Instant(mut column) => Arc::new(column.finish()),
            Column::Json(mut column) => Arc::new(column.finish()),
        }
    }
}
