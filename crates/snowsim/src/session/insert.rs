//! INSERT, and the writing half of CREATE TABLE … AS.
//!
//! Promises: columns not named get their default; VALUES of plain literals never pass through the
//! query engine, so no type is guessed for them.
//! Leaves to others: UPDATE, DELETE (`dml`), MERGE (`merge`).

use arrow_array::{Array, ArrayRef};
use datafusion::sql::sqlparser::ast::{
    Expr, Insert, ObjectName, Query, SelectItem, SetExpr, TableObject, UnaryOperator, Value as SqlValue,
};
use futures::TryStreamExt;

use super::column::{check_nulls, new_rows};
use super::relations::{Planner, names_in};
use super::transaction::{Pending, Work};
use super::{Rows, Session, Statement, answer};
use crate::catalog::{Catalog, Object, ObjectId};
use crate::error::SqlError;
use crate::sql::Path;
use crate::sql::cursor::Cursor;
use crate::sql::rewrite::{cast, path_of};
use crate::table::Column;
use crate::table::part::PartKind;
use crate::table::version::Version;
use crate::types::convert::{Builder, OnFailure, canonical, convert};
use crate::types::value::Value;

impl Session {
    /// INSERT.
    pub(super) async fn insert(&mut self, insert: Insert, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        let TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::unsupported(&insert.table));
        };
        let path = path_of(name)?;
        let Some(source) = insert.source else {
            return Err(SqlError::unsupported("INSERT without VALUES or a query"));
        };
        let (table, columns) = self.target(&path, "INSERT")?;
        let named = named_columns(&insert.columns, &columns, &insert.after_columns)?;
        if statement.describe_only {
            return answer::counts(&[("number of rows inserted", 0)]);
        }
        self.use_warehouse(statement)?;
        let mut work = self.work();
        let mut objects = self.consumed_by(&names_in(&source))?;
        objects.push((table, path.join(".")));
        self.lock(&mut work, objects).await?;
        let (pending, columns) = self.locked(table)?;
        let named: Vec<usize> = remap(&named, &columns)?;
        let mut next = Version::clone(&pending.current);
        if insert.overwrite {
            next.parts.clear();
        }
        let (fresh, rows) = match literals(&source, &named, &columns)? {
            Some(arrays) => {
                let rows = arrays.first().map_or(0, Array::len);
                let mut writer = self.writer(PartKind::Insert, &columns);
                let arrays = self.complete(arrays, &named, &columns, &mut next, statement).await?;
                let ids = new_rows(&mut next, rows);
                writer.push(arrays, ids)?;
                (writer.finish()?, rows)
            }
            None => {
                let query = with_defaults(*source, &named, &columns)?;
                self.insert_query(query, &columns, &mut next, &mut work, statement).await?
            }
        };
        work.writes.insert(table, pending.changed(next, &[], fresh));
        self.finish(work, statement)?;
        answer::counts(&[("number of rows inserted", u64::try_from(rows).unwrap_or(0))])
    }

    /// Writes a query's rows, whose columns are the table's in order, as new rows.
    pub(super) async fn insert_query(
        &self,
        query: Query,
        columns: &[Column],
        next: &mut Version,
        work: &mut Work,
        statement: &Statement<'_>,
    ) -> Result<(Vec<std::sync::Arc<crate::table::part::Part>>, usize), SqlError> {
        let mut planner = Planner::new(self, statement, work.sequence);
        let plan = planner.plan(query)?;
        work.consumed.append(&mut planner.streams);
        drop(planner);
        self.insert_plan(plan, columns, next).await
    }

    /// The same with a plan.
    pub(super) async fn insert_plan(
        &self,
        plan: datafusion::logical_expr::LogicalPlan,
        columns: &[Column],
        next: &mut Version,
    ) -> Result<(Vec<std::sync::Arc<crate::table::part::Part>>, usize), SqlError> {
        let metas = super::query::columns_of(&plan)?;
        let mut rows = self.run_plan(plan, &metas).await?;
        let mut writer = self.writer(PartKind::Insert, columns);
        let mut count = 0;
        while let Some(batch) = rows.try_next().await? {
            let mut arrays = Vec::with_capacity(columns.len());
            for ((array, field), column) in batch.columns().iter().zip(batch.schema().fields()).zip(columns) {
                let (array, from) = canonical(array, field)?;
                arrays.push(convert(&array, from, column.ty, OnFailure::Fail)?);
            }
            identities(&mut arrays, columns, next, batch.num_rows())?;
            check_nulls(columns, &arrays)?;
            count += batch.num_rows();
            writer.push(arrays, new_rows(next, batch.num_rows()))?;
        }
        Ok((writer.finish()?, count))
    }

    /// Fills literal rows up to all columns of the table.
    async fn complete(
        &self,
        arrays: Vec<ArrayRef>,
        named: &[usize],
        columns: &[Column],
        next: &mut Version,
        statement: &Statement<'_>,
    ) -> Result<Vec<ArrayRef>, SqlError> {
        let rows = arrays.first().map_or(0, Array::len);
        let mut whole = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            if let Some(place) = named.iter().position(|at| *at == index) {
                whole.push(std::sync::Arc::clone(&arrays[place]));
                continue;
            }
            let mut builder = Builder::new(column.ty, rows);
            for _ in 0..rows {
                let value = match &column.default {
                    // Each row has its own: a default may be UUID_STRING().
                    Some(default) => {
                        let expr = Cursor::new(default)?.expr()?;
                        match self.constant_value(expr, statement).await? {
                            Some((value, _)) => value.cast(column.ty)?,
                            None => None,
                        }
                    }
                    None => None,
                };
                builder.push(value)?;
            }
            whole.push(builder.finish());
        }
        // Only columns nobody named count up; a NULL that was given stays one.
        let unnamed: Vec<usize> = (0..columns.len()).filter(|index| !named.contains(index)).collect();
        for index in unnamed {
            if let Some(identity) = columns[index].identity {
                whole[index] = identity_values(identity, columns[index].ty, next, rows)?;
            }
        }
        check_nulls(columns, &whole)?;
        Ok(whole)
    }

    /// The table of a DML statement and its columns now.
    pub(super) fn target(&self, path: &Path, privilege: &str) -> Result<(ObjectId, Vec<Column>), SqlError> {
        let catalog = self.engine.catalog();
        let table = self.table(&catalog, path, privilege)?;
        let changes = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"].contains(&privilege);
        if changes && table.definition.nature.read_only() {
            let kind = table.definition.nature.word().replace('_', " ").to_lowercase();
            return Err(SqlError::unsupported(format!("{privilege} on {kind} {}", table.definition.full_name())));
        }
        Ok((table.definition.id, table.definition.columns.clone()))
    }

    /// The same once it is locked.
    pub(super) fn locked(&self, table: ObjectId) -> Result<(Pending, Vec<Column>), SqlError> {
        let catalog = self.engine.catalog();
        let columns = catalog
            .table(table)
            .map(|table| table.definition.columns.clone())
            .ok_or_else(|| SqlError::missing("Object", table))?;
        Ok((self.pending(&catalog, table)?, columns))
    }

    /// The streams among the names a statement reads: it will consume them.
    pub(super) fn consumed_by(&self, names: &[Path]) -> Result<Vec<(ObjectId, String)>, SqlError> {
        let catalog: &Catalog = &self.engine.catalog();
        let mut streams = Vec::new();
        for path in names {
            if let Ok(name) = self.full_name(path)
                && let Some(Object::Stream(id)) = catalog.names.get(&name)
            {
                streams.push((*id, name.to_string()));
            }
        }
        Ok(streams)
    }
}

