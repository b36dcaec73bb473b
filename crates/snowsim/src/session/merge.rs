//! MERGE.
//!
//! ```text
//!  MERGE INTO t USING s ON c WHEN …  ─▶  SELECT <which WHEN>, t.$PART, t.$POS, t.$ROW, <row> FROM s LEFT JOIN t ON c
//! ```
//! Promises: each row of the source takes the first WHEN that applies; a row of the target that two
//! source rows would change fails the statement (100090), as Snowflake's default does.
//! Leaves to others: as `dml`.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, BooleanArray, UInt64Array};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Join, JoinConstraint, JoinOperator, Merge, MergeAction, MergeClause,
    MergeClauseKind, MergeInsertKind, SetExpr, TableWithJoins, Value as SqlValue,
    helpers::attached_token::AttachedToken,
};
use futures::TryStreamExt;

use super::column::{check_nulls, new_rows};
use super::dml::{addresses, assignments, factor, named, of_target, target_factor};
use super::relations::names_in;
use super::{Rows, Session, Statement, answer};
use crate::error::SqlError;
use crate::sql::cursor::Cursor;
use crate::sql::rewrite::{cast, path_of};
use crate::table::Column;
use crate::table::part::{PartKind, ROW_COLUMN};
use crate::table::scan::{PART_COLUMN, POSITION_COLUMN};
use crate::table::version::Version;

/// What a WHEN does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Update,
    Delete,
    Insert,
}

/// A WHEN: when it applies, what it does, and the row it makes.
struct When {
    condition: Expr,
    act: Act,
    image: Vec<Expr>,
}

impl Session {
    /// MERGE.
    pub(super) async fn merge(&mut self, merge: Merge, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        let (path, alias) = factor(&merge.table)?;
        let mut table = None;
        for clause in &merge.clauses {
            let privilege = match clause.action {
                MergeAction::Insert(_) => "INSERT",
                MergeAction::Update(_) => "UPDATE",
                MergeAction::Delete { .. } => "DELETE",
            };
            table = Some(self.target(&path, privilege)?.0);
        }
        let Some(table) = table else {
            return Err(SqlError::unexpected("<EOF>"));
        };
        let acts: Vec<Act> = merge.clauses.iter().map(act).collect();
        if statement.describe_only {
            return counts(&acts, 0, 0, 0);
        }
        let mut read = names_in(&merge.source);
        read.extend(names_in(&merge.on));
        read.extend(names_in(&merge.clauses));
        let (mut work, pending, columns) = self.prepare(table, &path, &read, statement).await?;
        let whens = merge.clauses.iter().map(|clause| when(clause, &alias, &columns)).collect::<Result<Vec<_>, _>>()?;
        let query = query(&alias, merge.source, *merge.on, &whens, &columns)?;
        let mut rows = self.find(query, &pending, &columns, &mut work, statement).await?.rows;
        let mut updates = self.writer(PartKind::Update, &columns);
        let mut inserts = self.writer(PartKind::Insert, &columns);
        let mut next = Version::clone(&pending.current);
        let (mut touched, mut deleted) = (HashSet::new(), Vec::new());
        let (mut updated, mut removed, mut inserted) = (0_u64, 0_u64, 0_u64);
        while let Some(batch) = rows.try_next().await? {
            let numbers = batch.column(0).as_primitive::<Decimal128Type>();
            let chosen: Vec<Option<Act>> = numbers
                .iter()
                .map(|number| {
                    let index = usize::try_from(number.unwrap_or(0)).ok()?.checked_sub(1)?;
                    whens.get(index).map(|when| when.act)
                })
                .collect();
            let addresses = addresses(&batch, 1)?;
            let mut ids = Vec::new();
            for (act, (part, position, row)) in chosen.iter().zip(addresses) {
                let repeated = match act {
                    Some(Act::Update) => {
                        ids.push(row);
                        updated += 1;
                        !touched.insert((part, position))
                    }
                    Some(Act::Delete) => {
                        let again = !touched.insert((part, position));
                        removed += u64::from(!again);
                        false
                    }
                    _ => false,
                };
                if repeated {
                    return Err(SqlError::new("100090", "42P18", "Duplicate row detected during DML action"));
                }
                if matches!(act, Some(Act::Update | Act::Delete)) {
                    deleted.push((part, position));
                }
            }
            let image = |act: Act| -> Result<Vec<arrow_array::ArrayRef>, SqlError> {
                let mask: BooleanArray = chosen.iter().map(|chosen| Some(*chosen == Some(act))).collect();
                let kept = arrow_select::filter::filter_record_batch(&batch, &mask)?;
                let image = kept.columns()[4..].to_vec();
                check_nulls(&columns, &image)?;
                Ok(image)
            };
            updates.push(image(Act::Update)?, UInt64Array::from(ids))?;
            let new = image(Act::Insert)?;
            let count = new.first().map_or(0, Array::len);
            inserted += u64::try_from(count).unwrap_or(0);
            inserts.push(new, new_rows(&mut next, count))?;
        }
        let mut fresh = updates.finish()?;
        fresh.extend(inserts.finish()?);
        work.writes.insert(table, pending.changed(next, &deleted, fresh));
        self.finish(work, statement)?;
        counts(&acts, inserted, updated, removed)
    }
}

