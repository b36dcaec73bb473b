//! A table whose rows can say which they are: what a view's changes are computed from.
//!
//! Promises: asked for identity, every row carries a text that names it and no other row of the table, the same in
//! every version; rows that came after a point are marked in it.
//! Leaves to others: carrying the identities through the view's query (`view`).

use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result as EngineResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::delta::Difference;
use crate::catalog::ObjectId;
use crate::table::part::{Part, ROW_COLUMN};
use crate::table::scan::{Output, PartReads, Selection, row_ids, schema_of};
use crate::table::version::Version;
use crate::table::{Column, Definition, Table};

/// Name of the identity's column.
pub(crate) const ID: &str = "$ID";
/// What the identity of a row that came after the point begins with; no other has it.
pub(crate) const FRESH: char = '+';

/// Rows of a table, each with its identity on demand.
#[derive(Debug, Clone)]
pub(crate) struct MarkedTable {
    lineage: ObjectId,
    columns: Vec<Column>,
    /// Rows that were there, and rows that came.
    reads: [Vec<(Arc<Part>, Selection)>; 2],
    identity: bool,
}

impl MarkedTable {
    /// The rows of a version.
    #[must_use]
    pub(crate) fn at(definition: &Definition, version: &Version) -> Self {
        let live =
            version.parts.iter().map(|view| (Arc::clone(&view.part), Selection::Live(Arc::clone(&view.deletes))));
        Self {
            lineage: definition.lineage,
            columns: definition.shown(),
            reads: [live.collect(), Vec::new()],
            identity: false,
        }
    }

    /// The rows of version `from` and, marked, those inserted after it up to version `to`.
    #[must_use]
    pub(crate) fn appended(table: &Table, from: &Version, to: u64) -> Self {
        let mut marked = Self::at(&table.definition, from);
        marked.reads[1] = Difference::appended(table, from.number, to).inserted;
        marked
    }

    /// The same rows with [`ID`] as their last column.
    #[must_use]
    pub(crate) fn identified(&self) -> Self {
        Self { identity: true, ..self.clone() }
    }
}

fn shown(columns: &[Column], identity: bool) -> SchemaRef {
    let mut fields: Vec<Field> = columns.iter().map(|column| Output::Column(column.clone()).field()).collect();
    if identity {
        fields.push(Field::new(ID, DataType::Utf8, false));
    }
    Arc::new(Schema::new(fields))
}

#[async_trait]
impl TableProvider for MarkedTable {
    fn schema(&self) -> SchemaRef {
        shown(&self.columns, self.identity)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let rows = Arc::new(MarkedRows { schema: self.schema(), table: self.clone() });
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
struct MarkedRows {
    schema: SchemaRef,
    table: MarkedTable,
}

impl PartitionStream for MarkedRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let outputs: Vec<Output> =
            self.table.columns.iter().cloned().map(Output::Column).chain([Output::Row]).collect();
        let plain = schema_of(&outputs);
        let [old, new] = &self.table.reads;
        let reads = |parts: &[(Arc<Part>, Selection)]| PartReads {
            schema: Arc::clone(&plain),
            reads: parts
                .iter()
                .map(|(part, selection)| (Arc::clone(part), selection.clone(), outputs.clone()))
                .collect(),
        };
        let rows =
            reads(old).rows().map(|batch| (None, batch)).chain(reads(new).rows().map(|batch| (Some(FRESH), batch)));
        let (schema, lineage, identity) = (Arc::clone(&self.schema), self.table.lineage, self.table.identity);
        let rows = rows.map(move |(mark, batch)| {
            let batch = batch?;
            let mut columns = batch.columns()[..batch.num_columns() - 1].to_vec();
            if identity {
                let mark = mark.map(String::from).unwrap_or_default();
                let ids = row_ids(&batch, ROW_COLUMN)?;
                let ids = ids.values().iter().map(|row| format!("{mark}{lineage}.{row}"));
                columns.push(Arc::new(StringArray::from_iter_values(ids)));
            }
            let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(rows)))
    }
}
