//! Functions of dates and times.
//!
//! Promises: calendar arithmetic is the proleptic Gregorian one; adding months keeps the day or
//! takes the month's last. Leaves to others: the calendar itself (`types::timestamp`).

use super::{Builtin, gives_integer, gives_text, integer_of, text_of};
use crate::error::SqlError;
use crate::types::SnowType;
use crate::types::timestamp::{Timestamp, date_of, days_in_month, days_of};
use crate::types::value::Value;

const SECOND: i128 = 1_000_000_000;
const DAY: i64 = 86_400;

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Months(i64),
    Nanos(i128),
}

/// The unit of a name, and its canonical name.
fn unit(name: &str) -> Result<(&'static str, Unit), SqlError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "year" | "y" | "yy" | "yyy" | "yyyy" | "yr" | "years" => ("year", Unit::Months(12)),
        "quarter" | "q" | "qtr" | "quarters" => ("quarter", Unit::Months(3)),
        "month" | "mm" | "mon" | "mons" | "months" => ("month", Unit::Months(1)),
        "week" | "w" | "wk" | "weeks" => ("week", Unit::Nanos(7 * 86_400 * SECOND)),
        "day" | "d" | "dd" | "days" | "dayofmonth" => ("day", Unit::Nanos(86_400 * SECOND)),
        "hour" | "h" | "hh" | "hr" | "hours" => ("hour", Unit::Nanos(3_600 * SECOND)),
        "minute" | "m" | "mi" | "min" | "minutes" => ("minute", Unit::Nanos(60 * SECOND)),
        "second" | "s" | "sec" | "seconds" => ("second", Unit::Nanos(SECOND)),
        "millisecond" | "ms" | "msec" | "milliseconds" => ("millisecond", Unit::Nanos(1_000_000)),
        "microsecond" | "us" | "usec" | "microseconds" => ("microsecond", Unit::Nanos(1_000)),
        "nanosecond" | "ns" | "nsec" | "nanosec" | "nanoseconds" => ("nanosecond", Unit::Nanos(1)),
        _ => return Err(SqlError::compilation(format!("'{name}' is not a valid date/time component"))),
    })
}

pub(super) const FUNCTIONS: &[Builtin] = &[
    Builtin::new("dateadd", 3, 3, gives_added, |v, _, to| {
        let (_, unit) = unit(&text_of(&v[0]))?;
        let (number, at) = (integer_of(&v[1])?, instant(&v[2], to)?);
        Ok(Some(kept(add(at, unit, number)?, to)))
    }),
    Builtin::new("datediff", 3, 3, gives_integer, |v, t, _| {
        let (name, unit) = unit(&text_of(&v[0]))?;
        let ty = |index: usize| match t.get(index) {
            Some(SnowType::Text { .. }) | None => SnowType::TimestampNtz { scale: 9 },
            Some(ty) => *ty,
        };
        let (from, to) = (instant(&v[1], ty(1))?, instant(&v[2], ty(2))?);
        let number = match unit {
            Unit::Months(months) => {
                let index = |at: Timestamp| {
                    let (year, month, _) = date_of(at.wall().0);
                    (year * 12 + month - 1).div_euclid(months)
                };
                i128::from(index(to) - index(from))
            }
            Unit::Nanos(nanos) => {
                // Weeks start on Monday; 1970-01-01 was a Thursday.
                let shift = if name == "week" { 3 * i128::from(DAY) * SECOND } else { 0 };
                (wall_nanos(to) + shift).div_euclid(nanos) - (wall_nanos(from) + shift).div_euclid(nanos)
            }
        };
        Ok(Some(Value::Fixed(number, 0)))
    }),
    Builtin::new("date_trunc", 2, 2, gives_truncated, |v, _, to| {
        let (name, unit) = unit(&text_of(&v[0]))?;
        let at = instant(&v[1], to)?;
        let wall = match unit {
            Unit::Months(months) => {
                let (year, month, _) = date_of(at.wall().0);
                let first = (month - 1) - (month - 1) % months + 1;
                i128::from(days_of(year, first, 1).unwrap_or(0)) * i128::from(DAY) * SECOND
            }
            Unit::Nanos(nanos) => {
                let shift = if name == "week" { 3 * i128::from(DAY) * SECOND } else { 0 };
                let wall = wall_nanos(at) + shift;
                wall - wall.rem_euclid(nanos) - shift
            }
        };
        let nanos = wall - i128::from(at.offset_minutes) * 60 * SECOND;
        let start = Timestamp { offset_minutes: at.offset_minutes, ..Timestamp::from_nanos(nanos) };
        Ok(Some(kept(start, to)))
    }),
    Builtin::new("date_part", 2, 2, gives_integer, |v, t, _| {
        let name = text_of(&v[0]).to_ascii_lowercase();
        let ty = match t.get(1) {
            Some(SnowType::Text { .. }) | None => SnowType::TimestampNtz { scale: 9 },
            Some(ty) => *ty,
        };
        part(&name, instant(&v[1], ty)?).map(|number| Some(Value::Fixed(number, 0)))
    }),
    Builtin::new("snow$formatted", 2, 2, gives_text, |v, _, _| {
        Ok(Some(Value::Text(formatted(&v[0], &text_of(&v[1]))?)))
    }),
    Builtin::new("convert_timezone", 2, 2, gives_zoned, |v, t, _| {
        let zone = text_of(&v[0]);
        if !zone.eq_ignore_ascii_case("UTC") {
            return Err(SqlError::unsupported(format!("CONVERT_TIMEZONE to '{zone}'; the simulator knows UTC")));
        }
        let ty = t.get(1).copied().unwrap_or(SnowType::TimestampNtz { scale: 9 });
        Ok(Some(Value::Tz(Timestamp { offset_minutes: 0, ..instant(&v[1], ty)? })))
    }),
];

