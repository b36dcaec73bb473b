//! Tables read by closed windows of their history, with SELECT alone: every kind of event, restarts inside a window,
//! snapshots, two publishers, views, masks. `windows_lost` has what cannot be read.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use snowsim::Options;
use snowsim::fault::{Action, Moment, Rule};

use crate::publisher::{Exit, Publisher};
use crate::selection;
use crate::snapshots::snapshot;
use crate::tables::{self, STATE, Table};
use crate::verifier::Verifier;
use crate::workload::Workload;
use crate::world::{CHECKPOINTS, PASSWORD, PIPELINE, Settings, World, eventually, seed};

const LIMIT: Duration = Duration::from_secs(60);

/// The workload's tables. Without a stream, initial rows have no row id, so each has a key.
pub(crate) const KEYED: [Table; 3] =
    [tables::ALL[0], tables::ALL[1], Table { key: &["N"], configured_key: &["N"], ..tables::ALL[2] }];

/// Reading by windows, with a role that may only select.
pub(crate) fn windows(world: &World) -> Settings {
    by_windows(world.settings())
}

fn by_windows(settings: Settings) -> Settings {
    settings
        .without("snowflake.state_schema")
        .set("poll.interval", "\"50ms\"")
        .set("snowflake.role", "\"READER\"")
        .set("changes.lag", "\"200ms\"")
        .each("read", "\"changes\"")
        .of_table("VISITS", "key", "[\"N\"]")
}

/// A world in which the publisher has SELECT and nothing else.
pub(crate) async fn selecting() -> World {
    let world = World::start().await;
    granting(&world).await;
    world
}

pub(crate) async fn granting(world: &World) {
    let mut account = world.account();
    let mut statements = vec![
        "CREATE ROLE READER".to_owned(),
        format!("CREATE USER PUBLISHER PASSWORD = '{PASSWORD}' DEFAULT_ROLE = READER"),
        "GRANT ROLE READER TO USER PUBLISHER".to_owned(),
        "GRANT USAGE ON WAREHOUSE WH TO ROLE READER".to_owned(),
        "GRANT USAGE ON DATABASE SHOP TO ROLE READER".to_owned(),
        "GRANT USAGE ON SCHEMA SHOP.PUBLIC TO ROLE READER".to_owned(),
    ];
    for table in tables::ALL {
        statements.push(format!("ALTER TABLE {} SET CHANGE_TRACKING = TRUE", table.topic()));
        statements.push(format!("GRANT SELECT ON TABLE {} TO ROLE READER", table.topic()));
    }
    for sql in statements {
        account.run(&sql).await;
    }
}

pub(crate) async fn fill(world: &World) {
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cy')").await;
    account.run("INSERT INTO SHOP.PUBLIC.LINES (ORDER_ID, LINE, SKU) VALUES (1, 1, 'x')").await;
    account.run("INSERT INTO SHOP.PUBLIC.VISITS (PAGE, N) VALUES ('/', 1)").await;
}

/// Waits until a table was probed that many times.
async fn probes(world: &World, count: u64) {
    let faults = world.snowflake.sim.faults();
    let rule = Rule::on_sql("system$last_change_commit_time", Action::Delay { moment: Moment::After, ms: 0 });
    let probe = faults.add(Rule { times: None, ..rule });
    let probed = || faults.counters(probe).is_some_and(|counters| counters.struck >= count);
    eventually("the table is probed", LIMIT, probed).await;
    faults.remove(probe);
}

/// Waits until the only captured table is probed and not read.
pub(crate) async fn idle(world: &World) {
    let engine = world.snowflake.sim.engine();
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let used = engine.warehouse_statements();
        probes(world, 12).await;
        if engine.warehouse_statements() == used {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "never idle:\n{:#?}", engine.warehouse_log());
    }
}

/// What only the reading of a window contains.
const READ: &str = "ORDER BY \"SNOWMELT$ROW\"";

/// How often the warehouse ran a statement that contains `words`.
fn asked(world: &World, words: &str) -> usize {
    world.snowflake.sim.engine().warehouse_log().iter().filter(|sql| sql.contains(words)).count()
}

