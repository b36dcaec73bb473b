//! Snowflake's JSON cells, parsed.
//!
//! Every cell of a JSON result is a string or null, in the driver protocol's own raw forms (a date is
//! days since the epoch, a boolean is `1`): no display format of the session changes them. Parsing is
//! strict and exact, and ends in the same arrays that an Arrow result brings.

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array};
use arrow_buffer::NullBuffer;
use serde_json::value::RawValue;

use super::arrow::check_zone;
use super::cells::{Cells, Integers, Kind, SECOND, Timestamps, ZONE_BIAS, Zones, nanos_per_unit};
use super::{Column, DataType, MAX_DIGITS, MAX_UNSCALED, Malformed, ValueError, VectorElement};

/// Parses one column; `cell` gives a row's text, `None` for NULL.
pub(super) fn read<'c>(
    column: &Column,
    len: usize,
    cell: impl Fn(usize) -> Option<&'c str>,
) -> Result<Cells, ValueError> {
    let source = Source { column, len, cell: &cell };
    let kind = match column.ty {
        DataType::Fixed { scale, .. } => {
            let cells = source.parse(0, |text| fixed(text, scale))?;
            Kind::Fixed { integers: Integers::I128(Decimal128Array::from(cells)), scale }
        }
        DataType::DecFloat => Kind::DecFloat(source.parse((0, 0), dec_float)?),
        DataType::Real => Kind::Real(Float64Array::from(source.parse(0.0, real)?)),
        DataType::Boolean => Kind::Boolean(BooleanArray::from(source.parse(false, boolean)?)),
        DataType::Text | DataType::Geography | DataType::Geometry => Kind::Text(source.text()),
        DataType::Variant | DataType::Object | DataType::Array | DataType::Map => Kind::Variant(source.text()),
        DataType::Binary => Kind::Binary(source.binary()?),
        DataType::Date => Kind::Date(Date32Array::from(source.parse(0, date)?)),
        DataType::Time { scale } => {
            let cells = source.parse(0, |text| time(text, scale))?;
            Kind::Time { integers: Integers::I64(Int64Array::from(cells)), scale }
        }
        DataType::TimestampNtz { scale } => source.timestamps(scale, Zones::None)?,
        DataType::TimestampLtz { scale } => source.timestamps(scale, Zones::Utc)?,
        DataType::TimestampTz { scale } => source.zoned_timestamps(scale)?,
        DataType::Vector { element: VectorElement::Int, dimension } => {
            let dimension = usize::from(dimension);
            let elements = source.vectors::<i32>(dimension, i32::MIN..=i32::MAX)?;
            Kind::IntVector { elements: Int32Array::from(elements), dimension }
        }
        DataType::Vector { element: VectorElement::Float, dimension } => {
            let dimension = usize::from(dimension);
            let elements = source.vectors::<f32>(dimension, f32::MIN..=f32::MAX)?;
            Kind::FloatVector { elements: Float32Array::from(elements), dimension }
        }
    };
    let nulls: NullBuffer = (0..len).map(|row| cell(row).is_some()).collect();
    Ok(Cells { nulls: Some(nulls).filter(|nulls| nulls.null_count() > 0), kind })
}

/// One column's texts.
struct Source<'s, F> {
    column: &'s Column,
    len: usize,
    cell: &'s F,
}

