//! `snowmelt check`: silent about nothing, and each finding says what to do.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use krafka::admin::{CreateTopicsOptions, NewTopic};
use serde_json::Value;
use tokio::process::Command;

use crate::publisher::Publisher;
use crate::tables::{self, STATE};
use crate::windows;
use crate::world::{CHECKPOINTS, PASSWORD, Settings, World};

/// The exit code, and the findings by subject.
#[derive(Debug)]
pub(crate) struct Checked {
    code: Option<i32>,
    findings: BTreeMap<String, Vec<(String, String)>>,
}

impl Checked {
    /// Demands a finding of this level that contains all the texts, in what was found or in its remedy.
    pub(crate) fn says(&self, level: &str, subject: &str, texts: &[&str]) {
        let about = self.findings.get(subject).unwrap_or_else(|| panic!("nothing on {subject}: {:#?}", self.findings));
        let fits = |(found, text): &(String, String)| found == level && texts.iter().all(|part| text.contains(part));
        assert!(about.iter().any(fits), "{subject}: no {level} that says {texts:?}: {about:#?}");
    }

    fn all_of(&self, level: &str) -> Vec<&String> {
        let has = |about: &Vec<(String, String)>| about.iter().any(|(found, _)| found == level);
        self.findings.iter().filter(|(_, about)| has(about)).map(|(subject, _)| subject).collect()
    }
}

async fn check(world: &World, settings: &Settings, more: &[&str]) -> Checked {
    check_with(world, settings, more, &[]).await
}

/// The same with these variables.
pub(crate) async fn check_with(world: &World, settings: &Settings, more: &[&str], env: &[(&str, &str)]) -> Checked {
    let config = world.path("check.toml");
    settings.write(&config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_snowmelt"));
    command.args(["--log", "error", "check", "--json", "--config"]).arg(config).args(more).envs(env.iter().copied());
    let output = command.stdin(Stdio::null()).output().await.expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains(PASSWORD) && !errors.contains(PASSWORD), "the password is shown");
    let all: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no findings: {text}{errors}"));
    let mut findings: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for finding in all {
        let part = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let text = format!("{} -> {}", part("found"), part("remedy"));
        findings.entry(part("subject")).or_default().push((part("level"), text));
    }
    Checked { code: output.status.code(), findings }
}

