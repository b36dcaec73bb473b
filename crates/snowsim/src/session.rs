//! Work in progress: the contract's signatures.
use datafusion::execution::SendableRecordBatchStream;

use crate::error::SqlError;
use crate::types::ColumnMeta;

/// One driver session.
#[derive(Debug)]
pub struct Session {}

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
    /// 0x1000 SELECT, 0x3000 DML (0x3100 insert, 0x3200 update, 0x3300 delete, 0x3400 merge), 0x4000 SCL, 0x5000 TCL, 0x6000 DDL.
    pub statement_type: u32,
    /// UUID of the statement.
    pub query_id: String,
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

impl Session {
    /// Runs one statement.
    pub async fn execute(&mut self, sql: &str, _binds: &[Bind], _describe_only: bool) -> Result<Outcome, SqlError> { Err(SqlError::unexpected(sql)) }
    /// The current context.
    pub fn current(&self) -> Current { Current::default() }
    /// A session parameter's value.
    pub fn parameter(&self, _name: &str) -> Option<serde_json::Value> { None }
    /// Ends an open transaction without effect.
    pub fn rollback(&mut self) {}
}
