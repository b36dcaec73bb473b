//! Changes of a view: the difference of its result at two points, row by row.
//!
//! ```text
//!  view at the offset ─▶ identified ─┐
//!                                    ├─▶ full join by identity ─▶ DELETE, INSERT, or both as an update
//!  view now ───────────▶ identified ─┘
//! ```
//! Promises: a row of the result is the same row as long as it is made of the same rows of the tables, on the same
//! branch of a UNION ALL; so an update of one side of a join is a pair, and equal rows of two branches stay apart.
//! The cost is that of the view twice over: the simulator is for small data here.
//! Leaves to others: the tables at the two points (`marked`), which queries are allowed (`trackable`).

use std::any::Any;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF, Union, Volatility, binary_expr,
    create_udf, lit, when,
};

use super::marked::{FRESH, ID, MarkedTable};
use super::pairing::{ACTION, IS_UPDATE, ROW_ID, row_id_text};
use super::trackable::untrackable;
use crate::catalog::ObjectId;
use crate::error::SqlError;

/// The plan of a view's query over [`MarkedTable`]s with one more column at the end, [`ID`].
pub(crate) fn identified(plan: &LogicalPlan) -> Result<LogicalPlan, SqlError> {
    let (inner, id) = Carrier::default().carry(plan)?;
    let columns = plan.schema().columns();
    let shown = columns.into_iter().map(|column| {
        let name = column.name.clone();
        Expr::Column(column).alias(name)
    });
    let shown = shown.chain([Expr::Column(id).alias(ID)]);
    Ok(LogicalPlanBuilder::new(inner).project(shown)?.build()?)
}

/// Carries the identity of rows upwards through a plan.
#[derive(Default)]
struct Carrier {
    names: usize,
}

impl Carrier {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("{ID}{}", self.names)
    }

    fn carry(&mut self, plan: &LogicalPlan) -> Result<(LogicalPlan, Column), SqlError> {
        refuse_subqueries(plan)?;
        match plan {
            LogicalPlan::TableScan(scan) => {
                if let Some(inner) = scan.source.get_logical_plan() {
                    let (inner, id) = self.carry(&inner)?;
                    let plan = LogicalPlanBuilder::new(inner).alias(scan.table_name.clone())?.build()?;
                    return Ok((plan, Column::new(Some(scan.table_name.clone()), id.name)));
                }
                let provider = source_as_provider(&scan.source)?;
                let provider: &dyn Any = provider.as_ref();
                let Some(table) = provider.downcast_ref::<MarkedTable>() else {
                    return Err(SqlError::unsupported("a stream on a view over something that is no table"));
                };
                let source = provider_as_source(Arc::new(table.identified()));
                let plan = LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.build()?;
                Ok((plan, Column::new(Some(scan.table_name.clone()), ID)))
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let (inner, id) = self.carry(&alias.input)?;
                // Unqualified names inside must not meet again outside.
                let name = self.name();
                let columns = alias.input.schema().columns().into_iter().map(Expr::Column);
                let inner = LogicalPlanBuilder::new(inner)
                    .project(columns.chain([Expr::Column(id).alias(name.clone())]))?
                    .alias(alias.alias.clone())?
                    .build()?;
                Ok((inner, Column::new(Some(alias.alias.clone()), name)))
            }
            LogicalPlan::Projection(projection) => {
                let (inner, id) = self.carry(&projection.input)?;
                let name = self.name();
                let columns = projection.expr.iter().cloned();
                let columns = columns.chain([Expr::Column(id).alias(name.clone())]);
                Ok((LogicalPlanBuilder::new(inner).project(columns)?.build()?, Column::from_name(name)))
            }
            LogicalPlan::Filter(filter) => {
                let (inner, id) = self.carry(&filter.input)?;
                Ok((LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(inner))?), id))
            }
            LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
                let (left, left_id) = self.carry(&join.left)?;
                let (right, right_id) = self.carry(&join.right)?;
                let joined = plan.with_new_exprs(plan.expressions(), vec![left, right])?;
                let name = self.name();
                let both = binary_expr(Expr::Column(left_id), Operator::StringConcat, lit("/"));
                let both = binary_expr(both, Operator::StringConcat, Expr::Column(right_id));
                let columns = plan.schema().columns().into_iter().map(Expr::Column);
                let columns = columns.chain([both.alias(name.clone())]);
                Ok((LogicalPlanBuilder::new(joined).project(columns)?.build()?, Column::from_name(name)))
            }
            LogicalPlan::Union(union) => {
                let name = self.name();
                let mut inputs = Vec::with_capacity(union.inputs.len());
                for (branch, input) in union.inputs.iter().enumerate() {
                    let (inner, id) = self.carry(input)?;
                    let columns = input.schema().columns().into_iter().map(Expr::Column);
                    let branched = binary_expr(lit(format!("{branch}:")), Operator::StringConcat, Expr::Column(id));
                    let columns = columns.chain([branched.alias(name.clone())]);
                    inputs.push(Arc::new(LogicalPlanBuilder::new(inner).project(columns)?.build()?));
                }
                let mut fields: Vec<_> =
                    union.schema.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
                fields.push((None, Arc::new(Field::new(&name, DataType::Utf8, true))));
                let schema = Arc::new(DFSchema::new_with_metadata(fields, union.schema.metadata().clone())?);
                Ok((LogicalPlan::Union(Union { inputs, schema }), Column::from_name(name)))
            }
            other => Err(SqlError::unsupported(format!("a stream on a view with {}", other.display()))),
        }
    }
}