fn act(clause: &MergeClause) -> Act {
    match clause.action {
        MergeAction::Insert(_) => Act::Insert,
        MergeAction::Update(_) => Act::Update,
        MergeAction::Delete { .. } => Act::Delete,
    }
}

fn counts(acts: &[Act], inserted: u64, updated: u64, deleted: u64) -> Result<Rows, SqlError> {
    let all = [
        (Act::Insert, "number of rows inserted", inserted),
        (Act::Update, "number of rows updated", updated),
        (Act::Delete, "number of rows deleted", deleted),
    ];
    let shown: Vec<(&str, u64)> =
        all.iter().filter(|(act, _, _)| acts.contains(act)).map(|(_, name, count)| (*name, *count)).collect();
    answer::counts(&shown)
}

fn and(left: Expr, right: Expr) -> Expr {
    let nested = |expr| Box::new(Expr::Nested(Box::new(expr)));
    Expr::BinaryOp { left: nested(left), op: BinaryOperator::And, right: nested(right) }
}

fn null() -> Expr {
    Expr::Value(SqlValue::Null.into())
}

fn when(clause: &MergeClause, alias: &str, columns: &[Column]) -> Result<When, SqlError> {
    let row = || Box::new(of_target(alias, ROW_COLUMN));
    let matched = match clause.clause_kind {
        MergeClauseKind::Matched => Expr::IsNotNull(row()),
        MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => Expr::IsNull(row()),
        MergeClauseKind::NotMatchedBySource => return Err(SqlError::unsupported("NOT MATCHED BY SOURCE")),
    };
    let condition = match &clause.predicate {
        Some(predicate) => and(matched, predicate.clone()),
        None => matched,
    };
    let image = match &clause.action {
        MergeAction::Delete { .. } => columns.iter().map(|_| null()).collect(),
        MergeAction::Update(update) => {
            let assigned = assignments(&update.assignments, columns)?;
            let value = |(index, column): (usize, &Column)| {
                let new = assigned.iter().find(|(at, _)| *at == index).map(|(_, value)| (*value).clone());
                new.unwrap_or_else(|| of_target(alias, &column.name))
            };
            columns.iter().enumerate().map(value).collect()
        }
        MergeAction::Insert(insert) => {
            let MergeInsertKind::Values(values) = &insert.kind else {
                return Err(SqlError::unsupported("INSERT ROW"));
            };
            let given = match values.rows.as_slice() {
                [row] => &row.content,
                _ => return Err(SqlError::unsupported("INSERT of several rows in MERGE")),
            };
            let names = insert
                .columns
                .iter()
                .map(|name| Ok(path_of(name)?.pop().unwrap_or_default()))
                .collect::<Result<Vec<String>, SqlError>>()?;
            for name in &names {
                if !columns.iter().any(|column| column.name == *name) {
                    return Err(SqlError::invalid_identifier(name));
                }
            }
            let wanted = if names.is_empty() { columns.len() } else { names.len() };
            if given.len() != wanted {
                return Err(SqlError::compilation(format!(
                    "Insert value list does not match column list expecting {wanted} but got {}",
                    given.len()
                )));
            }
            let value = |(index, column): (usize, &Column)| -> Result<Expr, SqlError> {
                let place = match names.is_empty() {
                    true => Some(index),
                    false => names.iter().position(|name| *name == column.name),
                };
                match (place.and_then(|place| given.get(place)), &column.default) {
                    (Some(value), _) => Ok(value.clone()),
                    (None, Some(default)) => Cursor::new(default)?.expr(),
                    (None, None) => Ok(null()),
                }
            };
            columns.iter().enumerate().map(value).collect::<Result<_, _>>()?
        }
    };
    Ok(When { condition, act: act(clause), image })
}

/// `CASE WHEN condition THEN result … END` over all WHENs.
fn choose(whens: &[When], result: impl Fn(usize, &When) -> Expr) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: whens
            .iter()
            .enumerate()
            .map(|(index, when)| CaseWhen { condition: when.condition.clone(), result: result(index, when) })
            .collect(),
        else_result: None,
    }
}

fn query(
    alias: &str,
    source: datafusion::sql::sqlparser::ast::TableFactor,
    on: Expr,
    whens: &[When],
    columns: &[Column],
) -> Result<datafusion::sql::sqlparser::ast::Query, SqlError> {
    let mut query = Cursor::new("SELECT 1")?.query()?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        let number = |index: usize| Expr::Value(SqlValue::Number((index + 1).to_string(), false).into());
        let mut projection = vec![choose(whens, |index, _| number(index))];
        projection.extend([PART_COLUMN, POSITION_COLUMN, ROW_COLUMN].map(|column| of_target(alias, column)));
        for (index, column) in columns.iter().enumerate() {
            projection.push(choose(whens, |_, when| cast(when.image[index].clone(), column.ty)));
        }
        select.projection = named(projection);
        select.from = vec![TableWithJoins {
            relation: source,
            joins: vec![Join {
                relation: target_factor(alias)?,
                global: false,
                join_operator: JoinOperator::LeftOuter(JoinConstraint::On(on)),
            }],
        }];
    }
    Ok(*query)
}
