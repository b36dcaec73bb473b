//! The one list of privileges that a publisher's role needs: what, on which object, why, and when.
//!
//! ```text
//! LIST ── what and why ──▶ docs/privileges.md (page)
//!   └ required(config, known) ─▶ Privilege… ─▶ statement(): `sql grants` prints it (script), `check` names it
//! ```
//!
//! Least privilege: nothing is listed that the publisher can do without. The sources are the sections "Access control
//! requirements" of docs.snowflake.com/en/sql-reference/sql/create-stream, …/create-table and …/grant-privilege. USAGE
//! on schemas is asked for throughout, although any privilege on a schema is documented to do: it gives nothing more.
//!
//! Every identifier is written in quotes, so that no keyword and no lower-case letter makes it another one.

mod list;
mod page;
mod script;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use list::{Entry, LIST, Need};
pub use page::page;
pub use script::script;

use crate::config::{Config, Glob, ObjectName, SchemaName, Table, TablePattern, identifier, quote};
use crate::source::object::{Kind, Object};

/// What a privilege is on, identifiers as Snowflake stores them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    User(String),
    Warehouse(String),
    Database(String),
    Schema(SchemaName),
    /// With the words that GRANT has for its kind.
    Object(&'static str, ObjectName),
    /// `ALL` or `FUTURE`, `SCHEMAS` or `TABLES`, and in what.
    Many(&'static str, &'static str, Container),
}

/// A database or a schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Container {
    Database(String),
    Schema(SchemaName),
}

/// One privilege of one role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Privilege {
    /// What it is needed for.
    pub need: Need,
    /// In SQL, as `USAGE`.
    word: &'static str,
    on: On,
}

impl Privilege {
    /// The role, to be granted to the user `name`.
    #[must_use]
    pub fn role_of(name: &str) -> Self {
        // A login name is not case-sensitive, and as a user's name it is upper-case unless it was made in quotes.
        Self { need: Need::Role, word: "", on: On::User(stored(name)) }
    }

    /// To use a warehouse.
    #[must_use]
    pub fn warehouse(name: &str) -> Self {
        Self { need: Need::Warehouse, word: "USAGE", on: On::Warehouse(stored(name)) }
    }

    /// To use a database.
    #[must_use]
    pub fn database(name: &str) -> Self {
        Self { need: Need::Database, word: "USAGE", on: On::Database(name.to_owned()) }
    }

    /// To use a schema.
    #[must_use]
    pub fn schema(name: &SchemaName) -> Self {
        Self { need: Need::Schema, word: "USAGE", on: On::Schema(name.clone()) }
    }

    /// To make tables in the state schema.
    #[must_use]
    pub fn create_table(state: &SchemaName) -> Self {
        Self { need: Need::CreateTable, word: "CREATE TABLE", on: On::Schema(state.clone()) }
    }

    /// To make streams in the state schema.
    #[must_use]
    pub fn create_stream(state: &SchemaName) -> Self {
        Self { need: Need::CreateStream, word: "CREATE STREAM", on: On::Schema(state.clone()) }
    }

    /// To capture an object; what is not known to be of another kind is taken for a table.
    #[must_use]
    pub fn read(name: &ObjectName, kind: Option<&Kind>) -> Self {
        let word = match kind {
            Some(Kind::Stage { external: true, .. }) => "USAGE",
            Some(Kind::Stage { external: false, .. }) => "READ",
            _ => "SELECT",
        };
        Self { need: Need::Read, word, on: On::Object(kind.map_or("TABLE", Kind::granted_on), name.clone()) }
    }

    /// To read a stream that is there already.
    #[must_use]
    pub fn read_stream(name: &ObjectName) -> Self {
        Self { need: Need::ReadStream, word: "SELECT", on: On::Object("STREAM", name.clone()) }
    }

    /// To let others than the owner make a stream on an object; `None` for kinds that have no such switch.
    #[must_use]
    pub fn tracking(name: &ObjectName, kind: Option<&Kind>) -> Option<Self> {
        let kind = match kind {
            // An Iceberg table is altered as a table.
            None | Some(Kind::Table(_) | Kind::EventTable | Kind::IcebergTable { managed: true }) => "TABLE",

            Some(Kind::View { .. }) => "VIEW",
            Some(_) => return None,
        };
        Some(Self { need: Need::Tracking, word: "", on: On::Object(kind, name.clone()) })
    }

