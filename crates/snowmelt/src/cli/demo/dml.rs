//! Random statements for the shop: pure, so that a seed always gives the same history.
//!
//! Every kind of change that is hard to carry is among them: several rows at once, keys that change, keys that rows
//! swap, keys that are deleted and come back, rows that come and go in one breath, rows that are put back as they were,
//! several statements in one transaction, transactions that are rolled back, MERGE. It knows which keys there are, and
//! nothing else of the tables. Only the stamps come from the clock.

mod customers;
mod orders;

use std::ops::Range;

use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{Rng, SeedableRng};

use self::customers::Customers;
use self::orders::Orders;

/// One statement that changes rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its text.
    pub(super) sql: String,
    /// How many rows it must touch.
    pub(super) rows: u64,
}

/// What becomes of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Each statement commits by itself.
    Auto,
    /// BEGIN … COMMIT.
    Commit,
    /// BEGIN … ROLLBACK: nothing of it may ever arrive.
    Rollback,
}

/// Statements that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) statements: Vec<Statement>,
    pub(super) ending: Ending,
}

/// What a step does to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Insert,
    Update,
    Delete,
    Merge,
    /// New keys for some rows.
    Rekey,
    /// Rows change keys among themselves.
    Swap,
    /// The same keys go and come back with new rows.
    Recreate,
    /// Rows come and go.
    Vanish,
    /// Rows change and change back.
    PutBack,
}

/// How often a step is taken, in hundredths.
const STEPS: [(Step, u32); 9] = [
    (Step::Insert, 27),
    (Step::Update, 38),
    (Step::Delete, 12),
    (Step::Merge, 7),
    (Step::Rekey, 4),
    (Step::Swap, 4),
    (Step::Recreate, 4),
    (Step::Vanish, 2),
    (Step::PutBack, 2),
];

/// A source of random work.
#[derive(Debug)]
pub(super) struct Dml {
    rng: StdRng,
    customers: Customers,
    orders: Orders,
    /// Most rows of one statement.
    most: usize,
}

impl Dml {
    /// Work that follows from `seed`, with at most `most` rows a statement.
    pub(super) fn new(seed: u64, most: usize) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { rng, customers: Customers::default(), orders: Orders::default(), most: most.max(2) }
    }

    /// The rows that are there before the publisher starts.
    pub(super) fn initial(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        for _ in 0..2 {
            self.customers.step(Step::Insert, 250, &mut self.rng, &mut statements);
            self.orders.step(Step::Insert, 500, &mut self.rng, &mut statements);
        }
        statements
    }

    /// The next piece of work.
    pub(super) fn next(&mut self) -> Work {
        let ending = match self.rng.random_range(0..100) {
            0..80 => Ending::Auto,
            80..97 => Ending::Commit,
            _ => Ending::Rollback,
        };
        let mut statements = Vec::new();
        let before = (ending == Ending::Rollback).then(|| (self.customers.clone(), self.orders.clone()));
        let steps = if ending == Ending::Auto { 1 } else { self.rng.random_range(2..=4) };
        for _ in 0..steps {
            // Mostly few rows, sometimes many.
            let part: f64 = self.rng.random();
            let rows = 1 + Self::scaled(self.most - 1, part * part);
            if self.rng.random_bool(0.4) {
                let step = self.step(self.customers.len(), customers::SIZE);
                self.customers.step(step, rows, &mut self.rng, &mut statements);
            } else {
                let step = self.step(self.orders.len(), orders::SIZE);
                self.orders.step(step, rows, &mut self.rng, &mut statements);
            }
        }
        if let Some((customers, orders)) = before {
            // Keys that were drawn stay drawn, so that no later row has one that was rolled back.
            self.customers.roll_back(customers);
            self.orders = orders;
        }
        Work { statements, ending }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "part is between 0 and 1")]
    fn scaled(most: usize, part: f64) -> usize {
        (most as f64 * part) as usize
    }

    /// Draws a step that keeps the table's size within bounds.
    fn step(&mut self, size: usize, bounds: Range<usize>) -> Step {
        if size <= bounds.start {
            return Step::Insert;
        }
        let weights: u32 = STEPS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.rng.random_range(0..weights);
        for (step, weight) in STEPS {
            if drawn < weight {
                return if step == Step::Insert && size >= bounds.end { Step::Delete } else { step };
            }
            drawn -= weight;
        }
        Step::Update
    }
}

/// The places of up to `rows` of `size` keys.
fn pick(size: usize, rows: usize, rng: &mut StdRng) -> Vec<usize> {
    sample(rng, size, rows.min(size)).into_vec()
}

/// Removes the keys at `places`, and returns them.
fn take<K>(keys: &mut Vec<K>, mut places: Vec<usize>) -> Vec<K> {
    places.sort_unstable_by(|a, b| b.cmp(a));
    places.into_iter().map(|place| keys.swap_remove(place)).collect()
}

/// `a, b, c`.
fn list(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

/// A number of cents as NUMBER(12,2) writes it.
fn money(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Minutes east of UTC, as people have them.
fn east(rng: &mut StdRng) -> i32 {
    const ZONES: [i32; 6] = [0, 60, 120, -300, 330, -720];
    ZONES.get(rng.random_range(0..ZONES.len())).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work without the stamps.
    fn shapes(seed: u64) -> Vec<(Ending, Vec<u64>)> {
        let mut dml = Dml::new(seed, 60);
        let _ = dml.initial();
        let shape = |work: Work| (work.ending, work.statements.iter().map(|statement| statement.rows).collect());
        (0..200).map(|_| shape(dml.next())).collect()
    }

    #[test]
    fn a_seed_gives_the_same_work_again_and_another_seed_other_work() {
        assert_eq!(shapes(7), shapes(7));
        assert_ne!(shapes(7), shapes(8));
    }

    #[test]
    fn all_kinds_of_statements_and_endings_come_and_the_tables_keep_their_size() {
        let mut dml = Dml::new(3, 200);
        let mut text: String = dml.initial().into_iter().map(|statement| statement.sql).collect();
        let mut endings = Vec::new();
        for _ in 0..2_000 {
            let work = dml.next();
            endings.push(work.ending);
            text.extend(work.statements.into_iter().map(|statement| statement.sql));
        }
        for table in ["CUSTOMERS", "ORDERS"] {
            for kind in ["INSERT INTO", "UPDATE", "DELETE FROM", "MERGE INTO"] {
                assert!(text.contains(&format!("{kind} DEMO.SHOP.{table}")), "{kind} {table}");
            }
        }
        assert!(text.contains("SET ID = CASE ID"));
        for ending in [Ending::Auto, Ending::Commit, Ending::Rollback] {
            assert!(endings.contains(&ending), "{ending:?}");
        }
        assert!(dml.customers.len() > 0 && dml.customers.len() < customers::SIZE.end + 400);
        assert!(dml.orders.len() > 0 && dml.orders.len() < orders::SIZE.end + 400);
    }
}
