//! Everything an account holds: databases, schemas, tables, views, streams, warehouses, roles, grants.
//!
//! Promises: it changes only by [`change::Change`]s, each of which is in the journal before it is
//! seen here; so a catalog is always the replay of its journal.
//! Leaves to others: names in SQL (`session`), locks and commits (`engine`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::stream::Stream;
use crate::table::Table;
use crate::types::SnowType;

pub(crate) mod access;
pub(crate) mod change;
pub(crate) mod journal;
pub(crate) mod public_key;
pub(crate) mod stage;

/// Identity of a table, view or stream; never reused.
pub(crate) type ObjectId = u64;

/// The name of a schema object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Name {
    /// Database.
    pub(crate) database: String,
    /// Schema.
    pub(crate) schema: String,
    /// Object.
    pub(crate) name: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}.{}", self.database, self.schema, self.name)
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Object {
    /// A table.
    Table(ObjectId),
    /// A view.
    View(ObjectId),
    /// A stream.
    Stream(ObjectId),
    /// A stage.
    Stage(ObjectId),
}

impl Object {
    /// The word for it in messages and grants.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "TABLE",
            Self::View(_) => "VIEW",
            Self::Stream(_) => "STREAM",
            Self::Stage(_) => "STAGE",
        }
    }

    /// Its identity.
    #[must_use]
    pub(crate) fn id(&self) -> ObjectId {
        match self {
            Self::Table(id) | Self::View(id) | Self::Stream(id) | Self::Stage(id) => *id,
        }
    }
}

/// A database or a schema: what SHOW says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Container {
    /// Creation, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// Owning role.
    pub(crate) owner: String,
    /// Comment.
    pub(crate) comment: String,
    /// Whether it was created TRANSIENT.
    pub(crate) transient: bool,
}

/// A view: its text, planned anew at each use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct View {
    /// Identity.
    pub(crate) id: ObjectId,
    /// Name.
    pub(crate) name: Name,
    /// Its columns when it was made: names and types.
    pub(crate) columns: Vec<(String, SnowType)>,
    /// CREATE SECURE VIEW.
    pub(crate) secure: bool,
    /// CREATE MATERIALIZED VIEW.
    pub(crate) materialized: bool,
    /// CHANGE_TRACKING.
    pub(crate) tracked: bool,
    /// The whole CREATE VIEW.
    pub(crate) text: String,
    /// Creation, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// Owning role.
    pub(crate) owner: String,
    /// Comment.
    pub(crate) comment: String,
}

/// Sizes of warehouses, each twice as dear as the one before: as a statement says them without their dashes, and as SHOW
/// writes them (sql-reference/sql/create-warehouse).
pub(crate) const SIZES: [(&str, &str); 10] = [
    ("XSMALL", "X-Small"),
    ("SMALL", "Small"),
    ("MEDIUM", "Medium"),
    ("LARGE", "Large"),
    ("XLARGE", "X-Large"),
    ("2XLARGE", "2X-Large"),
    ("3XLARGE", "3X-Large"),
    ("4XLARGE", "4X-Large"),
    ("5XLARGE", "5X-Large"),
    ("6XLARGE", "6X-Large"),
];

/// A warehouse. Nothing runs on it; it is there to be named, suspended and billed. Whether it runs is for
/// [`crate::warehouse`] to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Warehouse {
    /// Name.
    pub(crate) name: String,
    /// Creation, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// Owning role.
    pub(crate) owner: String,
    /// WAREHOUSE_SIZE as SHOW writes it.
    pub(crate) size: String,
    /// AUTO_SUSPEND, seconds; 0 is never.
    pub(crate) auto_suspend: u64,
    /// AUTO_RESUME.
    #[serde(default = "yes")]
    pub(crate) auto_resume: bool,
    /// Comment.
    pub(crate) comment: String,
}

