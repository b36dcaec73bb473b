//! The warehouse that all captures of a publisher share: what their statements on it cost, and when it is woken.
//!
//! ```text
//!  capture ──may I read?──▶ Tab ──▶ gate ──▶ ledger ◀── every statement of the capture's session
//!     ▲                                        │
//!     └── another table wakes it: look too     └──▶ Cost, in the status
//! ```
//!
//! Promises: a capture waits only for what [`Poll`] says, and is told until when and for what; every statement is
//! counted as one that needs a warehouse or one that does not. What it says of time up and of credits is an estimate
//! from outside: `docs/operations.md` says how it is made and what it cannot know.

mod facts;
mod gate;
mod ledger;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

pub(crate) use self::facts::Facts;
pub(crate) use self::gate::{Due, Held, Hold};

use self::gate::{Aims, Gate, Verdict};
use self::ledger::{DAY, Ledger};
use crate::clock::{Clock, Moment};
use crate::config::Poll;
use crate::source::session::Session;

/// AUTO_SUSPEND of a warehouse that was made without it, which is assumed until it is known.
const USUAL_IDLE: Duration = Duration::from_secs(600);
/// How long the warehouse's size and settings are believed.
const BELIEVED: Duration = Duration::from_secs(600);
/// Before this a rate for a day is not worth saying.
const OBSERVED: Duration = Duration::from_secs(3_600);

/// What one table has cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Probes of its stream since the process started; they need no warehouse.
    pub probes: u64,
    /// Statements that needed no warehouse, probes among them.
    pub metadata_statements: u64,
    /// Statements that needed one.
    pub warehouse_statements: u64,
    /// How long those took, from sending to answer, in seconds.
    pub warehouse_seconds: f64,
    /// Times the warehouse was resumed for this table, by all that is known here.
    pub wakes: u64,
    /// Batches that had no row.
    pub empty_batches: u64,
    /// Times its changes had to wait for the budget.
    pub held_by_budget: u64,
    /// Estimate: seconds that the warehouse is billed for this table, of the last 24 hours.
    pub estimated_seconds_24h: f64,
    /// Estimate: credits for them; `None` when the warehouse's size or its price is not known.
    pub estimated_credits_24h: Option<f64>,
    /// Estimate: credits a day if it goes on like this; extrapolated from what was seen so far, `None` in the first hour.
    pub estimated_credits_per_day: Option<f64>,
}

/// The shared warehouse; clones are the same one.
#[derive(Debug, Clone)]
pub struct Warehouse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    began: Moment,
    state: Mutex<State>,
    /// How often a table has woken it, so that others can go along.
    calls: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    facts: Option<Facts>,
    /// When the facts were last asked for.
    asked: Option<Moment>,
    costs: BTreeMap<String, Cost>,
}

/// One capture's account at the warehouse; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Tab {
    warehouse: Warehouse,
    table: String,
}

/// A statement under way, charged until dropped.
pub(crate) struct Charge {
    tab: Tab,
    began: Moment,
    /// Whether the warehouse is resumed for it.
    woken: bool,
    refused: bool,
}

