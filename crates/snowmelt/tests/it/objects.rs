//! Objects beside ordinary tables through the real binary: what is inserted, updated and deleted below them arrives and
//! folds to what they show; what streams cannot follow is refused, by `run` and by `check`, with its reason and remedy.

use std::time::Duration;

use serde_json::Value;

use crate::account::Account;
use crate::publisher::{Exit, Publisher};
use crate::tables::{self, Table};
use crate::verifier::Verifier;
use crate::world::{Settings, World};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const fn object(name: &'static str, key: &'static [&'static str]) -> Table {
    Table { name, ddl: "", configured_key: key, key, address: key, selected: tables::ALL_ROWS }
}

pub(crate) async fn all(account: &mut Account, statements: &[&str]) {
    for sql in statements {
        account.run(sql).await;
    }
}

/// A world in schema SHOP.PUBLIC with these objects, and an account in that schema.
async fn world(statements: &[&str]) -> (World, Account) {
    let world = World::start().await;
    let mut account = world.account();
    account.run("USE SCHEMA SHOP.PUBLIC").await;
    all(&mut account, statements).await;
    (world, account)
}

/// Captures these entries of `[[tables]]` only.
fn settings(world: &World, tables: &str) -> Settings {
    world.settings().set("tables", &format!("[{tables}]"))
}

/// Events on a topic: letter, and the record's `after`, or else `before`.
fn events(world: &World, name: &str) -> Vec<(String, Value)> {
    events_on(world, &format!("SHOP.PUBLIC.{name}"))
}

fn events_on(world: &World, topic: &str) -> Vec<(String, Value)> {
    let records = world.kafka.cluster.committed_records(topic).unwrap_or_default();
    let values = records.iter().filter_map(|record| record.value.as_ref());
    values
        .map(|value| {
            let event: Value = serde_json::from_slice(value).expect("an envelope");
            let image = if event["after"].is_null() { &event["before"] } else { &event["after"] };
            (event["op"].as_str().expect("a letter").to_owned(), image.clone())
        })
        .collect()
}

/// Events as text, a column of each, sorted.
pub(crate) fn shown(world: &World, name: &str, column: &str) -> Vec<String> {
    shown_on(world, &format!("SHOP.PUBLIC.{name}"), column)
}

fn shown_on(world: &World, topic: &str, column: &str) -> Vec<String> {
    let mut shown: Vec<String> = events_on(world, topic)
        .iter()
        .map(|(op, image)| format!("{op} {}", image[column].to_string().trim_matches('"')))
        .collect();
    shown.sort();
    shown
}

pub(crate) async fn arrives(world: &World, name: &str, column: &str, expected: &[&str]) {
    arrives_on(world, &format!("SHOP.PUBLIC.{name}"), column, expected).await;
}

/// Waits until a topic has exactly these events.
pub(crate) async fn arrives_on(world: &World, topic: &str, column: &str, expected: &[&str]) {
    let what = format!("{topic} has the events {expected:?}");
    let deadline = tokio::time::Instant::now() + LIMIT;
    while shown_on(world, topic, column) != expected {
        assert!(tokio::time::Instant::now() < deadline, "{what}: {:?}", shown_on(world, topic, column));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const VIEWS: [Table; 4] = [
    object("OPEN_ORDERS", &["ID"]),
    object("ORDER_LIST", &["ID"]),
    object("EVERYBODY", &[]),
    object("HIDDEN", &["ID"]),
];

const VIEW_WORLD: [&str; 10] = [
    "CREATE TABLE ORDERS (ID INT, CUSTOMER INT, STATE VARCHAR, PRICE NUMBER(10,2))",
    "CREATE TABLE CLIENTS (ID INT, NAME VARCHAR)",
    "CREATE TABLE STAFF (ID INT, NAME VARCHAR)",
    "CREATE VIEW OPEN_ORDERS AS SELECT ID, UPPER(STATE) AS STATE, PRICE FROM ORDERS WHERE STATE <> 'closed'",
    "CREATE VIEW ORDER_LIST AS SELECT O.ID AS ID, C.NAME AS NAME, O.PRICE AS PRICE FROM ORDERS O JOIN CLIENTS C ON O.CUSTOMER = C.ID",
    "CREATE VIEW EVERYBODY AS SELECT NAME, 'client' AS KIND FROM CLIENTS UNION ALL SELECT NAME, 'staff' AS KIND FROM STAFF",
    "CREATE SECURE VIEW HIDDEN AS SELECT * FROM OPEN_ORDERS WHERE PRICE > 1",
    "INSERT INTO CLIENTS VALUES (1, 'Ada'), (2, 'Bob')",
    "INSERT INTO STAFF VALUES (1, 'Ada')",
    "INSERT INTO ORDERS VALUES (1, 1, 'new', 10.50), (2, 2, 'closed', 20), (3, 9, 'new', 0.50)",
];

const VIEW_TABLES: &str = r#"
    { name = "SHOP.PUBLIC.OPEN_ORDERS", key = ["ID"] }, { name = "SHOP.PUBLIC.ORDER_LIST", key = ["ID"] },
    { name = "SHOP.PUBLIC.EVERYBODY" }, { name = "SHOP.PUBLIC.HIDDEN", key = ["ID"] }"#;

const VIEW_CHANGES: [&str; 9] = [
    "UPDATE ORDERS SET PRICE = PRICE + 1 WHERE ID = 1",
    "UPDATE ORDERS SET STATE = 'new' WHERE ID = 2",
    "UPDATE ORDERS SET STATE = 'closed' WHERE ID = 1",
    "INSERT INTO CLIENTS VALUES (9, 'Cleo')",
    "UPDATE CLIENTS SET NAME = 'Adele' WHERE ID = 1",
    "INSERT INTO ORDERS VALUES (4, 2, 'new', 44.44), (5, 1, 'new', 0.01)",
    "DELETE FROM STAFF WHERE ID = 1",
    "DELETE FROM CLIENTS WHERE ID = 2",
    "UPDATE ORDERS SET ID = CASE ID WHEN 3 THEN 4 WHEN 4 THEN 3 ELSE ID END",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_fold_to_what_they_show() {
    let (world, mut account) = world(&VIEW_WORLD).await;
    let publisher = Publisher::spawn(&world, &settings(&world, VIEW_TABLES), None);
    world.drained_of(&VIEWS, LIMIT).await;
    for change in VIEW_CHANGES {
        account.run(change).await;
        world.drained_of(&VIEWS, LIMIT).await;
    }
    publisher.stop().await;
    let report = Verifier::read_tables(&world, &VIEWS).await.approve();
    assert!(['r', 'c', 'u', 'd'].iter().all(|op| report.by_op.get(op).is_some_and(|count| *count > 0)), "{report:?}");
    // One side's update of a join is an update, not a row gone and a row come.
    let list = shown(&world, "ORDER_LIST", "NAME");
    assert!(list.contains(&"u Adele".to_owned()), "{list:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_carried_once_through_kills() {
    let (world, mut account) = world(&VIEW_WORLD).await;
    let settings = settings(&world, VIEW_TABLES);
    let points = [
        "after-create-stream:2",
        "before-staging:3",
        "after-staging:1",
        "mid-slice:2",
        "after-commit:6",
        "before-release:2",
    ];
    for (point, change) in points.iter().zip(VIEW_CHANGES) {
        account.run(change).await;
        let mut publisher = Publisher::spawn(&world, &settings, Some(point));
        let deadline = tokio::time::Instant::now() + LIMIT;
        let killed = loop {
            if let Some(exit) = publisher.ended() {
                break exit;
            }
            assert!(tokio::time::Instant::now() < deadline, "{point} is not passed");
            account.run("UPDATE ORDERS SET PRICE = PRICE + 0.01").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(killed, Exit::Killed, "{point}");
        assert_eq!(Verifier::read_tables(&world, &VIEWS).await.wrong(), Vec::<String>::new(), "{point}");
    }
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&VIEWS, LIMIT).await;
    publisher.stop().await;
    Verifier::read_tables(&world, &VIEWS).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynamic_event_iceberg_and_transient_tables_fold_to_what_they_hold() {
    const CAPTURED: [Table; 5] = [
        object("TOTALS", &["CUSTOMER"]),
        object("DAILY", &["ID"]),
        object("CHEAP", &[]),
        object("LAKE", &["ID"]),
        object("TELEMETRY", &["RECORD_TYPE"]),
    ];
    let (world, mut account) = world(&[
        "CREATE TABLE ORDERS (ID INT, CUSTOMER INT, PRICE INT)",
        "INSERT INTO ORDERS VALUES (1, 1, 10), (2, 1, 20), (3, 2, 5)",
        "CREATE DYNAMIC TABLE TOTALS TARGET_LAG = '1 minute' WAREHOUSE = WH AS SELECT CUSTOMER, SUM(PRICE) AS TOTAL FROM ORDERS GROUP BY CUSTOMER",
        "CREATE DYNAMIC TABLE CHEAP TARGET_LAG = '1 minute' WAREHOUSE = WH REFRESH_MODE = INCREMENTAL AS SELECT ID, PRICE FROM ORDERS WHERE PRICE < 15",
        "CREATE ICEBERG TABLE LAKE (ID INT PRIMARY KEY, V VARCHAR) CATALOG = 'SNOWFLAKE' EXTERNAL_VOLUME = 'V' BASE_LOCATION = 'L'",
        "INSERT INTO LAKE VALUES (1, 'a'), (2, 'b')",
        "CREATE TRANSIENT TABLE DAILY (ID INT PRIMARY KEY, V VARCHAR)",
        "INSERT INTO DAILY VALUES (1, 'a'), (2, 'b')",
        "CREATE EVENT TABLE TELEMETRY",
        "INSERT INTO TELEMETRY (RECORD_TYPE, VALUE, RECORD) SELECT 'LOG', TO_VARIANT('hi'), OBJECT_CONSTRUCT('severity', 'INFO')",
    ])
    .await;
    let tables = r#"{ name = "SHOP.PUBLIC.TOTALS", key = ["CUSTOMER"] }, { name = "SHOP.PUBLIC.CHEAP" },
        { name = "SHOP.PUBLIC.LAKE" }, { name = "SHOP.PUBLIC.DAILY" }, { name = "SHOP.PUBLIC.TELEMETRY", key = ["RECORD_TYPE"] }"#;
    let publisher = Publisher::spawn(&world, &settings(&world, tables), None);
    world.drained_of(&CAPTURED, LIMIT).await;
    for round in [
        [
            "UPDATE ORDERS SET PRICE = PRICE + 1",
            "UPDATE LAKE SET V = V || '!'",
            "UPDATE DAILY SET V = V || '!' WHERE ID = 2",
            "INSERT INTO TELEMETRY (RECORD_TYPE) VALUES ('SPAN')",
        ],
        [
            "DELETE FROM ORDERS WHERE CUSTOMER = 2",
            "DELETE FROM LAKE WHERE ID = 1",
            "DELETE FROM DAILY WHERE ID = 1",
            "DELETE FROM TELEMETRY WHERE RECORD_TYPE = 'LOG'",
        ],
        [
            "INSERT INTO ORDERS VALUES (4, 3, 1), (5, 2, 8)",
            "INSERT INTO LAKE VALUES (3, NULL)",
            "INSERT INTO DAILY VALUES (3, NULL)",
            "INSERT INTO TELEMETRY (RECORD_TYPE) VALUES ('METRIC')",
        ],
    ] {
        all(&mut account, &round).await;
        all(&mut account, &["ALTER DYNAMIC TABLE TOTALS REFRESH", "ALTER DYNAMIC TABLE CHEAP REFRESH"]).await;
        world.drained_of(&CAPTURED, LIMIT).await;
    }
    publisher.stop().await;
    Verifier::read_tables(&world, &CAPTURED).await.approve();
    assert!(shown(&world, "CHEAP", "PRICE").contains(&"u 11".to_owned()), "{:?}", shown(&world, "CHEAP", "PRICE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn external_and_externally_managed_tables_tell_what_came() {
    let (world, mut account) = world(&[
        "CREATE STAGE FILES",
        "COPY INTO '@FILES/in/1.json' FROM (SELECT OBJECT_CONSTRUCT('id', 1))",
        "CREATE EXTERNAL TABLE DROPS (ID INT AS (VALUE:id::INT)) LOCATION = '@FILES/in/' FILE_FORMAT = (TYPE = JSON)",
        "CREATE ICEBERG TABLE THEIRS (ID INT) CATALOG = 'GLUE' EXTERNAL_VOLUME = 'V' CATALOG_TABLE_NAME = 'T'",
        "INSERT INTO THEIRS VALUES (1)",
    ])
    .await;
    let tables = r#"{ name = "SHOP.PUBLIC.DROPS", key = ["ID"], snapshot = "never" }, { name = "SHOP.PUBLIC.THEIRS", key = ["ID"] }"#;
    let publisher = Publisher::spawn(&world, &settings(&world, tables), None);
    arrives(&world, "THEIRS", "ID", &["r 1"]).await;
    // The stream on the files must be there before there is something for it to see.
    let mut streams = 0;
    while streams < 2 {
        streams = account.run("SHOW STREAMS IN SCHEMA SNOWMELT.STATE").await.len();
    }
    all(
        &mut account,
        &[
            "COPY INTO '@FILES/in/2.json' FROM (SELECT OBJECT_CONSTRUCT('id', 2) UNION ALL SELECT OBJECT_CONSTRUCT('id', 3))",
            "ALTER EXTERNAL TABLE DROPS REFRESH",
            "INSERT INTO THEIRS VALUES (2), (3)",
        ],
    )
    .await;
    arrives(&world, "DROPS", "ID", &["c 2", "c 3"]).await;
    arrives(&world, "THEIRS", "ID", &["c 2", "c 3", "r 1"]).await;
    all(
        &mut account,
        &[
            "REMOVE '@FILES/in/2.json'",
            "COPY INTO '@FILES/in/4.json' FROM (SELECT OBJECT_CONSTRUCT('id', 4))",
            "ALTER EXTERNAL TABLE DROPS REFRESH",
            "DELETE FROM THEIRS WHERE ID = 2",
            "INSERT INTO THEIRS VALUES (4)",
        ],
    )
    .await;
    arrives(&world, "DROPS", "ID", &["c 2", "c 3", "c 4"]).await;
    arrives(&world, "THEIRS", "ID", &["c 2", "c 3", "c 4", "r 1"]).await;
    publisher.stop().await;
    let files = shown(&world, "DROPS", "METADATA$FILENAME");
    assert_eq!(files, ["c in/2.json", "c in/2.json", "c in/4.json"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_table_tells_which_files_come_and_go() {
    let (world, mut account) = world(&[
        "CREATE STAGE INBOX DIRECTORY = (ENABLE = TRUE)",
        "COPY INTO '@INBOX/before.json' FROM (SELECT TO_VARIANT('x'))",
        "ALTER STAGE INBOX REFRESH",
        "CREATE STREAM INBOX_STREAM ON STAGE INBOX",
        "COPY INTO '@INBOX/a.json' FROM (SELECT TO_VARIANT('1'))",
        "COPY INTO '@INBOX/b.json' FROM (SELECT TO_VARIANT('2'))",
        "ALTER STAGE INBOX REFRESH",
    ])
    .await;
    let tables = r#"{ name = "SHOP.PUBLIC.INBOX", stream = "SHOP.PUBLIC.INBOX_STREAM", snapshot = "never" }"#;
    let publisher = Publisher::spawn(&world, &settings(&world, tables), None);
    arrives(&world, "INBOX", "RELATIVE_PATH", &["c a.json", "c b.json"]).await;
    all(
        &mut account,
        &[
            "REMOVE '@INBOX/a.json'",
            "REMOVE '@INBOX/before.json'",
            "COPY INTO '@INBOX/b.json' FROM (SELECT TO_VARIANT('longer')) OVERWRITE = TRUE",
            "ALTER STAGE INBOX REFRESH",
        ],
    )
    .await;
    let expected = ["c a.json", "c b.json", "c b.json", "d a.json", "d b.json", "d before.json"];
    arrives(&world, "INBOX", "RELATIVE_PATH", &expected).await;
    publisher.stop().await;
    // The path is the key, and of a file written anew the old row goes before the new one comes.
    let records = world.kafka.cluster.committed_records("SHOP.PUBLIC.INBOX").expect("the topic");
    let keys: Vec<&[u8]> = records.iter().filter_map(|record| record.key.as_deref()).collect();
    assert!(keys.contains(&br#"{"RELATIVE_PATH":"b.json"}"#.as_slice()), "{keys:?}");
    let b: Vec<String> = events(&world, "INBOX")
        .iter()
        .filter(|(_, image)| image["RELATIVE_PATH"] == "b.json")
        .map(|(op, image)| format!("{op} {}", image["SIZE"]))
        .collect();
    assert_eq!(b, ["c 4", "d 4", "c 9"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn append_only_tells_every_insert_and_nothing_else() {
    let (world, mut account) = world(&[
        "CREATE TABLE PLACES (ID INT PRIMARY KEY, AT GEOGRAPHY)",
        "INSERT INTO PLACES SELECT 1, TO_GEOGRAPHY('{\"coordinates\":[1,2],\"type\":\"Point\"}')",
        "CREATE VIEW FEW AS SELECT ID FROM PLACES WHERE ID < 10",
    ])
    .await;
    let tables = r#"{ name = "SHOP.PUBLIC.PLACES", mode = "append_only" },
        { name = "SHOP.PUBLIC.FEW", mode = "append_only", key = ["ID"] }"#;
    let publisher = Publisher::spawn(&world, &settings(&world, tables), None);
    arrives(&world, "PLACES", "ID", &["r 1"]).await;
    arrives(&world, "FEW", "ID", &["r 1"]).await;
    all(
        &mut account,
        &[
            "INSERT INTO PLACES SELECT 2, TO_GEOGRAPHY('{\"coordinates\":[3,4],\"type\":\"Point\"}')",
            "DELETE FROM PLACES WHERE ID = 1",
            "UPDATE PLACES SET AT = NULL",
            "INSERT INTO PLACES (ID) VALUES (30)",
        ],
    )
    .await;
    arrives(&world, "PLACES", "ID", &["c 2", "c 30", "r 1"]).await;
    arrives(&world, "FEW", "ID", &["c 2", "r 1"]).await;
    publisher.stop().await;
    let places = shown(&world, "PLACES", "AT");
    assert!(places[1].contains("Point") && places[1].contains("[3,4]"), "the row as it was inserted: {places:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_users_made_are_taken_over_where_they_fit() {
    let (world, mut account) = world(&[
        "CREATE TABLE T (ID INT PRIMARY KEY)",
        "CREATE TABLE U (ID INT)",
        "CREATE VIEW V AS SELECT ID FROM T",
        "CREATE STREAM VS ON VIEW V",
        "CREATE STREAM TS ON TABLE T APPEND_ONLY = TRUE",
        "CREATE STREAM US ON TABLE U",
        "INSERT INTO T VALUES (1), (2)",
        "DELETE FROM T WHERE ID = 2",
    ])
    .await;
    let entry = |name: &str, stream: &str, more: &str| {
        format!(r#"{{ name = "SHOP.PUBLIC.{name}", stream = "SHOP.PUBLIC.{stream}", snapshot = "never"{more} }}"#)
    };
    let good = format!("{},{}", entry("V", "VS", r#", key = ["ID"]"#), entry("T", "TS", r#", mode = "append_only""#));
    let publisher = Publisher::spawn(&world, &settings(&world, &good), None);
    arrives(&world, "V", "ID", &["c 1"]).await;
    arrives(&world, "T", "ID", &["c 1", "c 2"]).await;
    publisher.stop().await;
    account.run("INSERT INTO T VALUES (3)").await;
    for (entry, words) in [
        (entry("T", "TS", ""), ["its mode is APPEND_ONLY", "set `mode`"]),
        (entry("T", "US", ""), ["it is a stream on SHOP.PUBLIC.U", "name a stream on SHOP.PUBLIC.T"]),
        (entry("V", "TS", r#", mode = "append_only""#), ["it is a stream on SHOP.PUBLIC.T", "name a stream on"]),
        (entry("V", "VS", r#", mode = "append_only""#), ["its mode is DEFAULT", "set `mode`"]),
    ] {
        let settings = settings(&world, &entry).set("name", "\"other\"");
        refused(&world, &settings, &words).await;
        let found = checked(&world, &settings).await;
        for word in words {
            assert!(found.contains(word), "check does not say {word:?}: {found}");
        }
    }
    assert_eq!(account.run("SELECT * FROM VS").await.len(), 1, "a refused stream was not moved");
}

/// A publisher of `settings` halts and says all of `words`.
async fn refused(world: &World, settings: &Settings, words: &[&str]) {
    let mut publisher = Publisher::spawn(world, settings, None);
    let ended = publisher.end(LIMIT).await;
    let log = publisher.log();
    assert_eq!(ended, Exit::Code(3), "{log}");
    for word in words {
        assert!(log.contains(word), "the message does not say {word:?}:\n{log}");
    }
}

/// What `snowmelt check` prints.
async fn checked(world: &World, settings: &Settings) -> String {
    let config = world.path("checked.toml");
    settings.write(&config);
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_snowmelt"));
    command.args(["--log", "error", "check", "--metadata-only", "--config"]).arg(config);
    let output = command.stdin(std::process::Stdio::null()).output().await.expect("the program runs");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_streams_cannot_follow_is_refused_with_its_remedy() {
    let (world, mut account) = world(&[
        "CREATE TABLE T (ID INT, AT GEOGRAPHY)",
        "CREATE MATERIALIZED VIEW KEPT AS SELECT ID FROM T",
        "CREATE VIEW GROUPED AS SELECT ID, COUNT(*) AS N FROM T GROUP BY ID",
        "CREATE VIEW PLACES AS SELECT * FROM T",
        "CREATE DYNAMIC TABLE WHOLE TARGET_LAG = DOWNSTREAM WAREHOUSE = WH REFRESH_MODE = FULL AS SELECT ID FROM T",
        "CREATE DYNAMIC TABLE LATER TARGET_LAG = DOWNSTREAM WAREHOUSE = WH INITIALIZE = ON_SCHEDULE AS SELECT ID FROM T",
        "CREATE STAGE BARE",
        "CREATE STAGE LISTED DIRECTORY = (ENABLE = TRUE)",
        "CREATE EXTERNAL TABLE DROPS (ID INT AS (VALUE:id::INT)) LOCATION = @BARE",
    ])
    .await;
    for (entry, words) in [
        (r#"name = "SHOP.PUBLIC.T""#, ["geospatial columns (AT)", "mode = \\\"append_only\\\""]),
        (r#"name = "SHOP.PUBLIC.PLACES""#, ["geospatial columns (AT)", "a view that leaves these columns out"]),
        (r#"name = "SHOP.PUBLIC.KEPT""#, ["materialized view", "capture the table it reads"]),
        (r#"name = "SHOP.PUBLIC.GROUPED""#, ["not supported on queries with GROUP BY", "keep to projections"]),
        (r#"name = "SHOP.PUBLIC.WHOLE""#, ["REFRESH_MODE = FULL", "recreate it with REFRESH_MODE = INCREMENTAL"]),
        (r#"name = "SHOP.PUBLIC.LATER""#, ["not initialized", "ALTER DYNAMIC TABLE SHOP.PUBLIC.LATER REFRESH"]),
        (r#"name = "SHOP.PUBLIC.DROPS", key = ["ID"]"#, ["cannot show the rows", "snapshot = \\\"never\\\""]),
        (r#"name = "SHOP.PUBLIC.DROPS", snapshot = "never""#, ["no row id", "set `key`"]),
        (r#"name = "SHOP.PUBLIC.BARE", snapshot = "never""#, ["no directory table", "SET DIRECTORY = (ENABLE = TRUE)"]),
        (r#"name = "SHOP.PUBLIC.LISTED""#, ["cannot show the files", "snapshot = \\\"never\\\""]),
        (
            r#"name = "SHOP.PUBLIC.NOWHERE""#,
            ["does not exist or role ACCOUNTADMIN may not see it", "create it, or grant"],
        ),
    ] {
        let settings = settings(&world, &format!("{{ {entry} }}"));
        refused(&world, &settings, &words).await;
        let found = checked(&world, &settings).await;
        for word in words {
            let word = word.replace("\\\"", "\"").replace(" or role ACCOUNTADMIN", ", or the role");
            let word = word.replace("or grant", "or GRANT");
            assert!(found.contains(&word), "check does not say {word:?}: {found}");
        }
    }
    // Once the reason is gone the same capture goes on.
    account.run("ALTER DYNAMIC TABLE LATER REFRESH").await;
    account.run("INSERT INTO T (ID) VALUES (7)").await;
    account.run("ALTER DYNAMIC TABLE LATER REFRESH").await;
    let publisher =
        Publisher::spawn(&world, &settings(&world, r#"{ name = "SHOP.PUBLIC.LATER", key = ["ID"] }"#), None);
    arrives(&world, "LATER", "ID", &["r 7"]).await;
    publisher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_tells_kind_mode_key_and_staleness() {
    let (world, mut account) = world(&[
        "CREATE TRANSIENT TABLE T (ID INT) DATA_RETENTION_TIME_IN_DAYS = 1 MAX_DATA_EXTENSION_TIME_IN_DAYS = 20",
        "CREATE SECURE VIEW V AS SELECT ID FROM T",
        "CREATE STAGE INBOX DIRECTORY = (ENABLE = TRUE)",
    ])
    .await;
    let tables = r#"{ name = "SHOP.PUBLIC.T", key = ["ID"], mode = "append_only" }, { name = "SHOP.PUBLIC.V" },
        { name = "SHOP.PUBLIC.INBOX", snapshot = "never" }"#;
    let settings = settings(&world, tables);
    let publisher = Publisher::spawn(&world, &settings, None);
    let mut streams = 0;
    while streams < 3 {
        streams = account.run("SHOW STREAMS IN SCHEMA SNOWMELT.STATE").await.len();
    }
    let found = checked(&world, &settings).await;
    for text in [
        "kind of SHOP.PUBLIC.T: transient table, captured by an append-only stream; retention 1 days, a stream not read for 20 days goes stale",
        "kind of SHOP.PUBLIC.V: secure view, captured by a standard stream",
        "let the publisher read it well within DATA_RETENTION_TIME_IN_DAYS",
        "kind of SHOP.PUBLIC.INBOX: directory table, captured by a standard stream",
        "key of SHOP.PUBLIC.INBOX: RELATIVE_PATH (the file's path)",
        "key of SHOP.PUBLIC.V: none is declared or configured",
        "follows SHOP.PUBLIC.T; becomes stale in 19 days unless it is read",
    ] {
        assert!(found.contains(text), "check does not say {text:?}:\n{found}");
    }
    assert!(!found.contains("PROBLEM"), "{found}");
    publisher.stop().await;
    assert_eq!(account.run("SHOW STREAMS IN SCHEMA SNOWMELT.STATE").await.len(), 3, "the check left something behind");
}
