//! Snowflake's side: login, warehouse, state schema. Databases and schemas are `place`'s, patterns `pattern`'s, the
//! captured objects `object`'s.

use std::sync::Arc;

use super::Findings;
use super::place::Places;
use crate::config::{Config, ObjectName, SchemaName, Snowflake, Table};
use crate::privilege::{Privilege, stored};
use crate::source::SourceError;
use crate::source::object::{Plan, StreamMode};
use crate::source::selection::Selection;
use crate::source::session::Session;
use crate::source::staging::{self, Note};
use crate::source::value::{Column, DataType};
use crate::warehouse::Facts;

/// Returns the tables that patterns find.
pub(super) async fn check(config: &Config, wake_warehouse: bool, findings: &mut Findings) -> Vec<Table> {
    let settings = &config.snowflake;
    for warning in &settings.warnings {
        let (found, remedy) = warning.rsplit_once("; ").unwrap_or((warning, ""));
        findings.warning("login", found, remedy);
    }
    let session = match Session::connect(settings).await {
        Ok(session) => session,
        Err(error) => {
            match login_remedy(settings, &error) {
                Some(remedy) => findings.problem("login", error.finding(), remedy),
                None => findings.failure("login", error),
            }
            return Vec::new();
        }
    };
    let role = session.role();
    findings.ok(
        "login",
        format!("{}, role {role}, at {} (Snowflake {})", session.who(), settings.url, session.server_version()),
    );
    let warehouse = check_warehouse(&session, settings, &role, findings).await;
    let places = Places::check(&session, config, &role, findings).await;
    let found = super::pattern::check(&session, config, &places, &role, findings).await;
    let mut state = config.state_schema_in_use().filter(|schema| places.in_the_way(schema).is_none());
    if let Some(schema) = state
        && !check_state_schema(&session, config, schema, wake_warehouse && warehouse, &role, findings).await
    {
        state = None;
    }
    for table in config.tables.iter().chain(&found) {
        let needed = [Some(table.name.parent()), table.stream.as_ref().map(ObjectName::parent)];
        match needed.iter().flatten().find_map(|schema| places.in_the_way(schema)) {
            Some(place) => findings.warning(
                format!("table {}", table.name),
                format!("it was not looked at: {place} is in the way"),
                "mend that first",
            ),
            None => super::object::check(&session, config, table, &role, state, findings).await,
        }
    }
    session.close().await;
    found
}

fn login_remedy(settings: &Snowflake, error: &SourceError) -> Option<String> {
    if let (SourceError::Login { code, .. }, Some(role), Some(user)) =
        (error, settings.role.as_deref(), settings.credentials.user())
        && ["390186", "390189"].contains(&code.as_str())
    {
        return Some(format!("check snowflake.role, or {}", Privilege::role_of(user).statement(&stored(role))));
    }
    error.login_remedy().or_else(|| match error {
        SourceError::Unreachable { .. } => {
            Some("check snowflake.account or snowflake.url, name resolution and egress rules".to_owned())
        }
        _ => None,
    })
}

/// True when there is a warehouse to try. A login with one that the role may not use leaves the session without.
async fn check_warehouse(session: &Arc<Session>, settings: &Snowflake, role: &str, findings: &mut Findings) -> bool {
    let Some(name) = session.info().warehouse_name.clone().filter(|name| !name.is_empty()) else {
        let remedy = match &settings.warehouse {
            Some(name) => {
                format!("set snowflake.warehouse to one there is, or {}", Privilege::warehouse(name).statement(role))
            }
            None => "set snowflake.warehouse, and grant the role USAGE on it".to_owned(),
        };
        findings.problem("warehouse", "the session has none", remedy);
        return false;
    };
    match Facts::find(session).await {
        Ok(Some(facts)) => say(&facts, findings),
        Ok(None) => findings.warning(
            "warehouse",
            format!("{name}: its size is not known, so there will be no estimate of credits"),
            Privilege::warehouse(&name).statement(role),
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
async fn check_state_schema(
    session: &Arc<Session>,
    config: &Config,
    schema: &SchemaName,
    wake: bool,
    role: &str,
    findings: &mut Findings,
) -> bool {
    let subject = format!("state schema {schema}");
    let tag = format!("SNOWMELT_CHECK_{:08X}", rand::random::<u32>());
    let table = schema.object(format!("{tag}_TABLE"));
    let stream = schema.object(format!("{tag}_STREAM"));
    let staging_table = schema.object(format!("{tag}_STAGING"));
    // Whoever reads only streams of others makes none.
    let streams = config.makes_streams();
    let tried = try_state_schema(session, &table, streams.then_some(&stream), &staging_table, wake).await;
    for (kind, name) in [("STREAM", &stream), ("TABLE", &staging_table), ("TABLE", &table)] {
        let sql = format!("DROP {kind} IF EXISTS {}", name.quoted());
        if let Err(error) = session.table("the cleaning up of the check", &sql).await {
            tracing::debug!(%error, %name, "not dropped");
        }
    }
    let made = if streams { "a table and a stream" } else { "a table" };
    match tried {
        Ok(()) if wake => findings.ok(subject, format!("{made} and a staging table can be made, read and dropped")),
        Ok(()) => findings.warning(
            subject,
            format!("{made} can be made and dropped; staging was not tried"),
            "run the check without --metadata-only to try one statement on the warehouse",
        ),
        Err((what, error)) => {
            let remedy = match (&error, what) {
                (SourceError::Refused { code, .. }, _) if code == "000608" => {
                    "ALTER WAREHOUSE … SET AUTO_RESUME = TRUE, or resume it".to_owned()
                }
                (SourceError::Refused { .. }, "table") => Privilege::create_table(schema).statement(role),
                (SourceError::Refused { .. }, "stream") => Privilege::create_stream(schema).statement(role),
                (SourceError::Refused { .. }, _) => match &config.snowflake.warehouse {
                    Some(name) => Privilege::warehouse(name).statement(role),
                    None => "grant the role USAGE on the warehouse, and set snowflake.warehouse".to_owned(),
                },
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
    stream: Option<&ObjectName>,
    staging_table: &ObjectName,
    wake: bool,
) -> Result<(), (&'static str, SourceError)> {
    let run = |what: &'static str, sql: String| async move {
        session.table("a trial in the state schema", &sql).await.map(drop).map_err(|error| (what, error))
    };
    run("table", format!("CREATE TABLE {} (ID INT)", table.quoted())).await?;
    let Some(stream) = stream else {
        return if wake { run("staging", format!("SELECT ID FROM {}", table.quoted())).await } else { Ok(()) };
    };
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
