//! Trials of the encoder by property, and its refusals; with the small tables they are made on.
//!
//! A trial row has the columns it is given and the metadata columns of a staging table behind them.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::change::RowRef;
use crate::source::value::{RowTypeEntry, Rows, parse_columns};

const METADATA: [(&str, &str); 5] = [
    ("METADATA$ACTION", r#""text""#),
    ("METADATA$ISUPDATE", r#""boolean""#),
    ("METADATA$ROW_ID", r#""text""#),
    ("SNOWMELT$PHASE", r#""fixed","precision":1,"scale":0"#),
    ("SNOWMELT$ROW", r#""fixed","precision":38,"scale":0"#),
];

/// Columns from (name, rest of the rowtype entry after `"type":`), the metadata columns behind them.
pub(super) fn columns(own: &[(&str, &str)]) -> Arc<[Column]> {
    let entries: Vec<RowTypeEntry> = own
        .iter()
        .chain(&METADATA)
        .map(|(name, ty)| {
            let name = serde_json::to_string(name).unwrap();
            serde_json::from_str(&format!("{{\"name\":{name},\"type\":{ty}}}")).unwrap()
        })
        .collect();
    parse_columns(&entries).unwrap()
}

pub(super) fn rows(columns: &Arc<[Column]>, cells: &[&[Option<&str>]]) -> Arc<Rows> {
    let staged = |(index, own): (usize, &&[Option<&str>])| {
        let row = (index + 1).to_string();
        let mut cells: Vec<Option<String>> = own.iter().map(|cell| cell.map(str::to_owned)).collect();
        let metadata = ["INSERT", "0", &format!("{row:0>40}"), "2", &row];
        cells.extend(metadata.map(|text| Some(text.to_owned())));
        cells
    };
    let cells: Vec<_> = cells.iter().enumerate().map(staged).collect();
    Arc::new(Rows::from_json(columns, &cells).unwrap())
}

pub(super) fn event(op: Op, rows: &Arc<Rows>, before: Option<usize>, after: Option<usize>) -> Event {
    let row = |index: usize| RowRef::new(Arc::clone(rows), index);
    let position = RowOrdinal(before.max(after).unwrap() as u64 + 1);
    Event { op, before: before.map(row), after: after.map(row), position, boundary: true }
}

pub(super) fn batch() -> BatchInfo {
    BatchInfo {
        database: "SHOP".into(),
        schema: "PUBLIC".into(),
        table: "Every \"type\"".into(),
        generation: 2,
        batch: 17,
        staged_at_ms: 1_704_164_645_123,
    }
}

pub(super) fn options() -> EncoderOptions {
    let version = "0.0.0".to_owned();
    EncoderOptions { version, ..EncoderOptions::new("shop.public.every", "golden") }
}

fn encode_one(
    options: EncoderOptions,
    own: &[(&str, &str)],
    key: Key,
    cells: &[Option<&str>],
) -> Result<Vec<Encoded>, EncodeError> {
    let columns = columns(own);
    let rows = rows(&columns, &[cells]);
    let mut out = Vec::new();
    let mut encoder = Encoder::new(options, &columns, key).unwrap();
    encoder.encode(&event(Op::Create, &rows, None, Some(0)), &batch(), 0, &mut out)?;
    Ok(out)
}

#[test]
fn what_json_cannot_say_is_an_error_that_names_the_column_and_leaves_nothing_behind() {
    let json = EncoderOptions { variant: VariantForm::Json, ..options() };
    for text in ["undefined", "NaN", "", "{", "1 2", "\"\u{1}\""] {
        let own = [("ID", r#""fixed","precision":9,"scale":0"#), ("DOC", r#""variant""#)];
        let cells = [Some("1"), Some(text)];
        let error = encode_one(json.clone(), &own, Key::Columns(vec![0]), &cells).unwrap_err();
        assert_eq!((error.column.as_str(), error.row), ("DOC", RowOrdinal(1)), "{text:?}");
        assert!(error.to_string().contains(&error.row_id) && error.row_id.len() == 40, "{error}");
        assert!(encode_one(options(), &own, Key::Columns(vec![0]), &cells).is_ok());
    }
    let far = [("DAY", r#""date""#)];
    let error = encode_one(options(), &far, Key::RowId, &[Some("2932897")]).unwrap_err();
    assert!(error.to_string().contains("column DAY") && error.to_string().contains("year 10000"));

    let columns = columns(&far);
    let both = rows(&columns, &[&[Some("0")], &[Some("2932897")]]);
    let mut encoder = Encoder::new(options(), &columns, Key::RowId).unwrap();
    let mut out = Vec::new();
    for (row, failed) in [(0, false), (1, true), (0, false)] {
        let event = event(Op::Create, &both, None, Some(row));
        assert_eq!(encoder.encode(&event, &batch(), 0, &mut out).is_err(), failed);
    }
    assert_eq!(out.len(), 2);
    assert_eq!(out[0], out[1], "a failed row leaves no trace in the next");
}

#[test]
fn the_row_id_is_a_key_and_a_row_without_columns_is_an_object() {
    let out = encode_one(options(), &[], Key::RowId, &[]).unwrap();
    assert_eq!(out[0].key, format!("{{\"METADATA$ROW_ID\":\"{:0>40}\"}}", 1).as_bytes());
    let value = String::from_utf8(out[0].value.as_ref().unwrap().to_vec()).unwrap();
    assert!(value.contains("\"after\":{},"), "{value}");
    assert_eq!(out[0].size(), out[0].key.len() + value.len());
}

#[test]
fn an_encoder_that_makes_no_sense_is_refused() {
    let columns = columns(&[("ID", r#""text""#)]);
    let refused = |options, columns: &[Column], key| Encoder::new(options, columns, key).unwrap_err().to_string();
    assert!(refused(options(), &columns, Key::Columns(vec![])).contains("no column"));
    assert!(refused(options(), &columns, Key::Columns(vec![1])).contains("key column 1"));
    assert!(refused(options(), &columns, Key::Columns(vec![9])).contains("key column 9"));
    assert!(refused(options(), &columns[..1], Key::RowId).contains("METADATA$ACTION"));
    let both = EncoderOptions { inline_schema: true, variant: VariantForm::Json, ..options() };
    assert!(refused(both, &columns, Key::RowId).contains("raw json"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Any text survives, in a value as in a key and in a column's name.
    #[test]
    fn text_reads_back(name: String, text: String) {
        prop_assume!(!METADATA.iter().any(|(taken, _)| *taken == name));
        let own = [(name.as_str(), r#""text""#)];
        let out = encode_one(options(), &own, Key::Columns(vec![0]), &[Some(&text)]).unwrap();
        let key: HashMap<String, String> = serde_json::from_slice(&out[0].key).unwrap();
        prop_assert_eq!(&key[&name], &text);
        let value: serde_json::Value = serde_json::from_slice(out[0].value.as_ref().unwrap()).unwrap();
        prop_assert_eq!(&value["after"][&name], &text);
        prop_assert_eq!(value["after"].as_object().unwrap().len(), 1, "no metadata in the row");
    }

    /// A float reads back with the same bits.
    #[test]
    fn floats_read_back(number in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
        let text = format!("{number:?}");
        let out = encode_one(options(), &[("N", r#""real""#)], Key::Columns(vec![0]), &[Some(&text)]).unwrap();
        let key = std::str::from_utf8(&out[0].key).unwrap();
        let digits = key.strip_prefix("{\"N\":").unwrap().strip_suffix('}').unwrap();
        prop_assert_eq!(digits.parse::<f64>().unwrap().to_bits(), number.to_bits());
    }

    /// Equal numbers have equal key bytes however they arrived.
    #[test]
    fn equal_keys_have_equal_bytes(whole: i64, zeros in 0_usize..5) {
        let own = [("N", r#""fixed","precision":38,"scale":6"#)];
        let key = |text: &str| encode_one(options(), &own, Key::Columns(vec![0]), &[Some(text)]).unwrap()[0].key.clone();
        let padded = format!("{whole}.{}", "0".repeat(zeros));
        prop_assert_eq!(key(&whole.to_string()), key(&padded));
        prop_assert_eq!(key(&padded), format!("{{\"N\":\"{whole}.000000\"}}").into_bytes());
    }
}

/// Prints rows per second on one core; run with `--release -- --ignored --nocapture rows_per_second`.
#[test]
#[ignore = "a measurement, not a test"]
fn rows_per_second() {
    let columns = columns(&[
        ("ID", r#""fixed","precision":38,"scale":0"#),
        ("CUSTOMER", r#""fixed","precision":38,"scale":0"#),
        ("AMOUNT", r#""fixed","precision":12,"scale":2"#),
        ("RATE", r#""real""#),
        ("PAID", r#""boolean""#),
        ("NAME", r#""text""#),
        ("CITY", r#""text""#),
        ("DAY", r#""date""#),
        ("AT", r#""timestamp_ntz","scale":9"#),
        ("SEEN", r#""timestamp_tz","scale":3"#),
    ]);
    let cells: &[Option<&str>] = &[
        Some("123456789"),
        Some("4711"),
        Some("1234.50"),
        Some("0.125"),
        Some("1"),
        Some("Ada Lovelace"),
        Some("London"),
        Some("19724"),
        Some("1704164645.123456789"),
        Some("1704164645.123 1770"),
    ];
    let rows = rows(&columns, &vec![cells; 10_000]);
    for envelope in [Envelope::Debezium, Envelope::Plain] {
        let options = EncoderOptions { envelope, ..options() };
        let mut encoder = Encoder::new(options, &columns, Key::Columns(vec![0])).unwrap();
        let events: Vec<_> = (0..rows.len()).map(|row| event(Op::Create, &rows, None, Some(row))).collect();
        let (mut out, mut bytes) = (Vec::new(), 0);
        let batch = batch();
        let begin = std::time::Instant::now();
        for _ in 0..100 {
            out.clear();
            for event in &events {
                encoder.encode(event, &batch, 1_704_164_650_000, &mut out).unwrap();
            }
            bytes += out.iter().map(Encoded::size).sum::<usize>();
        }
        let seconds = begin.elapsed().as_secs_f64();
        println!("{envelope:?}: {:.0} rows/s, {:.0} MB/s", 1e6 / seconds, bytes as f64 / 1e6 / seconds);
    }
}

/// A dead letter of an event of one image, or none if there is no room.
fn dead_letter(own: &[(&str, &str)], cells: &[Option<&str>], op: Op, limit: usize) -> Option<Vec<Encoded>> {
    let columns = columns(own);
    let rows = rows(&columns, &[cells]);
    let mut encoder = Encoder::new(options(), &columns, Key::Columns(vec![0])).unwrap();
    let (before, after) = if op == Op::Delete { (Some(0), None) } else { (None, Some(0)) };
    let event = event(op, &rows, before, after);
    let mut out = Vec::new();
    let poison = match encoder.encode(&event, &batch(), 0, &mut out) {
        Ok(()) => Poison::TooLarge { size: out[0].size(), limit },
        Err(error) => Poison::Unencodable { column: error.column, reason: error.reason },
    };
    out.clear();
    let to = DeadLetters { topic: "dead".into(), limit };
    let told = encoder.dead_letter(&event, &poison, &to, 1, &mut out);
    assert_eq!(told, !out.is_empty(), "what does not fit leaves nothing behind");
    told.then_some(out)
}

#[test]
fn a_dead_letter_shows_what_it_can_of_a_value_without_a_form() {
    let own = [("ID", r#""fixed","precision":9,"scale":0"#), ("DAY", r#""date""#), ("B", r#""binary""#)];
    let long = "AB".repeat(5_000);
    let out = dead_letter(&own, &[Some("1"), Some("2932897"), Some(&long)], Op::Delete, 1 << 20).unwrap();
    let value: serde_json::Value = serde_json::from_slice(out[0].value.as_ref().unwrap()).unwrap();
    assert_eq!(value["reason"]["code"], "unencodable");
    assert_eq!((&value["before"]["ID"], &value["before"]["DAY"]), (&1.into(), &serde_json::Value::Null));
    assert_eq!(value["unencodable"][0]["column"], "DAY");
    assert!(value["unencodable"][0]["reason"].as_str().unwrap().contains("year 10000"));
    assert_eq!(value["cut"], serde_json::json!([{"image": "before", "column": "B", "bytes": 5_000}]));
    let shown =
        base64::Engine::decode(&base64::prelude::BASE64_STANDARD, value["before"]["B"].as_str().unwrap()).unwrap();
    assert_eq!(shown, [0xab; 4_095], "whole groups of base64");
    // Its tombstone needs the key alone, which has a form.
    assert_eq!((out.len(), &out[1].key[..], &out[1].value), (2, &b"{\"ID\":1}"[..], &None));
    assert_eq!((out[0].topic.as_deref(), out[1].topic.as_deref()), (Some("dead"), None));
}

#[test]
fn a_key_without_a_form_leaves_a_dead_letter_and_no_tombstone() {
    let own = [("DAY", r#""date""#), ("ID", r#""fixed","precision":9,"scale":0"#)];
    let out = dead_letter(&own, &[Some("2932897"), Some("7")], Op::Delete, 1 << 20).unwrap();
    let value: serde_json::Value = serde_json::from_slice(out[0].value.as_ref().unwrap()).unwrap();
    assert_eq!((out.len(), &value["key"], &value["before"]["ID"]), (1, &serde_json::Value::Null, &7.into()));
}

proptest! {
    /// Whatever the row and the limit are, a dead letter is JSON and smaller than the limit, or there is none; and every
    /// column is shown, noted or counted.
    #[test]
    fn a_dead_letter_keeps_to_its_limit(
        texts in prop::collection::vec(("\\PC{0,30}|[\u{1}\"é]{0,9}", 0_usize..20_000), 1..40), limit in 600_usize..60_000
    ) {
        let names: Vec<String> = (0..texts.len()).map(|n| format!("C{n}\"{}", "é".repeat(n))).collect();
        let own: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), r#""text""#)).collect();
        let texts: Vec<String> = texts.iter().map(|(text, times)| text.repeat(times / text.len().max(1))).collect();
        let cells: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
        if let Some(out) = dead_letter(&own, &cells, Op::Create, limit) {
            prop_assert!(out.len() == 1 && out[0].size() <= limit, "{} of {limit}", out[0].size());
            let value: serde_json::Value = serde_json::from_slice(out[0].value.as_ref().unwrap()).unwrap();
            let shown = value["after"].as_object().unwrap();
            prop_assert_eq!(shown.len() + usize::try_from(value["left_out"].as_u64().unwrap()).unwrap(), texts.len());
            for (name, text) in names.iter().zip(&texts) {
                let Some(cell) = shown.get(name) else { continue };
                let cell = cell.as_str().unwrap();
                let cut = value["cut"].as_array().unwrap().iter().find(|cut| cut["column"] == **name);
                prop_assert!(text.starts_with(cell) && (cut.is_some() || cell == text));
                prop_assert!(cut.is_none_or(|cut| cut["bytes"] == text.len()));
            }
        } else {
            prop_assert!(limit < 4_000 || texts[0].len() > limit / 2, "there was room in {limit}");
        }
    }
}
