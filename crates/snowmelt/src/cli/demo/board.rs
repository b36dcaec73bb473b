//! What writer and reader have done so far, for the view and the report. Figures only; nothing decides by them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::event::Event;
use super::shop::TABLES;

/// Events shown.
pub(super) const LATEST: usize = 8;
/// Lags the current lag is the median of.
const RECENT: usize = 200;
/// Lags of a minute and more count as one.
const LONGEST_MS: usize = 60_000;

/// What the demo is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// Making the shop.
    #[default]
    Starting,
    /// Changing it.
    Running,
    /// No more changes; the last ones are on their way.
    Draining,
    /// Comparing.
    Comparing,
    /// All is said.
    Ended,
}

/// The figures.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) phase: Phase,
    /// When the publisher started.
    pub(super) since: Option<Instant>,
    /// Statements that changed rows, those rolled back included.
    pub(super) statements: u64,
    /// Rows those statements touched.
    pub(super) changes: u64,
    /// Transactions of several statements that were committed.
    pub(super) transactions: u64,
    /// Transactions that were rolled back.
    pub(super) rollbacks: u64,
    /// By table, in the order of [`TABLES`].
    pub(super) tables: [TableFigures; TABLES.len()],
    /// Some of the newest events, newest last, each with its table's index.
    pub(super) latest: VecDeque<(usize, Event)>,
}

/// One table's figures at the consumer.
#[derive(Debug, Default)]
pub(super) struct TableFigures {
    pub(super) events: u64,
    pub(super) lag: Lag,
}

/// How long changes took from their statement to the consumer.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// How many took so many milliseconds.
    counts: Vec<u64>,
    recent: VecDeque<u64>,
}

impl Lag {
    /// Counts one.
    pub(super) fn add(&mut self, millis: u64) {
        let slot = usize::try_from(millis).unwrap_or(LONGEST_MS).min(LONGEST_MS);
        if self.counts.len() <= slot {
            self.counts.resize(slot + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(slot) {
            *count += 1;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(millis);
    }

    /// The median of the newest.
    pub(super) fn now(&self) -> Option<u64> {
        let mut recent: Vec<u64> = self.recent.iter().copied().collect();
        recent.sort_unstable();
        recent.get(recent.len() / 2).copied()
    }
}

/// The lag in milliseconds that `percent` of all changes in `lags` stayed within; `None` without any.
pub(super) fn percentile<'a>(lags: impl Iterator<Item = &'a Lag> + Clone, percent: u64) -> Option<u64> {
    let total: u64 = lags.clone().flat_map(|lag| &lag.counts).sum();
    let wanted = (total * percent).div_ceil(100).max(1);
    let mut passed = 0;
    let longest = lags.clone().map(|lag| lag.counts.len()).max().unwrap_or_default();
    for slot in 0..longest {
        passed += lags.clone().filter_map(|lag| lag.counts.get(slot)).sum::<u64>();
        if passed >= wanted {
            return Some(slot as u64);
        }
    }
    None
}

/// The figures, shared.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Figures>);

impl Board {
    /// The figures; held only for a glance or a change.
    pub(super) fn figures(&self) -> MutexGuard<'_, Figures> {
        // Figures stay readable even if a writer panicked half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a phase.
    pub(super) fn enter(&self, phase: Phase) {
        self.figures().phase = phase;
    }
}

impl Figures {
    /// Enters what arrived: an event of the table at `index`, and its lag in milliseconds where it can be told.
    pub(super) fn arrived(&mut self, index: usize, event: &Event, lag: Option<u64>) {
        if let Some(table) = self.tables.get_mut(index) {
            table.events += 1;
            if let Some(lag) = lag {
                table.lag.add(lag);
            }
        }
        // Of a statement over many rows two events are enough to see, and leave room for what else arrives.
        let alike = |(table, other): &(usize, Event)| {
            (*table, other.op, other.place.batch) == (index, event.op, event.place.batch)
        };
        if self.latest.iter().rev().take(2).filter(|shown| alike(shown)).count() == 2 {
            self.latest.pop_back();
        } else if self.latest.len() == LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back((index, event.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::event::{Op, Place};

    #[test]
    fn percentiles_are_those_of_all_tables_together() {
        let (mut one, mut other) = (Lag::default(), Lag::default());
        (1..=50).for_each(|millis| one.add(millis));
        (51..=100).for_each(|millis| other.add(millis));
        let lags = [one, other];
        for (percent, millis) in [(1, 1), (50, 50), (99, 99), (100, 100)] {
            assert_eq!(percentile(lags.iter(), percent), Some(millis));
        }
        assert_eq!(percentile([Lag::default()].iter(), 50), None);
        assert_eq!(lags[1].now(), Some(76));
    }

    #[test]
    fn a_large_statement_does_not_crowd_out_what_else_arrives() {
        let event = |op, row| Event {
            op,
            key: "1".into(),
            place: Place { generation: 1, batch: 1, row },
            before: None,
            after: None,
        };
        let mut figures = Figures::default();
        (1..=100).for_each(|row| figures.arrived(0, &event(Op::Create, row), None));
        figures.arrived(0, &event(Op::Delete, 101), None);
        (1..=100).for_each(|row| figures.arrived(1, &event(Op::Create, row), None));
        let shown: Vec<(usize, u64)> = figures.latest.iter().map(|(table, event)| (*table, event.place.row)).collect();
        assert_eq!(shown, [(0, 1), (0, 100), (0, 101), (1, 1), (1, 100)]);
        (0..20).for_each(|row| figures.arrived(row % 2, &event(Op::Update, 1), None));
        assert_eq!(figures.latest.len(), LATEST);
    }

    #[test]
    fn a_lag_beyond_measure_still_counts() {
        let mut lag = Lag::default();
        lag.add(u64::MAX);
        assert_eq!(percentile([lag].iter(), 50), Some(60_000));
    }
}
