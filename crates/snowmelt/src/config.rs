//! The configuration: one TOML file, read once, all problems reported at once.
//!
//! ```text
//! text ─ toml ─▶ tree with lines ─ SETTINGS ─▶ values ─ rules ─▶ Config
//!                      └────────────── problems ──────────────▶ Problems
//! ```
//!
//! [`SETTINGS`] is the one list of what may be set: unknown keys, types, limits,
//! defaults and the page `docs/configuration.md` all come from it. Rules that
//! join two settings stand beside the struct they guard, in `config/`.
//! Secrets come from files or the environment, never from the text, and never
//! show in `Debug`. Nothing here connects anywhere: whether the names exist and
//! the passwords open is for `check` to say.

mod choice;
mod columns;
mod connection;
mod credentials;
mod filter;
mod format;
mod kafka;
mod name;
mod name_pattern;
mod nearest;
mod pace;
mod pattern;
mod private_key;
mod problem;
mod quantity;
mod reading;
mod reference;
mod rule;
mod secret;
mod setting;
mod settings;
mod snowflake;
mod table_pattern;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod topics;
mod tunnel;
mod unknown;
mod value;

use std::path::Path;

pub(crate) use self::nearest::nearest;
pub(crate) use self::quantity::parse_duration;
pub(crate) use self::setting::article;
pub(crate) use self::text::Text;
pub use choice::Choice;
pub use columns::Columns;
pub use credentials::{Credentials, KeyTrouble, read_private_key};
pub use filter::Filter;
pub use format::{BinaryForm, Envelope, Format, Numbers, VariantForm};
pub use kafka::{Compression, Kafka, Mechanism, Sasl, Tls};
pub use name::{NameError, ObjectName, SchemaName, identifier, quote};
pub use name_pattern::{Glob, NamePattern};
pub use pace::{Changes, Delivery, Discovery, Poll, Retry, Staleness};
pub use pattern::Pattern;
pub use private_key::{KeyError, PrivateKey};
pub use problem::{Problem, Problems, Refusal};
pub use reference::reference;
pub use rule::Rule;
pub use secret::{Secret, SecretError, SecretSource};
pub use setting::{Fallback, Kind, Setting};
pub use settings::SETTINGS;
pub use snowflake::{Authenticator, ResultFormat, Snowflake};
pub use table_pattern::{FoundRefusal, TablePattern};
pub use tables::{Mode, OnPoison, OnStale, Snapshot, Table, Way};
pub use token::{Token, TokenCommand};
pub use topics::{Checkpoint, TopicTemplate, Topics};
pub use tunnel::{PortRange, PortRangeError, Tunnel};

use reading::{Reading, Section};
use tables::{Naming, Tables};

/// Everything a publisher is told. Field names are the keys of the file.
#[derive(Debug, Clone)]
pub struct Config {
    /// The pipeline: part of transactional ids, checkpoint keys and every
    /// event's `source.name`. 1 to 64 of `a-z 0-9 -`. Required.
    pub name: String,
    /// `[snowflake]`.
    pub snowflake: Snowflake,
    /// `[kafka]`.
    pub kafka: Kafka,
    /// `[tunnel]`; `None` when the section is absent.
    pub tunnel: Option<Tunnel>,
    /// `[checkpoint]`.
    pub checkpoint: Checkpoint,
    /// `[topics]`.
    pub topics: Topics,
    /// `[format]`.
    pub format: Format,
    /// `[delivery]`.
    pub delivery: Delivery,
    /// `[poll]`.
    pub poll: Poll,
    /// `[changes]`.
    pub changes: Changes,
    /// `[staleness]`.
    pub staleness: Staleness,
    /// `[retry]`.
    pub retry: Retry,
    /// `[discovery]`.
    pub discovery: Discovery,
    /// `[[tables]]` with a `name`.
    pub tables: Vec<Table>,
    /// `[[tables]]` with a `match`; of both together there is at least one.
    pub table_patterns: Vec<TablePattern>,
}

