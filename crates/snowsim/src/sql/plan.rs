//! Planning rewritten queries with the engine.
//!
//! Promises: the engine sees only the relations registered here, so what a statement reads is pinned
//! before it runs; an unknown function is refused by name.
//! Leaves to others: the relations (`session`), running (`session`).

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF, lit,
};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{Query, Statement};
use futures::TryStreamExt;

use super::function::{self, ENGINE_FUNCTIONS};
use super::operator::Operators;
use super::rewrite::path_of;
use crate::error::SqlError;

/// Relations of one statement, by the name they were registered under.
#[derive(Debug)]
pub(crate) struct Relations {
    tables: HashMap<String, Arc<dyn TableProvider>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    options: ConfigOptions,
    aggregates: HashMap<String, Arc<AggregateUDF>>,
    windows: HashMap<String, Arc<WindowUDF>>,
}

impl Default for Relations {
    fn default() -> Self {
        let aggregates = SessionStateDefaults::default_aggregate_functions();
        let windows = SessionStateDefaults::default_window_functions();
        Self {
            tables: HashMap::new(),
            planners: std::iter::once(Arc::new(Operators) as Arc<dyn ExprPlanner>)
                .chain(SessionStateDefaults::default_expr_planners())
                .collect(),
            options: ConfigOptions::default(),
            aggregates: aggregates.into_iter().map(|udf| (udf.name().to_owned(), udf)).collect(),
            windows: windows.into_iter().map(|udf| (udf.name().to_owned(), udf)).collect(),
        }
    }
}

fn key(parts: &[&str]) -> String {
    parts.join("\u{0}")
}

impl Relations {
    /// Registers a relation under a name.
    pub(crate) fn insert(&mut self, path: &[String], table: Arc<dyn TableProvider>) {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        self.tables.insert(key(&parts), table);
    }

    /// The logical plan of a rewritten query.
    pub(crate) fn plan(&self, query: Query) -> Result<LogicalPlan, SqlError> {
        let options = ParserOptions {
            parse_float_as_decimal: true,
            enable_ident_normalization: false,
            map_string_types_to_utf8view: false,
            ..ParserOptions::new()
        };
        check_functions(&query, self)?;
        let planner = SqlToRel::new_with_options(self, options);
        Ok(planner.sql_statement_to_plan(Statement::Query(Box::new(query)))?)
    }
}

/// Refuses functions nobody defined, by name, before the engine guesses at similar ones.
fn check_functions(query: &Query, relations: &Relations) -> Result<(), SqlError> {
    use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, visit_expressions};
    let unknown = visit_expressions(query, |expr| {
        if let SqlExpr::Function(function) = expr
            && let Ok(path) = path_of(&function.name)
        {
            let name = path.join(".").to_lowercase();
            let known = relations.get_function_meta(&name).is_some()
                || relations.get_aggregate_meta(&name).is_some()
                || relations.get_window_meta(&name).is_some();
            if !known {
                return std::ops::ControlFlow::Break(path.join("."));
            }
        }
        std::ops::ControlFlow::Continue(())
    });
    match unknown {
        std::ops::ControlFlow::Break(name) => Err(SqlError::unknown_function(name)),
        std::ops::ControlFlow::Continue(()) => Ok(()),
    }
}

/// Snowflake's names of aggregates the engine calls otherwise.
fn aggregate_name(name: &str) -> String {
    let name = name.to_lowercase();
    match name.as_str() {
        "listagg" => "string_agg".to_owned(),
        "approx_count_distinct" => "approx_distinct".to_owned(),
        "any_value" => "first_value".to_owned(),
        "booland_agg" => "bool_and".to_owned(),
        "boolor_agg" => "bool_or".to_owned(),
        _ => name,
    }
}

impl ContextProvider for Relations {
    fn get_table_source(&self, name: TableReference) -> EngineResult<Arc<dyn TableSource>> {
        let parts: Vec<&str> = match &name {
            TableReference::Bare { table } => vec![table],
            TableReference::Partial { schema, table } => vec![schema, table],
            TableReference::Full { catalog, schema, table } => vec![catalog, schema, table],
        };
        match self.tables.get(&key(&parts)) {
            Some(table) => Ok(provider_as_source(Arc::clone(table))),
            None => Err(SqlError::missing("Object", parts.join(".")).into()),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let name = name.to_lowercase();
        function::find(&name).or_else(|| {
            ENGINE_FUNCTIONS
                .contains(&name.as_str())
                .then(|| SessionStateDefaults::default_scalar_functions().into_iter().find(|udf| udf.name() == name))?
        })
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregates.get(&aggregate_name(name)).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.windows.get(&name.to_lowercase()).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.aggregates.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.windows.keys().cloned().collect()
    }
}

/// Answers EXISTS of subqueries that do not look outside themselves before the query is planned:
/// as a join the engine would hold the whole outer side in memory.
pub(crate) async fn settle_exists(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
    let mut subqueries = Vec::new();
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            expr.apply(|inner| {
                if let Expr::Exists(exists) = inner
                    && exists.subquery.outer_ref_columns.is_empty()
                {
                    subqueries.push(Arc::clone(&exists.subquery.subquery));
                }
                Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
            })?;
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    if subqueries.is_empty() {
        return Ok(plan);
    }
    let mut answers = Vec::new();
    for subquery in subqueries {
        let first = LogicalPlanBuilder::new(subquery.as_ref().clone()).limit(0, Some(1))?.build()?;
        let mut rows = execute_stream(physical(state, first).await?, state.task_ctx())?;
        let mut found = false;
        while let Some(batch) = rows.try_next().await? {
            found |= batch.num_rows() > 0;
        }
        answers.push((subquery, found));
    }
    let settled = plan.transform_down_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform(|inner| match inner {
                Expr::Exists(exists) => {
                    let answer = answers.iter().find(|(subquery, _)| *subquery == exists.subquery.subquery);
                    Ok(match answer {
                        Some((_, found)) => Transformed::yes(lit(*found != exists.negated)),
                        None => Transformed::no(Expr::Exists(exists)),
                    })
                }
                other => Ok(Transformed::no(other)),
            })
        })
    })?;
    Ok(settled.data)
}

/// The physical plan of a logical one.
pub(crate) async fn physical(state: &SessionState, plan: LogicalPlan) -> Result<Arc<dyn ExecutionPlan>, SqlError> {
    let optimized = state.optimize(&plan)?;
    state
        .query_planner()
        .create_physical_plan(&optimized, state)
        .await
        .map_err(|error: DataFusionError| SqlError::from(error))
}
