//! Reading versions: parts become batches in a table's current columns, as a table of the engine.
//!
//! Promises: memory is one batch per scan; columns added later appear with their default, dropped
//! ones vanish; parts that a filter excludes are not opened; an order the rows are known to have is
//! told to the planner, so that reading a staging table in row order needs no sort.
//! Leaves to others: the differences that streams show (`stream::delta`).

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef, SortOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, expressions};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::Column;
use super::deletes::Deletes;
use super::part::{Part, ROW_COLUMN};
use super::version::Version;
use crate::error::SqlError;
use crate::types::convert::{Builder, OnFailure, convert};
use crate::types::value::Value;

/// Hidden column: index of the row's part in the version.
pub(crate) const PART_COLUMN: &str = "$PART";
/// Hidden column: position of the row in its part.
pub(crate) const POSITION_COLUMN: &str = "$POS";

/// Which rows of a part to read.
#[derive(Debug, Clone)]
pub(crate) enum Selection {
    /// Those not deleted.
    Live(Arc<Deletes>),
    /// Those deleted in `now` and not yet in `before`.
    DeletedSince {
        /// The later set.
        now: Arc<Deletes>,
        /// The earlier set.
        before: Arc<Deletes>,
    },
}

impl Selection {
    fn mask(&self, first: u32, rows: usize) -> Option<BooleanArray> {
        let positions = (first..).take(rows);
        match self {
            Self::Live(deletes) if deletes.count() == 0 => None,
            Self::Live(deletes) => Some(positions.map(|at| Some(!deletes.contains(at))).collect()),
            Self::DeletedSince { now, before } => {
                Some(positions.map(|at| Some(now.contains(at) && !before.contains(at))).collect())
            }
        }
    }
}

/// What a column of a read shows.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    /// A column of the table.
    Column(Column),
    /// The row id.
    Row,
    /// A given number: the part's index in the version.
    Part(u32),
    /// The row's position in its part.
    Position,
}

impl Output {
    /// The Arrow field of the column.
    #[must_use]
    pub(crate) fn field(&self) -> Field {
        match self {
            Self::Column(column) => column.ty.field(&column.name, column.nullable),
            Self::Row => Field::new(ROW_COLUMN, DataType::UInt64, false),
            Self::Part(_) => Field::new(PART_COLUMN, DataType::UInt32, false),
            Self::Position => Field::new(POSITION_COLUMN, DataType::UInt32, false),
        }
    }
}

/// The schema of a read.
#[must_use]
pub(crate) fn schema_of(outputs: &[Output]) -> SchemaRef {
    Arc::new(Schema::new(outputs.iter().map(Output::field).collect::<Vec<_>>()))
}

/// Reads the selected rows of one part, batch by batch, with the given columns.
pub(crate) fn read_part(
    part: &Arc<Part>,
    selection: Selection,
    outputs: Vec<Output>,
) -> Result<impl Iterator<Item = Result<RecordBatch, SqlError>> + Send + use<>, SqlError> {
    let mut wanted: Vec<usize> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Column(column) => part.column(column.id).map(|(index, _)| index),
            Output::Row => Some(part.row_column()),
            Output::Part(_) | Output::Position => None,
        })
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        // A reader of no columns cannot tell how many rows there are.
        wanted.push(part.row_column());
    }
    let reader = part.read(wanted.clone())?;
    let schema = schema_of(&outputs);
    let part = Arc::clone(part);
    let mut first = 0_u32;
    Ok(reader.filter_map(move |batch| {
        let shown = batch.map_err(SqlError::from).and_then(|batch| {
            let rows = batch.num_rows();
            let mask = selection.mask(first, rows);
            let columns = outputs
                .iter()
                .map(|output| raw(output, &part, &wanted, &batch, first))
                .collect::<Result<Vec<_>, _>>()?;
            first += u32::try_from(rows).map_err(SqlError::internal)?;
            // Rows that are not read need not have a form in the columns' present types.
            let kept = mask.as_ref().map_or(rows, BooleanArray::true_count);
            let columns = columns
                .into_iter()
                .zip(&outputs)
                .map(|(column, output)| {
                    let column = match &mask {
                        None => column,
                        Some(mask) => arrow_select::filter::filter(&column, mask)?,
                    };
                    typed(output, &part, column)
                })
                .collect::<Result<Vec<_>, SqlError>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(kept));
            Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?)
        });
        match shown {
            Ok(batch) if batch.num_rows() == 0 => None,
            other => Some(other),
        }
    }))
}

