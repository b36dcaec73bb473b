//! UPDATE, DELETE and TRUNCATE.
//!
//! ```text
//!  UPDATE t SET … FROM u WHERE c  ─▶  SELECT t.$PART, t.$POS, t.$ROW, <new row> FROM t, u WHERE c
//! ```
//! Promises: the changed rows keep their row ids; the statement reads one pinned version, so it
//! never sees its own writes; streams it reads move with its commit.
//! Leaves to others: the query (`relations`, `sql::plan`), versions (`column`).

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, RecordBatch, UInt64Array};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, Ident, Query, SelectItem, SetExpr, TableFactor,
    TableWithJoins, Update, UpdateTableFromKind,
};
use futures::TryStreamExt;

use super::column::check_nulls;
use super::relations::{Planner, TARGET, names_in};
use super::transaction::{Pending, Work};
use super::{Rows, Session, Statement, answer};
use crate::error::SqlError;
use crate::sql::Path;
use crate::sql::cursor::Cursor;
use crate::sql::rewrite::{cast, object_name, path_of};
use crate::table::Column;
use crate::table::part::{PartKind, ROW_COLUMN};
use crate::table::scan::{PART_COLUMN, POSITION_COLUMN};
use crate::table::version::Version;

/// The rows a DML query found: addresses first, then a row image per column.
pub(super) struct Found {
    pub(super) rows: SendableRecordBatchStream,
}

