//! GRANT and REVOKE, and SHOW GRANTS' rows.
//!
//! Promises: what is granted on an object follows it through renames and dies with it.
//! Leaves to others: enforcement (`catalog::access`).

use super::{Rows, Session, answer};
use crate::catalog::access::{Grant, Grantee};
use crate::catalog::change::Change;
use crate::catalog::{Catalog, Object, ObjectId};
use crate::error::SqlError;
use crate::sql::{GrantHolder, GrantTarget, Kind, Path};

/// Something a privilege can be on: kind, shown name, identity.
type Target = (String, String, Option<ObjectId>);

impl Session {
    pub(super) fn grant(
        &self,
        grant: bool,
        privileges: &[String],
        on: GrantTarget,
        to: Option<GrantHolder>,
    ) -> Result<Rows, SqlError> {
        let now = self.engine.now();
        self.engine.commit(Vec::new(), |catalog| {
            if let GrantTarget::Role(role) = on {
                let known = |role: &String| match catalog.roles.contains_key(role) {
                    true => Ok(()),
                    false => Err(SqlError::missing("Role", role)),
                };
                known(&role)?;
                let to = match to {
                    Some(GrantHolder::Role(holder)) => {
                        known(&holder)?;
                        Grantee::Role(holder)
                    }
                    Some(GrantHolder::User(user)) => Grantee::User(user),
                    None => return Err(SqlError::unexpected("<EOF>")),
                };
                let change = match grant {
                    true => Change::GrantRole { role, to },
                    false => Change::RevokeRole { role, from: to },
                };
                return Ok((vec![change], ()));
            }
            let Some(GrantHolder::Role(role)) = to else {
                return Err(SqlError::unsupported("privileges granted to users"));
            };
            if !catalog.roles.contains_key(&role) {
                return Err(SqlError::missing("Role", &role));
            }
            let mut changes = Vec::new();
            for (kind, name, object) in self.targets(catalog, on)? {
                for privilege in privileges {
                    if privilege == "OWNERSHIP" && grant {
                        changes.extend(own(catalog, object, &role));
                    }
                    let record = Grant {
                        role: role.clone(),
                        privilege: privilege.clone(),
                        kind: kind.clone(),
                        name: name.clone(),
                        object,
                        created: now,
                        granted_by: self.role().to_owned(),
                    };
                    changes.push(match grant {
                        true => Change::Grant { grant: record },
                        false => Change::Revoke { grant: record },
                    });
                }
            }
            Ok((changes, ()))
        })?;
        answer::status("Statement executed successfully.")
    }

    fn targets(&self, catalog: &Catalog, on: GrantTarget) -> Result<Vec<Target>, SqlError> {
        match on {
            GrantTarget::Account => Ok(vec![("ACCOUNT".to_owned(), "SNOWSIM".to_owned(), None)]),
            GrantTarget::Object { kind, name } => Ok(vec![self.grant_target(catalog, &kind, &name)?]),
            GrantTarget::All { kind, container, name, future } => {
                let (database, schema) = match container {
                    Kind::Database => (name.last().cloned().unwrap_or_default(), None),
                    _ => {
                        let (database, schema) = self.schema_name(&name)?;
                        (database, Some(schema))
                    }
                };
                if future {
                    let name = schema.map_or(database.clone(), |schema| format!("{database}.{schema}"));
                    return Ok(vec![(format!("FUTURE {kind}S"), name, None)]);
                }
                if kind == "SCHEMA" {
                    let schemas = catalog.schemas.keys().filter(|(of, _)| *of == database);
                    return Ok(schemas.map(|(of, name)| (kind.clone(), format!("{of}.{name}"), None)).collect());
                }
                let inside = catalog.names.iter().filter(|(name, object)| {
                    name.database == database
                        && schema.as_ref().is_none_or(|schema| name.schema == *schema)
                        && object.kind() == kind
                });
                Ok(inside.map(|(name, object)| (kind.clone(), name.to_string(), Some(object.id()))).collect())
            }
            GrantTarget::Role(role) => Err(SqlError::unexpected(role)),
        }
    }

