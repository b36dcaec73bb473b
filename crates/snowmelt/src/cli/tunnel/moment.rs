//! A moment as people read it.

const DAY: u64 = 24 * 3600;

/// Milliseconds since 1970 as `2026-11-23 22:50:01 UTC`.
pub(super) fn utc(millis: u64) -> String {
    let seconds = millis / 1000;
    let (mut days, of_day) = (seconds / DAY, seconds % DAY);
    let mut year = 1970_u64;
    // A state file may hold any number; nobody reads a year beyond this.
    while days >= days_of(year) && year < 10_000 {
        days -= days_of(year);
        year += 1;
    }
    let mut month = 1;
    for length in [31, days_of(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC", days + 1)
}

fn days_of(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_by_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (1_795_474_201, "2026-11-23 22:50:01 UTC"),
        ] {
            assert_eq!(utc(seconds * 1000), text);
        }
        utc(u64::MAX);
    }
}
