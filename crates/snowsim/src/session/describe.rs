//! DESCRIBE, and the JSON form of a type.
//!
//! Promises: types are written as Snowflake writes them. Leaves to others: SHOW (`show`).

use super::answer::{CREATED, moment, rows, text};
use super::{Rows, Session};
use crate::catalog::Object;
use crate::error::SqlError;
use crate::sql::{Kind, Path};
use crate::stream::pairing::metadata_fields;
use crate::table::Column;
use crate::types::SnowType;

impl Session {
    pub(super) fn describe(&self, kind: Kind, path: &Path) -> Result<Rows, SqlError> {
        let catalog = self.engine.catalog();
        if kind == Kind::Stream {
            let (name, object) = self.object(&catalog, path, "SELECT")?;
            let stream = match object {
                Object::Stream(id) => catalog.streams.get(&id),
                _ => None,
            };
            let stream = stream.ok_or_else(|| SqlError::missing("Stream", &name))?;
            let table = catalog.table(stream.table);
            let stale = table.is_none_or(|table| stream.is_stale(table, self.engine.now()));
            let columns = [
                ("created_on", CREATED),
                ("name", SnowType::TEXT),
                ("database_name", SnowType::TEXT),
                ("schema_name", SnowType::TEXT),
                ("owner", SnowType::TEXT),
                ("comment", SnowType::TEXT),
                ("table_name", SnowType::TEXT),
                ("type", SnowType::TEXT),
                ("stale", SnowType::TEXT),
                ("mode", SnowType::TEXT),
            ];
            let base = table.map_or_else(|| stream.table_name.to_string(), |table| table.definition.full_name());
            let row = vec![
                moment(stream.created),
                text(&name.name),
                text(&name.database),
                text(&name.schema),
                text(&stream.owner),
                text(&stream.comment),
                text(base),
                text("DELTA"),
                text(if stale { "true" } else { "false" }),
                text(if stream.append_only { "APPEND_ONLY" } else { "DEFAULT" }),
            ];
            return rows(&columns, vec![row]);
        }
        if kind == Kind::User {
            drop(catalog);
            return self.describe_user(&path.last().cloned().unwrap_or_default());
        }
        if kind != Kind::Table {
            return Err(SqlError::unsupported(format!("DESCRIBE {}", kind.word())));
        }
        let columns = [
            "name",
            "type",
            "kind",
            "null?",
            "default",
            "primary key",
            "unique key",
            "check",
            "expression",
            "comment",
            "policy name",
        ]
        .map(|name| (name, SnowType::TEXT));
        let yes = |value: bool| text(if value { "Y" } else { "N" });
        // A stream is described like a table by its columns.
        let (name, object) = self.object(&catalog, path, "SELECT")?;
        let (table, of_stream) = match object {
            Object::Stream(id) => (catalog.streams.get(&id).and_then(|stream| catalog.table(stream.table)), true),
            Object::Table(_) => (Some(self.visible_table(&catalog, path)?), false),
            Object::View(_) => return Err(SqlError::unsupported("DESCRIBE of a view")),
        };
        let definition = &table.ok_or_else(|| SqlError::missing("Table", &name))?.definition;
        let keyed =
            |column: &Column| definition.primary_key.as_ref().is_some_and(|key| key.columns.contains(&column.id));
        let unique = |column: &Column| definition.unique.iter().any(|key| key.columns.contains(&column.id));
        let mut all: Vec<_> = definition
            .columns
            .iter()
            .map(|column| {
                vec![
                    text(&column.name),
                    text(column.ty.to_string()),
                    text("COLUMN"),
                    yes(column.nullable),
                    column.default.clone().and_then(text),
                    yes(keyed(column)),
                    yes(unique(column)),
                    None,
                    None,
                    column.comment.clone().and_then(text),
                    None,
                ]
            })
            .collect();
        if of_stream {
            for field in metadata_fields() {
                let ty = SnowType::of_field(&field).unwrap_or(SnowType::TEXT);
                all.push(vec![
                    text(field.name()),
                    text(ty.to_string()),
                    text("COLUMN"),
                    yes(false),
                    None,
                    yes(false),
                    yes(false),
                    None,
                    None,
                    None,
                    None,
                ]);
            }
        }
        rows(&columns, all)
    }
}

/// A column's type as SHOW COLUMNS writes it.
pub(super) fn type_json(column: &Column) -> String {
    let name = column.ty.wire_name();
    let nullable = column.nullable;
    match column.ty {
        SnowType::Fixed { precision, scale } => {
            format!(r#"{{"type":"{name}","precision":{precision},"scale":{scale},"nullable":{nullable}}}"#)
        }
        SnowType::Text { length } => format!(
            r#"{{"type":"{name}","length":{length},"byteLength":{},"nullable":{nullable},"fixed":false}}"#,
            length.saturating_mul(4).min(crate::types::MAX_TEXT)
        ),
        SnowType::Binary { length } => {
            format!(r#"{{"type":"{name}","length":{length},"byteLength":{length},"nullable":{nullable},"fixed":true}}"#)
        }
        SnowType::Time { scale }
        | SnowType::TimestampNtz { scale }
        | SnowType::TimestampLtz { scale }
        | SnowType::TimestampTz { scale } => {
            format!(r#"{{"type":"{name}","precision":0,"scale":{scale},"nullable":{nullable}}}"#)
        }
        _ => format!(r#"{{"type":"{name}","nullable":{nullable}}}"#),
    }
}
