//! Dynamic tables: CREATE and REFRESH.
//!
//! Promises: a refresh is one commit that makes the table what its query gives; a row made of the same rows as before
//! keeps its id, so streams on the table see updates as updates. Nothing refreshes by itself: TARGET_LAG is only shown.
//! Leaves to others: streams on them (`stream_read`), which the mode FULL does not allow (`stream_source`).

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow_row::{OwnedRow, RowConverter, SortField};
use datafusion::logical_expr::LogicalPlan;
use futures::TryStreamExt;

use super::query::columns_of;
use super::relations::Planner;
use super::stream_read::pinned_now;
use super::transaction::Pending;
use super::{Rows, Session, Statement, answer};
use crate::catalog::change::{Change, name_of};
use crate::catalog::{Object, ObjectId, View};
use crate::error::SqlError;
use crate::sql::objects::CreateDynamic;
use crate::sql::{ColumnSpec, CreateTable, Path};
use crate::stream::marked::ID;
use crate::stream::trackable;
use crate::stream::view::digest;
use crate::table::nature::{Dynamic, Nature};
use crate::table::part::{PartKind, ROW_COLUMN};
use crate::table::scan::{Output, Selection, read_part, row_ids};
use crate::table::version::Version;
use crate::table::{Column, Definition, TableKind};
use crate::types::convert::{OnFailure, canonical, convert};

/// Where a row is in a version: part and position.
type Address = (usize, u32);

impl Session {
    pub(super) async fn create_dynamic(
        &mut self,
        create: CreateDynamic,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let name = self.full_name(&create.name)?;
        let mut plain =
            CreateTable::new(create.name.clone(), create.or_replace, create.if_not_exists, TableKind::Permanent);
        if self.taken(&name, &plain)? {
            return answer::status(&format!("{} already exists, statement succeeded.", name.name));
        }
        let refusal = full_only(trackable::check(&create.query));
        let incremental = match (create.refresh_mode.as_str(), &refusal) {
            ("FULL", _) => false,
            ("INCREMENTAL", Some(error)) => return Err(error.clone()),
            (_, refusal) => refusal.is_none(),
        };
        let reason = (!incremental).then(|| match &refusal {
            Some(error) => error.message.replace("SQL compilation error:\n", ""),
            None => "User specified FULL refresh mode".to_owned(),
        });
        plain.comment.clone_from(&create.comment);
        plain.retention_days = create.retention_days;
        plain.extension_days = create.extension_days;
        plain.change_tracking = true;
        plain.nature = Nature::Dynamic(Dynamic {
            text: statement.sql.to_owned(),
            incremental,
            reason,
            target_lag: create.target_lag.clone(),
            warehouse: create.warehouse.clone(),
            data_at: None,
        });
        let mut definition = self.definition(&plain, &name, Vec::new())?;
        let mut planner = Planner::new(self, statement, None);
        let plan = planner.view_body(&as_view(&definition))?;
        drop(planner);
        let specs: Vec<ColumnSpec> = columns_of(&plan)?
            .into_iter()
            .enumerate()
            .map(|(at, meta)| ColumnSpec {
                name: create.columns.get(at).cloned().unwrap_or(meta.name),
                ty: Some(meta.ty),
                nullable: true,
                default: None,
                identity: None,
                comment: None,
            })
            .collect();
        let id = definition.id;
        definition =
            Definition { id, lineage: id, ..self.definition(&plain, &name, super::table_create::columns_of(&specs)?)? };
        self.engine.commit(Vec::new(), |catalog| {
            let mut changes = super::table_create::replaced(catalog, &name, &plain)?;
            changes.push(Change::CreateTable {
                definition: Box::new(definition.clone()),
                clone_of: None,
                statement: statement.query_id.clone(),
            });
            Ok((changes, ()))
        })?;
        if create.at_once {
            self.refresh(id, statement).await?;
        }
        answer::status(&format!("Dynamic table {} successfully created.", name.name))
    }

    pub(super) async fn refresh_dynamic(
        &mut self,
        path: &Path,
        if_exists: bool,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let found = {
            let catalog = self.engine.catalog();
            match self.object(&catalog, path, "OPERATE") {
                Err(error) if if_exists && error.code == "002003" => None,
                found => Some(found?),
            }
        };
        match found {
            None => {}
            Some((_, Object::Table(id))) => self.refresh(id, statement).await?,
            Some((_, other)) => return Err(super::stream_source::wrong_type(other.kind(), "DYNAMIC_TABLE")),
        }
        answer::status("Statement executed successfully.")
    }

    /// Makes a dynamic table what its query gives now.
    async fn refresh(&mut self, id: ObjectId, statement: &Statement<'_>) -> Result<(), SqlError> {
        let mut work = self.work();
        let (mut definition, pending) = {
            let (pending, _) = self.locked(id)?;
            let catalog = self.engine.catalog();
            let table = catalog.table(id).ok_or_else(|| SqlError::missing("Dynamic table", id))?;
            (table.definition.clone(), pending)
        };
        self.lock(&mut work, vec![(id, definition.full_name())]).await?;
        self.use_warehouse(statement)?;
        let data_at = self.engine.now();
        let plan = self.refresh_plan(&definition, statement)?;
        let Nature::Dynamic(dynamic) = &mut definition.nature else {
            return Err(super::stream_source::wrong_type(definition.nature.word(), "DYNAMIC_TABLE"));
        };
        dynamic.data_at = Some(data_at);
        let (deleted, fresh) = self.difference(plan, &definition.columns, &pending.current).await?;
        let next = Version::clone(&pending.current);
        work.writes.insert(id, Pending::changed(pending, next, &deleted, fresh));
        work.changes.push(Change::AlterTable { definition: Box::new(definition) });
        self.finish(work, statement)
    }

