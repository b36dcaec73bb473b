//! One driver session: its context, its transaction, and the way of a statement.
//!
//! ```text
//!  text ─▶ sql::parse ─▶ Command ─┬▶ query ─▶ rows
//!                                 ├▶ dml ─▶ Work ─┬▶ commit (autocommit)
//!                                 │               └▶ transaction … COMMIT
//!                                 └▶ ddl ─▶ commit
//! ```
//! Promises: a statement takes effect whole or not at all, also when its future is dropped; an
//! autocommitted statement that consumes a stream moves it in the same commit as its writes.
//! Leaves to others: requests and result chunks (the server).

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt as _;
use parking_lot::Mutex;
use serde_json::Value as Parameter;

use crate::engine::{Engine, Login};
use crate::error::SqlError;
use crate::sql::{self, Command};
use crate::types::ColumnMeta;
use crate::warehouse::Use;

pub(crate) mod answer;
mod column;
mod compaction;
mod ddl;
mod describe;
mod dml;
mod dynamic;
mod external;
mod grants;
mod insert;
mod merge;
mod names;
mod native;
mod parameters;
mod query;
mod relations;
mod show;
mod stage;
mod stream_ddl;
mod stream_read;
mod stream_source;
mod system;
mod table_alter;
mod table_create;
mod transaction;
mod user;
mod view_ddl;

use transaction::Transaction;

/// One driver session.
#[derive(Debug)]
pub struct Session {
    engine: Arc<Engine>,
    number: u64,
    user: String,
    current: Current,
    parameters: BTreeMap<String, Parameter>,
    variables: BTreeMap<String, String>,
    transaction: Option<Transaction>,
    last_query: Option<String>,
    temporary: Vec<crate::catalog::ObjectId>,
    /// The installation that this session carries out.
    setup: Option<Box<native::Setup>>,
}

/// A bind variable, as the driver sends it.
#[derive(Debug, Clone)]
pub struct Bind {
    /// `FIXED`, `TEXT`, `REAL`, `BOOLEAN`, `DATE`, `TIME`, `TIMESTAMP_NTZ` …
    pub ty: String,
    /// The value in the driver's text form; `None` is NULL.
    pub value: Option<String>,
}

/// What a statement answered.
pub struct Outcome {
    /// The result's columns.
    pub columns: Vec<ColumnMeta>,
    /// Rows in the canonical representation of [`crate::types`].
    pub batches: SendableRecordBatchStream,
    /// 0x1000 SELECT, 0x3000 DML (0x3100 insert, 0x3200 update, 0x3300 delete, 0x3400 merge),
    /// 0x4000 SCL, 0x5000 TCL, 0x6000 DDL.
    pub statement_type: u32,
    /// UUID of the statement.
    pub query_id: String,
    /// What a PUT tells the client to do.
    pub transfer: Option<Parameter>,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Outcome")
            .field("columns", &self.columns)
            .field("statement_type", &self.statement_type)
            .field("query_id", &self.query_id)
            .finish_non_exhaustive()
    }
}

/// The session's current context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Current {
    /// Current database.
    pub database: Option<String>,
    /// Current schema.
    pub schema: Option<String>,
    /// Current warehouse.
    pub warehouse: Option<String>,
    /// Current role.
    pub role: Option<String>,
}

/// What is known of a statement while it runs.
struct Statement<'a> {
    sql: &'a str,
    binds: &'a [Bind],
    describe_only: bool,
    query_id: String,
    /// The warehouse it runs on, once it is known to need one.
    usage: Mutex<Option<Use>>,
}

/// Rows and their columns, before the statement's id is added.
type Rows = (Vec<ColumnMeta>, SendableRecordBatchStream);

impl Session {
    pub(crate) fn open(engine: Arc<Engine>, number: u64, login: Login) -> Result<Self, SqlError> {
        let user = login.user.to_uppercase();
        let mut current = Current::default();
        {
            let catalog = engine.catalog();
            let known = catalog.users.get(&user);
            let asked = login.role.map(|role| unquoted(&role)).filter(|role| !role.is_empty());
            let role = asked
                .or_else(|| known.and_then(|user| user.role.clone()))
                .unwrap_or_else(|| if known.is_some() { "PUBLIC" } else { "ACCOUNTADMIN" }.to_owned());
            if !catalog.roles.contains_key(&role) || !catalog.may_assume(&user, &role) {
                return Err(SqlError::new(
                    "390189",
                    "08001",
                    format!(
                        "Role '{role}' specified in the connect string does not exist or not authorized. \
                         Contact your local system administrator, or attempt to login with another role, e.g. PUBLIC."
                    ),
                ));
            }
            // Like Snowflake, a login does not fail over a context that does not exist.
            let database = login.database.map(|name| unquoted(&name));
            current.database = database.filter(|name| catalog.databases.contains_key(name));
            if let Some(database) = &current.database {
                let schema = login.schema.map_or_else(|| "PUBLIC".to_owned(), |name| unquoted(&name));
                let known = catalog.schemas.contains_key(&(database.clone(), schema.clone()));
                current.schema = known.then_some(schema);
            }
            let warehouse = login.warehouse.map(|name| unquoted(&name));
            current.warehouse = warehouse
                .or_else(|| known.and_then(|user| user.warehouse.clone()))
                // Nor over one the role may not use: the session then has none (000606 at its first query).
                .filter(|name| catalog.check_container(&role, "WAREHOUSE", name, "USAGE").is_ok())
                .filter(|name| catalog.warehouses.contains_key(name));
            current.role = Some(role);
        }
        let given = login.parameters.into_iter().map(|(name, value)| (name.to_uppercase(), value));
        let (variables, parameters): (BTreeMap<_, _>, BTreeMap<_, _>) =
            given.partition(|(name, _)| name.starts_with('$'));
        // A login's variables are text, as its documented way through the drivers' properties makes them.
        let variables = variables.into_iter().map(|(name, value)| {
            let text = parameters::shown(&value).replace('\\', "\\\\").replace('\'', "''");
            (name[1..].to_owned(), format!("'{text}'"))
        });
        Ok(Self {
            engine,
            number,
            user,
            current,
            parameters,
            variables: variables.collect(),
            transaction: None,
            last_query: None,
            temporary: Vec::new(),
            setup: None,
        })
    }