/// Indices of the columns an INSERT names; all of them if it names none.
fn named_columns(
    names: &[ObjectName],
    columns: &[Column],
    after: &[datafusion::sql::sqlparser::ast::Ident],
) -> Result<Vec<String>, SqlError> {
    if !after.is_empty() {
        return Err(SqlError::unsupported("columns after PARTITION"));
    }
    if names.is_empty() {
        return Ok(columns.iter().map(|column| column.name.clone()).collect());
    }
    let mut named = Vec::new();
    for name in names {
        let name = path_of(name)?.pop().unwrap_or_default();
        if !columns.iter().any(|column| column.name == name) {
            return Err(SqlError::invalid_identifier(name));
        }
        if named.contains(&name) {
            return Err(SqlError::compilation(format!("duplicate column name '{name}'")));
        }
        named.push(name);
    }
    Ok(named)
}

fn remap(names: &[String], columns: &[Column]) -> Result<Vec<usize>, SqlError> {
    names
        .iter()
        .map(|name| {
            let at = columns.iter().position(|column| column.name == *name);
            at.ok_or_else(|| SqlError::invalid_identifier(name))
        })
        .collect()
}

/// AUTOINCREMENT columns of a query's rows: NULL means nobody gave a value.
fn identities(arrays: &mut [ArrayRef], columns: &[Column], next: &mut Version, rows: usize) -> Result<(), SqlError> {
    for (array, column) in arrays.iter_mut().zip(columns) {
        if let Some(identity) = column.identity
            && rows > 0
            && array.null_count() == rows
        {
            *array = identity_values(identity, column.ty, next, rows)?;
        }
    }
    Ok(())
}

fn identity_values(
    (start, step): (i64, i64),
    ty: crate::types::SnowType,
    next: &mut Version,
    rows: usize,
) -> Result<ArrayRef, SqlError> {
    let mut builder = Builder::new(ty, rows);
    for _ in 0..rows {
        let value = i128::from(start) + i128::from(step) * i128::from(next.next_identity);
        next.next_identity += 1;
        builder.push(Value::Fixed(value, 0).cast(ty)?)?;
    }
    Ok(builder.finish())
}