/// A column as it is stored, or as older rows have it.
fn raw(output: &Output, part: &Part, wanted: &[usize], batch: &RecordBatch, first: u32) -> Result<ArrayRef, SqlError> {
    let rows = batch.num_rows();
    let at = |index: usize| {
        let place = wanted.binary_search(&index).unwrap_or_default();
        Arc::clone(batch.column(place))
    };
    match output {
        Output::Row => Ok(at(part.row_column())),
        Output::Part(index) => Ok(Arc::new(UInt32Array::from_value(*index, rows))),
        Output::Position => Ok(Arc::new(UInt32Array::from_iter_values((first..).take(rows)))),
        Output::Column(column) => match part.column(column.id) {
            Some((index, _)) => Ok(at(index)),
            None => fill(column, rows),
        },
    }
}

/// A stored column in its present type.
fn typed(output: &Output, part: &Part, array: ArrayRef) -> Result<ArrayRef, SqlError> {
    match output {
        Output::Column(column) => match part.column(column.id) {
            Some((_, stored)) => convert(&array, stored.ty, column.ty, OnFailure::Fail),
            None => Ok(array),
        },
        Output::Row | Output::Part(_) | Output::Position => Ok(array),
    }
}

/// The column as rows older than it have it.
fn fill(column: &Column, rows: usize) -> Result<ArrayRef, SqlError> {
    let Some(text) = &column.fill else {
        return Ok(new_null_array(&column.ty.arrow(), rows));
    };
    let value = Value::Text(text.clone()).cast(column.ty)?;
    let mut builder = Builder::new(column.ty, rows);
    for _ in 0..rows {
        builder.push(value.clone())?;
    }
    Ok(builder.finish())
}

/// Row ids of a batch's column of that name.
pub(crate) fn row_ids(batch: &RecordBatch, name: &str) -> Result<arrow_array::UInt64Array, SqlError> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<UInt64Type>())
        .cloned()
        .ok_or_else(|| SqlError::internal(format!("a batch without column {name}")))
}

/// A version of a table, as the query engine sees it.
#[derive(Debug)]
pub(crate) struct VersionTable {
    version: Arc<Version>,
    columns: Vec<Column>,
    /// Whether the hidden columns that DML needs are shown after the others.
    addressed: bool,
    schema: SchemaRef,
}

impl VersionTable {
    /// A version with the given columns; `addressed` shows each row's part, position and id too.
    #[must_use]
    pub(crate) fn new(version: Arc<Version>, columns: Vec<Column>, addressed: bool) -> Self {
        let mut table = Self { version, columns, addressed, schema: Arc::new(Schema::empty()) };
        table.schema = schema_of(&table.outputs(0));
        table
    }

    fn outputs(&self, part: u32) -> Vec<Output> {
        let mut outputs: Vec<Output> = self.columns.iter().cloned().map(Output::Column).collect();
        if self.addressed {
            outputs.extend([Output::Part(part), Output::Position, Output::Row]);
        }
        outputs
    }

    /// Columns by which the version's rows are ordered as they lie.
    fn sorted_columns(&self) -> Vec<usize> {
        let sorted = |column: &Column| {
            let mut last: Option<i128> = None;
            self.version.parts.iter().all(|view| {
                let Some((_, stored)) = view.part.column(column.id) else {
                    return false;
                };
                let Some((least, greatest)) = stored.bounds().filter(|_| stored.ty == column.ty) else {
                    return false;
                };
                let follows = stored.sorted && last.is_none_or(|last| last <= least);
                last = Some(greatest);
                follows
            })
        };
        if self.version.parts.is_empty() {
            return Vec::new();
        }
        (0..self.columns.len()).filter(|index| sorted(&self.columns[*index])).collect()
    }

