//! Session parameters and variables.
//!
//! Promises: parameters that would change results in ways the simulator does not follow are refused
//! rather than ignored (a TIMEZONE other than UTC).
//! Leaves to others: what the server does with its own parameters.

use serde_json::Value as Parameter;

use datafusion::sql::sqlparser::ast::Expr;

use super::{Rows, Session, Statement, answer};
use crate::error::SqlError;

/// Parameters SHOW PARAMETERS knows, their defaults and types.
pub(super) const DEFAULTS: [(&str, &str, &str); 22] = [
    ("ABORT_DETACHED_QUERY", "false", "BOOLEAN"),
    ("AUTOCOMMIT", "true", "BOOLEAN"),
    ("BINARY_INPUT_FORMAT", "HEX", "STRING"),
    ("BINARY_OUTPUT_FORMAT", "HEX", "STRING"),
    ("CLIENT_PREFETCH_THREADS", "4", "NUMBER"),
    ("CLIENT_RESULT_CHUNK_SIZE", "160", "NUMBER"),
    ("CLIENT_SESSION_KEEP_ALIVE", "false", "BOOLEAN"),
    ("CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "3600", "NUMBER"),
    ("DATA_RETENTION_TIME_IN_DAYS", "1", "NUMBER"),
    ("DATE_OUTPUT_FORMAT", "YYYY-MM-DD", "STRING"),
    ("LOCK_TIMEOUT", "43200", "NUMBER"),
    ("MAX_DATA_EXTENSION_TIME_IN_DAYS", "14", "NUMBER"),
    ("QUERY_TAG", "", "STRING"),
    ("READ_CONSISTENCY_MODE", "SESSION", "STRING"),
    ("STATEMENT_QUEUED_TIMEOUT_IN_SECONDS", "0", "NUMBER"),
    ("STATEMENT_TIMEOUT_IN_SECONDS", "172800", "NUMBER"),
    ("TIMESTAMP_LTZ_OUTPUT_FORMAT", "", "STRING"),
    ("TIMESTAMP_NTZ_OUTPUT_FORMAT", "YYYY-MM-DD HH24:MI:SS.FF3", "STRING"),
    ("TIMESTAMP_OUTPUT_FORMAT", "YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM", "STRING"),
    ("TIMESTAMP_TYPE_MAPPING", "TIMESTAMP_NTZ", "STRING"),
    ("TIMESTAMP_TZ_OUTPUT_FORMAT", "", "STRING"),
    ("TIMEZONE", "UTC", "STRING"),
];

/// A parameter's value as text.
pub(super) fn shown(value: &Parameter) -> String {
    match value {
        Parameter::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Session {
    /// A session parameter's value: what the login or ALTER SESSION set, else its default.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Parameter> {
        let name = name.to_uppercase();
        self.parameters.get(&name).cloned().or_else(|| {
            let (_, value, kind) = DEFAULTS.iter().find(|(known, _, _)| *known == name)?;
            Some(match *kind {
                "STRING" => Parameter::String((*value).to_owned()),
                _ => serde_json::from_str(value).ok()?,
            })
        })
    }

    /// A parameter that counts seconds.
    pub(super) fn seconds(&self, name: &str, default: u64) -> u64 {
        self.parameter(name).and_then(|value| shown(&value).parse().ok()).unwrap_or(default)
    }

    pub(super) fn autocommit(&self) -> bool {
        self.parameter("AUTOCOMMIT").is_none_or(|value| !shown(&value).eq_ignore_ascii_case("false"))
    }

    /// ALTER SESSION.
    pub(super) fn alter_session(&mut self, set: Vec<(String, String)>, unset: &[String]) -> Result<Rows, SqlError> {
        for (name, value) in &set {
            let utc = ["UTC", "ETC/UTC", "GMT", "ZULU"].contains(&value.to_uppercase().as_str());
            if name == "TIMEZONE" && !utc {
                return Err(SqlError::unsupported(format!("TIMEZONE = '{value}'; the simulator knows UTC")));
            }
            if name == "TIMESTAMP_TYPE_MAPPING" && value.to_uppercase() != "TIMESTAMP_NTZ" {
                return Err(SqlError::unsupported(format!("TIMESTAMP_TYPE_MAPPING = '{value}'")));
            }
        }
        for (name, value) in set {
            // An open transaction ends when autocommit is switched on or off.
            if name == "AUTOCOMMIT" {
                self.commit_transaction()?;
            }
            let kind = DEFAULTS.iter().find(|(known, _, _)| *known == name).map(|(_, _, kind)| *kind);
            let parsed = match kind {
                Some("NUMBER" | "BOOLEAN") => serde_json::from_str(&value.to_lowercase()).ok(),
                _ => None,
            };
            self.parameters.insert(name, parsed.unwrap_or(Parameter::String(value)));
        }
        for name in unset {
            self.parameters.remove(name);
        }
        answer::status("Statement executed successfully.")
    }

    /// SET name = expression.
    pub(super) async fn set_variable(
        &mut self,
        name: &str,
        value: Expr,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let literal = self.constant(value, statement).await?;
        self.variables.insert(name.to_owned(), literal);
        answer::status("Statement executed successfully.")
    }
}