    /// Runs one statement. Dropping the future cancels it; then it had no effect, unless it had
    /// already committed.
    ///
    /// # Errors
    /// Whatever the statement fails with, in Snowflake's codes.
    pub async fn execute(&mut self, sql: &str, binds: &[Bind], describe_only: bool) -> Result<Outcome, SqlError> {
        let query_id = uuid::Uuid::new_v4().to_string();
        let statement = Statement { sql, binds, describe_only, query_id, usage: Mutex::new(None) };
        if let Some(transfer) = crate::native::transfer::read(sql)? {
            let ((columns, batches), transfer) = self.transfer(transfer)?;
            self.last_query = Some(statement.query_id.clone());
            return Ok(Outcome { columns, batches, statement_type: 0x4000, query_id: statement.query_id, transfer });
        }
        let command = sql::parse(sql)?;
        self.allowed_in_setup(&command)?;
        let (statement_type, rows) = Box::pin(self.run(command, &statement)).await?;
        let (columns, mut batches) = rows;
        if let Some(usage) = statement.usage.into_inner() {
            // Rows are made as they are taken, and their warehouse runs until then.
            let schema = batches.schema();
            let kept = batches.inspect(move |_| {
                let _ = &usage;
            });
            batches = Box::pin(RecordBatchStreamAdapter::new(schema, kept));
        }
        self.last_query = Some(statement.query_id.clone());
        Ok(Outcome { columns, batches, statement_type, query_id: statement.query_id, transfer: None })
    }

    async fn run(&mut self, command: Command, statement: &Statement<'_>) -> Result<(u32, Rows), SqlError> {
        const SELECT: u32 = 0x1000;
        const SCL: u32 = 0x4000;
        const TCL: u32 = 0x5000;
        const DDL: u32 = 0x6000;
        let done = |text: &str| answer::status(text);
        let (kind, rows) = match command {
            Command::Query(query) => (SELECT, self.query(*query, statement).await?),
            Command::Insert(insert) => (0x3100, self.insert(*insert, statement).await?),
            Command::Update(update) => (0x3200, self.update(*update, statement).await?),
            Command::Delete(delete) => (0x3300, self.delete(*delete, statement).await?),
            Command::Merge(merge) => (0x3400, self.merge(*merge, statement).await?),
            Command::Truncate { table, if_exists } => (DDL, self.truncate(&table, if_exists, statement).await?),
            Command::Show(show) => (SCL, self.show(&show)?),
            Command::Describe { kind, name } => (SCL, self.describe(kind, &name)?),
            Command::Native(order)
                if matches!(
                    *order,
                    crate::native::parse::Statement::Show { .. } | crate::native::parse::Statement::Call { .. }
                ) =>
            {
                (SCL, self.native(*order, statement).await?)
            }
            _ if statement.describe_only => (DDL, done("")?),
            Command::Begin => {
                self.begin();
                (TCL, done("Statement executed successfully.")?)
            }
            Command::Commit => {
                self.commit_transaction()?;
                (TCL, done("Statement executed successfully.")?)
            }
            Command::Rollback => {
                self.rollback();
                (TCL, done("Statement executed successfully.")?)
            }
            Command::Use { kind, name } => (SCL, self.use_context(kind, &name)?),
            Command::AlterSession { set, unset } => (SCL, self.alter_session(set, &unset)?),
            Command::SetVariable { name, value } => (SCL, self.set_variable(&name, *value, statement).await?),
            ddl => {
                // DDL is a transaction of its own: it first commits what is open.
                self.commit_transaction()?;
                (DDL, self.ddl(ddl, statement).await?)
            }
        };
        Ok((kind, rows))
    }

    /// The current context.
    #[must_use]
    pub fn current(&self) -> Current {
        self.current.clone()
    }

    /// Ends an open transaction without effect.
    pub fn rollback(&mut self) {
        self.transaction = None;
    }

    fn role(&self) -> &str {
        self.current.role.as_deref().unwrap_or("PUBLIC")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        use crate::catalog::change::Change;
        self.transaction = None;
        let temporary = std::mem::take(&mut self.temporary);
        if !temporary.is_empty() {
            // If the journal cannot be written now, the table stays; it is lost to nobody.
            let _ = self.engine.commit(Vec::new(), |catalog| {
                let mine = temporary.iter().filter(|id| catalog.tables.contains_key(id));
                Ok((mine.map(|table| Change::DropTable { table: *table }).collect(), ()))
            });
        }
    }
}

/// A name in a login: `"quoted"` as it is, anything else in upper case.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_uppercase(),
    }
}