/// A plain literal; `Err` for anything that needs the engine.
fn literal(expr: &Expr) -> Result<Option<Value>, ()> {
    match expr {
        Expr::Value(value) => match &value.value {
            SqlValue::Null => Ok(None),
            SqlValue::Boolean(value) => Ok(Some(Value::Bool(*value))),
            SqlValue::SingleQuotedString(text) => Ok(Some(Value::Text(text.clone()))),
            SqlValue::DollarQuotedString(text) => Ok(Some(Value::Text(text.value.clone()))),
            SqlValue::Number(digits, _) => number(digits),
            _ => Err(()),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(value) => match &value.value {
                SqlValue::Number(digits, _) => number(&format!("-{digits}")),
                _ => Err(()),
            },
            _ => Err(()),
        },
        _ => Err(()),
    }
}

fn number(digits: &str) -> Result<Option<Value>, ()> {
    let (value, scale) = crate::types::number::parse(digits).ok_or(())?;
    Ok(Some(Value::Fixed(value, scale)))
}

/// VALUES of nothing but literals, as columns of the table's types.
fn literals(source: &Query, named: &[usize], columns: &[Column]) -> Result<Option<Vec<ArrayRef>>, SqlError> {
    let SetExpr::Values(values) = source.body.as_ref() else {
        return Ok(None);
    };
    let plain = source.with.is_none() && source.order_by.is_none() && source.limit_clause.is_none();
    let simple = |expr: &Expr| literal(expr).is_ok();
    if !plain || !values.rows.iter().all(|row| row.content.iter().all(simple)) {
        return Ok(None);
    }
    let mut builders: Vec<Builder> =
        named.iter().map(|index| Builder::new(columns[*index].ty, values.rows.len())).collect();
    for row in &values.rows {
        check_width(row.content.len(), named.len())?;
        for ((expr, builder), index) in row.content.iter().zip(&mut builders).zip(named) {
            let value = match literal(expr) {
                Ok(Some(value)) => value.cast(columns[*index].ty)?,
                _ => None,
            };
            builder.push(value)?;
        }
    }
    Ok(Some(builders.into_iter().map(Builder::finish).collect()))
}

fn check_width(given: usize, wanted: usize) -> Result<(), SqlError> {
    match given == wanted {
        true => Ok(()),
        false => Err(SqlError::new(
            "002057",
            "22000",
            format!(
                "SQL compilation error:\nInsert value list does not match column list expecting {wanted} but got {given}"
            ),
        )),
    }
}

/// `SELECT <every column of the table> FROM (source)`, defaults where the source has none.
fn with_defaults(mut source: Query, named: &[usize], columns: &[Column]) -> Result<Query, SqlError> {
    if let SetExpr::Values(values) = source.body.as_mut() {
        for row in &mut values.rows {
            check_width(row.content.len(), named.len())?;
            for (cell, index) in row.content.iter_mut().zip(named) {
                let column = &columns[*index];
                let default =
                    matches!(cell, Expr::Identifier(word) if word.value == "DEFAULT" && word.quote_style.is_none());
                let value = match (default, &column.default) {
                    (true, Some(default)) => Cursor::new(default)?.expr()?,
                    (true, None) => Expr::Value(SqlValue::Null.into()),
                    (false, _) => cell.clone(),
                };
                // One type per column, whatever its cells look like.
                *cell = cast(value, column.ty);
            }
        }
    }
    let mut query = Cursor::new("SELECT 1 FROM (SELECT 1) AS \"$SOURCE\"")?.query()?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(SqlError::internal("a template that is no SELECT"));
    };
    let names: Vec<String> = (0..named.len()).map(|index| format!("$C{index}")).collect();
    for factor in select.from.iter_mut().map(|from| &mut from.relation) {
        if let datafusion::sql::sqlparser::ast::TableFactor::Derived { subquery, alias, .. } = factor {
            **subquery = source.clone();
            let list = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
            let template = Cursor::new(&format!("SELECT 1 FROM (SELECT 1) AS \"$SOURCE\" ({list})"))?.query()?;
            if let SetExpr::Select(select) = *template.body
                && let Some(from) = select.from.into_iter().next()
                && let datafusion::sql::sqlparser::ast::TableFactor::Derived { alias: named, .. } = from.relation
            {
                *alias = named;
            }
        }
    }
    select.projection.clear();
    for (index, column) in columns.iter().enumerate() {
        let place = named.iter().position(|at| *at == index);
        let expr = match (place, &column.default) {
            (Some(place), _) => Expr::CompoundIdentifier(vec![
                datafusion::sql::sqlparser::ast::Ident::with_quote('"', "$SOURCE"),
                datafusion::sql::sqlparser::ast::Ident::with_quote('"', &names[place]),
            ]),
            (None, Some(default)) => Cursor::new(default)?.expr()?,
            (None, None) => Expr::Value(SqlValue::Null.into()),
        };
        select.projection.push(SelectItem::ExprWithAlias {
            expr: cast(expr, column.ty),
            alias: datafusion::sql::sqlparser::ast::Ident::with_quote('"', &column.name),
        });
    }
    Ok(*query)
}
