//! JSON as Snowflake's drivers read it: every value a text or null, rows as arrays, comma between rows.
//!
//! No outer brackets: a chunk is exactly this, and the inline part gets its brackets from the reply.
//! Numbers keep their scale, fractions of seconds are padded to the column's scale, booleans are 1 and 0.

use std::io::{self, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Time64NanosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array,
    LargeStringArray, RecordBatch, StringArray, Time64NanosecondArray,
};

use super::canonical;
use crate::types::timestamp::Timestamp;
use crate::types::{ColumnMeta, SnowType};

/// Bytes gathered before they are handed on.
const BLOCK: usize = 1 << 16;

/// Writes batches as comma-separated row arrays.
pub(crate) fn write(columns: &[ColumnMeta], batches: &[RecordBatch], out: &mut impl Write) -> io::Result<()> {
    let mut block = Vec::with_capacity(BLOCK + BLOCK / 4);
    let mut first = true;
    for batch in batches {
        let arrays: io::Result<Vec<ArrayRef>> =
            batch.columns().iter().zip(columns).map(|(column, meta)| canonical(column, meta)).collect();
        let arrays = arrays?;
        let cells: Vec<Cells<'_>> =
            arrays.iter().zip(columns).map(|(array, meta)| Cells::of(array, &meta.ty)).collect();
        for row in 0..batch.num_rows() {
            block.extend_from_slice(if first { b"[" } else { b",[" });
            first = false;
            for (index, cell) in cells.iter().enumerate() {
                if index > 0 {
                    block.push(b',');
                }
                cell.write(row, &mut block)?;
            }
            block.push(b']');
            if block.len() >= BLOCK {
                out.write_all(&block)?;
                block.clear();
            }
        }
    }
    out.write_all(&block)
}

