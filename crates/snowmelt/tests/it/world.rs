//! Everything outside the publisher: a simulated Snowflake with the captured tables, a Kafka cluster, a configuration.
//!
//! Both servers run in the test process on real sockets; the publisher under test is another process, so that it can
//! be killed like one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use snowsim::{Options, Running, Simulator};
use tempfile::TempDir;

use crate::account::Account;
use crate::brokers::{Brokers, PARTITIONS};
use crate::evolution::Evolution;
use crate::image::Cell;
use crate::tables::{self, SCHEMA, STATE, Table};
use crate::verifier::Verifier;

/// The user's password; no output may ever show it.
pub(crate) const PASSWORD: &str = "correct-horse-battery-staple";
/// The pipeline's name.
pub(crate) const PIPELINE: &str = "proof";
/// The checkpoint topic.
pub(crate) const CHECKPOINTS: &str = "proof-checkpoints";

/// The world of one test.
pub(crate) struct World {
    pub(crate) snowflake: Running,
    pub(crate) kafka: Brokers,
    /// Changes of the tables' columns, where a test makes any.
    pub(crate) evolution: Arc<Evolution>,
    directory: TempDir,
}

/// The seed of a run: `SNOWMELT_SEED`, or random. Printed, so that a failing run can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = match std::env::var("SNOWMELT_SEED") {
        Ok(text) => text.parse().expect("SNOWMELT_SEED is a number"),
        Err(_) => rand::random::<u64>(),
    };
    eprintln!("seed {seed}: repeat with SNOWMELT_SEED={seed}");
    seed
}

impl World {
    /// Starts both servers and makes the empty tables.
    pub(crate) async fn start() -> Self {
        Self::with_transactions(2).await
    }

    /// The same on a cluster that speaks this version of the transaction protocol.
    pub(crate) async fn with_transactions(version: i16) -> Self {
        Self::with(version, Options::default()).await
    }

    /// The same on an account with these lifetimes of sessions.
    pub(crate) async fn with(version: i16, lifetimes: Options) -> Self {
        let options = Options {
            users: vec![("PUBLISHER".to_owned(), PASSWORD.to_owned())],
            // Results of a few dozen rows already come in several chunks.
            inline_bytes: 2 << 10,
            chunk_bytes: Some(4 << 10),
            ..lifetimes
        };
        let snowflake = Simulator::start_with(options).await.expect("the simulator starts");
        let world = Self {
            snowflake,
            kafka: Brokers::start(version).await,
            evolution: Arc::default(),
            directory: TempDir::with_prefix("snowmelt-proof-").expect("a temporary directory"),
        };
        std::fs::write(world.directory.path().join("password"), PASSWORD).expect("the password file");
        let mut account = world.account();
        for sql in [
            "CREATE WAREHOUSE WH AUTO_SUSPEND = 60 INITIALLY_SUSPENDED = TRUE",
            "CREATE DATABASE SHOP",
            "CREATE DATABASE SNOWMELT",
            "CREATE SCHEMA SNOWMELT.STATE",
        ] {
            account.run(sql).await;
        }
        for table in tables::ALL {
            account.run(&format!("CREATE TABLE {} ({})", table.topic(), table.ddl)).await;
        }
        world
    }

    /// A new session on the account.
    pub(crate) fn account(&self) -> Account {
        Account::open(self.snowflake.sim.engine())
    }

    /// Where a publisher's files go.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The configuration of a publisher of this world.
    pub(crate) fn settings(&self) -> Settings {
        Settings::new(self)
    }

    /// Waits until Kafka holds exactly what the tables hold and nothing is left on the way.
    pub(crate) async fn drained(&self, limit: Duration) {
        self.drained_of(&tables::ALL, limit).await;
    }

