//! Random transactions on the captured tables: everything that a net delta can be made of.
//!
//! Rows come, change, change there and back, change their key, swap keys, go, go and come again under the same key,
//! alone or many at once, in transactions that commit, roll back or do nothing; now and then a table is truncated.
//! The same seed makes the same statements.

mod cells;
mod columns;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::cells::{Key, assignment, insert, key_change, poison, swap, update, where_key, where_keys};
use self::columns::Extra;
use crate::account::Account;
use crate::evolution::Evolution;
use crate::tables::{self, Table};
use crate::world::World;

/// Rows a table is filled up to; few enough that keys are met again and again.
const MOST: usize = 400;

/// The statements' maker and what it knows of the tables.
pub(crate) struct Workload {
    dice: StdRng,
    account: Account,
    keys: Vec<BTreeSet<Key>>,
    transactions: Arc<AtomicU64>,
    /// Whether some rows are larger than Kafka takes.
    poisonous: bool,
    /// The columns that each table has beside its own, where columns may change at all.
    extras: Option<Vec<Vec<Extra>>>,
    columns_made: u32,
    evolution: Arc<Evolution>,
}

/// A workload that runs in the background.
pub(crate) struct Working {
    stop: CancellationToken,
    task: JoinHandle<Workload>,
    transactions: Arc<AtomicU64>,
}

impl Workload {
    /// A workload on the world's tables, which must be empty.
    pub(crate) fn new(world: &World, seed: u64) -> Self {
        Self {
            dice: StdRng::seed_from_u64(seed),
            account: world.account(),
            keys: vec![BTreeSet::new(); tables::ALL.len()],
            transactions: Arc::default(),
            poisonous: false,
            extras: None,
            columns_made: 0,
            evolution: Arc::clone(&world.evolution),
        }
    }

    /// The same with rows now and then that are larger than Kafka takes.
    pub(crate) fn poisonous(self) -> Self {
        Self { poisonous: true, ..self }
    }

    /// Fills every table with some rows.
    pub(crate) async fn fill(&mut self, rows: usize) {
        for table in 0..tables::ALL.len() {
            self.add(table, rows).await;
        }
    }

    /// Runs so many transactions.
    pub(crate) async fn run(&mut self, transactions: usize) {
        for _ in 0..transactions {
            self.transaction().await;
        }
    }

    /// Changes every row of every table, so that the next batches have several slices and several chunks.
    pub(crate) async fn burst(&mut self) {
        for (index, table) in tables::ALL.iter().enumerate() {
            if self.keys[index].len() < 100 {
                self.add(index, 100).await;
            }
            let sql = format!("UPDATE {} SET {}", table.topic(), assignment(table, &mut self.dice));
            self.account.run(&sql).await;
        }
    }

    /// Goes on in the background until asked to stop.
    pub(crate) fn start(mut self) -> Working {
        let stop = CancellationToken::new();
        let transactions = Arc::clone(&self.transactions);
        let task = tokio::spawn({
            let stop = stop.clone();
            async move {
                while !stop.is_cancelled() {
                    self.transaction().await;
                    // Leaves the processor to those under test; nothing depends on how long.
                    let pause = std::time::Duration::from_millis(self.dice.random_range(5..40));
                    tokio::time::sleep(pause).await;
                }
                self
            }
        });
        Working { stop, task, transactions }
    }

