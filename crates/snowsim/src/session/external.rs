//! External tables: CREATE and REFRESH from the files of a stage.
//!
//! Promises: a refresh is one commit: rows of new files come, rows of files that are gone or written anew go. A file
//! is JSON lines; each line is the VALUE of one row.
//! Leaves to others: the files (`stage`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{LargeStringArray, RecordBatch, StringArray};
use arrow_schema::Schema;
use datafusion::datasource::MemTable;

use super::relations::Planner;
use super::table_create::{columns_of, replaced, stored};
use super::{Rows, Session, Statement, answer};
use crate::catalog::change::Change;
use crate::catalog::{Object, ObjectId};
use crate::error::SqlError;
use crate::sql::cursor::Cursor;
use crate::sql::objects::CreateExternal;
use crate::sql::{ColumnSpec, CreateTable, Path};
use crate::table::nature::{External, FILENAME, Nature};
use crate::table::scan::{Output, Selection, read_part};
use crate::table::version::Version;
use crate::table::{Column, Definition, TableKind};
use crate::types::SnowType;
use crate::types::json::Json;

const FILE: &str = "$FILE";

impl Session {
    pub(super) async fn create_external(
        &mut self,
        create: CreateExternal,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let name = self.full_name(&create.name)?;
        let mut plain =
            CreateTable::new(create.name.clone(), create.or_replace, create.if_not_exists, TableKind::Permanent);
        if self.taken(&name, &plain)? {
            return answer::status(&format!("{} already exists, statement succeeded.", name.name));
        }
        let stage = match self.object(&self.engine.catalog(), &create.location.stage, "READ")? {
            (name, Object::Stage(_)) => name,
            (_, other) => return Err(super::stream_source::wrong_type(other.kind(), "STAGE")),
        };
        let column = |name: &str, ty| ColumnSpec {
            name: name.to_owned(),
            ty: Some(ty),
            nullable: true,
            default: None,
            identity: None,
            comment: None,
        };
        let own = create.columns.iter().map(|(name, ty, _)| column(name, *ty));
        let specs: Vec<ColumnSpec> = std::iter::once(column("VALUE", SnowType::Variant))
            .chain(own)
            .chain([column(FILENAME, SnowType::TEXT)])
            .collect();
        plain.comment.clone_from(&create.comment);
        plain.change_tracking = true;
        plain.nature = Nature::External(External {
            stage,
            path: create.location.path.clone(),
            partitioned: create.partitioned,
            expressions: create.columns.iter().map(|(_, _, expr)| stored(expr.clone())).collect(),
            files: BTreeMap::new(),
        });
        let definition = self.definition(&plain, &name, columns_of(&specs)?)?;
        let id = definition.id;
        self.engine.commit(Vec::new(), |catalog| {
            let mut changes = replaced(catalog, &name, &plain)?;
            changes.push(Change::CreateTable {
                definition: Box::new(definition),
                clone_of: None,
                statement: statement.query_id.clone(),
            });
            Ok((changes, ()))
        })?;
        self.refresh_files(id, statement).await?;
        answer::status(&format!("Table {} successfully created.", name.name))
    }

    pub(super) async fn refresh_external(
        &mut self,
        path: &Path,
        if_exists: bool,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let found = {
            let catalog = self.engine.catalog();
            match self.object(&catalog, path, "OWNERSHIP") {
                Err(error) if if_exists && error.code == "002003" => None,
                found => Some(found?.1),
            }
        };
        match found {
            None => {}
            Some(Object::Table(id)) => self.refresh_files(id, statement).await?,
            Some(other) => return Err(super::stream_source::wrong_type(other.kind(), "EXTERNAL_TABLE")),
        }
        answer::status("Statement executed successfully.")
    }