    /// The same for some of the tables.
    pub(crate) async fn drained_of(&self, captured: &[Table], limit: Duration) {
        let mut last = Vec::new();
        let deadline = tokio::time::Instant::now() + limit;
        while tokio::time::Instant::now() < deadline {
            last = Verifier::read_tables(self, captured).await.missing();
            if last.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not all changes are in Kafka after {limit:?}:\n  {}", last.join("\n  "));
    }

    /// The same, and no stream has anything left. What a stream still has may leave its table as it is (an update to the
    /// same value), and would be staged after table and topic were found alike.
    pub(crate) async fn drained_and_read(&self, captured: &[Table], limit: Duration) {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let unread = self.unread_streams().await;
            if unread.is_empty() {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "changes that are not staged after {limit:?}: {unread:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.drained_of(captured, limit).await;
    }

    /// Streams in the state schema that have data. One that cannot be asked, as it is stale, has none to wait for.
    async fn unread_streams(&self) -> Vec<String> {
        let mut account = self.account();
        let mut unread = Vec::new();
        for row in account.run(&format!("SHOW STREAMS IN SCHEMA {STATE}")).await {
            let Some(Cell::Text(name)) = row.get("name") else { continue };
            let asked = account.attempt(&format!("SELECT SYSTEM$STREAM_HAS_DATA('{STATE}.\"{name}\"') AS FOUND")).await;
            match asked.unwrap_or_default().first().and_then(|row| row.get("FOUND")) {
                None | Some(Cell::Flag(false)) => {}
                Some(_) => unread.push(name.clone()),
            }
        }
        unread
    }
}

/// Waits until `condition` holds; panics with `what` if it does not within `limit`.
pub(crate) async fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + limit;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A publisher's configuration file, changed setting by setting.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    tree: toml::Table,
}

impl Settings {
    /// Small slices and short waits, so that a run of seconds has many commits and many retries.
    fn new(world: &World) -> Self {
        let mut text = format!(
            r#"
            name = "{PIPELINE}"
            [snowflake]
            account = "sim"
            url = "{url}"
            user = "PUBLISHER"
            password = {{ file = "password" }}
            role = "ACCOUNTADMIN"
            warehouse = "WH"
            state_schema = "{STATE}"
            request_timeout = "10s"
            [kafka]
            bootstrap_servers = [{servers}]
            request_timeout = "1s"
            delivery_timeout = "5s"
            transaction_timeout = "10s"
            [checkpoint]
            topic = "{CHECKPOINTS}"
            [topics]
            partitions = {PARTITIONS}
            [delivery]
            slice_rows = 50
            slice_interval = "20ms"
            [poll]
            interval = "50ms"
            [retry]
            initial = "20ms"
            max = "500ms"
            "#,
            url = world.snowflake.url(),
            servers = quoted(world.kafka.cluster.bootstrap_servers().split(',')),
        );
        for table in tables::ALL {
            let _ = write!(text, "\n[[tables]]\nname = \"{SCHEMA}.{}\"\n", table.name);
            if !table.configured_key.is_empty() {
                let _ = writeln!(text, "key = [{}]", quoted(table.configured_key.iter().copied()));
            }
        }
        Self { tree: text.parse().expect("the configuration is TOML") }
    }

    /// Sets one value: a dotted path, and the value as TOML.
    pub(crate) fn set(mut self, path: &str, value: &str) -> Self {
        let parsed: toml::Table = format!("value = {value}").parse().expect("a TOML value");
        let (sections, key) = path.rsplit_once('.').map_or(("", path), |(sections, key)| (sections, key));
        let mut at = &mut self.tree;
        for section in sections.split('.').filter(|section| !section.is_empty()) {
            let next = at.entry(section).or_insert_with(|| toml::Table::new().into());
            at = next.as_table_mut().expect("a section");
        }
        at.insert(key.to_owned(), parsed["value"].clone());
        self
    }

    /// Leaves out one value: a path in a section that is there.
    pub(crate) fn without(mut self, path: &str) -> Self {
        let (section, key) = path.rsplit_once('.').expect("a path in a section");
        let section = self.tree[section].as_table_mut().expect("a section");
        assert!(section.remove(key).is_some(), "{path} is there");
        self
    }

    /// Sets one value of every table, as TOML.
    pub(crate) fn each(mut self, key: &str, value: &str) -> Self {
        let parsed: toml::Table = format!("value = {value}").parse().expect("a TOML value");
        for table in self.tree["tables"].as_array_mut().expect("the tables") {
            table.as_table_mut().expect("a table").insert(key.to_owned(), parsed["value"].clone());
        }
        self
    }

    /// Sets one value of one table, as TOML.
    pub(crate) fn of_table(mut self, name: &str, key: &str, value: &str) -> Self {
        let parsed: toml::Table = format!("value = {value}").parse().expect("a TOML value");
        let tables = self.tree["tables"].as_array_mut().expect("the tables").iter_mut();
        let table = tables
            .filter_map(toml::Value::as_table_mut)
            .find(|table| table["name"].as_str().is_some_and(|full| full.ends_with(&format!(".{name}"))));
        table.expect("one of the tables").insert(key.to_owned(), parsed["value"].clone());
        self
    }

    /// Rows that cannot be published become dead letters, and records are small, so that long texts are such rows.
    pub(crate) fn with_dead_letters(self) -> Self {
        self.each("on_poison", "\"dead_letter\"")
            .set("topics.dead_letter", "\"dead.{table}\"")
            .set("kafka.max_message_bytes", "\"16KiB\"")
            .set("kafka.batch_bytes", "\"16KiB\"")
    }

    /// Captures this table only.
    pub(crate) fn only(mut self, name: &str) -> Self {
        let tables = self.tree["tables"].as_array_mut().expect("the tables");
        tables.retain(|table| table["name"].as_str().is_some_and(|full| full.ends_with(&format!(".{name}"))));
        assert_eq!(tables.len(), 1, "{name} is one of the tables");
        self
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.tree.to_string()).expect("the configuration is written");
    }
}

fn quoted<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ")
}
