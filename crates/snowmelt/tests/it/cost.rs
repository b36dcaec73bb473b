//! What reading costs: which statements need a warehouse, how tables share its wakes, and what a budget does.
//!
//! Told twice: by the real program in real seconds, and by its code in this process over simulated hours.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::day::{Outcome, Plan, carry, poll_each_minute};
use crate::publisher::Publisher;
use crate::tables;
use crate::verifier::Verifier;
use crate::world::{Settings, World, eventually};

const LIMIT: Duration = Duration::from_secs(60);

/// Stops the publisher, and returns each table's cost as its status has it.
async fn costs(publisher: Publisher) -> BTreeMap<String, Value> {
    let text = publisher.stop_and_tell().await;
    let status: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    status.into_iter().map(|(table, capture)| (table, capture["cost"].clone())).collect()
}

fn sum(costs: &BTreeMap<String, Value>, figure: &str) -> u64 {
    costs.values().map(|cost| cost[figure].as_u64().unwrap_or_else(|| panic!("{figure} of {cost}"))).sum()
}

async fn fill(world: &World) {
    let mut account = world.account();
    account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada')").await;
    account.run("INSERT INTO SHOP.PUBLIC.LINES (ORDER_ID, LINE, SKU) VALUES (1, 1, 'x')").await;
    account.run("INSERT INTO SHOP.PUBLIC.VISITS (PAGE, N) VALUES ('/', 1)").await;
}

