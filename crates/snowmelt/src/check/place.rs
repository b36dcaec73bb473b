//! Databases and schemas: whether the role can reach what is in them. What is missing here is said once, and not again
//! for everything inside.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Findings;
use crate::config::{Config, SchemaName, quote};
use crate::privilege::Privilege;
use crate::source::SourceError;
use crate::source::session::Session;

/// The places that cannot be reached.
#[derive(Debug, Default)]
pub(super) struct Places {
    databases: BTreeSet<String>,
    schemas: BTreeSet<SchemaName>,
}

impl Places {
    /// Tries each database and schema that the configuration names.
    pub(super) async fn check(session: &Arc<Session>, config: &Config, role: &str, findings: &mut Findings) -> Self {
        let mut schemas: BTreeSet<SchemaName> = config.tables.iter().map(|table| table.name.parent()).collect();
        schemas.extend(config.tables.iter().filter_map(|table| Some(table.stream.as_ref()?.parent())));
        schemas.extend(config.table_patterns.iter().filter_map(|pattern| {
            let (database, schema) = (pattern.matches.database.literal()?, pattern.matches.schema.literal()?);
            Some(SchemaName { database: database.to_owned(), schema: schema.to_owned() })
        }));
        let state = config.state_schema_in_use();
        schemas.extend(state.cloned());
        let mut databases: BTreeSet<String> = schemas.iter().map(|schema| schema.database.clone()).collect();
        databases.extend(
            config.table_patterns.iter().filter_map(|pattern| pattern.matches.database.literal().map(str::to_owned)),
        );
        let mut missing = Self::default();
        for database in databases {
            let list = format!("SCHEMAS IN DATABASE {}", quote(&database));
            let privilege = Privilege::database(&database);
            if !reach(session, &list, format!("database {database}"), &privilege, role, findings).await {
                missing.databases.insert(database);
            }
        }
        for schema in schemas.into_iter().filter(|schema| !missing.databases.contains(&schema.database)) {
            let list = format!("TABLES IN SCHEMA {}", schema.quoted());
            let subject =
                if Some(&schema) == state { format!("state schema {schema}") } else { format!("schema {schema}") };
            if !reach(session, &list, subject, &Privilege::schema(&schema), role, findings).await {
                missing.schemas.insert(schema);
            }
        }
        missing
    }

    /// What stands in the way of everything in `schema`.
    pub(super) fn in_the_way(&self, schema: &SchemaName) -> Option<String> {
        if self.databases.contains(&schema.database) {
            return Some(format!("database {}", schema.database));
        }
        self.schemas.contains(schema).then(|| format!("schema {schema}"))
    }

    /// Whether anything could not be reached.
    pub(super) fn any(&self) -> bool {
        !self.databases.is_empty() || !self.schemas.is_empty()
    }
}

/// Lists one row of a place, which needs what everything in it needs; true when that went well.
async fn reach(
    session: &Arc<Session>,
    list: &str,
    subject: String,
    privilege: &Privilege,
    role: &str,
    findings: &mut Findings,
) -> bool {
    let Err(error) = session.table("a look", &format!("SHOW TERSE {list} LIMIT 1")).await else { return true };
    match error {
        SourceError::Refused { .. } => findings.problem(
            subject,
            format!("it does not exist, or role {role} may not use it"),
            format!("create it, or {}", privilege.statement(role)),
        ),
        error => findings.failure(subject, error),
    }
    false
}
