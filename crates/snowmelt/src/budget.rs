//! One byte budget for everything a publisher buffers, shared by its captures.
//!
//! The budget is halved: one half for result chunks between Snowflake and the encoder, the other for encoded slices
//! between the encoder and Kafka. With one pool a capture could fill it with chunks and then wait for ever for room to
//! encode them. A single item larger than its half is let through alone, so that one long value stalls nobody for ever.
//!
//! Room is waited for before the bytes are there, so it is asked for by estimate, and set right afterwards. What is
//! accounted is always what was last said, also beyond a half, so that [`Budget::peak`] hides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of this many, because a semaphore counts in `u32`.
const UNIT: usize = 1024;

/// Bytes that shares stand for.
#[derive(Debug, Default)]
struct Account {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Account {
    fn add(&self, bytes: usize) {
        let now = self.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    fn sub(&self, bytes: usize) {
        self.now.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A share of the budget; gives its bytes back when dropped.
#[derive(Debug)]
pub struct Share {
    pool: Pool,
    permit: OwnedSemaphorePermit,
    bytes: usize,
}

impl Share {
    /// Bytes it stands for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives its room back and stays accounted: for bytes that are still there although nobody who waits for room may
    /// wait for them to go.
    #[must_use]
    pub fn without_room(mut self) -> Self {
        let held = self.permit.num_permits();
        drop(self.permit.split(held));
        self
    }

    /// Says how many bytes it really is. Less gives room back at once. More is accounted at once and takes room as far
    /// as there is any: the bytes are there already, and waiting would not make them go.
    pub fn settle(&mut self, bytes: usize) {
        let (had, needs) = (self.permit.num_permits(), self.pool.units_for(bytes) as usize);
        if needs < had {
            drop(self.permit.split(had - needs));
        } else if let Some(more) = u32::try_from(needs - had).ok().filter(|more| *more > 0)
            && let Ok(permit) = Arc::clone(&self.pool.semaphore).try_acquire_many_owned(more)
        {
            self.permit.merge(permit);
        }
        if bytes > self.bytes {
            self.pool.account.add(bytes - self.bytes);
        } else {
            self.pool.account.sub(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.pool.account.sub(self.bytes);
    }
}

/// One half of the budget.
#[derive(Debug, Clone)]
pub struct Pool {
    units: u32,
    semaphore: Arc<Semaphore>,
    account: Arc<Account>,
}

impl Pool {
    fn new(bytes: usize, account: Arc<Account>) -> Self {
        let units = u32::try_from((bytes / UNIT).max(1)).unwrap_or(u32::MAX);
        Self { units, semaphore: Arc::new(Semaphore::new(units as usize)), account }
    }

    fn units_for(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units)
    }

    /// Waits, in order of asking, until `bytes` are free.
    pub async fn take(&self, bytes: usize) -> Share {
        let units = self.units_for(bytes);
        loop {
            // The semaphore is never closed; the loop is only there because the type cannot say so.
            if let Ok(permit) = Arc::clone(&self.semaphore).acquire_many_owned(units).await {
                self.account.add(bytes);
                return Share { pool: self.clone(), permit, bytes };
            }
        }
    }

    /// Bytes taken now.
    #[must_use]
    pub fn used(&self) -> usize {
        (self.units as usize - self.semaphore.available_permits()) * UNIT
    }
}

/// The whole budget.
#[derive(Debug, Clone)]
pub struct Budget {
    /// For result chunks.
    pub chunks: Pool,
    /// For encoded slices.
    pub slices: Pool,
    account: Arc<Account>,
}

impl Budget {
    /// Splits `bytes` in two halves.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let account = Arc::<Account>::default();
        let half = || Pool::new(bytes / 2, Arc::clone(&account));
        Self { chunks: half(), slices: half(), account }
    }

    /// The most bytes that were accounted at one time, both halves together.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.account.peak.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_item_larger_than_the_pool_goes_alone() {
        let budget = Budget::new(20 * UNIT);
        let pool = &budget.chunks;
        let whole = pool.take(100 * UNIT).await;
        assert_eq!(pool.used(), 10 * UNIT);
        let waiting = pool.take(UNIT);
        tokio::pin!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(whole);
        drop(waiting.await);
        assert_eq!(pool.used(), 0);
        assert_eq!(budget.peak(), 100 * UNIT, "what went alone is accounted whole");
    }

    #[tokio::test]
    async fn a_share_that_was_estimated_is_set_right() {
        let budget = Budget::new(20 * UNIT);
        let (pool, other) = (&budget.slices, &budget.chunks);
        let mut share = pool.take(6 * UNIT).await;
        share.settle(2 * UNIT);
        assert_eq!((pool.used(), share.bytes()), (2 * UNIT, 2 * UNIT));
        let rest = pool.take(8 * UNIT).await;
        let chunk = other.take(UNIT).await;
        assert_eq!(budget.peak(), 11 * UNIT);
        // No room is left, and the bytes are there all the same.
        share.settle(5 * UNIT);
        assert_eq!((pool.used(), budget.peak()), (10 * UNIT, 14 * UNIT));
        drop((rest, chunk));
        share.settle(7 * UNIT);
        assert_eq!(pool.used(), 7 * UNIT);
        let share = share.without_room();
        assert_eq!((pool.used(), budget.account.now.load(Ordering::Relaxed)), (0, 7 * UNIT));
        drop(share);
        assert_eq!((pool.used(), budget.account.now.load(Ordering::Relaxed)), (0, 0));
    }
}
