//! One byte budget for everything a publisher buffers, shared by its captures.
//!
//! The budget is halved: one half for result chunks between Snowflake and the encoder, the other for encoded slices
//! between the encoder and Kafka. With one pool a capture could fill it with chunks and then wait for ever for room to
//! encode them. A single item larger than its half is let through alone, so that one long value stalls nobody for ever.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of this many, because a semaphore counts in `u32`.
const UNIT: usize = 1024;

/// A share of the budget; gives its bytes back when dropped.
#[derive(Debug)]
pub struct Share(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// One half of the budget.
#[derive(Debug, Clone)]
pub struct Pool {
    units: u32,
    semaphore: Arc<Semaphore>,
}

impl Pool {
    fn new(bytes: usize) -> Self {
        let units = u32::try_from((bytes / UNIT).max(1)).unwrap_or(u32::MAX);
        Self { units, semaphore: Arc::new(Semaphore::new(units as usize)) }
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
                return Share(permit);
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
}

impl Budget {
    /// Splits `bytes` in two halves.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { chunks: Pool::new(bytes / 2), slices: Pool::new(bytes / 2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_item_larger_than_the_pool_goes_alone() {
        let pool = Pool::new(10 * UNIT);
        let whole = pool.take(100 * UNIT).await;
        assert_eq!(pool.used(), 10 * UNIT);
        let waiting = pool.take(UNIT);
        tokio::pin!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(whole);
        drop(waiting.await);
        assert_eq!(pool.used(), 0);
    }
}
