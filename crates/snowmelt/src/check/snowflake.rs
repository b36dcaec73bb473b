//! Snowflake's side: login, warehouse, state schema; the captured objects are `object`'s.

use std::sync::Arc;

use super::Findings;
use crate::config::{Config, ObjectName, Snowflake};
use crate::source::SourceError;
use crate::source::object::{Plan, StreamMode};
use crate::source::selection::Selection;
use crate::source::session::Session;
use crate::source::staging::{self, Note};
use crate::source::value::{Column, DataType};
use crate::warehouse::Facts;

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
        let state = state_ok.then_some(&settings.state_schema);
        super::object::check(&session, table, &role, state, findings).await;
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
    match Facts::find(session).await {
        Ok(Some(facts)) => say(&facts, findings),
        Ok(None) => findings.warning(
            "warehouse",
            format!("{name}: its size is not known, so there will be no estimate of credits"),
            format!("GRANT MONITOR ON WAREHOUSE {name} TO the role"),
        ),
        Err(error) => {
            findings.failure("warehouse", error);
            return false;
        }
    }
    true
}

fn say(facts: &Facts, findings: &mut Findings) {
    let price = facts.credits_per_hour.map_or_else(
        || "price not known here".to_owned(),
        |credits| format!("{credits} credit{} an hour", if credits > 1.0 { "s" } else { "" }),
    );
    let clusters = if facts.clusters > 1 { format!(", up to {} clusters", facts.clusters) } else { String::new() };
    let found = format!("{}: {}, {price}{clusters}", facts.name, facts.size);
    match facts.advice() {
        Some((because, remedy)) => findings.warning("warehouse", format!("{found}; {because}"), remedy),
        None => findings.ok("warehouse", found),
    }
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
                SourceError::Refused { code, .. } if code == "000608" => {
                    "ALTER WAREHOUSE … SET AUTO_RESUME = TRUE, or resume it".to_owned()
                }
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
    let plan = Plan { on: "TABLE", mode: StreamMode::Standard, initial: true };
    run("stream", staging::create_stream(stream, &plan, table, None, &Note::new(None, true))).await?;
    if wake {
        let id = Column { name: "ID".to_owned(), ty: DataType::Fixed { precision: 38, scale: 0 }, nullable: true };
        let note = Note::new(Some(vec!["ID".to_owned()]), true);
        run("staging", staging::create_staging(staging_table, stream, table, &[&id], &Selection::default(), &note))
            .await?;
        run("staging", staging::read_staging(staging_table, 0)).await?;
    }
    Ok(())
}
