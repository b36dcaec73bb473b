//! Privileges: who may do what on which object.
//!
//! Promises: grants are enforced for every role but the account's administrators; a role inherits
//! from the roles granted to it and from PUBLIC; an object on which a role holds nothing is invisible.
//! Leaves to others: which statement needs which privilege (`session`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Catalog, Object, ObjectId};
use crate::error::SqlError;

/// A privilege held by a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// The role.
    pub(crate) role: String,
    /// `SELECT`, `USAGE`, `CREATE TABLE`, `ALL` …
    pub(crate) privilege: String,
    /// `TABLE`, `STREAM`, `VIEW`, `SCHEMA`, `DATABASE`, `WAREHOUSE`, `ACCOUNT`, or `FUTURE TABLES` …
    pub(crate) kind: String,
    /// Name as SHOW GRANTS writes it (`DB`, `DB.SCHEMA`, `DB.SCHEMA.T`, a warehouse).
    pub(crate) name: String,
    /// Identity of the table, view or stream, so that a grant follows a rename and dies with a drop.
    pub(crate) object: Option<ObjectId>,
    /// When it was granted, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// The role that granted it.
    pub(crate) granted_by: String,
}

impl Grant {
    /// Whether revoking `other` takes this one away.
    #[must_use]
    pub(crate) fn covered_by(&self, other: &Self) -> bool {
        self.role == other.role
            && (self.privilege == other.privilege || (other.privilege == "ALL" && self.privilege != "OWNERSHIP"))
            && self.kind == other.kind
            && (self.name == other.name || (self.object.is_some() && self.object == other.object))
    }
}

/// To whom a role is granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Grantee {
    /// A role.
    Role(String),
    /// A user.
    User(String),
}

/// Roles that may do anything.
const ADMINISTRATORS: [&str; 2] = ["ACCOUNTADMIN", "SYSADMIN"];

impl Catalog {
    /// A role and every role it inherits from.
    #[must_use]
    pub(crate) fn effective_roles(&self, role: &str) -> BTreeSet<String> {
        let mut roles = BTreeSet::from(["PUBLIC".to_owned()]);
        let mut queue = vec![role.to_owned()];
        while let Some(next) = queue.pop() {
            let holder = Grantee::Role(next.clone());
            if roles.insert(next) || holder == Grantee::Role("PUBLIC".to_owned()) {
                queue.extend(self.memberships.iter().filter(|(_, to)| *to == holder).map(|(role, _)| role.clone()));
            }
        }
        roles
    }

    /// Whether a user may take a role on. Users nobody created or restricted may take any.
    #[must_use]
    pub(crate) fn may_assume(&self, user: &str, role: &str) -> bool {
        let own: Vec<&String> = self
            .memberships
            .iter()
            .filter(|(_, to)| *to == Grantee::User(user.to_owned()))
            .map(|(role, _)| role)
            .collect();
        role == "PUBLIC"
            || (own.is_empty() && !self.users.contains_key(user))
            || own
                .iter()
                .any(|held| self.effective_roles(held).contains(role) || ADMINISTRATORS.contains(&held.as_str()))
    }

    fn is_administrator(&self, role: &str) -> bool {
        ADMINISTRATORS.contains(&role)
            || self.effective_roles(role).iter().any(|role| ADMINISTRATORS.contains(&role.as_str()))
    }

    fn owner(&self, object: Object) -> Option<&str> {
        match object {
            Object::Table(id) => self.tables.get(&id).map(|table| table.definition.owner.as_str()),
            Object::View(id) => self.views.get(&id).map(|view| view.owner.as_str()),
            Object::Stream(id) => self.streams.get(&id).map(|stream| stream.owner.as_str()),
            Object::Stage(id) => self.stages.get(&id).map(|stage| stage.owner.as_str()),
        }
    }

    fn holds(&self, role: &str, found: impl Fn(&Grant) -> bool) -> bool {
        let roles = self.effective_roles(role);
        self.grants.iter().any(|grant| roles.contains(&grant.role) && found(grant))
    }

    /// Whether a role owns an object or inherits from a role that does.
    #[must_use]
    pub(crate) fn owns(&self, role: &str, object: Object) -> bool {
        self.is_administrator(role)
            || self.owner(object).is_some_and(|owner| self.effective_roles(role).contains(owner))
    }

    /// Refuses unless a role holds a privilege on an object, and may use its database and schema; the first of the
    /// three that is hidden is the one named.
    pub(crate) fn check_object(&self, role: &str, object: Object, privilege: &str) -> Result<(), SqlError> {
        if self.is_administrator(role) {
            return Ok(());
        }
        let Some(name) = self.name_of(object) else {
            return Err(SqlError::missing("Object", object.id()));
        };
        self.check_schema(role, &name.database, &name.schema, "USAGE")?;
        let of_object = |grant: &Grant| grant.object == Some(object.id());
        if self.owns(role, object)
            || self.holds(role, |grant| {
                of_object(grant) && ["ALL", "OWNERSHIP", privilege].contains(&grant.privilege.as_str())
            })
        {
            return Ok(());
        }
        Err(match self.holds(role, of_object) {
            true => SqlError::denied(object.kind(), &name.name),
            false => SqlError::missing("Object", &name),
        })
    }

    /// Refuses unless a role holds a privilege on a schema.
    pub(crate) fn check_schema(
        &self,
        role: &str,
        database: &str,
        schema: &str,
        privilege: &str,
    ) -> Result<(), SqlError> {
        let full = format!("{database}.{schema}");
        self.check_container(role, "DATABASE", database, "USAGE")?;
        match self.schemas.get(&(database.to_owned(), schema.to_owned())) {
            Some(container) if self.effective_roles(role).contains(&container.owner) => Ok(()),
            _ => self.check_container(role, "SCHEMA", &full, privilege),
        }
    }

    /// Refuses unless a role holds a privilege on a database, a warehouse or a schema by name.
    pub(crate) fn check_container(&self, role: &str, kind: &str, name: &str, privilege: &str) -> Result<(), SqlError> {
        let owner = match kind {
            "DATABASE" => self.databases.get(name).map(|database| &database.owner),
            "WAREHOUSE" => self.warehouses.get(name).map(|warehouse| &warehouse.owner),
            _ => None,
        };
        let about = |grant: &Grant| grant.kind == kind && grant.name == name;
        if self.is_administrator(role)
            || owner.is_some_and(|owner| self.effective_roles(role).contains(owner))
            || self.holds(role, |grant| {
                about(grant) && ["ALL", "OWNERSHIP", privilege].contains(&grant.privilege.as_str())
            })
        {
            return Ok(());
        }
        let title = format!("{}{}", kind.get(..1).unwrap_or(""), kind.get(1..).unwrap_or("").to_lowercase());
        Err(match self.holds(role, about) {
            true => SqlError::denied(kind, name.rsplit('.').next().unwrap_or(name)),
            false => SqlError::missing(&title, name),
        })
    }

    /// Refuses unless a role holds a privilege on the account.
    pub(crate) fn check_account(&self, role: &str, privilege: &str) -> Result<(), SqlError> {
        let held = |grant: &Grant| grant.kind == "ACCOUNT" && ["ALL", privilege].contains(&grant.privilege.as_str());
        match self.is_administrator(role) || self.holds(role, held) {
            true => Ok(()),
            false => Err(SqlError::denied("ACCOUNT", "SNOWSIM")),
        }
    }

    /// Whether SHOW lists an object to a role.
    #[must_use]
    pub(crate) fn visible(&self, role: &str, object: Object) -> bool {
        self.owns(role, object) || self.holds(role, |grant| grant.object == Some(object.id()))
    }
}
