//! `snowmelt sql grants`: with what it prints a role that had nothing can do everything, and without any line of it
//! `snowmelt check` names exactly that line.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::account::Account;
use crate::objects::{all, arrives, arrives_on};
use crate::publisher::Publisher;
use crate::world::{PASSWORD, Settings, World};

const OBJECTS: [&str; 22] = [
    "CREATE DATABASE CRM",
    "CREATE SCHEMA CRM.STREAMS",
    "USE SCHEMA SHOP.PUBLIC",
    "CREATE TABLE \"Odd \"\"one\"\"\" (ID INT PRIMARY KEY)",
    "CREATE TABLE \"ORDER\" (ID INT PRIMARY KEY)",
    "CREATE TABLE BELOW (ID INT, NAME VARCHAR)",
    "ALTER TABLE BELOW SET CHANGE_TRACKING = TRUE",
    "INSERT INTO BELOW VALUES (2, 'two')",
    "CREATE VIEW ABOVE AS SELECT ID FROM BELOW WHERE ID < 10",
    "CREATE DYNAMIC TABLE CHEAP TARGET_LAG = DOWNSTREAM WAREHOUSE = WH REFRESH_MODE = INCREMENTAL AS SELECT ID FROM BELOW",
    "ALTER DYNAMIC TABLE CHEAP REFRESH",
    "CREATE EVENT TABLE HAPPENED",
    "CREATE STAGE FILES",
    "CREATE EXTERNAL TABLE DROPS (ID INT AS (VALUE:id::INT)) LOCATION = '@FILES/in/' FILE_FORMAT = (TYPE = JSON)",
    "CREATE STAGE INBOX DIRECTORY = (ENABLE = TRUE)",
    "CREATE TABLE CRM.PUBLIC.LEADS (ID INT PRIMARY KEY)",
    "CREATE STREAM CRM.STREAMS.LEADS_S ON TABLE CRM.PUBLIC.LEADS",
    "CREATE USER PUBLISHER",
    "CREATE USER BOSS PASSWORD = 'the-boss-himself'",
    "GRANT ROLE ACCOUNTADMIN TO USER BOSS",
    "CREATE ICEBERG TABLE COLD (ID INT) CATALOG = 'SNOWFLAKE' EXTERNAL_VOLUME = 'V' BASE_LOCATION = 'x'",
    "INSERT INTO \"Odd \"\"one\"\"\" VALUES (1)",
];

const TABLES: &str = r#"[
    { name = 'SHOP.PUBLIC."Odd ""one"""', topic = "odd" },
    { name = "SHOP.PUBLIC.ORDER" },
    { name = "SHOP.PUBLIC.ABOVE", key = ["ID"] },
    { name = "SHOP.PUBLIC.CHEAP", key = ["ID"] },
    { name = "SHOP.PUBLIC.HAPPENED" },
    { name = "SHOP.PUBLIC.COLD" },
    { name = "SHOP.PUBLIC.DROPS", key = ["ID"], snapshot = "never" },
    { name = "SHOP.PUBLIC.INBOX", snapshot = "never" },
    { name = "CRM.PUBLIC.LEADS", stream = "CRM.STREAMS.LEADS_S", snapshot = "never" },
]"#;

/// What a run of `snowmelt` prints; it must end with `code`.
async fn snowmelt(world: &World, settings: &Settings, args: &[&str], code: i32) -> String {
    let config = world.path("grants.toml");
    settings.write(&config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_snowmelt"));
    command.args(["--log", "error"]).args(args).arg("--config").arg(config);
    command.env("SNOWFLAKE_HOME", world.path("")).stdin(Stdio::null());
    let output = command.output().await.expect("the program runs");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{text}{errors}");
    assert!(!text.contains(PASSWORD) && !errors.contains(PASSWORD), "the password is shown");
    format!("{text}{errors}")
}

/// The statements of a script.
fn statements(script: &str) -> Vec<String> {
    let lines = script.lines().filter(|line| !line.is_empty() && !line.starts_with("--"));
    lines.map(|line| line.trim_end_matches(';').to_owned()).collect()
}

/// The remedies of the problems that a check finds; it must end with `code`.
async fn problems(world: &World, settings: &Settings, code: i32) -> Vec<String> {
    let printed = snowmelt(world, settings, &["check", "--json"], code).await;
    let findings: Vec<Value> = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("no findings: {printed}"));
    let bad = findings.iter().filter(|finding| finding["level"] == "problem");
    bad.map(|finding| format!("{}: {} -> {}", finding["subject"], finding["found"], finding["remedy"])).collect()
}

