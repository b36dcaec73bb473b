//! One value of any Snowflake type, and the rules by which Snowflake casts it to another.
//!
//! Promises: casts are exact or an error; NUMBERs round half away from zero, fractions of seconds
//! are cut. Leaves to others: SQL NULL (the absence of a value) and whole columns (`convert`).

use super::json::Json;
use super::timestamp::{self, Timestamp};
use super::{SnowType, number};
use crate::error::SqlError;

/// A value that is not NULL.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NUMBER: unscaled digits and scale.
    Fixed(i128, i8),
    /// FLOAT.
    Real(f64),
    /// BOOLEAN.
    Bool(bool),
    /// VARCHAR.
    Text(String),
    /// BINARY.
    Binary(Vec<u8>),
    /// DATE: days since 1970-01-01.
    Date(i32),
    /// TIME: nanoseconds of the day.
    Time(i64),
    /// TIMESTAMP_NTZ.
    Ntz(Timestamp),
    /// TIMESTAMP_LTZ.
    Ltz(Timestamp),
    /// TIMESTAMP_TZ.
    Tz(Timestamp),
    /// VARIANT, OBJECT or ARRAY.
    Json(Json),
}

const DAY_NANOS: i64 = 86_400_000_000_000;

impl Value {
    /// Casts to a type, as `CAST(… AS …)` does.
    pub fn cast(self, to: SnowType) -> Result<Option<Self>, SqlError> {
        if let Self::Json(json) = self {
            return cast_json(json, to);
        }
        let this = &self;
        let shown = || this.to_text(9);
        let cannot = || SqlError::compilation(format!("invalid type for the cast of '{}' to {to}", shown()));
        Ok(Some(match to {
            SnowType::Fixed { precision, scale } => {
                let digits = match &self {
                    Self::Fixed(value, from) => number::rescale(*value, *from, scale),
                    Self::Real(value) => number::from_real(*value, scale),
                    Self::Bool(value) => number::rescale(i128::from(*value), 0, scale),
                    Self::Text(text) => {
                        number::parse(text).ok_or_else(|| SqlError::bad_value("Numeric", text))?;
                        number::parse_at_scale(text, scale)
                    }
                    _ => return Err(cannot()),
                };
                match digits.filter(|value| number::fits(*value, precision)) {
                    Some(value) => Self::Fixed(value, scale),
                    None => return Err(out_of_range(&shown())),
                }
            }
            SnowType::Real => Self::Real(match &self {
                Self::Real(value) => *value,
                Self::Bool(value) => f64::from(u8::from(*value)),
                Self::Fixed(..) | Self::Text(_) => {
                    let text = shown();
                    number::parse_real(&text).ok_or_else(|| SqlError::bad_value("Numeric", text))?
                }
                _ => return Err(cannot()),
            }),
            SnowType::Boolean => Self::Bool(match &self {
                Self::Bool(value) => *value,
                Self::Fixed(value, _) => *value != 0,
                Self::Real(value) => *value != 0.0,
                Self::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                    "true" | "t" | "yes" | "y" | "on" | "1" => true,
                    "false" | "f" | "no" | "n" | "off" | "0" => false,
                    _ => return Err(SqlError::bad_value("Boolean", text)),
                },
                _ => return Err(cannot()),
            }),
            SnowType::Text { length } => {
                let text = match self {
                    Self::Text(text) => text,
                    other => other.to_text(9),
                };
                check_length(&text, length)?;
                Self::Text(text)
            }
            SnowType::Binary { length } => {
                let bytes = match &self {
                    Self::Binary(bytes) => bytes.clone(),
                    Self::Text(text) => parse_hex(text)
                        .ok_or_else(|| SqlError::bad_value("The following string is not a legal hex-encoded", text))?,
                    _ => return Err(cannot()),
                };
                if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > length {
                    return Err(SqlError::new(
                        "100145",
                        "22000",
                        format!("Binary value of {} bytes is too long and would be truncated", bytes.len()),
                    ));
                }
                Self::Binary(bytes)
            }
            SnowType::Date => match &self {
                Self::Date(_) => self,
                Self::Ntz(at) | Self::Ltz(at) | Self::Tz(at) => {
                    Self::Date(i32::try_from(at.wall().0).map_err(|_| cannot())?)
                }
                Self::Text(text) => {
                    let days = timestamp::parse_date(text)
                        .or_else(|| Timestamp::parse(text).map(|(at, _)| at.wall().0))
                        .ok_or_else(|| SqlError::bad_value("Date", text))?;
                    Self::Date(i32::try_from(days).map_err(|_| cannot())?)
                }
                _ => return Err(cannot()),
            },
            SnowType::Time { scale } => {
                let nanos = match &self {
                    Self::Time(nanos) => *nanos,
                    Self::Ntz(at) | Self::Ltz(at) | Self::Tz(at) => at.wall().1 * 1_000_000_000 + i64::from(at.nanos),
                    Self::Text(text) => {
                        let (second, nanos) =
                            timestamp::parse_time(text).ok_or_else(|| SqlError::bad_value("Time", text))?;
                        second * 1_000_000_000 + i64::from(nanos)
                    }
                    _ => return Err(cannot()),
                };
                let unit = 10_i64.pow(9 - u32::from(scale.min(9)));
                Self::Time((nanos - nanos % unit).rem_euclid(DAY_NANOS))
            }
            SnowType::TimestampNtz { scale } => {
                let (at, _) = self.instant().ok_or_else(|| bad_instant(&shown(), this))?;
                let seconds = at.seconds + i64::from(at.offset_minutes) * 60;
                Self::Ntz(Timestamp { seconds, offset_minutes: 0, ..at }.truncate(scale))
            }
            SnowType::TimestampLtz { scale } => {
                let (at, _) = self.instant().ok_or_else(|| bad_instant(&shown(), this))?;
                Self::Ltz(Timestamp { offset_minutes: 0, ..at }.truncate(scale))
            }
            SnowType::TimestampTz { scale } => {
                let (at, _) = self.instant().ok_or_else(|| bad_instant(&shown(), this))?;
                Self::Tz(at.truncate(scale))
            }
            SnowType::Variant => Self::Json(self.into_json()),
            SnowType::Array => Self::Json(Json::Array(vec![self.into_json()])),
            SnowType::Geography | SnowType::Geometry => match self {
                Self::Text(text) => Self::Json(geo_json(&text, to)?),
                _ => return Err(cannot()),
            },
            SnowType::Object => return Err(cannot()),
        }))
    }

    /// The value as a point in time; numbers are seconds since 1970.
    fn instant(&self) -> Option<(Timestamp, bool)> {
        match self {
            Self::Ntz(at) | Self::Ltz(at) => Some((*at, false)),
            Self::Tz(at) => Some((*at, true)),
            Self::Date(days) => {
                Some((Timestamp { seconds: i64::from(*days) * 86_400, nanos: 0, offset_minutes: 0 }, false))
            }
            Self::Text(text) => Timestamp::parse(text),
            Self::Fixed(value, scale) => {
                let nanos = number::rescale(*value, *scale, 9)?;
                Some((Timestamp::from_nanos(nanos), false))
            }
            _ => None,
        }
    }

    /// Text as a cast to VARCHAR writes it, fractions of seconds with `scale` digits.
    #[must_use]
    pub fn to_text(&self, scale: u8) -> String {
        match self {
            Self::Fixed(value, scale) => number::format(*value, *scale),
            Self::Real(value) => number::format_real(*value),
            Self::Bool(value) => value.to_string(),
            Self::Text(text) => text.clone(),
            Self::Binary(bytes) => format_hex(bytes),
            Self::Date(days) => timestamp::format_date(i64::from(*days)),
            Self::Time(nanos) => {
                let fraction = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0);
                timestamp::format_time(nanos.div_euclid(1_000_000_000), fraction, scale)
            }
            Self::Ntz(at) => at.format(scale, false),
            Self::Ltz(at) | Self::Tz(at) => at.format(scale, true),
            Self::Json(Json::Text(text)) => text.clone(),
            Self::Json(json) => json.to_string(),
        }
    }

    /// The value inside a VARIANT; JSON has no dates, so those become their text.
    #[must_use]
    pub fn into_json(self) -> Json {
        match self {
            Self::Json(json) => json,
            Self::Bool(value) => Json::Bool(value),
            Self::Fixed(value, scale) => {
                let text = number::format(value, scale);
                // A VARIANT drops the zeros a column's scale adds: 1.50 is held as 1.5.
                let text = match text.contains('.') {
                    true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                    false => text,
                };
                Json::Number(text)
            }
            Self::Real(value) if value.is_finite() => Json::Number(format!("{value:e}")),
            other => Json::Text(other.to_text(9)),
        }
    }
}

