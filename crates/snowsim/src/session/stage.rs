//! Stages: their files, and the directory table that lists them.
//!
//! Promises: the directory table follows the files only at ALTER STAGE … REFRESH, in one commit; a file written anew
//! is a row gone and a row come. Files are put by COPY INTO '@stage/file' and taken by REMOVE.
//! Leaves to others: streams on directory tables (`stream_read`).

use std::collections::BTreeMap;

use futures::TryStreamExt;

use super::query::columns_of;
use super::relations::{Planner, names_in};
use super::{Rows, Session, Statement, answer};
use crate::catalog::change::Change;
use crate::catalog::stage::{File, Stage};
use crate::catalog::{Name, Object};
use crate::error::SqlError;
use crate::sql::objects::{Location, StageAction};
use crate::sql::{ColumnSpec, CreateTable, Path};
use crate::stream::view::digest;
use crate::table::nature::Nature;
use crate::table::part::PartKind;
use crate::table::scan::{Output, Selection, read_part};
use crate::table::version::Version;
use crate::table::{Column, Definition, TableKind};
use crate::types::SnowType;
use crate::types::convert::{Builder, read};
use crate::types::timestamp::Timestamp;
use crate::types::value::Value;

/// Files of a directory table: where each row is, and the time it has.
type Listed = BTreeMap<String, ((usize, u32), Timestamp)>;

/// Columns of every directory table (docs.snowflake.com/en/user-guide/data-load-dirtables-query).
const DIRECTORY: [(&str, &str); 6] = [
    ("RELATIVE_PATH", "VARCHAR"),
    ("SIZE", "NUMBER(38,0)"),
    ("LAST_MODIFIED", "TIMESTAMP_TZ(3)"),
    ("MD5", "VARCHAR"),
    ("ETAG", "VARCHAR"),
    ("FILE_URL", "VARCHAR"),
];

impl Session {
    pub(super) fn create_stage(
        &self,
        path: &Path,
        or_replace: bool,
        if_not_exists: bool,
        directory: bool,
        comment: String,
    ) -> Result<Rows, SqlError> {
        let name = self.full_name(path)?;
        let table = self.directory_table(&name)?;
        let stage = Stage {
            id: self.engine.reserve_object(),
            name: name.clone(),
            created: self.engine.now(),
            owner: self.role().to_owned(),
            comment,
            directory,
            table: Some(table.id),
            files: BTreeMap::new(),
        };
        self.create(&name.name.clone(), "Stage area", if_not_exists, |session, catalog| {
            session.check_place(catalog, &name)?;
            catalog.check_schema(session.role(), &name.database, &name.schema, "CREATE STAGE")?;
            let mut changes = Vec::new();
            match catalog.names.get(&name) {
                Some(Object::Stage(id)) if or_replace => changes.push(Change::DropStage { stage: *id }),
                Some(_) => return Ok(Err(SqlError::exists(&name))),
                None => {}
            }
            changes.push(Change::PutStage { stage: Box::new(stage) });
            changes.push(Change::CreateTable { definition: Box::new(table), clone_of: None, statement: String::new() });
            Ok(Ok(changes))
        })
    }

    fn directory_table(&self, name: &Name) -> Result<Definition, SqlError> {
        let mut plain = CreateTable::new(Vec::new(), false, false, TableKind::Permanent);
        plain.nature = Nature::Directory;
        plain.change_tracking = true;
        let specs: Vec<ColumnSpec> = DIRECTORY
            .iter()
            .map(|(name, ty)| ColumnSpec {
                name: (*name).to_owned(),
                ty: SnowType::parse(ty),
                nullable: true,
                default: None,
                identity: None,
                comment: None,
            })
            .collect();
        self.definition(&plain, name, super::table_create::columns_of(&specs)?)
    }

    pub(super) fn stage(&self, path: &[String], privilege: &str) -> Result<Stage, SqlError> {
        let catalog = self.engine.catalog();
        let found = match self.object(&catalog, path, privilege) {
            Ok((_, Object::Stage(id))) => catalog.stages.get(&id).cloned(),
            _ => None,
        };
        found.map_or_else(|| Err(SqlError::missing("Stage", self.full_name(path)?)), Ok)
    }

    pub(super) async fn alter_stage(
        &mut self,
        path: &Path,
        if_exists: bool,
        action: StageAction,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let mut stage = match self.stage(path, "OWNERSHIP") {
            Err(error) if if_exists && error.code == "002003" => {
                return answer::status("Statement executed successfully.");
            }
            found => found?,
        };
        match action {
            StageAction::Refresh => self.refresh_directory(&stage, statement).await?,
            StageAction::Directory(on) => {
                stage.directory = on;
                self.put_stage(stage)?;
            }
            StageAction::Comment(comment) => {
                stage.comment = comment;
                self.put_stage(stage)?;
            }
        }
        answer::status("Statement executed successfully.")
    }

    pub(super) fn put_stage(&self, stage: Stage) -> Result<(), SqlError> {
        self.engine.commit(Vec::new(), |_| Ok((vec![Change::PutStage { stage: Box::new(stage) }], ())))
    }

