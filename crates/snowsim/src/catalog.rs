//! Everything an account holds: databases, schemas, tables, views, streams, warehouses, roles, grants.
//!
//! Promises: it changes only by [`change::Change`]s, each of which is in the journal before it is
//! seen here; so a catalog is always the replay of its journal.
//! Leaves to others: names in SQL (`session`), locks and commits (`engine`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::stream::Stream;
use crate::table::Table;

pub mod access;
pub mod change;
pub mod journal;

/// Identity of a table, view or stream; never reused.
pub type ObjectId = u64;

/// The name of a schema object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Name {
    /// Database.
    pub database: String,
    /// Schema.
    pub schema: String,
    /// Object.
    pub name: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}.{}", self.database, self.schema, self.name)
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Object {
    /// A table.
    Table(ObjectId),
    /// A view.
    View(ObjectId),
    /// A stream.
    Stream(ObjectId),
}

impl Object {
    /// The word for it in messages and grants.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "TABLE",
            Self::View(_) => "VIEW",
            Self::Stream(_) => "STREAM",
        }
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        match self {
            Self::Table(id) | Self::View(id) | Self::Stream(id) => *id,
        }
    }
}

/// A database or a schema: what SHOW says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Creation, nanoseconds since the epoch.
    pub created: i64,
    /// Owning role.
    pub owner: String,
    /// Comment.
    pub comment: String,
    /// Whether it was created TRANSIENT.
    pub transient: bool,
}

/// A view: its text, planned anew at each use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Identity.
    pub id: ObjectId,
    /// Name.
    pub name: Name,
    /// Column names given in CREATE VIEW.
    pub columns: Vec<String>,
    /// The query's text.
    pub query: String,
    /// The whole CREATE VIEW.
    pub text: String,
    /// Creation, nanoseconds since the epoch.
    pub created: i64,
    /// Owning role.
    pub owner: String,
    /// Comment.
    pub comment: String,
}

/// A warehouse. Nothing runs on it; it is there to be named, counted and suspended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warehouse {
    /// Name.
    pub name: String,
    /// Creation, nanoseconds since the epoch.
    pub created: i64,
    /// Owning role.
    pub owner: String,
    /// Whether it is suspended.
    pub suspended: bool,
    /// WAREHOUSE_SIZE as SHOW writes it.
    pub size: String,
    /// AUTO_SUSPEND, seconds.
    pub auto_suspend: u64,
    /// Comment.
    pub comment: String,
}

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Name.
    pub name: String,
    /// Creation, nanoseconds since the epoch.
    pub created: i64,
    /// DEFAULT_ROLE.
    pub role: Option<String>,
    /// DEFAULT_WAREHOUSE.
    pub warehouse: Option<String>,
    /// DEFAULT_NAMESPACE.
    pub namespace: Option<String>,
    /// PASSWORD as given in CREATE USER; the simulator keeps no real secrets.
    pub password: Option<String>,
}

/// The account's state.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Databases.
    pub databases: BTreeMap<String, Container>,
    /// Schemas, by database and name.
    pub schemas: BTreeMap<(String, String), Container>,
    /// Schema objects by name.
    pub names: BTreeMap<Name, Object>,
    /// Tables.
    pub tables: HashMap<ObjectId, Table>,
    /// Views.
    pub views: HashMap<ObjectId, View>,
    /// Streams.
    pub streams: HashMap<ObjectId, Stream>,
    /// Warehouses.
    pub warehouses: BTreeMap<String, Warehouse>,
    /// Roles: name to (creation, comment).
    pub roles: BTreeMap<String, (i64, String)>,
    /// Users.
    pub users: BTreeMap<String, User>,
    /// Privileges granted.
    pub grants: BTreeSet<access::Grant>,
    /// Roles granted: (role, to role or `USER name`).
    pub memberships: BTreeSet<(String, access::Grantee)>,
    /// The next object id.
    pub next_object: ObjectId,
    /// Number of the last commit.
    pub sequence: u64,
    /// Time of the last commit.
    pub last_commit: i64,
}

impl Catalog {
    /// The table of an id.
    #[must_use]
    pub fn table(&self, id: ObjectId) -> Option<&Table> {
        self.tables.get(&id)
    }

    /// All names in a schema.
    pub fn in_schema<'a>(
        &'a self,
        database: &'a str,
        schema: &'a str,
    ) -> impl Iterator<Item = (&'a Name, &'a Object)> {
        self.names
            .iter()
            .filter(move |(name, _)| name.database == database && name.schema == schema)
    }

    /// Current name of an object.
    #[must_use]
    pub fn name_of(&self, object: Object) -> Option<Name> {
        match object {
            Object::Table(id) => self.tables.get(&id).map(|table| Name {
                database: table.definition.database.clone(),
                schema: table.definition.schema.clone(),
                name: table.definition.name.clone(),
            }),
            Object::View(id) => self.views.get(&id).map(|view| view.name.clone()),
            Object::Stream(id) => self.streams.get(&id).map(|stream| stream.name.clone()),
        }
    }

    /// The earliest version of a table that a readable stream or Time Travel still needs.
    #[must_use]
    pub fn needed_from(&self, table: &Table, now: i64) -> u64 {
        let day = 86_400_000_000_000_i64;
        let horizon = now.saturating_sub(day.saturating_mul(i64::from(table.definition.retention())));
        let travel = table
            .version_at(horizon)
            .map_or(table.versions[0].number, |version| version.number);
        self.streams
            .values()
            .filter(|stream| stream.table == table.definition.id && !stream.is_stale(table, now))
            .map(|stream| stream.offset)
            .fold(travel, u64::min)
    }

    /// Every part any kept version refers to.
    #[must_use]
    pub fn part_ids(&self) -> BTreeSet<u64> {
        let mut ids = BTreeSet::new();
        for version in self.tables.values().flat_map(|table| &table.versions) {
            ids.extend(version.parts.iter().map(|view| view.part.meta.id));
            ids.extend(version.inserted.iter().map(|part| part.meta.id));
        }
        ids
    }

    /// The part of an id, wherever it is referred to (clones share parts).
    #[must_use]
    pub fn find_part(&self, id: u64) -> Option<Arc<crate::table::part::Part>> {
        self.tables
            .values()
            .flat_map(|table| &table.versions)
            .flat_map(|version| {
                version.parts.iter().map(|view| &view.part).chain(&version.inserted)
            })
            .find(|part| part.meta.id == id)
            .cloned()
    }
}
