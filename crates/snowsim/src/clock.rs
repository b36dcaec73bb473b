//! The clock of one simulated account, which tests can move forward.
//!
//! Promises: everything that depends on time (creation dates, staleness, `CURRENT_TIMESTAMP`,
//! the expiry of tokens) reads this clock and no other, and it never runs backwards.
//! Leaves to others: network timeouts, which are real time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// The account's time: the machine's time plus every advance a test asked for.
#[derive(Debug)]
pub struct Clock {
    state: Mutex<ClockState>,
}

#[derive(Debug, Default)]
struct ClockState {
    /// Nanoseconds added by [`Clock::advance`].
    ahead: i128,
    /// The latest value handed out, so that a step of the machine's clock is not seen here.
    latest: i128,
}

impl Clock {
    /// A clock that shows the machine's time until it is moved.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(ClockState::default()) })
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn now_nanos(&self) -> i128 {
        let machine = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
            Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
        };
        let mut state = self.state.lock();
        state.latest = state.latest.max(machine.saturating_add(state.ahead));
        state.latest
    }

    /// Moves the clock forward by `by`.
    pub fn advance(&self, by: Duration) {
        let by = i128::try_from(by.as_nanos()).unwrap_or(i128::MAX);
        let mut state = self.state.lock();
        state.ahead = state.ahead.saturating_add(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_moves_the_clock_by_at_least_that_much() {
        let clock = Clock::new();
        let before = clock.now_nanos();
        clock.advance(Duration::from_secs(86_400));
        assert!(clock.now_nanos() - before >= 86_400_000_000_000);
    }
}
