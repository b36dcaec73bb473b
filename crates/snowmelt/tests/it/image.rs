//! A row as the test expects it in JSON, made from the simulator's own values.
//!
//! The publisher's decoder and encoder have no part in this: cells come from the engine's Arrow arrays by the rules of
//! `docs/guarantees.md`, and from Kafka's records as the raw text of each member, so that no digit passes through a
//! float on either side.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use base64::Engine as _;
use serde_json::value::RawValue;
use snowsim::types::SnowType;
use snowsim::types::timestamp::Timestamp;

/// One JSON value; numbers and nested values keep their text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) enum Cell {
    Null,
    Flag(bool),
    Number(String),
    Text(String),
    Nested(String),
}

/// Cells by column name.
pub(crate) type Image = BTreeMap<String, Cell>;

/// Reads a JSON object member by member.
pub(crate) fn from_json(text: &RawValue) -> Image {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text.get()).expect("an image is an object");
    members.into_iter().map(|(name, value)| (name, Cell::from_json(&value))).collect()
}

impl Cell {
    fn from_json(value: &RawValue) -> Self {
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Flag(true),
            Some(b'f') => Self::Flag(false),
            Some(b'"') => Self::Text(serde_json::from_str(text).expect("a JSON string")),
            Some(b'{' | b'[') => Self::Nested(text.to_owned()),
            _ => Self::Number(text.to_owned()),
        }
    }

    /// The cell `row` of a column of the engine, as the default format writes it.
    pub(crate) fn from_engine(column: &ArrayRef, row: usize, ty: SnowType) -> Self {
        if column.is_null(row) {
            return Self::Null;
        }
        match ty {
            SnowType::Fixed { scale, .. } => {
                let unscaled = column.as_primitive::<Decimal128Type>().value(row);
                let text = decimal(unscaled, usize::try_from(scale).expect("a scale of 0 to 37"));
                if scale == 0 { Self::Number(text) } else { Self::Text(text) }
            }
            SnowType::Real => Self::Number(format!("{:?}", column.as_primitive::<Float64Type>().value(row))),
            SnowType::Boolean => Self::Flag(column.as_boolean().value(row)),
            SnowType::Text { .. } => Self::Text(column.as_string::<i32>().value(row).to_owned()),
            SnowType::Binary { .. } => {
                let bytes = column.as_binary::<i32>().value(row);
                Self::Text(base64::engine::general_purpose::STANDARD.encode(bytes))
            }
            SnowType::Date => Self::Text(date(i64::from(column.as_primitive::<Date32Type>().value(row)))),
            SnowType::TimestampNtz { scale } => Self::Text(timestamp(column, row, scale, false)),
            SnowType::TimestampLtz { scale } => Self::Text(timestamp(column, row, scale, false) + "Z"),
            SnowType::TimestampTz { scale } => Self::Text(timestamp(column, row, scale, true)),
            SnowType::Variant | SnowType::Object | SnowType::Array | SnowType::Geography | SnowType::Geometry => {
                Self::Text(column.as_string::<i64>().value(row).to_owned())
            }
            other => panic!("the workload has no column of type {other:?}"),
        }
    }
}

fn decimal(unscaled: i128, scale: usize) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Counts the years and months off one by one: slow, and too simple to be wrong in the same way as arithmetic.
fn date(days: i64) -> String {
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let (mut year, mut left) = (1970, days);
    while left < 0 {
        year -= 1;
        left += if leap(year) { 366 } else { 365 };
    }
    while left >= if leap(year) { 366 } else { 365 } {
        left -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    format!("{year:04}-{:02}-{:02}", month + 1, left + 1)
}

fn timestamp(column: &ArrayRef, row: usize, scale: u8, with_offset: bool) -> String {
    let stored = Timestamp::decode(column.as_fixed_size_binary().value(row)).expect("a stored timestamp");
    let offset = if with_offset { i64::from(stored.offset_minutes) } else { 0 };
    let seconds = stored.seconds + offset * 60;
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let mut text = format!("{}T{:02}:{:02}:{:02}", date(days), of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = format!("{:09}", stored.nanos);
    if scale > 0 {
        let _ = write!(text, ".{}", &fraction[..usize::from(scale)]);
    }
    if with_offset {
        let sign = if offset < 0 { '-' } else { '+' };
        let _ = write!(text, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60);
    }
    text
}

#[test]
fn the_calendar_agrees_with_known_dates() {
    for (days, text) in [(0, "1970-01-01"), (-1, "1969-12-31"), (11_016, "2000-02-29"), (19_723, "2024-01-01")] {
        assert_eq!(date(days), text);
    }
    assert_eq!(decimal(-5, 4), "-0.0005");
    assert_eq!(decimal(12_345, 2), "123.45");
}
