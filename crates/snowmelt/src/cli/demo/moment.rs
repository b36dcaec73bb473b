//! Points in time as text: what the writer puts into its statements and what arrives in events.
//!
//! Exact to the nanosecond, with the calendar of years 1 to 9999. A moment is what its text says: a wall clock, and an
//! offset where the text has one. It shares no code with the publisher's own reading and writing of timestamps, so that
//! the demo's comparison does not check the publisher against itself.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds.
pub(super) const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

/// A wall clock, and how far east of UTC it stands if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Nanoseconds the wall clock shows since its 1970-01-01T00:00:00.
    pub(super) wall: i128,
    /// Minutes east of UTC.
    pub(super) east: Option<i32>,
}

impl Moment {
    /// Now, as a wall clock `east` minutes east of UTC shows it.
    pub(super) fn now(east: i32) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let instant = i128::try_from(since.as_nanos()).unwrap_or_default();
        Self { wall: instant + minutes(east), east: Some(east) }
    }

    /// The same wall clock without its offset.
    pub(super) fn without_zone(self) -> Self {
        Self { east: None, ..self }
    }

    /// Nanoseconds since 1970 in UTC; a wall clock without an offset is taken for UTC.
    pub(super) fn instant(self) -> i128 {
        self.wall - minutes(self.east.unwrap_or_default())
    }

    /// Reads `2026-01-31T23:59:59.123456789`, with any number of decimals and perhaps `Z` or `+05:30` behind.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once(['T', ' '])?;
        let [year, month, day] = numbers(date, '-')?;
        let zone = rest.find(['Z', '+', '-', ' ']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at_checked(zone)?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let [hour, minute, second] = numbers(clock, ':')?;
        if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
        let seconds = i128::from((hour * 60 + minute) * 60 + second);
        let wall = days(year, month, day)? * DAY + seconds * SECOND + nanos;
        let east = match zone.trim_start() {
            "" => None,
            "Z" => Some(0),
            zone => {
                let [hours, minutes] = numbers(zone.get(1..)?, ':')?;
                let east = i32::try_from(hours * 60 + minutes).ok()?;
                Some(if zone.starts_with('-') { -east } else { east })
            }
        };
        Some(Self { wall, east })
    }
}

/// As Snowflake reads it in a literal: `2026-01-31 23:59:59.123456789 +05:30`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.wall.div_euclid(DAY));
        let of_day = self.wall.rem_euclid(DAY);
        let (seconds, nanos) = (of_day / SECOND, of_day % SECOND);
        write!(f, "{year:04}-{month:02}-{day:02} ")?;
        write!(f, "{:02}:{:02}:{:02}.{nanos:09}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        match self.east {
            None => Ok(()),
            Some(east) => {
                let sign = if east < 0 { '-' } else { '+' };
                write!(f, " {sign}{:02}:{:02}", east.abs() / 60, east.abs() % 60)
            }
        }
    }
}

fn minutes(count: i32) -> i128 {
    i128::from(count) * 60 * SECOND
}

/// Exactly `N` unsigned numbers between separators.
fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let parts: Vec<i64> =
        text.split(separator).map(|part| part.parse::<u32>().ok().map(i64::from)).collect::<Option<_>>()?;
    parts.try_into().ok()
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year is counted from March, so that the day that
/// leap years add is its last.
fn days(year: i64, month: i64, day: i64) -> Option<i128> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let years = if month > 2 { year } else { year - 1 };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
    // From 0000-03-01 to 1970-01-01 there are 719,468 days.
    Some(i128::from(years * 365 + leap_days + of_year - 719_468))
}

/// The date that is `since` days after 1970-01-01.
fn date(since: i128) -> (i128, i128, i128) {
    let since = since + 719_468;
    let (era, of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i128::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_read() {
        for (text, wall, east) in [
            ("1970-01-01T00:00:00", 0, None),
            ("1970-01-01T00:00:00.5Z", SECOND / 2, Some(0)),
            ("1969-12-31T23:59:59.999999999", -1, None),
            ("2000-02-29T12:00:00.000000001+05:30", 951_825_600 * SECOND + 1, Some(330)),
            ("2024-03-01 00:00:00 -12:00", 1_709_251_200 * SECOND, Some(-720)),
        ] {
            assert_eq!(Moment::parse(text), Some(Moment { wall, east }), "{text}");
        }
        for text in
            ["", "now", "2024-01-01", "2024-13-01T00:00:00", "2024-01-01T00:00", "2024-01-01T00:00:00.1234567890"]
        {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_written_and_read_back() {
        for day in -40_000..110_000 {
            let moment = Moment { wall: day * DAY + 3_723 * SECOND + 45, east: Some(-150) };
            assert_eq!(Moment::parse(&moment.to_string()), Some(moment), "{moment}");
        }
    }

    #[test]
    fn an_offset_moves_the_wall_clock_and_not_the_instant() {
        let (here, there) = (Moment::now(0), Moment::now(330));
        assert!((there.instant() - here.instant()) < 60 * SECOND);
        assert!((there.wall - here.wall) >= minutes(330));
    }
}