/// `on_stale` for CUSTOMERS alone.
pub(crate) fn alone(world: &World, policy: &str) -> Settings {
    windows(world).only("CUSTOMERS").each("on_stale", &format!("\"{policy}\""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_event_arrives_and_nothing_is_made() {
    let world = selecting().await;
    let mut workload = Workload::new(&world, seed());
    workload.fill(80).await;
    let publisher = Publisher::spawn(&world, &windows(&world), None);
    world.drained_of(&KEYED, LIMIT).await;
    let working = workload.start();
    eventually("the tables change", LIMIT, || working.transactions() >= 60).await;
    drop(working.stop().await);
    world.drained_of(&KEYED, LIMIT).await;
    publisher.stop().await;
    let report = Verifier::read_tables(&world, &KEYED).await.approve();
    eprintln!("{report:?}");
    assert!(['c', 'u', 'd', 'r'].iter().all(|op| report.by_op.contains_key(op)), "{:?}", report.by_op);
    let mut account = world.account();
    for kind in ["STREAMS", "TABLES"] {
        let made = account.run(&format!("SHOW {kind} IN SCHEMA {STATE}")).await;
        assert!(made.is_empty(), "{made:?}");
    }
    assert!(account.run("SHOW STREAMS IN SCHEMA SHOP.PUBLIC").await.is_empty());
    assert_eq!(account.run("SHOW TABLES IN SCHEMA SHOP.PUBLIC").await.len(), tables::ALL.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_goes_on_behind_the_last_row_in_kafka() {
    let world = selecting().await;
    let mut workload = Workload::new(&world, seed());
    workload.fill(80).await;
    let settings = windows(&world).set("delivery.slice_rows", "7");
    // In the snapshot, and in a window.
    for (place, more) in [("after-commit:9", false), ("mid-slice:14", false), ("after-commit:11", true)] {
        let mut publisher = Publisher::spawn(&world, &settings, Some(place));
        if more {
            let working = workload.start();
            eventually("the tables change", LIMIT, || working.transactions() >= 25).await;
            workload = working.stop().await;
        }
        assert_eq!(publisher.end(LIMIT).await, Exit::Killed, "{place}");
        let wrong = Verifier::read_tables(&world, &KEYED).await.wrong();
        assert!(wrong.is_empty(), "{place}: {wrong:#?}");
    }
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&KEYED, LIMIT).await;
    publisher.stop().await;
    let report = Verifier::read_tables(&world, &KEYED).await.approve();
    assert!(report.events > 300, "{report:?}");
    let resumed = |sql: &String| sql.contains("\"SNOWMELT$ROW\" >= ") && !sql.contains("\"SNOWMELT$ROW\" >= 1 ");
    let log = world.snowflake.sim.engine().warehouse_log();
    assert!(log.iter().any(resumed), "no window was gone on with");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_table_is_not_read_and_its_window_moves_within_time_travel() {
    let long = Duration::from_secs(100 * 24 * 3600);
    let world = World::with(2, Options { session_lifetime: long, master_lifetime: long, ..Options::default() }).await;
    granting(&world).await;
    fill(&world).await;
    let settings = windows(&world).only("CUSTOMERS").set("staleness.interval", "\"50ms\"");
    let publisher = Publisher::spawn(&world, &settings, None);
    let customers = &KEYED[..1];
    world.drained_of(customers, LIMIT).await;
    idle(&world).await;
    let engine = world.snowflake.sim.engine();
    let used = engine.warehouse_statements();
    probes(&world, 20).await;
    assert_eq!(engine.warehouse_statements(), used, "an idle table used the warehouse:\n{:#?}", engine.warehouse_log());
    // Three days, while Time Travel is one.
    let before = asked(&world, READ);
    for _ in 0..24 {
        world.snowflake.sim.clock().advance(Duration::from_secs(3 * 3600));
        idle(&world).await;
    }
    let windows = asked(&world, READ) - before;
    assert!((10..=12).contains(&windows), "{windows} windows in three days");
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'after three days'").await;
    world.drained_of(customers, LIMIT).await;
    publisher.stop().await;
    Verifier::read_tables(&world, customers).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_publishers_at_once_do_no_harm() {
    let world = selecting().await;
    let mut workload = Workload::new(&world, seed());
    workload.fill(80).await;
    let mut older = Publisher::spawn(&world, &windows(&world), None);
    older.says("claimed the transactional id", LIMIT).await;
    let working = workload.start();
    let newer = Publisher::spawn(&world, &windows(&world), None);
    assert_eq!(older.end(LIMIT).await, Exit::Code(5), "the older publisher must give way");
    drop(working.stop().await);
    world.drained_of(&KEYED, LIMIT).await;
    newer.stop().await;
    Verifier::read_tables(&world, &KEYED).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordered_snapshot_follows_the_last_window_without_a_gap() {
    let world = selecting().await;
    let mut workload = Workload::new(&world, seed());
    workload.fill(60).await;
    let settings = windows(&world);
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&KEYED, LIMIT).await;
    let working = workload.start();
    for name in ["CUSTOMERS", "LINES"] {
        let output = snapshot(&world, &settings, &[name, "--wait"]).await;
        assert!(output.status.success(), "{output:?}");
    }
    drop(working.stop().await);
    world.drained_of(&KEYED, LIMIT).await;
    publisher.stop().await;
    assert_eq!(Verifier::read_tables(&world, &KEYED).await.approve().generations, 2 + 2 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_is_halved_until_it_counts_few_enough_rows() {
    let world = selecting().await;
    fill(&world).await;
    let settings = alone(&world, "halt").each("max_rows_per_batch", "30");
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    publisher.stop().await;
    let mut account = world.account();
    for batch in 0..12 {
        let rows: Vec<String> = (0..10).map(|row| format!("({}, 'x')", 100 + batch * 10 + row)).collect();
        account.run(&format!("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES {}", rows.join(", "))).await;
        world.snowflake.sim.clock().advance(Duration::from_secs(60));
    }
    let one = (0..45).map(|id| format!("({}, 'one')", 1000 + id)).collect::<Vec<_>>().join(", ");
    account.run(&format!("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES {one}")).await;
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    publisher.stop().await;
    Verifier::read_tables(&world, &KEYED[..1]).await.approve();
    let sizes = batch_sizes(&world);
    assert_eq!(
        sizes.iter().filter(|size| **size > 30).collect::<Vec<_>>(),
        [&45],
        "one transaction is not cut: {sizes:?}"
    );
    assert!(sizes.iter().filter(|size| **size > 0).count() >= 6, "{sizes:?}");
}

/// Rows of each batch of CUSTOMERS, from its checkpoints.
fn batch_sizes(world: &World) -> Vec<u64> {
    let capture = format!("{PIPELINE}/SHOP.PUBLIC.CUSTOMERS");
    let records = world.kafka.cluster.committed_records(CHECKPOINTS).expect("the log is readable");
    let own = records.iter().filter(|record| record.key.as_deref() == Some(capture.as_bytes()));
    let mut sizes = BTreeMap::new();
    for record in own {
        let value: Value = serde_json::from_slice(record.value.as_ref().expect("a checkpoint")).expect("JSON");
        sizes.insert((value["generation"].as_u64(), value["batch"].as_u64()), value["rows"].as_u64().unwrap_or(0));
    }
    sizes.into_values().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn selected_rows_and_masks_are_the_same_by_windows() {
    let world = selecting().await;
    let mut workload = Workload::new(&world, seed());
    workload.fill(60).await;
    let settings = by_windows(selection::selecting(&world));
    let tables = selection::SELECTED.map(selection::salted);
    let tables = [tables[0], tables[1], Table { key: &["N"], ..tables[2] }];
    let publisher = Publisher::spawn(&world, &settings, None);
    let working = workload.start();
    eventually("the tables change", LIMIT, || working.transactions() >= 30).await;
    publisher.kill().await;
    let publisher = Publisher::spawn(&world, &settings, None);
    drop(working.stop().await);
    world.drained_of(&tables, LIMIT).await;
    publisher.stop().await;
    let report = Verifier::read_tables(&world, &tables).await.approve();
    assert!(report.events > 100, "{report:?}");
    let mut publisher = Publisher::spawn(&world, &settings.only("LINES").each("filter", "\"LINE < 7\""), None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    publisher.says("was made for another `filter`", LIMIT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_comes_inside_a_window_is_announced_and_nothing_is_lost() {
    let world = selecting().await;
    let mut account = world.account();
    let rows: Vec<String> = (0..60).map(|id| format!("({id}, 'x')")).collect();
    account.run(&format!("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES {}", rows.join(", "))).await;
    let settings = alone(&world, "halt").set("delivery.slice_rows", "7");
    let mut publisher = Publisher::spawn(&world, &settings, Some("after-commit:4"));
    assert_eq!(publisher.end(LIMIT).await, Exit::Killed);
    account.run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS ADD COLUMN LEVEL INT").await;
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET LEVEL = 3").await;
    let publisher = Publisher::spawn(&world, &settings, None);
    publisher.says("column LEVEL NUMBER(38,0) was added", LIMIT).await;
    world.drained_of(&KEYED[..1], LIMIT).await;
    publisher.stop().await;
    let records = world.kafka.cluster.committed_records("SHOP.PUBLIC.CUSTOMERS").expect("the log is readable");
    assert_eq!(records.len(), 60 + 60, "each row is read once and updated once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_and_appended_rows_are_read_by_windows_too() {
    let world = selecting().await;
    let mut account = world.account();
    let view = Table {
        name: "GOOD",
        ddl: "",
        configured_key: &["ID"],
        key: &["ID"],
        address: &["ID"],
        selected: tables::ALL_ROWS,
    };
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME, CREDIT) VALUES (1, 'Ada', 5), (2, 'Bob', -1)").await;
    account.run("CREATE VIEW SHOP.PUBLIC.GOOD AS SELECT ID, NAME FROM SHOP.PUBLIC.CUSTOMERS WHERE CREDIT > 0").await;
    account.run("ALTER VIEW SHOP.PUBLIC.GOOD SET CHANGE_TRACKING = TRUE").await;
    account.run("GRANT SELECT ON VIEW SHOP.PUBLIC.GOOD TO ROLE READER").await;
    let list = "[{ name = \"SHOP.PUBLIC.GOOD\", read = \"changes\", key = [\"ID\"] }, \
                { name = \"SHOP.PUBLIC.VISITS\", read = \"changes\", mode = \"append_only\", snapshot = \"never\" }]";
    let settings = windows(&world).set("tables", list);
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&[view], LIMIT).await;
    let begun = || batches(&world, "SHOP.PUBLIC.VISITS") > 0;
    eventually("the append-only table has begun", LIMIT, begun).await;
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET CREDIT = -CREDIT").await;
    account.run("INSERT INTO SHOP.PUBLIC.VISITS (PAGE, N) VALUES ('/', 1), ('/a', 2)").await;
    account.run("UPDATE SHOP.PUBLIC.VISITS SET N = 3 WHERE N = 2").await;
    account.run("DELETE FROM SHOP.PUBLIC.VISITS WHERE N = 1").await;
    world.drained_of(&[view], LIMIT).await;
    let appended = || {
        let records = world.kafka.cluster.committed_records("SHOP.PUBLIC.VISITS").expect("the log is readable");
        let mut told: Vec<String> = records
            .iter()
            .map(|record| {
                let value: Value = serde_json::from_slice(record.value.as_ref().expect("an event")).expect("JSON");
                format!("{} {}", value["op"].as_str().unwrap_or("-"), value["after"]["PAGE"].as_str().unwrap_or("-"))
            })
            .collect();
        told.sort();
        told
    };
    eventually("the inserted rows arrive", LIMIT, || appended().len() >= 2).await;
    publisher.stop().await;
    assert_eq!(appended(), ["c /", "c /a"]);
    Verifier::read_tables(&world, &[view]).await.approve();
}

/// The number of a capture's last batch.
fn batches(world: &World, table: &str) -> u64 {
    let capture = format!("{PIPELINE}/{table}");
    let records = world.kafka.cluster.committed_records(CHECKPOINTS).unwrap_or_default();
    let last = records.iter().rfind(|record| record.key.as_deref() == Some(capture.as_bytes()));
    let value = last.and_then(|record| serde_json::from_slice::<Value>(record.value.as_ref()?).ok());
    value.and_then(|value| value["batch"].as_u64()).unwrap_or_default()
}
