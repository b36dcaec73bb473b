//! CREATE TABLE in all its forms.
//!
//! Promises: CREATE TABLE … AS is one commit: the table, its rows, and the streams its query read.
//! If the table exists already and IF NOT EXISTS was said, nothing moves and no warehouse is used,
//! also when it came into being while the query ran.
//! Leaves to others: ALTER TABLE (`table_alter`).

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{Expr, Query, Value as SqlValue, VisitMut, VisitorMut};

use super::relations::{Planner, names_in};
use super::transaction::Pending;
use super::{Rows, Session, Statement, answer};
use crate::catalog::change::Change;
use crate::catalog::{Catalog, Name, Object};
use crate::error::SqlError;
use crate::sql::{ColumnSpec, CreateTable, Point, Source};
use crate::table::version::Version;
use crate::table::{Column, Definition, Key, TableKind};

impl Session {
    pub(super) async fn create_table(
        &mut self,
        mut create: CreateTable,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let name = self.full_name(&create.name)?;
        if self.taken(&name, &create)? {
            return already(&name);
        }
        let done = match std::mem::replace(&mut create.source, Source::Columns) {
            Source::Query(query) => self.create_as(&create, &name, *query, statement).await,
            source => self.create_plain(&create, &name, source, statement),
        };
        match done {
            Ok(definition) => {
                if definition.kind == TableKind::Temporary {
                    self.temporary.push(definition.id);
                }
                answer::status(&format!("Table {} successfully created.", name.name))
            }
            Err(error) if error.code == "002002" && create.if_not_exists => already(&name),
            Err(error) => Err(error),
        }
    }

    /// Whether the name is taken and that is fine; an error if it is taken and that is not.
    pub(super) fn taken(&self, name: &Name, create: &CreateTable) -> Result<bool, SqlError> {
        let catalog = self.engine.catalog();
        self.check_place(&catalog, name)?;
        match catalog.names.get(name) {
            Some(_) if create.if_not_exists => return Ok(true),
            Some(Object::Table(_)) if create.or_replace => {}
            Some(_) => return Err(SqlError::exists(name)),
            None => {}
        }
        catalog.check_schema(self.role(), &name.database, &name.schema, "CREATE TABLE")?;
        Ok(false)
    }