    /// The query's plan, with the rows' identities as its last column where they can be told.
    fn refresh_plan(&self, definition: &Definition, statement: &Statement<'_>) -> Result<LogicalPlan, SqlError> {
        let view = as_view(definition);
        let mut planner = Planner::new(self, statement, None);
        match planner.trackable_tables(&view) {
            Ok(tables) => {
                let pins = pinned_now(&self.engine.catalog(), &tables);
                planner.view_at(&view, pins)
            }
            Err(_) => planner.view(&view),
        }
    }

    /// What to delete from a version, and new parts, so that it holds what a plan gives.
    async fn difference(
        &self,
        plan: LogicalPlan,
        columns: &[Column],
        current: &Version,
    ) -> Result<(Vec<Address>, Vec<Arc<crate::table::part::Part>>), SqlError> {
        let sorts = columns.iter().map(|column| SortField::new(column.ty.arrow())).collect();
        let converter = RowConverter::new(sorts)?;
        let mut old: HashMap<u64, (Address, OwnedRow)> = HashMap::new();
        for (at, view) in current.parts.iter().enumerate() {
            let part = u32::try_from(at).unwrap_or(u32::MAX);
            let outputs =
                columns.iter().cloned().map(Output::Column).chain([Output::Part(part), Output::Position, Output::Row]);
            for batch in read_part(&view.part, Selection::Live(Arc::clone(&view.deletes)), outputs.collect())? {
                let batch = batch?;
                let rows = converter.convert_columns(&batch.columns()[..columns.len()])?;
                let positions = batch.column(columns.len() + 1).as_primitive::<arrow_array::types::UInt32Type>();
                let positions: &UInt32Array = positions;
                for (index, row) in row_ids(&batch, ROW_COLUMN)?.values().iter().enumerate() {
                    old.insert(*row, ((at, positions.value(index)), rows.row(index).owned()));
                }
            }
        }
        let metas = columns_of(&plan)?;
        let identified = metas.last().is_some_and(|meta| meta.name == ID);
        let mut found = self.run_plan(plan, &metas).await?;
        // New rows too are written as images under their ids, so that a row that comes back is the row it was.
        let mut writer = self.writer(PartKind::Update, columns);
        let mut deleted = Vec::new();
        let mut seen: HashMap<OwnedRow, u64> = HashMap::new();
        while let Some(batch) = found.try_next().await? {
            let arrays = typed(&batch, columns)?;
            let rows = converter.convert_columns(&arrays)?;
            let mut ids = Vec::new();
            let mut kept = Vec::new();
            for index in 0..batch.num_rows() {
                let row = rows.row(index).owned();
                let id = match identified {
                    true => digest(batch.column(columns.len()).as_string::<i32>().value(index).as_bytes()),
                    false => {
                        let copy = seen.entry(row.clone()).and_modify(|copies| *copies += 1).or_insert(0);
                        digest(&[row.as_ref(), &copy.to_be_bytes()].concat())
                    }
                };
                match old.remove(&id) {
                    Some((_, before)) if before == row => continue,
                    Some((address, _)) => deleted.push(address),
                    None => {}
                }
                ids.push(id);
                kept.push(u64::try_from(index).unwrap_or(0));
            }
            let kept = UInt64Array::from(kept);
            let kept = arrays
                .iter()
                .map(|array| arrow_select::take::take(array, &kept, None))
                .collect::<Result<Vec<ArrayRef>, _>>()?;
            if !ids.is_empty() {
                writer.push(kept, arrow_array::PrimitiveArray::<UInt64Type>::from(ids))?;
            }
        }
        deleted.extend(old.into_values().map(|(address, _)| address));
        Ok((deleted, writer.finish()?))
    }
}

fn typed(batch: &RecordBatch, columns: &[Column]) -> Result<Vec<ArrayRef>, SqlError> {
    let schema = batch.schema();
    let fields = schema.fields().iter();
    let cells = batch.columns().iter().zip(fields).zip(columns);
    cells
        .map(|((array, field), column)| {
            let (array, from) = canonical(array, field)?;
            convert(&array, from, column.ty, OnFailure::Fail)
        })
        .collect()
}

/// A dynamic table as the view its query is.
fn as_view(definition: &Definition) -> View {
    let text = match &definition.nature {
        Nature::Dynamic(dynamic) => dynamic.text.clone(),
        _ => String::new(),
    };
    View {
        id: definition.id,
        name: name_of(definition),
        columns: definition.columns.iter().map(|column| (column.name.clone(), column.ty)).collect(),
        secure: false,
        materialized: false,
        tracked: true,
        text,
        created: definition.created,
        owner: definition.owner.clone(),
        comment: String::new(),
    }
}

/// The refusals of incremental refresh among those of change tracking: it can do more than a stream on a view.
fn full_only(checked: Result<(), SqlError>) -> Option<SqlError> {
    let error = checked.err()?;
    ["LIMIT", "ORDER BY", "ASOF_JOIN", "Table Function"]
        .iter()
        .any(|what| error.message.contains(what))
        .then_some(error)
}
