//! Snowflake's Arrow layouts, checked.
//!
//! The physical type says how a column is laid out and may change from chunk to chunk (a NUMBER comes
//! in the narrowest integer that holds the chunk's values); the Snowflake type says what it means.
//! A combination that Snowflake never sends is an error here, not a surprise later.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType as Arrow;

use super::cells::{Cells, Integers, Kind, SECOND, Timestamps, ZONE_BIAS, Zones, nanos_per_unit};
use super::{Column, DataType, MAX_UNSCALED, Malformed, ValueError, VectorElement, json};

/// Offsets from -12:00 to +14:00, biased. Snowflake's page gives 720 to 2160, which would end at +12:00.
pub(super) const ZONES: std::ops::RangeInclusive<i32> = ZONE_BIAS - 720..=ZONE_BIAS + 840;

/// Takes one column of a batch.
pub(super) fn read(column: &Column, array: &ArrayRef) -> Result<Cells, ValueError> {
    let kind = match column.ty {
        DataType::Fixed { scale, .. } => Kind::Fixed { integers: fixed(column, array)?, scale },
        DataType::DecFloat => dec_float(column, array)?,
        DataType::Real => {
            Kind::Real(array.as_primitive_opt::<Float64Type>().ok_or_else(|| layout(column, array, "float64"))?.clone())
        }
        DataType::Boolean => {
            Kind::Boolean(array.as_boolean_opt().ok_or_else(|| layout(column, array, "boolean"))?.clone())
        }
        DataType::Text => Kind::Text(text(column, array)?),
        DataType::Binary => {
            Kind::Binary(array.as_binary_opt::<i32>().ok_or_else(|| layout(column, array, "binary"))?.clone())
        }
        DataType::Date => {
            Kind::Date(array.as_primitive_opt::<Date32Type>().ok_or_else(|| layout(column, array, "date32"))?.clone())
        }
        DataType::Time { scale } => Kind::Time { integers: time(column, array, scale)?, scale },
        DataType::TimestampNtz { scale } => timestamp(column, array, scale, Zones::None)?,
        DataType::TimestampLtz { scale } => timestamp(column, array, scale, Zones::Utc)?,
        DataType::TimestampTz { scale } => timestamp_tz(column, array, scale)?,
        DataType::Variant | DataType::Object | DataType::Array | DataType::Map => Kind::Variant(text(column, array)?),
        DataType::Geography | DataType::Geometry => match array.as_binary_opt::<i32>() {
            Some(well_known) => Kind::Binary(well_known.clone()),
            None => Kind::Text(text(column, array)?),
        },
        DataType::Vector { element, dimension } => vector(column, array, element, dimension)?,
    };
    Ok(Cells { nulls: array.nulls().cloned(), kind })
}

fn layout(column: &Column, array: &dyn Array, expected: &'static str) -> ValueError {
    ValueError::Layout { column: column.name.clone(), came: array.data_type().to_string(), expected }
}

fn text(column: &Column, array: &ArrayRef) -> Result<arrow_array::StringArray, ValueError> {
    let strings = array.as_string_opt::<i32>();
    strings.cloned().ok_or_else(|| layout(column, array, "utf8"))
}

fn integers(array: &ArrayRef) -> Option<Integers> {
    Some(match array.data_type() {
        Arrow::Int8 => Integers::I8(array.as_primitive_opt::<Int8Type>()?.clone()),
        Arrow::Int16 => Integers::I16(array.as_primitive_opt::<Int16Type>()?.clone()),
        Arrow::Int32 => Integers::I32(array.as_primitive_opt::<Int32Type>()?.clone()),
        Arrow::Int64 => Integers::I64(array.as_primitive_opt::<Int64Type>()?.clone()),
        Arrow::Decimal128(_, _) => Integers::I128(array.as_primitive_opt::<Decimal128Type>()?.clone()),
        _ => return None,
    })
}

