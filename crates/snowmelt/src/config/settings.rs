//! The list of settings: every key, what it takes, what holds without it, what
//! it means.
//!
//! The parser refuses what is not here, takes types, limits and defaults from
//! here, and `docs/configuration.md` is rendered from here. Order is the order
//! of that page.

use std::time::Duration;

use super::choice::Choice;
use super::format::{BinaryForm, Envelope, Numbers, VariantForm};
use super::kafka::{Compression, Mechanism};
use super::rule;
use super::setting::{Fallback, Kind, Setting};
use super::snowflake::{Authenticator, ResultFormat};
use super::tables::{Mode, OnPoison, OnStale, Snapshot, Way};
use Fallback::{Otherwise, Required, Value};

/// A section of the file.
#[derive(Debug)]
pub(super) struct SectionInfo {
    /// As in [`Setting::path`]; the top level is not listed.
    pub(super) path: &'static str,
    pub(super) presence: Presence,
    pub(super) doc: &'static str,
}

/// When a section's settings count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Also when the section is left out.
    Always,
    /// Only when it is there.
    IfGiven,
    /// For each table of an array, which has at least one.
    Repeated,
}

impl SectionInfo {
    pub(super) fn key(&self) -> &'static str {
        let path = self.path.trim_end_matches("[]");
        path.rsplit_once('.').map_or(path, |(_, key)| key)
    }

    pub(super) fn parent(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }
}

const fn section(path: &'static str, presence: Presence, doc: &'static str) -> SectionInfo {
    SectionInfo { path, presence, doc }
}

pub(super) const SECTIONS: &[SectionInfo] = &[
    section(
        "snowflake",
        Presence::Always,
        "Where the account is and how to log in. Everything the publisher creates lives in `state_schema`.",
    ),
    section("kafka", Presence::Always, "The brokers, and how to produce to them."),
    section("kafka.tls", Presence::Always, "TLS towards the brokers."),
    section("kafka.sasl", Presence::IfGiven, "Log in to the brokers. Without this section there is no login."),
    section(
        "tunnel",
        Presence::IfGiven,
        "Reach Kafka through the tunnel ([tunnel.md](tunnel.md)), with the inlet in this process. The keys are the options of `snowmelt inlet`. With this section there are no `kafka.bootstrap_servers`, and TLS to the brokers is the outlet's.",
    ),
    section("checkpoint", Presence::Always, "The compacted topic that says how far each table has come."),
    section("topics", Presence::Always, "The topics that changes go to."),
    section("format", Presence::Always, "How an event looks."),
    section(
        "delivery",
        Presence::Always,
        "How much goes at once. A slice is the rows of one Kafka transaction; it ends at whichever of its three limits comes first.",
    ),
    section(
        "poll",
        Presence::Always,
        "How often an idle stream is asked, and what may be spent on reading it. Probes are metadata only and use no warehouse. Which gives way to which is in [operations.md](operations.md#cost).",
    ),
    section(
        "discovery",
        Presence::Always,
        "How often tables are looked for that a `match` of `[[tables]]` finds ([discovery.md](discovery.md)). Looking is metadata only and uses no warehouse.",
    ),
    section(
        "changes",
        Presence::Always,
        "How tables are read that have `read = \"changes\"` ([when to choose it](operations.md#reading-without-a-stream)).",
    ),
    section(
        "staleness",
        Presence::Always,
        "A stream that is not read in time goes stale: its changes are lost. What to do then is each table's `on_stale`.",
    ),
    section(
        "retry",
        Presence::Always,
        "How long to wait before trying again after a failure: from `initial`, doubled and jittered, to `max`.",
    ),
    section(
        "tables[]",
        Presence::Repeated,
        "A table to capture, by its `name`, or all tables of a form, by `match`. There is at least one.",
    ),
    section(
        "tables[].columns",
        Presence::Always,
        "Which columns of the table above leave Snowflake, and which of them masked. What is left out or masked here is so already in the staging table. A masked column is text, whatever it was, and NULL stays NULL ([guarantees.md](guarantees.md#filters-and-masks)). A name that is no column halts the capture, so that a renamed column does not slip through; patterns may match nothing.",
    ),
];

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const fn seconds(min: u64, max: u64) -> Kind {
    Kind::Duration { min: Duration::from_secs(min), max: Duration::from_secs(max) }
}

const fn millis(min: u64, max: u64) -> Kind {
    Kind::Duration { min: Duration::from_millis(min), max: Duration::from_millis(max) }
}

