//! Every captured object: what it is, which stream can follow it, its key, its stream if it is there already.
//!
//! Whether the changes of a view can be told, only making a stream shows; so one is made on it and dropped again. It
//! switches change tracking on where the role may, as the capture's own would.

use std::sync::Arc;

use super::Findings;
use crate::config::{Config, ObjectName, SchemaName, Table, Way};
use crate::privilege::Privilege;
use crate::source::SourceError;
use crate::source::object::{Kind, Object, Plan};
use crate::source::selection::Selection;
use crate::source::session::{Session, TableRow};
use crate::source::staging::{self, Note};
use crate::source::value::Column;

/// A stream that becomes stale sooner than this is worth a word (streams go stale days after their last read).
const STALE_SOON_MS: i64 = 3 * 24 * 3600 * 1000;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Looks at one object. `state` is the state schema, if streams can be made in it.
pub(super) async fn check(
    session: &Arc<Session>,
    config: &Config,
    table: &Table,
    role: &str,
    state: Option<&SchemaName>,
    findings: &mut Findings,
) {
    let name = &table.name;
    let subject = format!("table {name}");
    let object = match Object::find(session, name).await {
        Ok(Some(object)) => object,
        Ok(None) => {
            let remedy = format!(
                "create it, or {} (what it is cannot be told; if it is no table, as `snowmelt sql grants --connect` says)",
                Privilege::read(name, None).statement(role)
            );
            return findings.problem(subject, "it does not exist, or the role may not see it", remedy);
        }
        Err(error) => return findings.failure(subject, error),
    };
    // What a stream could not follow may have windows all the same; `windows` looks at that.
    let by_windows = table.read == Way::Changes;
    if by_windows && let Err(error) = object.check_windows(table) {
        return findings.unfit(subject, &error);
    }
    let plan = match object.plan(table) {
        Ok(plan) => plan,
        Err(error) => return findings.unfit(subject, &error),
    };
    let mut columns = None;
    if object.kind.can_be_selected() {
        match session.describe("the columns of the table", &format!("SELECT * FROM {}", name.quoted())).await {
            Ok(found) => {
                if let Err(error) = object.check_columns(name, &plan, &found) {
                    return findings.unfit(subject, &error);
                }
                columns = Some(found);
            }
            Err(error @ SourceError::Value(_)) => return findings.failure(subject, error),
            Err(error) => {
                let remedy = Privilege::read(name, Some(&object.kind)).statement(role);
                return findings.problem(subject, error.finding(), remedy);
            }
        }
    }
    let key = check_key(session, table, &object, columns.as_deref(), findings).await;
    check_selection(session, table, columns.as_deref().unwrap_or_default(), &key, findings).await;
    if by_windows {
        return super::windows::check(session, config, table, &object, &key, findings).await;
    }
    if let Some(stream) = &table.stream {
        describe(session, name, &object, &plan, findings).await;
        return check_adopted(session, table, &object, (&plan, stream), role, findings).await;
    }
    if !check_tracking(name, &object, role, findings) {
        return;
    }
    let Some(state) = state else {
        return findings.warning(
            subject,
            "whether a stream can be made on it was not tried",
            "mend the state schema first",
        );
    };
    if matches!(object.kind, Kind::View { .. }) {
        let trial = state.object(format!("SNOWMELT_CHECK_{:08X}_VIEW", rand::random::<u32>()));
        let made = session
            .table(
                "a trial on the view",
                &staging::create_stream(&trial, &plan, name, None, &Note::new(None, plan.initial)),
            )
            .await;
        let drop = format!("DROP STREAM IF EXISTS {}", trial.quoted());
        if let Err(error) = session.table("the cleaning up of the check", &drop).await {
            tracing::debug!(%error, %trial, "not dropped");
        }
        match made.map_err(|error| object.refused_stream(name, error)) {
            Ok(_) => {}
            Err(error @ SourceError::NotCapturable { .. }) => return findings.unfit(subject, &error),
            Err(error) => {
                let tracking = Privilege::tracking(name, Some(&object.kind)).map(|tracking| tracking.statement(role));
                let remedy = format!(
                    "as their owners, {} and the same with ALTER TABLE on every table it reads",
                    tracking.unwrap_or_default()
                );
                return findings.problem(subject, error.finding(), remedy);
            }
        }
    }
    describe(session, name, &object, &plan, findings).await;
    check_own(session, name, state, findings).await;
}

