//! Values as JSON text.
//!
//! Exact and canonical: a NUMBER has exactly its scale's decimals, a timestamp its scale's digits, a
//! FLOAT the shortest text that reads back the same. Writes only valid JSON, straight into a buffer.
//! A refusal is a sentence without place; the caller knows the column.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;

use super::calendar;
use crate::source::value::{Value, Vector, Zone};

/// How the cells of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// Exact numbers as JSON numbers rather than strings.
    pub(super) number: bool,
    /// Semi-structured values as JSON rather than strings.
    pub(super) raw_variant: bool,
    /// Bytes as hexadecimal rather than base64.
    pub(super) hex: bool,
}

/// Writes one cell.
pub(super) fn value(out: &mut Vec<u8>, value: Value<'_>, style: Style) -> Result<(), String> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Fixed { unscaled, scale } if style.number => decimal(out, unscaled, scale),
        Value::Fixed { unscaled, scale } => quoted(out, |out| decimal(out, unscaled, scale)),
        Value::DecFloat { significand, exponent } if style.number => {
            dec_float(out, significand, exponent);
        }
        Value::DecFloat { significand, exponent } => {
            quoted(out, |out| dec_float(out, significand, exponent));
        }
        Value::Real(number) => real(out, number)?,
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Text(text) => string(out, text),
        Value::Binary(bytes) => quoted(out, |out| binary(out, bytes, style.hex)),
        Value::Date(days) => {
            out.push(b'"');
            calendar::date(out, i64::from(days))?;
            out.push(b'"');
        }
        Value::Time { nanos, scale } => quoted(out, |out| calendar::time(out, nanos, scale)),
        Value::Timestamp { seconds, nanos, scale, zone } => {
            out.push(b'"');
            calendar::timestamp(out, seconds, nanos, scale, zone)?;
            match zone {
                Zone::None => {}
                Zone::Utc => out.push(b'Z'),
                Zone::Offset(minutes) => calendar::offset(out, minutes),
            }
            out.push(b'"');
        }
        Value::Variant(text) if style.raw_variant => {
            serde_json::from_str::<IgnoredAny>(text)
                .map_err(|error| format!("the variant is not valid json ({error}); write variants as strings"))?;
            out.extend_from_slice(text.as_bytes());
        }
        Value::Variant(text) => string(out, text),
        Value::Vector(Vector::Int(elements)) => array(out, elements, |out, &element| {
            decimal(out, i128::from(element), 0);
            Ok(())
        })?,
        Value::Vector(Vector::Float(elements)) => array(out, elements, |out, &element| {
            if element.is_finite() {
                serde_json::to_writer(out, &element).map_err(|error| error.to_string())
            } else {
                real(out, f64::from(element))
            }
        })?,
    }
    Ok(())
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn array<T>(
    out: &mut Vec<u8>,
    elements: &[T],
    write: impl Fn(&mut Vec<u8>, &T) -> Result<(), String>,
) -> Result<(), String> {
    out.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, element)?;
    }
    out.push(b']');
    Ok(())
}

/// The shortest number that reads back the same; what JSON has no number for is a string.
fn real(out: &mut Vec<u8>, number: f64) -> Result<(), String> {
    let special = if number.is_finite() {
        return serde_json::to_writer(out, &number).map_err(|error| error.to_string());
    } else if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    string(out, special);
    Ok(())
}

/// Decimal digits of any integer, right-aligned in their buffer.
struct Digits {
    buffer: [u8; 39],
    from: usize,
}

impl Digits {
    fn of(number: u128) -> Self {
        let mut digits = Self { buffer: [b'0'; 39], from: 39 };
        let mut rest = number;
        // 128-bit division is slow, and nearly all numbers are small.
        while rest > u128::from(u64::MAX) {
            digits.push_front(u8::try_from(rest % 10).unwrap_or_default());
            rest /= 10;
        }
        let mut rest = u64::try_from(rest).unwrap_or_default();
        loop {
            digits.push_front(u8::try_from(rest % 10).unwrap_or_default());
            rest /= 10;
            if rest == 0 {
                return digits;
            }
        }
    }

    fn push_front(&mut self, digit: u8) {
        self.from -= 1;
        self.buffer[self.from] = b'0' + digit;
    }

    fn as_bytes(&self) -> &[u8] {
        &self.buffer[self.from..]
    }
}

/// Writes an unsigned integer.
pub(super) fn unsigned(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(Digits::of(u128::from(number)).as_bytes());
}

/// Writes a signed integer.
pub(super) fn signed(out: &mut Vec<u8>, number: i64) {
    decimal(out, i128::from(number), 0);
}

/// Writes `unscaled / 10^scale` with exactly `scale` decimals.
fn decimal(out: &mut Vec<u8>, unscaled: i128, scale: u8) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let digits = Digits::of(unscaled.unsigned_abs());
    let digits = digits.as_bytes();
    let scale = usize::from(scale);
    if scale == 0 {
        out.extend_from_slice(digits);
    } else if let Some(whole) = digits.len().checked_sub(scale).filter(|&whole| whole > 0) {
        out.extend_from_slice(&digits[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    } else {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', scale - digits.len()));
        out.extend_from_slice(digits);
    }
}

/// Plain digits where they are at most 38 on either side of the point, else scientific.
fn dec_float(out: &mut Vec<u8>, significand: i128, exponent: i32) {
    const PLAIN: usize = 38;
    let digits = Digits::of(significand.unsigned_abs());
    let digits = digits.as_bytes();
    let shift = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
    if exponent >= 0 && digits.len().saturating_add(shift) <= PLAIN {
        decimal(out, significand, 0);
        out.extend(std::iter::repeat_n(b'0', shift));
        return;
    }
    if let (true, Ok(scale)) = (exponent < 0 && shift <= PLAIN, u8::try_from(shift)) {
        return decimal(out, significand, scale);
    }
    if significand < 0 {
        out.push(b'-');
    }
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.push(b'e');
    let point = i64::try_from(digits.len() - 1).unwrap_or_default();
    signed(out, i64::from(exponent) + point);
}

fn binary(out: &mut Vec<u8>, bytes: &[u8], hex: bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if hex {
        out.extend(bytes.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]));
        return;
    }
    let from = out.len();
    let length = bytes.len().div_ceil(3) * 4;
    out.resize(from + length, b'=');
    if STANDARD.encode_slice(bytes, &mut out[from..]).is_err() {
        // The length above is base64's own, so the slice always fits.
        out.truncate(from);
    }
}

/// 0 for a byte that stands for itself, else what follows the backslash.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        escapes[control] = b'u';
        control += 1;
    }
    escapes[0x08] = b'b';
    escapes[0x09] = b't';
    escapes[0x0a] = b'n';
    escapes[0x0c] = b'f';
    escapes[0x0d] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// Writes a JSON string; runs that need no escape are copied whole.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(text.len() + 2);
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[copied..index]);
        copied = index + 1;
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            let low = HEX[usize::from(byte & 0xf)];
            out.extend_from_slice(&[b'0', b'0', b'0' + (byte >> 4), low]);
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}
