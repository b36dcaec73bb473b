//! Filters, chosen columns and masks: Kafka shows the selected rows of the table, before and after every change, and
//! what is not selected or is masked is not even in the staging table.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use snowsim::fault::{Action, Moment, Rule};

use crate::image::Cell;
use crate::publisher::{Exit, Publisher};
use crate::tables::{ALL, STATE, Table};
use crate::verifier::Verifier;
use crate::workload::Workload;
use crate::world::{Settings, World, eventually, seed};

const LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "salt of at least sixteen characters";
/// SHA-256 of the secret, from another program.
const SALT: &str = "b81576a74f1e090237b8b0fcf91d0a9fda73530f7d5425a3b2ca0142f14db72b";

/// The workload's tables with some of everything: a masked key, a key column in the filter, no key at all.
pub(crate) const SELECTED: [Table; 3] = [
    Table {
        selected: "SHA2('SALT' || TO_VARCHAR(ID), 256) AS ID, LEFT(NAME, 3) AS NAME, CREDIT, ACTIVE, \
                   IFF(SEEN IS NULL, NULL, '***') AS SEEN FROM {} WHERE CREDIT > 0 OR ACTIVE",
        ..ALL[0]
    },
    Table {
        selected: "ORDER_ID, LINE, SHA2('SALT' || SKU, 256) AS SKU, QTY, SHA2('SALT' || \
                   TO_VARCHAR(CONVERT_TIMEZONE('UTC', PLACED), 'YYYY-MM-DD HH24:MI:SS.FF9'), 256) AS PLACED \
                   FROM {} WHERE LINE < 6 AND NOTE IS NOT NULL",
        ..ALL[1]
    },
    Table {
        selected: "LEFT(TO_VARCHAR(ON_DAY, 'YYYY-MM-DD'), 7) AS ON_DAY, SCORE, SHA2('SALT' || HEX_ENCODE(RAW), 256) AS RAW, N \
                   FROM {} WHERE SCORE >= 0",
        ..ALL[2]
    },
];

pub(crate) fn salted(table: Table) -> Table {
    Table { selected: table.selected.replace("SALT", SALT).leak(), ..table }
}