impl Warehouse {
    pub(crate) fn new(clock: &Clock, poll: &Poll) -> Self {
        let aims = Aims { freshness: poll.freshness, budget: poll.max_warehouse_seconds_per_hour };
        let gate = Gate::new(aims, Ledger::new(Some(USUAL_IDLE)));
        let state = State { gate, facts: None, asked: None, costs: BTreeMap::new() };
        let (calls, _) = watch::channel(0);
        Self(Arc::new(Inner { clock: clock.clone(), began: clock.now(), state: Mutex::new(state), calls }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Figures stay readable even if a writer panicked half-way.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tab(&self, table: &str) -> Tab {
        self.lock().costs.entry(table.to_owned()).or_default();
        Tab { warehouse: self.clone(), table: table.to_owned() }
    }

    /// Says how often a table has woken the warehouse; changes when one does. Never, if nothing can ever wait.
    pub(crate) fn calls(&self) -> watch::Receiver<u64> {
        self.0.calls.subscribe()
    }

    /// Asks Snowflake for the warehouse's size and settings, unless it did so lately. That needs no warehouse, and what
    /// is not answered stays as it was: nothing rests on it but estimates.
    pub(crate) async fn learn(&self, session: &Arc<Session>) {
        let now = self.0.clock.now();
        {
            let mut state = self.lock();
            if state.asked.is_some_and(|asked| now.since(asked) < BELIEVED) {
                return;
            }
            state.asked = Some(now);
        }
        let facts = match Facts::find(session).await {
            Ok(Some(facts)) => facts,
            Ok(None) => return tracing::debug!("the warehouse cannot be looked at; its cost is not known"),
            Err(error) => return tracing::debug!(%error, "the warehouse was not looked at"),
        };
        let mut state = self.lock();
        if state.facts.as_ref() == Some(&facts) {
            return;
        }
        state.gate.ledger.learn(facts.auto_suspend, facts.credits_per_hour);
        tracing::info!(
            warehouse = facts.name,
            size = facts.size,
            credits_per_hour = facts.credits_per_hour,
            auto_suspend = ?facts.auto_suspend,
            "the warehouse"
        );
        if let Some((found, remedy)) = facts.advice().filter(|_| !state.gate.is_open()) {
            tracing::warn!(warehouse = facts.name, "{found}; {remedy}");
        }
        let wake = state.gate.ledger.wake();
        if let Some(budget) = state.gate.aims.budget.filter(|budget| wake > *budget) {
            tracing::warn!(
                warehouse = facts.name,
                ?wake,
                ?budget,
                "one wake alone takes more than max_warehouse_seconds_per_hour; the budget is kept over several hours"
            );
        }
        state.facts = Some(facts);
    }

    /// What a table has cost.
    pub(crate) fn cost(&self, table: &str) -> Cost {
        let now = self.0.clock.now();
        let mut state = self.lock();
        state.gate.settle(now);
        let mut cost = state.costs.get(table).cloned().unwrap_or_default();
        let share = state.gate.ledger.share(table, now);
        cost.estimated_seconds_24h = share.seconds;
        cost.estimated_credits_24h = share.credits;
        let seen = now.since(self.0.began).min(DAY);
        if seen >= OBSERVED {
            let days = DAY.as_secs_f64() / seen.as_secs_f64();
            cost.estimated_credits_per_day = share.credits.map(|credits| credits * days);
        }
        cost
    }

    /// Says in the log what the captures have cost together.
    pub(crate) fn sum_up(&self) {
        let tables: Vec<String> = self.lock().costs.keys().cloned().collect();
        let costs: Vec<Cost> = tables.iter().map(|table| self.cost(table)).collect();
        let credits: Option<f64> = costs.iter().map(|cost| cost.estimated_credits_24h).sum();
        tracing::info!(
            wakes = costs.iter().map(|cost| cost.wakes).sum::<u64>(),
            statements = costs.iter().map(|cost| cost.warehouse_statements).sum::<u64>(),
            metadata_statements = costs.iter().map(|cost| cost.metadata_statements).sum::<u64>(),
            estimated_seconds_24h = costs.iter().map(|cost| cost.estimated_seconds_24h).sum::<f64>(),
            estimated_credits_24h = credits,
            "use of the warehouse"
        );
    }
}

impl Tab {
    fn change<T>(&self, change: impl FnOnce(&mut State, Moment) -> T) -> T {
        let now = self.warehouse.0.clock.now();
        change(&mut self.warehouse.lock(), now)
    }

    fn count(&self, change: impl FnOnce(&mut Cost)) {
        self.change(|state, _| change(state.costs.entry(self.table.clone()).or_default()));
    }

    /// A statement that needs no warehouse.
    pub(crate) fn metadata(&self) {
        self.count(|cost| cost.metadata_statements += 1);
    }

    /// The stream was probed.
    pub(crate) fn probed(&self) {
        self.count(|cost| cost.probes += 1);
    }

    /// A batch had no row.
    pub(crate) fn empty_batch(&self) {
        self.count(|cost| cost.empty_batches += 1);
    }

    /// Its changes begin to wait for the budget.
    pub(crate) fn held_by_budget(&self, wait: Duration) {
        tracing::warn!(table = self.table, ?wait, "changes wait for room in poll.max_warehouse_seconds_per_hour");
        self.count(|cost| cost.held_by_budget += 1);
    }

    /// A statement that needs a warehouse begins.
    pub(crate) fn charge(&self) -> Charge {
        let (began, woken) = self.change(|state, now| {
            state.gate.settle(now);
            let woken = state.gate.ledger.begin(&self.table, now);
            let cost = state.costs.entry(self.table.clone()).or_default();
            cost.warehouse_statements += 1;
            cost.wakes += u64::from(woken);
            (now, woken)
        });
        Charge { tab: self.clone(), began, woken, refused: false }
    }

    /// Whether the stream, which has data, may be read now; else what it waits for.
    pub(crate) fn ask(&self, due: Due) -> Option<Held> {
        match self.change(|state, now| (state.gate.decide(&self.table, due, now), state.gate.is_open())) {
            (Verdict::Wait(held), _) => Some(held),
            (Verdict::Call, false) => {
                self.warehouse.0.calls.send_modify(|calls| *calls += 1);
                None
            }
            _ => None,
        }
    }
}

impl Charge {
    /// The statement was refused for want of a warehouse, and has cost nothing.
    pub(crate) fn refused(mut self) {
        self.refused = true;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Self { tab, began, woken, refused } = self;
        tab.change(|state, now| {
            let cost = state.costs.entry(tab.table.clone()).or_default();
            if *refused {
                cost.warehouse_statements -= 1;
                cost.wakes -= u64::from(*woken);
                return state.gate.ledger.refused(&tab.table);
            }
            let took = now.since(*began);
            cost.warehouse_seconds += took.as_secs_f64();
            state.gate.ledger.end(&tab.table, took, now);
        });
    }
}
