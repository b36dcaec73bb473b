//! Windows over whole partitions, a stretch of partitions at a time.
//!
//! Promises: memory is bounded by one stretch (or the largest partition), where the engine's own
//! operator would hold the whole input; aggregates over whole partitions are worked out for all
//! partitions of a stretch at once. Results are the engine's own functions'.
//! Leaves to others: windows with an ORDER BY, which the engine already streams.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::EmitTo;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, WindowExpr};
use datafusion::physical_expr::{
    EquivalenceProperties, OrderingRequirements, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, PlanProperties, apply_expression_roots,
};
use futures::TryStreamExt;

/// Rows gathered before the partitions among them are worked out.
const STRETCH: usize = 65_536;

/// Replaces the engine's whole-input window operator where partitions arrive one after the other.
#[derive(Debug, Default)]
pub(crate) struct PartitionedWindows;

impl PhysicalOptimizerRule for PartitionedWindows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> EngineResult<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(window) = node.downcast_ref::<WindowAggExec>() else {
                return Ok(Transformed::no(node));
            };
            let keys = window.window_expr().first().map_or(&[][..], |first| first.partition_by());
            if keys.is_empty() {
                return Ok(Transformed::no(node));
            }
            let replacement = PartitionedWindowExec {
                keys: keys.to_vec(),
                expressions: window.window_expr().to_vec(),
                schema: node.schema(),
                ordering: node.required_input_ordering(),
                properties: ordered_as(node.schema(), window.input()),
                input: Arc::clone(window.input()),
            };
            Ok(Transformed::yes(Arc::new(replacement) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &str {
        "partitioned_windows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What a window over `input` is known to be: its rows come in the order of the input, whose columns are the first of
/// `schema`. Worked out for each input, since the engine puts a sort below after the window was made.
fn ordered_as(schema: SchemaRef, input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
    let from = input.properties();
    let orders = EquivalenceProperties::new_with_orderings(schema, from.output_ordering().cloned());
    Arc::new(PlanProperties::new(orders, Partitioning::UnknownPartitioning(1), from.emission_type, from.boundedness))
}

#[derive(Debug)]
struct PartitionedWindowExec {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    expressions: Vec<Arc<dyn WindowExpr>>,
    schema: SchemaRef,
    ordering: Vec<Option<OrderingRequirements>>,
    properties: Arc<PlanProperties>,
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for PartitionedWindowExec {
    fn fmt_as(&self, _: DisplayFormatType, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PartitionedWindowExec: {} windows", self.expressions.len())
    }
}

impl ExecutionPlan for PartitionedWindowExec {
    fn name(&self) -> &str {
        "PartitionedWindowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        apply_expression_roots(self.keys.iter(), visit)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.ordering.clone()
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| DataFusionError::Internal("a window without input".to_owned()))?;
        Ok(Arc::new(Self {
            keys: self.keys.clone(),
            expressions: self.expressions.clone(),
            schema: Arc::clone(&self.schema),
            ordering: self.ordering.clone(),
            properties: ordered_as(Arc::clone(&self.schema), &input),
            input,
        }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> EngineResult<SendableRecordBatchStream> {
        let stretch = Stretch {
            keys: self.keys.clone(),
            expressions: self.expressions.clone(),
            schema: Arc::clone(&self.schema),
            pending: Vec::new(),
            rows: 0,
        };
        let input = self.input.execute(partition, context)?;
        let batches = futures::stream::try_unfold((input, Some(stretch)), |(mut input, stretch)| async {
            let Some(mut stretch) = stretch else {
                return Ok::<_, DataFusionError>(None);
            };
            while let Some(batch) = input.try_next().await? {
                stretch.rows += batch.num_rows();
                stretch.pending.push(batch);
                if stretch.rows >= STRETCH
                    && let Some(done) = stretch.complete(false)?
                {
                    return Ok(Some((done, (input, Some(stretch)))));
                }
            }
            Ok(stretch.complete(true)?.map(|done| (done, (input, None))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches)))
    }
}

/// Rows waiting for the end of their partitions.
struct Stretch {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    expressions: Vec<Arc<dyn WindowExpr>>,
    schema: SchemaRef,
    pending: Vec<RecordBatch>,
    rows: usize,
}

impl Stretch {
    /// The rows of every partition that is whole, windows added; the last partition is whole only
    /// at the end of the input.
    fn complete(&mut self, ended: bool) -> EngineResult<Option<RecordBatch>> {
        let Some(first) = self.pending.first() else {
            return Ok(None);
        };
        let batch = arrow_select::concat::concat_batches(first.schema_ref(), &self.pending)?;
        if batch.num_rows() == 0 {
            self.pending.clear();
            return Ok(None);
        }
        let keys = self
            .keys
            .iter()
            .map(|key| PhysicalSortExpr::new_default(Arc::clone(key)).evaluate_to_sort_column(&batch))
            .collect::<EngineResult<Vec<_>>>()?;
        let values: Vec<ArrayRef> = keys.into_iter().map(|key| key.values).collect();
        let mut ranges = arrow_ord::partition::partition(&values)?.ranges();
        let rest = if ended { None } else { ranges.pop() };
        self.pending = match rest {
            Some(rest) => vec![batch.slice(rest.start, rest.len())],
            None => Vec::new(),
        };
        self.rows = self.pending.iter().map(RecordBatch::num_rows).sum();
        let whole = batch.num_rows() - self.rows;
        if whole == 0 {
            return Ok(None);
        }
        let batch = batch.slice(0, whole);
        let mut columns = batch.columns().to_vec();
        let groups: Vec<usize> =
            ranges.iter().enumerate().flat_map(|(group, range)| std::iter::repeat_n(group, range.len())).collect();
        let places = UInt64Array::from_iter_values(groups.iter().map(|group| *group as u64));
        for expression in &self.expressions {
            columns.push(match whole_partition(expression) {
                Some(aggregate) => {
                    let values = aggregate_groups(aggregate, &batch, &groups, ranges.len())?;
                    arrow_select::take::take(&values, &places, None)?
                }
                None => {
                    let pieces = ranges
                        .iter()
                        .map(|range| expression.evaluate(&batch.slice(range.start, range.len())))
                        .collect::<EngineResult<Vec<_>>>()?;
                    let pieces: Vec<&dyn arrow_array::Array> = pieces.iter().map(AsRef::as_ref).collect();
                    arrow_select::concat::concat(&pieces)?
                }
            });
        }
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }
}

/// The aggregate of a window over its whole partition, if it can be worked out for many at once.
fn whole_partition(expression: &Arc<dyn WindowExpr>) -> Option<&AggregateFunctionExpr> {
    let aggregate = expression.as_any().downcast_ref::<PlainAggregateWindowExpr>()?.get_aggregate_expr();
    let frame = expression.get_window_frame();
    let whole = frame.start_bound.is_unbounded() && frame.end_bound.is_unbounded();
    let plain = !aggregate.is_distinct() && aggregate.order_bys().is_empty() && expression.order_by().is_empty();
    (whole && plain && aggregate.groups_accumulator_supported()).then_some(aggregate)
}

/// One value per group; `groups` tells the group of each row.
fn aggregate_groups(
    aggregate: &AggregateFunctionExpr,
    batch: &RecordBatch,
    groups: &[usize],
    total: usize,
) -> EngineResult<ArrayRef> {
    let mut accumulator = aggregate.create_groups_accumulator()?;
    let arguments = aggregate
        .expressions()
        .iter()
        .map(|argument| argument.evaluate(batch)?.into_array(batch.num_rows()))
        .collect::<EngineResult<Vec<_>>>()?;
    accumulator.update_batch(&arguments, groups, None, total)?;
    accumulator.evaluate(EmitTo::All)
}