/// `world.settings()` with what `SELECTED` says.
pub(crate) fn selecting(world: &World) -> Settings {
    std::fs::write(world.path("salt"), SECRET).expect("the salt is written");
    world
        .settings()
        .set("snowflake.hash_salt", "{ file = \"salt\" }")
        .of_table("CUSTOMERS", "filter", "\"CREDIT > 0 OR ACTIVE\"")
        .of_table("CUSTOMERS", "columns", "{ hash = [\"ID\"], truncate = { NAME = 3 }, redact = [\"SE*\"] }")
        .of_table("LINES", "filter", "\"LINE < 6 AND NOTE IS NOT NULL\"")
        .of_table("LINES", "columns", "{ exclude = [\"NOTE\"], hash = [\"sku\", \"placed\"] }")
        .of_table("VISITS", "filter", "\"SCORE >= 0\"")
        .of_table(
            "VISITS",
            "columns",
            "{ include = [\"on_*\", \"SCORE\", \"R*\", \"N\"], hash = [\"RAW\"], truncate = { ON_DAY = 7 } }",
        )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn selected_rows_are_a_history_of_their_own_through_kills() {
    let mut dice = StdRng::seed_from_u64(seed());
    let world = World::start().await;
    let mut workload = Workload::new(&world, dice.random());
    workload.fill(80).await;
    let working = workload.start();
    for _ in 0..6 {
        let publisher = Publisher::spawn(&world, &selecting(&world), None);
        let until = world.snowflake.sim.stats().statements + dice.random_range(60..250);
        let deadline = Instant::now() + LIMIT;
        while world.snowflake.sim.stats().statements < until && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        publisher.kill().await;
    }
    drop(working.stop().await);
    let publisher = Publisher::spawn(&world, &selecting(&world), None);
    let tables = SELECTED.map(salted);
    world.drained_of(&tables, LIMIT).await;
    publisher.stop().await;
    let report = Verifier::read_tables(&world, &tables).await.approve();
    eprintln!("{report:?}");
    assert!(report.rows > 20 && report.events > 200, "so little proves little: {report:?}");
    // The test's own queries have the salt in clear.
    let log = world.snowflake.sim.engine().warehouse_log();
    let staging: Vec<&String> = log.iter().filter(|sql| sql.contains("CREATE TRANSIENT TABLE")).collect();
    assert!(staging.iter().any(|sql| sql.contains("$SNOWMELT_SALT")), "{staging:#?}");
    assert!(staging.iter().all(|sql| !sql.contains(SALT) && !sql.contains(SECRET)), "the salt is in a statement");
}

/// Events of CUSTOMERS as `op key before→after` of the column NAME.
fn told(world: &World) -> Vec<String> {
    let records = world.kafka.cluster.committed_records("SHOP.PUBLIC.CUSTOMERS").expect("the log is readable");
    let mut events: Vec<_> = records
        .iter()
        .filter_map(|record| {
            let value: Value = serde_json::from_slice(record.value.as_ref()?).expect("an event is JSON");
            let key: Value = serde_json::from_slice(record.key.as_ref()?).expect("a key is JSON");
            let name = |side: &str| value[side]["NAME"].as_str().unwrap_or("-").to_owned();
            let place = (value["source"]["batch"].as_u64(), value["source"]["row"].as_u64());
            let op = value["op"].as_str().unwrap_or_default();
            Some((place, format!("{op} {} {}>{}", key["ID"], name("before"), name("after"))))
        })
        .collect();
    events.sort();
    events.into_iter().map(|(_, text)| text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_begins_to_fit_comes_and_one_that_no_longer_does_goes() {
    let world = World::start().await;
    let mut account = world.account();
    let rows = "(1, 'in'), (2, 'out'), (3, 'in'), (4, 'out'), (5, 'in'), (6, 'out'), (7, 'in'), (8, 'in'), (9, NULL)";
    account.run(&format!("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES {rows}")).await;
    let settings = world.settings().only("CUSTOMERS").each("filter", "\"NAME LIKE 'in%'\"");
    let publisher = Publisher::spawn(&world, &settings, None);
    eventually("the initial rows arrive", LIMIT, || told(&world).len() == 5).await;
    publisher.stop().await;
    let mut initial = told(&world);
    initial.sort();
    assert_eq!(initial, ["r 1 ->in", "r 3 ->in", "r 5 ->in", "r 7 ->in", "r 8 ->in"]);
    for change in [
        "UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'out' WHERE ID = 1",
        "UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'in2' WHERE ID = 2",
        "UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'in3' WHERE ID = 3",
        "UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'out4' WHERE ID = 4",
        "DELETE FROM SHOP.PUBLIC.CUSTOMERS WHERE ID IN (5, 6)",
        // Keys change places: what was under 7 leaves the filter, what comes under it was outside.
        "UPDATE SHOP.PUBLIC.CUSTOMERS SET ID = 70, NAME = 'out7' WHERE ID = 7",
        "UPDATE SHOP.PUBLIC.CUSTOMERS SET ID = 7, NAME = 'in9' WHERE ID = 9",
        "UPDATE SHOP.PUBLIC.CUSTOMERS SET ID = 80 WHERE ID = 8",
        "INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (10, 'in'), (11, 'out'), (12, NULL)",
    ] {
        account.run(change).await;
    }
    let publisher = Publisher::spawn(&world, &settings, None);
    eventually("the changes arrive", LIMIT, || told(&world).len() == 14).await;
    let table = Table { selected: "* FROM {} WHERE NAME LIKE 'in%'", ..ALL[0] };
    world.drained_of(&[table], LIMIT).await;
    publisher.stop().await;
    let told = told(&world);
    // Within a phase rows are in the order of their row ids, which are the simulator's to choose.
    let phase = |range: std::ops::Range<usize>| {
        let mut events = told[range].to_vec();
        events.sort();
        events
    };
    assert_eq!(phase(5..9), ["d 1 in>-", "d 5 in>-", "d 7 in>-", "d 8 in>-"]);
    assert_eq!(phase(9..10), ["u 3 in>in3"]);
    assert_eq!(phase(10..14), ["c 10 ->in", "c 2 ->in2", "c 7 ->in9", "c 80 ->in"]);
    Verifier::read_tables(&world, &[table]).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_masked_is_not_in_the_staging_table_either() {
    let world = World::start().await;
    let insert = "INSERT INTO SHOP.PUBLIC.LINES SELECT 1, 2, 'secret sku', 3, NULL, PARSE_JSON('[\"secret note\"]')";
    world.account().run(insert).await;
    let settings = selecting(&world).only("LINES");
    let mut publisher = Publisher::spawn(&world, &settings, Some("after-staging:1"));
    assert_eq!(publisher.end(LIMIT).await, Exit::Killed);
    let read = Verifier::read_tables(&world, &SELECTED.map(salted)[1..2]).await;
    let [staged] = read.staged() else { panic!("one staging table is there: {:?}", read.staged()) };
    let rows = world.account().run(&format!("SELECT * FROM {STATE}.{staged}")).await;
    let names: Vec<&str> = rows[0].keys().map(String::as_str).collect();
    let own = ["LINE", "METADATA$ACTION", "METADATA$ISUPDATE", "METADATA$ROW_ID", "ORDER_ID", "PLACED", "QTY", "SKU"];
    assert_eq!(names[..8], own);
    assert!(!format!("{rows:?}").contains("secret"), "{rows:?}");
    let hash = world.account().run(&format!("SELECT SHA2('{SALT}secret sku', 256) AS H")).await;
    assert_eq!(rows[0]["SKU"], hash[0]["H"]);
    assert_eq!(rows[0]["PLACED"], Cell::Null, "NULL stays NULL");
    let last = Publisher::spawn(&world, &settings, None);
    world.drained_of(&SELECTED.map(salted)[1..2], LIMIT).await;
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_comes_while_rows_are_staged_is_neither_lost_nor_let_through() {
    let world = World::start().await;
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'a')").await;
    let settings = world.settings().only("CUSTOMERS").each("columns", "{ exclude = [\"PII_*\"] }");
    let faults = world.snowflake.sim.faults();
    let late = faults.add(Rule::on_sql("create transient", Action::Delay { moment: Moment::Before, ms: 1_000 }));
    let publisher = Publisher::spawn(&world, &settings, None);
    eventually("the staging statement is on its way", LIMIT, || faults.counters(late).is_some_and(|c| c.struck > 0))
        .await;
    account.run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS ADD COLUMN PII_MAIL VARCHAR").await;
    account.run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS ADD COLUMN LEVEL INT").await;
    account
        .run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME, PII_MAIL, LEVEL) VALUES (2, 'b', 'b@example.com', 7)")
        .await;
    publisher.says("the columns of SHOP.PUBLIC.CUSTOMERS changed", LIMIT).await;
    let table = Table { selected: "ID, NAME, CREDIT, ACTIVE, SEEN, LEVEL FROM {}", ..ALL[0] };
    world.drained_of(&[table], LIMIT).await;
    publisher.stop().await;
    Verifier::read_tables(&world, &[table]).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mask_whose_column_was_renamed_halts_before_anything_leaks() {
    let world = World::start().await;
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'first')").await;
    let settings = world.settings().only("CUSTOMERS").each("columns", "{ redact = [\"NAME\"] }");
    let publisher = Publisher::spawn(&world, &settings, None);
    eventually("the row arrives", LIMIT, || told(&world) == ["r 1 ->***"]).await;
    publisher.stop().await;
    account.run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS RENAME COLUMN NAME TO FULL_NAME").await;
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET FULL_NAME = 'second'").await;
    let mut publisher = Publisher::spawn(&world, &settings, None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    assert!(
        publisher.log().contains("columns.redact names NAME, which is not one of ID, FULL_NAME"),
        "{}",
        publisher.log()
    );
    let renamed = world.settings().only("CUSTOMERS").each("columns", "{ redact = [\"FULL_NAME\"] }");
    let publisher = Publisher::spawn(&world, &renamed, None);
    eventually("the change arrives", LIMIT, || told(&world).len() == 2).await;
    publisher.stop().await;
    let all = world.kafka.cluster.committed_records("SHOP.PUBLIC.CUSTOMERS").expect("the log is readable");
    assert!(
        all.iter()
            .all(|record| !String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).contains("second"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_filter_needs_another_snapshot() {
    let world = World::start().await;
    world.account().run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'in')").await;
    let settings = world.settings().only("CUSTOMERS");
    let filtered = settings.clone().each("filter", "\"NAME = 'in'\"");
    let publisher = Publisher::spawn(&world, &filtered, None);
    eventually("the row arrives", LIMIT, || told(&world).len() == 1).await;
    publisher.stop().await;
    for other in [settings.clone(), settings.each("filter", "\"NAME = 'out'\"")] {
        let mut publisher = Publisher::spawn(&world, &other, None);
        assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
        let log = publisher.log();
        assert!(log.contains("was made for another `filter`") && log.contains("new snapshot"), "{log}");
    }
    let publisher = Publisher::spawn(&world, &filtered, None);
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET CREDIT = 1").await;
    eventually("the change arrives", LIMIT, || told(&world).len() == 2).await;
    publisher.stop().await;
}

/// A filter that Snowflake refuses halts, and moves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_does_not_compile_halts_the_capture() {
    let world = World::start().await;
    world.account().run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'in')").await;
    let settings = world.settings().only("CUSTOMERS").each("filter", "\"NO_SUCH_COLUMN = 1\"");
    let mut publisher = Publisher::spawn(&world, &settings, None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    let log = publisher.log();
    assert!(log.contains("snowflake refused the staging of changes") && log.contains("NO_SUCH_COLUMN"), "{log}");
    let streams = world.account().run(&format!("SHOW STREAMS IN SCHEMA {STATE}")).await;
    let name = match streams.first().and_then(|row: &BTreeMap<_, _>| row.get("name")) {
        Some(Cell::Text(name)) => name.clone(),
        other => panic!("no stream: {other:?}"),
    };
    let left = world.account().run(&format!("SELECT * FROM {STATE}.{name}")).await;
    assert_eq!(left.len(), 1, "the stream still has the row");
}