impl Config {
    /// Reads the file at `path`, and secrets from files and this process's
    /// environment.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let origin = path.display().to_string();
        Self::parse(Text::of_file(path)?.as_str(), &origin, &|name| std::env::var(name).ok())
    }

    /// The same, but as logged in through `connection` of `connections.toml`: what the file says of its own login does
    /// not count.
    pub fn load_through(path: &Path, connection: &str) -> Result<Self, Problems> {
        let origin = path.display().to_string();
        let env = |name: &str| std::env::var(name).ok();
        let mut reading = Reading::of(Text::of_file(path)?.as_str(), &origin, &env)?;
        reading.log_in_through(connection);
        let config = Self::build(&reading, &env);
        reading.finish(config)
    }

    /// Reads `text` as the file `origin`: problems name that path, and relative
    /// paths in the text start from its folder. Variables that secrets name are
    /// asked of `env`.
    pub fn parse(text: &str, origin: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let reading = Reading::of(text, origin, env)?;
        let config = Self::build(&reading, env);
        reading.finish(config)
    }

    /// Every part is built before any is asked for, so that one part's problems
    /// do not hide another's.
    fn build(reading: &Reading, env: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let name = reading.root().get::<String>("name");
        let snowflake = Snowflake::build(&reading.section("snowflake"), name.as_deref(), env);
        let kafka_section = reading.section("kafka");
        let kafka = Kafka::build(&kafka_section, name.as_deref());
        let tunnel = Tunnel::build(&reading.section("tunnel"), &kafka_section);
        let checkpoint = Checkpoint::build(&reading.section("checkpoint"));
        let topics =
            Topics::build(&reading.section("topics"), checkpoint.as_ref().map(|checkpoint| checkpoint.topic.as_str()));
        let format = Format::build(&reading.section("format"));
        let delivery = Delivery::build(&reading.section("delivery"), kafka_section.get("transaction_timeout"));
        let poll = Poll::build(&reading.section("poll"));
        let changes = Changes::build(&reading.section("changes"));
        let staleness = Staleness::build(&reading.section("staleness"));
        let retry = Retry::build(&reading.section("retry"));
        let naming = Naming {
            pipeline: name.as_deref(),
            topics: topics.as_ref(),
            checkpoint: checkpoint.as_ref(),
            salted: reading.section("snowflake").given("hash_salt"),
        };
        let discovery = Discovery::build(&reading.section("discovery"));
        let tables = Tables::build(&reading.each("tables"), &naming);
        check_state_schema(&reading.section("snowflake"), &reading.each("tables"));
        let Tables { named: tables, patterns: table_patterns } = tables?;
        Some(Self {
            name: name?,
            snowflake: snowflake?,
            kafka: kafka?,
            tunnel: tunnel?,
            checkpoint: checkpoint?,
            topics: topics?,
            format: format?,
            delivery: delivery?,
            poll: poll?,
            changes: changes?,
            staleness: staleness?,
            retry: retry?,
            discovery: discovery?,
            tables,
            table_patterns,
        })
    }
}

impl Config {
    /// `snowflake.state_schema`, if any table is or may be read through a stream.
    #[must_use]
    pub fn state_schema_in_use(&self) -> Option<&SchemaName> {
        let found = self.table_patterns.iter().map(|pattern| &pattern.settings);
        let through_a_stream = self.tables.iter().chain(found).any(|table| table.read == Way::Stream);
        self.snowflake.state_schema.as_ref().filter(|_| through_a_stream)
    }

    /// Whether any table is or may be read through a stream that this program makes.
    #[must_use]
    pub fn makes_streams(&self) -> bool {
        let found = self.table_patterns.iter().map(|pattern| &pattern.settings);
        self.tables.iter().chain(found).any(|table| table.read == Way::Stream && table.stream.is_none())
    }
}

fn check_state_schema(snowflake: &Section<'_>, tables: &[Section<'_>]) {
    let through_a_stream = tables.iter().find(|table| table.get::<Way>("read") == Some(Way::Stream));
    if let Some(table) = through_a_stream.filter(|_| !snowflake.given("state_schema")) {
        let name = table.get::<Option<ObjectName>>("name").flatten().map(|name| name.to_string());
        let found = || Some(format!("what {} finds", table.get::<Option<NamePattern>>("match").flatten()?));
        let name = name.or_else(found).unwrap_or_else(|| "a table".to_owned());
        snowflake.refuse(
            "state_schema",
            format!("is missing, and {name} is read through a stream"),
            "name a schema in which the role may create streams and tables, or set read = \"changes\" for every table"
                .to_owned(),
        );
    }
}
