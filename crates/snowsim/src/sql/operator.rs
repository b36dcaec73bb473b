//! Operators whose meaning in Snowflake is not the engine's.
//!
//! Promises: timestamps compare with texts and with each other by their value; `/` is exact on
//! NUMBERs; `||` joins any values; a VARIANT compares as the type of its other side.
//! Leaves to others: the rest (the engine's own operators).

use arrow_schema::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::function;
use super::function::cast;
use crate::types::SnowType;
use crate::types::convert::OnFailure;

/// Plans binary operators by the types of their sides.
#[derive(Debug)]
pub(crate) struct Operators;

fn cast_to(expr: Expr, ty: SnowType) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(cast::function(OnFailure::Fail), vec![expr, lit(ty.to_string())]))
}

fn call(name: &str, left: Expr, right: Expr) -> Option<Expr> {
    let udf = function::find(name)?;
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![left, right])))
}

fn is_instant(ty: SnowType) -> bool {
    matches!(ty, SnowType::TimestampNtz { .. } | SnowType::TimestampLtz { .. } | SnowType::TimestampTz { .. })
}

/// The type both sides of a comparison are brought to, if they must be.
fn common(left: SnowType, right: SnowType) -> Option<SnowType> {
    use std::mem::discriminant;
    let text = |ty| matches!(ty, SnowType::Text { .. });
    let variant = |ty| matches!(ty, SnowType::Variant);
    match (left, right) {
        // Instants compare as instants, whatever offset they are shown with.
        (SnowType::TimestampTz { .. }, SnowType::TimestampTz { .. }) => Some(SnowType::TimestampLtz { scale: 9 }),
        (a, b) if discriminant(&a) == discriminant(&b) => None,
        (a, b) if variant(a) => Some(b),
        (a, b) if variant(b) => Some(a),
        (a, b) if is_instant(a) && is_instant(b) => Some(SnowType::TimestampLtz { scale: 9 }),
        (a, SnowType::Date) | (SnowType::Date, a) if is_instant(a) => Some(a),
        (a, b) if is_instant(a) && text(b) => Some(a),
        (a, b) if text(a) && is_instant(b) => Some(b),
        (a, b) if text(a) => Some(widest(b)),
        (a, b) if text(b) => Some(widest(a)),
        _ => None,
    }
}

/// Texts that are compared with a NUMBER may have more digits than its column.
fn widest(ty: SnowType) -> SnowType {
    match ty {
        SnowType::Fixed { scale, .. } => SnowType::Fixed { precision: 38, scale },
        other => other,
    }
}

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> EngineResult<PlannerResult<RawBinaryExpr>> {
        let type_of = |side: &Expr| -> EngineResult<Option<SnowType>> {
            let (_, field) = side.to_field(schema)?;
            Ok(match field.data_type() {
                DataType::Null => None,
                _ => SnowType::of_field(&field),
            })
        };
        let comparison = matches!(
            expr.op,
            BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq
        );
        let replacement = match expr.op {
            BinaryOperator::Divide => call("snow$divide", expr.left.clone(), expr.right.clone()),
            BinaryOperator::StringConcat => call("snow$concat", expr.left.clone(), expr.right.clone()),
            _ => None,
        };
        if let Some(replacement) = replacement {
            return Ok(PlannerResult::Planned(replacement));
        }
        let (Some(left), Some(right)) = (type_of(&expr.left)?, type_of(&expr.right)?) else {
            return Ok(PlannerResult::Original(expr));
        };
        if comparison {
            if let Some(ty) = common(left, right) {
                let bring = |side, own| if own == ty { side } else { cast_to(side, ty) };
                return Ok(PlannerResult::Original(RawBinaryExpr {
                    left: bring(expr.left, left),
                    right: bring(expr.right, right),
                    op: expr.op,
                }));
            }
            return Ok(PlannerResult::Original(expr));
        }
        // DATE ± days.
        if let (SnowType::Date, SnowType::Fixed { .. }, BinaryOperator::Plus | BinaryOperator::Minus) =
            (left, right, &expr.op)
        {
            let days = match expr.op {
                BinaryOperator::Minus => Expr::Negative(Box::new(expr.right.clone())),
                _ => expr.right.clone(),
            };
            if let Some(udf) = function::find("dateadd") {
                let arguments = vec![lit("day"), days, expr.left.clone()];
                return Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(udf, arguments))));
            }
        }
        Ok(PlannerResult::Original(expr))
    }
}