impl<'c, F: Fn(usize) -> Option<&'c str>> Source<'_, F> {
    /// Parses every cell, `null` standing in for NULL.
    fn parse<T: Clone>(&self, null: T, parse: impl Fn(&str) -> Result<T, Malformed>) -> Result<Vec<T>, ValueError> {
        (0..self.len)
            .map(|row| match (self.cell)(row) {
                None => Ok(null.clone()),
                Some(text) => parse(text).map_err(|wrong| wrong.at(&self.column.name, row)),
            })
            .collect()
    }

    fn text(&self) -> arrow_array::StringArray {
        let bytes = (0..self.len).filter_map(self.cell).map(str::len).sum();
        let mut builder = StringBuilder::with_capacity(self.len, bytes);
        (0..self.len).for_each(|row| builder.append_value((self.cell)(row).unwrap_or_default()));
        builder.finish()
    }

    fn binary(&self) -> Result<arrow_array::BinaryArray, ValueError> {
        let mut builder = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for row in 0..self.len {
            bytes.clear();
            let text = (self.cell)(row).unwrap_or_default();
            unhex(text, &mut bytes).map_err(|wrong| wrong.at(&self.column.name, row))?;
            builder.append_value(&bytes);
        }
        Ok(builder.finish())
    }

    fn timestamps(&self, scale: u8, zone: Zones) -> Result<Kind, ValueError> {
        let instants = self.parse((0, 0), |text| instant(text, scale))?;
        let (epoch, fraction): (Vec<i64>, Vec<i32>) = instants.into_iter().unzip();
        let fraction = Some(Int32Array::from(fraction));
        Ok(Kind::Timestamp(Timestamps { epoch: Int64Array::from(epoch), fraction, zone, scale }))
    }

    fn zoned_timestamps(&self, scale: u8) -> Result<Kind, ValueError> {
        const EXPECTED: &str = "epoch seconds, a space and minutes of offset + 1440";
        let cells = self.parse(((0, 0), ZONE_BIAS), |text| {
            let (seconds, zone) = text.split_once(' ').ok_or_else(|| Malformed::new(text, EXPECTED))?;
            let zone = integer::<i32>(zone).ok_or_else(|| Malformed::new(text, EXPECTED))?;
            check_zone(zone)?;
            Ok((instant(seconds, scale)?, zone))
        })?;
        let (instants, zones): (Vec<(i64, i32)>, Vec<i32>) = cells.into_iter().unzip();
        let (epoch, fraction): (Vec<i64>, Vec<i32>) = instants.into_iter().unzip();
        Ok(Kind::Timestamp(Timestamps {
            epoch: Int64Array::from(epoch),
            fraction: Some(Int32Array::from(fraction)),
            zone: Zones::Each(Int32Array::from(zones)),
            scale,
        }))
    }

    /// All vectors' elements, one after the other. Each is parsed from its own text, because reading an
    /// f32 by way of an f64 rounds twice.
    fn vectors<T>(&self, dimension: usize, range: std::ops::RangeInclusive<T>) -> Result<Vec<T>, ValueError>
    where
        T: std::str::FromStr + PartialOrd + Copy + Default,
    {
        const EXPECTED: &str = "a JSON array of as many numbers as the vector's dimension";
        let mut elements = Vec::with_capacity(self.len * dimension);
        for row in 0..self.len {
            let Some(text) = (self.cell)(row) else {
                elements.resize(elements.len() + dimension, T::default());
                continue;
            };
            let refuse = || Malformed::new(text, EXPECTED).at(&self.column.name, row);
            let parts: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| refuse())?;
            if parts.len() != dimension {
                return Err(refuse());
            }
            for part in parts {
                let element: T = part.get().parse().map_err(|_| refuse())?;
                if !range.contains(&element) {
                    return Err(refuse());
                }
                elements.push(element);
            }
        }
        Ok(elements)
    }
}

/// A signed number as text, cut at its point: sign, whole digits, fraction digits. Both parts are
/// digits only, and at least one of them is not empty.
fn decimal_parts(text: &str) -> Option<(bool, &str, &str)> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let some = !whole.is_empty() || !fraction.is_empty();
    (some && digits(whole) && digits(fraction)).then_some((negative, whole, fraction))
}

/// The integer that the digits of `whole` and `fraction` spell with exactly `scale` digits of fraction.
/// `None` if it has more than 38 digits or if a digit that is not 0 would be cut off.
fn unscaled(negative: bool, whole: &str, fraction: &str, scale: usize) -> Option<i128> {
    let (kept, cut) = fraction.split_at(fraction.len().min(scale));
    if cut.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let padding = std::iter::repeat_n(b'0', scale - kept.len());
    let mut number = 0_i128;
    for digit in whole.bytes().chain(kept.bytes()).chain(padding) {
        // Ten times 38 nines is more than an i128 holds.
        number = number.checked_mul(10)? + i128::from(digit - b'0');
        if number > MAX_UNSCALED {
            return None;
        }
    }
    Some(if negative { -number } else { number })
}

fn fixed(text: &str, scale: u8) -> Result<i128, Malformed> {
    decimal_parts(text)
        .and_then(|(negative, whole, fraction)| unscaled(negative, whole, fraction, usize::from(scale)))
        .ok_or_else(|| Malformed::new(text, "a decimal number of at most 38 digits within its scale"))
}

fn dec_float(text: &str) -> Result<(i128, i32), Malformed> {
    let parse = || {
        let (number, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], integer::<i16>(&text[at + 1..])?),
            None => (text, 0),
        };
        let (negative, whole, fraction) = decimal_parts(number)?;
        // Zeros at the end stand outside the 38 digits: "1" followed by 50 zeros has one digit.
        let (whole, fraction, zeros) = match fraction.trim_end_matches('0') {
            "" => {
                let kept = whole.trim_end_matches('0');
                (kept, "", whole.len() - kept.len())
            }
            kept => (whole, kept, 0),
        };
        let significand = unscaled(negative, whole, fraction, fraction.len())?;
        let shift = i32::try_from(zeros).ok()? - i32::try_from(fraction.len()).ok()?;
        Some(normalized(significand, i32::from(exponent).checked_add(shift)?))
    };
    parse().ok_or_else(|| Malformed::new(text, "a decimal number of at most 38 significant digits"))
}

