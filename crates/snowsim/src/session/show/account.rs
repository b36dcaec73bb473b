//! SHOW of the account's own objects: databases, schemas, warehouses, roles, grants, parameters.
//!
//! Promises: as `show`. Leaves to others: what lives in schemas (`objects`).

use super::super::answer::{CREATED, count, moment, text};
use super::super::parameters::{DEFAULTS, shown};
use super::super::{Session, grants};
use super::{NUMBER, Row, Shown, TEXT, flag};
use crate::catalog::Catalog;
use crate::catalog::access::Grantee;
use crate::error::SqlError;
use crate::sql::{Path, Scope, Show};

impl Session {
    pub(super) fn show_databases(&self, catalog: &Catalog) -> Shown {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("is_default", TEXT),
            ("is_current", TEXT),
            ("origin", TEXT),
            ("owner", TEXT),
            ("comment", TEXT),
            ("options", TEXT),
            ("retention_time", TEXT),
            ("kind", TEXT),
        ];
        let mark = |value: bool| text(if value { "Y" } else { "N" });
        let visible = |name: &&String| catalog.check_container(self.role(), "DATABASE", name, "USAGE").is_ok();
        let all = catalog.databases.iter().filter(|(name, _)| visible(name)).map(|(name, database)| {
            let current = self.current.database.as_ref() == Some(name);
            vec![
                moment(database.created),
                text(name),
                text("N"),
                mark(current),
                text(""),
                text(&database.owner),
                text(&database.comment),
                text(if database.transient { "TRANSIENT" } else { "" }),
                text("1"),
                text("STANDARD"),
            ]
        });
        (columns, all.collect())
    }

    pub(super) fn show_schemas(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("is_default", TEXT),
            ("is_current", TEXT),
            ("database_name", TEXT),
            ("owner", TEXT),
            ("comment", TEXT),
            ("options", TEXT),
            ("retention_time", TEXT),
        ];
        let within = match &show.scope {
            Scope::Account => None,
            Scope::Database(Some(name)) => Some(name.clone()),
            _ => self.current.database.clone(),
        };
        if let Some(database) = &within
            && (!catalog.databases.contains_key(database)
                || catalog.check_container(self.role(), "DATABASE", database, "USAGE").is_err())
        {
            return Err(SqlError::unusable());
        }
        let mut all = Vec::new();
        for ((database, name), schema) in &catalog.schemas {
            let visible = catalog.check_schema(self.role(), database, name, "USAGE").is_ok();
            if !visible || within.as_ref().is_some_and(|within| within != database) {
                continue;
            }
            let current =
                self.current.schema.as_ref() == Some(name) && self.current.database.as_ref() == Some(database);
            all.push(vec![
                moment(schema.created),
                text(name),
                text("N"),
                text(if current { "Y" } else { "N" }),
                text(database),
                text(&schema.owner),
                text(&schema.comment),
                text(if schema.transient { "TRANSIENT" } else { "" }),
                text("1"),
            ]);
        }
        Ok((columns, all))
    }

    pub(super) fn show_warehouses(&self, catalog: &Catalog) -> Shown {
        let columns = vec![
            ("name", TEXT),
            ("state", TEXT),
            ("type", TEXT),
            ("size", TEXT),
            ("min_cluster_count", NUMBER),
            ("max_cluster_count", NUMBER),
            ("started_clusters", NUMBER),
            ("running", NUMBER),
            ("queued", NUMBER),
            ("is_default", TEXT),
            ("is_current", TEXT),
            ("auto_suspend", NUMBER),
            ("auto_resume", TEXT),
            ("available", TEXT),
            ("provisioning", TEXT),
            ("quiescing", TEXT),
            ("other", TEXT),
            ("created_on", CREATED),
            ("resumed_on", CREATED),
            ("updated_on", CREATED),
            ("owner", TEXT),
            ("comment", TEXT),
            ("enable_query_acceleration", TEXT),
            ("query_acceleration_max_scale_factor", NUMBER),
            ("resource_monitor", TEXT),
            ("actives", NUMBER),
            ("pendings", NUMBER),
            ("failed", NUMBER),
            ("suspended", NUMBER),
            ("uuid", TEXT),
            ("scaling_policy", TEXT),
            ("owner_role_type", TEXT),
            ("resource_constraint", TEXT),
        ];
        let visible = |name: &&String| {
            let held = |privilege| catalog.check_container(self.role(), "WAREHOUSE", name, privilege).is_ok();
            ["USAGE", "OPERATE", "MONITOR", "MODIFY"].into_iter().any(held)
        };
        let all = catalog.warehouses.iter().filter(|(name, _)| visible(name)).map(|(name, warehouse)| {
            let current = self.current.warehouse.as_ref() == Some(name);
            let (usage, resumed, busy) = self.engine.meters.read(warehouse);
            let percent = |share: &str| text(if usage.running { share } else { "" });
            vec![
                text(name),
                text(if usage.running { "STARTED" } else { "SUSPENDED" }),
                text("STANDARD"),
                text(&warehouse.size),
                count(1),
                count(1),
                count(u64::from(usage.running)),
                count(busy),
                count(0),
                text("N"),
                text(if current { "Y" } else { "N" }),
                count(warehouse.auto_suspend).filter(|_| warehouse.auto_suspend > 0),
                flag(warehouse.auto_resume),
                percent("100"),
                percent("0"),
                percent("0"),
                percent("0"),
                moment(warehouse.created),
                moment(resumed),
                moment(resumed.max(warehouse.created)),
                text(&warehouse.owner),
                text(&warehouse.comment),
                flag(false),
                count(8),
                text("null"),
                count(u64::from(usage.running)),
                count(0),
                count(0),
                count(u64::from(!usage.running)),
                text(""),
                text("STANDARD"),
                text("ROLE"),
                None,
            ]
        });
        (columns, all.collect())
    }

    pub(super) fn show_grants(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        if let Scope::OfRole(role) = &show.scope {
            let columns = vec![
                ("created_on", CREATED),
                ("role", TEXT),
                ("granted_to", TEXT),
                ("grantee_name", TEXT),
                ("granted_by", TEXT),
            ];
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
            let columns = vec![
                ("created_on", CREATED),
                ("role", TEXT),
                ("granted_to", TEXT),
                ("grantee_name", TEXT),
                ("granted_by", TEXT),
            ];
            let held = catalog.memberships.iter().filter(|(_, to)| *to == Grantee::User(user.clone()));
            let all = held.map(|(role, _)| vec![moment(0), text(role), text("USER"), text(user), text("")]);
            return Ok((columns, all.collect()));
        }
        let columns = vec![
            ("created_on", CREATED),
            ("privilege", TEXT),
            ("granted_on", TEXT),
            ("name", TEXT),
            ("granted_to", TEXT),
            ("grantee_name", TEXT),
            ("grant_option", TEXT),
            ("granted_by", TEXT),
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
                        moment(created),
                        text(privilege),
                        text(kind),
                        text(name),
                        text("ROLE"),
                        text(&role),
                        flag(false),
                        text(by),
                    ]);
                }
            }
        }
        Ok((columns, all))
    }

    pub(super) fn show_future_grants(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("privilege", TEXT),
            ("grant_on", TEXT),
            ("name", TEXT),
            ("grant_to", TEXT),
            ("grantee_name", TEXT),
            ("grant_option", TEXT),
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
                moment(grant.created),
                text(&grant.privilege),
                text(kind),
                text(format!("{}.<{kind}>", grant.name)),
                text("ROLE"),
                text(&grant.role),
                flag(false),
            ]
        });
        Ok((columns, all.collect()))
    }

    pub(super) fn show_parameters(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("key", TEXT),
            ("value", TEXT),
            ("default", TEXT),
            ("level", TEXT),
            ("description", TEXT),
            ("type", TEXT),
        ];
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
                row(
                    key,
                    set.map_or_else(|| (*default).to_owned(), shown),
                    default,
                    if set.is_some() { "SESSION" } else { "" },
                    kind,
                )
            })
            .collect();
        if session {
            let others = self.parameters.iter().filter(|(key, _)| !DEFAULTS.iter().any(|(known, _, _)| known == key));
            all.extend(others.map(|(key, value)| row(key, shown(value), "", "SESSION", "STRING")));
        }
        Ok((columns, all))
    }

    pub(super) fn show_transactions(&self) -> Shown {
        let columns = vec![
            ("id", NUMBER),
            ("user", TEXT),
            ("session", NUMBER),
            ("name", TEXT),
            ("started_on", CREATED),
            ("state", TEXT),
            ("scope", NUMBER),
        ];
        let all = self.transaction.iter().map(|open| {
            vec![
                count(open.id),
                text(&self.user),
                count(self.number),
                text(open.id.to_string()),
                moment(open.started),
                text("running"),
                count(0),
            ]
        });
        (columns, all.collect())
    }
}

pub(super) fn show_roles(catalog: &Catalog) -> Shown {
    let columns = vec![("created_on", CREATED), ("name", TEXT), ("comment", TEXT)];
    let all = catalog.roles.iter().map(|(name, (created, comment))| vec![moment(*created), text(name), text(comment)]);
    (columns, all.collect())
}