fn refuse_subqueries(plan: &LogicalPlan) -> Result<(), SqlError> {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut refused = None;
    for expr in plan.expressions() {
        expr.apply(|inner| {
            let subquery = match inner {
                Expr::Exists(exists) => Some(&exists.subquery),
                Expr::InSubquery(within) => Some(&within.subquery),
                Expr::ScalarSubquery(subquery) => Some(subquery),
                _ => None,
            };
            if let Some(subquery) = subquery {
                refused = Some(match subquery.outer_ref_columns.is_empty() {
                    true => untrackable("subquery expressions"),
                    false => untrackable("correlated subquery expressions"),
                });
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    refused.map_or(Ok(()), Err)
}

/// The visible columns of an identified plan under a qualifier, and its identity.
fn parts(plan: &LogicalPlan, side: &str) -> (Vec<(Expr, String)>, Expr) {
    let mut names: Vec<String> = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
    names.pop();
    let column = |name: &str| Expr::Column(Column::new(Some(side), name));
    (names.iter().map(|name| (column(name), name.clone())).collect(), column(ID))
}

fn change_rows(columns: Vec<(Expr, String)>, action: &str, update: Expr, id: Expr, view: ObjectId) -> Vec<Expr> {
    let shown = columns.into_iter().map(|(expr, name)| expr.alias(name));
    let metadata = [lit(action).alias(ACTION), update.alias(IS_UPDATE), row_id(view).call(vec![id]).alias(ROW_ID)];
    shown.chain(metadata).collect()
}

/// The rows that differ between two identified plans of one view.
pub(crate) fn net(old: LogicalPlan, new: LogicalPlan, view: ObjectId) -> Result<LogicalPlan, SqlError> {
    const OLD: &str = "$OLD";
    const NEW: &str = "$NEW";
    let (old_columns, old_id) = parts(&old, OLD);
    let (new_columns, new_id) = parts(&new, NEW);
    let right = LogicalPlanBuilder::new(new).alias(NEW)?.build()?;
    let keys = (vec![Column::new(Some(OLD), ID)], vec![Column::new(Some(NEW), ID)]);
    let joined = LogicalPlanBuilder::new(old).alias(OLD)?.join(right, JoinType::Full, keys, None)?.build()?;
    let mut differs = old_id.clone().is_null().or(new_id.clone().is_null());
    for ((old, _), (new, _)) in old_columns.iter().zip(&new_columns) {
        differs = differs.or(binary_expr(old.clone(), Operator::IsDistinctFrom, new.clone()));
    }
    let changed = LogicalPlanBuilder::new(joined).filter(differs)?.build()?;
    let flag = |other: &Expr| when(other.clone().is_null(), lit(false)).otherwise(lit(true));
    let deleted = change_rows(old_columns, "DELETE", flag(&new_id)?, old_id.clone(), view);
    let inserted = change_rows(new_columns, "INSERT", flag(&old_id)?, new_id.clone(), view);
    let deleted = LogicalPlanBuilder::new(changed.clone()).filter(old_id.is_not_null())?.project(deleted)?.build()?;
    let inserted = LogicalPlanBuilder::new(changed).filter(new_id.is_not_null())?.project(inserted)?;
    Ok(inserted.union(deleted)?.build()?)
}

/// Every row of an identified plan, as an insert; with `fresh`, those only that a row inserted later takes part in.
pub(crate) fn inserts(plan: LogicalPlan, fresh: bool, view: ObjectId) -> Result<LogicalPlan, SqlError> {
    const ROWS: &str = "$ROWS";
    let (columns, id) = parts(&plan, ROWS);
    let mut rows = LogicalPlanBuilder::new(plan).alias(ROWS)?;
    if fresh {
        rows = rows.filter(id.clone().like(lit(format!("%{FRESH}%"))))?;
    }
    Ok(rows.project(change_rows(columns, "INSERT", lit(false), id, view))?.build()?)
}

/// 64 bits of an identity (FNV-1a).
#[must_use]
pub(crate) fn digest(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The row id of an identity as streams on `view` show it.
fn row_id(view: ObjectId) -> ScalarUDF {
    let shown = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let ids = arrays[0].as_string::<i32>();
        let texts: StringArray = ids
            .iter()
            .map(|id| id.map(|id| row_id_text(view, digest(id.trim_start_matches(FRESH).as_bytes()))))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(texts) as ArrayRef))
    };
    create_udf(
        &format!("snow$row_id_{view}"),
        vec![DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(shown),
    )
}
