//! What was announced of one capture: every snapshot's begin and end once, around its events.

use std::collections::{BTreeMap, BTreeSet};

use krafka::consumer::ConsumerRecord;
use serde::Deserialize;

use super::history::Event;

/// One notification, read without the publisher's own type.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Notice {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) generation: u64,
    pub(crate) batch: u64,
    rows: Option<u64>,
    pub(crate) gap: Option<bool>,
    #[serde(default)]
    pub(crate) changes: Option<Vec<serde_json::Value>>,
}

/// A capture's notifications in order.
pub(super) struct Notices(Vec<Notice>);

/// The notifications of `capture`.
pub(crate) fn of(committed: &[ConsumerRecord], capture: &str) -> Vec<Notice> {
    let own = committed.iter().filter(|record| record.key.as_deref() == Some(capture.as_bytes()));
    own.map(|record| {
        let value = record.value.as_ref().expect("a notification has a value");
        serde_json::from_slice(value).expect("a notification is JSON")
    })
    .collect()
}

impl Notices {
    pub(super) fn of(committed: &[ConsumerRecord], capture: &str) -> Self {
        Self(of(committed, capture))
    }

    /// Anything announced twice, or an end without its beginning.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let (mut findings, mut seen) = (Vec::new(), BTreeSet::new());
        let mut open = None;
        for notice in &self.0 {
            if !seen.insert((notice.kind.as_str(), notice.generation, notice.batch)) {
                findings.push(format!("{notice:?} came twice"));
            }
            match notice.kind.as_str() {
                "snapshot_begin" => open = Some((notice.generation, notice.rows)),
                "snapshot_end" if open.take() != Some((notice.generation, notice.rows)) => {
                    findings.push(format!("{notice:?} ends what did not begin"));
                }
                _ => {}
            }
        }
        findings
    }

    /// Whether the columns of this batch, by generation and number, were announced in it.
    pub(super) fn announce_shape(&self, batch: (u64, u64)) -> bool {
        self.0.iter().any(|notice| notice.kind == "schema" && (notice.generation, notice.batch) == batch)
    }

    /// Snapshots that are not announced with their rows, whole.
    pub(super) fn missing(&self, events: &[Event]) -> Vec<String> {
        let mut read: BTreeMap<u64, u64> = BTreeMap::new();
        for event in events.iter().filter(|event| event.op == 'r') {
            *read.entry(event.place.0).or_default() += 1;
        }
        let ended = |generation| self.0.iter().find(|one| one.kind == "snapshot_end" && one.generation == generation);
        let wrong =
            read.into_iter().filter(|(generation, rows)| ended(*generation).and_then(|one| one.rows) != Some(*rows));
        wrong.map(|(generation, rows)| format!("{rows} rows of snapshot {generation} are not announced")).collect()
    }
}
