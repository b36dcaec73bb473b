//! Dates and times as ISO 8601 text, in the proleptic Gregorian calendar.
//!
//! Years 0 to 9999 have four digits and are all that is written; any other year has no agreed form and
//! is refused, never wrapped.

use crate::moment::civil;
use crate::source::value::Zone;

const DAY: i64 = 86_400;

/// Writes `2024-01-02`, from days since 1970-01-01.
pub(super) fn date(out: &mut Vec<u8>, days: i64) -> Result<(), String> {
    let (year, month, day) = civil(days);
    let Some(year) = u16::try_from(year).ok().filter(|&year| year <= 9999) else {
        return Err(format!("year {year} is outside 0 to 9999, for which there is no date format"));
    };
    let [century, year] = [year / 100, year % 100].map(|pair| u8::try_from(pair).unwrap_or(0));
    pair(out, century);
    pair(out, year);
    out.push(b'-');
    pair(out, month);
    out.push(b'-');
    pair(out, day);
    Ok(())
}

/// Writes `12:34:56.789`, with `scale` digits of fraction, from nanoseconds since midnight.
pub(super) fn time(out: &mut Vec<u8>, nanos: u64, scale: u8) {
    let seconds = nanos / 1_000_000_000;
    clock(out, seconds, nanos % 1_000_000_000, scale);
}

/// Writes `2024-01-02T12:34:56.789`, the wall clock in `zone`, without the zone itself.
pub(super) fn timestamp(out: &mut Vec<u8>, seconds: i64, nanos: u32, scale: u8, zone: Zone) -> Result<(), String> {
    let east = match zone {
        Zone::None | Zone::Utc => 0,
        Zone::Offset(minutes) => i64::from(minutes) * 60,
    };
    let local =
        seconds.checked_add(east).ok_or_else(|| format!("{seconds} seconds since 1970 have no calendar date"))?;
    date(out, local.div_euclid(DAY))?;
    out.push(b'T');
    let of_day = u64::try_from(local.rem_euclid(DAY)).unwrap_or_default();
    clock(out, of_day, u64::from(nanos), scale);
    Ok(())
}

/// Writes `+05:30`.
pub(super) fn offset(out: &mut Vec<u8>, minutes: i16) {
    out.push(if minutes < 0 { b'-' } else { b'+' });
    let minutes = minutes.unsigned_abs();
    let [hours, minutes] = [minutes / 60, minutes % 60].map(|part| u8::try_from(part).unwrap_or(0));
    pair(out, hours);
    out.push(b':');
    pair(out, minutes);
}

fn clock(out: &mut Vec<u8>, of_day: u64, nanos: u64, scale: u8) {
    let part = |number: u64| u8::try_from(number).unwrap_or(0);
    pair(out, part(of_day / 3600));
    out.push(b':');
    pair(out, part(of_day / 60 % 60));
    out.push(b':');
    pair(out, part(of_day % 60));
    if scale > 0 {
        out.push(b'.');
        let mut digits = [b'0'; 9];
        let mut rest = nanos;
        for digit in digits.iter_mut().rev() {
            *digit += part(rest % 10);
            rest /= 10;
        }
        out.extend_from_slice(&digits[..usize::from(scale.min(9))]);
    }
}

fn pair(out: &mut Vec<u8>, number: u8) {
    out.extend_from_slice(&[b'0' + number / 10 % 10, b'0' + number % 10]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_day_of_ten_thousand_years_follows_the_day_before() {
        let length = |year: i64, month: u8| match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let (mut year, mut month, mut day) = (0_i64, 1_u8, 1_u8);
        let first = -719_528;
        for days in first.. {
            assert_eq!(civil(days), (year, month, day), "{days}");
            if days == 0 {
                assert_eq!((year, month, day), (1970, 1, 1));
            }
            day += 1;
            if day > length(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
            if year > 9999 {
                break;
            }
        }
    }

    #[test]
    fn a_year_without_four_digits_is_refused() {
        assert_eq!(text(|out| date(out, -719_528).unwrap()), "0000-01-01");
        assert_eq!(text(|out| date(out, 2_932_896).unwrap()), "9999-12-31");
        assert!(date(&mut Vec::new(), -719_529).unwrap_err().contains("year -1 "));
        assert!(date(&mut Vec::new(), 2_932_897).unwrap_err().contains("year 10000 "));
        for seconds in [i64::MIN, i64::MAX] {
            let zone = Zone::Offset(if seconds > 0 { 840 } else { -720 });
            assert!(timestamp(&mut Vec::new(), seconds, 0, 9, zone).is_err());
            assert!(timestamp(&mut Vec::new(), seconds, 0, 9, Zone::Utc).is_err());
        }
        assert!(date(&mut Vec::new(), i64::MIN).is_err() && date(&mut Vec::new(), i64::MAX).is_err());
    }

    #[test]
    fn the_clock_is_the_zones() {
        let at = |seconds, nanos, zone| text(|out| timestamp(out, seconds, nanos, 9, zone).unwrap());
        assert_eq!(at(-1, 999_999_999, Zone::Utc), "1969-12-31T23:59:59.999999999");
        assert_eq!(at(0, 0, Zone::Offset(330)), "1970-01-01T05:30:00.000000000");
        assert_eq!(at(0, 0, Zone::Offset(-720)), "1969-12-31T12:00:00.000000000");
        assert_eq!(text(|out| offset(out, -150)), "-02:30");
        assert_eq!(text(|out| offset(out, 840)), "+14:00");
        assert_eq!(text(|out| time(out, 86_399_999_999_999, 6)), "23:59:59.999999");
        assert_eq!(text(|out| time(out, 1_000_000_000, 0)), "00:00:01");
    }
}
