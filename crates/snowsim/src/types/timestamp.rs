//! Dates, times and timestamps: the calendar, the canonical bytes, and their text.
//!
//! Promises: exact for years 1–9999 with nine fractional digits and offsets of ±24 hours. The
//! bytes of a timestamp sort as time does, so the engine's own comparisons, sorts and minima hold:
//! 8 bytes seconds since 1970 (big endian, sign bit flipped), 4 bytes nanoseconds (big endian);
//! then one zero byte for LTZ, or two bytes `offset in minutes + 1440` for TZ. The three widths
//! differ so that an Arrow type alone tells which of the three it is.
//! Leaves to others: conversion of whole columns (`convert`).

use std::fmt::Write as _;

/// Width of a TIMESTAMP_NTZ value, bytes.
pub const NTZ_WIDTH: i32 = 12;
/// Width of a TIMESTAMP_LTZ value, bytes.
pub const LTZ_WIDTH: i32 = 13;
/// Width of a TIMESTAMP_TZ value, bytes.
pub const TZ_WIDTH: i32 = 14;

const DAY: i64 = 86_400;
/// Nanoseconds in a second.
pub const NANOS: i128 = 1_000_000_000;

/// A point in time. For NTZ `seconds` counts the wall clock as if it were UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds since 1970-01-01T00:00:00 (UTC for LTZ and TZ), rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, 0–999,999,999.
    pub nanos: u32,
    /// Minutes east of UTC; 0 for NTZ and LTZ.
    pub offset_minutes: i16,
}

impl Timestamp {
    /// From nanoseconds since the epoch, at UTC.
    #[must_use]
    pub fn from_nanos(nanos: i128) -> Self {
        Self {
            seconds: i64::try_from(nanos.div_euclid(NANOS)).unwrap_or(i64::MAX),
            nanos: u32::try_from(nanos.rem_euclid(NANOS)).unwrap_or(0),
            offset_minutes: 0,
        }
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub fn to_nanos(&self) -> i128 {
        i128::from(self.seconds) * NANOS + i128::from(self.nanos)
    }

    /// The same instant with its fraction cut to `scale` digits.
    #[must_use]
    pub fn truncate(mut self, scale: u8) -> Self {
        let unit = 10_u32.pow(9 - u32::from(scale.min(9)));
        self.nanos -= self.nanos % unit;
        self
    }

    /// The canonical bytes; the first [`NTZ_WIDTH`], [`LTZ_WIDTH`] or [`TZ_WIDTH`] of them count.
    /// For LTZ byte 12 must be zero, so pass an `offset_minutes` of 0 through [`Self::encode_ltz`].
    #[must_use]
    pub fn encode_tz(&self) -> [u8; 14] {
        let mut bytes = [0; 14];
        bytes[..12].copy_from_slice(&self.encode_ntz());
        let offset = u16::try_from(i32::from(self.offset_minutes) + 1440).unwrap_or(1440);
        bytes[12..].copy_from_slice(&offset.to_be_bytes());
        bytes
    }

    /// The canonical bytes of a TIMESTAMP_NTZ.
    #[must_use]
    pub fn encode_ntz(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&(self.seconds ^ i64::MIN).to_be_bytes());
        bytes[8..].copy_from_slice(&self.nanos.to_be_bytes());
        bytes
    }

    /// The canonical bytes of a TIMESTAMP_LTZ.
    #[must_use]
    pub fn encode_ltz(&self) -> [u8; 13] {
        let mut bytes = [0; 13];
        bytes[..12].copy_from_slice(&self.encode_ntz());
        bytes
    }

    /// Reads canonical bytes of any of the three widths; `None` for any other width.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let seconds = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?) ^ i64::MIN;
        let nanos = u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
        let offset_minutes = match bytes.len() {
            12 | 13 => 0,
            14 => {
                let raw = u16::from_be_bytes(bytes.get(12..)?.try_into().ok()?);
                i16::try_from(i32::from(raw) - 1440).ok()?
            }
            _ => return None,
        };
        Some(Self { seconds, nanos, offset_minutes })
    }

    /// The wall clock at its own offset: days since 1970 and seconds of the day.
    #[must_use]
    pub fn wall(&self) -> (i64, i64) {
        let local = self.seconds + i64::from(self.offset_minutes) * 60;
        (local.div_euclid(DAY), local.rem_euclid(DAY))
    }

    /// Text as Snowflake's default formats write it: `2024-01-02 03:04:05.123456789[ +0530]`.
    #[must_use]
    pub fn format(&self, scale: u8, with_offset: bool) -> String {
        let (days, second) = self.wall();
        let mut text = format_date(days);
        text.push(' ');
        text.push_str(&format_time(second, self.nanos, scale));
        if with_offset {
            let sign = if self.offset_minutes < 0 { '-' } else { '+' };
            let minutes = self.offset_minutes.unsigned_abs();
            let _ = write!(text, " {sign}{:02}{:02}", minutes / 60, minutes % 60);
        }
        text
    }

    /// Reads `YYYY-MM-DD[(T| )HH:MI[:SS[.F…]]][[ ](Z|±HH[:]MI)]`, or whole/decimal epoch seconds
    /// written as digits. The flag tells whether the text carried an offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<(Self, bool)> {
        let text = text.trim();
        if let Some(instant) = parse_epoch(text) {
            return Some((instant, false));
        }
        let (days, rest) = parse_date_prefix(text)?;
        let rest = rest.strip_prefix(['T', 't']).unwrap_or(rest).trim_start();
        let split = rest.find(['+', '-', 'Z', 'z', ' ']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at(split);
        let (second, nanos) = if clock.is_empty() { (0, 0) } else { parse_time(clock)? };
        let zone = zone.trim();
        let offset_minutes = if zone.is_empty() { 0 } else { parse_offset(zone)? };
        Some((
            Self { seconds: days * DAY + second - i64::from(offset_minutes) * 60, nanos, offset_minutes },
            !zone.is_empty(),
        ))
    }
}

