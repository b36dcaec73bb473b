//! A table's committed events, dead letters among them, and what may never be seen there.
//!
//! A dead letter stands for the event it was made of: its images are made whole again where they were cut, so that the
//! events and the dead letters together must be a history without a gap.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use krafka::consumer::ConsumerRecord;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::show;
use crate::evolution::Past;
use crate::image::{self, Cell, Image};

/// Where an event comes from: generation, batch, row.
pub(super) type Place = (u64, u64, u64);

/// One change event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The record's key as it came: equal keys have equal bytes.
    pub(crate) key: String,
    pub(crate) before: Option<Image>,
    pub(crate) after: Option<Image>,
    /// `after` as it came, or `null`.
    pub(crate) after_text: String,
    pub(crate) op: char,
    pub(crate) place: Place,
    row_id: String,
    snapshot: bool,
    partition: i32,
    offset: i64,
    /// Whether it came as a dead letter.
    pub(crate) dead: bool,
}

/// Partitions of dead letters are counted from here, to tell them from those of events.
const DEAD: i32 = 1_000;

/// Everything on one topic, by partition and offset.
pub(super) struct History {
    pub(super) events: Vec<Event>,
    records: Vec<Record>,
    /// How the table's columns changed, if they did. Images are by columns' first names then.
    past: Option<Past>,
    /// Events with columns that the table did not have.
    misshapen: Vec<String>,
    /// Batches, by generation and number, with other columns than the one before.
    reshaped: Vec<(u64, u64)>,
}

enum Record {
    Event(usize),
    Tombstone { key: String, partition: i32, offset: i64 },
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    source: Source,
    op: char,
}

#[derive(Deserialize)]
struct Source {
    generation: u64,
    batch: u64,
    row: u64,
    row_id: String,
    snapshot: String,
}

impl History {
    pub(super) fn of(committed: &[ConsumerRecord], dead_letters: &[ConsumerRecord]) -> Self {
        let mut events = Vec::new();
        let mut records = Vec::new();
        for record in committed {
            let key = record.key.as_ref().expect("every record has a key");
            let key = std::str::from_utf8(key).expect("a key is JSON").to_owned();
            let (partition, offset) = (record.partition, record.offset);
            let Some(value) = &record.value else {
                records.push(Record::Tombstone { key, partition, offset });
                continue;
            };
            let value: Value<'_> = serde_json::from_slice(value).expect("a value is an envelope");
            records.push(Record::Event(events.len()));
            events.push(Event {
                key,
                before: value.before.map(image::from_json),
                after: value.after.map(image::from_json),
                after_text: value.after.map_or("null", RawValue::get).to_owned(),
                op: value.op,
                place: (value.source.generation, value.source.batch, value.source.row),
                row_id: value.source.row_id,
                snapshot: value.source.snapshot == "true",
                partition,
                offset,
                dead: false,
            });
        }
        events.extend(dead_letters.iter().map(dead_letter));
        Self { events, records, past: None, misshapen: Vec::new(), reshaped: Vec::new() }
    }

    /// Judges and compares images by how the table's columns changed.
    pub(super) fn through(mut self, past: Option<Past>) -> Self {
        let Some(past) = past else { return self };
        let (mut shape, mut batch) = (0, None);
        let mut order: Vec<usize> = (0..self.events.len()).collect();
        order.sort_by_key(|index| self.events[*index].place);
        for index in order {
            let event = &mut self.events[index];
            for image in [&mut event.before, &mut event.after].into_iter().flatten() {
                match past.shape(image, shape) {
                    Some(found) if batch == Some((event.place.0, event.place.1)) && found != shape => {
                        self.misshapen.push(format!("{:?} has other columns than its batch", event.place));
                    }
                    Some(found) => {
                        if batch.is_some() && found != shape {
                            self.reshaped.push((event.place.0, event.place.1));
                        }
                        shape = found;
                    }
                    None => {
                        self.misshapen.push(format!("{:?} has columns of no later time: {}", event.place, show(image)))
                    }
                }
                batch = Some((event.place.0, event.place.1));
                *image = past.original(image);
            }
        }
        self.past = Some(past);
        self
    }

