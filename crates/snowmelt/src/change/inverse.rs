//! Pairing undoes staging: for any two states of a table, the staged net delta becomes events that
//! lead from the one to the other, key by key, whatever the batches it is cut into.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::{Event, Op, Pairing, RowOrdinal, RowRef};
use crate::encode::{BatchInfo, Encoder, EncoderOptions, Key};
use crate::source::value::{Column, DataType, Rows, Value};

/// Ordinal, row id, phase, action, update mark, key and the row's value (its key again if not given).
type StagedRow = (u64, String, u8, &'static str, bool, String, String);

/// A table's rows by row id: key and value.
type Table = BTreeMap<u8, (String, u8)>;

pub(super) fn columns() -> Arc<[Column]> {
    let column = |name: &str, ty| Column { name: name.to_owned(), ty, nullable: true };
    let number = DataType::Fixed { precision: 38, scale: 0 };
    Arc::from([
        column("K", DataType::Text),
        column("V", DataType::Text),
        column("METADATA$ACTION", DataType::Text),
        column("METADATA$ISUPDATE", DataType::Boolean),
        column("METADATA$ROW_ID", DataType::Text),
        column("SNOWMELT$PHASE", number),
        column("SNOWMELT$ROW", number),
    ])
}

fn rows(staged: &[StagedRow]) -> Arc<Rows> {
    let cells = |(row, row_id, phase, action, update, key, value): &StagedRow| {
        [
            Some(key.clone()),
            Some(value.clone()),
            Some((*action).to_owned()),
            Some(u8::from(*update).to_string()),
            Some(row_id.clone()),
            Some(phase.to_string()),
            Some(row.to_string()),
        ]
    };
    let cells: Vec<_> = staged.iter().map(cells).collect();
    Arc::new(Rows::from_json(&columns(), &cells).unwrap())
}

/// A batch of rows given as (ordinal, row id, phase, action, update, key).
pub(super) fn staged(given: &[(u64, &str, u8, &str, bool, &str)]) -> Arc<Rows> {
    let cells: Vec<_> = given
        .iter()
        .map(|&(row, row_id, phase, action, update, key)| {
            let update = u8::from(update).to_string();
            [key, key, action, &update, row_id, &phase.to_string(), &row.to_string()].map(|text| Some(text.to_owned()))
        })
        .collect();
    Arc::new(Rows::from_json(&columns(), &cells).unwrap())
}

/// What the staging statement makes of the net delta. SQL's idea of a key is a collation without case.
fn stage(old: &Table, new: &Table, keyless: bool) -> Vec<StagedRow> {
    let mut staged: Vec<StagedRow> = Vec::new();
    let ids: BTreeSet<u8> = old.keys().chain(new.keys()).copied().collect();
    for id in ids {
        let mut row = |phase, action, update, (key, value): &(String, u8)| {
            let row_id = format!("{id:040x}");
            staged.push((0, row_id, phase, action, update, key.clone(), value.to_string()));
        };
        match (old.get(&id), new.get(&id)) {
            (Some(before), None) => row(0, "DELETE", false, before),
            (None, Some(after)) => row(2, "INSERT", false, after),
            (Some(before), Some(after)) if before != after => {
                let same = keyless || before.0.eq_ignore_ascii_case(&after.0);
                row(if same { 1 } else { 0 }, "DELETE", true, before);
                row(if same { 1 } else { 2 }, "INSERT", true, after);
            }
            _ => {}
        }
    }
    staged.sort_by(|a, b| (a.2, &a.1, a.3).cmp(&(b.2, &b.1, b.3)));
    staged.iter_mut().zip(1..).for_each(|(row, ordinal)| row.0 = ordinal);
    staged
}

/// Keys a to f in either case, unique without case.
fn any_table() -> impl Strategy<Value = Table> {
    let row = (0_u8..8, 0_u8..6, any::<bool>(), 0_u8..3);
    proptest::collection::vec(row, 0..8).prop_map(|rows| {
        let mut keys = BTreeSet::new();
        let mut table = Table::new();
        for (id, key, upper, value) in rows {
            if !table.contains_key(&id) && keys.insert(key) {
                let letter = char::from(if upper { b'A' } else { b'a' } + key);
                table.insert(id, (letter.to_string(), value));
            }
        }
        table
    })
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    proptest::collection::vec(any::<Index>(), 0..4)
}

/// Events of the rows behind `start`, the rows being cut into batches.
fn events(
    staged: &[StagedRow],
    cuts: &[Index],
    start: u64,
    keyless: bool,
) -> Result<(Vec<Event>, RowOrdinal), super::PairingError> {
    let key: &[usize] = if keyless { &[] } else { &[0] };
    let mut pairing = Pairing::new("STG", &columns(), key, RowOrdinal(start), false)?;
    let rest: Vec<_> = staged.iter().filter(|row| row.0 > start).cloned().collect();
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(rest.len() + 1)).collect();
    at.extend([0, rest.len()]);
    at.sort_unstable();
    let mut events = Vec::new();
    for ends in at.windows(2) {
        pairing.feed(&rows(&rest[ends[0]..ends[1]]), &mut events)?;
    }
    Ok((events, pairing.finish()?))
}

