//! Statements for CUSTOMERS, whose keys are numbers.

use std::ops::Range;

use rand::Rng;
use rand::rngs::StdRng;

use super::{Statement, Step, list, money, pick, take};
use crate::cli::demo::moment::Moment;
use crate::cli::demo::shop::CUSTOMERS;
use crate::source::staging::literal;

/// Least and most rows, about.
pub(super) const SIZE: Range<usize> = 200..2_500;

const NAMES: [&str; 12] = [
    "Ada Byron",
    "Zoë Müller",
    "Łukasz Nowak",
    "Siobhán O'Brien",
    "Grace Hopper",
    "Chidi Okafor",
    "Mei Lin",
    "José García",
    "Anna \"Anni\" Berg",
    "Noor Haddad",
    "Tove Back\\slash",
    "Renée D'Aubigné",
];

/// The customers there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Customers {
    keys: Vec<u64>,
    /// The last key that was drawn.
    last: u64,
}

impl Customers {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Back to the keys of `before`.
    pub(super) fn roll_back(&mut self, before: Self) {
        self.keys = before.keys;
    }

    /// Takes one step with about `rows` rows.
    pub(super) fn step(&mut self, step: Step, rows: usize, rng: &mut StdRng, out: &mut Vec<Statement>) {
        match step {
            Step::Insert => {
                let keys = self.new_keys(rows);
                out.push(insert(&keys, rng));
                self.keys.extend(keys);
            }
            Step::Update => {
                let keys = self.some(rows, rng);
                let sql = match rng.random_range(0..4) {
                    0 => format!("CREDIT = CREDIT + {}", money(rng.random_range(1..10_000))),
                    1 => format!("CREDIT = {}, EMAIL = NULL", money(rng.random_range(0..1_000_000))),
                    2 => "ACTIVE = NOT ACTIVE".to_owned(),
                    _ => format!("NAME = {}, EMAIL = {}", name(rng), email(rng.random_range(1..1_000_000))),
                };
                out.push(update(&keys, &sql));
            }
            Step::Delete => {
                let places = pick(self.keys.len(), rows, rng);
                let keys = take(&mut self.keys, places);
                out.push(delete(&keys));
            }
            Step::Merge => {
                let mut keys = self.some(rows, rng);
                let new = self.new_keys(rows.div_ceil(2));
                self.keys.extend(&new);
                keys.extend(new);
                out.push(merge(&keys, rng));
            }
            Step::Rekey => {
                let places = pick(self.keys.len(), rows.min(40), rng);
                let new = self.new_keys(places.len());
                let pairs: Vec<(u64, u64)> = places
                    .iter()
                    .zip(&new)
                    .filter_map(|(&place, &new)| Some((std::mem::replace(self.keys.get_mut(place)?, new), new)))
                    .collect();
                out.push(rekey(&pairs));
            }
            Step::Swap => {
                let keys = self.some(rows.clamp(2, 40), rng);
                let pairs: Vec<(u64, u64)> = keys.iter().copied().zip(keys.iter().copied().cycle().skip(1)).collect();
                out.push(rekey(&pairs));
            }
            Step::Recreate => {
                let keys = self.some(rows, rng);
                out.extend([delete(&keys), insert(&keys, rng)]);
            }
            Step::Vanish => {
                let keys = self.new_keys(rows);
                out.extend([insert(&keys, rng), delete(&keys)]);
            }
            Step::PutBack => {
                let keys = self.some(rows, rng);
                out.extend([update(&keys, "CREDIT = CREDIT + 1.01"), update(&keys, "CREDIT = CREDIT - 1.01")]);
            }
        }
    }

    fn some(&self, rows: usize, rng: &mut StdRng) -> Vec<u64> {
        pick(self.keys.len(), rows, rng).into_iter().filter_map(|place| self.keys.get(place).copied()).collect()
    }

    fn new_keys(&mut self, count: usize) -> Vec<u64> {
        let from = self.last + 1;
        self.last += count as u64;
        (from..=self.last).collect()
    }
}

fn now() -> String {
    format!("'{}'::TIMESTAMP_NTZ(9)", Moment::now(0).without_zone())
}

fn name(rng: &mut StdRng) -> String {
    literal(NAMES.get(rng.random_range(0..NAMES.len())).copied().unwrap_or_default())
}

fn email(number: u64) -> String {
    format!("'c{number}@example.com'")
}

fn keys_of(keys: &[u64]) -> String {
    list(keys.iter().map(u64::to_string))
}

fn statement(sql: String, rows: usize) -> Statement {
    Statement { sql, rows: rows as u64 }
}

fn values(keys: &[u64], rng: &mut StdRng) -> String {
    let row = |&key: &u64| {
        let email = if rng.random_bool(0.1) { "NULL".to_owned() } else { email(key) };
        let (credit, active) = (money(rng.random_range(0..1_000_000)), rng.random_bool(0.8));
        format!("({key}, {}, {email}, {credit}, {active})", name(rng))
    };
    list(keys.iter().map(row))
}

fn insert(keys: &[u64], rng: &mut StdRng) -> Statement {
    let sql = format!(
        "INSERT INTO {} (ID, NAME, EMAIL, CREDIT, ACTIVE, UPDATED_AT) \
         SELECT ID, NAME, EMAIL, CREDIT, ACTIVE, {} FROM (VALUES {}) AS v (ID, NAME, EMAIL, CREDIT, ACTIVE)",
        CUSTOMERS.path(),
        now(),
        values(keys, rng)
    );
    statement(sql, keys.len())
}

fn update(keys: &[u64], set: &str) -> Statement {
    let sql = format!("UPDATE {} SET {set}, UPDATED_AT = {} WHERE ID IN ({})", CUSTOMERS.path(), now(), keys_of(keys));
    statement(sql, keys.len())
}

fn delete(keys: &[u64]) -> Statement {
    statement(format!("DELETE FROM {} WHERE ID IN ({})", CUSTOMERS.path(), keys_of(keys)), keys.len())
}

fn rekey(pairs: &[(u64, u64)]) -> Statement {
    let cases: String = pairs.iter().map(|(old, new)| format!(" WHEN {old} THEN {new}")).collect();
    let old: Vec<u64> = pairs.iter().map(|(old, _)| *old).collect();
    update(&old, &format!("ID = CASE ID{cases} END"))
}

fn merge(keys: &[u64], rng: &mut StdRng) -> Statement {
    let sql = format!(
        "MERGE INTO {} AS t USING (SELECT ID, NAME, EMAIL, CREDIT, ACTIVE, {} AS UPDATED_AT \
         FROM (VALUES {}) AS v (ID, NAME, EMAIL, CREDIT, ACTIVE)) AS s ON t.ID = s.ID \
         WHEN MATCHED THEN UPDATE SET CREDIT = s.CREDIT, ACTIVE = s.ACTIVE, UPDATED_AT = s.UPDATED_AT \
         WHEN NOT MATCHED THEN INSERT (ID, NAME, EMAIL, CREDIT, ACTIVE, UPDATED_AT) \
         VALUES (s.ID, s.NAME, s.EMAIL, s.CREDIT, s.ACTIVE, s.UPDATED_AT)",
        CUSTOMERS.path(),
        now(),
        values(keys, rng)
    );
    statement(sql, keys.len())
}
