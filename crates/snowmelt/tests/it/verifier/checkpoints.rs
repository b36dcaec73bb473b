//! One capture's committed checkpoints, and whether they say exactly what the committed events say.

use std::collections::{BTreeMap, BTreeSet};

use krafka::consumer::ConsumerRecord;
use serde::Deserialize;

use super::history::Event;

/// A checkpoint record, read without the publisher's own type.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Mark {
    pub(crate) claim: u64,
    pub(crate) generation: u64,
    pub(crate) batch: u64,
    pub(crate) row: u64,
    pub(crate) rows: u64,
    pub(crate) gap: bool,
    command: Option<Answered>,
    nonce: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Answered {
    id: String,
}

/// Every committed checkpoint of a capture, in order.
pub(super) struct Checkpoints {
    marks: Vec<Mark>,
    /// Somebody's open transaction keeps the newest records of the topic from `read_committed` readers, while the events
    /// they cover, which lie in other topics, show already.
    held: bool,
}

impl Checkpoints {
    pub(super) fn of(committed: &[ConsumerRecord], held: bool, capture: &str) -> Self {
        let own = committed.iter().filter(|record| record.key.as_deref() == Some(capture.as_bytes()));
        let marks = own.map(|record| {
            let value = record.value.as_ref().expect("a checkpoint has a value");
            serde_json::from_slice(value).expect("a checkpoint is JSON")
        });
        Self { marks: marks.collect(), held }
    }

    pub(super) fn last(&self) -> Option<&Mark> {
        self.marks.last()
    }

    /// Whether the command with this id was the last to be dealt with.
    pub(super) fn answered(&self, id: &str) -> bool {
        self.last().and_then(|mark| mark.command.as_ref()).is_some_and(|answered| answered.id == id)
    }

    /// Generations whose snapshot follows a gap.
    pub(super) fn gaps(&self) -> BTreeSet<u64> {
        self.marks.iter().filter(|mark| mark.gap).map(|mark| mark.generation).collect()
    }

    /// Steps that cannot follow each other, and events that no checkpoint covers, or that a checkpoint promises in vain.
    pub(super) fn contradictions(&self, events: &[Event]) -> Vec<String> {
        let mut findings = Vec::new();
        for pair in self.marks.windows(2) {
            let [before, after] = pair else { continue };
            let same_place =
                (after.generation, after.batch, after.row) == (before.generation, before.batch, before.row);
            let next_claim = after.claim == before.claim + 1 && same_place;
            let next_slice =
                after.claim == before.claim && after.generation == before.generation && after.follows(before);
            let anew = after.claim == before.claim
                && after.generation == before.generation + 1
                && (after.batch, after.row, after.rows) == (0, 0, 0)
                && (after.gap || before.row == before.rows);
            if after.nonce != before.nonce || !(next_claim || next_slice || anew) {
                findings.push(format!("checkpoint {after:?} cannot follow {before:?}"));
            }
        }
        let mut covered: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for mark in self.marks.iter().filter(|mark| mark.batch > 0) {
            covered.insert((mark.generation, mark.batch), mark.row);
        }
        for event in events {
            // An update consists of two staged rows, everything else of one.
            let rows = if event.op == 'u' { 2 } else { 1 };
            let left = covered.entry((event.place.0, event.place.1)).or_default();
            match left.checked_sub(rows) {
                Some(rest) => *left = rest,
                None if self.held => {}
                None => findings.push(format!("event {:?} {} is not covered by a checkpoint", event.place, event.op)),
            }
        }
        let lost = covered.into_iter().filter(|(_, rest)| *rest > 0);
        findings
            .extend(lost.map(|(batch, rest)| format!("{rest} rows of batch {batch:?} have a checkpoint and no event")));
        findings
    }
}

impl Mark {
    /// Further in the same batch, or the beginning of the next one after the end of this.
    fn follows(&self, before: &Self) -> bool {
        if self.batch == before.batch {
            return self.row > before.row && self.rows == before.rows;
        }
        self.batch == before.batch + 1 && before.row == before.rows
    }
}
