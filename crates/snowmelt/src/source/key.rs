//! A capture's key: the configured columns, or those the object has by itself.

use std::sync::Arc;

use super::error::SourceError;
use super::object::{self, Object};
use super::session::Session;
use super::value::{Column, DataType};
use crate::config::ObjectName;

/// The key that an object has without a configured one: its path, its declared primary key, or none.
pub(crate) async fn own_key(
    session: &Arc<Session>,
    table: &ObjectName,
    object: &Object,
) -> Result<Vec<String>, SourceError> {
    if matches!(object.kind, object::Kind::Stage { .. }) {
        return Ok(vec![object::PATH.to_owned()]);
    }
    if !object.kind.has_primary_key() {
        return Ok(Vec::new());
    }
    let sql = format!("SHOW PRIMARY KEYS IN TABLE {}", table.quoted());
    let found = session.table("the primary key", &sql).await?;
    let mut columns: Vec<(u32, String)> = found
        .rows()
        .filter_map(|row| Some((row.text("key_sequence")?.parse().ok()?, row.text("column_name")?)))
        .collect();
    columns.sort_unstable();
    Ok(columns.into_iter().map(|(_, name)| name).collect())
}

/// The key columns with their types.
pub(crate) fn resolve_key(
    table: &ObjectName,
    names: &[String],
    columns: &[Column],
) -> Result<Vec<Column>, SourceError> {
    names
        .iter()
        .map(|name| {
            let column = columns.iter().find(|column| column.name == *name).ok_or_else(|| SourceError::KeyMissing {
                column: name.clone(),
                table: table.to_string(),
                known: columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", "),
            })?;
            match column.ty {
                DataType::Variant
                | DataType::Object
                | DataType::Array
                | DataType::Map
                | DataType::Geography
                | DataType::Geometry
                | DataType::Vector { .. } => {
                    Err(SourceError::KeyType { column: name.clone(), table: table.to_string() })
                }
                _ => Ok(column.clone()),
            }
        })
        .collect()
}