const REPLICAS: Kind = Kind::Integer { min: -1, max: 1_000 };
const PARTITIONS: Kind = Kind::Integer { min: 1, max: 100_000 };

const fn setting(
    path: &'static str,
    kind: Kind,
    fallback: Fallback,
    example: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { path, kind, fallback, doc, example }
}

/// Every setting there is.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("name", Kind::Text(&rule::PIPELINE), Required, r#""shop-cdc""#,
        "Name of the pipeline: part of transactional ids, checkpoint keys and every event's `source.name`. Changing it makes another pipeline, which begins anew."),

    setting("snowflake.connection", Kind::Text(&rule::FILLED), Otherwise("none"), r#""snowmelt""#,
        "A connection of `connections.toml`, as Snowflake's own tools have it ([authentication.md](authentication.md#connections-of-other-tools)). Account, URL, user, authenticator, secrets, role and warehouse that are not set here come from there."),
    setting("snowflake.account", Kind::Text(&rule::ACCOUNT), Otherwise("the connection's; in a container service `SNOWFLAKE_ACCOUNT`. Needed otherwise"), r#""myorg-myaccount""#,
        "Account identifier, `organisation-account` or a locator."),
    setting("snowflake.url", Kind::Text(&rule::BASE_URL), Otherwise("the connection's; in a container service `https://<SNOWFLAKE_HOST>`; else `https://<account>.snowflakecomputing.com`"), r#""https://myorg-myaccount.snowflakecomputing.com""#,
        "Base URL of the account. `http` is allowed for `localhost` and loopback addresses only."),
    setting("snowflake.user", Kind::Text(&rule::FILLED), Otherwise("the connection's"), r#""SNOWMELT""#,
        "Login name. Needed by `password` and `key_pair`, and refused with `container_service`, whose token says who logs in."),
    setting("snowflake.authenticator", Kind::Choice(Authenticator::WORDS), Otherwise("the connection's; else `password`"), r#""key_pair""#,
        "How to log in: [authentication.md](authentication.md) has an example of each."),
    setting("snowflake.password", Kind::Secret, Otherwise("the connection's"), r#"{ env = "SNOWMELT_PASSWORD" }"#,
        "Password, for `password` and no other authenticator."),
    setting("snowflake.private_key", Kind::Secret, Otherwise("the connection's"), r#"{ file = "rsa_key.p8" }"#,
        "Private key, for `key_pair`: PKCS #8 in PEM, plain or encrypted, RSA of 2048 bits or more. A file is read again at each login."),
    setting("snowflake.private_key_passphrase", Kind::Secret, Otherwise("the connection's"), r#"{ env = "SNOWMELT_PASSPHRASE" }"#,
        "Passphrase of an encrypted `private_key`."),
    setting("snowflake.token", Kind::Token, Otherwise("the connection's; with `container_service` the file `/snowflake/session/token`"), r#"{ file = "snowflake-token" }"#,
        "Token, for `oauth`, `programmatic_access_token` and `container_service`. At each login a file is read again and a command is run again. A command is no shell line; it runs in the folder of this file, has a minute, and prints the token to its standard output."),
    setting("snowflake.role", Kind::Text(&rule::FILLED), Otherwise("the connection's; else the user's default role"), r#""SNOWMELT""#,
        "Role of the session."),
    setting("snowflake.warehouse", Kind::Text(&rule::FILLED), Otherwise("the connection's; else the user's default warehouse"), r#""SNOWMELT""#,
        "Warehouse that stages and reads changes. An idle table does not use it."),
    setting("snowflake.state_schema", Kind::Text(&rule::SCHEMA), Otherwise("none; needed unless every table has `read = \"changes\"`"), r#""SNOWMELT.STATE""#,
        "Existing schema that holds streams and staging tables. Unquoted identifiers are upper-case, quoted ones are kept."),
    setting("snowflake.client_id", Kind::Text(&rule::FILLED), Value(r#""Go""#), r#""Go""#,
        "`CLIENT_APP_ID` of the login. Snowflake decides by it whether a session may have Arrow results."),
    setting("snowflake.client_version", Kind::Text(&rule::FILLED), Value(r#""1.19.0""#), r#""1.19.0""#,
        "`CLIENT_APP_VERSION` of the login."),
    setting("snowflake.query_tag", Kind::Text(&rule::FILLED), Otherwise("`snowmelt/<name>`"), r#""snowmelt/shop-cdc""#,
        "Query tag of every statement, to find them in the query history."),
    setting("snowflake.result_format", Kind::Choice(ResultFormat::WORDS), Value(r#""arrow""#), r#""json""#,
        "Encoding asked of Snowflake for results."),
    setting("snowflake.request_timeout", seconds(1, 3_600), Value(r#""120s""#), r#""120s""#,
        "Longest wait for one HTTP answer. Long statements are polled, and may take longer than this."),
    setting("snowflake.session_parameters", Kind::Map(&rule::PARAMETER), Otherwise("none"), r#"{ STATEMENT_TIMEOUT_IN_SECONDS = "3600" }"#,
        "Further session parameters, each value a string. `AUTOCOMMIT`, `QUERY_TAG` and the result format are the publisher's own."),
    setting("snowflake.hash_salt", Kind::Secret, Otherwise("none; needed for `columns.hash`"), r#"{ file = "hash-salt" }"#,
        "What hashes of masked columns are salted with, at least 16 characters. Equal values have equal hashes wherever the salt is the same; with another salt a hashed key is another key. Snowflake gets its SHA-256 as a session variable at login, not in any statement."),

    setting("kafka.bootstrap_servers", Kind::List(&rule::SERVER), Otherwise("none; needed unless there is a `[tunnel]`"), r#"["broker-1:9092", "broker-2:9092"]"#,
        "Brokers to ask first; the others are learnt from them."),
    setting("kafka.client_id", Kind::Text(&rule::FILLED), Otherwise("`snowmelt-<name>`"), r#""snowmelt-shop-cdc""#,
        "Client id, as it stands in the brokers' logs and quotas."),
    setting("kafka.compression", Kind::Choice(Compression::WORDS), Value(r#""none""#), r#""lz4""#,
        "Compression of record batches."),
    setting("kafka.batch_bytes", Kind::Size { min: KIB, max: GIB }, Value(r#""1MB""#), r#""512KiB""#,
        "Largest batch of one partition. At most `max_message_bytes`."),
    setting("kafka.max_message_bytes", Kind::Size { min: KIB, max: GIB }, Value(r#""1MiB""#), r#""4MiB""#,
        "Largest record, key and value together. Not above the topics' `max.message.bytes`."),
    setting("kafka.request_timeout", seconds(1, 600), Value(r#""30s""#), r#""30s""#,
        "Longest wait for a broker's answer. At least a second shorter than `delivery_timeout`."),
    setting("kafka.transaction_timeout", seconds(2, 900), Value(r#""60s""#), r#""60s""#,
        "After this the coordinator aborts a transaction that a dead publisher left open; until then consumers wait at it. Not above the broker's `transaction.max.timeout.ms`."),
    setting("kafka.delivery_timeout", seconds(2, 900), Value(r#""45s""#), r#""45s""#,
        "Longest time from handing over a record to its acknowledgement, retries included. At most `transaction_timeout`."),

    setting("kafka.tls.enabled", Kind::Flag, Value("false"), "true",
        "Whether to speak TLS to the brokers."),
    setting("kafka.tls.ca_file", Kind::File, Otherwise("the public certificate authorities"), r#""ca.pem""#,
        "PEM certificates of the authorities to trust."),
    setting("kafka.tls.certificate_file", Kind::File, Otherwise("no client certificate"), r#""client.pem""#,
        "PEM certificate chain of this client. Goes with `key_file`."),
    setting("kafka.tls.key_file", Kind::File, Otherwise("no client certificate"), r#""client.key""#,
        "PEM private key of this client. Goes with `certificate_file`."),

    setting("kafka.sasl.mechanism", Kind::Choice(Mechanism::WORDS), Required, r#""SCRAM-SHA-512""#,
        "SASL mechanism."),
    setting("kafka.sasl.username", Kind::Text(&rule::FILLED), Required, r#""snowmelt""#,
        "User name."),
    setting("kafka.sasl.password", Kind::Secret, Required, r#"{ file = "kafka-password" }"#,
        "Password."),

    setting("tunnel.to", Kind::Text(&rule::RELAY_NAME), Required, r#""kafka""#,
        "The name under which the outlet is registered (`snowmelt outlet --relay NAME`)."),
    setting("tunnel.allow", Kind::Text(&rule::POLICY), Required, r#""snowflake-kafka-outlet""#,
        "Which outlets may answer."),
    setting("tunnel.ticket", Kind::SpentSecret, Otherwise("the variable `SNOWMELT_TICKET`"), r#"{ file = "ticket" }"#,
        "The invitation of `snowmelt project ticket`, needed at the first start only."),
    setting("tunnel.state", Kind::Folder, Otherwise("`inlet` beside this file; with a `key`, nothing is kept"), r#""/var/lib/snowmelt/inlet""#,
        "Where key and credential are kept, so that the next start needs no ticket."),
    setting("tunnel.key", Kind::Secret, Otherwise("one made and kept in `state`"), r#"{ env = "SNOWMELT_NODE_KEY" }"#,
        "This node's key: PKCS #8 in PEM, EC on P-256. For containers without a durable disk."),
    setting("tunnel.passphrase", Kind::Secret, Otherwise("none: the key on disk is guarded by its mode alone"), r#"{ file = "passphrase" }"#,
        "Encrypts the key on disk."),
    setting("tunnel.relay_ca", Kind::File, Otherwise("what the ticket says"), r#""ca.pem""#,
        "PEM certificates of the authorities of the relay's certificate."),
    setting("tunnel.from", Kind::Text(&rule::ENDPOINT), Value(r#""127.0.0.1:0""#), r#""127.0.0.1:9092""#,
        "Where the inlet listens for this publisher; port 0 is any free one. Whoever reaches this address reaches Kafka: keep it on loopback."),
    setting("tunnel.broker_ports", Kind::Text(&rule::PORTS), Otherwise("any free ones"), r#""9093-9192""#,
        "Local ports for the cluster's brokers."),

    setting("checkpoint.topic", Kind::Text(&rule::TOPIC), Value(r#""snowmelt-checkpoints""#), r#""snowmelt-checkpoints""#,
        "Name of the topic. Pipelines may share it: every record's key has the pipeline's name."),
    setting("checkpoint.partitions", PARTITIONS, Value("1"), "1",
        "Partitions, when it is created."),
    setting("checkpoint.replication_factor", REPLICAS, Value("-1"), "3",
        "Replicas, when it is created; `-1` is the broker's default."),

    setting("topics.name", Kind::Text(&rule::TOPIC_TEMPLATE), Value(r#""{database}.{schema}.{table}""#), r#""cdc.{pipeline}.{table}""#,
        "Name of a table's topic, with `{pipeline}`, `{database}`, `{schema}`, `{table}`. Characters of identifiers that Kafka does not allow become `_`. Two tables may not map to one topic, nor to two that differ only in `.` and `_`."),
    setting("topics.dead_letter", Kind::Text(&rule::TOPIC_TEMPLATE), Value(r#""{pipeline}.dead-letters""#), r#""dead.{table}""#,
        "Name of the topic of rows that cannot be published, for tables with `on_poison = \"dead_letter\"`; placeholders as in `name`. Tables may share it. It may not be the topic of events or checkpoints."),
    setting("topics.create", Kind::Flag, Value("true"), "false",
        "Whether missing topics are created."),
    setting("topics.partitions", PARTITIONS, Value("6"), "12",
        "Partitions of a created topic. Adding some later moves keys between partitions."),
    setting("topics.replication_factor", REPLICAS, Value("-1"), "3",
        "Replicas of a created topic; `-1` is the broker's default."),
    setting("topics.notifications", Kind::Text(&rule::TOPIC), Value(r#""snowmelt-notifications""#), r#""snowmelt-notifications""#,
        "Topic of what is announced beside the events: shapes of tables, and where snapshots begin and end. Pipelines may share it."),
    setting("topics.commands", Kind::Text(&rule::TOPIC), Value(r#""snowmelt-commands""#), r#""snowmelt-commands""#,
        "Topic of commands, such as those of `snowmelt snapshot`. Pipelines may share it. Whoever may write to it may command."),

    setting("format.envelope", Kind::Choice(Envelope::WORDS), Value(r#""debezium""#), r#""plain""#,
        "Shape of a record's value."),
    setting("format.schema", Kind::Flag, Value("false"), "true",
        "Whether each key and value carries its schema, as Kafka Connect's JSON converter writes it."),
    setting("format.tombstones", Kind::Flag, Value("true"), "false",
        "Whether a delete is followed by a record of the key without a value, which lets compaction forget the key. With `plain` it is the delete itself and may not be turned off."),
    setting("format.numbers", Kind::Choice(Numbers::WORDS), Value(r#""auto""#), r#""string""#,
        "How fixed-point numbers are written."),
    setting("format.variant", Kind::Choice(VariantForm::WORDS), Value(r#""string""#), r#""json""#,
        "How VARIANT, OBJECT and ARRAY are written."),
    setting("format.binary", Kind::Choice(BinaryForm::WORDS), Value(r#""base64""#), r#""hex""#,
        "How BINARY is written."),

    setting("delivery.slice_rows", Kind::Integer { min: 1, max: 1_000_000 }, Value("20000"), "5000",
        "Rows of one transaction."),
    setting("delivery.slice_bytes", Kind::Size { min: 64 * KIB, max: GIB }, Value(r#""8MiB""#), r#""4MiB""#,
        "Bytes of one transaction. At most a quarter of `memory`."),
    setting("delivery.slice_interval", millis(1, 60_000), Value(r#""250ms""#), r#""1s""#,
        "Time of one transaction. At most half of `kafka.transaction_timeout`."),
    setting("delivery.memory", Kind::Size { min: 16 * MIB, max: 64 * GIB }, Value(r#""64MiB""#), r#""128MiB""#,
        "Budget for rows and records in flight, over all tables."),
    setting("delivery.shutdown_timeout", seconds(1, 600), Value(r#""25s""#), r#""25s""#,
        "Time to finish or abandon what is in flight after a request to stop. Keep it below what the supervisor grants."),

    setting("poll.interval", millis(50, 3_600_000), Value(r#""1s""#), r#""5s""#,
        "Time between two probes of an idle stream. With a `freshness` the time grows while nothing changes, up to half of that."),
    setting("poll.freshness", seconds(2, 7 * 24 * 3_600), Otherwise("none: what a probe finds is read at once"), r#""10m""#,
        "How old a change may be when it is in Kafka. Until then tables wait for one another, to share a wake of the warehouse. At least twice `interval`."),
    setting("poll.max_warehouse_seconds_per_hour", Kind::Integer { min: 1, max: 3_600 }, Otherwise("none: no limit"), "300",
        "Most seconds that the warehouse may be up for this publisher within any hour, as it estimates. Beats `freshness`: what has no room waits, and the status says so. Initial rows, snapshots that were ordered and streams that go stale soon do not wait; they are counted."),

    setting("discovery.interval", millis(50, 24 * 3_600_000), Value(r#""1m""#), r#""5m""#,
        "Time between two looks."),

    setting("changes.lag", millis(0, 6 * 3_600_000), Value(r#""60s""#), r#""30s""#,
        "How far behind Snowflake's clock a window ends. Must be longer than it ever takes from the moment a commit is dated with until other sessions see it: a commit that shows later is missed. Windows are looked at a second time after twice as long, and one that has changed halts the capture ([guarantees.md](guarantees.md#windows-instead-of-a-stream)). Changes arrive about this much later."),

    setting("staleness.warn_before", millis(0, 90 * 24 * 3_600_000), Value(r#""72h""#), r#""24h""#,
        "How long before it may go stale a stream is warned of, in the log and in the status. Of a table that is read by windows, how long before changes leave Time Travel; at most half of that."),
    setting("staleness.interval", millis(50, 24 * 3_600_000), Value(r#""1m""#), r#""5m""#,
        "Time between two looks at a stream's forecast. They use no warehouse."),

    setting("retry.initial", millis(1, 60_000), Value(r#""200ms""#), r#""200ms""#,
        "First wait. At most `max`."),
    setting("retry.max", millis(1, 3_600_000), Value(r#""30s""#), r#""30s""#,
        "Longest wait."),
    setting("retry.halted", millis(50, 24 * 3_600_000), Value(r#""1m""#), r#""10m""#,
        "Time between two tries of a table that waits for a person, while other tables go on."),

    setting("tables[].name", Kind::Text(&rule::OBJECT), Otherwise("none; needed unless there is a `match`"), r#""SHOP.PUBLIC.ORDERS""#,
        "The table, view, dynamic, external, event or Iceberg table, or the stage whose directory table is meant. Unquoted identifiers are upper-case, quoted ones are kept. Each table once."),
    setting("tables[].match", Kind::Text(&rule::NAME_PATTERN), Otherwise("none"), r#""SHOP.PUBLIC.ORDERS_*""#,
        "In place of `name`: all tables of this form, also those that are made later ([discovery.md](discovery.md)). `*` stands for any characters. Letters outside quotes are upper-case; quotes keep what is in them, and may stand beside a `*`: `'SHOP.PUBLIC.\"Orders_\"*'`. The other settings hold for each of them. A table that has a section of its own is left to that."),
    setting("tables[].exclude", Kind::List(&rule::NAME_PATTERN_TAIL), Otherwise("none"), r#"["*_TMP", "SHOP.PUBLIC.ORDERS_OLD"]"#,
        "Tables that `match` does not find after all. Leading parts may be left out."),
    setting("tables[].key", Kind::List(&rule::COLUMN), Otherwise("the declared primary key, or else the row id; of a directory table, `RELATIVE_PATH`"), r#"["ORDER_ID"]"#,
        "Columns that make the record's key. They must be unique in the table. Views and dynamic tables declare none; external tables need one here."),
    setting("tables[].topic", Kind::Text(&rule::TABLE_TOPIC), Otherwise("`topics.name`, filled in"), r#""orders""#,
        "The topic; placeholders as in `topics.name`. Tables that both name a topic share it; see to it that their keys differ."),
    setting("tables[].snapshot", Kind::Choice(Snapshot::WORDS), Value(r#""initial""#), r#""never""#,
        "Where the table's events begin. External and directory tables need `never`: their streams cannot show what is there already."),
    setting("tables[].read", Kind::Choice(Way::WORDS), Value(r#""stream""#), r#""changes""#,
        "How its changes are read. `changes` needs change tracking to be on, and reads tables, event tables, Iceberg tables of Snowflake's catalog, and views. The two do not continue each other: after a change of this setting order a snapshot."),
    setting("tables[].max_rows_per_batch", Kind::Integer { min: 1, max: 1_000_000_000_000 }, Otherwise("any number"), "1000000",
        "With `read = \"changes\"`: a window that counts more rows is halved until it does not, down to a millisecond; what one transaction changed is never cut. Counting uses the warehouse. A stream's batch cannot be cut."),
    setting("tables[].mode", Kind::Choice(Mode::WORDS), Value(r#""standard""#), r#""append_only""#,
        "What is recorded of its changes. [Which kind allows what](events.md#kinds)."),
    setting("tables[].stream", Kind::Text(&rule::OBJECT), Otherwise("a stream of the publisher's own"), r#""SHOP.PUBLIC.ORDERS_STREAM""#,
        "An existing stream to consume, which nothing else may consume. It must be on this very object and of this `mode`. Goes with `snapshot = \"never\"`."),
    setting("tables[].on_stale", Kind::Choice(OnStale::WORDS), Value(r#""halt""#), r#""resnapshot""#,
        "What to do when the table's stream is lost: gone stale, dropped, or its table replaced. Never does the publisher replace a stream unasked. With `read = \"changes\"`: when changes have left Time Travel or were not tracked, the table was replaced, or a window is not what it was."),
    setting("tables[].on_poison", Kind::Choice(OnPoison::WORDS), Value(r#""fail""#), r#""dead_letter""#,
        "What becomes of a row that is larger than `kafka.max_message_bytes`, or that has no form in JSON ([events.md](events.md#dead-letters))."),
    setting("tables[].filter", Kind::Text(&rule::FILTER), Otherwise("every row"), r#""REGION = 'EU' AND NOT IS_TEST""#,
        "Which rows are captured: a condition in Snowflake's SQL on the row's own columns, also those that are not sent. A row that begins to fit is a create, one that no longer fits is a delete ([guarantees.md](guarantees.md#filters-and-masks)). It may not go by the clock, the session or other tables. Changing it halts the capture, which then needs a new snapshot."),

    setting("tables[].columns.include", Kind::List(&rule::PATTERN), Otherwise("all columns"), r#"["ORDER_ID", "TOTAL*"]"#,
        "The only columns that are sent."),
    setting("tables[].columns.exclude", Kind::List(&rule::PATTERN), Otherwise("none"), r#"["INTERNAL_*", "NOTE"]"#,
        "Columns that are not sent, even if they are included. Not the key's."),
    setting("tables[].columns.hash", Kind::List(&rule::PATTERN), Otherwise("none"), r#"["EMAIL"]"#,
        "Columns of which a salted SHA-256 in hexadecimal is sent. The only mask for key columns. Not for FLOAT, semi-structured and geospatial columns and vectors, which have no one text."),
    setting("tables[].columns.redact", Kind::List(&rule::PATTERN), Otherwise("none"), r#"["PHONE"]"#,
        "Columns of which `***` is sent."),
    setting("tables[].columns.truncate", Kind::Counts(&rule::PATTERN, 1_000_000), Otherwise("none"), r#"{ POSTCODE = 2 }"#,
        "Columns of which so many leading characters are sent. For text, numbers, dates, times and TIMESTAMP_NTZ (`YYYY-MM-DD HH:MI:SS.` and nine digits)."),
];
