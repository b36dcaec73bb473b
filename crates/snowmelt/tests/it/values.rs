//! Every type at its edges, from SQL in the simulator through the publisher to JSON in Kafka, held to
//! `tests/golden/through-snowflake.json`. The encoder's own golden files hold every form; this one holds that nothing
//! is lost on the way there.
//!
//! `SNOWMELT_REGENERATE=1 cargo test values` writes the file anew; the difference is then the review.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::publisher::Publisher;
use crate::world::{World, eventually};

const LIMIT: Duration = Duration::from_secs(60);
/// What a VARCHAR holds at most (16 MB) and a BINARY (8 MB), as Snowflake's "String & binary data types" says of tables
/// without a larger declared length.
const LONGEST_TEXT: usize = 16 << 20;
const LONGEST_BINARY: usize = 8 << 20;

const COLUMNS: &str = "\
    ID NUMBER(38,0), SMALL NUMBER(2,0), MONEY NUMBER(38,2), TINY NUMBER(38,37), REAL FLOAT, FLAG BOOLEAN, LABEL VARCHAR, \
    RAW BINARY, DAY DATE, CLOCK0 TIME(0), CLOCK9 TIME(9), NTZ0 TIMESTAMP_NTZ(0), NTZ9 TIMESTAMP_NTZ(9), \
    LTZ3 TIMESTAMP_LTZ(3), LTZ9 TIMESTAMP_LTZ(9), TZ0 TIMESTAMP_TZ(0), TZ9 TIMESTAMP_TZ(9), DOC VARIANT, THING OBJECT, \
    LIST ARRAY";

