//! The session parameters that travel in replies.
//!
//! Drivers format values by them: the Node driver, for one, finds the output formats in every query's reply
//! and nowhere else.

use serde_json::{Value, json};

use crate::session::Session;
use crate::wire::Dialect;

/// The parameters drivers look for in a reply, with the value Snowflake gives where nobody set one.
const PARAMETERS: [(&str, &str); 22] = [
    ("AUTOCOMMIT", "true"),
    ("TIMEZONE", "\"America/Los_Angeles\""),
    ("TIMESTAMP_OUTPUT_FORMAT", "\"YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM\""),
    ("TIMESTAMP_NTZ_OUTPUT_FORMAT", "\"YYYY-MM-DD HH24:MI:SS.FF3\""),
    ("TIMESTAMP_LTZ_OUTPUT_FORMAT", "\"\""),
    ("TIMESTAMP_TZ_OUTPUT_FORMAT", "\"\""),
    ("TIMESTAMP_TYPE_MAPPING", "\"TIMESTAMP_NTZ\""),
    ("DATE_OUTPUT_FORMAT", "\"YYYY-MM-DD\""),
    ("TIME_OUTPUT_FORMAT", "\"HH24:MI:SS\""),
    ("BINARY_OUTPUT_FORMAT", "\"HEX\""),
    ("CLIENT_RESULT_CHUNK_SIZE", "16"),
    ("CLIENT_PREFETCH_THREADS", "4"),
    ("CLIENT_MEMORY_LIMIT", "1536"),
    ("CLIENT_SESSION_KEEP_ALIVE", "false"),
    ("CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "3600"),
    ("CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "0"),
    ("CLIENT_TELEMETRY_ENABLED", "false"),
    ("CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED", "false"),
    ("CLIENT_HONOR_CLIENT_TZ_FOR_TIMESTAMP_NTZ", "true"),
    ("CLIENT_TIMESTAMP_TYPE_MAPPING", "\"TIMESTAMP_LTZ\""),
    ("QUERY_CONTEXT_CACHE_SIZE", "5"),
    ("ABORT_DETACHED_QUERY", "false"),
];

/// The parameters of a session, as a list of names and values.
pub(super) fn shown(session: &Session, dialect: &Dialect) -> Value {
    let mut list: Vec<Value> = PARAMETERS
        .iter()
        .map(|(name, default)| {
            let value = session.parameter(name).or_else(|| serde_json::from_str(default).ok());
            json!({ "name": name, "value": value })
        })
        .collect();
    let format = session.parameter(&dialect.parameter);
    let word = dialect.format(format.as_ref()).word().to_ascii_uppercase();
    list.push(json!({ "name": dialect.parameter, "value": word }));
    Value::Array(list)
}