impl Session {
    /// UPDATE.
    pub(super) async fn update(&mut self, update: Update, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        let columns = [("number of rows updated", 0), ("number of multi-joined rows updated", 0)];
        let from = match update.from {
            Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => from,
            None => Vec::new(),
        };
        let (path, alias) = single(&update.table)?;
        let (table, _) = self.target(&path, "UPDATE")?;
        if statement.describe_only {
            return answer::counts(&columns);
        }
        let mut read = names_in(&from);
        read.extend(names_in(&update.selection));
        read.extend(names_in(&update.assignments));
        let (mut work, pending, columns) = self.prepare(table, &path, &read, statement).await?;
        let assigned = assignments(&update.assignments, &columns)?;
        let image = columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let new = assigned.iter().find(|(at, _)| *at == index).map(|(_, value)| (*value).clone());
                cast(new.unwrap_or_else(|| of_target(&alias, &column.name)), column.ty)
            })
            .collect();
        let query = addressed(&alias, image, from, update.selection)?;
        let found = self.find(query, &pending, &columns, &mut work, statement).await?;
        let mut rows = found.rows;
        let mut writer = self.writer(PartKind::Update, &columns);
        let (mut seen, mut deleted, mut joined) = (HashSet::new(), Vec::new(), 0);
        while let Some(batch) = rows.try_next().await? {
            let addresses = addresses(&batch, 0)?;
            let first: Vec<bool> =
                addresses.iter().map(|(part, position, _)| seen.insert((*part, *position))).collect();
            joined += first.iter().filter(|first| !**first).count();
            let batch = arrow_select::filter::filter_record_batch(&batch, &first.clone().into())?;
            let kept = addresses.iter().zip(&first).filter(|(_, first)| **first).map(|(address, _)| address);
            let mut ids = Vec::with_capacity(batch.num_rows());
            for (part, position, row) in kept {
                deleted.push((*part, *position));
                ids.push(*row);
            }
            let image = batch.columns()[3..].to_vec();
            check_nulls(&columns, &image)?;
            writer.push(image, UInt64Array::from(ids))?;
        }
        let fresh = writer.finish()?;
        let next = Version::clone(&pending.current);
        let count = u64::try_from(deleted.len()).unwrap_or(0);
        work.writes.insert(table, pending.changed(next, &deleted, fresh));
        self.finish(work, statement)?;
        let joined = u64::try_from(joined).unwrap_or(0);
        answer::counts(&[("number of rows updated", count), ("number of multi-joined rows updated", joined)])
    }

    /// DELETE.
    pub(super) async fn delete(&mut self, delete: Delete, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = delete.from;
        let mut from = from.into_iter();
        let Some(target) = from.next() else {
            return Err(SqlError::unexpected("<EOF>"));
        };
        let (path, alias) = single(&target)?;
        let (table, _) = self.target(&path, "DELETE")?;
        if statement.describe_only {
            return answer::counts(&[("number of rows deleted", 0)]);
        }
        let using: Vec<TableWithJoins> = from.chain(delete.using.into_iter().flatten()).collect();
        let mut read = names_in(&using);
        read.extend(names_in(&delete.selection));
        let (mut work, pending, columns) = self.prepare(table, &path, &read, statement).await?;
        let query = addressed(&alias, Vec::new(), using, delete.selection)?;
        let found = self.find(query, &pending, &columns, &mut work, statement).await?;
        let mut rows = found.rows;
        let mut deleted = HashSet::new();
        while let Some(batch) = rows.try_next().await? {
            deleted.extend(addresses(&batch, 0)?.into_iter().map(|(part, position, _)| (part, position)));
        }
        let deleted: Vec<(usize, u32)> = deleted.into_iter().collect();
        let next = Version::clone(&pending.current);
        work.writes.insert(table, pending.changed(next, &deleted, Vec::new()));
        self.finish(work, statement)?;
        answer::counts(&[("number of rows deleted", u64::try_from(deleted.len()).unwrap_or(0))])
    }

    /// TRUNCATE TABLE: a DDL in name, but the rows leave like any deleted rows.
    pub(super) async fn truncate(
        &mut self,
        path: &Path,
        if_exists: bool,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let table = match self.target(path, "TRUNCATE") {
            Ok((table, _)) => table,
            Err(error) if if_exists && error.code == "002003" => {
                return answer::status("Statement executed successfully.");
            }
            Err(error) => return Err(error),
        };
        if statement.describe_only {
            return answer::status("");
        }
        self.commit_transaction()?;
        let mut work = self.work();
        self.lock(&mut work, vec![(table, path.join("."))]).await?;
        let (pending, _) = self.locked(table)?;
        let next = Version { parts: Vec::new(), ..Version::clone(&pending.current) };
        work.writes.insert(table, pending.changed(next, &[], Vec::new()));
        self.finish(work, statement)?;
        self.commit_transaction()?;
        answer::status("Statement executed successfully.")
    }

    /// What every DML does first: a warehouse, the locks, the table as it is under them.
    pub(super) async fn prepare(
        &mut self,
        table: crate::catalog::ObjectId,
        path: &Path,
        read: &[Path],
        statement: &Statement<'_>,
    ) -> Result<(Work, Pending, Vec<Column>), SqlError> {
        self.use_warehouse(statement)?;
        let mut work = self.work();
        let mut objects = self.consumed_by(read)?;
        objects.push((table, path.join(".")));
        self.lock(&mut work, objects).await?;
        let (pending, columns) = self.locked(table)?;
        Ok((work, pending, columns))
    }

    /// Runs the query that finds the rows.
    pub(super) async fn find(
        &self,
        query: Query,
        pending: &Pending,
        columns: &[Column],
        work: &mut Work,
        statement: &Statement<'_>,
    ) -> Result<Found, SqlError> {
        let mut planner = Planner::new(self, statement, work.sequence);
        planner.target = Some((std::sync::Arc::clone(&pending.current), columns.to_vec()));
        let plan = planner.plan(query)?;
        work.consumed.append(&mut planner.streams);
        drop(planner);
        let metas = super::query::columns_of(&plan)?;
        Ok(Found { rows: self.run_plan(plan, &metas).await? })
    }
}

/// The only table of an UPDATE or DELETE, and the name its columns go by.
fn single(table: &TableWithJoins) -> Result<(Path, String), SqlError> {
    if !table.joins.is_empty() {
        return Err(SqlError::unsupported("a join as the target of DML"));
    }
    factor(&table.relation)
}

