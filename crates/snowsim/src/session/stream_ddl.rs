//! CREATE STREAM, ALTER STREAM, and points in a table's history.
//!
//! Promises: a stream starts at a version, exactly; a start outside the kept and tracked history is
//! refused with Snowflake's words.
//! Leaves to others: reading streams (`relations`), moving them (`transaction`).

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value as SqlValue,
};

use super::{Rows, Session, answer};
use crate::catalog::change::Change;
use crate::catalog::{Catalog, Object};
use crate::error::SqlError;
use crate::sql::cursor::Cursor;
use crate::sql::{CreateStream, Path, Point};
use crate::stream::Stream;
use crate::table::version::Version;
use crate::table::{Definition, Table};
use crate::types::timestamp::Timestamp;

impl Session {
    pub(super) fn create_stream(&mut self, create: &CreateStream) -> Result<Rows, SqlError> {
        let name = self.full_name(&create.name)?;
        let (role, now) = (self.role().to_owned(), self.engine.now());
        let id = self.engine.reserve_object();
        self.create(&name.name.clone(), "Stream", create.if_not_exists, |session, catalog| {
            session.check_place(catalog, &name)?;
            let mut changes = Vec::new();
            match catalog.names.get(&name) {
                None => {}
                Some(Object::Stream(old)) if create.or_replace => changes.push(Change::DropStream { stream: *old }),
                Some(_) => return Ok(Err(SqlError::exists(&name))),
            }
            catalog.check_schema(&role, &name.database, &name.schema, "CREATE STREAM")?;
            let mut stream = match create.clone {
                true => session.stream_at(catalog, &create.table)?.clone(),
                false => {
                    let table = session.table(catalog, &create.table, "SELECT")?;
                    let mut definition = table.definition.clone();
                    if definition.tracked_since.is_none() {
                        let object = Object::Table(definition.id);
                        if !catalog.owns(&role, object) {
                            return Err(SqlError::denied("TABLE", &definition.name));
                        }
                        definition.tracked_since = Some(table.current().number);
                        changes.push(Change::AlterTable { definition: Box::new(definition.clone()) });
                    }
                    let start = match &create.point {
                        Some(point) => session.version_at(catalog, table, point)?,
                        None => Arc::clone(table.current()),
                    };
                    if definition.tracked_since.is_none_or(|since| since > start.number) {
                        return Err(not_tracked(&definition.name));
                    }
                    Stream {
                        id,
                        name: name.clone(),
                        table: definition.id,
                        table_name: crate::catalog::change::name_of(&definition),
                        append_only: create.append_only,
                        offset: start.number,
                        initial: create.show_initial_rows,
                        created: now,
                        owner: role.clone(),
                        comment: String::new(),
                        touched: now,
                    }
                }
            };
            stream.id = id;
            stream.name = name.clone();
            stream.created = now;
            stream.owner.clone_from(&role);
            if let Some(comment) = &create.comment {
                stream.comment.clone_from(comment);
            }
            changes.push(Change::PutStream { stream: Box::new(stream) });
            Ok(Ok(changes))
        })
    }