/// Names of everything in the state schema.
async fn state(world: &World) -> usize {
    let mut account = world.account();
    let mut count = 0;
    for kind in ["TABLES", "STREAMS"] {
        count += account.run(&format!("SHOW {kind} IN SCHEMA {STATE}")).await.len();
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_in_order_has_no_problem_and_is_left_as_it_was() {
    let world = World::start().await;
    let checked = check(&world, &world.settings(), &[]).await;
    assert_eq!(checked.all_of("problem"), Vec::<&String>::new(), "{:#?}", checked.findings);
    assert_eq!(checked.code, Some(0));
    checked.says("ok", "transactions", &["2"]);
    checked.says("ok", "key of SHOP.PUBLIC.CUSTOMERS", &["ID", "primary key"]);
    checked.says("ok", "key of SHOP.PUBLIC.LINES", &["ORDER_ID, LINE", "configured"]);
    checked.says("warning", "key of SHOP.PUBLIC.VISITS", &["row id", "set `key`"]);
    for topic in [CHECKPOINTS, "snowmelt-notifications", "snowmelt-commands"] {
        checked.says("ok", &format!("topic {topic}"), &["not there yet"]);
    }
    assert_eq!(state(&world).await, 0, "the check left something behind");
    assert!(world.kafka.cluster.topic_id(CHECKPOINTS).is_none(), "the check made a topic");
    let checked = check(&world, &world.settings(), &["--metadata-only"]).await;
    assert_eq!(checked.code, Some(0));
    checked.says("warning", &format!("state schema {STATE}"), &["staging was not tried"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_pipeline_is_checked_without_disturbing_it() {
    let world = World::start().await;
    world.account().run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (1, 'Ada')").await;
    let publisher = Publisher::spawn(&world, &world.settings(), None);
    world.drained(Duration::from_secs(40)).await;
    let checked = check(&world, &world.settings(), &[]).await;
    assert_eq!(checked.all_of("problem"), Vec::<&String>::new(), "{:#?}", checked.findings);
    checked.says("ok", "topic snowmelt-notifications", &["there, 1 partitions"]);
    checked.says("ok", "topic snowmelt-commands", &["there, 1 partitions"]);
    checked.says("ok", "topic snowmelt-commands, reading", &["can be read"]);
    for setting in ["notifications, cleanup.policy", "notifications, retention.ms", "commands, cleanup.policy"] {
        checked.says("warning", &format!("topic snowmelt-{setting}"), &["look it up"]);
    }
    world.account().run("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES (2, 'Bob')").await;
    world.drained(Duration::from_secs(40)).await;
    publisher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_wrong_is_said_at_once() {
    let world = World::start().await;
    let mut account = world.account();
    account.run("DROP TABLE SHOP.PUBLIC.LINES").await;
    account.run("CREATE STREAM SHOP.PUBLIC.ELSEWHERE ON TABLE SHOP.PUBLIC.CUSTOMERS").await;
    let kafka = world.kafka.cluster.kafka().connect().await.expect("a client");
    let [first, ..] = tables::ALL;
    let topics = [first.topic(), CHECKPOINTS.to_owned()].map(|name| NewTopic::new(name, 1, -1).expect("a topic"));
    kafka.admin().create_topics(topics, CreateTopicsOptions::default()).await.expect("topics");
    let tables = r#"[
        { name = "SHOP.PUBLIC.CUSTOMERS", key = ["NUMBER"] },
        { name = "SHOP.PUBLIC.LINES" },
        { name = "SHOP.PUBLIC.VISITS", stream = "SHOP.PUBLIC.ELSEWHERE", snapshot = "never" },
    ]"#;
    let settings = world
        .settings()
        .set("tables", tables)
        .set("topics.create", "false")
        .set("snowflake.state_schema", "\"SNOWMELT.NOWHERE\"")
        .set("snowflake.warehouse", "\"NONE_SUCH\"");
    let checked = check(&world, &settings, &[]).await;
    assert_eq!(checked.code, Some(1));
    checked.says("problem", "warehouse", &["set snowflake.warehouse", "NONE_SUCH"]);
    let text = format!("{:?}", checked.findings);
    assert!(!text.contains("snowmelt check"), "the check sends to itself: {text}");
    checked.says(
        "problem",
        "state schema SNOWMELT.NOWHERE",
        &["create it, or GRANT USAGE ON SCHEMA \"SNOWMELT\".\"NOWHERE\" TO ROLE \"ACCOUNTADMIN\";"],
    );
    checked.says("problem", "key of SHOP.PUBLIC.CUSTOMERS", &["NUMBER", "ID"]);
    let grant = "create it, or GRANT SELECT ON TABLE \"SHOP\".\"PUBLIC\".\"LINES\" TO ROLE \"ACCOUNTADMIN\";";
    checked.says("problem", "table SHOP.PUBLIC.LINES", &[grant]);
    checked.says("problem", "stream SHOP.PUBLIC.ELSEWHERE", &["SHOP.PUBLIC.CUSTOMERS", "name a stream on"]);
    // The embedded cluster keeps the settings to itself; the judgement has its own test beside it.
    for setting in [format!("{CHECKPOINTS}, cleanup.policy"), format!("{}, max.message.bytes", first.topic())] {
        checked.says("warning", &format!("topic {setting}"), &["not known", "grant DESCRIBE_CONFIGS", "look it up"]);
    }
    checked.says("problem", "topic SHOP.PUBLIC.VISITS", &["does not exist", "topics.create"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_are_looked_at_when_neither_lets_anybody_in() {
    let world = World::start().await;
    std::fs::write(world.path("wrong"), "guessed-wrongly-7").expect("a file");
    let settings = world
        .settings()
        .set("snowflake.password", "{ file = \"wrong\" }")
        .set("kafka.bootstrap_servers", "[\"127.0.0.1:9\"]");
    let checked = check(&world, &settings, &[]).await;
    assert_eq!(checked.code, Some(1));
    checked.says("problem", "login", &["PUBLISHER by password", "390100", "snowflake.user"]);
    checked.says("problem", "kafka", &["127.0.0.1:9", "kafka.bootstrap_servers"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_masks_and_dead_letters_are_tried_beforehand() {
    let world = World::start().await;
    std::fs::write(world.path("salt"), "salt of at least sixteen characters").expect("the salt is written");
    let settings = world
        .settings()
        .set("snowflake.hash_salt", "{ file = \"salt\" }")
        .each("on_poison", "\"dead_letter\"")
        .of_table("CUSTOMERS", "filter", "\"CREDIT > 0\"")
        .of_table("CUSTOMERS", "columns", "{ exclude = [\"SEEN\"], hash = [\"ID\"] }")
        .of_table("LINES", "filter", "\"NO_SUCH_COLUMN = 1\"")
        .of_table("VISITS", "columns", "{ hash = [\"SCORE\"] }");
    let checked = check(&world, &settings, &["--metadata-only"]).await;
    checked.says("ok", "filter and columns of SHOP.PUBLIC.CUSTOMERS", &["some rows, 4 columns"]);
    checked.says("problem", "filter and columns of SHOP.PUBLIC.LINES", &["NO_SUCH_COLUMN", "correct `filter`"]);
    checked.says("problem", "filter and columns of SHOP.PUBLIC.VISITS", &["SCORE has a type that hash", "redact"]);
    checked.says("ok", "topic proof.dead-letters", &["the publisher will create it"]);
    assert_eq!(checked.code, Some(1));
    let forbidden = world.settings().each("on_poison", "\"dead_letter\"").set("topics.create", "false");
    let checked = check(&world, &forbidden, &["--metadata-only"]).await;
    checked.says("problem", "topic proof.dead-letters", &["does not exist", "topics.create"]);
    assert_eq!(world.snowflake.sim.engine().warehouse_statements(), 0, "compiling needs no warehouse");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_a_warehouse_dear_is_said_with_its_remedy() {
    let world = World::start().await;
    let mut account = world.account();
    for (sql, level, texts) in [
        ("SET WAREHOUSE_SIZE = XSMALL", "ok", ["WH: X-Small", "1 credit an hour"]),
        ("SET WAREHOUSE_SIZE = 'X-LARGE'", "ok", ["WH: X-Large", "16 credits an hour"]),
        ("SET AUTO_SUSPEND = 600", "warning", ["it idles for 600 s", "ALTER WAREHOUSE WH SET AUTO_SUSPEND = 60;"]),
        ("SET AUTO_SUSPEND = NULL", "warning", ["never suspends itself", "ALTER WAREHOUSE WH SET AUTO_SUSPEND = 60"]),
        ("SET AUTO_SUSPEND = 60, AUTO_RESUME = FALSE", "warning", ["does not resume", "SET AUTO_RESUME = TRUE"]),
    ] {
        account.run(&format!("ALTER WAREHOUSE WH {sql}")).await;
        check(&world, &world.settings(), &["--metadata-only"]).await.says(level, "warehouse", &texts);
    }
    assert_eq!(world.snowflake.sim.warehouse("WH").expect("it is there").resumes, 0, "looking needs no warehouse");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_read_by_windows_need_history_and_no_more() {
    let world = windows::selecting().await;
    let settings = windows::windows(&world).set("changes.lag", "\"0s\"");
    let used = world.snowflake.sim.engine().warehouse_statements();
    let checked = check(&world, &settings, &[]).await;
    assert_eq!(checked.all_of("problem"), Vec::<&String>::new(), "{:#?}", checked.findings);
    assert_eq!(checked.code, Some(0));
    for table in tables::ALL {
        let subject = format!("windows of {}", table.topic());
        checked.says("ok", &subject, &["read by windows", "changes not read within 1 days are lost"]);
    }
    assert_eq!(world.snowflake.sim.engine().warehouse_statements(), used, "the check used the warehouse");
    assert!(checked.findings.keys().all(|subject| !subject.contains("state schema")), "{:#?}", checked.findings);

    let mut account = world.account();
    account.run("ALTER TABLE SHOP.PUBLIC.LINES SET CHANGE_TRACKING = FALSE").await;
    account.run("REVOKE SELECT ON TABLE SHOP.PUBLIC.CUSTOMERS FROM ROLE READER").await;
    account.run("ALTER TABLE SHOP.PUBLIC.VISITS SET DATA_RETENTION_TIME_IN_DAYS = 0").await;
    let checked = check(&world, &settings, &[]).await;
    assert_eq!(checked.code, Some(1));
    checked.says("problem", "table SHOP.PUBLIC.CUSTOMERS", &["GRANT", "SELECT"]);
    let words = "ALTER TABLE SHOP.PUBLIC.LINES SET CHANGE_TRACKING = TRUE";
    checked.says("problem", "table SHOP.PUBLIC.LINES", &[words, "ACCOUNTADMIN"]);
    checked.says("problem", "table SHOP.PUBLIC.VISITS", &["DATA_RETENTION_TIME_IN_DAYS is 0"]);
    account.run("ALTER TABLE SHOP.PUBLIC.VISITS SET DATA_RETENTION_TIME_IN_DAYS = 1").await;
    let keyless = "[{ name = \"SHOP.PUBLIC.VISITS\", read = \"changes\" }]";
    for (settings, level, words) in [
        (settings.clone().set("changes.lag", "\"6h\""), "warning", "less than changes.lag ago"),
        (settings.set("tables", keyless), "problem", "set `key`, or snapshot = \"never\""),
    ] {
        check(&world, &settings, &[]).await.says(level, "windows of SHOP.PUBLIC.VISITS", &[words]);
    }
}