    /// The statement that gives it to `role`, a name as Snowflake stores it.
    #[must_use]
    pub fn statement(&self, role: &str) -> String {
        match (&self.on, self.need) {
            (On::User(user), _) => format!("GRANT ROLE {} TO USER {};", quote(role), quote(user)),
            (On::Object(kind, name), Need::Tracking) => {
                format!("ALTER {kind} {} SET CHANGE_TRACKING = TRUE;", name.quoted())
            }
            (on, _) => format!("GRANT {} ON {on} TO ROLE {};", self.word, quote(role)),
        }
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "USER {}", quote(name)),
            Self::Warehouse(name) => write!(f, "WAREHOUSE {}", quote(name)),
            Self::Database(name) => write!(f, "DATABASE {}", quote(name)),
            Self::Schema(name) => write!(f, "SCHEMA {}", name.quoted()),
            Self::Object(kind, name) => write!(f, "{kind} {}", name.quoted()),
            Self::Many(which, what, Container::Database(name)) => {
                write!(f, "{which} {what} IN DATABASE {}", quote(name))
            }
            Self::Many(which, what, Container::Schema(name)) => write!(f, "{which} {what} IN SCHEMA {}", name.quoted()),
        }
    }
}

/// What Snowflake was asked beside the configuration.
#[derive(Debug, Default)]
pub struct Known {
    /// Whether it was asked at all.
    pub asked: bool,
    /// What configured and found names stand for, where the asking role sees them.
    pub objects: BTreeMap<ObjectName, Object>,
    /// Tables that patterns find now.
    pub found: Vec<Table>,
    /// What could not be listed or cannot be captured, and why.
    pub open: Vec<String>,
}

/// Everything that the role of `config` needs, each once and in the order of the list.
#[must_use]
pub fn required(config: &Config, known: &Known, user: Option<&str>) -> Vec<Privilege> {
    let mut all: Vec<Privilege> = user.map(Privilege::role_of).into_iter().collect();
    all.extend(config.snowflake.warehouse.as_deref().map(Privilege::warehouse));
    if let Some(state) = config.state_schema_in_use() {
        all.extend([Privilege::database(&state.database), Privilege::schema(state), Privilege::create_table(state)]);
        if config.makes_streams() {
            all.push(Privilege::create_stream(state));
        }
    }
    for table in config.tables.iter().chain(&known.found) {
        let object = known.objects.get(&table.name);
        let kind = object.map(|object| &object.kind);
        all.extend([Privilege::database(&table.name.database), Privilege::schema(&table.name.parent())]);
        all.push(Privilege::read(&table.name, kind));
        match &table.stream {
            Some(stream) => {
                all.extend([Privilege::database(&stream.database), Privilege::schema(&stream.parent())]);
                all.push(Privilege::read_stream(stream));
            }
            None if object.and_then(|object| object.change_tracking) == Some(true) => {}
            None => all.extend(Privilege::tracking(&table.name, kind)),
        }
    }
    for pattern in &config.table_patterns {
        all.extend(of_pattern(pattern, known.asked));
    }
    // Within a need in the order of the configuration.
    let mut each: Vec<Privilege> = Vec::with_capacity(all.len());
    for privilege in all {
        if !each.contains(&privilege) {
            each.push(privilege);
        }
    }
    each.sort_by_key(|privilege| privilege.need);
    each
}

/// What a pattern needs beside what the tables need that it finds. Nothing can be granted on databases to come.
fn of_pattern(pattern: &TablePattern, asked: bool) -> Vec<Privilege> {
    let (database, schema) = (&pattern.matches.database, &pattern.matches.schema);
    let Some(database) = database.literal() else { return Vec::new() };
    let mut all = vec![Privilege::database(database)];
    let container = match schema.literal() {
        Some(schema) => {
            let schema = SchemaName { database: database.to_owned(), schema: schema.to_owned() };
            all.push(Privilege::schema(&schema));
            Container::Schema(schema)
        }
        None => {
            let container = Container::Database(database.to_owned());
            let many = |which| Privilege {
                need: Need::Schema,
                word: "USAGE",
                on: On::Many(which, "SCHEMAS", container.clone()),
            };
            all.extend(if asked { vec![many("FUTURE")] } else { vec![many("ALL"), many("FUTURE")] });
            container
        }
    };
    let many = |need, which| Privilege { need, word: "SELECT", on: On::Many(which, "TABLES", container.clone()) };
    if !asked {
        all.push(many(Need::ReadAll, "ALL"));
    }
    all.push(many(Need::ReadFuture, "FUTURE"));
    all
}

/// SELECT on the tables to come where `pattern` looks; `None` where it looks into every database.
#[must_use]
pub fn future(pattern: &TablePattern) -> Option<Privilege> {
    of_pattern(pattern, true).into_iter().find(|privilege| privilege.need == Need::ReadFuture)
}

/// A name in the configuration's text as Snowflake stores it: as a driver's connection parameter it is read like an
/// identifier. What cannot be one without quotes means itself.
#[must_use]
pub fn stored(text: &str) -> String {
    identifier(text).unwrap_or_else(|_| text.to_owned())
}

/// Whether any part of the pattern's place is a pattern itself.
#[must_use]
fn is_open(glob: &Glob) -> bool {
    glob.literal().is_none()
}
