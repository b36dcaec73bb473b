//! Snowflake's side: login, warehouse, state schema, every table, every stream that is there already.

use std::sync::Arc;

use super::Findings;
use crate::config::{Config, ObjectName, Snowflake, Table};
use crate::source::SourceError;
use crate::source::selection::Selection;
use crate::source::session::Session;
use crate::source::staging::{self, Note};
use crate::source::value::{Column, DataType};

/// A stream that becomes stale sooner than this is worth a word (streams go stale days after their last read).
const STALE_SOON_MS: i64 = 3 * 24 * 3600 * 1000;

pub(super) async fn check(config: &Config, wake_warehouse: bool, findings: &mut Findings) {
    let settings = &config.snowflake;
    for warning in &settings.warnings {
        let (found, remedy) = warning.rsplit_once("; ").unwrap_or((warning, ""));
        findings.warning("login", found, remedy);
    }
    let session = match Session::connect(settings).await {
        Ok(session) => session,
        Err(error) => {
            return match login_remedy(&error) {
                Some(remedy) => findings.problem("login", error.finding(), remedy),
                None => findings.failure("login", error),
            };
        }
    };
    let info = session.info().clone();
    let role = info.role_name.clone().unwrap_or_else(|| "PUBLIC".to_owned());
    findings.ok(
        "login",
        format!("{}, role {role}, at {} (Snowflake {})", session.who(), settings.url, session.server_version()),
    );
    let warehouse = check_warehouse(&session, settings, findings).await;
    let state_ok = check_state_schema(&session, config, wake_warehouse && warehouse, findings).await;
    for table in &config.tables {
        check_table(&session, table, &role, state_ok, findings).await;
    }
    session.close().await;
}

fn login_remedy(error: &SourceError) -> Option<String> {
    error.login_remedy().or_else(|| match error {
        SourceError::Unreachable { .. } => {
            Some("check snowflake.account or snowflake.url, name resolution and egress rules".to_owned())
        }
        _ => None,
    })
}

/// True when there is a warehouse to try.
async fn check_warehouse(session: &Arc<Session>, settings: &Snowflake, findings: &mut Findings) -> bool {
    let Some(name) = session.info().warehouse_name.clone().filter(|name| !name.is_empty()) else {
        let wanted = settings.warehouse.clone().unwrap_or_else(|| "<warehouse>".to_owned());
        findings.problem(
            "warehouse",
            "the session has none",
            format!("set snowflake.warehouse, and GRANT USAGE ON WAREHOUSE {wanted} TO the role"),
        );
        return false;
    };
    findings.ok("warehouse", &name);
    true
}

/// Tries what a publisher does in the state schema, under a name of its own; true when that works.
async fn check_state_schema(session: &Arc<Session>, config: &Config, wake: bool, findings: &mut Findings) -> bool {
    let schema = &config.snowflake.state_schema;
    let subject = format!("state schema {schema}");
    let tag = format!("SNOWMELT_CHECK_{:08X}", rand::random::<u32>());
    let table = schema.object(format!("{tag}_TABLE"));
    let stream = schema.object(format!("{tag}_STREAM"));
    let staging_table = schema.object(format!("{tag}_STAGING"));
    let tried = try_state_schema(session, &table, &stream, &staging_table, wake).await;
    for (kind, name) in [("STREAM", &stream), ("TABLE", &staging_table), ("TABLE", &table)] {
        let sql = format!("DROP {kind} IF EXISTS {}", name.quoted());
        if let Err(error) = session.table("the cleaning up of the check", &sql).await {
            tracing::debug!(%error, %name, "not dropped");
        }
    }
    match tried {
        Ok(()) if wake => findings.ok(subject, "a table, a stream and a staging table can be made, read and dropped"),
        Ok(()) => findings.warning(
            subject,
            "a table and a stream can be made and dropped; staging was not tried",
            "run the check without --metadata-only to try one statement on the warehouse",
        ),
        Err((what, error)) => {
            let remedy = match &error {
                SourceError::Refused { code, .. } if code == "002003" => format!(
                    "create schema {schema}, and grant the role USAGE on database {} and on the schema",
                    schema.database
                ),
                SourceError::Refused { code, .. } if code == "000606" || what == "staging" => {
                    "grant the role USAGE on the warehouse, and set snowflake.warehouse".to_owned()
                }
                SourceError::Refused { .. } => {
                    format!("GRANT CREATE {} ON SCHEMA {schema} TO the role", what.to_uppercase())
                }
                _ => "see the message".to_owned(),
            };
            findings.problem(subject, error.finding(), remedy);
            return false;
        }
    }
    true
}