/// One column's values, typed.
enum Cells<'a> {
    Fixed(&'a Decimal128Array, u32),
    Real(&'a Float64Array),
    Boolean(&'a BooleanArray),
    Text(&'a StringArray),
    Json(&'a LargeStringArray),
    Binary(&'a BinaryArray),
    Date(&'a Date32Array),
    Time(&'a Time64NanosecondArray, u8),
    Timestamp(&'a FixedSizeBinaryArray, u8, bool),
}

impl<'a> Cells<'a> {
    fn of(array: &'a ArrayRef, ty: &SnowType) -> Cells<'a> {
        match *ty {
            SnowType::Fixed { scale, .. } => {
                Cells::Fixed(array.as_primitive::<Decimal128Type>(), u32::try_from(scale).unwrap_or(0))
            }
            SnowType::Real => Cells::Real(array.as_primitive::<Float64Type>()),
            SnowType::Boolean => Cells::Boolean(array.as_boolean()),
            SnowType::Text { .. } => Cells::Text(array.as_string()),
            SnowType::Variant | SnowType::Object | SnowType::Array | SnowType::Geography | SnowType::Geometry => {
                Cells::Json(array.as_string())
            }
            SnowType::Binary { .. } => Cells::Binary(array.as_binary()),
            SnowType::Date => Cells::Date(array.as_primitive::<Date32Type>()),
            SnowType::Time { scale } => Cells::Time(array.as_primitive::<Time64NanosecondType>(), scale),
            SnowType::TimestampNtz { scale } | SnowType::TimestampLtz { scale } => {
                Cells::Timestamp(array.as_fixed_size_binary(), scale, false)
            }
            SnowType::TimestampTz { scale } => Cells::Timestamp(array.as_fixed_size_binary(), scale, true),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Cells::Fixed(array, _) => array.is_null(row),
            Cells::Real(array) => array.is_null(row),
            Cells::Boolean(array) => array.is_null(row),
            Cells::Text(array) => array.is_null(row),
            Cells::Json(array) => array.is_null(row),
            Cells::Binary(array) => array.is_null(row),
            Cells::Date(array) => array.is_null(row),
            Cells::Time(array, _) => array.is_null(row),
            Cells::Timestamp(array, _, _) => array.is_null(row),
        }
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) -> io::Result<()> {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match self {
            Cells::Text(array) => return Ok(serde_json::to_writer(out, array.value(row))?),
            Cells::Json(array) => return Ok(serde_json::to_writer(out, array.value(row))?),
            _ => {}
        }
        out.push(b'"');
        match self {
            Cells::Fixed(array, scale) => decimal(out, array.value(row), *scale)?,
            Cells::Real(array) => real(out, array.value(row))?,
            Cells::Boolean(array) => out.push(if array.value(row) { b'1' } else { b'0' }),
            Cells::Binary(array) => hex(out, array.value(row)),
            Cells::Date(array) => write!(out, "{}", array.value(row))?,
            Cells::Time(array, scale) => seconds(out, i128::from(array.value(row)), *scale)?,
            Cells::Timestamp(array, scale, with_offset) => {
                let stamp = Timestamp::decode(array.value(row))
                    .ok_or_else(|| io::Error::other("a timestamp of no known width"))?;
                seconds(out, stamp.to_nanos(), *scale)?;
                if *with_offset {
                    write!(out, " {}", i32::from(stamp.offset_minutes) + 1440)?;
                }
            }
            Cells::Text(_) | Cells::Json(_) => {}
        }
        out.push(b'"');
        Ok(())
    }
}

/// An unscaled integer with its point put in, all digits of the scale shown.
fn decimal(out: &mut Vec<u8>, value: i128, scale: u32) -> io::Result<()> {
    if scale == 0 {
        return match i64::try_from(value) {
            Ok(small) => write!(out, "{small}"),
            Err(_) => write!(out, "{value}"),
        };
    }
    let unit = 10_u128.pow(scale.min(38));
    let magnitude = value.unsigned_abs();
    let width = usize::try_from(scale).unwrap_or(0);
    let sign = if value < 0 { "-" } else { "" };
    write!(out, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit)
}

/// Nanoseconds as seconds, cut to `scale` digits, which are all shown.
fn seconds(out: &mut Vec<u8>, nanos: i128, scale: u8) -> io::Result<()> {
    let scale = u32::from(scale.min(9));
    decimal(out, nanos.div_euclid(10_i128.pow(9 - scale)), scale)
}

/// The shortest text that reads back as the same double.
fn real(out: &mut Vec<u8>, value: f64) -> io::Result<()> {
    let magnitude = value.abs();
    if value.is_nan() {
        write!(out, "NaN")
    } else if value.is_infinite() {
        write!(out, "{}", if value > 0.0 { "inf" } else { "-inf" })
    } else if magnitude != 0.0 && !(1e-5..1e16).contains(&magnitude) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    }
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_keep_every_digit() {
        assert_eq!(text(|out| decimal(out, -150, 2)), "-1.50");
        assert_eq!(text(|out| decimal(out, -5, 2)), "-0.05");
        let nines = 10_i128.pow(38) - 1;
        assert_eq!(text(|out| decimal(out, -nines, 0)), format!("-{nines}"));
        assert_eq!(text(|out| decimal(out, nines, 37)), format!("9.{}", "9".repeat(37)));
    }

    #[test]
    fn seconds_are_padded_and_may_be_negative() {
        assert_eq!(text(|out| seconds(out, -500_000_000, 9)), "-0.500000000");
        assert_eq!(text(|out| seconds(out, 45_296_789_000_000, 3)), "45296.789");
        assert_eq!(text(|out| seconds(out, -1, 3)), "-0.001", "a cut goes towards the past, as in Arrow");
        assert_eq!(text(|out| seconds(out, 1_000_000_000, 0)), "1");
    }

    #[test]
    fn doubles_read_back_as_themselves() {
        for value in [0.1, -0.0, 1e300, 5e-324, f64::MAX, 1.0 / 3.0, 123_456_789.125] {
            let written = text(|out| real(out, value));
            assert_eq!(written.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{written}");
        }
        assert_eq!(text(|out| real(out, f64::NEG_INFINITY)), "-inf");
    }

    #[test]
    fn binary_is_upper_case_hex() {
        assert_eq!(
            text(|out| {
                hex(out, &[0, 0xab, 0xff]);
                Ok(())
            }),
            "00ABFF"
        );
    }
}
