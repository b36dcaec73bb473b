//! SHOW: the catalog as rows, without a warehouse.
//!
//! Promises: columns have Snowflake's names (lower case); LIKE ignores case; objects a role holds
//! nothing on are not listed. LIMIT … FROM goes on behind a name, in the order of names.
//! Leaves to others: DESCRIBE (`describe`).

use super::answer::{rows, text};
use super::{Rows, Session};
use crate::catalog::{Catalog, Name, Object};
use crate::error::SqlError;
use crate::sql::{Scope, Show};
use crate::types::SnowType;
use crate::types::value::Value;

mod account;
mod kinds;
mod objects;

type Row = Vec<Option<Value>>;
/// Columns and rows of a SHOW.
pub(super) type Shown = (Vec<(&'static str, SnowType)>, Vec<Row>);

const TEXT: SnowType = SnowType::TEXT;
const NUMBER: SnowType = SnowType::INTEGER;
/// Rows that a SHOW lists at most, whatever its LIMIT (docs.snowflake.com/en/sql-reference/sql/show-objects).
const LONGEST: usize = 10_000;

/// Whether a name is like a pattern: `%` any text, `_` any character, `\` takes the next literally.
pub(super) fn like(name: &str, pattern: &str) -> bool {
    fn matches(name: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['%', rest @ ..] => (0..=name.len()).any(|skip| matches(&name[skip..], rest)),
            ['_', rest @ ..] => !name.is_empty() && matches(&name[1..], rest),
            ['\\', next, rest @ ..] | [next, rest @ ..] => name.first() == Some(next) && matches(&name[1..], rest),
        }
    }
    let fold = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    matches(&fold(name), &fold(pattern))
}

fn flag(value: bool) -> Option<Value> {
    text(if value { "true" } else { "false" })
}

impl Session {
    pub(super) fn show(&self, show: &Show) -> Result<Rows, SqlError> {
        let catalog = self.engine.catalog();
        let (columns, mut all) = match show.what.as_str() {
            "TABLES" => self.show_tables(&catalog, show)?,
            "STREAMS" => self.show_streams(&catalog, show)?,
            "VIEWS" => self.show_views(&catalog, show)?,
            "DYNAMIC TABLES" => self.show_dynamic_tables(&catalog, show)?,
            "EXTERNAL TABLES" => self.show_external_tables(&catalog, show)?,
            "EVENT TABLES" => self.show_event_tables(&catalog, show)?,
            "ICEBERG TABLES" => self.show_iceberg_tables(&catalog, show)?,
            "STAGES" => self.show_stages(&catalog, show)?,
            "OBJECTS" => self.show_objects(&catalog, show)?,
            "COLUMNS" => self.show_columns(&catalog, show)?,
            "PRIMARY KEYS" => self.show_keys(&catalog, show, true)?,
            "UNIQUE KEYS" => self.show_keys(&catalog, show, false)?,
            "DATABASES" => self.show_databases(&catalog),
            "SCHEMAS" => self.show_schemas(&catalog, show)?,
            "WAREHOUSES" => self.show_warehouses(&catalog),
            "ROLES" => account::show_roles(&catalog),
            "GRANTS" => self.show_grants(&catalog, show)?,
            "FUTURE GRANTS" => self.show_future_grants(&catalog, show)?,
            "PARAMETERS" => self.show_parameters(&catalog, show)?,
            "TRANSACTIONS" => self.show_transactions(),
            other => return Err(SqlError::unsupported(format!("SHOW {other}"))),
        };
        let key = match show.what.as_str() {
            "PARAMETERS" => "key",
            "COLUMNS" => "column_name",
            _ => "name",
        };
        if let Some(place) = columns.iter().position(|(name, _)| *name == key) {
            all.retain(|row| {
                let name = row.get(place).and_then(Option::as_ref).map(|name| name.to_text(0)).unwrap_or_default();
                show.like.as_ref().is_none_or(|pattern| like(&name, pattern))
                    && show.starts_with.as_ref().is_none_or(|prefix| name.starts_with(prefix))
                    && show.after.as_ref().is_none_or(|after| name > *after)
            });
        }
        all.truncate(show.limit.unwrap_or(usize::MAX).min(LONGEST));
        rows(&columns, all)
    }

    /// Whether a SHOW's IN covers a name.
    fn covers(&self, catalog: &Catalog, show: &Show) -> Result<impl Fn(&Name) -> bool + use<>, SqlError> {
        let role = self.role();
        let known = |database: &String| {
            let usable = catalog.databases.contains_key(database)
                && catalog.check_container(role, "DATABASE", database, "USAGE").is_ok();
            usable.then_some(()).ok_or_else(SqlError::unusable)
        };
        let (database, schema) = match &show.scope {
            Scope::Account => (None, None),
            Scope::Database(name) => {
                let name = name.clone().or_else(|| self.current.database.clone());
                let name = name.ok_or_else(|| SqlError::missing("Database", "<current>"))?;
                known(&name)?;
                (Some(name), None)
            }
            Scope::Schema(Some(path)) => {
                let (database, schema) = self.schema_name(path)?;
                known(&database)?;
                if !catalog.schemas.contains_key(&(database.clone(), schema.clone()))
                    || catalog.check_schema(role, &database, &schema, "USAGE").is_err()
                {
                    return Err(SqlError::unusable());
                }
                (Some(database), Some(schema))
            }
            _ => (self.current.database.clone(), self.current.schema.clone()),
        };
        Ok(move |name: &Name| {
            database.as_ref().is_none_or(|database| *database == name.database)
                && schema.as_ref().is_none_or(|schema| *schema == name.schema)
        })
    }

    fn listed<'c>(&self, catalog: &'c Catalog, show: &Show) -> Result<Vec<(&'c Name, Object)>, SqlError> {
        let covers = self.covers(catalog, show)?;
        let all = catalog.names.iter().map(|(name, object)| (name, *object));
        Ok(all.filter(|(name, object)| covers(name) && catalog.visible(self.role(), *object)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns_are_snowflakes() {
        assert!(like("SNOWMELT_AB_1", "snowmelt\\_%"));
        assert!(!like("SNOWMELTXAB", "SNOWMELT\\_%"));
        assert!(like("ABC", "A_C") && !like("ABBC", "A_C"));
        assert!(like("", "%") && !like("X", ""));
    }
}
