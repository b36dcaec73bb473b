//! Exact decimals as digits and a scale.
//!
//! Promises: no value passes through binary floating point on its way between text and NUMBER;
//! lost fraction digits round half away from zero, as Snowflake rounds.
//! Leaves to others: whole columns (`convert`).

/// The largest absolute value of 38 digits.
pub const MAX_DIGITS_38: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;

/// Ten to the power of `exponent`, if it fits.
#[must_use]
pub fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// Whether an unscaled value has at most `precision` digits.
#[must_use]
pub fn fits(value: i128, precision: u8) -> bool {
    power_of_ten(u32::from(precision)).is_none_or(|limit| value.unsigned_abs() < limit.unsigned_abs())
        && value.unsigned_abs() <= MAX_DIGITS_38.unsigned_abs()
}

/// Moves a value from one scale to another; `None` when it no longer fits.
#[must_use]
pub fn rescale(value: i128, from: i8, to: i8) -> Option<i128> {
    let by = u32::from(from.abs_diff(to));
    if to >= from {
        if value == 0 {
            return Some(0);
        }
        return value.checked_mul(power_of_ten(by)?);
    }
    let Some(unit) = power_of_ten(by) else {
        return Some(0);
    };
    let (whole, rest) = (value / unit, value % unit);
    let round = i128::from(rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2));
    Some(whole + if value < 0 { -round } else { round })
}

/// Digits of a number's text, without sign and point, and where the point stands.
struct Digits {
    negative: bool,
    digits: Vec<u8>,
    /// Digits after the point; negative when the exponent moves the point beyond the last digit.
    scale: i64,
}

fn digits_of(text: &str) -> Option<Digits> {
    let text = text.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i64>().ok()?),
        None => (text, 0),
    };
    if exponent.abs() > 1_000 {
        return None;
    }
    let negative = mantissa.starts_with('-');
    let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let scale = i64::try_from(fraction.len()).ok()? - exponent;
    Some(Digits { negative, digits, scale })
}

/// Reads a number's text at a given scale, rounding surplus digits; `None` for other text or a
/// value beyond 38 digits.
#[must_use]
pub fn parse_at_scale(text: &str, scale: i8) -> Option<i128> {
    let Digits { negative, mut digits, scale: own } = digits_of(text)?;
    let surplus = own - i64::from(scale);
    let mut round_up = false;
    if surplus > 0 {
        let surplus = usize::try_from(surplus).ok()?;
        let keep = digits.len().checked_sub(surplus);
        round_up = keep.is_some_and(|at| digits.get(at).is_some_and(|digit| *digit >= b'5'));
        digits.truncate(keep.unwrap_or(0));
    }
    let mut value: i128 = 0;
    for digit in &digits {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    if surplus < 0 && value != 0 {
        value = value.checked_mul(power_of_ten(u32::try_from(-surplus).ok()?)?)?;
    }
    value += i128::from(round_up);
    fits(value, 38).then_some(if negative { -value } else { value })
}

/// Reads a number's text at the scale it is written with, trailing zeros kept; at most scale 37.
#[must_use]
pub fn parse(text: &str) -> Option<(i128, i8)> {
    let own = digits_of(text)?.scale.clamp(0, 37);
    let scale = i8::try_from(own).ok()?;
    Some((parse_at_scale(text, scale)?, scale))
}

/// Plain text of an unscaled value.
#[must_use]
pub fn format(value: i128, scale: i8) -> String {
    let Ok(scale) = usize::try_from(scale) else {
        return value.to_string();
    };
    if scale == 0 {
        return value.to_string();
    }
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if value < 0 { "-" } else { "" })
}

/// Text of a floating-point number as Snowflake writes it.
#[must_use]
pub fn format_real(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value < 0.0 { "-inf" } else { "inf" }.to_owned()
    } else if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

/// Reads a floating-point number, `NaN`, `inf` and `-inf` included.
#[must_use]
pub fn parse_real(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// A floating-point number at a decimal scale, from its exact binary value.
#[must_use]
pub fn from_real(value: f64, scale: i8) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    // The shortest text that reads back as this number is what Snowflake's users see and mean.
    parse_at_scale(&format!("{value:e}"), scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_digits_are_inverse_at_the_edges() {
        for (text, scale) in [
            ("99999999999999999999999999999999999999", 0),
            ("-99999999999999999999999999999999999999", 0),
            ("0.0000000000000000000000000000000000001", 37),
            ("-9.9999999999999999999999999999999999999", 37),
            ("1.50", 2),
            ("0", 0),
        ] {
            let value = parse_at_scale(text, scale).unwrap();
            assert_eq!(format(value, scale), text);
            assert_eq!(parse(text), Some((value, scale)));
        }
        assert_eq!(parse_at_scale("999999999999999999999999999999999999999", 0), None);
    }

    #[test]
    fn surplus_digits_round_half_away_from_zero() {
        assert_eq!(parse_at_scale("1.005", 2), Some(101));
        assert_eq!(parse_at_scale("-0.5", 0), Some(-1));
        assert_eq!(parse_at_scale("0.049", 1), Some(0));
        assert_eq!(parse_at_scale("1.5e3", 0), Some(1500));
        assert_eq!(rescale(-15, 1, 0), Some(-2));
        assert_eq!(rescale(15, 0, 2), Some(1500));
        assert_eq!(rescale(14, 1, 0), Some(1));
    }
}