fn fixed(column: &Column, array: &ArrayRef) -> Result<Integers, ValueError> {
    const EXPECTED: &str = "int8, int16, int32, int64 or decimal128";
    let integers = integers(array).ok_or_else(|| layout(column, array, EXPECTED))?;
    if matches!(integers, Integers::I128(_)) {
        check(column, array.nulls(), array.len(), |row| {
            let unscaled = integers.get(row);
            (-MAX_UNSCALED..=MAX_UNSCALED)
                .contains(&unscaled)
                .then_some(())
                .ok_or_else(|| Malformed::new(unscaled.to_string(), "at most 38 digits"))
        })?;
    }
    Ok(integers)
}

fn time(column: &Column, array: &ArrayRef, scale: u8) -> Result<Integers, ValueError> {
    let came = integers(array).filter(|i| matches!(i, Integers::I32(_) | Integers::I64(_)));
    let integers = came.ok_or_else(|| layout(column, array, "int32 or int64"))?;
    let day = 86_400 * 10_i128.pow(u32::from(scale));
    check(column, array.nulls(), array.len(), |row| {
        let units = integers.get(row);
        (0..day)
            .contains(&units)
            .then_some(())
            .ok_or_else(|| Malformed::new(units.to_string(), "a time within one day"))
    })?;
    Ok(integers)
}

fn timestamp(column: &Column, array: &ArrayRef, scale: u8, zone: Zones) -> Result<Kind, ValueError> {
    const EXPECTED: &str = "int64 or struct{epoch: int64, fraction: int32}";
    let (epoch, fraction) = match array.as_struct_opt() {
        Some(parts) => {
            let epoch = part::<Int64Type>(parts, "epoch");
            let fraction = part::<Int32Type>(parts, "fraction");
            let (Some(epoch), Some(fraction)) = (epoch, fraction) else {
                return Err(layout(column, array, EXPECTED));
            };
            (epoch, Some(fraction))
        }
        None => {
            let scaled = array.as_primitive_opt::<Int64Type>();
            (scaled.cloned().ok_or_else(|| layout(column, array, EXPECTED))?, None)
        }
    };
    checked(column, array, Timestamps { epoch, fraction, zone, scale })
}

fn timestamp_tz(column: &Column, array: &ArrayRef, scale: u8) -> Result<Kind, ValueError> {
    const EXPECTED: &str = "struct{epoch: int64, [fraction: int32,] timezone: int32}";
    let refuse = || layout(column, array, EXPECTED);
    let parts = array.as_struct_opt().ok_or_else(refuse)?;
    let epoch = part::<Int64Type>(parts, "epoch").ok_or_else(refuse)?;
    let zone = part::<Int32Type>(parts, "timezone").ok_or_else(refuse)?;
    let fraction = match parts.column_by_name("fraction") {
        Some(_) => Some(part::<Int32Type>(parts, "fraction").ok_or_else(refuse)?),
        None => None,
    };
    checked(column, array, Timestamps { epoch, fraction, zone: Zones::Each(zone), scale })
}

fn part<T: arrow_array::types::ArrowPrimitiveType>(
    parts: &StructArray,
    name: &str,
) -> Option<arrow_array::PrimitiveArray<T>> {
    parts.column_by_name(name)?.as_primitive_opt::<T>().cloned()
}

fn checked(column: &Column, array: &ArrayRef, parts: Timestamps) -> Result<Kind, ValueError> {
    let Timestamps { epoch, fraction, zone, scale } = &parts;
    check(column, array.nulls(), array.len(), |row| {
        present::<Int64Array>(epoch, row, "an epoch")?;
        if let Some(fraction) = fraction {
            present::<Int32Array>(fraction, row, "a fraction")?;
            check_fraction(fraction.value(row), *scale)?;
        }
        if let Zones::Each(zone) = zone {
            present::<Int32Array>(zone, row, "a time zone")?;
            check_zone(zone.value(row))?;
        }
        Ok(())
    })?;
    Ok(Kind::Timestamp(parts))
}

