//! Which rows of a part are deleted in one version.
//!
//! Promises: copying is cheap and shares what did not change, so thousands of versions of a part
//! cost little; positions are written to the journal as runs.
//! Leaves to others: what a deletion means (`version`).

use std::sync::Arc;

const WORDS: usize = 64;
const CHUNK: usize = WORDS * 64;

/// A set of row positions, copied on write in chunks of 4096 rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deletes {
    chunks: Vec<Option<Arc<[u64; WORDS]>>>,
    count: u64,
}

/// A run of consecutive positions: first and how many.
pub(crate) type Run = (u32, u32);

impl Deletes {
    /// How many rows are deleted.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether a row is deleted.
    #[must_use]
    pub(crate) fn contains(&self, position: u32) -> bool {
        let position = position as usize;
        match self.chunks.get(position / CHUNK) {
            Some(Some(words)) => {
                let bit = position % CHUNK;
                words[bit / 64] >> (bit % 64) & 1 == 1
            }
            _ => false,
        }
    }

    /// Deletes a row; false if it was deleted already.
    pub(crate) fn insert(&mut self, position: u32) -> bool {
        let position = position as usize;
        let chunk = position / CHUNK;
        if self.chunks.len() <= chunk {
            self.chunks.resize(chunk + 1, None);
        }
        let words = self.chunks[chunk].get_or_insert_with(|| Arc::new([0; WORDS]));
        let bit = position % CHUNK;
        let mask = 1_u64 << (bit % 64);
        if words[bit / 64] & mask != 0 {
            return false;
        }
        Arc::make_mut(words)[bit / 64] |= mask;
        self.count += 1;
        true
    }

    /// Deletes every row of the runs.
    pub(crate) fn extend(&mut self, runs: &[Run]) {
        for (first, length) in runs {
            for position in *first..first.saturating_add(*length) {
                self.insert(position);
            }
        }
    }

    /// Rows deleted here and not in `earlier`, as runs in order; `rows` is the part's length.
    #[must_use]
    pub(crate) fn since(&self, earlier: &Self, rows: u32) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (index, words) in self.chunks.iter().enumerate() {
            let Some(words) = words else { continue };
            if let Some(Some(before)) = earlier.chunks.get(index)
                && (Arc::ptr_eq(before, words) || before == words)
            {
                continue;
            }
            let first = u32::try_from(index * CHUNK).unwrap_or(u32::MAX);
            let last = first.saturating_add(u32::try_from(CHUNK).unwrap_or(0)).min(rows);
            for position in first..last {
                if self.contains(position) && !earlier.contains(position) {
                    match runs.last_mut() {
                        Some((start, length)) if *start + *length == position => *length += 1,
                        _ => runs.push((position, 1)),
                    }
                }
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_it_had_and_the_difference_comes_as_runs() {
        let mut first = Deletes::default();
        assert!(first.insert(5) && first.insert(9_000) && !first.insert(5));
        let mut second = first.clone();
        second.extend(&[(6, 3), (8_999, 3)]);
        assert_eq!((first.count(), second.count()), (2, 7));
        assert_eq!(second.since(&first, 10_000), [(6, 3), (8_999, 1), (9_001, 1)]);
        assert!(!first.contains(6));
    }
}
