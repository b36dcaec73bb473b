//! The judge: compares what Kafka holds, as committed, with what the tables hold, and every event with those before it.
//!
//! ```text
//! tables ──▶ images ─┐
//!                    ├─▶ missing(): what is not in Kafka yet, or should not be there
//! topics ─▶ history ─┴─▶ wrong():   what may never be seen, at any moment
//! ```
//!
//! `missing` may be empty only in the end; `wrong` must be empty after every kill, for a reader of `read_committed`.

mod checkpoints;
mod history;
pub(crate) mod notices;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use self::checkpoints::Checkpoints;
use self::history::History;
use self::notices::Notices;
use crate::image::{Cell, Image};
use crate::tables::{self, STATE, Table};
use crate::world::{CHECKPOINTS, PIPELINE, World};

/// The topic of notifications.
pub(crate) const NOTIFICATIONS: &str = "snowmelt-notifications";
/// The topic of commands.
const COMMANDS: &str = "snowmelt-commands";
/// Findings shown of one kind; more of the same help nobody.
const SHOWN: usize = 12;

/// A reading of tables and topics.
pub(crate) struct Verifier {
    captures: Vec<Capture>,
    /// Staging tables that were not dropped.
    staged: Vec<String>,
}

struct Capture {
    table: Table,
    rows: Vec<Image>,
    history: History,
    checkpoints: Checkpoints,
    notices: Notices,
    /// The id of the last command.
    ordered: Option<String>,
}

/// What a good run amounts to.
#[derive(Debug, Default, Clone)]
pub(crate) struct Report {
    pub(crate) events: usize,
    pub(crate) by_op: BTreeMap<char, usize>,
    pub(crate) batches: u64,
    pub(crate) claims: u64,
    pub(crate) rows: usize,
    pub(crate) generations: u64,
    pub(crate) dead_letters: usize,
    /// Batches with other columns than the batch before.
    pub(crate) reshaped: u64,
}

impl Verifier {
    /// Reads everything. Tables are read first: what a running publisher adds meanwhile only brings Kafka closer.
    pub(crate) async fn read(world: &World) -> Self {
        Self::read_tables(world, &tables::ALL).await
    }

    /// Reads these tables and their topics.
    pub(crate) async fn read_tables(world: &World, captured: &[Table]) -> Self {
        let mut account = world.account();
        let committed = |topic: &str| world.kafka.cluster.committed_records(topic).expect("the log is readable");
        // The topic is there once the first publisher has begun.
        let noticed = || world.kafka.cluster.committed_records(NOTIFICATIONS).unwrap_or_default();
        let ordered = |capture: &str| {
            let commands = world.kafka.cluster.committed_records(COMMANDS).unwrap_or_default();
            let last = commands.iter().rfind(|record| record.key.as_deref() == Some(capture.as_bytes()))?;
            let value: serde_json::Value = serde_json::from_slice(last.value.as_ref()?).expect("a command is JSON");
            value["id"].as_str().map(str::to_owned)
        };
        // Only there where a table's policy asks for it.
        let dead = |table: &Table| world.kafka.cluster.committed_records(&table.dead_letters()).unwrap_or_default();
        let mut tables = Vec::new();
        for &table in captured {
            let rows = account.run(&table.rows()).await;
            let past = world.evolution.of(&table);
            let original = |row: Image| past.as_ref().map_or_else(|| row.clone(), |past| past.original(&row));
            tables.push((table, rows.into_iter().map(original).collect::<Vec<_>>()));
        }
        let topics = captured.iter().flat_map(|table| [table.topic(), table.dead_letters()]);
        let topics: Vec<String> = topics.chain([CHECKPOINTS.to_owned()]).collect();
        // A commit that a dead publisher left in the socket may still come; the topics must be of one moment.
        let captures = loop {
            let stamp = world.kafka.stamp(&topics);
            let cluster = &world.kafka.cluster;
            let held = cluster.last_stable_offset(CHECKPOINTS, 0) < cluster.next_offset(CHECKPOINTS, 0);
            let read = tables.iter().map(|(table, rows)| Capture {
                table: *table,
                rows: rows.clone(),
                history: History::of(&committed(&table.topic()), &dead(table)).through(world.evolution.of(table)),
                checkpoints: Checkpoints::of(&committed(CHECKPOINTS), held, &format!("{PIPELINE}/{}", table.topic())),
                ordered: ordered(&format!("{PIPELINE}/{}", table.topic())),
                notices: Notices::of(&noticed(), &format!("{PIPELINE}/{}", table.topic())),
            });
            let read: Vec<Capture> = read.collect();
            if world.kafka.stamp(&topics) == stamp {
                break read;
            }
        };
        let listed = account.run(&format!("SHOW TABLES IN SCHEMA {STATE}")).await;
        let names = listed.iter().filter_map(|row| match row.get("name") {
            Some(Cell::Text(name)) => Some(name.clone()),
            _ => None,
        });
        Self { captures, staged: names.filter(|name| !name.contains("_CLAIM_")).collect() }
    }

    /// Staging tables that are there.
    pub(crate) fn staged(&self) -> &[String] {
        &self.staged
    }

