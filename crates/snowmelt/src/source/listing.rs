//! Which tables there are, for patterns: by SHOW alone, which needs no warehouse, and to the end of each list.
//!
//! A SHOW lists 10,000 rows at most (docs.snowflake.com/en/sql-reference/sql/show-tables); the rest is behind the last
//! name, by `LIMIT … FROM`. Names are unique and in order only inside one schema, so schema after schema is listed.

use std::sync::Arc;

use super::SourceError;
use super::session::Session;
use super::staging::literal;
use crate::config::{Glob, NamePattern, ObjectName, SchemaName, quote};

/// The most rows that one SHOW lists.
const PAGE: usize = 10_000;
/// Views that Snowflake has in every database.
const INFORMATION_SCHEMA: &str = "INFORMATION_SCHEMA";

/// All tables that `pattern` stands for and the role sees: permanent, transient, dynamic, external, event and Iceberg
/// tables. Neither views and stages nor temporary tables, which only their own sessions see.
///
/// # Errors
/// When Snowflake cannot be asked, or refuses to list a database or schema that the pattern names.
pub async fn tables(session: &Arc<Session>, pattern: &NamePattern) -> Result<Vec<ObjectName>, SourceError> {
    let what = format!("the list of tables for {pattern}");
    let mut found = Vec::new();
    for schema in schemas(session, &what, pattern).await? {
        let listed = names(session, &what, &format!("TABLES IN SCHEMA {}", schema.quoted()), &pattern.name).await;
        match listed {
            Ok(names) => found.extend(names.into_iter().map(|name| schema.object(name))),
            // It was dropped between two statements, or is not this role's to look into.
            Err(error) if error.is_object_missing() && pattern.schema.literal().is_none() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn schemas(session: &Arc<Session>, what: &str, pattern: &NamePattern) -> Result<Vec<SchemaName>, SourceError> {
    let databases = match pattern.database.literal() {
        Some(database) => vec![database.to_owned()],
        None => names(session, what, "DATABASES", &pattern.database).await?,
    };
    let mut schemas = Vec::new();
    for database in databases {
        let of = |schema: &str| SchemaName { database: database.clone(), schema: schema.to_owned() };
        if let Some(schema) = pattern.schema.literal() {
            schemas.push(of(schema));
            continue;
        }
        match names(session, what, &format!("SCHEMAS IN DATABASE {}", quote(&database)), &pattern.schema).await {
            Ok(names) => schemas.extend(names.iter().filter(|name| *name != INFORMATION_SCHEMA).map(|name| of(name))),
            Err(error) if error.is_object_missing() && pattern.database.literal().is_none() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(schemas)
}

/// The names in a list that `glob` stands for.
async fn names(session: &Arc<Session>, what: &str, list: &str, glob: &Glob) -> Result<Vec<String>, SourceError> {
    let mut pages = Pages::new(list, glob.prefix());
    let mut found = Vec::new();
    while let Some(sql) = pages.next_statement() {
        let listed = session.table(what, &sql).await?;
        let page = listed.rows().filter_map(|row| Some((row.text("name")?, row.text("kind").unwrap_or_default())));
        for (name, kind) in pages.turn(page.collect()) {
            if glob.fits(&name) && !kind.eq_ignore_ascii_case("TEMPORARY") {
                found.push(name);
            }
        }
    }
    Ok(found)
}

/// A list, page by page.
struct Pages<'a> {
    list: &'a str,
    prefix: &'a str,
    /// The highest name so far; none before the first page.
    last: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    fn new(list: &'a str, prefix: &'a str) -> Self {
        Self { list, prefix, last: None, ended: false }
    }

    /// The statement for the next page; `None` behind the last one.
    fn next_statement(&self) -> Option<String> {
        let starts = match self.prefix {
            "" => String::new(),
            prefix => format!(" STARTS WITH {}", literal(prefix)),
        };
        let from = self.last.as_ref().map(|last| format!(" FROM {}", literal(last))).unwrap_or_default();
        (!self.ended).then(|| format!("SHOW TERSE {}{starts} LIMIT {PAGE}{from}", self.list))
    }

    /// Takes a page in; its rows that are new. A page that is not full, or has nothing new, is the last.
    fn turn(&mut self, page: Vec<(String, String)>) -> Vec<(String, String)> {
        let full = page.len() >= PAGE;
        let new: Vec<_> =
            page.into_iter().filter(|(name, _)| self.last.as_ref().is_none_or(|last| name > last)).collect();
        self.ended = !full || new.is_empty();
        self.last = new.iter().map(|(name, _)| name.clone()).max().or(self.last.take());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SHOW … STARTS WITH … LIMIT … FROM` over these names, as documented.
    fn show(all: &[String], sql: &str) -> Vec<(String, String)> {
        let after = |word: &str| sql.split_once(word).map(|(_, rest)| rest.split('\'').nth(1).unwrap().to_owned());
        let (prefix, from) = (after(" STARTS WITH ").unwrap_or_default(), after(" FROM "));
        let fits = |name: &&String| name.starts_with(&prefix) && from.as_ref().is_none_or(|from| *name > from);
        all.iter().filter(fits).take(PAGE).map(|name| (name.clone(), "TABLE".to_owned())).collect()
    }

    #[test]
    fn a_list_is_read_to_its_end_and_nothing_is_listed_twice() {
        for count in [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 7] {
            let mut all: Vec<String> = (0..count).map(|number| format!("T_{number:06}")).collect();
            all.insert(0, "A".to_owned());
            let mut pages = Pages::new("TABLES IN SCHEMA \"D\".\"S\"", "T_");
            let (mut found, mut statements) = (Vec::new(), 0);
            while let Some(sql) = pages.next_statement() {
                statements += 1;
                assert!(statements <= count / PAGE + 1, "{sql}");
                found.extend(pages.turn(show(&all, &sql)).into_iter().map(|(name, _)| name));
            }
            assert_eq!(found, all[1..], "{count}");
        }
    }

    #[test]
    fn a_listing_that_does_not_move_on_ends() {
        let mut pages = Pages::new("TABLES", "");
        let page = || vec![("A".to_owned(), String::new()); PAGE];
        assert_eq!(pages.turn(page()).len(), PAGE);
        assert!(pages.next_statement().is_some_and(|sql| sql.ends_with("LIMIT 10000 FROM 'A'")));
        assert!(pages.turn(page()).is_empty() && pages.next_statement().is_none());
    }

    #[test]
    fn names_are_quoted_for_sql() {
        let pages = Pages { list: "TABLES", prefix: "it's", last: Some("it's \\ so".to_owned()), ended: false };
        let sql = pages.next_statement().unwrap();
        assert_eq!(sql, r"SHOW TERSE TABLES STARTS WITH 'it''s' LIMIT 10000 FROM 'it''s \\ so'");
    }
}
