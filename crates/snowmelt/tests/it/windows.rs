//! Tables read by closed windows of their history, with SELECT alone: every kind of event, restarts inside a window,
//! snapshots, lost history, two publishers, and what a late commit comes to.

use std::time::Duration;

use snowsim::Options;
use snowsim::fault::{Action, Moment, Rule};

use crate::publisher::{Exit, Publisher};
use crate::snapshots::snapshot;
use crate::tables::{self, STATE, Table};
use crate::verifier::Verifier;
use crate::workload::Workload;
use crate::world::{PASSWORD, Settings, World, eventually, seed};

const LIMIT: Duration = Duration::from_secs(60);

/// The workload's tables. Without a stream, initial rows have no row id, so each has a key.
pub(crate) const KEYED: [Table; 3] =
    [tables::ALL[0], tables::ALL[1], Table { key: &["N"], configured_key: &["N"], ..tables::ALL[2] }];

/// Reading by windows, with a role that may only select.
pub(crate) fn windows(world: &World) -> Settings {
    world
        .settings()
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

async fn fill(world: &World) {
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
async fn idle(world: &World) {
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

/// `on_stale` for CUSTOMERS alone.
fn alone(world: &World, policy: &str) -> Settings {
    windows(world).only("CUSTOMERS").each("on_stale", &format!("\"{policy}\""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_beyond_retention_halt_the_table_until_a_snapshot_is_ordered() {
    let world = selecting().await;
    fill(&world).await;
    let publisher = Publisher::spawn(&world, &windows(&world), None);
    world.drained_of(&KEYED, LIMIT).await;
    publisher.stop().await;
    world.account().run("DELETE FROM SHOP.PUBLIC.CUSTOMERS WHERE ID = 2").await;
    world.snowflake.sim.clock().advance(Duration::from_secs(25 * 3600));
    // The other tables lost nothing, but nobody can know that either.
    let mut publisher = Publisher::spawn(&world, &windows(&world), None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    publisher.says("cannot be read any more", LIMIT).await;
    publisher.says("Time travel data is not available", LIMIT).await;
    publisher.says("snowmelt snapshot SHOP.PUBLIC.CUSTOMERS", LIMIT).await;
    for name in ["CUSTOMERS", "LINES", "VISITS"] {
        assert!(snapshot(&world, &windows(&world), &[name]).await.status.success());
    }
    let publisher = Publisher::spawn(&world, &windows(&world), None);
    world.drained_of(&KEYED[1..], LIMIT).await;
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'again'").await;
    world.drained_of(&KEYED[1..], LIMIT).await;
    publisher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resnapshot_answers_lost_history_and_a_replaced_table_by_itself() {
    let world = selecting().await;
    fill(&world).await;
    let settings = alone(&world, "resnapshot");
    let customers = &KEYED[..1];
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(customers, LIMIT).await;
    publisher.stop().await;
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'late'").await;
    world.snowflake.sim.clock().advance(Duration::from_secs(25 * 3600));
    let publisher = Publisher::spawn(&world, &settings, None);
    publisher.says("taking a new snapshot, as on_stale says", LIMIT).await;
    world.drained_of(customers, LIMIT).await;
    // Another table takes the name while windows are read.
    let mut account = world.account();
    let ddl = customers[0].ddl;
    account.run(&format!("CREATE TABLE SHOP.PUBLIC.OTHERS ({ddl}) CHANGE_TRACKING = TRUE")).await;
    account.run("GRANT SELECT ON TABLE SHOP.PUBLIC.OTHERS TO ROLE READER").await;
    account.run("INSERT INTO SHOP.PUBLIC.OTHERS (ID, NAME) VALUES (1, 'Ada'), (2, 'late'), (3, 'new'), (4, 'Di')").await;
    account.run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS SWAP WITH SHOP.PUBLIC.OTHERS").await;
    publisher.says("it was replaced or swapped", LIMIT).await;
    world.drained_of(customers, LIMIT).await;
    publisher.stop().await;
    let report = Verifier::read_tables(&world, customers).await.approve();
    assert_eq!(report.generations, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracking_that_is_off_is_refused_in_words() {
    let world = selecting().await;
    fill(&world).await;
    world.account().run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS SET CHANGE_TRACKING = FALSE").await;
    let words = "ALTER TABLE SHOP.PUBLIC.CUSTOMERS SET CHANGE_TRACKING = TRUE";
    let mut publisher = Publisher::spawn(&world, &alone(&world, "halt"), None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    assert!(publisher.log().contains(words) && publisher.log().contains("its owner (ACCOUNTADMIN)"), "{}", publisher.log());
    world.account().run(words).await;
    let publisher = Publisher::spawn(&world, &alone(&world, "halt"), None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    // Switched off and on: what happened in between is lost.
    publisher.stop().await;
    let mut account = world.account();
    account.run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS SET CHANGE_TRACKING = FALSE").await;
    account.run("DELETE FROM SHOP.PUBLIC.CUSTOMERS WHERE ID = 1").await;
    account.run(words).await;
    let mut publisher = Publisher::spawn(&world, &alone(&world, "halt"), None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    publisher.says("Change tracking is not enabled or has been missing", LIMIT).await;
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
async fn a_commit_that_shows_later_than_the_lag_halts_the_table() {
    let world = selecting().await;
    fill(&world).await;
    let settings = alone(&world, "halt").set("changes.lag", "\"1s\"");
    let mut publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    let mut account = world.account();
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'one' WHERE ID = 1").await;
    world.drained_of(&KEYED[..1], LIMIT).await;
    idle(&world).await;
    // Dated right after the update before, which lies in a window that has been read.
    let engine = world.snowflake.sim.engine();
    engine.commit_late(Duration::from_secs(3600));
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'unseen' WHERE ID = 2").await;
    engine.commit_late(Duration::ZERO);
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'seen' WHERE ID = 3").await;
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3), "{}", publisher.log());
    publisher.says("became visible more than changes.lag after its time", LIMIT).await;
    publisher.says("snowmelt snapshot SHOP.PUBLIC.CUSTOMERS", LIMIT).await;
    assert!(snapshot(&world, &settings, &["CUSTOMERS"]).await.status.success());
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    publisher.stop().await;
}