fn cast_json(json: Json, to: SnowType) -> Result<Option<Value>, SqlError> {
    let fail = |json: &Json| SqlError::new("100071", "22000", format!("Failed to cast variant value {json} to {to}"));
    match (to, json) {
        (SnowType::Variant, json) => Ok(Some(Value::Json(json))),
        (SnowType::Geography | SnowType::Geometry, json @ Json::Object(_)) => {
            Ok(Some(Value::Json(geo_json(&json.to_string(), to)?)))
        }
        (SnowType::Object, json @ Json::Object(_)) => Ok(Some(Value::Json(json))),
        (SnowType::Array, json @ Json::Array(_)) => Ok(Some(Value::Json(json))),
        (SnowType::Array, Json::Null) | (SnowType::Object, Json::Null) => Ok(None),
        (SnowType::Array, json) => Ok(Some(Value::Json(Json::Array(vec![json])))),
        // A JSON null becomes SQL NULL in any other type.
        (_, Json::Null) => Ok(None),
        (SnowType::Text { length }, json @ (Json::Array(_) | Json::Object(_))) => {
            let text = json.to_string();
            check_length(&text, length)?;
            Ok(Some(Value::Text(text)))
        }
        (_, Json::Bool(value)) => Value::Bool(value).cast(to),
        (SnowType::Text { .. }, Json::Number(text)) | (_, Json::Text(text) | Json::Number(text)) => {
            Value::Text(text).cast(to)
        }
        (_, json) => Err(fail(&json)),
    }
}