/// What an account of before AUTO_RESUME was known is read with.
fn yes() -> bool {
    true
}

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    /// Name.
    pub(crate) name: String,
    /// Creation, nanoseconds since the epoch.
    pub(crate) created: i64,
    /// DEFAULT_ROLE.
    pub(crate) role: Option<String>,
    /// DEFAULT_WAREHOUSE.
    pub(crate) warehouse: Option<String>,
    /// DEFAULT_NAMESPACE.
    pub(crate) namespace: Option<String>,
    /// PASSWORD as given in CREATE USER; the simulator keeps no real secrets.
    pub(crate) password: Option<String>,
    /// RSA_PUBLIC_KEY, checked.
    #[serde(default)]
    pub(crate) rsa_public_key: Option<String>,
    /// RSA_PUBLIC_KEY_2, checked: the other key while keys are rotated.
    #[serde(default)]
    pub(crate) rsa_public_key_2: Option<String>,
}

/// The account's state.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// Databases.
    pub(crate) databases: BTreeMap<String, Container>,
    /// Schemas, by database and name.
    pub(crate) schemas: BTreeMap<(String, String), Container>,
    /// Schema objects by name.
    pub(crate) names: BTreeMap<Name, Object>,
    /// Tables.
    pub(crate) tables: HashMap<ObjectId, Table>,
    /// Views.
    pub(crate) views: HashMap<ObjectId, View>,
    /// Streams.
    pub(crate) streams: HashMap<ObjectId, Stream>,
    /// Stages.
    pub(crate) stages: HashMap<ObjectId, stage::Stage>,
    /// Warehouses.
    pub(crate) warehouses: BTreeMap<String, Warehouse>,
    /// Roles: name to (creation, comment).
    pub(crate) roles: BTreeMap<String, (i64, String)>,
    /// Users.
    pub(crate) users: BTreeMap<String, User>,
    /// Privileges granted.
    pub(crate) grants: BTreeSet<access::Grant>,
    /// Roles granted: (role, to role or `USER name`).
    pub(crate) memberships: BTreeSet<(String, access::Grantee)>,
    /// Application packages and applications.
    pub(crate) native: crate::native::Native,
    /// The next object id.
    pub(crate) next_object: ObjectId,
    /// Number of the last commit.
    pub(crate) sequence: u64,
    /// Time of the last commit.
    pub(crate) last_commit: i64,
}

impl Catalog {
    /// The table of an id.
    #[must_use]
    pub(crate) fn table(&self, id: ObjectId) -> Option<&Table> {
        self.tables.get(&id)
    }

    /// All names in a schema.
    pub(crate) fn in_schema<'a>(
        &'a self,
        database: &'a str,
        schema: &'a str,
    ) -> impl Iterator<Item = (&'a Name, &'a Object)> {
        self.names.iter().filter(move |(name, _)| name.database == database && name.schema == schema)
    }

    /// Current name of an object.
    #[must_use]
    pub(crate) fn name_of(&self, object: Object) -> Option<Name> {
        match object {
            Object::Table(id) => self.tables.get(&id).map(|table| Name {
                database: table.definition.database.clone(),
                schema: table.definition.schema.clone(),
                name: table.definition.name.clone(),
            }),
            Object::View(id) => self.views.get(&id).map(|view| view.name.clone()),
            Object::Stream(id) => self.streams.get(&id).map(|stream| stream.name.clone()),
            Object::Stage(id) => self.stages.get(&id).map(|stage| stage.name.clone()),
        }
    }

    /// The earliest version of a table that a readable stream or Time Travel still needs.
    #[must_use]
    pub(crate) fn needed_from(&self, table: &Table, now: i64) -> u64 {
        let day = 86_400_000_000_000_i64;
        let horizon = now.saturating_sub(day.saturating_mul(i64::from(table.definition.retention())));
        let travel = table.version_at(horizon).map_or(table.versions[0].number, |version| version.number);
        self.streams
            .values()
            .flat_map(|stream| stream.bases.iter().map(move |base| (stream, base)))
            .filter(|(stream, base)| base.table == table.definition.id && !stream.is_stale(self, now))
            .map(|(_, base)| base.offset)
            .fold(travel, u64::min)
    }

    /// Every part any kept version refers to.
    #[must_use]
    pub(crate) fn part_ids(&self) -> BTreeSet<u64> {
        let mut ids = BTreeSet::new();
        for version in self.tables.values().flat_map(|table| &table.versions) {
            ids.extend(version.parts.iter().map(|view| view.part.meta.id));
            ids.extend(version.inserted.iter().map(|part| part.meta.id));
        }
        ids
    }
}