/// As it stands in a JSON text.
fn escaped(text: &str) -> String {
    text.replace('"', "\\\"")
}

fn role(settings: &Settings, role: &str) -> Settings {
    settings.clone().set("snowflake.role", &format!("'\"{role}\"'"))
}

async fn world() -> (World, Account, Settings) {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::start().await;
    let mut account = world.account();
    all(&mut account, &OBJECTS).await;
    let connections = format!(
        "[admin]\naccount = \"sim\"\nhost = \"127.0.0.1\"\nport = {}\nprotocol = \"http\"\nuser = \"boss\"\n\
         password = \"the-boss-himself\"\nrole = \"ACCOUNTADMIN\"\n",
        world.snowflake.addr.port()
    );
    let file = world.path("connections.toml");
    std::fs::write(&file, connections).expect("the connections");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    let settings = world.settings().set("tables", TABLES);
    (world, account, settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_is_enough_and_each_line_of_it_is_missed() {
    let (world, mut account, settings) = world().await;
    let script = snowmelt(&world, &role(&settings, "the reader"), &["sql", "grants", "--connect", "admin"], 0).await;
    let wanted = statements(&script);
    assert!(wanted.iter().any(|line| line.starts_with("GRANT SELECT ON EVENT TABLE")), "kinds are asked for: {script}");
    assert!(wanted.iter().any(|line| line.starts_with("GRANT READ ON STAGE")), "{script}");
    let trackings: Vec<&String> = wanted.iter().filter(|line| line.starts_with("ALTER")).collect();
    for (number, left_out) in wanted.iter().enumerate() {
        // A role of its own each time, and tracking as it was.
        let name = format!("reader {number}");
        account.run(&format!("CREATE ROLE \"{name}\"")).await;
        for tracking in &trackings {
            account.run(&tracking.replace("= TRUE", "= FALSE")).await;
        }
        for line in wanted.iter().filter(|line| *line != left_out) {
            account.run(&line.replace("the reader", &name)).await;
        }
        let found = problems(&world, &role(&settings, &name), 1).await;
        let [problem] = found.as_slice() else { panic!("without {left_out}: {found:#?}") };
        // What a role cannot see at all, it takes for a table.
        let mut named = left_out.replace("the reader", &name);
        for (kind, table) in [
            ("SELECT ON VIEW", "SELECT ON TABLE"),
            ("SELECT ON DYNAMIC TABLE", "SELECT ON TABLE"),
            ("SELECT ON EVENT TABLE", "SELECT ON TABLE"),
            ("SELECT ON EXTERNAL TABLE", "SELECT ON TABLE"),
            ("SELECT ON ICEBERG TABLE", "SELECT ON TABLE"),
            ("READ ON STAGE", "SELECT ON TABLE"),
        ] {
            named = named.replace(kind, table);
        }
        assert!(problem.contains(&escaped(&named)), "without {left_out}: {problem}");
    }
    assert!(wanted.len() > 20, "{script}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_had_nothing_publishes_after_the_script() {
    let (world, mut account, settings) = world().await;
    account.run("CREATE ROLE \"the reader\"").await;
    let settings = role(&settings, "the reader");
    let before = problems(&world, &settings, 1).await;
    assert!(before[0].contains("GRANT ROLE \\\"the reader\\\" TO USER \\\"PUBLISHER\\\""), "{before:?}");
    let script = snowmelt(&world, &settings, &["sql", "grants", "--connect", "admin"], 0).await;
    for line in statements(&script) {
        account.run(&line).await;
    }
    assert_eq!(problems(&world, &settings, 0).await, Vec::<String>::new());
    let publisher = Publisher::spawn(&world, &settings, None);
    arrives(&world, "ABOVE", "ID", &["r 2"]).await;
    arrives(&world, "CHEAP", "ID", &["r 2"]).await;
    let mut streams = 0;
    while streams < 8 {
        streams = account.run("SHOW STREAMS IN SCHEMA SNOWMELT.STATE").await.len();
    }
    all(
        &mut account,
        &[
            "INSERT INTO SHOP.PUBLIC.\"ORDER\" VALUES (3)",
            "INSERT INTO CRM.PUBLIC.LEADS VALUES (4)",
            "INSERT INTO SHOP.PUBLIC.COLD VALUES (5)",
            "COPY INTO '@FILES/in/6.json' FROM (SELECT OBJECT_CONSTRUCT('id', 6))",
            "ALTER EXTERNAL TABLE DROPS REFRESH",
            "COPY INTO '@INBOX/7.json' FROM (SELECT TO_VARIANT('7'))",
            "ALTER STAGE INBOX REFRESH",
        ],
    )
    .await;
    arrives(&world, "ORDER", "ID", &["c 3"]).await;
    arrives(&world, "COLD", "ID", &["c 5"]).await;
    arrives(&world, "DROPS", "ID", &["c 6"]).await;
    arrives(&world, "INBOX", "RELATIVE_PATH", &["c 7.json"]).await;
    arrives_on(&world, "CRM.PUBLIC.LEADS", "ID", &["c 4"]).await;
    arrives_on(&world, "odd", "ID", &["r 1"]).await;
    publisher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_says_whom_and_what_it_is_for() {
    let (world, mut account, settings) = world().await;
    let offline = snowmelt(&world, &settings, &["sql", "grants", "--role", "cdc", "--user", "\"svc\""], 0).await;
    for line in [
        "-- Kinds of objects are not known without --connect: each is taken for a table.",
        "GRANT ROLE \"CDC\" TO USER \"svc\";",
        "GRANT USAGE ON WAREHOUSE \"WH\" TO ROLE \"CDC\";",
        "GRANT SELECT ON TABLE \"SHOP\".\"PUBLIC\".\"Odd \"\"one\"\"\" TO ROLE \"CDC\";",
        "GRANT SELECT ON STREAM \"CRM\".\"STREAMS\".\"LEADS_S\" TO ROLE \"CDC\";",
    ] {
        assert!(offline.contains(line), "{line}\n{offline}");
    }
    // Its own login may look as well, and its role is the one meant, unless everybody has it.
    let own = snowmelt(&world, &settings.clone().without("snowflake.role"), &["sql", "grants", "--connect"], 2).await;
    assert!(own.contains("the login has role PUBLIC, which everybody has; set snowflake.role"), "{own}");
    account.run("CREATE ROLE OWN").await;
    account.run("GRANT ROLE OWN TO USER PUBLISHER").await;
    account.run("ALTER USER PUBLISHER SET DEFAULT_ROLE = OWN").await;
    let own = snowmelt(&world, &settings.clone().without("snowflake.role"), &["sql", "grants", "--connect"], 0).await;
    assert!(own.contains("GRANT CREATE STREAM ON SCHEMA \"SNOWMELT\".\"STATE\" TO ROLE \"OWN\";"), "{own}");
    assert!(
        own.contains("-- SHOP.PUBLIC.CHEAP is not there, or not to be seen by who asked: taken for a table."),
        "{own}"
    );
    let none = snowmelt(&world, &settings.without("snowflake.role"), &["sql", "grants"], 2).await;
    assert!(none.contains("the configuration names no role; set snowflake.role"), "{none}");
}
