//! Reading streams: which rows one shows, in the columns its kind has.
//!
//! Promises: what a statement reads of a stream is noted in its planner, so that the stream moves when it commits.
//! Leaves to others: CREATE STREAM (`stream_ddl`), differences (`stream`).

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::TableVersion;

use super::relations::{Planner, information, point};
use super::stream_ddl::not_tracked;
use crate::catalog::{Catalog, Object, ObjectId, View};
use crate::error::SqlError;
use crate::stream::delta::Difference;
use crate::stream::marked::MarkedTable;
use crate::stream::pairing::ROW_ID;
use crate::stream::provider::StreamTable;
use crate::stream::{Mode, Stream, view};
use crate::table::Table;
use crate::table::nature::FILENAME;
use crate::table::version::Version;

/// Tables as a view is to see them.
type Pins = HashMap<ObjectId, MarkedTable>;

impl Planner<'_> {
    pub(super) fn stream(&mut self, stream: &Stream) -> Result<Arc<dyn TableProvider>, SqlError> {
        let session = self.session;
        let catalog = session.engine.catalog();
        let tables = stream.readable(&catalog, session.engine.now())?;
        let privilege = if matches!(stream.source, Object::Stage(_)) { "READ" } else { "SELECT" };
        catalog
            .check_object(session.role(), stream.source, privilege)
            .map_err(|_| SqlError::denied("stream", &stream.name.name))?;
        let mut ends = Vec::with_capacity(tables.len());
        for (base, table) in stream.bases.iter().zip(&tables) {
            let upper = match self.sequence {
                Some(sequence) => table.version_of_sequence(sequence),
                None => table.current(),
            };
            let lost = || SqlError::internal("a readable stream without its version");
            let from = table.version(base.offset).ok_or_else(lost)?;
            let to = if upper.number > base.offset { upper } else { from };
            ends.push((*table, Arc::clone(from), Arc::clone(to)));
        }
        self.streams.insert(stream.id, ends.iter().map(|(_, _, to)| to.number).collect());
        if let Object::View(id) = stream.source {
            let view = catalog.views.get(&id).cloned().ok_or_else(|| SqlError::missing("View", &stream.source_name))?;
            let points = points(&ends, stream);
            drop(catalog);
            return self.view_stream(&view, stream, points);
        }
        let Some((table, from, to)) = ends.into_iter().next() else {
            return Err(SqlError::internal("a stream without a table"));
        };
        table_stream(stream, table, &from, &to)
    }

    fn view_stream(
        &mut self,
        of: &View,
        stream: &Stream,
        [before, after]: [Pins; 2],
    ) -> Result<Arc<dyn TableProvider>, SqlError> {
        let before = self.view_at(of, before)?;
        let plan = match (stream.initial, stream.mode) {
            (true, _) => view::inserts(before, false, of.id)?,
            (false, Mode::AppendOnly) => view::inserts(self.view_at(of, after)?, true, of.id)?,
            (false, _) => view::net(before, self.view_at(of, after)?, of.id)?,
        };
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    /// A view as it was, or its changes: those of its result over its tables at two points.
    pub(super) fn view_travelled(
        &mut self,
        of: &View,
        version: &TableVersion,
    ) -> Result<Arc<dyn TableProvider>, SqlError> {
        match version {
            TableVersion::Function(at) => {
                let mut planner = Planner::new(self.session, self.statement, self.sequence);
                planner.view(of)?;
                let tables = std::mem::take(&mut planner.tables);
                let mut pins = Pins::new();
                let catalog = self.session.engine.catalog();
                for (id, table) in tables.iter().filter_map(|id| Some((*id, catalog.table(*id)?))) {
                    let version = self.session.version_at(&catalog, table, &point(at)?)?;
                    pins.insert(id, MarkedTable::at(&table.definition, &version));
                }
                drop(catalog);
                let mut planner = Planner::new(self.session, self.statement, self.sequence);
                planner.pins = Some(Arc::new(pins));
                Ok(Arc::new(ViewTable::new(planner.view(of)?, None)))
            }
            TableVersion::Changes { changes, at, end } => {
                let mode = information(changes)?;
                let tables = self.trackable_tables(of)?;
                let mut points = [Pins::new(), Pins::new()];
                let catalog = self.session.engine.catalog();
                if !of.tracked {
                    return Err(not_tracked(&of.name.name));
                }
                for (id, table) in tables.iter().filter_map(|id| Some((*id, catalog.table(*id)?))) {
                    let from = self.session.version_at(&catalog, table, &point(at)?)?;
                    if table.definition.tracked_since.is_none_or(|since| since > from.number) {
                        return Err(not_tracked(&table.definition.name));
                    }
                    let to = match end {
                        Some(end) => self.session.version_at(&catalog, table, &point(end)?)?,
                        None => Arc::clone(table.current()),
                    };
                    points[0].insert(id, MarkedTable::at(&table.definition, &from));
                    points[1].insert(
                        id,
                        match mode {
                            Mode::AppendOnly => MarkedTable::appended(table, &from, to.number),
                            _ => MarkedTable::at(&table.definition, &to),
                        },
                    );
                }
                drop(catalog);
                let [before, after] = points;
                let after = self.view_at(of, after)?;
                let plan = match mode {
                    Mode::AppendOnly => view::inserts(after, true, of.id)?,
                    _ => view::net(self.view_at(of, before)?, after, of.id)?,
                };
                Ok(Arc::new(ViewTable::new(plan, None)))
            }
            other => Err(SqlError::unsupported(other)),
        }
    }

    /// The identified plan of a view over given tables.
    pub(super) fn view_at(&mut self, of: &View, pins: Pins) -> Result<datafusion::logical_expr::LogicalPlan, SqlError> {
        let mut planner = Planner::new(self.session, self.statement, self.sequence);
        planner.pins = Some(Arc::new(pins));
        planner.tracked = true;
        let plan = planner.view(of)?;
        view::identified(&plan)
    }

    /// The tables a view reads; an error if changes of the view cannot be told.
    pub(super) fn trackable_tables(&mut self, of: &View) -> Result<Vec<ObjectId>, SqlError> {
        let mut planner = Planner::new(self.session, self.statement, self.sequence);
        planner.tracked = true;
        planner.view(of)?;
        let mut tables = std::mem::take(&mut planner.tables);
        drop(planner);
        tables.sort_unstable();
        tables.dedup();
        let pins = pinned_now(&self.session.engine.catalog(), &tables);
        self.view_at(of, pins)?;
        Ok(tables)
    }
}