/// A target's name and alias.
pub(super) fn factor(factor: &TableFactor) -> Result<(Path, String), SqlError> {
    match factor {
        TableFactor::Table { name, alias, .. } => {
            let path = path_of(name)?;
            let alias = match alias {
                Some(alias) => alias.name.value.clone(),
                None => path.last().cloned().unwrap_or_default(),
            };
            Ok((path, alias))
        }
        other => Err(SqlError::unsupported(format!("{other} as the target of DML"))),
    }
}

/// `SET column = value` pairs by column index.
pub(super) fn assignments<'a>(
    assignments: &'a [Assignment],
    columns: &[Column],
) -> Result<Vec<(usize, &'a Expr)>, SqlError> {
    let mut assigned: Vec<(usize, &Expr)> = Vec::new();
    for assignment in assignments {
        let AssignmentTarget::ColumnName(name) = &assignment.target else {
            return Err(SqlError::unsupported(&assignment.target));
        };
        let name = path_of(name)?.pop().unwrap_or_default();
        let Some(index) = columns.iter().position(|column| column.name == name) else {
            return Err(SqlError::invalid_identifier(name));
        };
        if assigned.iter().any(|(at, _)| *at == index) {
            return Err(SqlError::compilation(format!("duplicate column name '{name}'")));
        }
        assigned.push((index, &assignment.value));
    }
    Ok(assigned)
}

/// A column of the target.
pub(super) fn of_target(alias: &str, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![Ident::with_quote('"', alias), Ident::with_quote('"', column)])
}

/// The target's place in FROM.
pub(super) fn target_factor(alias: &str) -> Result<TableFactor, SqlError> {
    let alias = alias.replace('"', "\"\"");
    let template = Cursor::new(&format!("SELECT 1 FROM \"T\" AS \"{alias}\""))?.query()?;
    if let SetExpr::Select(select) = *template.body
        && let Some(mut from) = select.from.into_iter().next()
    {
        if let TableFactor::Table { name, .. } = &mut from.relation {
            *name = object_name(&[TARGET.to_owned()]);
        }
        return Ok(from.relation);
    }
    Err(SqlError::internal("a template without a table"))
}

/// `SELECT $PART, $POS, $ROW, image… FROM target, from… WHERE selection`.
fn addressed(
    alias: &str,
    image: Vec<Expr>,
    from: Vec<TableWithJoins>,
    selection: Option<Expr>,
) -> Result<Query, SqlError> {
    let mut query = Cursor::new("SELECT 1")?.query()?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        let address = [PART_COLUMN, POSITION_COLUMN, ROW_COLUMN].map(|column| of_target(alias, column));
        select.projection = named(address.into_iter().chain(image).collect());
        select.from = vec![TableWithJoins { relation: target_factor(alias)?, joins: Vec::new() }];
        select.from.extend(from);
        select.selection = selection;
    }
    Ok(*query)
}

/// Expressions as columns with names of their own.
pub(super) fn named(expressions: Vec<Expr>) -> Vec<SelectItem> {
    expressions
        .into_iter()
        .enumerate()
        .map(|(index, expr)| SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', format!("$F{index}")) })
        .collect()
}

/// Part index, position and row id of each found row, from three columns starting at `first`.
pub(super) fn addresses(batch: &RecordBatch, first: usize) -> Result<Vec<(usize, u32, u64)>, SqlError> {
    let column = |at: usize| batch.column(first + at).as_primitive::<Decimal128Type>();
    let (parts, positions, rows) = (column(0), column(1), column(2));
    (0..batch.num_rows())
        .map(|index| {
            let number = |array: &arrow_array::Decimal128Array| match array.is_null(index) {
                true => 0,
                false => array.value(index),
            };
            Ok((
                usize::try_from(number(parts)).map_err(SqlError::internal)?,
                u32::try_from(number(positions)).map_err(SqlError::internal)?,
                u64::try_from(number(rows)).map_err(SqlError::internal)?,
            ))
        })
        .collect()
}
