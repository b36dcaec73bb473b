//! From text to a [`Command`]: Snowflake's statements as far as the simulator knows them.
//!
//! Promises: what is not understood is refused by the word that was not; unquoted names are upper
//! case from here on, so nothing later asks how a name was written.
//! Leaves to others: what names refer to (`session`), queries (`sql::rewrite`, `sql::plan`).

use datafusion::sql::sqlparser::ast::{DataType as SqlType, Delete, Expr, Insert, Merge, Query, Update};

use crate::error::SqlError;
use crate::types::SnowType;
use crate::warehouse::Turn;

mod alter;
mod create;
pub(crate) mod cursor;
pub(crate) mod function;
mod grant;
pub(crate) mod objects;
pub(crate) mod operator;
mod parse;
pub(crate) mod plan;
pub(crate) mod rewrite;
mod show;
pub(crate) mod split;
pub(crate) mod window;

pub(crate) use parse::parse;

/// A name of one to three parts, outermost first.
pub(crate) type Path = Vec<String>;

/// A statement.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Query(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    Merge(Box<Merge>),
    Truncate {
        table: Path,
        if_exists: bool,
    },
    CreateTable(Box<CreateTable>),
    CreateDynamic(Box<objects::CreateDynamic>),
    CreateExternal(Box<objects::CreateExternal>),
    CreateStage {
        name: Path,
        or_replace: bool,
        if_not_exists: bool,
        directory: bool,
        comment: String,
    },
    AlterStage {
        name: Path,
        if_exists: bool,
        action: objects::StageAction,
    },
    RefreshDynamic {
        name: Path,
        if_exists: bool,
    },
    RefreshExternal {
        name: Path,
        if_exists: bool,
    },
    CopyFile {
        to: objects::Location,
        query: Box<Query>,
        overwrite: bool,
    },
    RemoveFiles(objects::Location),
    AlterView {
        name: Path,
        if_exists: bool,
        options: Vec<(String, String)>,
    },
    CreateView {
        name: Path,
        secure: bool,
        materialized: bool,
        tracked: bool,
        or_replace: bool,
        if_not_exists: bool,
        columns: Vec<String>,
        query: Box<Query>,
        comment: String,
    },
    CreateStream(Box<CreateStream>),
    CreateContainer {
        kind: Kind,
        name: Path,
        or_replace: bool,
        if_not_exists: bool,
        transient: bool,
        comment: String,
    },
    CreateWarehouse {
        name: String,
        or_replace: bool,
        if_not_exists: bool,
        options: Vec<(String, String)>,
    },
    CreateRole {
        name: String,
        or_replace: bool,
        if_not_exists: bool,
        comment: String,
    },
    CreateUser {
        name: String,
        or_replace: bool,
        if_not_exists: bool,
        options: Vec<(String, String)>,
    },
    AlterUser {
        name: String,
        if_exists: bool,
        set: Vec<(String, String)>,
        unset: Vec<String>,
    },
    Drop {
        kind: Kind,
        name: Path,
        if_exists: bool,
    },
    AlterTable {
        table: Path,
        if_exists: bool,
        action: AlterTable,
    },
    AlterStream {
        stream: Path,
        if_exists: bool,
        comment: Option<String>,
    },
    AlterWarehouse {
        name: Option<String>,
        options: Vec<(String, String)>,
        turn: Option<Turn>,
    },
    AlterSession {
        set: Vec<(String, String)>,
        unset: Vec<String>,
    },
    SetVariable {
        name: String,
        value: Box<Expr>,
    },
    Use {
        kind: Kind,
        name: Path,
    },
    Grant {
        grant: bool,
        privileges: Vec<String>,
        on: GrantTarget,
        to: Option<GrantHolder>,
    },
    Comment {
        kind: Kind,
        name: Path,
        column: Option<String>,
        comment: String,
        if_exists: bool,
    },
    Begin,
    Commit,
    Rollback,
    Show(Box<Show>),
    /// A statement that only Native Apps have.
    Native(Box<crate::native::parse::Statement>),
    Describe {
        kind: Kind,
        name: Path,
    },
}

/// Kinds of objects statements speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Database,
    Schema,
    Table,
    View,
    Stream,
    Stage,
    Warehouse,
    Role,
    User,
}

impl Kind {
    /// The word in SQL.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Database => "DATABASE",
            Self::Schema => "SCHEMA",
            Self::Table => "TABLE",
            Self::View => "VIEW",
            Self::Stream => "STREAM",
            Self::Stage => "STAGE",
            Self::Warehouse => "WAREHOUSE",
            Self::Role => "ROLE",
            Self::User => "USER",
        }
    }

    /// The word in messages.
    #[must_use]
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Database => "Database",
            Self::Schema => "Schema",
            Self::Table => "Table",
            Self::View => "View",
            Self::Stream => "Stream",
            Self::Stage => "Stage",
            Self::Warehouse => "Warehouse",
            Self::Role => "Role",
            Self::User => "User",
        }
    }
}