/// The one form of each DECFLOAT: no trailing zeros in the significand, exponent 0 for zero.
pub(super) fn normalized(mut significand: i128, mut exponent: i32) -> (i128, i32) {
    if significand == 0 {
        return (0, 0);
    }
    while significand % 10 == 0 {
        significand /= 10;
        exponent += 1;
    }
    (significand, exponent)
}

fn real(text: &str) -> Result<f64, Malformed> {
    let special = matches!(text, "NaN" | "inf" | "-inf");
    let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    let number = if special || plain { text.parse::<f64>().ok() } else { None };
    // "1e999" would parse as infinity, which is not what was stored.
    number
        .filter(|number| special || number.is_finite())
        .ok_or_else(|| Malformed::new(text, "a floating-point number, NaN, inf or -inf"))
}

fn boolean(text: &str) -> Result<bool, Malformed> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Malformed::new(text, "1 or 0")),
    }
}

fn date(text: &str) -> Result<i32, Malformed> {
    integer(text).ok_or_else(|| Malformed::new(text, "days since 1970-01-01"))
}

fn time(text: &str, scale: u8) -> Result<i64, Malformed> {
    let units = decimal_parts(text)
        .and_then(|(negative, whole, fraction)| unscaled(negative, whole, fraction, usize::from(scale)));
    let day = 86_400 * 10_i128.pow(u32::from(scale));
    units
        .filter(|units| (0..day).contains(units))
        .and_then(|units| i64::try_from(units).ok())
        .ok_or_else(|| Malformed::new(text, "seconds since midnight within one day and scale"))
}

/// Epoch seconds with a fraction, as whole seconds rounded down and nanoseconds.
fn instant(text: &str, scale: u8) -> Result<(i64, i32), Malformed> {
    let parse = || {
        let (negative, whole, fraction) = decimal_parts(text)?;
        let nanos = unscaled(negative, whole, fraction, 9)?;
        if nanos % i128::from(nanos_per_unit(scale)) != 0 {
            return None;
        }
        let second = i128::from(SECOND);
        let seconds = i64::try_from(nanos.div_euclid(second)).ok()?;
        Some((seconds, i32::try_from(nanos.rem_euclid(second)).ok()?))
    };
    parse().ok_or_else(|| Malformed::new(text, "epoch seconds with decimals within its scale"))
}

/// An integer in plain digits: no space, no point.
fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (plain && digits.len() <= MAX_DIGITS as usize).then(|| text.parse().ok()).flatten()
}

fn unhex(text: &str, bytes: &mut Vec<u8>) -> Result<(), Malformed> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut decode = || {
        for [high, low] in pairs {
            bytes.push(digit(*high)? << 4 | digit(*low)?);
        }
        rest.is_empty().then_some(())
    };
    decode().ok_or_else(|| Malformed::new(text, "an even number of hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        let nines = "9".repeat(38);
        assert_eq!(fixed(&nines, 0), Ok(MAX_UNSCALED));
        assert_eq!(fixed(&format!("-0.{}", "9".repeat(37)), 37), Ok(-(10_i128.pow(37) - 1)));
        assert_eq!(fixed("1.5", 2), Ok(150));
        assert_eq!(fixed("1.500", 2), Ok(150));
        assert!(fixed("1.505", 2).is_err(), "a digit would be lost");
        assert!(fixed(&format!("{nines}9"), 0).is_err());
        for wrong in ["", "-", ".", "1e3", " 1", "1 ", "0x1", "١", "--1", "1.2.3"] {
            assert!(fixed(wrong, 2).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn decimal_floats_have_one_form() {
        assert_eq!(dec_float("1500"), Ok((15, 2)));
        assert_eq!(dec_float("15e2"), Ok((15, 2)));
        assert_eq!(dec_float("0.00150"), Ok((15, -4)));
        assert_eq!(dec_float("-1.5E-100"), Ok((-15, -101)));
        assert_eq!(dec_float("0e10"), Ok((0, 0)));
        assert_eq!(dec_float(&format!("1{}", "0".repeat(60))), Ok((1, 60)));
        assert!(dec_float(&"1".repeat(39)).is_err());
    }

    #[test]
    fn instants_before_1970_round_down() {
        assert_eq!(instant("-0.500000000", 9), Ok((-1, 500_000_000)));
        assert_eq!(instant("-1", 0), Ok((-1, 0)));
        assert_eq!(instant("-1.000000001", 9), Ok((-2, 999_999_999)));
        assert_eq!(instant("1704164645.123", 3), Ok((1_704_164_645, 123_000_000)));
        assert!(instant("1.1234", 3).is_err(), "a digit beyond the scale");
    }

    #[test]
    fn a_number_too_large_for_a_float_is_not_infinity() {
        assert!(real("1e999").is_err());
        assert!(real("infinity").is_err());
        assert_eq!(real("-inf"), Ok(f64::NEG_INFINITY));
        assert!(real("NaN").unwrap().is_nan());
    }
}
