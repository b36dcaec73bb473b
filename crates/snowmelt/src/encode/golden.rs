//! Every type and edge value in every form, held to files in `tests/golden`.
//!
//! Each file is a JSON array with one record a line. `SNOWMELT_REGENERATE=1 cargo test golden` writes
//! the files anew; the difference is then the review.

use std::collections::HashMap;
use std::sync::Arc;

use super::trial::{batch, columns, event, options, rows};
use super::*;

/// The options under test, by the name of their file.
fn variants() -> Vec<(&'static str, EncoderOptions)> {
    let base = options();
    vec![
        ("debezium", base.clone()),
        ("plain", EncoderOptions { envelope: Envelope::Plain, ..base.clone() }),
        ("no-tombstones", EncoderOptions { tombstones: false, ..base.clone() }),
        ("numbers-number", EncoderOptions { numbers: Numbers::Number, ..base.clone() }),
        ("numbers-string", EncoderOptions { numbers: Numbers::String, ..base.clone() }),
        ("variant-json", EncoderOptions { variant: VariantForm::Json, ..base.clone() }),
        ("binary-hex", EncoderOptions { binary: BinaryForm::Hex, ..base.clone() }),
        ("schema", EncoderOptions { inline_schema: true, ..base.clone() }),
        ("schema-numbers-number", EncoderOptions { inline_schema: true, numbers: Numbers::Number, ..base.clone() }),
        ("schema-plain", EncoderOptions { inline_schema: true, envelope: Envelope::Plain, ..base }),
    ]
}