/// Rows as select lists: PARSE_JSON is not allowed in VALUES.
const EDGES: [&str; 7] = [
    "1, 99, 999999999999999999999999999999999999.99, 9.9999999999999999999999999999999999999, 'NaN'::FLOAT, TRUE, '', \
     TO_BINARY('', 'HEX'), '0001-01-01', '00:00:00', '00:00:00.000000001', '0001-01-01 00:00:00', \
     '0001-01-01 00:00:00.000000001', '0001-01-01 00:00:00.001 +00:00', '1969-12-31 23:59:59.999999999 +00:00', \
     '2024-01-02 03:04:05 +14:00', '2024-01-02 03:04:05.123456789 +14:00', PARSE_JSON('null'), PARSE_JSON('{}'), \
     PARSE_JSON('[]')",
    "99999999999999999999999999999999999999, -99, -999999999999999999999999999999999999.99, \
     -9.9999999999999999999999999999999999999, 'inf'::FLOAT, FALSE, 'quote \" slash \\\\ tab \\t nul-free é 雪 𝄞', \
     TO_BINARY('00FF10', 'HEX'), '9999-12-31', '23:59:59', '23:59:59.999999999', '9999-12-31 23:59:59', \
     '9999-12-31 23:59:59.999999999', '9999-12-31 23:59:59.999 +00:00', '9999-12-31 23:59:59.999999999 +00:00', \
     '1970-01-01 00:00:00 -12:00', '1970-01-01 00:00:00.000000001 -12:00', \
     PARSE_JSON('{\"a\":[1,null,{\"b\":1.50,\"c\":null}],\"d\":\"\\\\\"\"}'), PARSE_JSON('{\"k\":null}'), \
     PARSE_JSON('[null,[],{}]')",
    "-99999999999999999999999999999999999999, 0, 0.01, 0.0000000000000000000000000000000000001, '-inf'::FLOAT, NULL, \
     'line\\nfeed \\r return \\b back', TO_BINARY('CAFE', 'HEX'), '1969-12-31', '12:34:56', '12:34:56.7', \
     '1969-12-31 23:59:59', '1969-12-31 23:59:59.999999999', '1969-12-31 23:59:59.999 +00:00', \
     '1970-01-01 00:00:00.000000000 +00:00', '2024-02-29 12:00:00 +05:30', '2024-02-29 12:00:00.5 -03:30', \
     PARSE_JSON('\"text\"'), PARSE_JSON('{\"a\":{\"b\":{\"c\":[1,2,3]}}}'), PARSE_JSON('[1,\"two\",3.0,true]')",
    "4, 1, -0.01, -0.0000000000000000000000000000000000001, -0.0::FLOAT, TRUE, ' spaces ', TO_BINARY('00', 'HEX'), \
     '2024-02-29', '00:00:01', '00:00:00.1', '2024-02-29 00:00:00', '1970-01-01 00:00:00', '2024-02-29 12:00:00 +00:00', \
     '2024-02-29 12:00:00.000000100 +00:00', '0001-01-01 00:00:00 +00:00', '9999-12-31 23:59:59.999999999 +00:00', \
     PARSE_JSON('true'), PARSE_JSON('{\"1\":1}'), PARSE_JSON('[[[[]]]]')",
    "5, 10, 10.00, 1, 1e-308::FLOAT, FALSE, 'null', TO_BINARY('FFFFFFFF', 'HEX'), '1900-03-01', '06:00:00', '06:00:00', \
     '1900-01-01 00:00:00', '1582-10-15 00:00:00', '1900-01-01 00:00:00 +00:00', '1900-01-01 00:00:00 +00:00', \
     '2024-06-30 23:59:59 -00:30', '2024-06-30 23:59:59 +12:45', PARSE_JSON('12345678901234567890.123'), \
     PARSE_JSON('{\"\":\"\"}'), PARSE_JSON('[0]')",
    "6, -1, 0, 0, 1.7976931348623157e308::FLOAT, TRUE, '{\"looks\": \"like json\"}', TO_BINARY('0A0D', 'HEX'), \
     '1970-01-01', '23:00:00', '23:00:00', '1970-01-01 00:00:00', '1970-01-01 00:00:00.1', '1970-01-01 00:00:00 +00:00', \
     '1970-01-01 00:00:00.1 +00:00', '1970-01-01 00:00:00 +00:00', '1969-12-31 23:59:59.9 +01:00', \
     PARSE_JSON('[1e400, -0, 1E-7]'), PARSE_JSON('{\"deep\":[{\"er\":null}]}'), PARSE_JSON('[\"é\",\"\\\\u0001\"]')",
    "7, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
];

/// An event, its numbers as they were written.
#[derive(Deserialize)]
struct Event {
    op: Box<RawValue>,
    before: Box<RawValue>,
    after: Box<RawValue>,
}

/// The events of a table, by key and then in order.
fn events(world: &World, topic: &str) -> Vec<(String, Option<Event>)> {
    let records = world.kafka.cluster.committed_records(topic).unwrap_or_default();
    let mut events: Vec<_> = records
        .into_iter()
        .map(|record| {
            let key = String::from_utf8(record.key.expect("a key").to_vec()).expect("a key of text");
            let value = record.value.map(|value| serde_json::from_slice(&value).expect("a value of JSON"));
            (key, value)
        })
        .collect();
    events.sort_by(|a, b| a.0.cmp(&b.0));
    events
}

