//! Rows that cannot be published, under the policy `dead_letter`: each is told once, the others keep their order, and
//! the checkpoint passes. That this holds through kills is for `kills` to show, whose workloads have such rows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::publisher::{Exit, Publisher};
use crate::world::{World, eventually};

const LIMIT: Duration = Duration::from_secs(60);
const TOPIC: &str = "proof.dead-letters";

struct Letter {
    key: Value,
    value: Value,
    headers: BTreeMap<String, String>,
    text: String,
}

fn letters(world: &World) -> Vec<Letter> {
    let Ok(records) = world.kafka.cluster.committed_records(TOPIC) else { return Vec::new() };
    let parsed = |bytes: Option<&[u8]>| serde_json::from_slice(bytes.expect("not empty")).expect("JSON");
    let mut letters: Vec<Letter> = records
        .iter()
        .map(|record| Letter {
            key: parsed(record.key.as_deref()),
            value: parsed(record.value.as_deref()),
            headers: record
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = value.as_deref().unwrap_or_default();
                    (name.to_string(), String::from_utf8_lossy(value).into_owned())
                })
                .collect(),
            text: String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned(),
        })
        .collect();
    letters.sort_by_key(|letter| {
        let source = &letter.value["source"];
        (source["table"].to_string(), source["batch"].as_u64(), source["row"].as_u64())
    });
    letters
}

