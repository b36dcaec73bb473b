//! Statements for ORDERS, whose keys are UUIDs.

use std::ops::Range;

use rand::Rng;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::{Statement, Step, east, list, money, pick, take};
use crate::cli::demo::moment::Moment;
use crate::cli::demo::shop::ORDERS;

/// Least and most rows, about.
pub(super) const SIZE: Range<usize> = 400..8_000;

/// The orders there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    keys: Vec<Uuid>,
}

impl Orders {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Takes one step with about `rows` rows.
    pub(super) fn step(&mut self, step: Step, rows: usize, rng: &mut StdRng, out: &mut Vec<Statement>) {
        match step {
            Step::Insert => {
                let keys = new_keys(rows, rng);
                out.push(insert(&keys, rng));
                self.keys.extend(keys);
            }
            Step::Update => {
                let keys = self.some(rows, rng);
                let next = "CASE STATUS WHEN 'new' THEN 'paid' WHEN 'paid' THEN 'sent' ELSE 'done' END";
                let set = match rng.random_range(0..3) {
                    0 => format!("AMOUNT = AMOUNT + {}", money(rng.random_range(1..1_000))),
                    1 => format!("STATUS = {next}"),
                    _ => format!("STATUS = {next}, AMOUNT = {}", money(rng.random_range(100..100_000))),
                };
                out.push(update(&keys, &set));
            }
            Step::Delete => {
                let places = pick(self.keys.len(), rows, rng);
                let keys = take(&mut self.keys, places);
                out.push(delete(&keys));
            }
            Step::Merge => {
                let mut keys = self.some(rows, rng);
                let new = new_keys(rows.div_ceil(2), rng);
                self.keys.extend(&new);
                keys.extend(new);
                out.push(merge(&keys, rng));
            }
            Step::Rekey => {
                let places = pick(self.keys.len(), rows.min(40), rng);
                let new = new_keys(places.len(), rng);
                let pairs: Vec<(Uuid, Uuid)> = places
                    .iter()
                    .zip(&new)
                    .filter_map(|(&place, &new)| Some((std::mem::replace(self.keys.get_mut(place)?, new), new)))
                    .collect();
                out.push(rekey(&pairs, rng));
            }
            Step::Swap => {
                let keys = self.some(rows.clamp(2, 40), rng);
                let pairs: Vec<(Uuid, Uuid)> = keys.iter().copied().zip(keys.iter().copied().cycle().skip(1)).collect();
                out.push(rekey(&pairs, rng));
            }
            Step::Recreate => {
                let keys = self.some(rows, rng);
                out.extend([delete(&keys), insert(&keys, rng)]);
            }
            Step::Vanish => {
                let keys = new_keys(rows, rng);
                out.extend([insert(&keys, rng), delete(&keys)]);
            }
            Step::PutBack => {
                let keys = self.some(rows, rng);
                out.extend([update(&keys, "AMOUNT = AMOUNT + 0.01"), update(&keys, "AMOUNT = AMOUNT - 0.01")]);
            }
        }
    }

    fn some(&self, rows: usize, rng: &mut StdRng) -> Vec<Uuid> {
        pick(self.keys.len(), rows, rng).into_iter().filter_map(|place| self.keys.get(place).copied()).collect()
    }
}

/// Random by the seed, not by the system.
fn new_keys(count: usize, rng: &mut StdRng) -> Vec<Uuid> {
    (0..count).map(|_| uuid::Builder::from_random_bytes(rng.random()).into_uuid()).collect()
}

fn now(rng: &mut StdRng) -> String {
    format!("'{}'::TIMESTAMP_TZ(9)", Moment::now(east(rng)))
}

fn keys_of(keys: &[Uuid]) -> String {
    list(keys.iter().map(|key| format!("'{key}'")))
}

fn statement(sql: String, rows: usize) -> Statement {
    Statement { sql, rows: rows as u64 }
}

fn values(keys: &[Uuid], rng: &mut StdRng) -> String {
    let row = |key: &Uuid| {
        let (customer, amount) = (rng.random_range(1..3_000), money(rng.random_range(100..100_000)));
        format!("('{key}', {customer}, {amount})")
    };
    list(keys.iter().map(row))
}

fn insert(keys: &[Uuid], rng: &mut StdRng) -> Statement {
    let sql = format!(
        "INSERT INTO {} (ID, CUSTOMER_ID, AMOUNT, STATUS, PLACED_AT) \
         SELECT ID, CUSTOMER_ID, AMOUNT, 'new', {} FROM (VALUES {}) AS v (ID, CUSTOMER_ID, AMOUNT)",
        ORDERS.path(),
        now(rng),
        values(keys, rng)
    );
    statement(sql, keys.len())
}

fn update(keys: &[Uuid], set: &str) -> Statement {
    statement(format!("UPDATE {} SET {set} WHERE ID IN ({})", ORDERS.path(), keys_of(keys)), keys.len())
}

fn delete(keys: &[Uuid]) -> Statement {
    statement(format!("DELETE FROM {} WHERE ID IN ({})", ORDERS.path(), keys_of(keys)), keys.len())
}

/// An order under a new number counts as placed anew: whatever comes as new to the consumer has a fresh stamp.
fn rekey(pairs: &[(Uuid, Uuid)], rng: &mut StdRng) -> Statement {
    let cases: String = pairs.iter().map(|(old, new)| format!(" WHEN '{old}' THEN '{new}'")).collect();
    let old: Vec<Uuid> = pairs.iter().map(|(old, _)| *old).collect();
    update(&old, &format!("ID = CASE ID{cases} END, PLACED_AT = {}", now(rng)))
}

fn merge(keys: &[Uuid], rng: &mut StdRng) -> Statement {
    let sql = format!(
        "MERGE INTO {} AS t USING (SELECT ID, CUSTOMER_ID, AMOUNT, {} AS PLACED_AT \
         FROM (VALUES {}) AS v (ID, CUSTOMER_ID, AMOUNT)) AS s ON t.ID = s.ID \
         WHEN MATCHED THEN UPDATE SET AMOUNT = s.AMOUNT, STATUS = 'paid' \
         WHEN NOT MATCHED THEN INSERT (ID, CUSTOMER_ID, AMOUNT, STATUS, PLACED_AT) \
         VALUES (s.ID, s.CUSTOMER_ID, s.AMOUNT, 'new', s.PLACED_AT)",
        ORDERS.path(),
        now(rng),
        values(keys, rng)
    );
    statement(sql, keys.len())
}
