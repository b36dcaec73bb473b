//! Byte sizes and durations as people write them: `"64MiB"`, `"250ms"`.
//!
//! Promises: whole numbers with a unit, nothing rounded and nothing guessed; a
//! number without its unit is refused. What is shown parses back to itself.

use std::time::Duration;

const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// In milliseconds.
const DURATIONS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

pub(super) const SIZE_UNITS: &str = "B, kB, MB, GB, KiB, MiB, GiB";
pub(super) const DURATION_UNITS: &str = "ms, s, m, h";

/// Bytes.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATIONS).map(Duration::from_millis)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that divides it: `"64MiB"`, `"1MB"`, `"1000001B"`.
pub(super) fn show_size(bytes: usize) -> String {
    u64::try_from(bytes).map_or_else(|_| format!("{bytes}B"), |bytes| show(bytes, &SIZES, "B"))
}

/// In the largest unit that divides it: `"5m"`, `"90s"`, `"250ms"`.
pub(super) fn show_duration(duration: Duration) -> String {
    match u64::try_from(duration.as_millis()) {
        Ok(millis) => show(millis, &DURATIONS, "s"),
        Err(_) => format!("{}s", duration.as_secs()),
    }
}

fn show(count: u64, units: &[(&str, u64)], zero: &str) -> String {
    match units.iter().find(|(_, factor)| count > 0 && count.is_multiple_of(*factor)) {
        Some((name, factor)) => format!("{}{name}", count / factor),
        None => format!("{count}{zero}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0B", 0),
            ("1000000B", 1_000_000),
            ("2kB", 2_000),
            ("1MB", 1_000_000),
            ("3GB", 3_000_000_000),
            ("1KiB", 1_024),
            ("64MiB", 67_108_864),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "64", "MiB", "64 MiB", "64mib", "1.5MiB", "-1B", "+1B", "1M", "99999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, millis) in [("0s", 0), ("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "s", "30 s", "30S", "1.5s", "1d", "1m30s", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn shown_in_the_largest_whole_unit() {
        assert_eq!(show_size(64 << 20), "64MiB");
        assert_eq!(show_size(1_000_000), "1MB");
        assert_eq!(show_size(1_000_001), "1000001B");
        assert_eq!(show_size(0), "0B");
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(show_duration(Duration::from_secs(120)), "2m");
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }

    proptest! {
        #[test]
        fn what_is_shown_parses_back(bytes in 0..u64::MAX / 2, millis in 0..u64::MAX / 2) {
            let size = show_size(usize::try_from(bytes).unwrap());
            prop_assert_eq!(parse_size(&size), Some(bytes));
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }
    }
}
