//! ALTER TABLE.
//!
//! Promises: rows are not rewritten: added columns have their default for older rows, dropped ones
//! are no longer shown, renamed ones keep their identity; so streams stay readable (facts §1.7).
//! Leaves to others: CREATE (`table_create`).

use super::table_create::column_of;
use super::{Rows, Session, Statement, answer};
use crate::catalog::change::Change;
use crate::error::SqlError;
use crate::sql::cursor::Cursor;
use crate::sql::{AlterTable, ColumnChange, Path};
use crate::table::{Definition, Key, Table};
use crate::types::SnowType;

impl Session {
    pub(super) async fn alter_table(
        &mut self,
        path: &Path,
        if_exists: bool,
        action: AlterTable,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let table = match self.target(path, "OWNERSHIP") {
            Ok((table, _)) => table,
            Err(error) if if_exists && error.code == "002003" => {
                return answer::status("Statement executed successfully.");
            }
            Err(error) => return Err(error),
        };
        let mut work = self.work();
        self.lock(&mut work, vec![(table, path.join("."))]).await?;
        let mut fills = Vec::new();
        if let AlterTable::AddColumns { columns, .. } = &action {
            for spec in columns {
                let fill = match &spec.default {
                    Some(default) => self.constant_value(default.clone(), statement).await?,
                    None => None,
                };
                fills.push(fill.map(|(value, _)| value.to_text(9)));
            }
        }
        if let AlterTable::AlterColumn { name, change: ColumnChange::SetNotNull } = &action {
            let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
            let table = path.iter().map(quoted).collect::<Vec<_>>().join(".");
            let nulls = format!("(SELECT COUNT(*) FROM {table} WHERE {} IS NULL)", quoted(name));
            let nulls = Cursor::new(&nulls)?.expr()?;
            let nulls = self.constant(nulls, statement).await?;
            if nulls != "0" {
                return Err(SqlError::compilation(format!("Column '{name}' has NULLs and cannot become NOT NULL")));
            }
        }
        if let AlterTable::AlterColumn { name, change: ColumnChange::Type(SnowType::Fixed { precision, scale }) } =
            &action
        {
            let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
            let table = path.iter().map(quoted).collect::<Vec<_>>().join(".");
            let limit =
                format!("1{}", "0".repeat(usize::try_from(i16::from(*precision) - i16::from(*scale)).unwrap_or(0)));
            // One digit more than a NUMBER has is more than any value has.
            let over = match limit.len() {
                39.. => "(SELECT 0)".to_owned(),
                _ => format!("(SELECT COUNT(*) FROM {table} WHERE ABS({}) >= {limit})", quoted(name)),
            };
            let over = Cursor::new(&over)?.expr()?;
            let over = self.constant(over, statement).await?;
            if over != "0" {
                return Err(SqlError::compilation(format!(
                    "cannot change column {name}: {over} of its values have more digits than {}",
                    SnowType::Fixed { precision: *precision, scale: *scale }
                )));
            }
        }
        self.engine.commit(Vec::new(), |catalog| {
            let current = self.table(catalog, path, "OWNERSHIP")?;
            let mut definition = current.definition.clone();
            let mut changes = Vec::new();
            match &action {
                AlterTable::Rename(to) => {
                    let to = self.full_name(to)?;
                    if catalog.names.contains_key(&to) {
                        return Err(SqlError::exists(&to));
                    }
                    self.check_place(catalog, &to)?;
                    (definition.database, definition.schema, definition.name) = (to.database, to.schema, to.name);
                }
                AlterTable::Swap(other) => {
                    let mut other = self.table(catalog, other, "OWNERSHIP")?.definition.clone();
                    std::mem::swap(&mut definition.database, &mut other.database);
                    std::mem::swap(&mut definition.schema, &mut other.schema);
                    std::mem::swap(&mut definition.name, &mut other.name);
                    changes.push(Change::AlterTable { definition: Box::new(other) });
                }
                action => alter(&mut definition, current, action, &fills)?,
            }
            changes.push(Change::AlterTable { definition: Box::new(definition) });
            Ok((changes, ()))
        })?;
        answer::status("Statement executed successfully.")
    }
}

