//! Work in progress: the contract's signatures.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::error::SqlError;
use crate::session::Session;

/// A simulated account.
#[derive(Debug)]
pub struct Engine {}

/// Who logs in, and the context the session starts in.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Role asked for.
    pub role: Option<String>,
    /// Database asked for.
    pub database: Option<String>,
    /// Schema asked for.
    pub schema: Option<String>,
    /// Warehouse asked for.
    pub warehouse: Option<String>,
    /// Session parameters.
    pub parameters: BTreeMap<String, serde_json::Value>,
}

impl Engine {
    /// Opens an account.
    pub fn open(_data: &Path, _clock: Arc<Clock>) -> Result<Arc<Self>, SqlError> { Ok(Arc::new(Self {})) }
    /// Opens a session.
    pub fn session(self: &Arc<Self>, _login: Login) -> Result<Session, SqlError> { Err(SqlError::unsupported("session")) }
    /// Statements that would have used a warehouse.
    pub fn warehouse_statements(&self) -> u64 { 0 }
    /// Their texts, newest last, bounded.
    pub fn warehouse_log(&self) -> Vec<String> { Vec::new() }
}
/// Splits a text into statements.
pub fn split(sql: &str) -> Result<Vec<String>, SqlError> { Ok(vec![sql.to_owned()]) }
