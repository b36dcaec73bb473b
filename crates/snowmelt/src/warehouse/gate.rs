//! Whether a stream that has data may be read now, or waits for others, or for the budget.
//!
//! ```text
//!  at once?   initial rows, a stream about to go stale, a person's order    ──▶ go
//!  a ride?    another table woke the warehouse less than a minute ago       ──▶ go, if the budget has room
//!  due?       no freshness is set, or its time has come                     ──▶ go, if the budget has room
//!                                                                               else wait, and say until when
//! ```
//! The budget beats the freshness, and what goes at once beats the budget (it is counted all the same). Half of an
//! hour's budget goes to whoever is due; from then on wakes are spaced as the whole of it would space them, so that the
//! other half does not go in one burst either.
//!
//! Promises: pure decisions over the [`Ledger`] and moments it is given.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ledger::{DAY, LEAST, Ledger};
use crate::clock::Moment;

/// What budgets are about.
const HOUR: Duration = Duration::from_secs(3_600);

/// How much is wanted: a change no older than this in Kafka, and no more of the warehouse than that in an hour.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Aims {
    pub(super) freshness: Option<Duration>,
    pub(super) budget: Option<Duration>,
}

/// When a table's changes want to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Now, whatever it costs.
    AtOnce,
    /// At this moment, for the freshness.
    By(Moment),
}

/// What a table's changes wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Others to share a wake with, until the freshness demands one.
    Freshness,
    /// Room in the budget.
    Budget,
}

/// Why a table waits, and how long unless something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) by: Hold,
    pub(crate) until: Moment,
}

/// The gate of one warehouse.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) aims: Aims,
    pub(super) ledger: Ledger,
    call: Option<Call>,
}

/// The latest wake: when it was called, and who has gone in it.
#[derive(Debug)]
struct Call {
    at: Moment,
    served: BTreeSet<String>,
}

/// The answer to a table that wants to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes, and is the first of a wake: others may go along.
    Call,
    /// It goes along.
    Ride,
    /// It waits.
    Wait(Held),
}

impl Gate {
    pub(super) fn new(aims: Aims, ledger: Ledger) -> Self {
        Self { aims, ledger, call: None }
    }

    /// Whether anything can ever wait here.
    pub(super) fn is_open(&self) -> bool {
        self.aims.freshness.is_none() && self.aims.budget.is_none()
    }

    /// Brings the ledger up to `now`.
    pub(super) fn settle(&mut self, now: Moment) {
        let keep = self.aims.budget.map_or(DAY, |budget| self.window(budget).0.max(DAY));
        self.ledger.settle(now, keep);
    }

    /// Decides for `table`, whose stream has data.
    pub(super) fn decide(&mut self, table: &str, due: Due, now: Moment) -> Verdict {
        self.settle(now);
        let ride = self.call.as_ref().is_some_and(|call| now.since(call.at) < LEAST && !call.served.contains(table));
        let go = |gate: &mut Self| {
            match &mut gate.call {
                Some(call) if ride => {
                    call.served.insert(table.to_owned());
                    return Verdict::Ride;
                }
                call => *call = Some(Call { at: now, served: BTreeSet::from([table.to_owned()]) }),
            }
            Verdict::Call
        };
        let until = match due {
            Due::AtOnce => return go(self),
            Due::By(_) if self.is_open() => return go(self),
            // Without a freshness to aim at, sooner is better.
            Due::By(_) if self.aims.freshness.is_none() => now,
            Due::By(moment) => moment,
        };
        if !ride && until > now {
            return Verdict::Wait(Held { by: Hold::Freshness, until });
        }
        match self.aims.budget.map(|budget| self.affordable(budget, ride, now)) {
            Some(until) if until > now => Verdict::Wait(Held { by: Hold::Budget, until }),
            _ => go(self),
        }
    }

    /// The time over which a budget is kept, and what may be used in it: an hour, unless one wake alone is more.
    fn window(&self, budget: Duration) -> (Duration, Duration) {
        let wake = self.ledger.wake();
        if wake <= budget {
            return (HOUR, budget);
        }
        (HOUR.mul_f64(wake.as_secs_f64() / budget.as_secs_f64().max(1.0)), wake)
    }