    fn stream_at<'c>(&self, catalog: &'c Catalog, path: &[String]) -> Result<&'c Stream, SqlError> {
        match self.object(catalog, path, "SELECT")? {
            (name, Object::Stream(id)) => catalog.streams.get(&id).ok_or_else(|| SqlError::missing("Stream", name)),
            (name, _) => Err(SqlError::missing("Stream", name)),
        }
    }

    pub(super) fn alter_stream(&self, path: &Path, if_exists: bool, comment: Option<String>) -> Result<Rows, SqlError> {
        let done = self.engine.commit(Vec::new(), |catalog| {
            let mut stream = self.stream_at(catalog, path)?.clone();
            catalog.check_object(self.role(), Object::Stream(stream.id), "OWNERSHIP")?;
            stream.comment = comment.unwrap_or(stream.comment);
            Ok((vec![Change::PutStream { stream: Box::new(stream) }], ()))
        });
        match done {
            Err(error) if !(if_exists && error.code == "002003") => Err(error),
            _ => answer::status("Statement executed successfully."),
        }
    }

    /// The version of a table at a point.
    pub(super) fn version_at(&self, catalog: &Catalog, table: &Table, point: &Point) -> Result<Arc<Version>, SqlError> {
        let found = match point.kind.as_str() {
            "TIMESTAMP" => {
                let text = self.literal(&point.value)?;
                let (at, _) = Timestamp::parse(&text).ok_or_else(|| SqlError::bad_value("Timestamp", &text))?;
                let nanos = i64::try_from(at.to_nanos()).map_err(SqlError::internal)?;
                table.version_at(nanos - i64::from(point.before))
            }
            "OFFSET" => {
                let seconds = number(&point.value)?;
                if seconds >= 0 {
                    return Err(SqlError::compilation(format!(
                        "Invalid value [{seconds}] for OFFSET: it must be negative, seconds before now"
                    )));
                }
                let at = self.engine.now().saturating_add(seconds.saturating_mul(1_000_000_000));
                table.version_at(at - i64::from(point.before))
            }
            "STATEMENT" => {
                let id = self.literal(&point.value)?;
                let made = |version: &&Arc<Version>| version.statement.split(',').any(|made| made == id);
                let Some(version) = table.versions.iter().find(made) else {
                    return Err(SqlError::new("000711", "02000", format!("Statement {id} not found")));
                };
                match (point.before, version.number) {
                    (false, _) => Some(version),
                    (true, number) => number.checked_sub(1).and_then(|number| table.version(number)),
                }
            }
            "STREAM" => {
                let name = self.literal(&point.value)?;
                let path = Cursor::new(&name)?.path()?;
                let stream = self.stream_at(catalog, &path)?;
                if stream.table == table.definition.id {
                    table.version(stream.offset)
                } else {
                    let other = stream.readable(catalog, self.engine.now())?;
                    let at = other.version(stream.offset).map(|version| version.at);
                    at.and_then(|at| table.version_at(at))
                }
            }
            other => return Err(SqlError::unexpected(other)),
        };
        found.cloned().ok_or_else(|| unavailable(&table.definition))
    }

    /// The text of a constant: casts and conversions around a literal are looked through.
    fn literal(&self, expr: &Expr) -> Result<String, SqlError> {
        match expr {
            Expr::Value(value) => match &value.value {
                SqlValue::SingleQuotedString(text) => Ok(text.clone()),
                SqlValue::Number(digits, _) => Ok(digits.clone()),
                SqlValue::Placeholder(name) => {
                    let name = name.trim_start_matches('$');
                    let literal = self
                        .variables
                        .get(name)
                        .ok_or_else(|| SqlError::compilation(format!("Session variable '${name}' does not exist")))?;
                    self.literal(&Cursor::new(literal)?.expr()?)
                }
                other => Err(SqlError::unexpected(other)),
            },
            Expr::Cast { expr, .. } | Expr::Nested(expr) => self.literal(expr),
            Expr::TypedString(typed) => self.literal(&Expr::Value(typed.value.clone())),
            Expr::Function(function) => {
                let name = function.name.to_string().replace('"', "").to_uppercase();
                match (&function.args, name.as_str()) {
                    (_, "LAST_QUERY_ID") => {
                        self.last_query.clone().ok_or_else(|| SqlError::compilation("there is no last query"))
                    }
                    (FunctionArguments::List(list), name) if name.starts_with("TO_TIMESTAMP") => {
                        match list.args.as_slice() {
                            [FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))] => self.literal(inner),
                            _ => Err(SqlError::unsupported(expr)),
                        }
                    }
                    _ => Err(SqlError::compilation(format!(
                        "Invalid argument for AT or BEFORE: {expr} is not a constant"
                    ))),
                }
            }
            other => {
                Err(SqlError::compilation(format!("Invalid argument for AT or BEFORE: {other} is not a constant")))
            }
        }
    }
}

/// Integer arithmetic on constants.
fn number(expr: &Expr) -> Result<i64, SqlError> {
    let refuse = || SqlError::compilation(format!("Invalid OFFSET: {expr} is not a constant number"));
    match expr {
        Expr::Value(value) => value.to_string().parse().map_err(|_| refuse()),
        Expr::Nested(inner) => number(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(-number(expr)?),
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (number(left)?, number(right)?);
            match op {
                BinaryOperator::Multiply => left.checked_mul(right),
                BinaryOperator::Plus => left.checked_add(right),
                BinaryOperator::Minus => left.checked_sub(right),
                _ => None,
            }
            .ok_or_else(refuse)
        }
        _ => Err(refuse()),
    }
}

fn unavailable(definition: &Definition) -> SqlError {
    SqlError::new(
        "000709",
        "02000",
        format!(
            "Time travel data is not available for table {}. The requested time is either beyond the allowed \
             time travel period or before the object creation time.",
            definition.name
        ),
    )
}

/// 091930: changes were not tracked at the point asked for.
pub(super) fn not_tracked(table: &str) -> SqlError {
    SqlError::new(
        "091930",
        "55000",
        format!(
            "SQL compilation error:\nChange tracking is not enabled or has been missing for the time range \
             requested on table '{table}'."
        ),
    )
}