    /// Batches, by generation and number, with other columns than the one before.
    pub(super) fn reshaped(&self) -> Vec<(u64, u64)> {
        self.reshaped.clone()
    }

    /// An image as a later one with these columns would show it.
    pub(super) fn seen_as(&self, image: &Image, later: &Image) -> Image {
        self.past.as_ref().map_or_else(|| image.clone(), |past| past.seen_as(image, later))
    }

    /// Events by place: the order in which they happened, for one key.
    fn in_order(&self) -> Vec<&Event> {
        let mut events: Vec<&Event> = self.events.iter().collect();
        events.sort_by_key(|event| event.place);
        events
    }

    /// The last event of every key that is not gone.
    pub(super) fn fold(&self) -> BTreeMap<&str, &Event> {
        let mut fold = BTreeMap::new();
        for event in self.in_order() {
            if event.after.is_some() {
                fold.insert(event.key.as_str(), event);
            } else {
                fold.remove(event.key.as_str());
            }
        }
        fold
    }

    /// Events twice, out of order, without their predecessor, without their tombstone, under a wrong key.
    /// `gaps` are the generations whose snapshot follows a gap.
    pub(super) fn contradictions(&self, key_columns: &[&str], gaps: &BTreeSet<u64>) -> Vec<String> {
        let mut findings = self.misshapen.clone();
        self.check_places(&mut findings);
        self.check_chains(gaps, &mut findings);
        self.check_tombstones(&mut findings);
        for event in &self.events {
            event.check_form(key_columns, &mut findings);
        }
        findings
    }

    /// Each place once per operation, and rising within a partition, so within a key too, which has one partition.
    fn check_places(&self, findings: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        let mut reached: HashMap<i32, Place> = HashMap::new();
        let mut homes: HashMap<&str, i32> = HashMap::new();
        for event in &self.events {
            if !seen.insert((event.place, event.op)) {
                findings.push(format!("{} came twice", event.title()));
            }
            let last = reached.entry(event.partition).or_insert(event.place);
            if event.place < *last {
                findings.push(format!("{} came after {last:?}", event.title()));
            }
            *last = event.place;
            if event.dead {
                continue;
            }
            let home = *homes.entry(&event.key).or_insert(event.partition);
            if home != event.partition {
                findings.push(format!("{} has its key in partition {home} too", event.title()));
            }
        }
    }

    /// Each `before` is the `after` of the key's event before. A later generation begins with a snapshot of exactly
    /// what was known, unless there is a gap before it.
    fn check_chains(&self, gaps: &BTreeSet<u64>, findings: &mut Vec<String>) {
        let mut rows: HashMap<&str, &Event> = HashMap::new();
        for event in self.in_order() {
            let last = rows.get(event.key.as_str());
            let known = last.and_then(|last| last.after.as_ref());
            let anew = event.place.0 > 1 && last.is_none_or(|last| last.place.0 < event.place.0);
            let (what, said) = match event.op {
                'r' if anew => ("read", event.after.as_ref()),
                _ => ("before", event.before.as_ref()),
            };
            let known = match (known, said) {
                (Some(known), Some(said)) => Some(self.seen_as(known, said)),
                (known, _) => known.cloned(),
            };
            if known.as_ref() != said && !(anew && gaps.contains(&event.place.0)) {
                let text = |image: Option<&Image>| image.map_or("nothing".to_owned(), show);
                findings.push(format!(
                    "{} says {what}: {}; but the key's last event left: {}",
                    event.title(),
                    text(said),
                    text(known.as_ref())
                ));
            }
            rows.insert(&event.key, event);
        }
    }

    /// Keys that are there by events of an earlier generation only: the last snapshot does not have them.
    pub(super) fn left_behind(&self) -> Vec<String> {
        let newest = self.events.iter().map(|event| event.place.0).max().unwrap_or_default();
        let fold = self.fold();
        let behind = fold.values().filter(|event| event.place.0 < newest);
        behind.map(|event| format!("{} is not in the snapshot of generation {newest}", event.title())).collect()
    }

