//! Patterns: which tables they find now, which of those cannot be captured, and whether tables to come will be seen.

use std::sync::Arc;

use super::Findings;
use super::place::Places;
use crate::config::{Config, Table, TablePattern, quote};
use crate::discovery;
use crate::privilege;
use crate::source::session::Session;

/// Names that a finding shows.
const SHOWN: usize = 20;
/// Sees every table by being what it is.
const ADMINISTRATOR: &str = "ACCOUNTADMIN";

/// Tables that the patterns find beside those that are named.
pub(super) async fn check(
    session: &Arc<Session>,
    config: &Config,
    places: &Places,
    role: &str,
    findings: &mut Findings,
) -> Vec<Table> {
    if config.table_patterns.is_empty() {
        return Vec::new();
    }
    let look = match discovery::look(session, config, &discovery::named(config), &[]).await {
        Ok(look) => look,
        Err(error) => {
            findings.failure("patterns", error);
            return Vec::new();
        }
    };
    for pattern in &config.table_patterns {
        let text = pattern.matches.to_string();
        let subject = format!("pattern {text}");
        match look.unlisted.iter().find(|unlisted| unlisted.pattern == text) {
            // What is in the way was said already.
            Some(_) if places.any() => {
                findings.warning(subject, "its tables were not listed", "mend what is in the way first");
            }
            Some(unlisted) => findings.failure(subject, &unlisted.error),
            None => {
                listed(subject, &text, &look.tables, findings);
                check_future(session, pattern, role, findings).await;
            }
        }
    }
    for refused in look.refused {
        let (found, remedy) = refused.reason.rsplit_once("; ").unwrap_or((&refused.reason, "exclude it"));
        findings.problem(format!("table {}", refused.name), found, remedy);
    }
    look.tables
}

fn listed(subject: String, pattern: &str, tables: &[Table], findings: &mut Findings) {
    let found = tables.iter().filter(|table| table.pattern.as_deref() == Some(pattern));
    let names: Vec<String> = found.map(|table| table.name.to_string()).collect();
    if names.is_empty() {
        return findings.warning(
            subject,
            "it finds no table now",
            "see that it is spelled as the tables are, and that the role may SELECT from them",
        );
    }
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let first = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    findings.ok(subject, format!("it finds {}: {first}{more}", names.len()));
}

/// Inherited grants are not looked through: what is not found is no problem, only not known.
async fn check_future(session: &Arc<Session>, pattern: &TablePattern, role: &str, findings: &mut Findings) {
    let Some(wanted) = privilege::future(pattern).filter(|_| role != ADMINISTRATOR) else { return };
    let sql = format!("SHOW FUTURE GRANTS TO ROLE {}", quote(role));
    let granted = match session.table("the grants on tables to come", &sql).await {
        Ok(listed) => listed.rows().any(|row| {
            let privilege = row.text("privilege").unwrap_or_default();
            let on_tables = row.text("grant_on").is_some_and(|on| on.eq_ignore_ascii_case("TABLE"));
            let place = row.text("name").unwrap_or_default().replace('"', "");
            let (database, schema) = (&pattern.matches.database, &pattern.matches.schema);
            on_tables
                && ["SELECT", "ALL", "OWNERSHIP"].contains(&privilege.as_str())
                && match place.split('.').collect::<Vec<_>>().as_slice() {
                    [in_database, _] => database.fits(in_database),
                    [in_database, in_schema, _] => database.fits(in_database) && schema.fits(in_schema),
                    _ => false,
                }
        }),
        Err(error) => {
            tracing::debug!(%error, "future grants are not known");
            false
        }
    };
    if !granted {
        findings.warning(
            format!("pattern {}", pattern.matches),
            format!("role {role} has no grant of its own on tables to come; those it may not read are not found"),
            wanted.statement(role),
        );
    }
}