    /// When the budget has room.
    fn affordable(&self, budget: Duration, ride: bool, now: Moment) -> Moment {
        let (window, limit) = self.window(budget);
        let up = self.ledger.is_up();
        let cost = match (up, ride) {
            (true, _) => self.ledger.extension(now),
            // Called, and not yet begun: it is paid by whoever called.
            (false, true) => Duration::ZERO,
            (false, false) => self.ledger.wake(),
        };
        let room = self.ledger.room(now, window, limit.saturating_sub(cost));
        let spare = self.ledger.used(now, window) + cost <= limit / 2;
        match &self.call {
            Some(call) if !ride && !spare => {
                let share = self.ledger.wake().as_secs_f64() / limit.as_secs_f64().max(1.0);
                room.max(call.at.after(window.mul_f64(share)))
            }
            _ => room,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::default().after(secs(seconds))
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn gate(freshness: Option<u64>, budget: Option<u64>, idle: u64) -> Gate {
        let aims = Aims { freshness: freshness.map(secs), budget: budget.map(secs) };
        Gate::new(aims, Ledger::new(Some(secs(idle))))
    }

    /// The table reads for a second.
    fn read(gate: &mut Gate, table: &str, now: u64) {
        gate.ledger.begin(table, at(now));
        gate.ledger.end(table, secs(1), at(now + 1));
    }

    #[test]
    fn without_aims_everything_goes_as_it_comes() {
        let mut gate = gate(None, None, 60);
        for now in 0..100 {
            assert_ne!(
                gate.decide("A", Due::By(at(9_999)), at(now)),
                Verdict::Wait(Held { by: Hold::Freshness, until: at(9_999) })
            );
            read(&mut gate, "A", now);
        }
    }

    #[test]
    fn tables_wait_for_the_first_that_is_due_and_then_go_together_once() {
        let mut gate = gate(Some(600), None, 60);
        let waits = |until| Verdict::Wait(Held { by: Hold::Freshness, until: at(until) });
        assert_eq!(gate.decide("A", Due::By(at(500)), at(10)), waits(500));
        assert_eq!(gate.decide("B", Due::By(at(300)), at(20)), waits(300));
        assert_eq!(gate.decide("B", Due::By(at(300)), at(300)), Verdict::Call);
        assert_eq!(gate.decide("A", Due::By(at(500)), at(301)), Verdict::Ride);
        read(&mut gate, "B", 300);
        read(&mut gate, "A", 301);
        // Who has had its turn waits again, although the warehouse is up: it would never sleep else.
        assert_eq!(gate.decide("A", Due::By(at(800)), at(310)), waits(800));
        assert_eq!(gate.decide("C", Due::By(at(900)), at(359)), Verdict::Ride);
        assert_eq!(gate.decide("D", Due::By(at(900)), at(361)), waits(900), "a wake is not drawn out for ever");
    }

    #[test]
    fn the_budget_beats_the_freshness_and_what_goes_at_once_beats_both() {
        let mut gate = gate(Some(60), Some(130), 60);
        assert_eq!(gate.decide("A", Due::By(at(0)), at(0)), Verdict::Call);
        read(&mut gate, "A", 0);
        // 61 s are used, and another wake would fit; but more than half would be gone, so it is spaced.
        let Verdict::Wait(held) = gate.decide("A", Due::By(at(100)), at(100)) else { panic!("it waits") };
        assert_eq!(held.by, Hold::Budget);
        assert!(held.until > at(1_600) && held.until < at(1_800), "{held:?}");
        assert_eq!(gate.decide("A", Due::By(at(100)), held.until), Verdict::Call);
        read(&mut gate, "A", 1_700);
        let Verdict::Wait(held) = gate.decide("A", Due::By(at(1_800)), at(1_800)) else { panic!("it waits") };
        assert!(held.until > at(3_300), "122 of 130 s of the last hour are used: {held:?}");
        assert_eq!(gate.decide("A", Due::AtOnce, at(1_801)), Verdict::Call);
    }

    #[test]
    fn over_a_day_of_constant_changes_no_hour_uses_more_than_the_budget() {
        for (budget, idle) in [(130, 60), (600, 60), (300, 30), (1_800, 60), (60, 1)] {
            let mut gate = gate(Some(60), Some(budget), idle);
            let (mut now, mut wakes) = (0, Vec::new());
            while now < 86_400 {
                match gate.decide("A", Due::By(at(now)), at(now)) {
                    Verdict::Wait(held) => {
                        now = held.until.since(at(0)).as_millis().div_ceil(1_000).try_into().unwrap();
                        continue;
                    }
                    _ => {
                        read(&mut gate, "A", now);
                        wakes.push(now);
                    }
                }
                now += 1;
                let used = gate.ledger.used(at(now), HOUR);
                assert!(used <= secs(budget + 1), "{used:?} of {budget} s, AUTO_SUSPEND {idle}, at {now}");
            }
            assert!(gate.ledger.used(at(now), HOUR) > secs(budget / 2), "{budget} s are there to be used: {wakes:?}");
        }
    }

    #[test]
    fn a_budget_below_one_wake_is_kept_over_more_than_an_hour() {
        let mut gate = gate(None, Some(60), 600);
        assert_eq!(gate.decide("A", Due::By(at(0)), at(0)), Verdict::Call);
        read(&mut gate, "A", 0);
        let Verdict::Wait(held) = gate.decide("A", Due::By(at(0)), at(700)) else { panic!("it waits") };
        // A wake of 601 s is ten hours' budget.
        assert!(held.until > at(35_000) && held.until < at(38_000), "{held:?}");
        assert_eq!(gate.decide("A", Due::By(at(0)), held.until), Verdict::Call);
    }
}