    fn excluded(&self, part: &Part, filters: &[Expr]) -> bool {
        filters.iter().any(|filter| {
            let Some((name, operator, value)) = comparison(filter) else {
                return false;
            };
            let stored = self
                .columns
                .iter()
                .find(|column| column.name == name)
                .and_then(|column| part.column(column.id).filter(|(_, stored)| stored.ty == column.ty));
            let Some((least, greatest)) = stored.and_then(|(_, stored)| {
                let scale = match stored.ty {
                    crate::types::SnowType::Fixed { scale, .. } => scale,
                    _ => return None,
                };
                stored.bounds().filter(|_| scale == value.1)
            }) else {
                return false;
            };
            match operator {
                Operator::Gt => greatest <= value.0,
                Operator::GtEq => greatest < value.0,
                Operator::Lt => least >= value.0,
                Operator::LtEq => least > value.0,
                Operator::Eq => value.0 < least || value.0 > greatest,
                _ => false,
            }
        })
    }
}

/// `column <op> number`, with a cast around the column looked through.
fn comparison(filter: &Expr) -> Option<(&str, Operator, (i128, i8))> {
    let Expr::BinaryExpr(binary) = filter else {
        return None;
    };
    let column = |expr: &'_ Expr| match expr {
        Expr::Column(_) => true,
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Column(_)),
        _ => false,
    };
    let (side, operator, literal) = if column(&binary.left) {
        (&binary.left, binary.op, &binary.right)
    } else {
        (&binary.right, binary.op.swap()?, &binary.left)
    };
    let name = match side.as_ref() {
        Expr::Column(column) => &column.name,
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Column(column) => &column.name,
            _ => return None,
        },
        _ => return None,
    };
    let value = match literal.as_ref() {
        Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), _) => (*value, *scale),
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => (i128::from(*value), 0),
        _ => return None,
    };
    Some((name, operator, value))
}

#[async_trait]
impl TableProvider for VersionTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match comparison(filter) {
                Some(_) => TableProviderFilterPushDown::Inexact,
                None => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let projection = projection.unwrap_or(&all);
        let schema = Arc::new(self.schema.project(projection)?);
        let reads = self
            .version
            .parts
            .iter()
            .enumerate()
            .filter(|(_, view)| view.live() > 0 && !self.excluded(&view.part, filters))
            .map(|(index, view)| {
                let outputs = self.outputs(u32::try_from(index).unwrap_or(u32::MAX));
                let outputs = projection.iter().map(|at| outputs[*at].clone()).collect();
                let selection = Selection::Live(Arc::clone(&view.deletes));
                (Arc::clone(&view.part), selection, outputs)
            })
            .collect();
        let mut orderings = Vec::new();
        for column in self.sorted_columns() {
            let Some(place) = projection.iter().position(|at| *at == column) else {
                continue;
            };
            let name = schema.field(place).name().clone();
            // Sorted columns have no NULLs, so both placements of NULLs hold.
            for nulls_first in [false, true] {
                let options = SortOptions { descending: false, nulls_first };
                let key = PhysicalSortExpr::new(Arc::new(expressions::Column::new(&name, place)), options);
                orderings.extend(LexOrdering::new([key]));
            }
        }
        let partition = Arc::new(PartReads { schema: Arc::clone(&schema), reads });
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![partition], None, orderings, false, limit)?))
    }
}

/// A list of part reads, one after the other.
#[derive(Debug)]
pub(crate) struct PartReads {
    /// The schema all of them share.
    pub(crate) schema: SchemaRef,
    /// Part, rows and columns of each.
    pub(crate) reads: Vec<(Arc<Part>, Selection, Vec<Output>)>,
}

impl PartReads {
    /// The rows as an iterator; each part is opened when its turn comes.
    pub(crate) fn rows(&self) -> impl Iterator<Item = EngineResult<RecordBatch>> + Send + use<> {
        self.reads.clone().into_iter().flat_map(|(part, selection, outputs)| {
            let rows: Box<dyn Iterator<Item = EngineResult<RecordBatch>> + Send> =
                match read_part(&part, selection, outputs) {
                    Ok(rows) => Box::new(rows.map(|batch| Ok(batch?))),
                    Err(error) => Box::new(std::iter::once(Err(error.into()))),
                };
            rows
        })
    }
}

impl PartitionStream for PartReads {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let stream = futures::stream::iter(self.rows());
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}