/// Key, operation and images, one line an event.
fn line(key: &str, event: &Option<Event>) -> String {
    let Some(Event { op, before, after }) = event else { return format!("{{\"key\":{key},\"tombstone\":true}}") };
    format!("{{\"key\":{key},\"op\":{op},\"before\":{before},\"after\":{after}}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_at_its_edges_arrives_as_the_golden_file_says() {
    let world = World::start().await;
    let mut account = world.account();
    account.run("ALTER SESSION SET TIMEZONE = 'UTC'").await;
    account.run(&format!("CREATE TABLE SHOP.PUBLIC.EDGES ({COLUMNS})")).await;
    for edge in EDGES {
        account.run(&format!("INSERT INTO SHOP.PUBLIC.EDGES SELECT {edge}")).await;
    }
    let settings = world.settings().set("tables", "[{ name = \"SHOP.PUBLIC.EDGES\", key = [\"ID\"] }]");
    let publisher = Publisher::spawn(&world, &settings, None);
    let topic = "SHOP.PUBLIC.EDGES";
    let count = || world.kafka.cluster.committed_records(topic).map_or(0, |records| records.len());
    eventually("the rows arrive", LIMIT, || count() >= EDGES.len()).await;
    // Images of both sides for the same values, and tombstones.
    account.run("UPDATE SHOP.PUBLIC.EDGES SET SMALL = 5, LABEL = NULL, DOC = PARSE_JSON('[7]') WHERE ID <> 7").await;
    eventually("the updates arrive", LIMIT, || count() >= 2 * EDGES.len() - 1).await;
    account.run("DELETE FROM SHOP.PUBLIC.EDGES").await;
    eventually("the deletes arrive", LIMIT, || count() >= 4 * EDGES.len() - 1).await;
    publisher.stop().await;

    let lines: Vec<String> = events(&world, topic).iter().map(|(key, value)| line(key, value)).collect();
    let got = format!("[\n{}\n]\n", lines.join(",\n"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/through-snowflake.json");
    if std::env::var_os("SNOWMELT_REGENERATE").is_some() {
        std::fs::write(&file, &got).expect("the golden file is written");
    }
    let want = std::fs::read_to_string(&file).expect("the golden file is there");
    for (got, want) in got.lines().zip(want.lines()) {
        assert_eq!(got, want);
    }
    assert_eq!(got.len(), want.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_text_and_binary_arrive_whole() {
    let world = World::start().await;
    let mut account = world.account();
    account.run("CREATE TABLE SHOP.PUBLIC.LONG (ID NUMBER(9,0), LABEL VARCHAR, RAW BINARY)").await;
    for row in [
        format!("1, REPEAT('x', {LONGEST_TEXT}), NULL"),
        format!("2, REPEAT('雪', {}), NULL", LONGEST_TEXT / 3),
        format!("3, NULL, TO_BINARY(REPEAT('A5', {LONGEST_BINARY}), 'HEX')"),
        "4, 'short', NULL".to_owned(),
    ] {
        account.run(&format!("INSERT INTO SHOP.PUBLIC.LONG SELECT {row}")).await;
    }
    let settings = world
        .settings()
        .set("tables", "[{ name = \"SHOP.PUBLIC.LONG\", key = [\"ID\"] }]")
        .set("kafka.max_message_bytes", "\"20MiB\"")
        .set("kafka.request_timeout", "\"20s\"")
        .set("kafka.transaction_timeout", "\"60s\"")
        .set("kafka.delivery_timeout", "\"30s\"");
    let publisher = Publisher::spawn(&world, &settings, None);
    let topic = "SHOP.PUBLIC.LONG";
    let count = || world.kafka.cluster.committed_records(topic).map_or(0, |records| records.len());
    eventually("the rows arrive", LIMIT, || count() == 4).await;
    publisher.stop().await;
    let events = events(&world, topic);
    let after = |index: usize, column: &str| {
        let event = events[index].1.as_ref().expect("an event");
        let image: serde_json::Value = serde_json::from_str(event.after.get()).expect("an image");
        image[column].as_str().expect("a text").to_owned()
    };
    assert!(after(0, "LABEL") == "x".repeat(LONGEST_TEXT), "the ASCII text changed");
    assert!(after(1, "LABEL") == "雪".repeat(LONGEST_TEXT / 3), "the three-byte text changed");
    // 8 MiB leave two bytes over after the last group of three.
    let groups = LONGEST_BINARY / 3;
    assert!(after(2, "RAW") == format!("{}paU=", "paWl".repeat(groups)), "the binary changed");
    assert_eq!(after(3, "LABEL"), "short");
}
