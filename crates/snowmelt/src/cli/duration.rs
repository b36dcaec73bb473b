//! Durations on the command line.

use std::time::Duration;

use crate::config::parse_duration;

/// Reads `30s`, `5m`, `1h`, `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a whole number with ms, s, m or h, as in 30s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in [("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("500ms", 500), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1.5s", "1d", "99999999999999999999s", "99999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