async fn try_state_schema(
    session: &Arc<Session>,
    table: &ObjectName,
    stream: &ObjectName,
    staging_table: &ObjectName,
    wake: bool,
) -> Result<(), (&'static str, SourceError)> {
    let run = |what: &'static str, sql: String| async move {
        session.table("a trial in the state schema", &sql).await.map(drop).map_err(|error| (what, error))
    };
    run("table", format!("CREATE TABLE {} (ID INT)", table.quoted())).await?;
    run("stream", staging::create_stream(stream, table, None, &Note::new(None, true))).await?;
    if wake {
        let id = Column { name: "ID".to_owned(), ty: DataType::Fixed { precision: 38, scale: 0 }, nullable: true };
        let note = Note::new(Some(vec!["ID".to_owned()]), true);
        run("staging", staging::create_staging(staging_table, stream, table, &[&id], &Selection::default(), &note))
            .await?;
        run("staging", staging::read_staging(staging_table, 0)).await?;
    }
    Ok(())
}

async fn check_table(session: &Arc<Session>, table: &Table, role: &str, state_ok: bool, findings: &mut Findings) {
    let name = &table.name;
    let subject = format!("table {name}");
    let columns = match session.describe("the columns of the table", &format!("SELECT * FROM {}", name.quoted())).await
    {
        Ok(columns) => columns,
        Err(error @ SourceError::Value(_)) => return findings.failure(subject, error),
        Err(error) => {
            let remedy = format!(
                "create it, or GRANT USAGE ON DATABASE {0}, USAGE ON SCHEMA {0}.{1} and SELECT ON TABLE {name} TO ROLE {role}",
                name.database, name.schema
            );
            return findings.problem(subject, error.finding(), remedy);
        }
    };
    let key = check_key(session, table, &columns, findings).await;
    check_selection(session, table, &columns, &key, findings).await;
    if let Some(stream) = &table.stream {
        return check_stream(session, table, stream, findings).await;
    }
    check_change_tracking(session, table, role, findings).await;
    if !state_ok {
        findings.warning(subject, "whether a stream can be made on it was not tried", "mend the state schema first");
    }
}

async fn check_change_tracking(session: &Arc<Session>, table: &Table, role: &str, findings: &mut Findings) {
    let name = &table.name;
    let subject = format!("table {name}");
    let listed = match session.table("the properties of the table", &staging::show_one("TABLES", name)).await {
        Ok(listed) => listed,
        Err(error) => return findings.failure(subject, error),
    };
    let Some(row) = listed.rows().next() else {
        return findings.problem(subject, "it is no table", "capture a table; views and others are not supported yet");
    };
    let on = row.text("change_tracking").is_some_and(|text| text.eq_ignore_ascii_case("on"));
    let owner = row.text("owner").unwrap_or_default();
    if on {
        findings.ok(subject, "readable, change tracking is on");
    } else if owner == role {
        findings
            .ok(subject, "readable; change tracking is off, the first stream switches it on (the role owns the table)");
    } else {
        findings.problem(
            subject,
            format!("change tracking is off and role {role} does not own the table ({owner} does)"),
            format!("ALTER TABLE {name} SET CHANGE_TRACKING = TRUE as {owner}"),
        );
    }
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

/// The key columns' names, none if there is no key.
async fn check_key(session: &Arc<Session>, table: &Table, columns: &[Column], findings: &mut Findings) -> Vec<String> {
    let subject = format!("key of {}", table.name);
    let (key, origin) = match &table.key {
        Some(key) => (key.clone(), "configured"),
        None => match crate::source::primary_key(session, &table.name).await {
            Ok(key) => (key, "declared as the primary key"),
            Err(error) => {
                findings.failure(subject, error);
                return Vec::new();
            }
        },
    };
    if key.is_empty() {
        findings.warning(
            subject,
            "none is declared or configured: each row's key is its row id, which consumers cannot know",
            "set `key` for the table, or declare a primary key",
        );
        return key;
    }
    match crate::source::resolve_key(&table.name, &key, columns) {
        Ok(_) => {
            findings.ok(subject, format!("{} ({origin}; Snowflake does not enforce that it is unique)", key.join(", ")))
        }
        Err(error) => findings.failure(subject, error),
    }
    key
}

async fn check_stream(session: &Arc<Session>, table: &Table, stream: &ObjectName, findings: &mut Findings) {
    let subject = format!("stream {stream}");
    let listed = match session.table("the state of the stream", &staging::show_one("STREAMS", stream)).await {
        Ok(listed) => listed,
        Err(error) => return findings.failure(subject, error),
    };
    let Some(row) = listed.rows().next() else {
        return findings.problem(
            subject,
            "it does not exist, or the role may not see it",
            "create it, or GRANT SELECT on it, or remove `stream` and let the publisher make its own",
        );
    };
    if row.text("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")) {
        return findings.problem(
            subject,
            "it is stale: changes are lost to it",
            "recreate it, or let the publisher make its own",
        );
    }
    let on = row.text("table_name").unwrap_or_default();
    if on.parse::<ObjectName>().ok().as_ref() != Some(&table.name) {
        return findings.problem(
            subject,
            format!("it is a stream on {on}"),
            format!("name a stream on {}", table.name),
        );
    }
    if let Some(after) = row.millis("stale_after")
        && after - crate::status::now_ms() < STALE_SOON_MS
    {
        return findings.warning(subject, "it becomes stale in less than three days", "start the publisher soon");
    }
    findings.ok(subject, "there, on the right table, not stale");
}
