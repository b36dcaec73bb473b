//! Faults on demand: what a network and a cloud service do to a client on a bad day, made repeatable.
//!
//! A [`Rule`] says which requests it means ([`Match`]), which of those it strikes (the nth, or a seeded
//! share of them, and how often) and what happens ([`Action`]). Rules are added in process through
//! [`Faults`] or over HTTP at `/simulator/faults`; each counts what it matched and what it struck.
//! This file decides *whether*; the server decides *how*. Nothing here touches a socket.

mod rule;

use std::sync::Arc;

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};

pub use rule::{Action, Counters, Match, Moment, Rule, RuleId};

/// The set of rules in force. Cheap to clone; every clone is the same set.
#[derive(Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    next_id: RuleId,
    rules: Vec<Armed>,
}

/// A rule with its dice and its counters.
struct Armed {
    id: RuleId,
    rule: Rule,
    dice: StdRng,
    counters: Counters,
}

impl Faults {
    /// Arms one rule. The id names it in [`Faults::counters`] and [`Faults::remove`].
    pub fn add(&self, rule: Rule) -> RuleId {
        let mut state = self.state.lock();
        state.next_id += 1;
        let id = state.next_id;
        let dice = StdRng::seed_from_u64(rule.seed);
        state.rules.push(Armed { id, rule, dice, counters: Counters::default() });
        id
    }

    /// Disarms every rule and forgets the counters.
    pub fn clear(&self) {
        self.state.lock().rules.clear();
    }

    /// Disarms one rule; false if there is none with this id.
    pub fn remove(&self, id: RuleId) -> bool {
        let mut state = self.state.lock();
        let before = state.rules.len();
        state.rules.retain(|armed| armed.id != id);
        state.rules.len() != before
    }

    /// What a rule has matched and struck so far; `None` if it has been removed.
    pub fn counters(&self, id: RuleId) -> Option<Counters> {
        self.state.lock().rules.iter().find(|armed| armed.id == id).map(|armed| armed.counters)
    }

    /// Every rule in force with its counters, in the order of arming.
    pub fn list(&self) -> Vec<(RuleId, Rule, Counters)> {
        let state = self.state.lock();
        state.rules.iter().map(|armed| (armed.id, armed.rule.clone(), armed.counters)).collect()
    }

    /// The actions that strike this request, in the order the rules were armed. Counts them as struck.
    pub fn strike(&self, path: &str, sql: Option<&str>) -> Vec<Action> {
        let mut state = self.state.lock();
        state.rules.iter_mut().filter_map(|armed| armed.strike(path, sql)).collect()
    }
}

impl Armed {
    fn strike(&mut self, path: &str, sql: Option<&str>) -> Option<Action> {
        if !self.rule.matches.covers(path, sql) {
            return None;
        }
        self.counters.matched += 1;
        let spent = self.rule.times.is_some_and(|times| self.counters.struck >= times);
        let early = self.counters.matched < self.rule.nth;
        // The dice are thrown for every match, also for those that cannot strike, so that a seed gives
        // the same sequence whatever the other conditions are.
        let chosen = self.rule.probability >= 1.0 || self.dice.random::<f64>() < self.rule.probability;
        if spent || early || !chosen {
            return None;
        }
        self.counters.struck += 1;
        Some(self.rule.action.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(times: Option<u64>, nth: u64) -> Rule {
        Rule {
            matches: Match { path: Some("/queries".to_owned()), sql: Some("insert into".to_owned()) },
            nth,
            times,
            probability: 1.0,
            seed: 0,
            action: Action::Status { status: 503, retry_after: None },
        }
    }

    #[test]
    fn strikes_from_the_nth_match_and_so_many_times() {
        let faults = Faults::default();
        let id = faults.add(status(Some(2), 3));
        let struck: Vec<bool> =
            (0..6).map(|_| !faults.strike("/queries/v1/query-request", Some("INSERT INTO t")).is_empty()).collect();
        assert_eq!(struck, [false, false, true, true, false, false]);
        assert_eq!(faults.counters(id), Some(Counters { matched: 6, struck: 2 }));
    }

    #[test]
    fn both_conditions_must_hold() {
        let faults = Faults::default();
        faults.add(status(None, 1));
        assert!(faults.strike("/queries/v1/query-request", Some("select 1")).is_empty());
        assert!(faults.strike("/session/heartbeat", None).is_empty());
        assert!(faults.strike("/queries/v1/query-request", None).is_empty());
        assert_eq!(faults.strike("/queries/x", Some("insert  INTO t")).len(), 0, "the text is not normalised");
    }

    #[test]
    fn a_seed_repeats_its_strikes() {
        let run = |seed| {
            let faults = Faults::default();
            faults.add(Rule { probability: 0.4, seed, ..status(None, 1) });
            (0..64).map(|_| faults.strike("/queries", Some("insert into t")).len()).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let hits: usize = run(7).iter().sum();
        assert!((10..=42).contains(&hits), "{hits} of 64 at 0.4");
    }

    #[test]
    fn a_rule_reads_from_json_with_defaults() {
        let rule: Rule = serde_json::from_str(r#"{"action":{"kind":"drop_after"}}"#).unwrap();
        assert_eq!((rule.nth, rule.times, rule.probability), (1, Some(1), 1.0));
        assert!(serde_json::from_str::<Rule>(r#"{"action":{"kind":"drop_after"},"tiems":3}"#).is_err());
    }
}
