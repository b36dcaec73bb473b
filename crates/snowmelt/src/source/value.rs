//! Snowflake's values, typed and exact.
//!
//! A result arrives in one of two encodings: Arrow batches in Snowflake's own wire layout, or rows of
//! JSON strings. Both become the same [`Rows`], a columnar batch over Arrow arrays, and both give equal
//! [`Value`]s for equal cells; no number passes through a float unless the column is one.
//! Everything is checked once, when a batch is made, so that reading a value cannot fail.
//! What a value looks like in Kafka is left to `encode`.

mod arrow;
mod cells;
mod column;
mod json;
mod rows;

#[cfg(test)]
mod agreement;

pub use column::{Column, DataType, RowTypeEntry, VectorElement, parse_columns};
pub use rows::Rows;

use thiserror::Error;

/// The most digits a NUMBER or DECFLOAT has.
pub(crate) const MAX_DIGITS: u32 = 38;

/// The largest unscaled NUMBER: 38 nines.
pub(crate) const MAX_UNSCALED: i128 = 10_i128.pow(MAX_DIGITS) - 1;

/// One cell, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// SQL NULL (a VARIANT that holds JSON `null` is `Variant("null")`).
    Null,
    /// NUMBER: `unscaled / 10^scale`, at most 38 digits.
    Fixed {
        /// The integer with the decimal point removed.
        unscaled: i128,
        /// Digits after the decimal point, 0 to 37.
        scale: u8,
    },
    /// DECFLOAT: `significand * 10^exponent`, without trailing zeros in the significand.
    DecFloat {
        /// At most 38 digits.
        significand: i128,
        /// Power of ten; 0 when the significand is 0.
        exponent: i32,
    },
    /// FLOAT, NaN and the infinities included.
    Real(f64),
    /// BOOLEAN.
    Boolean(bool),
    /// TEXT, and GEOGRAPHY or GEOMETRY in their text formats.
    Text(&'a str),
    /// BINARY, and GEOGRAPHY or GEOMETRY as WKB.
    Binary(&'a [u8]),
    /// DATE: days since 1970-01-01, proleptic Gregorian.
    Date(i32),
    /// TIME.
    Time {
        /// Nanoseconds since midnight, less than a day.
        nanos: u64,
        /// Declared digits of the fraction, 0 to 9.
        scale: u8,
    },
    /// Any of the three TIMESTAMP types.
    Timestamp {
        /// Whole seconds since 1970-01-01T00:00:00 (UTC, or the wall clock's for NTZ), rounded down.
        seconds: i64,
        /// Nanoseconds after `seconds`, 0 to 999,999,999, also before 1970.
        nanos: u32,
        /// Declared digits of the fraction, 0 to 9.
        scale: u8,
        /// What is known of the time zone.
        zone: Zone,
    },
    /// VARIANT, OBJECT, ARRAY or MAP as JSON text; not validated here.
    Variant(&'a str),
    /// VECTOR.
    Vector(Vector<'a>),
}

/// The time zone of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zone {
    /// TIMESTAMP_NTZ: a wall clock without a zone.
    None,
    /// TIMESTAMP_LTZ: an instant.
    Utc,
    /// TIMESTAMP_TZ: an instant and its offset from UTC in minutes, -720 to 840.
    Offset(i16),
}

/// The elements of a VECTOR.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Vector<'a> {
    /// `VECTOR(INT, n)`.
    Int(&'a [i32]),
    /// `VECTOR(FLOAT, n)`.
    Float(&'a [f32]),
}

impl PartialEq for Value<'_> {
    /// Equality of stored values: a NaN equals a NaN, and -0.0 is not 0.0, so that "equal" means
    /// "encoded to the same bytes".
    fn eq(&self, other: &Self) -> bool {
        use Value::{Binary, Boolean, Date, DecFloat, Fixed, Null, Real, Text, Time, Timestamp, Variant};
        match (self, other) {
            (Null, Null) => true,
            (Fixed { unscaled: a, scale: s }, Fixed { unscaled: b, scale: t }) => a == b && s == t,
            (DecFloat { significand: a, exponent: s }, DecFloat { significand: b, exponent: t }) => a == b && s == t,
            (Real(a), Real(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Boolean(a), Boolean(b)) => a == b,
            (Text(a), Text(b)) | (Variant(a), Variant(b)) => a == b,
            (Binary(a), Binary(b)) => a == b,
            (Date(a), Date(b)) => a == b,
            (Time { nanos: a, scale: s }, Time { nanos: b, scale: t }) => a == b && s == t,
            (
                Timestamp { seconds: a, nanos: m, scale: s, zone: y },
                Timestamp { seconds: b, nanos: n, scale: t, zone: z },
            ) => a == b && m == n && s == t && y == z,
            (Value::Vector(a), Value::Vector(b)) => a == b,
            _ => false,
        }
    }
}

/// A result that cannot be read exactly. None of these is worth a retry by itself: the same bytes will
/// fail again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValueError {
    /// A column of a type this version does not know.
    #[error(
        "column {column} has type {ty}, which this version cannot carry; cast it to a known type in a view or leave it out"
    )]
    UnknownType {
        /// Column name.
        column: String,
        /// Type as Snowflake names it.
        ty: String,
    },
    /// A column description that contradicts itself.
    #[error("column {column} of type {ty}: {reason}")]
    Description {
        /// Column name.
        column: String,
        /// Type as Snowflake names it.
        ty: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// A batch or row with more or fewer columns than the result announced.
    #[error("row {row} has {came} cells, but the result announced {expected} columns")]
    Width {
        /// Row in the batch, from 0; 0 for a whole Arrow batch.
        row: usize,
        /// Cells that came.
        came: usize,
        /// Columns announced.
        expected: usize,
    },
    /// An Arrow column whose physical type does not belong to its Snowflake type.
    #[error("column {column} came as arrow {came}, expected {expected}")]
    Layout {
        /// Column name.
        column: String,
        /// Arrow type that came.
        came: String,
        /// Arrow types that were possible.
        expected: &'static str,
    },
    /// A cell that is not a value of its column's type.
    #[error("column {column}, row {row}: came {came:?}, expected {expected}")]
    Cell {
        /// Column name.
        column: String,
        /// Row in the batch, from 0.
        row: usize,
        /// The cell, cut to a few dozen characters.
        came: String,
        /// What would have been right.
        expected: &'static str,
    },
}

/// What is wrong with one cell; the caller adds where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) came: String,
    pub(crate) expected: &'static str,
}

impl Malformed {
    /// Keeps only the beginning of a long cell: an error message is no place for sixteen megabytes.
    pub(crate) fn new(came: impl AsRef<str>, expected: &'static str) -> Self {
        const KEPT: usize = 48;
        let came = came.as_ref();
        let mut short: String = came.chars().take(KEPT).collect();
        if short.len() < came.len() {
            short.push('…');
        }
        Self { came: short, expected }
    }

    pub(crate) fn at(self, column: &str, row: usize) -> ValueError {
        ValueError::Cell { column: column.to_owned(), row, came: self.came, expected: self.expected }
    }
}