    async fn refresh_directory(&mut self, stage: &Stage, statement: &Statement<'_>) -> Result<(), SqlError> {
        let Some(table) = stage.table.filter(|_| stage.directory) else {
            return Err(super::stream_source::no_directory(&stage.name));
        };
        let mut work = self.work();
        self.lock(&mut work, vec![(table, stage.name.to_string())]).await?;
        let (pending, columns) = self.locked(table)?;
        let mut listed = listed(&pending.current, &columns)?;
        let mut next = Version::clone(&pending.current);
        let mut builders: Vec<Builder> = columns.iter().map(|column| Builder::new(column.ty, 1)).collect();
        let (mut deleted, mut rows) = (Vec::new(), 0);
        for (path, file) in &stage.files {
            let modified = Timestamp::from_nanos(i128::from(file.modified)).truncate(3);
            match listed.remove(path) {
                Some((_, at)) if at == modified => continue,
                Some((address, _)) => deleted.push(address),
                None => {}
            }
            rows += 1;
            let url = format!("https://snowsim.invalid/api/files/{}/{path}", stage.name.to_string().replace('.', "/"));
            let tag = format!("{:016x}", digest(file.content.as_bytes()));
            let cells = [
                Some(Value::Text(path.clone())),
                Some(Value::Fixed(i128::try_from(file.content.len()).unwrap_or(0), 0)),
                Some(Value::Tz(modified)),
                None,
                Some(Value::Text(tag)),
                Some(Value::Text(url)),
            ];
            for (builder, cell) in builders.iter_mut().zip(cells) {
                builder.push(cell)?;
            }
        }
        deleted.extend(listed.into_values().map(|(address, _)| address));
        let mut writer = self.writer(PartKind::Insert, &columns);
        if rows > 0 {
            let ids = super::column::new_rows(&mut next, rows);
            writer.push(builders.into_iter().map(Builder::finish).collect(), ids)?;
        }
        work.writes.insert(table, pending.changed(next, &deleted, writer.finish()?));
        self.finish(work, statement)?;
        self.commit_transaction()
    }

    /// COPY INTO a file: every row of a one-column query is a line of JSON.
    pub(super) async fn copy_file(
        &mut self,
        to: &Location,
        query: datafusion::sql::sqlparser::ast::Query,
        overwrite: bool,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let mut stage = self.stage(&to.stage, "WRITE")?;
        if to.path.is_empty() || (stage.files.contains_key(&to.path) && !overwrite) {
            return Err(SqlError::compilation(format!(
                "Files already existing at the unload destination: @{}/{}. Use overwrite option to force unloading.",
                stage.name, to.path
            )));
        }
        self.use_warehouse(statement)?;
        let mut work = self.work();
        let streams = self.consumed_by(&names_in(&query))?;
        self.lock(&mut work, streams).await?;
        let mut planner = Planner::new(self, statement, work.sequence);
        let plan = planner.plan(query)?;
        work.consumed.append(&mut planner.streams);
        drop(planner);
        let metas = columns_of(&plan)?;
        let [only] = metas.as_slice() else {
            return Err(SqlError::unsupported("COPY INTO a file from more than one column"));
        };
        let ty = only.ty;
        let mut found = self.run_plan(plan, &metas).await?;
        let (mut content, mut rows) = (String::new(), 0_u64);
        while let Some(batch) = found.try_next().await? {
            for row in 0..batch.num_rows() {
                if let Some(value) = read(batch.column(0), row, ty)? {
                    content.push_str(&value.into_json().to_string());
                    content.push('\n');
                    rows += 1;
                }
            }
        }
        let bytes = u64::try_from(content.len()).unwrap_or(0);
        // Two writings in one instant of the clock are still two.
        let before = stage.files.get(&to.path).map_or(0, |file| file.modified + 1_000_000);
        let modified = self.engine.now().max(before);
        stage.files.insert(to.path.clone(), File { content, modified });
        work.changes.push(Change::PutStage { stage: Box::new(stage) });
        self.finish(work, statement)?;
        answer::counts(&[("rows_unloaded", rows), ("input_bytes", bytes), ("output_bytes", bytes)])
    }

    /// REMOVE.
    pub(super) fn remove_files(&self, from: &Location) -> Result<Rows, SqlError> {
        let mut stage = self.stage(&from.stage, "WRITE")?;
        let gone: Vec<String> = stage.files.keys().filter(|path| path.starts_with(&from.path)).cloned().collect();
        stage.files.retain(|path, _| !gone.contains(path));
        let shown = gone.iter().map(|path| {
            vec![answer::text(format!("{}/{path}", stage.name.name.to_lowercase())), answer::text("removed")]
        });
        let shown = shown.collect();
        self.put_stage(stage)?;
        answer::rows(&[("name", SnowType::TEXT), ("result", SnowType::TEXT)], shown)
    }
}

/// The files a directory table lists.
fn listed(version: &Version, columns: &[Column]) -> Result<Listed, SqlError> {
    use arrow_array::cast::AsArray;
    let mut found = BTreeMap::new();
    let (Some(path), Some(modified)) = (columns.first(), columns.get(2)) else {
        return Ok(found);
    };
    for (at, view) in version.parts.iter().enumerate() {
        let outputs = vec![Output::Column(path.clone()), Output::Column(modified.clone()), Output::Position];
        for batch in read_part(&view.part, Selection::Live(std::sync::Arc::clone(&view.deletes)), outputs)? {
            let batch = batch?;
            let positions = batch.column(2).as_primitive::<arrow_array::types::UInt32Type>();
            for row in 0..batch.num_rows() {
                let name = batch.column(0).as_string::<i32>().value(row).to_owned();
                if let Some(Value::Tz(time)) = read(batch.column(1), row, modified.ty)? {
                    found.insert(name, ((at, positions.value(row)), time));
                }
            }
        }
    }
    Ok(found)
}