    async fn transaction(&mut self) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        let before = self.keys.clone();
        let explicit = self.dice.random_bool(0.4);
        if !explicit {
            return self.step(true).await;
        }
        self.account.run("BEGIN").await;
        for _ in 0..self.dice.random_range(0..5) {
            self.step(false).await;
        }
        if self.dice.random_bool(0.25) {
            self.account.run("ROLLBACK").await;
            self.keys = before;
        } else {
            self.account.run("COMMIT").await;
        }
    }

    /// One change of one table. `alone`: not inside a transaction, which a TRUNCATE would commit.
    async fn step(&mut self, alone: bool) {
        let index = self.dice.random_range(0..tables::ALL.len());
        let table = &tables::ALL[index];
        match Self::draw_reshape(&mut self.dice, self.extras.is_some()) {
            Some(true) if alone => return self.reshape(index).await,
            Some(false) if self.change_extra(index).await => return,
            _ => {}
        }
        if self.poisonous && self.dice.random_bool(0.12) {
            // Later steps change such rows back, move their keys, delete them: every half of every event comes to be
            // the one that is too large.
            let count = self.dice.random_range(1..3);
            let keys = self.keys[index].iter().copied().choose_multiple(&mut self.dice, count);
            if !keys.is_empty() {
                self.account.run(&poison(table, &keys, &mut self.dice)).await;
            }
            return;
        }
        match self.dice.random_range(0..100) {
            0..25 => {
                let count = self.dice.random_range(1..8);
                self.add(index, count).await;
            }
            25..45 => self.change(index).await,
            45..53 => self.change_key(index).await,
            53..61 => self.swap_keys(index).await,
            61..72 => self.remove(index).await,
            72..80 => {
                // Away and back under the same key, as another row.
                if let Some(key) = self.some_key(index) {
                    self.account.run(&format!("DELETE FROM {} WHERE {}", table.topic(), where_key(table, key))).await;
                    self.account.run(&insert(table, &[key], self.extras.is_some(), &mut self.dice)).await;
                }
            }
            80..86 => {
                // Come and gone: the stream may say that it has data, and has none.
                let key = self.free_key(index);
                self.account.run(&insert(table, &[key], self.extras.is_some(), &mut self.dice)).await;
                self.account.run(&format!("DELETE FROM {} WHERE {}", table.topic(), where_key(table, key))).await;
            }
            86..91 => {
                // There and back: no change at all.
                if let Some((key, other)) = self.some_key(index).map(|key| (key, self.free_key(index))) {
                    self.account.run(&key_change(table, key, other)).await;
                    self.account.run(&key_change(table, other, key)).await;
                }
            }
            91..96 => {
                let sql = format!("UPDATE {} SET {}", table.topic(), assignment(table, &mut self.dice));
                self.account.run(&sql).await;
            }
            96..99 => {
                let count = self.dice.random_range(60..150);
                self.add(index, count).await;
            }
            _ if !alone => {}
            _ => {
                self.account.run(&format!("TRUNCATE TABLE {}", table.topic())).await;
                self.keys[index].clear();
            }
        }
    }

    async fn add(&mut self, index: usize, count: usize) {
        let table = &tables::ALL[index];
        let mut fresh = Vec::new();
        for _ in 0..count.min(MOST.saturating_sub(self.keys[index].len())) {
            let key = self.free_key(index);
            self.keys[index].insert(key);
            fresh.push(key);
        }
        // With a list of columns the simulator's parser runs out of stack at some hundred rows.
        let (most, listed) = if self.extras.is_some() { (40, true) } else { (MOST, false) };
        for rows in fresh.chunks(most) {
            self.account.run(&insert(table, rows, listed, &mut self.dice)).await;
        }
    }

    async fn change(&mut self, index: usize) {
        let table = &tables::ALL[index];
        let count = self.dice.random_range(1..12);
        let keys = self.keys[index].iter().copied().choose_multiple(&mut self.dice, count);
        if !keys.is_empty() {
            self.account.run(&update(table, &keys, &mut self.dice)).await;
        }
    }

    async fn change_key(&mut self, index: usize) {
        if let Some(key) = self.some_key(index) {
            let other = self.free_key(index);
            self.account.run(&key_change(&tables::ALL[index], key, other)).await;
            self.keys[index].remove(&key);
            self.keys[index].insert(other);
        }
    }

    async fn swap_keys(&mut self, index: usize) {
        let pair = self.keys[index].iter().copied().choose_multiple(&mut self.dice, 2);
        if let [one, other] = pair[..] {
            self.account.run(&swap(&tables::ALL[index], one, other)).await;
        }
    }

    async fn remove(&mut self, index: usize) {
        let table = &tables::ALL[index];
        let count = self.dice.random_range(1..10);
        let keys = self.keys[index].iter().copied().choose_multiple(&mut self.dice, count);
        if !keys.is_empty() {
            self.account.run(&format!("DELETE FROM {} WHERE {}", table.topic(), where_keys(table, &keys))).await;
            for key in keys {
                self.keys[index].remove(&key);
            }
        }
    }

    /// Adds one row to a table now.
    pub(crate) async fn touch(&mut self, table: &Table) {
        let index = tables::ALL.iter().position(|known| known.name == table.name).expect("a captured table");
        self.add(index, 1).await;
    }

    fn some_keys(&mut self, index: usize, most: usize) -> Vec<Key> {
        let count = self.dice.random_range(1..most);
        self.keys[index].iter().copied().choose_multiple(&mut self.dice, count)
    }

    fn some_key(&mut self, index: usize) -> Option<Key> {
        self.keys[index].iter().copied().choose(&mut self.dice)
    }

    fn free_key(&mut self, index: usize) -> Key {
        let second = if tables::ALL[index].address.len() > 1 { 9 } else { 1 };
        loop {
            let key = (self.dice.random_range(1..700), self.dice.random_range(0..second));
            if !self.keys[index].contains(&key) {
                return key;
            }
        }
    }
}

impl Working {
    /// Transactions begun so far.
    pub(crate) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Ends the transaction under way and stops.
    pub(crate) async fn stop(self) -> Workload {
        self.stop.cancel();
        self.task.await.expect("the workload goes on until it is stopped")
    }
}
