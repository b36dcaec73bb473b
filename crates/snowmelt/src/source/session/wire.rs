//! The driver protocol's JSON, as Snowflake's own open-source drivers send and read it.
//!
//! Sources: `github.com/snowflakedb/gosnowflake` (`query.go`, `auth.go`, `restful.go`) and
//! `github.com/snowflakedb/snowflake-connector-python` (`network.py`). This module owns no socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::source::value::RowTypeEntry;

/// Every reply: `data` is only looked at when `success` holds, because failures carry other shapes in it.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(borrow)]
    pub(crate) data: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "code")]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) success: bool,
}

/// Codes come as text, as numbers and as null.
fn code<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => format!("{:06}", number.as_i64().unwrap_or(-1)),
        _ => String::new(),
    })
}

/// What a failed statement says of itself inside `data`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureData {
    #[serde(default)]
    pub(crate) query_id: Option<String>,
    #[serde(default)]
    pub(crate) sql_state: Option<String>,
}

/// `POST /session/v1/login-request`.
#[derive(Debug, Serialize)]
pub(crate) struct LoginRequest<'a> {
    pub(crate) data: LoginRequestData<'a>,
}

/// The body of a login.
#[derive(Debug, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) struct LoginRequestData<'a> {
    pub(crate) client_app_id: &'a str,
    pub(crate) client_app_version: &'a str,
    pub(crate) account_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authenticator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<&'a str>,
    pub(crate) client_environment: BTreeMap<&'a str, &'a str>,
    pub(crate) session_parameters: &'a BTreeMap<&'a str, serde_json::Value>,
}

/// The answer to a login.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoginData {
    pub(crate) token: String,
    pub(crate) master_token: String,
    #[serde(default = "four_hours")]
    pub(crate) master_validity_in_seconds: u64,
    #[serde(default)]
    pub(crate) session_info: SessionInfo,
    #[serde(default)]
    pub(crate) server_version: Option<String>,
    #[serde(default)]
    pub(crate) display_user_name: Option<String>,
}

fn four_hours() -> u64 {
    14_400
}

/// The session's context after login.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    /// Current database.
    pub database_name: Option<String>,
    /// Current schema.
    pub schema_name: Option<String>,
    /// Current warehouse.
    pub warehouse_name: Option<String>,
    /// Current role.
    pub role_name: Option<String>,
}

/// `POST /session/token-request`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RenewRequest<'a> {
    pub(crate) old_session_token: &'a str,
    pub(crate) request_type: &'a str,
}

/// The answer to a renewal.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RenewData {
    pub(crate) session_token: String,
    pub(crate) master_token: String,
}

/// `POST /queries/v1/query-request`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueryRequest<'a> {
    pub(crate) sql_text: &'a str,
    pub(crate) async_exec: bool,
    pub(crate) sequence_id: u64,
    pub(crate) query_submission_time: u128,
    pub(crate) describe_only: bool,
    #[serde(rename = "queryContextDTO")]
    pub(crate) query_context: QueryContext,
}

/// What the server wants to hear again with the next statement of the session (gosnowflake `query_context`).
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct QueryContext {
    #[serde(default)]
    pub(crate) entries: Vec<QueryContextEntry>,
}

/// One entry of the context. Replies carry `context` as base64 text, requests as an object around it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct QueryContextEntry {
    pub(crate) id: i64,
    #[serde(default)]
    pub(crate) timestamp: i64,
    #[serde(default)]
    pub(crate) priority: i64,
    #[serde(default, serialize_with = "wrapped")]
    pub(crate) context: Option<String>,
}

fn wrapped<S: serde::Serializer>(context: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    match context {
        Some(base64) => BTreeMap::from([("base64Data", base64)]).serialize(to),
        None => BTreeMap::<&str, &str>::new().serialize(to),
    }
}

/// The answer to a statement.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueryData {
    #[serde(default)]
    pub(crate) query_id: String,
    #[serde(default)]
    pub(crate) rowtype: Vec<RowTypeEntry>,
    #[serde(default)]
    pub(crate) query_result_format: Option<String>,
    #[serde(default)]
    pub(crate) rowset: Option<Vec<Vec<Option<String>>>>,
    #[serde(default)]
    pub(crate) rowset_base64: Option<String>,
    #[serde(default)]
    pub(crate) total: u64,
    #[serde(default)]
    pub(crate) chunks: Option<Vec<ChunkMeta>>,
    #[serde(default)]
    pub(crate) chunk_headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) qrmk: Option<String>,
    #[serde(default)]
    pub(crate) query_context: Option<QueryContext>,
}

/// Where to go on asking while a statement runs (codes 333333 and 333334).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InProgressData {
    pub(crate) get_result_url: String,
}

/// One part of a result, to be fetched from `url`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChunkMeta {
    pub(crate) url: String,
    pub(crate) row_count: u64,
    #[serde(default)]
    pub(crate) uncompressed_size: u64,
    #[serde(default)]
    pub(crate) compressed_size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_read_whatever_their_data_holds() {
        for (text, want) in [
            (r#"{"data":null,"code":"390112","message":"expired","success":false}"#, "390112"),
            (r#"{"data":{"any":[1]},"code":390112,"message":null,"success":false}"#, "390112"),
            (r#"{"data":{},"code":1003,"success":false}"#, "001003"),
            (r#"{"data":{},"code":null,"success":true}"#, ""),
        ] {
            let envelope: Envelope<'_> = serde_json::from_str(text).unwrap();
            assert_eq!(envelope.code, want);
        }
    }

    #[test]
    fn the_query_context_goes_back_in_the_form_that_requests_have() {
        let came = r#"{"entries":[{"id":0,"timestamp":17,"priority":0,"context":"AQI="},{"id":1,"timestamp":18,"priority":1}]}"#;
        let context: QueryContext = serde_json::from_str(came).unwrap();
        let goes = r#"{"entries":[{"id":0,"timestamp":17,"priority":0,"context":{"base64Data":"AQI="}},{"id":1,"timestamp":18,"priority":1,"context":{}}]}"#;
        assert_eq!(serde_json::to_string(&context).unwrap(), goes);
    }
}