/// Epoch seconds, milliseconds, microseconds or nanoseconds, told apart by size as Snowflake does.
fn parse_epoch(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i128 = text.parse().ok()?;
    let nanos = match value.abs() {
        0..31_536_000_000 => value * NANOS,
        31_536_000_000..31_536_000_000_000 => value * 1_000_000,
        31_536_000_000_000..31_536_000_000_000_000 => value * 1_000,
        _ => value,
    };
    Some(Timestamp::from_nanos(nanos))
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; `None` if there is none.
#[must_use]
pub fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    // Count years from March, so that the leap day is the last of its year.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Year, month and day of a number of days since 1970-01-01.
#[must_use]
pub fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

/// Days in a month.
#[must_use]
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `YYYY-MM-DD` of a number of days since 1970-01-01.
#[must_use]
pub fn format_date(days: i64) -> String {
    let (year, month, day) = date_of(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `HH:MI:SS[.F…]` of a second of the day and its nanoseconds, with `scale` fractional digits.
#[must_use]
pub fn format_time(second: i64, nanos: u32, scale: u8) -> String {
    let mut text = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    if scale > 0 {
        let digits = format!("{nanos:09}");
        text.push('.');
        text.push_str(digits.get(..usize::from(scale.min(9))).unwrap_or(&digits));
    }
    text
}

/// Reads a date; trailing text is refused.
#[must_use]
pub fn parse_date(text: &str) -> Option<i64> {
    let (days, rest) = parse_date_prefix(text.trim())?;
    rest.is_empty().then_some(days)
}

fn parse_date_prefix(text: &str) -> Option<(i64, &str)> {
    let (year, rest) = text.split_once('-')?;
    let (month, rest) = rest.split_once('-')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, rest) = rest.split_at(end);
    let number = |digits: &str, most: usize| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        (plain && (1..=most).contains(&digits.len())).then(|| digits.parse::<i64>().ok())?
    };
    let days = days_of(number(year, 4)?, number(month, 2)?, number(day, 2)?)?;
    Some((days, rest))
}

/// Reads `HH:MI[:SS[.F…]]` as seconds of the day and nanoseconds.
#[must_use]
pub fn parse_time(text: &str) -> Option<(i64, u32)> {
    let (clock, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let mut parts = clock.split(':').map(|part| {
        let plain = part.bytes().all(|byte| byte.is_ascii_digit());
        (plain && (1..=2).contains(&part.len())).then(|| part.parse::<i64>().ok())?
    });
    let hour = parts.next()??;
    let minute = parts.next()??;
    let second = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some((hour * 3600 + minute * 60 + second, nanos))
}

/// Reads `Z`, `UTC`, `±HH`, `±HHMI` or `±HH:MI` as minutes east of UTC.
#[must_use]
pub fn parse_offset(text: &str) -> Option<i16> {
    if ["Z", "UTC", "GMT"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Some(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse::<i16>().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse::<i16>().ok()?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_its_own_inverse_from_year_1_to_9999() {
        let first = days_of(1, 1, 1).unwrap();
        let last = days_of(9999, 12, 31).unwrap();
        assert_eq!(days_of(1970, 1, 1), Some(0));
        assert_eq!(days_of(2000, 2, 29), Some(11_016));
        for days in first..=last {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), Some(days));
        }
        assert_eq!(days_of(1900, 2, 29), None);
    }

    #[test]
    fn bytes_sort_as_time_does_and_come_back() {
        let texts = [
            "0001-01-01 00:00:00.000000001 +1400",
            "1969-12-31 23:59:59.999999999 -1200",
            "1970-01-01 00:00:00.000000000 +0000",
            "2024-01-02 03:04:05.123456789 +0530",
            "9999-12-31 23:59:59.999999999 +0000",
        ];
        let mut stamps: Vec<_> = texts.iter().map(|text| Timestamp::parse(text).unwrap().0).collect();
        for (stamp, text) in stamps.iter().zip(texts) {
            assert_eq!(stamp.format(9, true), text);
            assert_eq!(Timestamp::decode(&stamp.encode_tz()), Some(*stamp));
        }
        stamps.sort_by_key(Timestamp::to_nanos);
        let bytes: Vec<_> = stamps.iter().map(Timestamp::encode_ntz).collect();
        assert!(bytes.is_sorted());
    }
}