/// Whether changes are, or will be, tracked.
fn check_tracking(name: &ObjectName, object: &Object, role: &str, findings: &mut Findings) -> bool {
    let subject = format!("table {name}");
    match object.change_tracking {
        Some(false) if matches!(object.kind, Kind::View { .. }) => true,
        Some(false) if object.owner == role => {
            findings.ok(
                subject,
                "readable; change tracking is off, the first stream switches it on (the role owns the table)",
            );
            true
        }
        Some(false) => {
            let owner = &object.owner;
            let tracking = Privilege::tracking(name, Some(&object.kind)).map(|tracking| tracking.statement(role));
            findings.problem(
                subject,
                format!("change tracking is off and role {role} does not own the table ({owner} does)"),
                format!("as {owner}, {}", tracking.unwrap_or_default()),
            );
            false
        }
        Some(true) => {
            findings.ok(subject, "readable, change tracking is on");
            true
        }
        None => true,
    }
}

/// Says what it is, how it is captured, and how long an unread stream lasts.
async fn describe(session: &Arc<Session>, name: &ObjectName, object: &Object, plan: &Plan, findings: &mut Findings) {
    let mut found = format!(
        "{}, captured by {} stream",
        object.kind.word(),
        match plan.mode.word() {
            word @ ("append-only" | "insert-only") => format!("an {word}"),
            word => format!("a {word}"),
        }
    );
    let days = |text: Option<String>| text.and_then(|days| days.parse::<u32>().ok());
    let mut extension = None;
    if let Kind::Table(_) = object.kind {
        let sql = format!("SHOW PARAMETERS LIKE 'MAX_DATA_EXTENSION_TIME_IN_DAYS' IN TABLE {}", name.quoted());
        if let Ok(listed) = session.table("the parameters of the table", &sql).await {
            extension = days(listed.rows().next().and_then(|row| row.text("value")));
        }
    }
    if let Some(retention) = object.retention_days {
        found.push_str(&format!("; retention {retention} days"));
        if let Some(extension) = extension {
            found.push_str(&format!(", a stream not read for {} days goes stale", retention.max(extension)));
        }
    }
    let subject = format!("kind of {name}");
    if matches!(object.kind, Kind::View { secure: true }) {
        return findings.warning(
            subject,
            format!("{found}; a stream on a secure view does not keep its tables' history"),
            "let the publisher read it well within DATA_RETENTION_TIME_IN_DAYS of the tables",
        );
    }
    findings.ok(subject, found);
}

/// The key columns' names, none if there is no key.
async fn check_key(
    session: &Arc<Session>,
    table: &Table,
    object: &Object,
    columns: Option<&[Column]>,
    findings: &mut Findings,
) -> Vec<String> {
    let subject = format!("key of {}", table.name);
    let (key, origin) = match &table.key {
        Some(key) => (key.clone(), "configured; Snowflake does not enforce that it is unique"),
        None => match crate::source::own_key(session, &table.name, object).await {
            Ok(key) if matches!(object.kind, Kind::Stage { .. }) => (key, "the file's path"),
            Ok(key) => (key, "declared as the primary key; Snowflake does not enforce that it is unique"),
            Err(error) => {
                findings.failure(subject, error);
                return Vec::new();
            }
        },
    };
    if key.is_empty() {
        let remedy = match object.kind.has_primary_key() {
            true => "set `key` for the table, or declare a primary key",
            false => "set `key` for it",
        };
        let found = "none is declared or configured: each row's key is its row id, which consumers cannot know";
        findings.warning(subject, found, remedy);
        return key;
    }
    match columns.map(|columns| crate::source::resolve_key(&table.name, &key, columns)) {
        None | Some(Ok(_)) => findings.ok(subject, format!("{} ({origin})", key.join(", "))),
        Some(Err(error)) => findings.failure(subject, error),
    }
    key
}