/// Tables as they are now.
pub(super) fn pinned_now(catalog: &Catalog, tables: &[ObjectId]) -> Pins {
    let known = tables.iter().filter_map(|id| Some((*id, catalog.table(*id)?)));
    known.map(|(id, table)| (id, MarkedTable::at(&table.definition, table.current()))).collect()
}

/// The tables of a view's stream at its offset, and where it reads to.
fn points(ends: &[(&Table, Arc<Version>, Arc<Version>)], stream: &Stream) -> [Pins; 2] {
    let mut points = [Pins::new(), Pins::new()];
    for (table, from, to) in ends {
        let id = table.definition.id;
        points[0].insert(id, MarkedTable::at(&table.definition, from));
        points[1].insert(
            id,
            match stream.mode {
                Mode::AppendOnly => MarkedTable::appended(table, from, to.number),
                Mode::Default | Mode::InsertOnly => MarkedTable::at(&table.definition, to),
            },
        );
    }
    points
}

fn table_stream(
    stream: &Stream,
    table: &Table,
    from: &Version,
    to: &Version,
) -> Result<Arc<dyn TableProvider>, SqlError> {
    let difference = match (stream.initial, stream.mode) {
        (true, _) => Difference::initial(table, from),
        (false, Mode::AppendOnly) => Difference::appended(table, from.number, to.number),
        (false, Mode::Default) => Difference::net(table, from, to),
        // Rows that came and went again are not told of, and neither is what went.
        (false, Mode::InsertOnly) => {
            let net = Difference::net(table, from, to);
            Difference { removed: Vec::new(), rewritten: Vec::new(), ..net }
        }
    };
    let rows = Arc::new(StreamTable::new(difference));
    if !table.definition.nature.hides_row_ids() {
        return Ok(rows);
    }
    const ROWS: &str = "$ROWS";
    let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    let (file, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name == FILENAME);
    let shown = names.into_iter().chain(file).map(|name| match name.as_str() {
        ROW_ID => lit("").alias(ROW_ID),
        name => Expr::Column(Column::new(Some(ROWS), name)).alias(name),
    });
    let plan = LogicalPlanBuilder::scan(ROWS, provider_as_source(rows), None)?.project(shown)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
