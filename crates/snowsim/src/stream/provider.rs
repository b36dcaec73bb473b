//! A stream's difference as a table of the query engine.
//!
//! Promises: pure inserts flow straight from their parts; only rows that were removed or rewritten
//! are sorted, within the engine's memory pool.
//! Leaves to others: what the difference is (`delta`), how images pair (`pairing`).

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt8Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, expressions};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{StreamExt, TryStreamExt};

use super::delta::Difference;
use super::pairing::{Pairing, SIDE_COLUMN, as_inserts, metadata_fields};
use crate::table::part::ROW_COLUMN;
use crate::table::scan::{Output, PartReads, row_ids, schema_of};

/// A difference that can be selected from.
#[derive(Debug)]
pub(crate) struct StreamTable {
    difference: Arc<Difference>,
    schema: SchemaRef,
}

impl StreamTable {
    /// The table of a difference: the table's columns, then the METADATA columns.
    #[must_use]
    pub(crate) fn new(difference: Difference) -> Self {
        let outputs: Vec<Output> = difference.columns.iter().cloned().map(Output::Column).collect();
        let mut fields: Vec<Field> = schema_of(&outputs).fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.extend(metadata_fields());
        Self { difference: Arc::new(difference), schema: Arc::new(Schema::new(fields)) }
    }
}

#[async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let rows =
            Arc::new(DifferenceRows { difference: Arc::clone(&self.difference), schema: Arc::clone(&self.schema) });
        Ok(Arc::new(StreamingTableExec::try_new(
            self.schema(),
            vec![rows],
            projection,
            Vec::<LexOrdering>::new(),
            false,
            limit,
        )?))
    }
}

#[derive(Debug)]
struct DifferenceRows {
    difference: Arc<Difference>,
    schema: SchemaRef,
}

impl DifferenceRows {
    fn outputs(&self) -> Vec<Output> {
        let columns = self.difference.columns.iter().cloned().map(Output::Column);
        columns.chain([Output::Row]).collect()
    }

    /// Inserted rows, unsorted.
    fn inserts(&self) -> impl Iterator<Item = EngineResult<RecordBatch>> + Send + use<> {
        let outputs = self.outputs();
        let reads = PartReads {
            schema: schema_of(&outputs),
            reads: self
                .difference
                .inserted
                .iter()
                .map(|(part, selection)| (Arc::clone(part), selection.clone(), outputs.clone()))
                .collect(),
        };
        let schema = Arc::clone(&self.schema);
        let lineage = self.difference.lineage;
        reads.rows().map(move |batch| {
            let batch = batch?;
            let rows = row_ids(&batch, ROW_COLUMN)?;
            let columns = batch.columns()[..batch.num_columns() - 1].to_vec();
            Ok(RecordBatch::try_new(Arc::clone(&schema), as_inserts(columns, &rows, lineage))?)
        })
    }

    /// Removed and rewritten images, sorted by row id and side, then paired.
    fn pairs(&self, context: Arc<TaskContext>) -> EngineResult<SendableRecordBatchStream> {
        let images = Arc::new(Images::new(&self.difference, self.outputs()));
        let schema = Arc::clone(&images.schema);
        let key = |name: &str| -> EngineResult<PhysicalSortExpr> {
            let column = expressions::Column::new_with_schema(name, &schema)?;
            Ok(PhysicalSortExpr::new_default(Arc::new(column)))
        };
        let order = LexOrdering::new([key(ROW_COLUMN)?, key(SIDE_COLUMN)?])
            .ok_or_else(|| DataFusionError::Internal("a sort without keys".to_owned()))?;
        let source = StreamingTableExec::try_new(
            Arc::clone(&schema),
            vec![images],
            None,
            Vec::<LexOrdering>::new(),
            false,
            None,
        )?;
        let sorted = execute_stream(Arc::new(SortExec::new(order, Arc::new(source))), context)?;
        let pairing = Pairing::new(Arc::clone(&self.schema), self.difference.lineage);
        let paired = futures::stream::try_unfold((sorted, Some(pairing)), |(mut sorted, pairing)| async {
            let Some(mut pairing) = pairing else {
                return Ok::<_, DataFusionError>(None);
            };
            match sorted.try_next().await? {
                Some(batch) => Ok(Some((pairing.push(&batch)?, (sorted, Some(pairing))))),
                None => Ok(pairing.finish()?.map(|batch| (batch, (sorted, None)))),
            }
        });
        let paired = paired.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), paired)))
    }
}

impl PartitionStream for DifferenceRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let inserts = futures::stream::iter(self.inserts());
        let quiet = self.difference.removed.is_empty() && self.difference.rewritten.is_empty();
        let all = if quiet {
            inserts.boxed()
        } else {
            let pairs = futures::stream::once(std::future::ready(self.pairs(context)));
            inserts.chain(pairs.try_flatten()).boxed()
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), all))
    }
}

/// Removed images with side 0 and rewritten ones with side 1.
#[derive(Debug)]
struct Images {
    schema: SchemaRef,
    sides: [PartReads; 2],
}

impl Images {
    fn new(difference: &Difference, outputs: Vec<Output>) -> Self {
        let plain = schema_of(&outputs);
        let mut fields: Vec<Field> = plain.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new(SIDE_COLUMN, DataType::UInt8, false));
        let side = |images: &[(Arc<crate::table::part::Part>, _)]| PartReads {
            schema: Arc::clone(&plain),
            reads: images
                .iter()
                .map(|(part, selection): &(_, crate::table::scan::Selection)| {
                    (Arc::clone(part), selection.clone(), outputs.clone())
                })
                .collect(),
        };
        Self { sides: [side(&difference.removed), side(&difference.rewritten)], schema: Arc::new(Schema::new(fields)) }
    }
}

impl PartitionStream for Images {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let [old, new] = &self.sides;
        let rows = old.rows().map(|batch| (0_u8, batch)).chain(new.rows().map(|batch| (1_u8, batch)));
        let rows = rows.map(move |(side, batch)| {
            let batch = batch?;
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(UInt8Array::from_value(side, batch.num_rows())));
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        });
        let stream = futures::stream::iter(rows);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}