fn every_type() -> Arc<[Column]> {
    columns(&[
        ("ID", r#""fixed","precision":38,"scale":0"#),
        ("SMALL", r#""fixed","precision":9,"scale":0"#),
        ("MONEY", r#""fixed","precision":38,"scale":2"#),
        ("TINY", r#""fixed","precision":37,"scale":37"#),
        ("DECFLOAT", r#""decfloat""#),
        ("REAL", r#""real""#),
        ("FLAG", r#""boolean""#),
        ("quoted \"name\"\n", r#""text""#),
        ("BYTES", r#""binary""#),
        ("DAY", r#""date""#),
        ("TIME0", r#""time","scale":0"#),
        ("TIME9", r#""time","scale":9"#),
        ("NTZ", r#""timestamp_ntz","scale":9"#),
        ("NTZ0", r#""timestamp_ntz","scale":0"#),
        ("LTZ", r#""timestamp_ltz","scale":3"#),
        ("TZ", r#""timestamp_tz","scale":9"#),
        ("VARIANT", r#""variant""#),
        ("OBJECT", r#""object""#),
        ("ARRAY", r#""array""#),
        ("PLACE", r#""object","extTypeName":"GEOGRAPHY""#),
        ("INTS", r#""vector","vectorDimension":2,"fields":[{"type":"fixed"}]"#),
        ("FLOATS", r#""vector","vectorDimension":2,"fields":[{"type":"real"}]"#),
    ])
}

/// Rows of edge values, each with a cell per column of [`every_type`].
fn edges() -> Vec<Vec<Option<&'static str>>> {
    let some = |cells: [&'static str; 22]| cells.map(Some).to_vec();
    let mut nulls = vec![None; 22];
    nulls[0] = Some("0");
    vec![
        some([
            "1",
            "2",
            "1.50",
            "0.5",
            "1.5",
            "0.1",
            "1",
            "plain",
            "00FF10",
            "19724",
            "45296",
            "45296.789000000",
            "1704164645.123456789",
            "1704164645",
            "1704164645.123",
            "1704164645.123456789 1770",
            "{\"a\":null}",
            "{}",
            "[1,2]",
            "{\"coordinates\":[1,2],\"type\":\"Point\"}",
            "[1,-2]",
            "[0.1,-2.5]",
        ]),
        some([
            "99999999999999999999999999999999999999",
            "999999999",
            "999999999999999999999999999999999999.99",
            "0.9999999999999999999999999999999999999",
            "99999999999999999999999999999999999999",
            "1.7976931348623157e308",
            "0",
            "",
            "",
            "2932896",
            "86399",
            "86399.999999999",
            "253402300799.999999999",
            "253402300799",
            "253402300799.999",
            "253402250399.999999999 2280",
            "null",
            "{\"deep\":{\"list\":[null,{\"x\":1e400}]}}",
            "[]",
            "POINT(1 2)",
            "[2147483647,-2147483648]",
            "[3.4028235e38,1e-45]",
        ]),
        some([
            "-99999999999999999999999999999999999999",
            "-999999999",
            "-999999999999999999999999999999999999.99",
            "-0.0000000000000000000000000000000000001",
            "-1e-16000",
            "NaN",
            "1",
            "quote \" back \\ slash / tab \t newline \n nul \u{0} unit \u{1f} del \u{7f} ls \u{2028} snowman \u{2603} emoji \u{1f9ca}",
            "00",
            "-719162",
            "0",
            "0.000000001",
            "-62135596800.000000000",
            "-62135596800",
            "-62135596800.000",
            "-62135553600.000000000 720",
            "\"text\"",
            "{\n  \"pretty\": true\n}",
            "[[[]]]",
            "",
            "[0,0]",
            "[-0.0,1e10]",
        ]),
        some([
            "9223372036854775808",
            "-0",
            "-0.01",
            "0",
            "123e50",
            "inf",
            "0",
            "NULL",
            "DEADBEEF",
            "-1",
            "1",
            "1.5",
            "-0.000000001",
            "-1",
            "-0.001",
            "-0.500000000 1440",
            "1.10",
            "{\"\":\"\"}",
            "[\"\\u0000\"]",
            "{}",
            "[1,1]",
            "[1.0,100]",
        ]),
        some([
            "18446744073709551616",
            "7",
            "0.00",
            "0.25",
            "0.00000000000000000000000000000000000001",
            "-inf",
            "1",
            "x",
            "0123",
            "11016",
            "3599",
            "59.000000001",
            "951782400.1",
            "951782400",
            "951782400.001",
            "0 1439",
            "true",
            "{\"n\":12345678901234567890123456789012345678}",
            "[{}]",
            "x",
            "[5,6]",
            "[1e-7,16777216]",
        ]),
        some([
            "5",
            "7",
            "12345678901.10",
            "0.1",
            "-1500",
            "-0.0",
            "1",
            "y",
            "01",
            "0",
            "43200",
            "43200.1",
            "0",
            "0",
            "0",
            "0 1440",
            "-1.5e10",
            "{}",
            "[]",
            "y",
            "[7,8]",
            "[0.3,0.2]",
        ]),
        some([
            "5",
            "7",
            "1.00",
            "0.1",
            "0",
            "5e-324",
            "1",
            "y",
            "0102",
            "0",
            "0",
            "0",
            "1",
            "0",
            "0.1",
            "0.1 870",
            "{}",
            "{}",
            "[]",
            "z",
            "[7,8]",
            "[0.3,0.2]",
        ]),
        nulls,
    ]
}

fn records(options: EncoderOptions) -> Vec<Encoded> {
    let columns = every_type();
    let edges = edges();
    let edges: Vec<_> = edges.iter().map(Vec::as_slice).collect();
    let rows = rows(&columns, &edges);
    let mut encoder = Encoder::new(options, &columns, Key::Columns(vec![0, 7])).unwrap();
    let mut events: Vec<_> = (0..rows.len()).map(|row| event(Op::Create, &rows, None, Some(row))).collect();
    events.push(event(Op::Update, &rows, Some(5), Some(6)));
    events.push(event(Op::Delete, &rows, Some(0), None));
    events.push(event(Op::Read, &rows, None, Some(0)));
    let mut out = Vec::new();
    for event in &events {
        encoder.encode(event, &batch(), 1_704_164_650_000, &mut out).unwrap();
    }
    out
}

fn line(record: &Encoded) -> String {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let value = record.value.as_ref().map_or("null".to_owned(), text);
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|(name, value)| format!("\"{name}\":{}", serde_json::to_string(&text(value)).unwrap()))
        .collect();
    format!("{{\"key\":{},\"value\":{value},\"headers\":{{{}}}}}", text(&record.key), headers.join(","))
}

#[test]
fn golden_files_hold() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, options) in variants() {
        let lines: Vec<_> = records(options).iter().map(line).collect();
        let came = format!("[\n{}\n]\n", lines.join(",\n"));
        let _: Vec<HashMap<String, serde_json::Value>> = serde_json::from_str(&came.replace("1e400", "1"))
            .unwrap_or_else(|error| panic!("{name} is not json: {error}"));
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os("SNOWMELT_REGENERATE").is_some() {
            std::fs::write(&path, &came).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for (number, (came, expected)) in came.lines().zip(expected.lines()).enumerate() {
            assert_eq!(came, expected, "{name}.json, line {}", number + 1);
        }
        assert_eq!(came.len(), expected.len(), "{name}.json");
    }
}

/// A Connect reader takes the payload by its schema: each field's JSON must be of the type it states.
#[test]
fn payloads_have_the_form_their_schema_states() {
    use serde_json::Value as Json;
    fn conforms(schema: &Json, payload: &Json) {
        let payload_of = |name: &Json| &payload[name.as_str().unwrap()];
        let ok = payload.is_null() && schema["optional"] == true
            || match schema["type"].as_str().unwrap() {
                "struct" => {
                    let fields = schema["fields"].as_array().unwrap();
                    fields.iter().for_each(|field| conforms(field, payload_of(&field["field"])));
                    fields.len() == payload.as_object().unwrap().len()
                }
                "array" => {
                    payload.as_array().unwrap().iter().for_each(|e| conforms(&schema["items"], e));
                    true
                }
                "int64" | "int32" => payload.is_i64(),
                "double" | "float" => {
                    payload.is_number() || ["NaN", "Infinity", "-Infinity"].iter().any(|text| payload == text)
                }
                "boolean" => payload.is_boolean(),
                "bytes" => {
                    use base64::Engine as _;
                    let text = payload.as_str().unwrap();
                    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
                }
                "string" => payload.is_string(),
                other => panic!("{other}"),
            };
        assert!(ok, "{payload} is not {schema}");
    }
    for (name, options) in variants().into_iter().filter(|(name, _)| name.starts_with("schema")) {
        for record in records(options) {
            for part in [Some(&record.key), record.value.as_ref()].into_iter().flatten() {
                let part: Json = serde_json::from_slice(part).unwrap();
                assert_eq!(part.as_object().unwrap().len(), 2, "{name}");
                conforms(&part["schema"], &part["payload"]);
            }
        }
    }
}
