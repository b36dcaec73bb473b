//! CREATE STREAM, ALTER STREAM, and points in a table's history.
//!
//! Promises: a stream starts at a version, exactly; a start outside the kept and tracked history is
//! refused with Snowflake's words.
//! Leaves to others: reading streams (`relations`), moving them (`transaction`).

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value as SqlValue,
};

use super::stream_source::StreamSource;
use super::{Rows, Session, Statement, answer};
use crate::catalog::change::Change;
use crate::catalog::{Catalog, Name, Object, ObjectId, View};
use crate::error::SqlError;
use crate::sql::cursor::Cursor;
use crate::sql::{CreateStream, Path, Point};
use crate::stream::{Base, Stream};
use crate::table::version::Version;
use crate::table::{Definition, Table};
use crate::types::timestamp::Timestamp;

const DAY: i64 = 86_400_000_000_000;

impl Session {
    pub(super) fn create_stream(&mut self, create: &CreateStream, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        let name = self.full_name(&create.name)?;
        if self.engine.catalog().names.contains_key(&name) && create.if_not_exists {
            return answer::status(&format!("{} already exists, statement succeeded.", name.name));
        }
        let source = self.stream_source(create, statement)?;
        let done = self.engine.commit(Vec::new(), |catalog| {
            let mut changes = Vec::new();
            let made = self.new_stream(catalog, create, &name, &source, &mut changes);
            // A refused start leaves tracking on, as it does on an account.
            match made {
                Ok(()) => Ok((changes, Ok(()))),
                Err(error) if error.code == "091930" => {
                    changes.retain(|change| matches!(change, Change::AlterTable { .. }));
                    Ok((changes, Err(error)))
                }
                Err(error) => Err(error),
            }
        })?;
        done?;
        answer::status(&format!("Stream {} successfully created.", name.name))
    }

    fn new_stream(
        &self,
        catalog: &Catalog,
        create: &CreateStream,
        name: &Name,
        source: &StreamSource,
        changes: &mut Vec<Change>,
    ) -> Result<(), SqlError> {
        let (role, now) = (self.role().to_owned(), self.engine.now());
        self.check_place(catalog, name)?;
        match catalog.names.get(name) {
            None => {}
            Some(Object::Stream(old)) if create.or_replace => changes.push(Change::DropStream { stream: *old }),
            Some(_) => return Err(SqlError::exists(name)),
        }
        catalog.check_schema(&role, &name.database, &name.schema, "CREATE STREAM")?;
        let mut stream = match source {
            StreamSource::Clone(stream) => stream.as_ref().clone(),
            StreamSource::On { object, tables, mode } => {
                self.track(catalog, *object, tables, changes)?;
                let mut bases = Vec::new();
                for id in tables {
                    let table = catalog.table(*id).ok_or_else(|| SqlError::missing("Table", id))?;
                    let start = match &create.point {
                        Some(point) => self.version_at(catalog, table, point)?,
                        None => Arc::clone(table.current()),
                    };
                    let now = table.current().number;
                    if table.definition.tracked_since.unwrap_or(now) > start.number {
                        return Err(not_tracked(&table.definition.name));
                    }
                    let named = crate::catalog::change::name_of(&table.definition);
                    bases.push(Base { table: *id, name: named, offset: start.number });
                }
                Stream {
                    id: 0,
                    name: name.clone(),
                    source: *object,
                    source_name: catalog.name_of(*object).unwrap_or_else(|| name.clone()),
                    bases,
                    mode: *mode,
                    initial: create.show_initial_rows,
                    created: now,
                    owner: role.clone(),
                    comment: String::new(),
                    touched: now,
                }
            }
        };
        stream.id = self.engine.reserve_object();
        stream.name = name.clone();
        stream.created = now;
        stream.owner.clone_from(&role);
        if let Some(comment) = &create.comment {
            stream.comment.clone_from(comment);
        }
        changes.push(Change::PutStream { stream: Box::new(stream) });
        Ok(())
    }

    /// Switches change tracking on where it is off and the role may: on the view, and on each table.
    fn track(
        &self,
        catalog: &Catalog,
        object: Object,
        tables: &[ObjectId],
        changes: &mut Vec<Change>,
    ) -> Result<(), SqlError> {
        let role = self.role();
        if let Object::View(id) = object
            && let Some(view) = catalog.views.get(&id).filter(|view| !view.tracked)
        {
            if !catalog.owns(role, object) {
                return Err(SqlError::denied("VIEW", &view.name.name));
            }
            changes.push(Change::PutView { view: Box::new(View { tracked: true, ..view.clone() }) });
        }
        for id in tables {
            let Some(table) = catalog.table(*id) else { continue };
            let mut definition = table.definition.clone();
            if definition.tracked_since.is_none() {
                if !catalog.owns(role, Object::Table(*id)) {
                    return Err(SqlError::denied("TABLE", &definition.name));
                }
                definition.tracked_since = Some(table.current().number);
                changes.push(Change::AlterTable { definition: Box::new(definition) });
            }
        }
        Ok(())
    }