fn gives_zoned(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::TimestampTz { scale: 9 })
}

/// A date or time by a format of Snowflake's, whose elements are not all known.
fn formatted(value: &Option<Value>, format: &str) -> Result<String, SqlError> {
    let (days, second, nanos) = match value {
        Some(Value::Date(days)) => (i64::from(*days), 0, 0),
        Some(Value::Time(nanos)) => {
            let nanos = i128::from(*nanos);
            let second = i64::try_from(nanos.div_euclid(SECOND)).unwrap_or(0);
            (0, second, u32::try_from(nanos.rem_euclid(SECOND)).unwrap_or(0))
        }
        Some(Value::Ntz(at) | Value::Ltz(at) | Value::Tz(at)) => {
            let (days, second) = at.wall();
            (days, second, at.nanos)
        }
        _ => return Err(SqlError::unsupported("TO_VARCHAR with a format, of other than dates and times")),
    };
    let (year, month, day) = date_of(days);
    let mut out = String::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        let elements = [
            ("YYYY", format!("{year:04}")),
            ("MM", format!("{month:02}")),
            ("DD", format!("{day:02}")),
            ("HH24", format!("{:02}", second / 3_600)),
            ("MI", format!("{:02}", second / 60 % 60)),
            ("SS", format!("{:02}", second % 60)),
            ("FF9", format!("{nanos:09}")),
        ];
        if let Some((left, text)) = elements.into_iter().find_map(|(name, text)| Some((rest.strip_prefix(name)?, text)))
        {
            out.push_str(&text);
            rest = left;
        } else if c.is_ascii_alphanumeric() {
            return Err(SqlError::unsupported(format!("the format '{format}' from '{rest}' on")));
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Ok(out)
}

fn part(name: &str, at: Timestamp) -> Result<i128, SqlError> {
    let (days, second) = at.wall();
    let (year, month, day) = date_of(days);
    Ok(match name {
        "epoch_second" | "epoch" | "epoch_seconds" => i128::from(at.seconds),
        "epoch_millisecond" | "epoch_milliseconds" => at.to_nanos().div_euclid(1_000_000),
        "epoch_microsecond" | "epoch_microseconds" => at.to_nanos().div_euclid(1_000),
        "epoch_nanosecond" | "epoch_nanoseconds" => at.to_nanos(),
        "dayofweek" | "weekday" | "dow" | "dw" => i128::from((days + 4).rem_euclid(7)),
        "dayofyear" | "doy" => i128::from(days - days_of(year, 1, 1).unwrap_or(days) + 1),
        _ => match unit(name)?.0 {
            "year" => i128::from(year),
            "quarter" => i128::from((month - 1) / 3 + 1),
            "month" => i128::from(month),
            "day" => i128::from(day),
            "hour" => i128::from(second / 3_600),
            "minute" => i128::from(second / 60 % 60),
            "second" => i128::from(second % 60),
            "nanosecond" => i128::from(at.nanos),
            other => return Err(SqlError::unsupported(format!("DATE_PART of {other}"))),
        },
    })
}

fn wall_nanos(at: Timestamp) -> i128 {
    at.to_nanos() + i128::from(at.offset_minutes) * 60 * SECOND
}

/// DATE stays DATE for whole days; anything finer makes it a timestamp. Which unit it is, is known
/// only at run time, so the type follows the argument alone.
fn gives_added(types: &[SnowType]) -> Result<SnowType, SqlError> {
    gives_truncated(types.get(1..).unwrap_or_default())
}

fn gives_truncated(types: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(match types.get(1) {
        Some(ty @ (SnowType::Date | SnowType::Time { .. })) => *ty,
        Some(SnowType::TimestampLtz { .. }) => SnowType::TimestampLtz { scale: 9 },
        Some(SnowType::TimestampTz { .. }) => SnowType::TimestampTz { scale: 9 },
        _ => SnowType::TimestampNtz { scale: 9 },
    })
}

fn instant(value: &Option<Value>, ty: SnowType) -> Result<Timestamp, SqlError> {
    match value {
        Some(Value::Ntz(at) | Value::Ltz(at) | Value::Tz(at)) => Ok(*at),
        Some(Value::Time(nanos)) => Ok(Timestamp::from_nanos(i128::from(*nanos))),
        Some(other) => {
            let to = match ty {
                SnowType::Date | SnowType::Time { .. } => SnowType::TimestampNtz { scale: 9 },
                ty => ty,
            };
            match other.clone().cast(to)? {
                Some(Value::Ntz(at) | Value::Ltz(at) | Value::Tz(at)) => Ok(at),
                _ => Err(SqlError::bad_value("Timestamp", other.to_text(9))),
            }
        }
        None => Err(SqlError::internal("a NULL reached a strict function")),
    }
}

fn kept(at: Timestamp, ty: SnowType) -> Value {
    match ty {
        SnowType::Date => Value::Date(i32::try_from(at.wall().0).unwrap_or(0)),
        SnowType::Time { .. } => {
            Value::Time(i64::try_from(at.to_nanos().rem_euclid(i128::from(DAY) * SECOND)).unwrap_or(0))
        }
        SnowType::TimestampLtz { .. } => Value::Ltz(at),
        SnowType::TimestampTz { .. } => Value::Tz(at),
        _ => Value::Ntz(at),
    }
}

fn add(at: Timestamp, unit: Unit, number: i64) -> Result<Timestamp, SqlError> {
    let overflow = || SqlError::compilation("the date is out of range");
    match unit {
        Unit::Nanos(nanos) => {
            let moved = nanos.checked_mul(i128::from(number)).and_then(|by| at.to_nanos().checked_add(by));
            let moved = Timestamp::from_nanos(moved.ok_or_else(overflow)?);
            Ok(Timestamp { offset_minutes: at.offset_minutes, ..moved })
        }
        Unit::Months(months) => {
            let (days, _) = at.wall();
            let (year, month, day) = date_of(days);
            let index =
                number.checked_mul(months).and_then(|by| by.checked_add(year * 12 + month - 1)).ok_or_else(overflow)?;
            let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
            let day = day.min(days_in_month(year, month));
            let moved = days_of(year, month, day).ok_or_else(overflow)?;
            Ok(Timestamp { seconds: at.seconds + (moved - days) * DAY, ..at })
        }
    }
}
