//! Moments for people, and the calendar under them.

/// A moment in UTC, as `2026-01-02 03:04:05.678Z`. `millis` are milliseconds since 1970.
#[must_use]
pub(crate) fn moment(millis: i64) -> String {
    let (year, month, day) = civil(millis.div_euclid(86_400_000));
    let rest = millis.rem_euclid(86_400_000);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:03}Z", rest % 1_000)
}

/// Year, month and day of a day since 1970-01-01. The year is counted from March, so that the leap day
/// is the last of it and months have the regular lengths that `153 * month + 2` over 5 adds up.
pub(crate) fn civil(days: i64) -> (i64, u8, u8) {
    /// Days in 400 years, after which the calendar repeats.
    const ERA: i64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    let days = i128::from(days) + i128::from(EPOCH);
    let era = i64::try_from(days.div_euclid(i128::from(ERA))).unwrap_or(i64::MAX / 400);
    let of_era = i64::try_from(days.rem_euclid(i128::from(ERA))).unwrap_or_default();
    // Every 4th year has a day more, every 100th not, the 400th does.
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, u8::try_from(month).unwrap_or(0), u8::try_from(day).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn a_moment_is_told_in_utc() {
        assert_eq!(moment(0), "1970-01-01 00:00:00.000Z");
        assert_eq!(moment(-1), "1969-12-31 23:59:59.999Z");
        assert_eq!(moment(1_709_168_645_007), "2024-02-29 01:04:05.007Z");
    }
}
