//! Resolving names in the session's context, and switching that context.
//!
//! Promises: what a role may not see looks like what does not exist.
//! Leaves to others: the privileges themselves (`catalog::access`).

use super::{Rows, Session, answer};
use crate::catalog::{Catalog, Name, Object};
use crate::error::SqlError;
use crate::sql::Kind;
use crate::table::Table;

impl Session {
    /// The full name of a schema object.
    pub(super) fn full_name(&self, path: &[String]) -> Result<Name, SqlError> {
        let no_database = || {
            SqlError::new(
                "090105",
                "22000",
                "Cannot perform operation. This session does not have a current database. \
                 Call 'USE DATABASE', or use a qualified name.",
            )
        };
        let no_schema = || {
            SqlError::new(
                "090106",
                "22000",
                "Cannot perform operation. This session does not have a current schema. \
                 Call 'USE SCHEMA', or use a qualified name.",
            )
        };
        let database = || self.current.database.clone().ok_or_else(no_database);
        match path {
            [name] => Ok(Name {
                database: database()?,
                schema: self.current.schema.clone().ok_or_else(no_schema)?,
                name: name.clone(),
            }),
            [schema, name] => Ok(Name { database: database()?, schema: schema.clone(), name: name.clone() }),
            [database, schema, name] => {
                Ok(Name { database: database.clone(), schema: schema.clone(), name: name.clone() })
            }
            _ => Err(SqlError::unexpected(path.join("."))),
        }
    }

    /// Database and schema of a schema's name.
    pub(super) fn schema_name(&self, path: &[String]) -> Result<(String, String), SqlError> {
        match path {
            [schema] => {
                let name = self.full_name(&[schema.clone(), String::new()])?;
                Ok((name.database, name.schema))
            }
            [database, schema] => Ok((database.clone(), schema.clone())),
            _ => Err(SqlError::unexpected(path.join("."))),
        }
    }

    /// The object of a name, if the role holds the privilege on it.
    pub(super) fn object(
        &self,
        catalog: &Catalog,
        path: &[String],
        privilege: &str,
    ) -> Result<(Name, Object), SqlError> {
        let name = self.full_name(path)?;
        let Some(object) = catalog.names.get(&name) else {
            self.check_place(catalog, &name)?;
            catalog.check_schema(self.role(), &name.database, &name.schema, "USAGE")?;
            return Err(SqlError::missing("Object", &name));
        };
        catalog.check_object(self.role(), *object, privilege)?;
        Ok((name, *object))
    }

    /// Refuses names in databases and schemas that do not exist.
    pub(super) fn check_place(&self, catalog: &Catalog, name: &Name) -> Result<(), SqlError> {
        if !catalog.databases.contains_key(&name.database) {
            return Err(SqlError::missing("Database", &name.database));
        }
        let schema = (name.database.clone(), name.schema.clone());
        if !catalog.schemas.contains_key(&schema) {
            return Err(SqlError::missing("Schema", format!("{}.{}", name.database, name.schema)));
        }
        Ok(())
    }

    /// The table of a name, if the role holds the privilege on it.
    pub(super) fn table<'c>(
        &self,
        catalog: &'c Catalog,
        path: &[String],
        privilege: &str,
    ) -> Result<&'c Table, SqlError> {
        match self.object(catalog, path, privilege)? {
            (name, Object::Table(id)) => catalog.table(id).ok_or_else(|| SqlError::missing("Object", name)),
            (_, other) => Err(super::stream_source::wrong_type(other.kind(), "TABLE")),
        }
    }

    /// USE.
    pub(super) fn use_context(&mut self, kind: Kind, path: &[String]) -> Result<Rows, SqlError> {
        let last = path.last().cloned().unwrap_or_default();
        let catalog = self.engine.catalog();
        let role = self.role().to_owned();
        let mut next = self.current.clone();
        match kind {
            Kind::Database => {
                usable(catalog.databases.contains_key(&last))?;
                usable(catalog.check_container(&role, "DATABASE", &last, "USAGE").is_ok())?;
                let public = catalog.schemas.contains_key(&(last.clone(), "PUBLIC".to_owned()));
                next.schema = public.then(|| "PUBLIC".to_owned());
                next.database = Some(last);
            }
            Kind::Schema => {
                let (database, schema) = self.schema_name(path)?;
                usable(catalog.schemas.contains_key(&(database.clone(), schema.clone())))?;
                usable(catalog.check_schema(&role, &database, &schema, "USAGE").is_ok())?;
                next.database = Some(database);
                next.schema = Some(schema);
            }
            Kind::Warehouse => {
                usable(catalog.warehouses.contains_key(&last))?;
                usable(catalog.check_container(&role, "WAREHOUSE", &last, "USAGE").is_ok())?;
                next.warehouse = Some(last);
            }
            Kind::Role => {
                usable(catalog.roles.contains_key(&last))?;
                if !catalog.may_assume(&self.user, &last) {
                    let words = "is not assigned to the executing user. Specify another role to activate.";
                    return Err(SqlError::new(
                        "003013",
                        "42501",
                        format!("SQL access control error:\nRequested role '{last}' {words}"),
                    ));
                }
                next.role = Some(last);
            }
            other => return Err(SqlError::unexpected(other.word())),
        }
        drop(catalog);
        self.current = next;
        answer::status("Statement executed successfully.")
    }
}

/// What cannot be used is not told from what does not exist.
fn usable(usable: bool) -> Result<(), SqlError> {
    usable.then_some(()).ok_or_else(SqlError::unusable)
}