    async fn refresh_files(&mut self, id: ObjectId, statement: &Statement<'_>) -> Result<(), SqlError> {
        let mut work = self.work();
        let (mut definition, there) = {
            let catalog = self.engine.catalog();
            let table = catalog.table(id).ok_or_else(|| SqlError::missing("External table", id))?;
            let definition = table.definition.clone();
            let Nature::External(external) = &definition.nature else {
                return Err(super::stream_source::wrong_type(definition.nature.word(), "EXTERNAL_TABLE"));
            };
            let Some(Object::Stage(stage)) = catalog.names.get(&external.stage) else {
                return Err(SqlError::missing("Stage", &external.stage));
            };
            let files = catalog.stages.get(stage).map(|stage| stage.files.clone()).unwrap_or_default();
            let there: BTreeMap<_, _> =
                files.into_iter().filter(|(path, _)| path.starts_with(&external.path)).collect();
            (definition, there)
        };
        self.lock(&mut work, vec![(id, definition.full_name())]).await?;
        let (pending, columns) = self.locked(id)?;
        let Nature::External(external) = &mut definition.nature else { return Ok(()) };
        let same = |path: &String, at: &i64| there.get(path).is_some_and(|file| file.modified == *at);
        let gone: BTreeSet<String> =
            external.files.iter().filter(|(path, at)| !same(path, at)).map(|(path, _)| path.clone()).collect();
        let (mut values, mut names) = (Vec::new(), Vec::new());
        for (path, file) in there.iter().filter(|(path, file)| external.files.get(*path) != Some(&file.modified)) {
            for line in file.content.lines().filter(|line| !line.trim().is_empty()) {
                let json = Json::parse(line).map_err(|detail| {
                    SqlError::new("100069", "22P02", format!("Error parsing JSON: {detail} in file '{path}'"))
                })?;
                values.push(json.to_string());
                names.push(path.clone());
            }
        }
        let expressions = external.expressions.clone();
        external.files = there.iter().map(|(path, file)| (path.clone(), file.modified)).collect();
        let deleted = rows_of(&pending.current, &definition, &gone)?;
        let mut next = Version::clone(&pending.current);
        let mut fresh = Vec::new();
        if !values.is_empty() {
            let query = Cursor::new(&rows_query(&columns, &expressions))?.query()?;
            let fields = [SnowType::Variant.field("VALUE", true), SnowType::TEXT.field(FILENAME, false)];
            let schema = Arc::new(Schema::new(fields.to_vec()));
            let arrays: Vec<arrow_array::ArrayRef> =
                vec![Arc::new(LargeStringArray::from(values)), Arc::new(StringArray::from(names))];
            let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
            let mut planner = Planner::new(self, statement, None);
            planner.give(FILE, Arc::new(MemTable::try_new(schema, vec![vec![batch]])?));
            let plan = planner.plan(*query)?;
            drop(planner);
            fresh = self.insert_plan(plan, &columns, &mut next).await?.0;
        }
        work.writes.insert(id, pending.changed(next, &deleted, fresh));
        work.changes.push(Change::AlterTable { definition: Box::new(definition) });
        self.finish(work, statement)
    }
}

/// `SELECT VALUE, <expression> …, METADATA$FILENAME` over the lines of files.
fn rows_query(columns: &[Column], expressions: &[String]) -> String {
    let own = columns.iter().skip(1).zip(expressions);
    let own = own
        .map(|(column, text)| format!("CAST(({text}) AS {}) AS \"{}\", ", column.ty, column.name.replace('"', "\"\"")));
    format!("SELECT VALUE, {}\"{FILENAME}\" FROM \"{FILE}\"", own.collect::<String>())
}

/// Where the rows of some files are.
fn rows_of(
    version: &Version,
    definition: &Definition,
    files: &BTreeSet<String>,
) -> Result<Vec<(usize, u32)>, SqlError> {
    let mut found = Vec::new();
    let Some(column) = definition.column(FILENAME).filter(|_| !files.is_empty()) else {
        return Ok(found);
    };
    for (at, view) in version.parts.iter().enumerate() {
        let outputs = vec![Output::Column(column.clone()), Output::Position];
        for batch in read_part(&view.part, Selection::Live(Arc::clone(&view.deletes)), outputs)? {
            let batch = batch?;
            let names = batch.column(0).as_string::<i32>();
            let positions = batch.column(1).as_primitive::<arrow_array::types::UInt32Type>();
            let rows = (0..batch.num_rows()).filter(|row| files.contains(names.value(*row)));
            found.extend(rows.map(|row| (at, positions.value(row))));
        }
    }
    Ok(found)
}
