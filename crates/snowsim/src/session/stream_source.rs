//! What a new stream is made on, and which streams that kind of object takes.
//!
//! Promises: the refusals recorded on an account come in its words (docs/simulator.md lists the others).
//! Leaves to others: where the stream starts (`stream_ddl`).

use super::relations::Planner;
use super::{Session, Statement};
use crate::catalog::{Catalog, Name, Object, ObjectId};
use crate::error::SqlError;
use crate::sql::{CreateStream, SourceKind};
use crate::stream::trackable::untrackable;
use crate::stream::{Mode, Stream};
use crate::table::Definition;
use crate::table::nature::Nature;

/// What a stream is made of.
pub(super) enum StreamSource {
    /// Another stream, offsets included.
    Clone(Box<Stream>),
    /// An object, with the tables whose changes count.
    On { object: Object, tables: Vec<ObjectId>, mode: Mode },
}

const INSERT_ONLY: &str = "Streams of type INSERT_ONLY can only be created on external tables or Iceberg tables with \
                           an external catalog integration.";

/// 002203: an object of another kind than the statement names.
pub(super) fn wrong_type(found: &str, specified: &str) -> SqlError {
    SqlError::new(
        "002203",
        "02000",
        format!("SQL compilation error: Object found is of type '{found}', not specified type '{specified}'."),
    )
}

fn refused(text: impl Into<String>) -> SqlError {
    SqlError::new("001030", "0A000", text)
}

impl Session {
    /// The source of a CREATE STREAM.
    pub(super) fn stream_source(
        &self,
        create: &CreateStream,
        statement: &Statement<'_>,
    ) -> Result<StreamSource, SqlError> {
        let catalog = self.engine.catalog();
        let mode = match (create.append_only, create.insert_only) {
            (_, true) => Mode::InsertOnly,
            (true, false) => Mode::AppendOnly,
            (false, false) => Mode::Default,
        };
        let (title, specified, privilege) = match create.kind {
            SourceKind::Stream => {
                return Ok(StreamSource::Clone(Box::new(self.stream_at(&catalog, &create.source)?.clone())));
            }
            SourceKind::Table => ("Table", "TABLE", "SELECT"),
            SourceKind::View => ("View", "VIEW", "SELECT"),
            SourceKind::Dynamic => ("Dynamic table", "DYNAMIC_TABLE", "SELECT"),
            SourceKind::External => ("External table", "EXTERNAL_TABLE", "SELECT"),
            SourceKind::Event => ("Event table", "EVENT_TABLE", "SELECT"),
            SourceKind::Stage => ("Stage", "STAGE", "READ"),
        };
        let (name, object) = match self.object(&catalog, &create.source, privilege) {
            // Only the object itself is called by its kind; a database or schema that is hidden is named as such.
            Err(error) if error.code == "002003" && error.sql_state == "42S02" => {
                return Err(SqlError::missing(title, self.full_name(&create.source)?));
            }
            found => found?,
        };
        let found = match object {
            Object::Table(id) => catalog.table(id).map_or("TABLE", |table| table.definition.nature.word()),
            other => other.kind(),
        };
        // Event and Iceberg tables are tables to a stream.
        let as_table = create.kind == SourceKind::Table && ["EVENT_TABLE", "ICEBERG_TABLE"].contains(&found);
        if found != specified && !as_table {
            return Err(wrong_type(found, specified));
        }
        let tables = match object {
            Object::Table(id) => {
                let table = catalog.table(id).ok_or_else(|| SqlError::missing(title, &name))?;
                check_table(&table.definition, mode, create)?;
                vec![id]
            }
            Object::Stage(id) => vec![check_stage(&catalog, id, create)?],
            Object::View(id) => {
                let view = catalog.views.get(&id).cloned().ok_or_else(|| SqlError::missing(title, &name))?;
                drop(catalog);
                if view.materialized {
                    return Err(untrackable("'Materialized View'"));
                }
                let tables = Planner::new(self, statement, None).trackable_tables(&view)?;
                if mode == Mode::InsertOnly {
                    return Err(self.no_insert_only_view(&tables, &name));
                }
                if mode == Mode::Default && view.columns.iter().any(|(_, ty)| ty.is_geospatial()) {
                    return Err(geospatial(&name));
                }
                tables
            }
            Object::Stream(_) => return Err(wrong_type("STREAM", specified)),
        };
        Ok(StreamSource::On { object, tables, mode })
    }

    fn no_insert_only_view(&self, tables: &[ObjectId], view: &Name) -> SqlError {
        let catalog = self.engine.catalog();
        let first = tables.first().and_then(|id| catalog.table(*id));
        let saw = first.map(|table| table.definition.name.clone()).unwrap_or_default();
        refused(format!(
            "SQL compilation error: line 0 at position -1:\nChange tracking of type INSERT_ONLY is not supported on \
             queries with 'TABLE' inside views, saw '{saw}'. (inside view '{view}')."
        ))
    }
}

fn geospatial(name: &Name) -> SqlError {
    refused(format!(
        "Standard streams cannot be created on '{name}', which has geospatial columns; use APPEND_ONLY = TRUE."
    ))
}

fn check_table(definition: &Definition, mode: Mode, create: &CreateStream) -> Result<(), SqlError> {
    match (&definition.nature, mode) {
        (Nature::External(external), Mode::InsertOnly) if external.partitioned => {
            return Err(refused("Streams are not supported on partitioned external tables."));
        }
        (nature, Mode::InsertOnly) if nature.insert_only() => {}
        (_, Mode::InsertOnly) => return Err(refused(INSERT_ONLY)),
        (nature, _) if nature.insert_only() => {
            return Err(refused(format!("Streams on '{}' must have INSERT_ONLY set to true.", definition.full_name())));
        }
        (Nature::Dynamic(_), Mode::AppendOnly) => {
            return Err(refused("Change tracking of type APPEND_ONLY is not supported on dynamic tables."));
        }
        (Nature::Dynamic(dynamic), _) if !dynamic.incremental => {
            return Err(refused(format!(
                "Change tracking is not supported on dynamic tables with REFRESH_MODE = FULL, saw '{}'.",
                definition.full_name()
            )));
        }
        _ => {}
    }
    if matches!(definition.nature, Nature::External(_)) && create.show_initial_rows {
        return Err(refused("Streams on external tables cannot have SHOW_INITIAL_ROWS set to true."));
    }
    if mode == Mode::Default && definition.columns.iter().any(|column| column.ty.is_geospatial()) {
        return Err(geospatial(&crate::catalog::change::name_of(definition)));
    }
    Ok(())
}

fn check_stage(catalog: &Catalog, id: ObjectId, create: &CreateStream) -> Result<ObjectId, SqlError> {
    let stage = catalog.stages.get(&id).ok_or_else(|| SqlError::missing("Stage", id))?;
    let table = match stage.table {
        Some(table) if stage.directory => table,
        _ => return Err(no_directory(&stage.name)),
    };
    for (set, option) in [
        (create.insert_only, "INSERT_ONLY"),
        (create.append_only, "APPEND_ONLY"),
        (create.show_initial_rows, "SHOW_INITIAL_ROWS"),
    ] {
        if set {
            return Err(refused(format!("Streams on directories cannot have {option} set to true.")));
        }
    }
    if create.point.is_some() {
        return Err(refused("SQL compilation error: Time travel not supported for stream creation on stages."));
    }
    Ok(table)
}

/// A stage whose directory table is off.
pub(super) fn no_directory(name: &Name) -> SqlError {
    refused(format!("DIRECTORY not enabled for the stage {}", name.name))
}