/// A point in a table's history, as AT and BEFORE name it.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// BEFORE rather than AT.
    pub(crate) before: bool,
    /// TIMESTAMP, OFFSET, STATEMENT or STREAM.
    pub(crate) kind: String,
    /// What follows the arrow.
    pub(crate) value: Expr,
}

/// CREATE TABLE.
#[derive(Debug, Clone)]
pub(crate) struct CreateTable {
    pub(crate) name: Path,
    pub(crate) or_replace: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) kind: crate::table::TableKind,
    pub(crate) columns: Vec<ColumnSpec>,
    pub(crate) primary_key: Option<(Option<String>, Vec<String>)>,
    pub(crate) unique: Vec<(Option<String>, Vec<String>)>,
    pub(crate) comment: Option<String>,
    pub(crate) retention_days: Option<u32>,
    pub(crate) extension_days: Option<u32>,
    pub(crate) change_tracking: bool,
    pub(crate) source: Source,
    pub(crate) nature: crate::table::nature::Nature,
}

impl CreateTable {
    /// A table of which only the name is known yet.
    #[must_use]
    pub(crate) fn new(name: Path, or_replace: bool, if_not_exists: bool, kind: crate::table::TableKind) -> Self {
        Self {
            name,
            or_replace,
            if_not_exists,
            kind,
            columns: Vec::new(),
            primary_key: None,
            unique: Vec::new(),
            comment: None,
            retention_days: None,
            extension_days: None,
            change_tracking: false,
            source: Source::Columns,
            nature: crate::table::nature::Nature::Plain,
        }
    }
}

/// The kind of object a stream is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceKind {
    Table,
    View,
    Dynamic,
    External,
    Event,
    Stage,
    /// CLONE of another stream.
    Stream,
}

/// Where a new table's shape and rows come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Its own column list.
    Columns,
    /// AS query.
    Query(Box<Query>),
    /// LIKE another table.
    Like(Path),
    /// CLONE another table, perhaps as it was.
    Clone(Path, Option<Box<Point>>),
}

/// A column in CREATE TABLE or ALTER TABLE ADD COLUMN.
#[derive(Debug, Clone)]
pub(crate) struct ColumnSpec {
    pub(crate) name: String,
    pub(crate) ty: Option<SnowType>,
    pub(crate) nullable: bool,
    pub(crate) default: Option<Expr>,
    pub(crate) identity: Option<(i64, i64)>,
    pub(crate) comment: Option<String>,
}

/// CREATE STREAM.
#[derive(Debug, Clone)]
pub(crate) struct CreateStream {
    pub(crate) name: Path,
    pub(crate) or_replace: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) kind: SourceKind,
    pub(crate) source: Path,
    pub(crate) append_only: bool,
    pub(crate) insert_only: bool,
    pub(crate) show_initial_rows: bool,
    pub(crate) point: Option<Point>,
    pub(crate) comment: Option<String>,
}

/// ALTER TABLE's actions.
#[derive(Debug, Clone)]
pub(crate) enum AlterTable {
    AddColumns { columns: Vec<ColumnSpec>, if_not_exists: bool },
    DropColumns { names: Vec<String>, if_exists: bool },
    RenameColumn { from: String, to: String },
    AlterColumn { name: String, change: ColumnChange },
    Rename(Path),
    Swap(Path),
    Set(Vec<(String, String)>),
    Unset(Vec<String>),
    AddPrimaryKey { name: Option<String>, columns: Vec<String> },
    DropPrimaryKey,
}

/// ALTER COLUMN's actions.
#[derive(Debug, Clone)]
pub(crate) enum ColumnChange {
    Type(SnowType),
    SetNotNull,
    DropNotNull,
    DropDefault,
    Comment(String),
}

/// What a GRANT is about.
#[derive(Debug, Clone)]
pub(crate) enum GrantTarget {
    Object { kind: String, name: Path },
    All { kind: String, container: Kind, name: Path, future: bool },
    Account,
    Role(String),
}

/// To whom a GRANT goes.
#[derive(Debug, Clone)]
pub(crate) enum GrantHolder {
    /// TO ROLE.
    Role(String),
    /// TO USER.
    User(String),
}

/// SHOW.
#[derive(Debug, Clone, Default)]
pub(crate) struct Show {
    pub(crate) what: String,
    pub(crate) like: Option<String>,
    pub(crate) starts_with: Option<String>,
    pub(crate) limit: Option<usize>,
    /// FROM of LIMIT: only names behind this one.
    pub(crate) after: Option<String>,
    pub(crate) scope: Scope,
}

/// IN of a SHOW.
#[derive(Debug, Clone, Default)]
pub(crate) enum Scope {
    #[default]
    Default,
    Account,
    Session,
    Database(Option<String>),
    Schema(Option<Path>),
    Table(Path),
    ToRole(String),
    ToUser(String),
    OnObject(String, Path),
    OfRole(String),
}

/// The simulator's type for a parsed SQL type.
pub(crate) fn snow_type(ty: &SqlType) -> Result<SnowType, SqlError> {
    SnowType::parse(&ty.to_string()).ok_or_else(|| {
        SqlError::new("002040", "42601", format!("SQL compilation error:\nUnsupported data type '{ty}'."))
    })
}