    pub(super) fn stream_at<'c>(&self, catalog: &'c Catalog, path: &[String]) -> Result<&'c Stream, SqlError> {
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
                if is_null(&point.value) {
                    return Err(unavailable(&table.definition));
                }
                let nanos = match epoch(&point.value)? {
                    Some(nanos) => nanos,
                    None => {
                        let text = self.literal(&point.value)?;
                        let (at, _) = Timestamp::parse(&text).ok_or_else(|| SqlError::bad_value("Timestamp", &text))?;
                        i64::try_from(at.to_nanos()).map_err(SqlError::internal)?
                    }
                };
                self.retained(table, nanos - i64::from(point.before))
            }
            "OFFSET" => {
                let wrong = |shown: String| {
                    let text = format!("SQL compilation error:\nInvalid data type [{shown}] in AT(OFFSET => {shown})");
                    SqlError::new("000707", "22023", text)
                };
                if is_null(&point.value) {
                    return Err(wrong("null".to_owned()));
                }
                let seconds = number(&point.value)?;
                if seconds >= 0 {
                    return Err(wrong(seconds.to_string()));
                }
                let at = self.engine.now().saturating_add(seconds.saturating_mul(1_000_000_000));
                self.retained(table, at - i64::from(point.before))
            }
            "STATEMENT" => {
                let id = if is_null(&point.value) { "null".to_owned() } else { self.literal(&point.value)? };
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
                if is_null(&point.value) {
                    let text = "Time travel AT(STREAM => _) expected a stream name, got NULL.";
                    return Err(SqlError::new("000707", "22023", text));
                }
                let name = self.literal(&point.value)?;
                let path = Cursor::new(&name)?.path()?;
                let gone = |_| SqlError::new("000707", "02000", format!("Stream '{name}' not found."));
                let stream = self.stream_at(catalog, &path).map_err(gone)?;
                match stream.bases.iter().find(|base| base.table == table.definition.id) {
                    Some(base) => table.version(base.offset),
                    None => {
                        let others = stream.readable(catalog, self.engine.now())?;
                        let mut known = stream.bases.iter().zip(others);
                        let at = known.find_map(|(base, other)| other.version(base.offset)).map(|version| version.at);
                        at.and_then(|at| table.version_at(at))
                    }
                }
            }
            other => return Err(SqlError::unexpected(other)),
        };
        found.cloned().ok_or_else(|| unavailable(&table.definition))
    }

    /// The version at a time within Time Travel. What is kept for longer is kept for streams alone (facts §2).
    fn retained<'t>(&self, table: &'t Table, nanos: i64) -> Option<&'t Arc<Version>> {
        let kept = DAY.saturating_mul(i64::from(table.definition.retention()));
        table.version_at(nanos).filter(|_| nanos >= self.engine.now().saturating_sub(kept))
    }

    /// The text of a constant: casts and conversions around a literal are looked through.
    fn literal(&self, expr: &Expr) -> Result<String, SqlError> {
        match expr {
            Expr::Value(value) => match &value.value {
                SqlValue::SingleQuotedString(text) => Ok(text.clone()),
                SqlValue::Number(digits, _) => Ok(digits.clone()),
                SqlValue::Placeholder(name) => {
                    let name = name.trim_start_matches('$').to_uppercase();
                    let literal = self
                        .variables
                        .get(&name)
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
                    (_, name) => Err(SqlError::new(
                        "091912",
                        "0A000",
                        format!(
                            "SQL compilation error:\nQuery contains time travel to a version containing function \
                             '{name}', but change tracking is not supported on queries with non-deterministic \
                             functions in versions."
                        ),
                    )),
                }
            }
            other => {
                Err(SqlError::compilation(format!("Invalid argument for AT or BEFORE: {other} is not a constant")))
            }
        }
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == SqlValue::Null)
}

/// `TO_TIMESTAMP…(n, digits)`: nanoseconds since 1970. `None` for another form.
fn epoch(expr: &Expr) -> Result<Option<i64>, SqlError> {
    let Expr::Function(function) = expr else { return Ok(None) };
    let name = function.name.to_string().replace('"', "").to_uppercase();
    let FunctionArguments::List(list) = &function.args else { return Ok(None) };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(count)), FunctionArg::Unnamed(FunctionArgExpr::Expr(digits))] =
        list.args.as_slice()
    else {
        return Ok(None);
    };
    if !name.starts_with("TO_TIMESTAMP") {
        return Ok(None);
    }
    let unit = u32::try_from(number(digits)?).ok().and_then(|digits| 9_u32.checked_sub(digits));
    let nanos = unit.and_then(|zeros| number(count).ok()?.checked_mul(10_i64.pow(zeros)));
    nanos.map(Some).ok_or_else(|| SqlError::bad_value("Timestamp", expr))
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
            "SQL compilation error: Change tracking is not enabled or has been missing for the time range \
             requested on table '{table}'."
        ),
    )
}