/// A part of a struct may be null only where the whole is.
fn present<A: Array>(array: &A, row: usize, expected: &'static str) -> Result<(), Malformed> {
    if array.is_null(row) { Err(Malformed::new("null", expected)) } else { Ok(()) }
}

/// Digits beyond the declared scale would be lost when the value is written; better to say so.
fn check_fraction(nanos: i32, scale: u8) -> Result<(), Malformed> {
    let in_range = u32::try_from(nanos).is_ok_and(|nanos| nanos < SECOND);
    if in_range && i64::from(nanos) % nanos_per_unit(scale) == 0 {
        Ok(())
    } else {
        Err(Malformed::new(nanos.to_string(), "a fraction of 0 to 999999999 ns within its scale"))
    }
}

pub(super) fn check_zone(biased: i32) -> Result<(), Malformed> {
    if ZONES.contains(&biased) { Ok(()) } else { Err(Malformed::new(biased.to_string(), "a time zone of 720 to 2280")) }
}

fn dec_float(column: &Column, array: &ArrayRef) -> Result<Kind, ValueError> {
    const EXPECTED: &str = "struct{exponent: int16, significand: binary}";
    let refuse = || layout(column, array, EXPECTED);
    let parts = array.as_struct_opt().ok_or_else(refuse)?;
    let exponents = part::<Int16Type>(parts, "exponent").ok_or_else(refuse)?;
    let significands = parts.column_by_name("significand").and_then(|part| part.as_binary_opt::<i32>());
    let significands = significands.ok_or_else(refuse)?;
    let mut cells = vec![(0, 0); array.len()];
    check(column, array.nulls(), array.len(), |row| {
        present(&exponents, row, "an exponent")?;
        present(significands, row, "a significand")?;
        let significand = big_endian(significands.value(row))?;
        cells[row] = json::normalized(significand, i32::from(exponents.value(row)));
        Ok(())
    })?;
    Ok(Kind::DecFloat(cells))
}

/// A two's complement integer, most significant byte first.
fn big_endian(bytes: &[u8]) -> Result<i128, Malformed> {
    const EXPECTED: &str = "a significand of at most 38 digits in at most 16 bytes";
    let refuse = || Malformed::new(format!("{bytes:02x?}"), EXPECTED);
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    let from = wide.len().checked_sub(bytes.len()).ok_or_else(refuse)?;
    wide[from..].copy_from_slice(bytes);
    let significand = i128::from_be_bytes(wide);
    if (-MAX_UNSCALED..=MAX_UNSCALED).contains(&significand) { Ok(significand) } else { Err(refuse()) }
}

fn vector(column: &Column, array: &ArrayRef, element: VectorElement, dimension: u16) -> Result<Kind, ValueError> {
    const EXPECTED: &str = "fixed_size_list of int32 or float32 with the declared dimension";
    let refuse = || layout(column, array, EXPECTED);
    let list = array.as_fixed_size_list_opt().ok_or_else(refuse)?;
    if list.value_length() != i32::from(dimension) {
        return Err(refuse());
    }
    let elements = list.values();
    let dimension = usize::from(dimension);
    check(column, array.nulls(), array.len(), |row| {
        (row * dimension..(row + 1) * dimension).try_for_each(|index| present(elements, index, "an element"))
    })?;
    Ok(match element {
        VectorElement::Int => {
            let elements = elements.as_primitive_opt::<Int32Type>().ok_or_else(refuse)?.clone();
            Kind::IntVector { elements, dimension }
        }
        VectorElement::Float => {
            let elements = elements.as_primitive_opt::<Float32Type>().ok_or_else(refuse)?.clone();
            Kind::FloatVector { elements, dimension }
        }
    })
}

/// Runs `check` on every cell that is not NULL.
fn check(
    column: &Column,
    nulls: Option<&NullBuffer>,
    len: usize,
    mut check: impl FnMut(usize) -> Result<(), Malformed>,
) -> Result<(), ValueError> {
    for row in 0..len {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            check(row).map_err(|malformed| malformed.at(&column.name, row))?;
        }
    }
    Ok(())
}