    pub(super) fn definition(
        &self,
        create: &CreateTable,
        name: &Name,
        columns: Vec<Column>,
    ) -> Result<Definition, SqlError> {
        let id = self.engine.reserve_object();
        let key = |(constraint, names): &(Option<String>, Vec<String>), kind: &str| -> Result<Key, SqlError> {
            let ids = names
                .iter()
                .map(|name| {
                    let column = columns.iter().find(|column| column.name == *name);
                    column.map(|column| column.id).ok_or_else(|| SqlError::invalid_identifier(name))
                })
                .collect::<Result<_, _>>()?;
            let named = constraint.clone().unwrap_or_else(|| format!("SYS_CONSTRAINT_{kind}_{id}"));
            Ok(Key { name: named, columns: ids })
        };
        let primary_key = create.primary_key.as_ref().map(|spec| key(spec, "PK")).transpose()?;
        let unique = create.unique.iter().map(|spec| key(spec, "UK")).collect::<Result<_, _>>()?;
        let mut columns = columns.clone();
        for column in &mut columns {
            // A primary key's columns are NOT NULL without saying so.
            let keyed = primary_key.as_ref().is_some_and(|key| key.columns.contains(&column.id));
            column.nullable &= !keyed;
        }
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].iter().any(|earlier| earlier.name == column.name) {
                return Err(SqlError::new(
                    "002025",
                    "42S21",
                    format!("SQL compilation error:\nduplicate column name '{}'", column.name),
                ));
            }
        }
        Ok(Definition {
            id,
            lineage: id,
            database: name.database.clone(),
            schema: name.schema.clone(),
            name: name.name.clone(),
            kind: create.kind,
            next_column: u32::try_from(columns.len()).map_err(SqlError::internal)? + 1,
            columns,
            primary_key,
            unique,
            comment: create.comment.clone(),
            retention_days: create.retention_days,
            extension_days: create.extension_days,
            tracked_since: create.change_tracking.then_some(0),
            created: self.engine.now(),
            owner: self.role().to_owned(),
            nature: create.nature.clone(),
        })
    }

    fn create_plain(
        &self,
        create: &CreateTable,
        name: &Name,
        source: Source,
        statement: &Statement<'_>,
    ) -> Result<Definition, SqlError> {
        let columns = match &source {
            Source::Columns => columns_of(&create.columns)?,
            _ => Vec::new(),
        };
        let own = self.definition(create, name, columns)?;
        self.engine.commit(Vec::new(), |catalog| {
            let mut changes = replaced(catalog, name, create)?;
            let (definition, clone_of) = match &source {
                Source::Like(origin) => (self.copied(catalog, origin, &own)?, None),
                Source::Clone(origin, point) => self.cloned(catalog, origin, point.as_deref(), &own)?,
                Source::Columns | Source::Query(_) => (own.clone(), None),
            };
            changes.push(Change::CreateTable {
                definition: Box::new(definition.clone()),
                clone_of,
                statement: statement.query_id.clone(),
            });
            Ok((changes, definition))
        })
    }

    /// The shape of another table under a new name.
    fn copied(&self, catalog: &Catalog, origin: &[String], own: &Definition) -> Result<Definition, SqlError> {
        let origin = &self.table(catalog, origin, "SELECT")?.definition;
        Ok(Definition {
            columns: origin.columns.clone(),
            next_column: origin.next_column,
            primary_key: origin.primary_key.clone(),
            unique: origin.unique.clone(),
            ..own.clone()
        })
    }

    fn cloned(
        &self,
        catalog: &Catalog,
        path: &[String],
        point: Option<&Point>,
        own: &Definition,
    ) -> Result<(Definition, Option<(u64, u64)>), SqlError> {
        let copied = self.copied(catalog, path, own)?;
        let table = self.table(catalog, path, "SELECT")?;
        let version = match point {
            Some(point) => self.version_at(catalog, table, point)?,
            None => Arc::clone(table.current()),
        };
        let origin = &table.definition;
        let definition = Definition {
            lineage: origin.lineage,
            comment: own.comment.clone().or_else(|| origin.comment.clone()),
            retention_days: own.retention_days.or(origin.retention_days),
            extension_days: own.extension_days.or(origin.extension_days),
            tracked_since: origin.tracked_since.map(|_| 0),
            ..copied
        };
        Ok((definition, Some((origin.id, version.number))))
    }

    async fn create_as(
        &mut self,
        create: &CreateTable,
        name: &Name,
        query: Query,
        statement: &Statement<'_>,
    ) -> Result<Definition, SqlError> {
        let mut work = self.work();
        let streams = self.consumed_by(&names_in(&query))?;
        self.lock(&mut work, streams).await?;
        // Whoever held a stream's lock may have created the table meanwhile.
        if self.taken(name, create)? {
            return Err(SqlError::exists(name));
        }
        let mut planner = Planner::new(self, statement, work.sequence);
        let plan = planner.plan(query.clone())?;
        drop(planner);
        let metas = super::query::columns_of(&plan)?;
        if !create.columns.is_empty() && create.columns.len() != metas.len() {
            return Err(SqlError::new(
                "002026",
                "42601",
                format!(
                    "SQL compilation error:\nInvalid column definition list: {} columns are named, the query has {}",
                    create.columns.len(),
                    metas.len()
                ),
            ));
        }
        let specs: Vec<ColumnSpec> = metas
            .iter()
            .enumerate()
            .map(|(index, meta)| {
                let given = create.columns.get(index).cloned();
                let spec = given.unwrap_or_else(|| ColumnSpec {
                    name: meta.name.clone(),
                    ty: None,
                    nullable: true,
                    default: None,
                    identity: None,
                    comment: None,
                });
                ColumnSpec { ty: spec.ty.or(Some(meta.ty)), ..spec }
            })
            .collect();
        let definition = self.definition(create, name, columns_of(&specs)?)?;
        self.use_warehouse(statement)?;
        let base = Version::empty(0, 0, &statement.query_id);
        let mut next = base.clone();
        let (fresh, _) = self.insert_query(query, &definition.columns, &mut next, &mut work, statement).await?;
        let base = Arc::new(base);
        let pending = Pending { current: Arc::clone(&base), base, fresh: Vec::new() };
        work.writes.insert(definition.id, pending.changed(next, &[], fresh));
        {
            let catalog = self.engine.catalog();
            work.changes = replaced(&catalog, name, create)?;
        }
        work.changes.push(Change::CreateTable {
            definition: Box::new(definition.clone()),
            clone_of: None,
            statement: statement.query_id.clone(),
        });
        self.finish(work, statement)?;
        Ok(definition)
    }
}

fn already(name: &Name) -> Result<Rows, SqlError> {
    answer::status(&format!("{} already exists, statement succeeded.", name.name))
}

/// The drop that OR REPLACE means; an error if the name is taken otherwise.
pub(super) fn replaced(catalog: &Catalog, name: &Name, create: &CreateTable) -> Result<Vec<Change>, SqlError> {
    match catalog.names.get(name) {
        None => Ok(Vec::new()),
        Some(Object::Table(table)) if create.or_replace => Ok(vec![Change::DropTable { table: *table }]),
        Some(_) => Err(SqlError::exists(name)),
    }
}

pub(super) fn columns_of(specs: &[ColumnSpec]) -> Result<Vec<Column>, SqlError> {
    let ids = 1_u32..;
    ids.zip(specs).map(|(id, spec)| column_of(id, spec)).collect()
}

/// A column of a definition.
pub(super) fn column_of(id: u32, spec: &ColumnSpec) -> Result<Column, SqlError> {
    let ty = spec.ty.ok_or_else(|| SqlError::compilation(format!("Missing data type of column '{}'", spec.name)))?;
    Ok(Column {
        id,
        name: spec.name.clone(),
        ty,
        nullable: spec.nullable,
        default: spec.default.clone().map(stored),
        identity: spec.identity,
        fill: None,
        comment: spec.comment.clone(),
    })
}

/// An expression as text that reads back as itself: the parser's own text loses backslashes.
pub(super) fn stored(mut expr: Expr) -> String {
    struct Escape;
    impl VisitorMut for Escape {
        type Break = ();
        fn pre_visit_value(
            &mut self,
            value: &mut datafusion::sql::sqlparser::ast::ValueWithSpan,
        ) -> std::ops::ControlFlow<()> {
            if let SqlValue::SingleQuotedString(text) = &mut value.value {
                *text = text.replace('\\', "\\\\");
            }
            std::ops::ControlFlow::Continue(())
        }
    }
    let _ = expr.visit(&mut Escape);
    expr.to_string()
}
