//! Tables found by patterns, through the real binary: those there are and those that come, while others flow; what is
//! excluded, named, our own, or found twice; a table that goes; and the same capture, named or found.

use std::time::Duration;

use serde_json::Value;
use snowsim::fault::{Action, Rule};

use crate::account::Account;
use crate::check::check_with;
use crate::objects::{all, arrives, arrives_on};
use crate::publisher::{Exit, Publisher};
use crate::world::{Settings, World};

const LIMIT: Duration = Duration::from_secs(60);

async fn world(statements: &[&str]) -> (World, Account) {
    let world = World::start().await;
    let mut account = world.account();
    account.run("USE SCHEMA SHOP.PUBLIC").await;
    all(&mut account, statements).await;
    (world, account)
}

/// Captures these entries of `[[tables]]` only, and looks often.
fn settings(world: &World, tables: &str) -> Settings {
    world
        .settings()
        .set("tables", &format!("[{tables}]"))
        .set("discovery.interval", "\"50ms\"")
        .set("retry.halted", "\"200ms\"")
}

/// Stops the publisher, and reads the status it printed.
async fn status(publisher: Publisher, code: i32) -> Value {
    let mut publisher = publisher;
    publisher.terminate().await;
    let ended = publisher.end(LIMIT).await;
    let log = publisher.log();
    assert_eq!(ended, Exit::Code(code), "{log}");
    let line = log.lines().rfind(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no status: {log}"));
    serde_json::from_str(line).expect("the status is JSON")
}

/// Demands that nobody made these topics.
fn no_topics(world: &World, names: &[&str]) {
    for name in names {
        assert!(world.kafka.cluster.topic_id(name).is_none(), "{name} was made");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_come_are_captured_while_others_flow() {
    let (world, mut account) = world(&[
        "CREATE TABLE ORDERS_EU (ID INT PRIMARY KEY)",
        "CREATE TABLE ORDERS_TMP (ID INT PRIMARY KEY)",
        "CREATE TABLE \"orders_lower\" (ID INT PRIMARY KEY)",
        "CREATE VIEW ORDERS_VIEW AS SELECT * FROM ORDERS_EU",
        "INSERT INTO ORDERS_EU VALUES (1)",
    ])
    .await;
    let tables = r#"{ match = "shop.*.orders_*", exclude = ["*_tmp"] },
        { match = 'SHOP.PUBLIC."Mixed "*', topic = "mixed" }, { name = "SHOP.PUBLIC.CUSTOMERS" }"#;
    let publisher = Publisher::spawn(&world, &settings(&world, tables), None);
    arrives(&world, "ORDERS_EU", "ID", &["r 1"]).await;
    all(
        &mut account,
        &[
            "CREATE TABLE ORDERS_US (ID INT PRIMARY KEY)",
            "INSERT INTO ORDERS_US VALUES (2)",
            "INSERT INTO ORDERS_EU VALUES (3)",
            "CREATE SCHEMA SHOP.LATER",
            "CREATE TABLE SHOP.LATER.ORDERS_X (ID INT PRIMARY KEY)",
            "INSERT INTO SHOP.LATER.ORDERS_X VALUES (4)",
            "CREATE TABLE SHOP.PUBLIC.\"Mixed \"\"case\"\"\" (ID INT PRIMARY KEY)",
            "INSERT INTO SHOP.PUBLIC.\"Mixed \"\"case\"\"\" VALUES (5)",
            "CREATE TABLE SHOP.PUBLIC.MIXED (ID INT PRIMARY KEY)",
            "CREATE TABLE SHOP.PUBLIC.ORDERS_LATER_TMP (ID INT PRIMARY KEY)",
        ],
    )
    .await;
    arrives(&world, "ORDERS_US", "ID", &["r 2"]).await;
    arrives(&world, "ORDERS_EU", "ID", &["c 3", "r 1"]).await;
    arrives_on(&world, "SHOP.LATER.ORDERS_X", "ID", &["r 4"]).await;
    arrives_on(&world, "mixed", "ID", &["r 5"]).await;
    account.run("INSERT INTO SHOP.PUBLIC.ORDERS_US VALUES (6)").await;
    arrives(&world, "ORDERS_US", "ID", &["c 6", "r 2"]).await;
    let status = status(publisher, 0).await;
    let names: Vec<&String> = status.as_object().expect("tables").keys().collect();
    let expected = [
        "SHOP.LATER.ORDERS_X",
        "SHOP.PUBLIC.\"Mixed \"\"case\"\"\"",
        "SHOP.PUBLIC.CUSTOMERS",
        "SHOP.PUBLIC.ORDERS_EU",
        "SHOP.PUBLIC.ORDERS_US",
    ];
    assert_eq!(names, expected);
    assert_eq!(status["SHOP.PUBLIC.ORDERS_US"]["pattern"], "SHOP.*.ORDERS_*");
    assert_eq!(status["SHOP.PUBLIC.\"Mixed \"\"case\"\"\""]["pattern"], "SHOP.PUBLIC.\"Mixed \"*");
    assert!(status["SHOP.PUBLIC.CUSTOMERS"].get("pattern").is_none(), "{status}");
    no_topics(
        &world,
        &["SHOP.PUBLIC.ORDERS_TMP", "SHOP.PUBLIC.ORDERS_VIEW", "SHOP.PUBLIC.orders_lower", "SHOP.PUBLIC.MIXED"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_goes_on_whether_it_is_named_or_found() {
    let (world, mut account) =
        world(&["CREATE TABLE ORDERS_EU (ID INT PRIMARY KEY)", "INSERT INTO ORDERS_EU VALUES (1)"]).await;
    let named = r#"{ name = "SHOP.PUBLIC.ORDERS_EU" }"#;
    let found = r#"{ match = "SHOP.PUBLIC.ORDERS_*" }"#;
    let mut expected = vec!["r 1".to_owned()];
    for (id, tables) in [(2, named), (3, found), (4, named), (5, found)] {
        let publisher = Publisher::spawn(&world, &settings(&world, tables), None);
        account.run(&format!("INSERT INTO ORDERS_EU VALUES ({id})")).await;
        let op = if id == 2 { ["r", "c"] } else { ["c", "c"] };
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            let shown = crate::objects::shown(&world, "ORDERS_EU", "ID");
            if let Some(way) = op.iter().map(|op| format!("{op} {id}")).find(|event| shown.contains(event)) {
                expected.push(way);
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{shown:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        publisher.stop().await;
    }
    expected.sort();
    assert_eq!(crate::objects::shown(&world, "ORDERS_EU", "ID"), expected, "no second snapshot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_patterns_find_waits_until_one_does() {
    let (world, mut account) = world(&[
        "CREATE TABLE A_X (ID INT PRIMARY KEY)",
        "CREATE TABLE OK (ID INT PRIMARY KEY)",
        "INSERT INTO OK VALUES (1)",
    ])
    .await;
    let both = r#"{ match = "SHOP.PUBLIC.A_*" }, { match = "SHOP.PUBLIC.*_X" }, { match = "SHOP.PUBLIC.OK*" }"#;
    let settings_of_both = settings(&world, both);
    let checked = check_with(&world, &settings_of_both, &["--metadata-only"], &[]).await;
    let words = ["SHOP.PUBLIC.A_* and SHOP.PUBLIC.*_X find it", "exclude it from all but one of them"];
    checked.says("problem", "table SHOP.PUBLIC.A_X", &words);
    checked.says("ok", "pattern SHOP.PUBLIC.OK*", &["it finds 1: SHOP.PUBLIC.OK"]);
    checked.says("warning", "pattern SHOP.PUBLIC.A_*", &["it finds no table now"]);
    checked.says("ok", "topic SHOP.PUBLIC.OK", &["the publisher will create it"]);
    checked.says("ok", "key of SHOP.PUBLIC.OK", &["ID"]);
    let publisher = Publisher::spawn(&world, &settings_of_both, None);
    arrives(&world, "OK", "ID", &["r 1"]).await;
    publisher.says("SHOP.PUBLIC.A_* and SHOP.PUBLIC.*_X find it", LIMIT).await;
    let status = status(publisher, 2).await;
    assert_eq!(status["SHOP.PUBLIC.A_X"]["state"], "halted");
    assert!(status["SHOP.PUBLIC.A_X"]["reason"].as_str().is_some_and(|reason| reason.contains("give it a section")));
    // A section of its own decides it, and so does the end of the reason while the publisher runs.
    let own = format!(r#"{both}, {{ name = "SHOP.PUBLIC.A_X" }}"#);
    account.run("CREATE TABLE A_Y_X (ID INT PRIMARY KEY)").await;
    account.run("INSERT INTO A_X VALUES (2)").await;
    let publisher = Publisher::spawn(&world, &settings(&world, &own), None);
    arrives(&world, "A_X", "ID", &["r 2"]).await;
    publisher.says("SHOP.PUBLIC.A_Y_X: SHOP.PUBLIC.A_* and", LIMIT).await;
    account.run("ALTER TABLE A_Y_X RENAME TO A_Y").await;
    account.run("INSERT INTO A_Y VALUES (3)").await;
    arrives(&world, "A_Y", "ID", &["r 3"]).await;
    publisher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_goes_waits_for_a_person_and_the_others_go_on() {
    let (world, mut account) = world(&[
        "CREATE TABLE ORDERS_EU (ID INT PRIMARY KEY)",
        "CREATE TABLE ORDERS_US (ID INT PRIMARY KEY)",
        "INSERT INTO ORDERS_EU VALUES (1)",
        "INSERT INTO ORDERS_US VALUES (1)",
    ])
    .await;
    let tables = r#"{ match = "SHOP.PUBLIC.ORDERS_*" }"#;
    let publisher = Publisher::spawn(&world, &settings(&world, tables), None);
    arrives(&world, "ORDERS_EU", "ID", &["r 1"]).await;
    arrives(&world, "ORDERS_US", "ID", &["r 1"]).await;
    account.run("DROP TABLE ORDERS_EU").await;
    publisher.says("the capture is halted", LIMIT).await;
    account.run("INSERT INTO ORDERS_US VALUES (2)").await;
    arrives(&world, "ORDERS_US", "ID", &["c 2", "r 1"]).await;
    let first = status(publisher, 3).await;
    assert_eq!(first["SHOP.PUBLIC.ORDERS_EU"]["state"], "halted");
    assert!(
        first["SHOP.PUBLIC.ORDERS_EU"]["reason"].as_str().is_some_and(|reason| reason.contains("is stale")),
        "{first}"
    );
    // The next publisher does not find it any more.
    let publisher = Publisher::spawn(&world, &settings(&world, tables), None);
    account.run("INSERT INTO ORDERS_US VALUES (3)").await;
    arrives(&world, "ORDERS_US", "ID", &["c 2", "c 3", "r 1"]).await;
    let second = status(publisher, 0).await;
    assert!(second.get("SHOP.PUBLIC.ORDERS_EU").is_none(), "{second}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_without_a_table_yet_waits_for_one_through_trouble() {
    let (world, mut account) = world(&[]).await;
    // Its own objects fit the pattern too, and are not found.
    let settings = settings(&world, r#"{ match = "S*.*.*", exclude = ["CUSTOMERS", "LINES", "VISITS"] }"#);
    let publisher = Publisher::spawn(&world, &settings, None);
    world.snowflake.sim.faults().add(Rule::on_sql("show terse", Action::SessionGone));
    publisher.says("tables cannot be looked for; trying again", LIMIT).await;
    account.run("CREATE TABLE FIRST (ID INT PRIMARY KEY)").await;
    account.run("INSERT INTO FIRST VALUES (1)").await;
    arrives(&world, "FIRST", "ID", &["r 1"]).await;
    account.run("INSERT INTO FIRST VALUES (2)").await;
    arrives(&world, "FIRST", "ID", &["c 2", "r 1"]).await;
    let status = status(publisher, 0).await;
    assert_eq!(status.as_object().map(serde_json::Map::len), Some(1), "{status}");
    let looks = world.snowflake.sim.engine().warehouse_log();
    assert!(looks.iter().all(|sql| !sql.to_lowercase().starts_with("show")), "{looks:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_that_cannot_be_listed_end_a_publisher_that_has_nothing_else() {
    let (world, mut account) = world(&[]).await;
    let settings = settings(&world, r#"{ match = "SHOP.NOWHERE.*" }"#);
    let checked = check_with(&world, &settings, &["--metadata-only"], &[]).await;
    let grant = "create it, or GRANT USAGE ON SCHEMA \"SHOP\".\"NOWHERE\" TO ROLE \"ACCOUNTADMIN\";";
    checked.says("problem", "schema SHOP.NOWHERE", &[grant]);
    let mut publisher = Publisher::spawn(&world, &settings, None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    assert!(publisher.log().contains("the list of tables for SHOP.NOWHERE.*"), "{}", publisher.log());
    // Beside a table that works it is looked again, and found once it is there.
    let both = r#"{ name = "SHOP.PUBLIC.CUSTOMERS" }, { match = "SHOP.NOWHERE.*" }"#;
    let publisher = Publisher::spawn(&world, &self::settings(&world, both), None);
    publisher.says("the list of tables for SHOP.NOWHERE.*", LIMIT).await;
    all(&mut account, &["CREATE SCHEMA SHOP.NOWHERE", "CREATE TABLE SHOP.NOWHERE.T (ID INT PRIMARY KEY)"]).await;
    account.run("INSERT INTO SHOP.NOWHERE.T VALUES (1)").await;
    arrives_on(&world, "SHOP.NOWHERE.T", "ID", &["r 1"]).await;
    publisher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_staged_of_a_table_that_is_gone_is_delivered_first() {
    let (world, mut account) =
        world(&["CREATE TABLE ORDERS_EU (ID INT PRIMARY KEY)", "INSERT INTO ORDERS_EU VALUES (1)"]).await;
    let settings = settings(&world, r#"{ match = "SHOP.PUBLIC.ORDERS_*" }"#);
    let mut publisher = Publisher::spawn(&world, &settings, Some("after-staging:1"));
    assert_eq!(publisher.end(LIMIT).await, Exit::Killed);
    account.run("DROP TABLE ORDERS_EU").await;
    let publisher = Publisher::spawn(&world, &settings, None);
    arrives(&world, "ORDERS_EU", "ID", &["r 1"]).await;
    publisher.says("the capture is halted", LIMIT).await;
    let first = status(publisher, 3).await;
    assert_eq!(first["SHOP.PUBLIC.ORDERS_EU"]["pattern"], "SHOP.PUBLIC.ORDERS_*");
    // Now nothing is left of it.
    let publisher = Publisher::spawn(&world, &settings, None);
    account.run("CREATE TABLE ORDERS_US (ID INT PRIMARY KEY)").await;
    account.run("INSERT INTO ORDERS_US VALUES (2)").await;
    arrives(&world, "ORDERS_US", "ID", &["r 2"]).await;
    let second = status(publisher, 0).await;
    assert!(second.get("SHOP.PUBLIC.ORDERS_EU").is_none(), "{second}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_grants_on_tables_to_come_captures_them_and_may_be_told_to_begin_anew() {
    let (world, mut account) = world(&[
        "CREATE TABLE ORDERS_EU (ID INT PRIMARY KEY) CHANGE_TRACKING = TRUE",
        "INSERT INTO ORDERS_EU VALUES (1)",
        "CREATE ROLE READER",
    ])
    .await;
    let settings = settings(&world, r#"{ match = "SHOP.PUBLIC.ORDERS_*" }"#).set("snowflake.role", "\"READER\"");
    let config = world.path("pattern.toml");
    settings.write(&config);
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_snowmelt"));
    let output = command.args(["sql", "grants", "--config"]).arg(&config).output().await.expect("the program runs");
    let script = String::from_utf8(output.stdout).expect("text");
    let future = "GRANT SELECT ON FUTURE TABLES IN SCHEMA \"SHOP\".\"PUBLIC\" TO ROLE \"READER\";";
    for line in script.lines().filter(|line| line.starts_with("GRANT") && *line != future) {
        account.run(line.trim_end_matches(';')).await;
    }
    let checked = check_with(&world, &settings, &[], &[]).await;
    checked.says("ok", "pattern SHOP.PUBLIC.ORDERS_*", &["it finds 1: SHOP.PUBLIC.ORDERS_EU"]);
    checked.says("warning", "pattern SHOP.PUBLIC.ORDERS_*", &["no grant of its own on tables to come", future]);
    assert!(script.contains(future), "{script}");
    account.run(future.trim_end_matches(';')).await;
    let checked = check_with(&world, &settings, &[], &[]).await;
    assert!(!format!("{checked:?}").contains("tables to come"), "{checked:?}");
    let publisher = Publisher::spawn(&world, &settings, None);
    arrives(&world, "ORDERS_EU", "ID", &["r 1"]).await;
    account.run("CREATE TABLE ORDERS_US (ID INT PRIMARY KEY)").await;
    // Whoever makes a table also says that its changes are tracked; until then it waits.
    publisher.says("Insufficient privileges to operate on table 'ORDERS_US'", LIMIT).await;
    account.run("INSERT INTO ORDERS_US VALUES (2)").await;
    account.run("ALTER TABLE ORDERS_US SET CHANGE_TRACKING = TRUE").await;
    arrives(&world, "ORDERS_US", "ID", &["r 2"]).await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_snowmelt"));
    let ordered = command.args(["snapshot", "SHOP.PUBLIC.ORDERS_US", "--wait", "--config"]).arg(&config);
    assert!(ordered.status().await.expect("the program runs").success());
    arrives(&world, "ORDERS_US", "ID", &["r 2", "r 2"]).await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_snowmelt"));
    let refused = command.args(["snapshot", "SHOP.PUBLIC.LINES", "--config"]).arg(&config).output().await;
    let said = String::from_utf8(refused.expect("the program runs").stderr).expect("text");
    assert!(
        said.contains("LINES is not a table of the configuration, which has what SHOP.PUBLIC.ORDERS_* finds"),
        "{said}"
    );
    publisher.stop().await;
}
