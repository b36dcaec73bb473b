//! SHOW: the catalog as rows, without a warehouse.
//!
//! Promises: columns have Snowflake's names (lower case); LIKE ignores case; objects a role holds
//! nothing on are not listed.
//! Leaves to others: DESCRIBE (`describe`).

use super::answer::{CREATED, count, moment, rows, text};
use super::parameters::{DEFAULTS, shown};
use super::{Rows, Session, describe, grants};
use crate::catalog::access::Grantee;
use crate::catalog::{Catalog, Name, Object};
use crate::error::SqlError;
use crate::sql::{Path, Scope, Show};
use crate::table::{Table, TableKind};
use crate::types::SnowType;
use crate::types::value::Value;

type Row = Vec<Option<Value>>;

const TEXT: SnowType = SnowType::TEXT;
const NUMBER: SnowType = SnowType::INTEGER;

/// Whether a name is like a pattern: `%` any text, `_` any character, `\` takes the next literally.
pub(super) fn like(name: &str, pattern: &str) -> bool {
    fn matches(name: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['%', rest @ ..] => (0..=name.len()).any(|skip| matches(&name[skip..], rest)),
            ['_', rest @ ..] => !name.is_empty() && matches(&name[1..], rest),
            ['\\', next, rest @ ..] | [next, rest @ ..] => {
                name.first() == Some(next) && matches(&name[1..], rest)
            }
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
            "OBJECTS" => self.show_objects(&catalog, show)?,
            "COLUMNS" => self.show_columns(&catalog, show)?,
            "PRIMARY KEYS" => self.show_keys(&catalog, show, true)?,
            "UNIQUE KEYS" => self.show_keys(&catalog, show, false)?,
            "DATABASES" => self.show_databases(&catalog),
            "SCHEMAS" => self.show_schemas(&catalog, show)?,
            "WAREHOUSES" => self.show_warehouses(&catalog),
            "ROLES" => show_roles(&catalog),
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
            });
        }
        all.truncate(show.limit.unwrap_or(usize::MAX).min(10_000));
        rows(&columns, all)
    }

    /// Whether a SHOW's IN covers a name.
    fn covers(&self, catalog: &Catalog, show: &Show) -> Result<impl Fn(&Name) -> bool + use<>, SqlError> {
        let known = |database: &String| match catalog.databases.contains_key(database) {
            true => Ok(()),
            false => Err(SqlError::missing("Database", database)),
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
                if !catalog.schemas.contains_key(&(database.clone(), schema.clone())) {
                    return Err(SqlError::missing("Schema", format!("{database}.{schema}")));
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

    fn show_tables(&self, catalog: &Catalog, show: &Show) -> Result<(Vec<(&'static str, SnowType)>, Vec<Row>), SqlError> {
        let columns = vec![
            ("created_on", CREATED), ("name", TEXT), ("database_name", TEXT), ("schema_name", TEXT), ("kind", TEXT),
            ("comment", TEXT), ("cluster_by", TEXT), ("rows", NUMBER), ("bytes", NUMBER), ("owner", TEXT),
            ("retention_time", TEXT), ("automatic_clustering", TEXT), ("change_tracking", TEXT), ("is_external", TEXT),
            ("owner_role_type", TEXT),
        ];
        let mut all = Vec::new();
        for (name, object) in self.listed(catalog, show)? {
            let Object::Table(id) = object else { continue };
            let Some(table) = catalog.table(id) else { continue };
            let definition = &table.definition;
            all.push(vec![
                moment(definition.created),
                text(&name.name),
                text(&name.database),
                text(&name.schema),
                text(kind_word(definition.kind)),
                text(definition.comment.clone().unwrap_or_default()),
                text(""),
                count(table.current().rows()),
                count(table.current().bytes()),
                text(&definition.owner),
                text(definition.retention().to_string()),
                text("OFF"),
                text(if definition.tracked_since.is_some() { "ON" } else { "OFF" }),
                text("N"),
                text("ROLE"),
            ]);
        }
        Ok((columns, all))
    }

    fn show_streams(&self, catalog: &Catalog, show: &Show) -> Result<(Vec<(&'static str, SnowType)>, Vec<Row>), SqlError> {
        let columns = vec![
            ("created_on", CREATED), ("name", TEXT), ("database_name", TEXT), ("schema_name", TEXT), ("owner", TEXT),
            ("comment", TEXT), ("table_name", TEXT), ("source_type", TEXT), ("base_tables", TEXT), ("type", TEXT),
            ("stale", TEXT), ("mode", TEXT), ("stale_after", CREATED), ("invalid_reason", TEXT), ("owner_role_type", TEXT),
        ];
        let now = self.engine.now();
        let mut all = Vec::new();
        for (name, object) in self.listed(catalog, show)? {
            let Object::Stream(id) = object else { continue };
            let Some(stream) = catalog.streams.get(&id) else { continue };
            let table = catalog.table(stream.table);
            let invalid = stream.invalid_reason(catalog);
            let base = table.map_or_else(|| stream.table_name.to_string(), |table| table.definition.full_name());
            let stale = invalid.is_some() || table.is_none_or(|table| stream.is_stale(table, now));
            all.push(vec![
                moment(stream.created),
                text(&name.name),
                text(&name.database),
                text(&name.schema),
                text(&stream.owner),
                text(&stream.comment),
                text(&base),
                text("Table"),
                text(&base),
                text("DELTA"),
                flag(stale),
                text(if stream.append_only { "APPEND_ONLY" } else { "DEFAULT" }),
                table.and_then(|table| moment(stream.stale_after(table))),
                text(invalid.unwrap_or_else(|| "N/A".to_owned())),
                text("ROLE"),
            ]);
        }
        Ok((columns, all))
    }

    fn show_views(&self, catalog: &Catalog, show: &Show) -> Result<(Vec<(&'static str, SnowType)>, Vec<Row>), SqlError> {
        let columns = vec![
            ("created_on", CREATED), ("name", TEXT), ("reserved", TEXT), ("database_name", TEXT), ("schema_name", TEXT),
            ("owner", TEXT), ("comment", TEXT), ("text", TEXT), ("is_secure", TEXT), ("is_materialized", TEXT),
            ("owner_role_type", TEXT), ("change_tracking", TEXT),
        ];
        let mut all = Vec::new();
        for (name, object) in self.listed(catalog, show)? {
            let Object::View(id) = object else { continue };
            let Some(view) = catalog.views.get(&id) else { continue };
            all.push(vec![
                moment(view.created), text(&name.name), text(""), text(&name.database), text(&name.schema),
                text(&view.owner), text(&view.comment), text(&view.text), flag(false), flag(false), text("ROLE"), text("OFF"),
            ]);
        }
        Ok((columns, all))
    }

    fn show_objects(&self, catalog: &Catalog, show: &Show) -> Result<(Vec<(&'static str, SnowType)>, Vec<Row>), SqlError> {
        let columns = vec![
            ("created_on", CREATED), ("name", TEXT), ("database_name", TEXT), ("schema_name", TEXT), ("kind", TEXT), ("owner", TEXT),
        ];
        let mut all = Vec::new();
        for (name, object) in self.listed(catalog, show)? {
            let (created, kind, owner) = match object {
                Object::Table(id) => match catalog.table(id) {
                    Some(table) => (table.definition.created, kind_word(table.definition.kind), &table.definition.owner),
                    None => continue,
                },
                Object::View(id) => match catalog.views.get(&id) {
                    Some(view) => (view.created, "VIEW", &view.owner),
                    None => continue,
                },
                Object::Stream(_) => continue,
            };
            all.push(vec![moment(created), text(&name.name), text(&name.database), text(&name.schema), text(kind), text(owner)]);
        }
        Ok((columns, all))
    }

    /// The tables a SHOW is about: one by name, or all in its scope.
    fn tables_of<'c>(&self, catalog: &'c Catalog, show: &Show) -> Result<Vec<&'c Table>, SqlError> {
        match &show.scope {
            Scope::Table(path) => Ok(vec![self.visible_table(catalog, path)?]),
            // `SHOW COLUMNS IN t` and `IN s.t`: a bare name is a table here.
            Scope::Database(Some(name)) if !catalog.databases.contains_key(name) => {
                Ok(vec![self.visible_table(catalog, std::slice::from_ref(name))?])
            }
            Scope::Schema(Some(path)) if self.full_name(path).is_ok_and(|name| catalog.names.contains_key(&name)) => {
                Ok(vec![self.visible_table(catalog, path)?])
            }
            _ => Ok(self
                .listed(catalog, show)?
                .into_iter()
                .filter_map(|(_, object)| match object {
                    Object::Table(id) => catalog.table(id),
                    _ => None,
                })
                .collect()),
        }
    }

    /// A table that the role can at least see.
    pub(super) fn visible_table<'c>(&self, catalog: &'c Catalog, path: &[String]) -> Result<&'c Table, SqlError> {
        let name = self.full_name(path)?;
        self.check_place(catalog, &name)?;
        match catalog.names.get(&name) {
            Some(object @ Object::Table(id)) if catalog.visible(self.role(), *object) => {
                catalog.table(*id).ok_or_else(|| SqlError::missing("Table", &name))
            }
            _ => Err(SqlError::missing("Table", &name)),
        }
    }

    fn show_columns(&self, catalog: &Catalog, show: &Show) -> Result<(Vec<(&'static str, SnowType)>, Vec<Row>), SqlError> {
        let columns = vec![
            ("table_name", TEXT), ("schema_name", TEXT), ("column_name", TEXT), ("data_type", TEXT), ("null?", TEXT),
            ("default", TEXT), ("kind", TEXT), ("expression", TEXT), ("comment", TEXT), ("database_name", TEXT), ("autoincrement", TEXT),
        ];
        let mut all = Vec::new();
        for table in self.tables_of(catalog, show)? {
            let definition = &table.definition;
            for column in &definition.columns {
                all.push(vec![
                    text(&definition.name),
                    text(&definition.schema),
                    text(&column.name),
                    text(describe::type_json(column)),
                    text(if column.nullable { "true" } else { "NOT_NULL" }),
                    text(column.default.clone().unwrap_or_default()),
                    text("COLUMN"),
                    text(""),
                    text(column.comment.clone().unwrap_or_default()),
                    text(&definition.database),
                    text(column.identity.map(|(start, step)| format!("IDENTITY START {start} INCREMENT {step}")).unwrap_or_default()),
                ]);
            }
        }
        Ok((columns, all))
    }

    fn show_keys(&self, catalog: &Catalog, show: &Show, primary: bool) -> Result<(Vec<(&'static str, SnowType)>, Vec<Row>), SqlError> {
        let columns = vec![
            ("created_on", CREATED), ("database_name", TEXT), ("schema_name", TEXT), ("table_name", TEXT), ("column_name", TEXT),
            ("key_sequence", NUMBER), ("constraint_name", TEXT), ("rely", TEXT), ("comment", TEXT),
        ];
        let mut all = Vec::new();
        for table in self.tables_of(catalog, show)? {
            let definition = &table.definition;
            let keys: Vec<_> = match primary {
                true => definition.primary_key.iter().collect(),
                false => definition.unique.iter().collect(),
            };
            for key in keys {
                for (sequence, id) in (1_u64..).zip(&key.columns) {
                    let column = definition.columns.iter().find(|column| column.id == *id);
                    all.push(vec![
                        moment(definition.created),
                        text(&definition.database),
                        text(&definition.schema),
                        text(&definition.name),
                        column.and_then(|column| text(&column.name)),
                        count(sequence),
                        text(&key.name),
                        flag(false),
                        None,
                    ]);
                }
            }
        }
        Ok((columns, all))
    }

    fn show_databases(&self, catalog: &Catalog) -> (Vec<(&'static str, SnowType)>, Vec<Row>) {
        let columns = vec![
            ("created_on", CREATED), ("name", TEXT), ("is_default", TEXT), ("is_current", TEXT), ("origin", TEXT), ("owner", TEXT),
            ("comment", TEXT), ("options", TEXT), ("retention_time", TEXT), ("kind", TEXT),
        ];
        let mark = |value: bool| text(if value { "Y" } else { "N" });
        let visible = |name: &&String| catalog.check_container(self.role(), "DATABASE", name, "USAGE").is_ok();
        let all = catalog.databases.iter().filter(|(name, _)| visible(name)).map(|(name, database)| {
            let current = self.current.database.as_ref() == Some(name);
            vec![
                moment(database.created), text(name), text("N"), mark(current), text(""), text(&database.owner),
                text(&database.comment), text(if database.transient { "TRANSIENT" } else { "" }), text("1"), text("STANDARD"),
            ]
        });
        (columns, all.collect())
    }

    fn show_schemas(&self, catalog: &Catalog, show: &Show) -> Result<(Vec<(&'static str, SnowType)>, Vec<Row>), SqlError> {
        let columns = vec![
            ("created_on", CREATED), ("name", TEXT), ("is_default", TEXT), ("is_current", TEXT), ("database_name", TEXT),
            ("owner", TEXT), ("comment", TEXT), ("options", TEXT), ("retention_time", TEXT),
        ];
        let within = match &show.scope {
            Scope::Account => None,
            Scope::Database(Some(name)) => Some(name.clone()),
            _ => self.current.database.clone(),
        };
        if let Some(database) = &within
            && !catalog.databases.contains_key(database)
        {
            return Err(SqlError::missing("Database", database));
        }
        let mut all = Vec::new();
        for ((database, name), schema) in &catalog.schemas {
            let visible = catalog.check_schema(self.role(), database, name, "USAGE").is_ok();
            if !visible || within.as_ref().is_some_and(|within| within != database) {
                continue;
            }
            let current = self.current.schema.as_ref() == Some(name) && self.current.database.as_ref() == Some(database);
            all.push(vec![
                moment(schema.created), text(name), text("N"), text(if current { "Y" } else { "N" }), text(database),
                text(&schema.owner), text(&schema.comment), text(if schema.transient { "TRANSIENT" } else { "" }), text("1"),
            ]);
        }
        Ok((columns, all))
    }

    fn show_warehouses(&self, catalog: &Catalog) -> (Vec<(&'static str, SnowType)>, Vec<Row>) {
        let columns = vec![
            ("name", TEXT), ("state", TEXT), ("type", TEXT), ("size", TEXT), ("running", NUMBER), ("queued", NUMBER),
            ("is_default", TEXT), ("is_current", TEXT), ("auto_suspend", NUMBER), ("auto_resume", TEXT), ("created_on", CREATED),
            ("owner", TEXT), ("comment", TEXT),
        ];
        let visible = |name: &&String| {
            let held = |privilege| catalog.check_container(self.role(), "WAREHOUSE", name, privilege).is_ok();
            ["USAGE", "OPERATE", "MONITOR", "MODIFY"].into_iter().any(held)
        };
        let all = catalog.warehouses.iter().filter(|(name, _)| visible(name)).map(|(name, warehouse)| {
            let current = self.current.warehouse.as_ref() == Some(name);
            vec![
                text(name), text(if warehouse.suspended { "SUSPENDED" } else { "STARTED" }), text("STANDARD"), text(&warehouse.size),
                count(0), count(0), text("N"), text(if current { "Y" } else { "N" }), count(warehouse.auto_suspend), flag(true),
                moment(warehouse.created), text(&warehouse.owner), text(&warehouse.comment),
            ]
        });
        (columns, all.collect())
    }

    fn show_grants(&self, catalog: &Catalog, show: &Show) -> Result<(Vec<(&'static str, SnowType)>, Vec<Row>), SqlError> {
        if let Scope::OfRole(role) = &show.scope {
            let columns = vec![("created_on", CREATED), ("role", TEXT), ("granted_to", TEXT), ("grantee_name", TEXT), ("granted_by", TEXT)];
            let of = catalog.memberships.iter().filter(|(held, _)| held == role);
            let all = of.map(|(held, to)| {
                let (kind, name) = match to {
                    Grantee::Role(name) => ("ROLE", name),
                    Grantee::User(name) => ("USER", name),
                };
                vec![moment(0), text(held), text(kind), text(name), text("")]
            });
            return Ok((columns, all.collect()));
        }
        if let Scope::ToUser(user) = &show.scope {
            let columns = vec![("created_on", CREATED), ("role", TEXT), ("granted_to", TEXT), ("grantee_name", TEXT), ("granted_by", TEXT)];
            let held = catalog.memberships.iter().filter(|(_, to)| *to == Grantee::User(user.clone()));
            let all = held.map(|(role, _)| vec![moment(0), text(role), text("USER"), text(user), text("")]);
            return Ok((columns, all.collect()));
        }
        let columns = vec![
            ("created_on", CREATED), ("privilege", TEXT), ("granted_on", TEXT), ("name", TEXT), ("granted_to", TEXT),
            ("grantee_name", TEXT), ("grant_option", TEXT), ("granted_by", TEXT),
        ];
        let roles: Vec<String> = match &show.scope {
            Scope::ToRole(role) if catalog.roles.contains_key(role) => vec![role.clone()],
            Scope::ToRole(role) => return Err(SqlError::missing("Role", role)),
            Scope::OnObject(..) => catalog.roles.keys().cloned().collect(),
            _ => vec![self.role().to_owned()],
        };
        let on = match &show.scope {
            Scope::OnObject(kind, path) if kind != "ACCOUNT" => Some(self.grant_target(catalog, kind, path)?),
            Scope::OnObject(kind, _) => Some((kind.clone(), "SNOWSIM".to_owned(), None)),
            _ => None,
        };
        let mut all = Vec::new();
        for role in roles {
            for (created, privilege, kind, name, by) in grants::of_role(catalog, &role) {
                let wanted = on.as_ref().is_none_or(|(wanted, full, _)| *wanted == kind && *full == name);
                if wanted && !kind.starts_with("FUTURE") {
                    all.push(vec![
                        moment(created), text(privilege), text(kind), text(name), text("ROLE"), text(&role), flag(false), text(by),
                    ]);
                }
            }
        }
        Ok((columns, all))
    }

    fn show_future_grants(&self, catalog: &Catalog, show: &Show) -> Result<(Vec<(&'static str, SnowType)>, Vec<Row>), SqlError> {
        let columns = vec![
            ("created_on", CREATED), ("privilege", TEXT), ("grant_on", TEXT), ("name", TEXT), ("grant_to", TEXT),
            ("grantee_name", TEXT), ("grant_option", TEXT),
        ];
        let covered = |grant: &&crate::catalog::access::Grant| match &show.scope {
            Scope::ToRole(role) => grant.role == *role,
            Scope::Database(Some(name)) => grant.name == *name,
            Scope::Schema(Some(path)) => self.schema_name(path).is_ok_and(|(d, s)| grant.name == format!("{d}.{s}")),
            _ => true,
        };
        let future = catalog.grants.iter().filter(|grant| grant.kind.starts_with("FUTURE")).filter(covered);
        let all = future.map(|grant| {
            let kind = grant.kind.trim_start_matches("FUTURE ").trim_end_matches('S');
            vec![
                moment(grant.created), text(&grant.privilege), text(kind), text(format!("{}.<{kind}>", grant.name)),
                text("ROLE"), text(&grant.role), flag(false),
            ]
        });
        Ok((columns, all.collect()))
    }

    fn show_parameters(&self, catalog: &Catalog, show: &Show) -> Result<(Vec<(&'static str, SnowType)>, Vec<Row>), SqlError> {
        let columns = vec![("key", TEXT), ("value", TEXT), ("default", TEXT), ("level", TEXT), ("description", TEXT), ("type", TEXT)];
        let row = |key: &str, value: String, default: &str, level: &str, kind: &str| -> Row {
            vec![text(key), text(value), text(default), text(level), text(""), text(kind)]
        };
        if let Scope::Table(path) = &show.scope {
            let path: &Path = path;
            let definition = &self.visible_table(catalog, path)?.definition;
            let days = |key: &str, set: Option<u32>, default: &str| {
                let level = if set.is_some() { "TABLE" } else { "" };
                row(key, set.map_or_else(|| default.to_owned(), |days| days.to_string()), default, level, "NUMBER")
            };
            let all = vec![
                days("DATA_RETENTION_TIME_IN_DAYS", definition.retention_days, "1"),
                days("MAX_DATA_EXTENSION_TIME_IN_DAYS", definition.extension_days, "14"),
            ];
            return Ok((columns, all));
        }
        let session = !matches!(show.scope, Scope::Account);
        let mut all: Vec<Row> = DEFAULTS
            .iter()
            .map(|(key, default, kind)| {
                let set = self.parameters.get(*key).filter(|_| session);
                row(key, set.map_or_else(|| (*default).to_owned(), shown), default, if set.is_some() { "SESSION" } else { "" }, kind)
            })
            .collect();
        if session {
            let others = self.parameters.iter().filter(|(key, _)| !DEFAULTS.iter().any(|(known, _, _)| known == key));
            all.extend(others.map(|(key, value)| row(key, shown(value), "", "SESSION", "STRING")));
        }
        Ok((columns, all))
    }

    fn show_transactions(&self) -> (Vec<(&'static str, SnowType)>, Vec<Row>) {
        let columns = vec![
            ("id", NUMBER), ("user", TEXT), ("session", NUMBER), ("name", TEXT), ("started_on", CREATED), ("state", TEXT), ("scope", NUMBER),
        ];
        let all = self.transaction.iter().map(|open| {
            vec![
                count(open.id), text(&self.user), count(self.number), text(open.id.to_string()), moment(open.started), text("running"), count(0),
            ]
        });
        (columns, all.collect())
    }
}

fn show_roles(catalog: &Catalog) -> (Vec<(&'static str, SnowType)>, Vec<Row>) {
    let columns = vec![("created_on", CREATED), ("name", TEXT), ("comment", TEXT)];
    let all = catalog.roles.iter().map(|(name, (created, comment))| vec![moment(*created), text(name), text(comment)]);
    (columns, all.collect())
}

fn kind_word(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Permanent => "TABLE",
        TableKind::Transient => "TRANSIENT",
        TableKind::Temporary => "TEMPORARY",
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