    /// What keeps Kafka from being the same as the tables.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for capture in &self.captures {
            let name = capture.table.name;
            capture.compare_fold(&mut findings);
            findings.extend(capture.history.left_behind().into_iter().map(|found| format!("{name}: {found}")));
            findings.extend(
                capture.notices.missing(&capture.history.events).into_iter().map(|found| format!("{name}: {found}")),
            );
            let unsaid = capture.history.reshaped().into_iter().filter(|batch| !capture.notices.announce_shape(*batch));
            findings.extend(unsaid.map(|batch| format!("{name}: other columns from {batch:?} on, and nobody said so")));
            if let Some(id) = capture.ordered.as_ref().filter(|id| !capture.checkpoints.answered(id)) {
                findings.push(format!("{name}: order {id} was not dealt with"));
            }
            match capture.checkpoints.last() {
                None => findings.push(format!("{name}: no checkpoint")),
                Some(last) if last.row != last.rows => {
                    findings.push(format!("{name}: batch {} stands at row {} of {}", last.batch, last.row, last.rows));
                }
                Some(_) => {}
            }
        }
        findings.extend(self.staged.iter().map(|name| format!("staging table {name} was not released")));
        findings
    }

    /// What contradicts exactly-once, order or pairing.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for capture in &self.captures {
            let mut found = capture.history.contradictions(capture.table.key, &capture.checkpoints.gaps());
            found.extend(capture.checkpoints.contradictions(&capture.history.events));
            found.extend(capture.notices.contradictions());
            let more = found.len().saturating_sub(SHOWN);
            findings.extend(found.into_iter().take(SHOWN).map(|finding| format!("{}: {finding}", capture.table.name)));
            if more > 0 {
                findings.push(format!("{}: and {more} more", capture.table.name));
            }
        }
        findings
    }

    /// Panics unless everything is in Kafka, once, in order.
    pub(crate) fn approve(&self) -> Report {
        self.dump();
        let findings: Vec<String> = self.wrong().into_iter().chain(self.missing()).collect();
        assert!(findings.is_empty(), "not exactly once:\n  {}", findings.join("\n  "));
        let mut report = Report::default();
        for capture in &self.captures {
            report.events += capture.history.events.len();
            report.dead_letters += capture.history.events.iter().filter(|event| event.dead).count();
            report.rows += capture.rows.len();
            report.reshaped += capture.history.reshaped().len() as u64;
            for event in &capture.history.events {
                *report.by_op.entry(event.op).or_default() += 1;
            }
            if let Some(last) = capture.checkpoints.last() {
                report.batches += last.batch;
                report.claims += last.claim;
                report.generations += last.generation;
            }
        }
        report
    }

    /// Writes what a reader must find, as `<SNOWMELT_DUMP>/<topic>.json`, for readers in other languages: an array
    /// of `{"key": …, "after": …}` in the raw text of the records, ordered by key.
    fn dump(&self) {
        let Ok(directory) = std::env::var("SNOWMELT_DUMP") else { return };
        for capture in &self.captures {
            let mut text = String::from("[");
            for (key, event) in capture.history.fold() {
                let separator = if text.len() > 1 { "," } else { "" };
                let _ = write!(text, "{separator}\n{{\"key\":{key},\"after\":{}}}", event.after_text);
            }
            text.push_str("\n]\n");
            let path = std::path::Path::new(&directory).join(format!("{}.json", capture.table.topic()));
            std::fs::write(path, text).expect("the expectation is written");
        }
    }
}

impl Capture {
    /// Compares the rows that the events leave over with the table's, each as often as it is there.
    fn compare_fold(&self, findings: &mut Vec<String>) {
        let fold = self.history.fold();
        // All rows have the same columns.
        let shown =
            |after: &Image| self.rows.first().map_or_else(|| after.clone(), |row| self.history.seen_as(after, row));
        let images: Vec<Image> = fold.values().filter_map(|event| event.after.as_ref().map(shown)).collect();
        let mut balance: BTreeMap<&Image, i64> = BTreeMap::new();
        for row in &self.rows {
            *balance.entry(row).or_default() += 1;
        }
        for image in &images {
            *balance.entry(image).or_default() -= 1;
        }
        let off: Vec<(&Image, i64)> = balance.into_iter().filter(|(_, count)| *count != 0).collect();
        for (image, count) in off.iter().take(SHOWN) {
            let what = if *count > 0 { "in the table and not in Kafka" } else { "in Kafka and not in the table" };
            findings.push(format!("{}: {what}: {}", self.table.name, show(image)));
        }
        if off.len() > SHOWN {
            findings.push(format!("{}: and {} more rows", self.table.name, off.len() - SHOWN));
        }
    }
}

/// A row in few words.
pub(crate) fn show(image: &Image) -> String {
    let cells = image.iter().map(|(name, cell)| match cell {
        Cell::Null => format!("{name}=null"),
        Cell::Flag(flag) => format!("{name}={flag}"),
        Cell::Number(text) | Cell::Nested(text) => format!("{name}={text}"),
        Cell::Text(text) => format!("{name}={text:?}"),
    });
    cells.collect::<Vec<_>>().join(" ")
}