    /// A delete is followed at once by a tombstone of its key, also where the delete itself is a dead letter, and nothing
    /// else is.
    fn check_tombstones(&self, findings: &mut Vec<String>) {
        let mut due: Option<&Event> = None;
        let mut alone: BTreeMap<&str, i64> = BTreeMap::new();
        for record in &self.records {
            match (record, due.take()) {
                (Record::Tombstone { key, partition, .. }, Some(delete))
                    if *key == delete.key && *partition == delete.partition => {}
                (Record::Tombstone { key, .. }, None) => *alone.entry(key).or_default() += 1,
                (Record::Tombstone { key, partition, offset }, Some(_)) => {
                    findings.push(format!("tombstone of {key} at {partition}/{offset} follows another key's delete"));
                }
                (Record::Event(_), Some(delete)) => findings.push(format!("{} has no tombstone", delete.title())),
                (Record::Event(_), None) => {}
            }
            if let Record::Event(index) = record {
                due = Some(&self.events[*index]).filter(|event| event.op == 'd');
            }
        }
        if let Some(delete) = due {
            findings.push(format!("{} has no tombstone", delete.title()));
        }
        for event in self.events.iter().filter(|event| event.dead && event.op == 'd') {
            *alone.entry(&event.key).or_default() -= 1;
        }
        let off = alone.into_iter().filter(|(_, count)| *count != 0);
        findings.extend(off.map(|(key, count)| format!("{count} tombstones of {key} more than deletes of it")));
    }
}

#[derive(Deserialize)]
struct DeadLetter<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    source: Source,
    op: char,
    cut: Vec<Cut>,
    left_out: u64,
}

#[derive(Deserialize)]
struct Cut {
    image: String,
    column: String,
    bytes: usize,
}

fn dead_letter(record: &ConsumerRecord) -> Event {
    let value = record.value.as_ref().expect("a dead letter has a value");
    let letter: DeadLetter<'_> = serde_json::from_slice(value).expect("a dead letter is JSON");
    assert_eq!(letter.left_out, 0, "the workload's rows fit but for single values");
    let image = |name: &str, text: Option<&RawValue>| {
        text.map(|text| {
            let mut image = image::from_json(text);
            for cut in letter.cut.iter().filter(|cut| cut.image == name) {
                let Some(Cell::Text(shown)) = image.get_mut(&cut.column) else { panic!("a cut value is text") };
                let whole = shown[..1].repeat(cut.bytes);
                assert!(whole.starts_with(shown.as_str()), "poison is one letter over and over");
                *shown = whole;
            }
            image
        })
    };
    Event {
        key: letter.key.get().to_owned(),
        before: image("before", letter.before),
        after: image("after", letter.after),
        after_text: "null".to_owned(),
        op: letter.op,
        place: (letter.source.generation, letter.source.batch, letter.source.row),
        row_id: letter.source.row_id,
        snapshot: letter.source.snapshot == "true",
        partition: DEAD + record.partition,
        offset: record.offset,
        dead: true,
    }
}

impl Event {
    fn title(&self) -> String {
        let (generation, batch, row) = self.place;
        format!(
            "{} of {} (generation {generation}, batch {batch}, row {row}, at {}/{})",
            self.op, self.key, self.partition, self.offset
        )
    }

    /// The images an operation has, and the key that belongs to them.
    fn check_form(&self, key_columns: &[&str], findings: &mut Vec<String>) {
        let images = (self.before.is_some(), self.after.is_some());
        let right = match self.op {
            'c' | 'r' => images == (false, true),
            'u' => images == (true, true),
            'd' => images == (true, false),
            _ => false,
        };
        if !right || self.snapshot != (self.op == 'r') {
            findings.push(format!("{} has the wrong images or the wrong snapshot mark", self.title()));
        }
        let key: &RawValue = serde_json::from_str(&self.key).expect("a key is JSON");
        let key = image::from_json(key);
        let subject = self.after.as_ref().or(self.before.as_ref());
        let expected: Option<Image> = if key_columns.is_empty() {
            let row_id = image::Cell::Text(self.row_id.clone());
            Some(Image::from([("METADATA$ROW_ID".to_owned(), row_id)]))
        } else {
            subject.map(|row| {
                key_columns.iter().filter_map(|name| Some(((*name).to_owned(), row.get(*name)?.clone()))).collect()
            })
        };
        if expected.as_ref() != Some(&key) {
            findings.push(format!("{} has a key that is not its row's", self.title()));
        }
    }
}
