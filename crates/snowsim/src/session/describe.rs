//! DESCRIBE of tables of every kind, views, streams and stages, and the JSON form of a type.
//!
//! Promises: types are written as Snowflake writes them. Leaves to others: SHOW (`show`).

use super::answer::{rows, text};
use super::{Rows, Session};
use crate::catalog::{Catalog, Object, ObjectId};
use crate::error::SqlError;
use crate::sql::{Kind, Path, Scope, Show};
use crate::stream::pairing::metadata_fields;
use crate::table::Column;
use crate::table::nature::{FILENAME, Nature};
use crate::types::SnowType;
use crate::types::value::Value;

/// One described column: name, type, whether it may be NULL, and the table's column it is.
type Described = (String, SnowType, bool, Option<Column>);

impl Session {
    pub(super) fn describe(&self, kind: Kind, path: &Path) -> Result<Rows, SqlError> {
        match kind {
            Kind::Stream => return self.describe_stream(path),
            Kind::User => return self.describe_user(&path.last().cloned().unwrap_or_default()),
            Kind::Stage => return self.describe_stage(path),
            Kind::Table | Kind::View => {}
            other => return Err(SqlError::unsupported(format!("DESCRIBE {}", other.word()))),
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
        let catalog = self.engine.catalog();
        let (name, object) = self.object(&catalog, path, "SELECT")?;
        let described = described(&catalog, object).ok_or_else(|| SqlError::missing("Table", &name))?;
        let definition = match object {
            Object::Table(id) => catalog.table(id).map(|table| &table.definition),
            _ => None,
        };
        let yes = |value: bool| text(if value { "Y" } else { "N" });
        let keyed = |column: &Option<Column>| {
            let key = definition.and_then(|definition| definition.primary_key.as_ref());
            column.as_ref().is_some_and(|column| key.is_some_and(|key| key.columns.contains(&column.id)))
        };
        let unique = |column: &Option<Column>| {
            let keys = definition.map(|definition| definition.unique.as_slice()).unwrap_or_default();
            column.as_ref().is_some_and(|column| keys.iter().any(|key| key.columns.contains(&column.id)))
        };
        let all = described.into_iter().map(|(name, ty, nullable, column)| {
            vec![
                text(name),
                text(ty.to_string()),
                text("COLUMN"),
                yes(nullable),
                column.as_ref().and_then(|column| column.default.clone()).and_then(text),
                yes(keyed(&column)),
                yes(unique(&column)),
                None,
                None,
                column.as_ref().and_then(|column| column.comment.clone()).and_then(text),
                None,
            ]
        });
        rows(&columns, all.collect())
    }

    /// DESCRIBE STREAM: what SHOW STREAMS says of it.
    fn describe_stream(&self, path: &Path) -> Result<Rows, SqlError> {
        let catalog = self.engine.catalog();
        let (name, object) = self.object(&catalog, path, "SELECT")?;
        let Object::Stream(_) = object else { return Err(SqlError::missing("Stream", &name)) };
        let scope = Scope::Schema(Some(vec![name.database.clone(), name.schema.clone()]));
        let (columns, all) =
            self.show_streams(&catalog, &Show { what: "STREAMS".to_owned(), scope, ..Show::default() })?;
        let own = |row: &Vec<Option<Value>>| row.get(1) == Some(&text(&name.name));
        rows(&columns, all.into_iter().filter(own).collect())
    }

    fn describe_stage(&self, path: &Path) -> Result<Rows, SqlError> {
        let catalog = self.engine.catalog();
        let (name, object) = self.object(&catalog, path, "READ")?;
        let stage = match object {
            Object::Stage(id) => catalog.stages.get(&id),
            _ => None,
        };
        let stage = stage.ok_or_else(|| SqlError::missing("Stage", &name))?;
        let columns = ["parent_property", "property", "property_type", "property_value", "property_default"]
            .map(|name| (name, SnowType::TEXT));
        let enabled = if stage.directory { "true" } else { "false" };
        let row = vec![text("DIRECTORY"), text("ENABLE"), text("Boolean"), text(enabled), text("false")];
        rows(&columns, vec![row])
    }
}

/// The columns of a table, a view, or a stream on either.
fn described(catalog: &Catalog, object: Object) -> Option<Vec<Described>> {
    let shown = |id: ObjectId| {
        let columns = catalog.table(id)?.definition.shown();
        Some(
            columns.into_iter().map(|column| (column.name.clone(), column.ty, column.nullable, Some(column))).collect(),
        )
    };
    match object {
        Object::Table(id) => shown(id),
        Object::Stage(id) => shown(catalog.stages.get(&id)?.table?),
        Object::View(id) => {
            let columns = &catalog.views.get(&id)?.columns;
            Some(columns.iter().map(|(name, ty)| (name.clone(), *ty, true, None)).collect())
        }
        Object::Stream(id) => {
            let stream = catalog.streams.get(&id)?;
            let mut all: Vec<Described> = described(catalog, stream.source)?;
            for column in &mut all {
                column.3 = None;
            }
            for field in metadata_fields() {
                all.push((field.name().clone(), SnowType::of_field(&field).unwrap_or(SnowType::TEXT), false, None));
            }
            if let Object::Table(id) = stream.source
                && matches!(catalog.table(id)?.definition.nature, Nature::External(_))
            {
                all.push((FILENAME.to_owned(), SnowType::TEXT, true, None));
            }
            Some(all)
        }
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
