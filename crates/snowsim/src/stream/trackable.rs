//! Which queries changes can be told of.
//!
//! Promises: what Snowflake refuses is refused in its words as far as they were recorded (docs/simulator.md says
//! which are not); what the simulator cannot do is refused as its own lack.
//! Leaves to others: subqueries in expressions, which show in the plan only (`view`).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, JoinOperator, Query, Select, SetExpr, SetOperator, SetQuantifier, TableFactor,
    visit_expressions,
};

use crate::error::SqlError;

/// 091912: the query has something whose changes cannot be told.
#[must_use]
pub(crate) fn untrackable(what: &str) -> SqlError {
    SqlError::new(
        "091912",
        "0A000",
        format!("SQL compilation error:\nChange tracking is not supported on queries with {what}."),
    )
}

/// Refuses a view's query that a stream cannot follow; the views inside it are looked at on their own.
pub(crate) fn check(query: &Query) -> Result<(), SqlError> {
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return Err(untrackable("LIMIT"));
    }
    if query.order_by.is_some() {
        return Err(SqlError::unsupported("a stream on a view with ORDER BY"));
    }
    for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
        check(&cte.query)?;
    }
    body(&query.body)
}

fn body(set: &SetExpr) -> Result<(), SqlError> {
    match set {
        SetExpr::Select(select) => check_select(select),
        SetExpr::Query(query) => check(query),
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
            body(left)?;
            body(right)
        }
        SetExpr::SetOperation { op: SetOperator::Union, .. } => Err(untrackable("joins of type '[UNION]'")),
        SetExpr::SetOperation { op, .. } => {
            Err(untrackable(&format!("joins of type '[{}]'", op.to_string().to_uppercase())))
        }
        other => Err(SqlError::unsupported(format!("a stream on a view of {other}"))),
    }
}

fn check_select(select: &Select) -> Result<(), SqlError> {
    if matches!(&select.distinct, Some(Distinct::Distinct | Distinct::On(_))) {
        return Err(untrackable("DISTINCT"));
    }
    if select.top.is_some() {
        return Err(untrackable("LIMIT"));
    }
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(columns, _) => !columns.is_empty(),
    };
    if grouped || select.having.is_some() {
        return Err(untrackable("GROUP BY"));
    }
    if select.qualify.is_some() {
        return Err(untrackable("QUALIFY"));
    }
    for from in &select.from {
        factor(&from.relation)?;
        for join in &from.joins {
            factor(&join.relation)?;
            let refused = match &join.join_operator {
                JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => continue,
                JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => "LEFT_OUTER_JOIN",
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => "RIGHT_OUTER_JOIN",
                JoinOperator::FullOuter(_) => "FULL_OUTER_JOIN",
                JoinOperator::AsOf { .. } => "ASOF_JOIN",
                other => return Err(SqlError::unsupported(format!("a stream on a view with {other:?}"))),
            };
            return Err(untrackable(&format!("joins of type '[{refused}]'")));
        }
    }
    let refused = visit_expressions(&select.projection, |expr| match expr {
        Expr::Function(function) if function.over.is_some() => ControlFlow::Break("window functions"),
        Expr::Function(function) if aggregates(&function.name.to_string()) => ControlFlow::Break("aggregate functions"),
        _ => ControlFlow::Continue(()),
    });
    match refused {
        ControlFlow::Break(what) => Err(untrackable(what)),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn factor(factor: &TableFactor) -> Result<(), SqlError> {
    match factor {
        TableFactor::Derived { subquery, .. } => check(subquery),
        TableFactor::Table { .. } => Ok(()),
        TableFactor::NestedJoin { .. } => Err(SqlError::unsupported("a stream on a view with joins in parentheses")),
        _ => Err(untrackable("'Table Function'")),
    }
}

fn aggregates(name: &str) -> bool {
    let name = name.replace('"', "").to_uppercase();
    [
        "COUNT",
        "SUM",
        "MIN",
        "MAX",
        "AVG",
        "LISTAGG",
        "ANY_VALUE",
        "MEDIAN",
        "STDDEV",
        "VARIANCE",
        "ARRAY_AGG",
        "OBJECT_AGG",
        "BOOLAND_AGG",
        "BOOLOR_AGG",
        "APPROX_COUNT_DISTINCT",
        "COUNT_IF",
    ]
    .contains(&name.as_str())
}