/// The publisher on a warehouse of its own, so that the tests' statements are not in its figures.
async fn with_own_warehouse(world: &World) -> Settings {
    let mut account = world.account();
    account.run("CREATE WAREHOUSE OWN WAREHOUSE_SIZE = SMALL AUTO_SUSPEND = 1 INITIALLY_SUSPENDED = TRUE").await;
    account.run("USE WAREHOUSE WH").await;
    world.settings().set("snowflake.warehouse", "\"OWN\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_tables_use_no_warehouse_and_every_statement_is_counted_as_what_it_is() {
    let world = World::start().await;
    fill(&world).await;
    let settings = with_own_warehouse(&world).await;
    let sim = &world.snowflake.sim;
    let own = || sim.warehouse("OWN").expect("the warehouse is there");
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained(LIMIT).await;
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'Bea'").await;
    world.drained(LIMIT).await;
    let carried = own();
    let (before, log) = (sim.stats(), sim.engine().warehouse_log().len());
    let probes = || sim.stats().by_kind.get("select").copied().unwrap_or_default();
    let idle = probes();
    eventually("a hundred probes", LIMIT, || probes() >= idle + 100).await;
    // What the verifier reads, it reads by the tests' own warehouse, and not from here on.
    assert_eq!(own().statements, carried.statements, "{:?}", &sim.engine().warehouse_log()[log..]);
    assert_eq!(own().resumes, carried.resumes);
    assert_eq!(sim.stats().warehouse_statements, before.warehouse_statements);
    let costs = costs(publisher).await;
    assert_eq!(sum(&costs, "warehouse_statements"), own().statements, "the publisher's count and the simulator's");
    // Three batches of initial rows and one of a change, each staged and read.
    assert_eq!(own().statements, 8);
    assert!(sum(&costs, "probes") >= 100 && sum(&costs, "metadata_statements") > sum(&costs, "probes"), "{costs:?}");
    assert_eq!(sum(&costs, "wakes"), own().resumes, "{costs:?}");
    for cost in costs.values() {
        let (seconds, credits) = (cost["estimated_seconds_24h"].as_f64(), cost["estimated_credits_24h"].as_f64());
        let (seconds, credits) = (seconds.expect("seconds"), credits.expect("credits"));
        assert!(seconds > 15.0, "a third of a minute, but for who worked how long in it: {cost}");
        assert!((credits - seconds / 3_600.0 * 2.0).abs() < 1e-9, "a small warehouse costs 2 credits an hour: {cost}");
        assert!(cost["estimated_credits_per_day"].is_null(), "not after seconds: {cost}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_with_changes_share_one_wake_and_a_quiet_one_takes_no_part() {
    let world = World::start().await;
    fill(&world).await;
    let settings = with_own_warehouse(&world).await.set("poll.freshness", "\"6s\"");
    let sim = &world.snowflake.sim;
    let own = || sim.warehouse("OWN").expect("the warehouse is there");
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained(LIMIT).await;
    eventually("the warehouse sleeps", LIMIT, || !own().running).await;
    let before = own();
    let mut account = world.account();
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'Bea'").await;
    account.run("INSERT INTO SHOP.PUBLIC.LINES (ORDER_ID, LINE, SKU) VALUES (1, 2, 'y')").await;
    world.drained(LIMIT).await;
    eventually("the warehouse sleeps again", LIMIT, || !own().running).await;
    let after = own();
    assert_eq!(after.resumes - before.resumes, 1, "two tables, one wake");
    assert_eq!(after.statements - before.statements, 4, "each staged and read");
    let costs = costs(publisher).await;
    assert_eq!(costs["SHOP.PUBLIC.VISITS"]["warehouse_statements"], 2, "its initial rows, and no more: {costs:?}");
    assert_eq!(sum(&costs, "wakes"), after.resumes, "{costs:?}");
    Verifier::read(&world).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_budget_holds_back_is_said_and_an_order_goes_before_it() {
    let world = World::start().await;
    fill(&world).await;
    // The initial rows alone use what half a minute an hour allows.
    let settings = with_own_warehouse(&world).await.set("poll.max_warehouse_seconds_per_hour", "30");
    let sim = &world.snowflake.sim;
    let own = || sim.warehouse("OWN").expect("the warehouse is there");
    let publisher = Publisher::spawn(&world, &settings, None);
    publisher.says("the budget is kept over several hours", LIMIT).await;
    world.drained(LIMIT).await;
    let before = own();
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'Bea'").await;
    publisher.says("changes wait for room in poll.max_warehouse_seconds_per_hour", LIMIT).await;
    assert_eq!((own().statements, own().resumes), (before.statements, before.resumes), "nothing is read");
    let waits = Verifier::read(&world).await.missing();
    assert!(!waits.is_empty(), "the change is not in Kafka");
    let output = crate::snapshots::snapshot(&world, &settings, &["CUSTOMERS", "--wait"]).await;
    assert!(output.status.success(), "{output:?}");
    world.drained(LIMIT).await;
    let costs = costs(publisher).await;
    assert_eq!(costs["SHOP.PUBLIC.CUSTOMERS"]["held_by_budget"], 1, "{costs:?}");
    assert_eq!(costs["SHOP.PUBLIC.LINES"]["held_by_budget"], 0, "{costs:?}");
    Verifier::read(&world).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_and_went_is_consumed_once_and_wakes_nothing_again() {
    let world = World::start().await;
    fill(&world).await;
    let settings = with_own_warehouse(&world).await.only("CUSTOMERS").set("poll.freshness", "\"8s\"");
    let sim = &world.snowflake.sim;
    let own = || sim.warehouse("OWN").expect("the warehouse is there");
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    eventually("the warehouse sleeps", LIMIT, || !own().running).await;
    let before = own();
    let mut account = world.account();
    // Within the time that a change may wait, so that it is not read in between.
    for _ in 0..5 {
        account.run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (9, 'passes')").await;
        account.run("DELETE FROM SHOP.PUBLIC.CUSTOMERS WHERE ID = 9").await;
    }
    eventually("it is read", LIMIT, || own().statements > before.statements).await;
    eventually("the warehouse sleeps again", LIMIT, || !own().running).await;
    let selects = || sim.stats().by_kind.get("select").copied().unwrap_or_default();
    let idle = selects();
    eventually("ten more probes", LIMIT, || selects() >= idle + 10).await;
    assert_eq!(own().resumes - before.resumes, 1);
    assert_eq!(own().statements - before.statements, 2, "staged and read once, and never again");
    let costs = costs(publisher).await;
    assert_eq!(costs["SHOP.PUBLIC.CUSTOMERS"]["empty_batches"], 1, "{costs:?}");
    let left = account.run("SHOW TABLES LIKE 'SNOWMELT%' IN SCHEMA SNOWMELT.STATE").await;
    assert_eq!(left.len(), 1, "the claim, and no staging table: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warehouse_that_does_not_resume_is_waited_for_with_its_remedy() {
    let world = World::start().await;
    fill(&world).await;
    let settings = with_own_warehouse(&world).await.only("CUSTOMERS");
    let mut account = world.account();
    account.run("ALTER WAREHOUSE OWN SET AUTO_RESUME = FALSE").await;
    let publisher = Publisher::spawn(&world, &settings, None);
    publisher.says("000608", LIMIT).await;
    publisher.says("SET AUTO_RESUME = TRUE", LIMIT).await;
    account.run("ALTER WAREHOUSE OWN SET AUTO_RESUME = TRUE").await;
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    let costs = costs(publisher).await;
    let own = world.snowflake.sim.warehouse("OWN").expect("the warehouse is there");
    let counted = (sum(&costs, "wakes"), sum(&costs, "warehouse_statements"));
    assert_eq!(counted, (own.resumes, own.statements), "refused statements are not charged: {costs:?}");
}

fn plan(poll: &str, changes: usize) -> Plan {
    Plan {
        tables: 6,
        hours: 6,
        changes,
        settings: format!("[staleness]\ninterval = \"24h\"\n[poll]\n{poll}"),
        warehouse: "AUTO_SUSPEND = 60".to_owned(),
        table: String::new(),
        seed: crate::world::seed(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_without_a_change_cost_nothing_where_a_poller_never_lets_the_warehouse_sleep() {
    let plan = Plan { hours: 3, ..plan("interval = \"1s\"\nfreshness = \"10m\"", 0) };
    let day = carry(&plan).await;
    assert_eq!((day.billed.statements, day.billed.resumes, day.billed.billed_seconds), (0, 0, 0), "{day:?}");
    // A probe each five minutes for each table; a SHOW or a heartbeat may come between.
    assert!((6 * 34..6 * 42).contains(&day.statements), "{} statements", day.statements);
    let poller = poll_each_minute(&plan).await;
    assert_eq!(poller.statements, 6 * 180, "{poller:?}");
    assert!(poller.billed_seconds >= 3 * 3_600 - 60, "{poller:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_hours_each_change_is_as_fresh_as_asked_and_wakes_are_shared() {
    let freshness = Duration::from_secs(1_200);
    let day = carry(&plan("interval = \"1s\"\nfreshness = \"20m\"", 6)).await;
    assert!(day.ages.len() >= 30, "what has not arrived is of the last minutes: {:?}", day.ages);
    assert!(day.age(1.0) <= freshness, "{:?}", day.ages);
    // After a wake nobody has a change that was there at its time, so the next is due a freshness later at the soonest.
    assert!(day.billed.resumes <= 6 * 3 + 1, "{:?}", day.billed);
    assert!(day.waited[0] > 1 && day.waited[1] == 0, "{:?}", day.waited);
    let probes = day.sum(|capture| figure(capture.cost.probes));
    // A probe a second would be 172,800 with the two hours before; half the freshness is ten minutes.
    assert!(probes < 3_000.0, "{probes} probes");
    close(&day, 61.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_hours_the_budget_is_kept_and_what_waits_for_it_arrives() {
    let day = carry(&plan("interval = \"1m\"\nmax_warehouse_seconds_per_hour = 130", 6)).await;
    assert!(day.billed.billed_seconds <= 6 * 130, "{:?}", day.billed);
    assert!(day.ages.len() >= 28, "what has not arrived is of the last hour: {:?}", day.ages);
    assert!(day.waited[1] > 0, "{:?}", day.waited);
    assert!(day.sum(|capture| figure(capture.cost.held_by_budget)) > 0.0);
    close(&day, 61.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_about_to_go_stale_is_read_whatever_the_budget_says() {
    // One wake is the budget of 61 hours, and the streams live for 24 when they are not read.
    let plan = Plan {
        tables: 2,
        hours: 20,
        settings: "[staleness]\ninterval = \"30m\"\n[poll]\ninterval = \"5m\"\nmax_warehouse_seconds_per_hour = 1"
            .to_owned(),
        table: "DATA_RETENTION_TIME_IN_DAYS = 1 MAX_DATA_EXTENSION_TIME_IN_DAYS = 1".to_owned(),
        ..plan("", 1)
    };
    let day = carry(&plan).await;
    let hours = Duration::from_secs(3_600);
    assert!(day.age(1.0) > hours * 16, "it waits for the budget: {:?}", day.ages);
    assert!(day.age(1.0) < hours * 19, "and not until it is lost: {:?}", day.ages);
    assert!(day.billed.resumes >= 1 && day.billed.resumes <= 3, "{:?}", day.billed);
}

fn figure(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// Demands that the publisher's estimates add up to what the simulator bills, but for so many seconds before the day.
fn close(day: &Outcome, before: f64) {
    let estimated = day.sum(|capture| capture.cost.estimated_seconds_24h);
    let billed = figure(day.billed.billed_seconds) + before;
    assert!((estimated - billed).abs() <= 0.05 * billed + 2.0, "estimated {estimated}, billed {billed}: {day:?}");
}