/// Keys and ops of a table's events, tombstones as `x`, in the order of each partition.
fn events(world: &World, topic: &str) -> Vec<String> {
    let Ok(records) = world.kafka.cluster.committed_records(topic) else { return Vec::new() };
    records
        .iter()
        .map(|record| {
            let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
            match &record.value {
                None => format!("x {key}"),
                Some(value) => {
                    let value: Value = serde_json::from_slice(value).expect("an event is JSON");
                    format!("{} {key}", value["op"].as_str().unwrap_or_default())
                }
            }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_too_large_is_told_and_its_pair_goes_as_a_whole() {
    let world = World::start().await;
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
    let settings = world
        .settings()
        .only("CUSTOMERS")
        .each("on_poison", "\"dead_letter\"")
        .set("topics.partitions", "1")
        .set("kafka.max_message_bytes", "\"16KiB\"")
        .set("kafka.batch_bytes", "\"16KiB\"");
    let publisher = Publisher::spawn(&world, &settings, None);
    let seen = || events(&world, "SHOP.PUBLIC.CUSTOMERS");
    eventually("the initial rows arrive", LIMIT, || seen().len() == 3).await;
    assert_eq!(letters(&world).len(), 0);
    // The new half is too large, then the old one, then the only one of a delete.
    let steps = [
        ("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = REPEAT('é', 20000) WHERE ID = 2", 1, 3),
        ("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'small' WHERE ID = 2", 2, 3),
        ("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = REPEAT('é', 20000) WHERE ID = 2", 3, 3),
        ("DELETE FROM SHOP.PUBLIC.CUSTOMERS WHERE ID = 2", 4, 4),
        ("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'd' WHERE ID = 3", 4, 5),
    ];
    for (sql, dead, alive) in steps {
        account.run(sql).await;
        eventually(sql, LIMIT, || letters(&world).len() == dead && seen().len() == alive).await;
    }
    publisher.terminate().await;
    publisher.says("\"dead_letters\":4", LIMIT).await;
    let said = publisher.log().matches("rows became dead letters").count();
    assert_eq!(said, 4, "once a slice");
    publisher.stop().await;

    let keys: Vec<String> = seen().into_iter().skip(3).collect();
    assert_eq!(keys, ["x {\"ID\":2}", "u {\"ID\":3}"], "the delete's tombstone needs no value");
    let letters = letters(&world);
    let ops: Vec<_> = letters.iter().map(|letter| letter.value["op"].as_str().unwrap_or_default()).collect();
    assert_eq!(ops, ["u", "u", "u", "d"]);
    let first = &letters[0];
    assert_eq!(first.value["reason"]["code"], "too_large");
    let words = first.value["reason"]["text"].as_str().unwrap_or_default();
    assert!(words.starts_with("the record has 4") && words.ends_with("kafka.max_message_bytes is 16384"), "{words}");
    assert_eq!((first.value["topic"].as_str(), &first.value["key"]["ID"]), (Some("SHOP.PUBLIC.CUSTOMERS"), &2.into()));
    assert_eq!(first.value["before"]["NAME"], "b");
    let shown = first.value["after"]["NAME"].as_str().unwrap_or_default();
    assert_eq!((shown.len(), shown.trim_matches('é')), (4096, ""), "whole characters");
    assert_eq!(first.value["cut"], serde_json::json!([{"image": "after", "column": "NAME", "bytes": 40_000}]));
    assert_eq!((&first.value["unencodable"], &first.value["left_out"]), (&serde_json::json!([]), &0.into()));
    assert_eq!((&first.value["source"]["batch"], &first.value["source"]["row"]), (&2.into(), &2.into()));
    let row_id = first.value["source"]["row_id"].as_str().unwrap_or_default();
    assert_eq!(first.key, serde_json::json!({"db":"SHOP","schema":"PUBLIC","table":"CUSTOMERS","row_id":row_id}));
    for (name, value) in [
        ("snowmelt.reason", "too_large"),
        ("snowmelt.topic", "SHOP.PUBLIC.CUSTOMERS"),
        ("snowmelt.table", "CUSTOMERS"),
        ("snowmelt.op", "u"),
        ("snowmelt.batch", "2"),
        ("snowmelt.row", "2"),
        ("snowmelt.row_id", row_id),
    ] {
        assert_eq!(first.headers.get(name).map(String::as_str), Some(value), "{name}: {:?}", first.headers);
    }
    assert!(letters.iter().all(|letter| letter.text.len() < 16 << 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_without_a_form_is_told_and_the_others_go_on() {
    let world = World::start().await;
    let mut account = world.account();
    let lines = "INSERT INTO SHOP.PUBLIC.LINES (ORDER_ID, LINE, NOTE)";
    // The simulator keeps a number's text as it came, and JSON knows no leading zeros.
    for (id, note) in [(1, "[1]"), (2, "[007]"), (3, "[3]")] {
        account.run(&format!("{lines} SELECT {id}, 1, PARSE_JSON('{note}')")).await;
    }
    let settings = world
        .settings()
        .only("LINES")
        .each("on_poison", "\"dead_letter\"")
        .set("format.variant", "\"json\"")
        .set("topics.partitions", "1");
    let publisher = Publisher::spawn(&world, &settings, None);
    eventually("all rows are told", LIMIT, || {
        letters(&world).len() == 1 && events(&world, "SHOP.PUBLIC.LINES").len() == 2
    })
    .await;
    publisher.stop().await;
    let letter = &letters(&world)[0];
    assert_eq!(letter.value["reason"]["code"], "unencodable");
    let words = letter.value["reason"]["text"].as_str().unwrap_or_default();
    assert!(words.starts_with("column NOTE: the variant is not valid json"), "{words}");
    assert_eq!(letter.value["after"]["NOTE"], "[007]", "what is no JSON stands as text");
    assert_eq!(letter.value["unencodable"][0]["column"], "NOTE");
    assert_eq!((&letter.value["op"], &letter.value["before"]), (&"r".into(), &Value::Null));
    assert_eq!(letter.value["key"], serde_json::json!({"ORDER_ID": 2, "LINE": 1}));
    assert_eq!(letter.value["source"]["snapshot"], "true");
}

/// A topic that may not be made is named, as those of events are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topic_of_dead_letters_is_needed_before_it_is_used() {
    let world = World::start().await;
    world.account().run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'a')").await;
    let settings = world.settings().only("CUSTOMERS");
    let publisher = Publisher::spawn(&world, &settings, None);
    eventually("the row arrives", LIMIT, || events(&world, "SHOP.PUBLIC.CUSTOMERS").len() == 1).await;
    publisher.stop().await;
    let forbidden = settings.each("on_poison", "\"dead_letter\"").set("topics.create", "false");
    let mut publisher = Publisher::spawn(&world, &forbidden, None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(4));
    let log = publisher.log();
    assert!(log.contains("topic proof.dead-letters does not exist and topics.create is false"), "{log}");
}
