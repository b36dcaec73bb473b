//! SELECT: planning, running, and giving results their Snowflake types.
//!
//! Promises: rows flow as they are made; every batch is canonical; a statement that reads tables
//! needs a warehouse and is counted, one of constants is not.
//! Leaves to others: relations (`relations`), the plan (`sql::plan`).

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::stream::{EmptyRecordBatchStream, RecordBatchStreamAdapter};
use datafusion::sql::sqlparser::ast::{Expr, Query};
use futures::{StreamExt, TryStreamExt};

use super::relations::Planner;
use super::{Rows, Session, Statement};
use crate::error::SqlError;
use crate::sql::cursor::Cursor;
use crate::sql::plan::{physical, settle_exists};
use crate::types::convert::{canonical, read};
use crate::types::value::Value;
use crate::types::{ColumnMeta, SnowType};

impl Session {
    /// A SELECT.
    pub(super) async fn query(&mut self, query: Query, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        let sequence = self.transaction.as_ref().map(|open| open.sequence);
        let mut planner = Planner::new(self, statement, sequence);
        let plan = planner.plan(query)?;
        let warehouse = planner.warehouse;
        drop(planner);
        let columns = columns_of(&plan)?;
        if statement.describe_only {
            let schema = schema_of(&columns);
            return Ok((columns, Box::pin(EmptyRecordBatchStream::new(schema))));
        }
        if warehouse {
            self.use_warehouse(statement)?;
        }
        let rows = self.run_plan(plan, &columns).await?;
        Ok((columns, rows))
    }

    /// Runs a plan, its rows brought into the types of `columns`.
    pub(super) async fn run_plan(
        &self,
        plan: LogicalPlan,
        columns: &[ColumnMeta],
    ) -> Result<SendableRecordBatchStream, SqlError> {
        let state = &self.engine.queries;
        let plan = settle_exists(state, plan).await?;
        let plan = physical(state, plan).await?;
        let own: Vec<Field> = plan.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        let rows = execute_stream(plan, state.task_ctx())?;
        let schema = schema_of(columns);
        let types: Vec<SnowType> = columns.iter().map(|column| column.ty).collect();
        let shaped = Arc::clone(&schema);
        let rows = rows.map(move |batch| Ok(shape(&batch?, &own, &types, &shaped)?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// Refuses a statement that needs a warehouse when none is current or can be resumed; has it run on it otherwise.
    pub(super) fn use_warehouse(&self, statement: &Statement<'_>) -> Result<(), SqlError> {
        let Some(warehouse) = &self.current.warehouse else {
            return Err(SqlError::new(
                "000606",
                "57P03",
                "No active warehouse selected in the current session.  Select an active warehouse \
                 with the 'use warehouse' command.\n",
            ));
        };
        let catalog = self.engine.catalog();
        let known = catalog.warehouses.get(warehouse).cloned();
        let known = known.ok_or_else(|| SqlError::missing("Warehouse", warehouse))?;
        // An installation runs on the warehouse of whoever installs, with the rights of the app.
        if self.setup.is_none() {
            catalog.check_container(self.role(), "WAREHOUSE", warehouse, "USAGE")?;
        }
        drop(catalog);
        let mut usage = statement.usage.lock();
        if usage.is_none() {
            *usage = Some(self.engine.meters.begin(&known)?);
        }
        self.engine.count_warehouse(statement.sql);
        Ok(())
    }

    /// The value of a constant expression, as SQL text that reads back as the same value.
    pub(super) async fn constant(&self, expr: Expr, statement: &Statement<'_>) -> Result<String, SqlError> {
        Ok(match self.constant_value(expr, statement).await? {
            None => "NULL".to_owned(),
            Some((value, ty)) => match value {
                Value::Fixed(..) => value.to_text(9),
                other => format!("CAST('{}' AS {ty})", other.to_text(9).replace('\\', "\\\\").replace('\'', "''")),
            },
        })
    }

    /// The value of a constant expression; `None` is NULL.
    pub(super) async fn constant_value(
        &self,
        expr: Expr,
        statement: &Statement<'_>,
    ) -> Result<Option<(Value, SnowType)>, SqlError> {
        let mut query = Cursor::new("SELECT 1")?.query()?;
        if let datafusion::sql::sqlparser::ast::SetExpr::Select(select) = query.body.as_mut() {
            select.projection = vec![datafusion::sql::sqlparser::ast::SelectItem::UnnamedExpr(expr)];
        }
        let mut planner = Planner::new(self, statement, None);
        let plan = planner.plan(*query)?;
        drop(planner);
        let columns = columns_of(&plan)?;
        let mut rows = self.run_plan(plan, &columns).await?;
        while let Some(batch) = rows.try_next().await? {
            if batch.num_rows() > 0
                && let Some(meta) = columns.first()
            {
                return Ok(read(batch.column(0), 0, meta.ty)?.map(|value| (value, meta.ty)));
            }
        }
        Ok(None)
    }
}

/// The columns of a plan's result.
pub(super) fn columns_of(plan: &LogicalPlan) -> Result<Vec<ColumnMeta>, SqlError> {
    plan.schema()
        .iter()
        .map(|(qualifier, field)| {
            let ty = SnowType::of_field(field)
                .ok_or_else(|| SqlError::unsupported(format!("a result of engine type {}", field.data_type())))?;
            let (database, schema, table) = match qualifier {
                Some(TableReference::Full { catalog, schema, table }) => {
                    (catalog.to_string(), schema.to_string(), table.to_string())
                }
                _ => Default::default(),
            };
            // Columns of the same name carry a mark that makes them differ for the engine.
            let name = field.name().split(crate::sql::rewrite::AGAIN).next().unwrap_or_default().to_owned();
            Ok(ColumnMeta { name, database, schema, table, ty, nullable: field.is_nullable() })
        })
        .collect()
}

/// The Arrow schema of a result.
pub(super) fn schema_of(columns: &[ColumnMeta]) -> SchemaRef {
    let fields: Vec<Field> = columns.iter().map(|column| column.ty.field(&column.name, column.nullable)).collect();
    Arc::new(Schema::new(fields))
}

fn shape(batch: &RecordBatch, own: &[Field], types: &[SnowType], schema: &SchemaRef) -> Result<RecordBatch, SqlError> {
    let mut arrays = Vec::with_capacity(types.len());
    for ((array, field), ty) in batch.columns().iter().zip(own).zip(types) {
        let (array, from) = canonical(array, field)?;
        arrays.push(match from.arrow() == ty.arrow() {
            true => array,
            false => crate::types::convert::convert(&array, from, *ty, crate::types::convert::OnFailure::Fail)?,
        });
    }
    // The engine may have promised less NULLs than its functions keep to; what is there counts.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let nulls = arrays.iter().zip(schema.fields()).any(|(array, field)| !field.is_nullable() && array.null_count() > 0);
    let schema = match nulls {
        false => Arc::clone(schema),
        true => Arc::new(Schema::new(
            schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>(),
        )),
    };
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}
