//! Waiting between tries: exponential growth with full jitter, so that many publishers do not knock in step.
//!
//! See "Exponential Backoff And Jitter" (AWS Architecture Blog): full jitter spreads competing clients best.

use std::time::Duration;

use rand::Rng;

/// A growing, jittered wait. `reset` after a success.
#[derive(Debug, Clone)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits between `initial` (first upper bound) and `max` (last upper bound).
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max, attempts: 0 }
    }

    /// Tries since the last success.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Forgets the failures so far.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// How long to wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        let bound = self.initial.saturating_mul(2u32.saturating_pow(self.attempts.min(16))).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        // At least half of the bound: a wait of nearly nothing would hammer a server that is down.
        bound.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for attempt in 0..40u32 {
            let wait = backoff.next_wait();
            let bound = Duration::from_millis(100).saturating_mul(1 << attempt.min(10)).min(Duration::from_secs(2));
            assert!(wait <= bound && wait >= bound / 2, "attempt {attempt}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