fn image(row: &RowRef) -> (String, String) {
    match (row.value(0), row.value(1)) {
        (Value::Text(key), Value::Text(value)) => (key.to_owned(), value.to_owned()),
        other => panic!("{other:?}"),
    }
}

/// Applies events to what Kafka holds by key, and checks that each `before` is what was there.
fn fold(state: &mut BTreeMap<Vec<u8>, (String, String)>, events: &[Event], keyless: bool) {
    let key = if keyless { Key::RowId } else { Key::Columns(vec![0]) };
    let mut encoder = Encoder::new(EncoderOptions::new("t", "p"), &columns(), key).unwrap();
    let batch = BatchInfo {
        database: "D".into(),
        schema: "S".into(),
        table: "T".into(),
        generation: 1,
        batch: 1,
        staged_at_ms: 0,
    };
    for event in events {
        let mut records = Vec::new();
        encoder.encode(event, &batch, 0, &mut records).unwrap();
        let key = records[0].key.to_vec();
        let before = match &event.after {
            Some(after) => state.insert(key, image(after)),
            None => state.remove(&key),
        };
        assert_eq!(before, event.before.as_ref().map(image), "the before image of {event:?}");
        assert_eq!(event.op == Op::Create, event.before.is_none());
    }
}

fn held(table: &Table, keyless: bool) -> BTreeMap<Vec<u8>, (String, String)> {
    let by_key = |(id, (key, value)): (&u8, &(String, u8))| {
        let bytes =
            if keyless { format!("{{\"METADATA$ROW_ID\":\"{id:040x}\"}}") } else { format!("{{\"K\":\"{key}\"}}") };
        (bytes.into_bytes(), (key.clone(), value.to_string()))
    };
    table.iter().map(by_key).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn events_lead_from_the_old_table_to_the_new(
        old in any_table(), new in any_table(), cuts in cuts(), keyless: bool,
    ) {
        let staged = stage(&old, &new, keyless);
        let (events, last) = events(&staged, &cuts, 0, keyless).unwrap();
        prop_assert_eq!(last.0, staged.len() as u64);
        let mut state = held(&old, keyless);
        fold(&mut state, &events, keyless);
        prop_assert_eq!(state, held(&new, keyless));
        let positions: Vec<_> = events.iter().map(|event| event.position).collect();
        prop_assert!(positions.is_sorted_by(|a, b| a < b), "each event has its own position");
    }

    /// Stopping behind any event where a checkpoint may fall, and reading on from there, gives the same
    /// events as reading through.
    #[test]
    fn reading_resumes_behind_any_boundary(
        old in any_table(), new in any_table(), cuts in cuts(), keyless: bool,
    ) {
        let staged = stage(&old, &new, keyless);
        let (all, _) = events(&staged, &cuts, 0, keyless).unwrap();
        let shape = |events: &[Event]| -> Vec<_> {
            events.iter().map(|e| (e.op, e.position, e.before.as_ref().map(image), e.after.as_ref().map(image))).collect()
        };
        for (index, event) in all.iter().enumerate() {
            if event.boundary {
                let (rest, _) = events(&staged, &cuts, event.position.0, keyless).unwrap();
                prop_assert_eq!(shape(&rest), shape(&all[index + 1..]));
            }
        }
        prop_assert!(all.last().is_none_or(|event| event.boundary));
    }

    /// A row that is missing, doubled or exchanged with the next never goes unnoticed. Only a cut at
    /// the very end leaves no trace in the rows; there the last ordinal tells.
    #[test]
    fn a_damaged_staging_table_is_noticed(
        old in any_table(), new in any_table(), cuts in cuts(), place: Index, damage in 0..3,
    ) {
        let mut staged = stage(&old, &new, false);
        prop_assume!(staged.len() > 1);
        let whole = staged.len() as u64;
        let at = place.index(staged.len());
        match damage {
            0 => drop(staged.remove(at)),
            1 => staged.insert(at, staged[at].clone()),
            _ => {
                let next = (at + 1) % staged.len();
                staged.swap(at, next);
            }
        }
        if let Ok((_, last)) = events(&staged, &cuts, 0, false) {
            prop_assert_eq!((damage, at as u64), (0, whole - 1), "only a lost end is not an error");
            prop_assert_eq!(last.0, whole - 1);
        }
    }
}
