//! The time that waits and estimates go by: this machine's, plus what somebody in the same process adds.
//!
//! Promises: never goes back; whoever sleeps until a moment wakes when it comes, or when the clock is moved past it.
//! A publisher never moves it. Tests and benches do, so that a day of waiting takes as long as its work. Leaves timeouts
//! of requests to real time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::status;

/// A point of a [`Clock`]'s time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The time from `earlier` to this; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }

    /// This much earlier, but not before the clock began.
    #[must_use]
    pub fn before(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time))
    }
}

/// A clock; clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    began: Instant,
    ahead: watch::Sender<Duration>,
    sleepers: Arc<Mutex<Sleepers>>,
}

#[derive(Debug, Default)]
struct Sleepers {
    last: u64,
    until: BTreeMap<u64, Moment>,
}

impl Default for Clock {
    fn default() -> Self {
        let (ahead, _) = watch::channel(Duration::ZERO);
        Self { began: Instant::now(), ahead, sleepers: Arc::default() }
    }
}

/// Takes a sleeper off the list, also when it is cancelled.
struct Sleeper<'c>(&'c Clock, u64);

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.sleepers().until.remove(&self.1);
    }
}

impl Clock {
    fn sleepers(&self) -> std::sync::MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(self.began.elapsed() + *self.ahead.borrow())
    }

    /// Now, in milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(&self) -> i64 {
        status::now_ms().saturating_add(i64::try_from(self.ahead.borrow().as_millis()).unwrap_or(i64::MAX))
    }

    /// A moment in milliseconds since 1970.
    #[must_use]
    pub fn unix_ms_of(&self, moment: Moment) -> i64 {
        let (now, millis) = (self.now(), |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        self.unix_ms().saturating_add(millis(moment.since(now))).saturating_sub(millis(now.since(moment)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.ahead.send_modify(|ahead| *ahead += by);
    }

    /// Waits until `moment` has come.
    pub async fn sleep_until(&self, moment: Moment) {
        let number = {
            let mut sleepers = self.sleepers();
            sleepers.last += 1;
            let number = sleepers.last;
            sleepers.until.insert(number, moment);
            number
        };
        let _sleeper = Sleeper(self, number);
        let mut moved = self.ahead.subscribe();
        loop {
            let left = moment.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // The sender is this clock's own, so it does not close.
                _ = moved.changed() => {}
            }
        }
    }

    /// How many sleep, and when the first of them will wake.
    #[must_use]
    pub fn sleeping(&self) -> (usize, Option<Moment>) {
        let sleepers = self.sleepers();
        (sleepers.until.len(), sleepers.until.values().min().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_moved_past_its_moment_and_not_before() {
        let clock = Clock::default();
        let until = clock.now().after(Duration::from_secs(3_600));
        let sleep = clock.sleep_until(until);
        tokio::pin!(sleep);
        assert!(futures::poll!(&mut sleep).is_pending());
        assert_eq!(clock.sleeping(), (1, Some(until)));
        clock.advance(Duration::from_secs(3_000));
        assert!(futures::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(600));
        sleep.await;
        assert!(clock.now() >= until);
        assert_eq!(clock.sleeping(), (0, None));
    }
}