/// GeoJSON as it is: an object with a type. Shapes are not looked into.
fn geo_json(text: &str, to: SnowType) -> Result<Json, SqlError> {
    let refused = || SqlError::new("100205", "P0000", format!("Error parsing {to} from '{text}': it is no GeoJSON"));
    match Json::parse(text) {
        Ok(json @ Json::Object(_)) if json.to_string().contains("\"type\"") => Ok(json),
        _ => Err(refused()),
    }
}

fn bad_instant(shown: &str, value: &Value) -> SqlError {
    match value {
        Value::Text(_) => SqlError::bad_value("Timestamp", shown),
        _ => SqlError::compilation(format!("invalid type for the cast of '{shown}' to a timestamp")),
    }
}

/// 100039: a number with more digits than its type holds.
#[must_use]
pub fn out_of_range(shown: &str) -> SqlError {
    SqlError::new("100039", "22003", format!("Numeric value '{shown}' is out of range"))
}

fn check_length(text: &str, length: u64) -> Result<(), SqlError> {
    // Counting characters is only needed when there could be too many of them.
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > length
        && u64::try_from(text.chars().count()).unwrap_or(u64::MAX) > length
    {
        let shown: String = text.chars().take(40).collect();
        return Err(SqlError::new("100078", "22000", format!("String '{shown}' is too long and would be truncated")));
    }
    Ok(())
}

/// Upper-case hexadecimal text.
#[must_use]
pub fn format_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Reads hexadecimal text of either case.
#[must_use]
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
