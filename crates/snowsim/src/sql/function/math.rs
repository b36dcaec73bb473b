//! Functions of numbers, and exact division.
//!
//! Promises: NUMBERs stay exact; only FLOAT arguments compute in floating point.
//! Leaves to others: +, - and * (the engine's).

use super::{Builtin, gives_first, gives_integer, gives_real, integer_of, real_of, text_of};
use crate::error::SqlError;
use crate::types::value::{Value, out_of_range};
use crate::types::{SnowType, number};

pub(super) const FUNCTIONS: &[Builtin] = &[
    Builtin::new("snow$divide", 2, 2, gives_quotient, divide),
    Builtin::new("abs", 1, 1, gives_first, |v, _, _| {
        Ok(match &v[0] {
            Some(Value::Fixed(value, scale)) => Some(Value::Fixed(value.abs(), *scale)),
            other => Some(Value::Real(real_of(other)?.abs())),
        })
    }),
    Builtin::new("sign", 1, 1, gives_integer, |v, _, _| {
        let value = real_of(&v[0])?;
        Ok(Some(Value::Fixed(i128::from(value > 0.0) - i128::from(value < 0.0), 0)))
    }),
    Builtin::new("round", 1, 2, gives_rounded, |v, t, _| rounded(v, t, Rounding::HalfAway)),
    Builtin::new("floor", 1, 2, gives_rounded, |v, t, _| rounded(v, t, Rounding::Down)),
    Builtin::new("ceil", 1, 2, gives_rounded, |v, t, _| rounded(v, t, Rounding::Up)),
    Builtin::new("trunc", 1, 2, gives_rounded, |v, t, _| rounded(v, t, Rounding::TowardsZero)),
    Builtin::new("sqrt", 1, 1, gives_real, |v, _, _| {
        let value = real_of(&v[0])?;
        match value < 0.0 {
            true => Err(SqlError::new("100051", "22023", format!("Invalid floating point operation: sqrt({value})"))),
            false => Ok(Some(Value::Real(value.sqrt()))),
        }
    }),
    Builtin::new("power", 2, 2, gives_real, |v, _, _| Ok(Some(Value::Real(real_of(&v[0])?.powf(real_of(&v[1])?))))),
    Builtin::new("mod", 2, 2, gives_first, |v, _, _| match (&v[0], &v[1]) {
        (Some(Value::Fixed(a, sa)), Some(Value::Fixed(b, sb))) => {
            let scale = (*sa).max(*sb);
            let at = |value, from| number::rescale(value, from, scale);
            match (at(*a, *sa), at(*b, *sb)) {
                (_, Some(0)) => Err(by_zero()),
                (Some(a), Some(b)) => Ok(Some(Value::Fixed(a % b, scale))),
                _ => Err(out_of_range(&text_of(&v[0]))),
            }
        }
        (a, b) => Ok(Some(Value::Real(real_of(a)? % real_of(b)?))),
    }),
];

fn by_zero() -> SqlError {
    SqlError::new("100051", "22012", "Division by zero")
}

/// NUMBER / NUMBER has six more digits after the point than the dividend, at least up to 12.
fn gives_quotient(types: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(match types {
        [SnowType::Fixed { scale, .. }, SnowType::Fixed { .. }] => {
            SnowType::Fixed { precision: 38, scale: (*scale).max((*scale + 6).min(12)) }
        }
        _ => SnowType::Real,
    })
}

fn divide(v: &[Option<Value>], _: &[SnowType], to: SnowType) -> Result<Option<Value>, SqlError> {
    let SnowType::Fixed { scale, .. } = to else {
        let by = real_of(&v[1])?;
        return match by == 0.0 {
            true => Err(by_zero()),
            false => Ok(Some(Value::Real(real_of(&v[0])? / by))),
        };
    };
    let (Some(Value::Fixed(a, sa)), Some(Value::Fixed(b, sb))) = (&v[0], &v[1]) else {
        return Err(SqlError::compilation("invalid operands of '/'"));
    };
    if *b == 0 {
        return Err(by_zero());
    }
    // a / 10^sa ÷ (b / 10^sb) at `scale`, one digit more for rounding.
    let up = i32::from(scale) + 1 - i32::from(*sa) + i32::from(*sb);
    let dividend = match u32::try_from(up) {
        Ok(up) => number::power_of_ten(up).and_then(|unit| a.checked_mul(unit)),
        Err(_) => number::power_of_ten(up.unsigned_abs()).map(|unit| a / unit),
    };
    let quotient = dividend.map(|dividend| dividend / b);
    match quotient.and_then(|quotient| number::rescale(quotient, scale + 1, scale)) {
        Some(value) => Ok(Some(Value::Fixed(value, scale))),
        None => Err(out_of_range(&text_of(&v[0]))),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Rounding {
    HalfAway,
    Down,
    Up,
    TowardsZero,
}

fn gives_rounded(types: &[SnowType]) -> Result<SnowType, SqlError> {
    gives_first(types)
}

fn rounded(v: &[Option<Value>], _: &[SnowType], how: Rounding) -> Result<Option<Value>, SqlError> {
    let digits = v.get(1).map_or(Ok(0), integer_of)?;
    if let Some(Value::Fixed(value, scale)) = &v[0] {
        let digits = i8::try_from(digits.clamp(-37, 37)).unwrap_or(0);
        if digits >= *scale {
            return Ok(v[0].clone());
        }
        let Some(unit) = number::power_of_ten(u32::from(scale.abs_diff(digits))) else {
            return Ok(Some(Value::Fixed(0, *scale)));
        };
        let whole = match how {
            Rounding::HalfAway => number::rescale(*value, *scale, digits).unwrap_or(0),
            Rounding::Down => value.div_euclid(unit),
            Rounding::Up => -(-value).div_euclid(unit),
            Rounding::TowardsZero => value / unit,
        };
        return Ok(Some(Value::Fixed(whole.saturating_mul(unit), *scale)));
    }
    let value = real_of(&v[0])?;
    let unit = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    let scaled = value * unit;
    let whole = match how {
        Rounding::HalfAway => scaled.round(),
        Rounding::Down => scaled.floor(),
        Rounding::Up => scaled.ceil(),
        Rounding::TowardsZero => scaled.trunc(),
    };
    Ok(Some(Value::Real(whole / unit)))
}
