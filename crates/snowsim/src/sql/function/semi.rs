//! Functions of VARIANT, OBJECT and ARRAY.
//!
//! Promises: JSON null and SQL NULL stay apart: OBJECT_CONSTRUCT drops SQL NULLs and keeps JSON ones.
//! Leaves to others: the JSON itself (`types::json`).

use super::{Builtin, count, gives_integer, gives_text, gives_variant, text_of};
use crate::error::SqlError;
use crate::types::SnowType;
use crate::types::json::Json;
use crate::types::value::Value;

fn gives_object(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::Object)
}

fn gives_array(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::Array)
}

pub(super) const FUNCTIONS: &[Builtin] = &[
    Builtin::new("parse_json", 1, 1, gives_variant, |v, _, _| {
        let text = text_of(&v[0]);
        if text.trim().is_empty() {
            return Ok(None);
        }
        Json::parse(&text)
            .map(|json| Some(Value::Json(json)))
            .map_err(|detail| SqlError::new("100069", "22P02", format!("Error parsing JSON: {detail}")))
    }),
    Builtin::new("try_parse_json", 1, 1, gives_variant, |v, _, _| {
        Ok(Json::parse(&text_of(&v[0])).ok().map(Value::Json))
    }),
    Builtin::new("to_json", 1, 1, gives_text, |v, _, _| {
        Ok(v[0].clone().map(|value| Value::Text(value.into_json().to_string())))
    }),
    Builtin::new("object_construct", 0, usize::MAX, gives_object, |v, _, _| object(v, false)).sees_null(),
    Builtin::new("object_construct_keep_null", 0, usize::MAX, gives_object, |v, _, _| object(v, true)).sees_null(),
    Builtin::new("array_construct", 0, usize::MAX, gives_array, |v, _, _| {
        let items = v.iter().map(|item| item.clone().map_or(Json::Null, Value::into_json)).collect();
        Ok(Some(Value::Json(Json::Array(items))))
    })
    .sees_null(),
    Builtin::new("array_size", 1, 1, gives_integer, |v, _, _| {
        Ok(match &v[0] {
            Some(Value::Json(Json::Array(items))) => Some(count(items.len())),
            _ => None,
        })
    }),
    Builtin::new("get", 2, 2, gives_variant, |v, _, _| {
        Ok(match &v[0] {
            Some(Value::Json(json)) => json.get(&text_of(&v[1])).cloned().map(Value::Json),
            _ => None,
        })
    }),
    // A path as the rewriter writes it: keys and indices, one argument each.
    Builtin::new("snow$path", 2, usize::MAX, gives_variant, |v, _, _| {
        let mut at = match &v[0] {
            Some(Value::Json(json)) => Some(json),
            _ => None,
        };
        for key in &v[1..] {
            at = at.and_then(|json| json.get(&text_of(key)));
        }
        Ok(at.cloned().map(Value::Json))
    }),
    Builtin::new("typeof", 1, 1, gives_text, |v, _, _| {
        let name = match &v[0] {
            Some(Value::Json(json)) => match json {
                Json::Null => "NULL_VALUE",
                Json::Bool(_) => "BOOLEAN",
                Json::Number(digits) if digits.contains(['e', 'E']) => "DOUBLE",
                Json::Number(digits) if digits.contains('.') => "DECIMAL",
                Json::Number(_) => "INTEGER",
                Json::Text(_) => "VARCHAR",
                Json::Array(_) => "ARRAY",
                Json::Object(_) => "OBJECT",
            },
            _ => return Err(SqlError::compilation("TYPEOF needs a VARIANT")),
        };
        Ok(Some(Value::Text(name.to_owned())))
    }),
    Builtin::new("is_null_value", 1, 1, super::gives_boolean, |v, _, _| {
        Ok(Some(Value::Bool(matches!(&v[0], Some(Value::Json(Json::Null))))))
    }),
];

fn object(v: &[Option<Value>], keep_null: bool) -> Result<Option<Value>, SqlError> {
    if !v.len().is_multiple_of(2) {
        return Err(SqlError::compilation("OBJECT_CONSTRUCT needs pairs of key and value"));
    }
    let mut members = Vec::new();
    for pair in v.chunks_exact(2) {
        match (&pair[0], &pair[1]) {
            (Some(key), Some(value)) => members.push((key.to_text(9), value.clone().into_json())),
            (Some(key), None) if keep_null => members.push((key.to_text(9), Json::Null)),
            _ => {}
        }
    }
    Ok(Some(Value::Json(Json::object(members))))
}
