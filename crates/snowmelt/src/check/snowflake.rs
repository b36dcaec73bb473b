//! Snowflake's side: login, warehouse, state schema; the captured objects are `object`'s.

use std::sync::Arc;

use super::Findings;
use crate::config::{Config, ObjectName, SchemaName, Snowflake, Way};
use crate::source::SourceError;
use crate::source::object::{Plan, StreamMode};
use crate::source::selection::Selection;
use crate::source::session::Session;
use crate::source::staging::{self, Note};
use crate::source::value::{Column, DataType};

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
    let state = match &settings.state_schema {
        // What no table needs is not tried.
        Some(schema) if config.tables.iter().any(|table| table.read == Way::Stream) => {
            let ok = check_state_schema(&session, schema, wake_warehouse && warehouse, findings).await;
            Some(schema).filter(|_| ok)
        }
        _ => None,
    };
    for table in &config.tables {
        super::object::check(&session, config, table, &role, state, findings).await;
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
async fn check_state_schema(session: &Arc<Session>, schema: &SchemaName, wake: bool, findings: &mut Findings) -> bool {
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