    pub(super) fn grant_target(&self, catalog: &Catalog, kind: &str, path: &Path) -> Result<Target, SqlError> {
        let last = path.last().cloned().unwrap_or_default();
        Ok(match kind {
            "DATABASE" if catalog.databases.contains_key(&last) => (kind.to_owned(), last, None),
            "DATABASE" => return Err(SqlError::missing("Database", last)),
            "WAREHOUSE" if catalog.warehouses.contains_key(&last) => (kind.to_owned(), last, None),
            "WAREHOUSE" => return Err(SqlError::missing("Warehouse", last)),
            "SCHEMA" => {
                let (database, schema) = self.schema_name(path)?;
                let full = format!("{database}.{schema}");
                if !catalog.schemas.contains_key(&(database, schema)) {
                    return Err(SqlError::missing("Schema", full));
                }
                (kind.to_owned(), full, None)
            }
            _ => {
                let name = self.full_name(path)?;
                match catalog.names.get(&name) {
                    Some(object) if object.kind() == kind => (kind.to_owned(), name.to_string(), Some(object.id())),
                    _ => return Err(SqlError::missing("Object", name)),
                }
            }
        })
    }
}

/// What passing the ownership of an object changes besides the grant.
fn own(catalog: &Catalog, object: Option<ObjectId>, role: &str) -> Vec<Change> {
    let Some(id) = object else {
        return Vec::new();
    };
    if let Some(table) = catalog.tables.get(&id) {
        let mut definition = table.definition.clone();
        definition.owner = role.to_owned();
        return vec![Change::AlterTable { definition: Box::new(definition) }];
    }
    if let Some(stream) = catalog.streams.get(&id) {
        let mut stream = stream.clone();
        stream.owner = role.to_owned();
        return vec![Change::PutStream { stream: Box::new(stream) }];
    }
    if let Some(view) = catalog.views.get(&id) {
        let mut view = view.clone();
        view.owner = role.to_owned();
        return vec![Change::PutView { view: Box::new(view) }];
    }
    if let Some(stage) = catalog.stages.get(&id) {
        let mut stage = stage.clone();
        stage.owner = role.to_owned();
        return vec![Change::PutStage { stage: Box::new(stage) }];
    }
    Vec::new()
}

/// The grants of a role as SHOW GRANTS TO ROLE lists them: (created, privilege, kind, name, by),
/// ownership included.
pub(super) fn of_role(catalog: &Catalog, role: &str) -> Vec<(i64, String, String, String, String)> {
    let mut rows = Vec::new();
    for grant in catalog.grants.iter().filter(|grant| grant.role == role) {
        let object = [Object::Table, Object::View, Object::Stream, Object::Stage]
            .iter()
            .find_map(|kind| grant.object.and_then(|id| catalog.name_of(kind(id))));
        let name = object.map_or_else(|| grant.name.clone(), |name| name.to_string());
        let every = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES"];
        let privileges = match (grant.privilege.as_str(), grant.kind.as_str()) {
            ("ALL", "TABLE") => every.map(str::to_owned).to_vec(),
            ("ALL", "STREAM" | "VIEW") => vec!["SELECT".to_owned()],
            _ => vec![grant.privilege.clone()],
        };
        for privilege in privileges {
            rows.push((grant.created, privilege, grant.kind.clone(), name.clone(), grant.granted_by.clone()));
        }
    }
    let mut owned = |created: i64, kind: &str, name: String, owner: &str| {
        if owner == role {
            rows.push((created, "OWNERSHIP".to_owned(), kind.to_owned(), name, owner.to_owned()));
        }
    };
    for (name, database) in &catalog.databases {
        owned(database.created, "DATABASE", name.clone(), &database.owner);
    }
    for ((database, name), schema) in &catalog.schemas {
        owned(schema.created, "SCHEMA", format!("{database}.{name}"), &schema.owner);
    }
    for table in catalog.tables.values() {
        let definition = &table.definition;
        owned(definition.created, "TABLE", definition.full_name(), &definition.owner);
    }
    for stream in catalog.streams.values() {
        owned(stream.created, "STREAM", stream.name.to_string(), &stream.owner);
    }
    for warehouse in catalog.warehouses.values() {
        owned(warehouse.created, "WAREHOUSE", warehouse.name.clone(), &warehouse.owner);
    }
    for (held, to) in &catalog.memberships {
        if *to == Grantee::Role(role.to_owned()) {
            rows.push((0, "USAGE".to_owned(), "ROLE".to_owned(), held.clone(), String::new()));
        }
    }
    rows.sort();
    rows.dedup();
    rows
}
