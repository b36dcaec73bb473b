//! The list itself. `docs/privileges.md` is made of it, and so is every statement's reason.

/// What a privilege is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The role itself.
    Role,
    /// USAGE on the warehouse.
    Warehouse,
    /// USAGE on databases.
    Database,
    /// USAGE on schemas.
    Schema,
    /// CREATE TABLE in the state schema.
    CreateTable,
    /// CREATE STREAM in the state schema.
    CreateStream,
    /// SELECT on what is captured; READ or USAGE on a stage.
    Read,
    /// SELECT on a stream that somebody else made.
    ReadStream,
    /// SELECT on the tables there are, of a pattern whose tables were not asked for.
    ReadAll,
    /// SELECT on tables to come, of a pattern.
    ReadFuture,
    /// Change tracking, which is no privilege but the owner's to switch on.
    Tracking,
}

/// One line of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub need: Need,
    /// The privilege, in SQL.
    pub privilege: &'static str,
    /// What it is on.
    pub on: &'static str,
    /// What the publisher does with it; read after "needed".
    pub why: &'static str,
    /// Which configurations need it.
    pub when: &'static str,
}

/// The list.
pub const LIST: [Entry; 11] = [
    Entry {
        need: Need::Role,
        privilege: "the role",
        on: "the user",
        why: "to log in with it",
        when: "a user logs in: not in a container service, which has its owner's role",
    },
    Entry {
        need: Need::Warehouse,
        privilege: "USAGE",
        on: "`snowflake.warehouse`",
        why: "to stage changes and to read what is staged",
        when: "always",
    },
    Entry {
        need: Need::Database,
        privilege: "USAGE",
        on: "databases of the state schema, of every captured object, of every `stream`",
        why: "to reach what is in the database",
        when: "always",
    },
    Entry {
        need: Need::Schema,
        privilege: "USAGE",
        on: "the state schema, the schemas of every captured object and of every `stream`",
        why: "to reach what is in the schema",
        when: "always",
    },
    Entry {
        need: Need::CreateTable,
        privilege: "CREATE TABLE",
        on: "`snowflake.state_schema`",
        why: "to make staging tables and claims there",
        when: "unless every object has `read = \"changes\"`",
    },
    Entry {
        need: Need::CreateStream,
        privilege: "CREATE STREAM",
        on: "`snowflake.state_schema`",
        why: "to make a stream for each captured object there",
        when: "unless every object is read through a `stream`, or has `read = \"changes\"`",
    },
    Entry {
        need: Need::Read,
        privilege: "SELECT; on an internal stage READ, on an external one USAGE",
        on: "every captured object. Of a view: the view alone, not what it reads",
        why: "to make a stream on it and to read that; with `read = \"changes\"` to read its history",
        when: "always, also with `stream`",
    },
    Entry {
        need: Need::ReadStream,
        privilege: "SELECT",
        on: "the stream",
        why: "to read and move a stream that is there already",
        when: "`tables[].stream`",
    },
    Entry {
        need: Need::ReadAll,
        privilege: "SELECT",
        on: "ALL TABLES of the schema",
        why: "to capture the tables that the pattern finds now",
        when: "`tables[].match`, if `sql grants` was not told to `--connect`; then it names each table",
    },
    Entry {
        need: Need::ReadFuture,
        privilege: "SELECT",
        on: "FUTURE TABLES of the schema",
        why: "to capture tables that are made later; it also opens those that no pattern finds",
        when: "`tables[].match`; without it, grant SELECT on each new table",
    },
    Entry {
        need: Need::Tracking,
        privilege: "`SET CHANGE_TRACKING = TRUE`, no privilege",
        on: "every captured table and view, and every table that a captured view reads",
        why: "to let somebody else than its owner make a stream on it",
        when: "its owner is another role, and tracking is off",
    },
];

impl Need {
    /// Its line of the list.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        let [first, ..] = &LIST;
        LIST.iter().find(|entry| entry.need == self).unwrap_or(first)
    }
}