fn alter(
    definition: &mut Definition,
    table: &Table,
    action: &AlterTable,
    fills: &[Option<String>],
) -> Result<(), SqlError> {
    match action {
        AlterTable::AddColumns { columns, if_not_exists } => {
            for (spec, fill) in columns.iter().zip(fills) {
                if definition.column(&spec.name).is_some() {
                    if *if_not_exists {
                        continue;
                    }
                    return Err(SqlError::new(
                        "002028",
                        "42601",
                        format!("SQL compilation error:\nambiguous column name '{}'", spec.name),
                    ));
                }
                let mut column = column_of(definition.next_column, spec)?;
                if !column.nullable && fill.is_none() && table.current().rows() > 0 {
                    return Err(SqlError::compilation(format!(
                        "Non-nullable column '{}' cannot be added to non-empty table '{}' unless it has a \
                         non-null default value.",
                        spec.name, definition.name
                    )));
                }
                column.fill.clone_from(fill);
                definition.next_column += 1;
                definition.columns.push(column);
            }
        }
        AlterTable::DropColumns { names, if_exists } => {
            for name in names {
                let Some(index) = definition.columns.iter().position(|column| column.name == *name) else {
                    if *if_exists {
                        continue;
                    }
                    return Err(SqlError::invalid_identifier(name));
                };
                let id = definition.columns.remove(index).id;
                definition.primary_key.take_if(|key| key.columns.contains(&id));
                definition.unique.retain(|key| !key.columns.contains(&id));
            }
            if definition.columns.is_empty() {
                return Err(SqlError::compilation("a table needs at least one column"));
            }
        }
        AlterTable::RenameColumn { from, to } => {
            if definition.column(to).is_some() {
                return Err(SqlError::compilation(format!("column '{to}' already exists")));
            }
            column_mut(definition, from)?.name.clone_from(to);
        }
        AlterTable::AlterColumn { name, change } => {
            let column = column_mut(definition, name)?;
            match change {
                ColumnChange::Type(ty) if widens(column.ty, *ty) || narrows(column.ty, *ty) => column.ty = *ty,
                ColumnChange::Type(ty) => {
                    return Err(SqlError::new(
                        "002108",
                        "22000",
                        format!("SQL compilation error:\ncannot change column {name} from type {} to {ty}", column.ty),
                    ));
                }
                ColumnChange::SetNotNull => column.nullable = false,
                ColumnChange::DropNotNull => column.nullable = true,
                ColumnChange::DropDefault => column.default = None,
                ColumnChange::Comment(comment) => column.comment = Some(comment.clone()),
            }
        }
        AlterTable::Set(options) => {
            for (option, value) in options {
                let days = || value.parse().map_err(|_| SqlError::unexpected(value));
                match option.as_str() {
                    "COMMENT" => definition.comment = Some(value.clone()),
                    "DATA_RETENTION_TIME_IN_DAYS" => definition.retention_days = Some(days()?),
                    "MAX_DATA_EXTENSION_TIME_IN_DAYS" => definition.extension_days = Some(days()?),
                    "CHANGE_TRACKING" => match value.to_ascii_uppercase().as_str() {
                        "TRUE" => {
                            let now = table.current().number;
                            definition.tracked_since.get_or_insert(now);
                        }
                        "FALSE" => definition.tracked_since = None,
                        _ => return Err(SqlError::unexpected(value)),
                    },
                    other => return Err(SqlError::unexpected(other)),
                }
            }
        }
        AlterTable::Unset(names) => {
            for name in names {
                match name.as_str() {
                    "COMMENT" => definition.comment = None,
                    "DATA_RETENTION_TIME_IN_DAYS" => definition.retention_days = None,
                    "MAX_DATA_EXTENSION_TIME_IN_DAYS" => definition.extension_days = None,
                    "CHANGE_TRACKING" => definition.tracked_since = None,
                    other => return Err(SqlError::unexpected(other)),
                }
            }
        }
        AlterTable::AddPrimaryKey { name, columns } => {
            let mut ids = Vec::new();
            for column in columns {
                let column = column_mut(definition, column)?;
                ids.push(column.id);
            }
            let name = name.clone().unwrap_or_else(|| format!("SYS_CONSTRAINT_PK_{}", definition.id));
            definition.primary_key = Some(Key { name, columns: ids });
        }
        AlterTable::DropPrimaryKey => definition.primary_key = None,
        AlterTable::Rename(_) | AlterTable::Swap(_) => {}
    }
    Ok(())
}

fn column_mut<'d>(definition: &'d mut Definition, name: &str) -> Result<&'d mut crate::table::Column, SqlError> {
    definition.columns.iter_mut().find(|column| column.name == name).ok_or_else(|| SqlError::invalid_identifier(name))
}

/// Whether a NUMBER keeps its scale and gets fewer digits, which the table's present values were found to have. Streams
/// may still hold older ones, and cannot be read then.
fn narrows(from: SnowType, to: SnowType) -> bool {
    matches!((from, to), (SnowType::Fixed { precision: p, scale: a }, SnowType::Fixed { precision: q, scale: b }) if a == b && p > q)
}

/// Whether every value of a type is one of the other, so that stored rows need no rewriting.
fn widens(from: SnowType, to: SnowType) -> bool {
    match (from, to) {
        (SnowType::Fixed { precision: p, scale: a }, SnowType::Fixed { precision: q, scale: b }) => a == b && p <= q,
        (SnowType::Text { length: a }, SnowType::Text { length: b })
        | (SnowType::Binary { length: a }, SnowType::Binary { length: b }) => a <= b,
        (from, to) => from == to,
    }
}