/// Filter and masks, compiled and not run: names, types and the salt are Snowflake's to judge.
async fn check_selection(
    session: &Arc<Session>,
    table: &Table,
    columns: &[Column],
    key: &[String],
    findings: &mut Findings,
) {
    if table.filter.is_none() && Selection::takes_all_columns(table) {
        return;
    }
    let subject = format!("filter and columns of {}", table.name);
    let selection = match Selection::resolve(table, columns, key) {
        Ok(selection) => selection,
        Err(error) => return findings.failure(subject, error),
    };
    match session.describe("the filter and the masks", &selection.trial(table)).await {
        Ok(columns) => {
            let rows = if table.filter.is_some() { "some rows" } else { "all rows" };
            findings.ok(subject, format!("compile: {rows}, {} columns", columns.len()));
        }
        Err(error) => {
            let remedy = format!("correct `filter` and `columns` of {} in the configuration", table.name);
            findings.problem(subject, error.finding(), remedy);
        }
    }
}

/// A stream that the configuration names.
async fn check_adopted(
    session: &Arc<Session>,
    table: &Table,
    object: &Object,
    (plan, stream): (&Plan, &ObjectName),
    role: &str,
    findings: &mut Findings,
) {
    let subject = format!("stream {stream}");
    let listed = match session.table("the state of the stream", &staging::show_one("STREAMS", stream)).await {
        Ok(listed) => listed,
        Err(error) => return findings.failure(subject, error),
    };
    let Some(row) = listed.rows().next() else {
        return findings.problem(
            subject,
            "it does not exist, or the role may not see it",
            format!(
                "create it, or {} or remove `stream` and let the publisher make its own",
                Privilege::read_stream(stream).statement(role)
            ),
        );
    };
    if is_stale(&row) {
        return findings.problem(subject, "it is stale: changes are lost to it", "recreate it and take a new snapshot");
    }
    if let Err(error) = object.check_stream(&table.name, plan, &row) {
        return findings.unfit(subject, &error);
    }
    forecast(subject, "there, on the right table, not stale", &row, findings);
}

/// Streams of the capture itself, made by earlier runs of any pipeline in this state schema.
async fn check_own(session: &Arc<Session>, name: &ObjectName, state: &SchemaName, findings: &mut Findings) {
    let sql = format!("SHOW STREAMS LIKE 'SNOWMELT\\\\_%\\\\_STREAM\\\\_%' IN SCHEMA {}", state.quoted());
    let listed = match session.table("the streams of the state schema", &sql).await {
        Ok(listed) => listed,
        Err(error) => return findings.failure(format!("streams in {state}"), error),
    };
    let on_it = |row: &TableRow<'_>| row.text("table_name").and_then(|on| on.parse().ok()).as_ref() == Some(name);
    for row in listed.rows().filter(on_it) {
        let subject = format!("stream {state}.{}", row.text("name").unwrap_or_default());
        if is_stale(&row) {
            let reason = row.text("invalid_reason").unwrap_or_default();
            findings.problem(
                subject,
                format!("it is stale ({reason}): changes of {name} are lost to it"),
                "if a pipeline still uses it, give that pipeline a new name and let it begin anew; else drop it",
            );
        } else {
            forecast(subject, &format!("follows {name}"), &row, findings);
        }
    }
}

fn is_stale(row: &TableRow<'_>) -> bool {
    row.text("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"))
}

/// How long a stream lasts unless it is read.
fn forecast(subject: String, found: &str, row: &TableRow<'_>, findings: &mut Findings) {
    match row.millis("stale_after").map(|after| after - crate::status::now_ms()) {
        Some(left) if left < STALE_SOON_MS => {
            findings.warning(subject, "it becomes stale in less than three days", "start the publisher soon");
        }
        Some(left) => {
            findings.ok(subject, format!("{found}; becomes stale in {} days unless it is read", left / DAY_MS));
        }
        None => findings.ok(subject, found),
    }
}
