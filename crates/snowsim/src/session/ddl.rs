//! DDL other than tables and streams: databases, schemas, views, warehouses, roles, drops.
//!
//! Promises: what exists is checked in the same commit that changes it.
//! Leaves to others: tables (`table_create`, `table_alter`), streams (`stream_ddl`), users (`user`), grants (`grants`).

use super::view_ddl::NewView;
use super::{Rows, Session, Statement, answer};
use crate::catalog::change::Change;
use crate::catalog::{Catalog, Container, Object, SIZES, Warehouse};
use crate::error::SqlError;
use crate::sql::{Command, Kind, Path};
use crate::warehouse::Turn;

impl Session {
    pub(super) async fn ddl(&mut self, command: Command, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        match command {
            Command::CreateTable(create) => self.create_table(*create, statement).await,
            Command::AlterTable { table, if_exists, action } => {
                self.alter_table(&table, if_exists, action, statement).await
            }
            Command::CreateStream(create) => self.create_stream(&create, statement),
            Command::CreateDynamic(create) => self.create_dynamic(*create, statement).await,
            Command::CreateExternal(create) => self.create_external(*create, statement).await,
            Command::CreateStage { name, or_replace, if_not_exists, directory, comment } => {
                self.create_stage(&name, or_replace, if_not_exists, directory, comment)
            }
            Command::AlterStage { name, if_exists, action } => {
                self.alter_stage(&name, if_exists, action, statement).await
            }
            Command::RefreshDynamic { name, if_exists } => self.refresh_dynamic(&name, if_exists, statement).await,
            Command::RefreshExternal { name, if_exists } => self.refresh_external(&name, if_exists, statement).await,
            Command::CopyFile { to, query, overwrite } => self.copy_file(&to, *query, overwrite, statement).await,
            Command::RemoveFiles(from) => self.remove_files(&from),
            Command::AlterView { name, if_exists, options } => self.alter_view(&name, if_exists, &options, statement),
            Command::AlterStream { stream, if_exists, comment } => self.alter_stream(&stream, if_exists, comment),
            Command::CreateView {
                name,
                or_replace,
                if_not_exists,
                columns,
                comment,
                secure,
                materialized,
                tracked,
                query: _,
            } => {
                let new = NewView { name, or_replace, if_not_exists, columns, comment, secure, materialized, tracked };
                self.create_view(new, statement)
            }
            Command::CreateContainer { kind, name, or_replace, if_not_exists, transient, comment } => {
                self.create_container(kind, &name, or_replace, if_not_exists, transient, comment)
            }
            Command::CreateWarehouse { name, or_replace, if_not_exists, options } => {
                self.create_warehouse(name, or_replace, if_not_exists, &options)
            }
            Command::CreateRole { name, or_replace, if_not_exists, comment } => {
                let created = self.engine.now();
                self.create(&name.clone(), "Role", if_not_exists, |_, catalog| {
                    if catalog.roles.contains_key(&name) && !or_replace {
                        return Ok(Err(SqlError::exists(&name)));
                    }
                    Ok(Ok(vec![Change::PutRole { name, created, comment }]))
                })
            }
            Command::CreateUser { name, or_replace, if_not_exists, options } => {
                self.create_user(name, or_replace, if_not_exists, options)
            }
            Command::AlterUser { name, if_exists, set, unset } => self.alter_user(&name, if_exists, set, &unset),
            Command::Drop { kind, name, if_exists } => self.drop_object(kind, &name, if_exists).await,
            Command::AlterWarehouse { name, options, turn } => self.alter_warehouse(name, &options, turn),
            Command::Native(order) => self.native(*order, statement).await,
            Command::Grant { grant, privileges, on, to } => self.grant(grant, &privileges, on, to),
            Command::Comment { kind, name, column, comment, if_exists } => {
                self.comment(kind, &name, column, &comment, if_exists)
            }
            other => Err(SqlError::unsupported(format!("{other:?}"))),
        }
    }

    /// Commits the creation of something; `decide`'s inner error is "it exists already".
    pub(super) fn create(
        &self,
        name: &str,
        title: &str,
        if_not_exists: bool,
        decide: impl FnOnce(&Self, &Catalog) -> Result<Result<Vec<Change>, SqlError>, SqlError>,
    ) -> Result<Rows, SqlError> {
        let message = self.engine.commit(Vec::new(), |catalog| match decide(self, catalog)? {
            Ok(changes) => Ok((changes, format!("{title} {name} successfully created."))),
            Err(_) if if_not_exists => Ok((Vec::new(), format!("{name} already exists, statement succeeded."))),
            Err(exists) => Err(exists),
        })?;
        answer::status(&message)
    }

    pub(super) fn create_container(
        &mut self,
        kind: Kind,
        path: &Path,
        or_replace: bool,
        if_not_exists: bool,
        transient: bool,
        comment: String,
    ) -> Result<Rows, SqlError> {
        let (owner, created) = (self.role().to_owned(), self.engine.now());
        let container = Container { created, owner: owner.clone(), comment, transient };
        if kind == Kind::Database {
            let name = path.last().cloned().unwrap_or_default();
            let rows = self.create(&name.clone(), "Database", if_not_exists, |_, catalog| {
                let mut changes = Vec::new();
                if catalog.databases.contains_key(&name) {
                    if !or_replace {
                        return Ok(Err(SqlError::exists(&name)));
                    }
                    changes.push(Change::DropDatabase { name: name.clone() });
                }
                catalog.check_account(&owner, "CREATE DATABASE")?;
                changes.push(Change::PutDatabase { name: name.clone(), container: container.clone() });
                for schema in ["PUBLIC", "INFORMATION_SCHEMA"] {
                    changes.push(Change::PutSchema {
                        database: name.clone(),
                        name: schema.to_owned(),
                        container: Container { comment: String::new(), ..container.clone() },
                    });
                }
                Ok(Ok(changes))
            })?;
            // A new database becomes the current one, as in Snowflake.
            self.current.database = Some(path.last().cloned().unwrap_or_default());
            self.current.schema = Some("PUBLIC".to_owned());
            return Ok(rows);
        }
        let (database, schema) = self.schema_name(path)?;
        let rows = self.create(&schema.clone(), "Schema", if_not_exists, |_, catalog| {
            if !catalog.databases.contains_key(&database) {
                return Err(SqlError::missing("Database", &database));
            }
            catalog.check_container(&owner, "DATABASE", &database, "CREATE SCHEMA")?;
            let mut changes = Vec::new();
            if catalog.schemas.contains_key(&(database.clone(), schema.clone())) {
                if !or_replace {
                    return Ok(Err(SqlError::exists(&schema)));
                }
                changes.push(Change::DropSchema { database: database.clone(), name: schema.clone() });
            }
            changes.push(Change::PutSchema { database: database.clone(), name: schema.clone(), container });
            Ok(Ok(changes))
        })?;
        let (database, schema) = self.schema_name(path)?;
        self.current.database = Some(database);
        self.current.schema = Some(schema);
        Ok(rows)
    }

    fn create_warehouse(
        &mut self,
        name: String,
        or_replace: bool,
        if_not_exists: bool,
        options: &[(String, String)],
    ) -> Result<Rows, SqlError> {
        let mut warehouse = Warehouse {
            name: name.clone(),
            created: self.engine.now(),
            owner: self.role().to_owned(),
            size: "X-Small".to_owned(),
            auto_suspend: 600,
            auto_resume: true,
            comment: String::new(),
        };
        let initially = configure(&mut warehouse, options)?;
        let rows = self.create(&name, "Warehouse", if_not_exists, |session, catalog| {
            catalog.check_account(session.role(), "CREATE WAREHOUSE")?;
            if catalog.warehouses.contains_key(&warehouse.name) && !or_replace {
                return Ok(Err(SqlError::exists(&warehouse.name)));
            }
            if let Some(replaced) = catalog.warehouses.get(&warehouse.name) {
                session.engine.meters.gone(replaced);
            }
            // A new one runs, and is billed, unless told not to.
            if initially.is_none_or(|suspended| !suspended) {
                session.engine.meters.turn(&warehouse, Turn::ResumeIfSuspended)?;
            }
            Ok(Ok(vec![Change::PutWarehouse { warehouse }]))
        })?;
        self.current.warehouse = Some(name);
        Ok(rows)
    }

    fn alter_warehouse(
        &self,
        name: Option<String>,
        options: &[(String, String)],
        turn: Option<Turn>,
    ) -> Result<Rows, SqlError> {
        let name = name.or_else(|| self.current.warehouse.clone());
        let name = name.ok_or_else(|| SqlError::unexpected("<EOF>"))?;
        self.engine.commit(Vec::new(), |catalog| {
            let known = catalog.warehouses.get(&name).cloned();
            let mut warehouse = known.ok_or_else(|| SqlError::missing("Warehouse", &name))?;
            let privilege = if turn.is_some() { "OPERATE" } else { "MODIFY" };
            catalog.check_container(self.role(), "WAREHOUSE", &name, privilege)?;
            let before = warehouse.clone();
            if configure(&mut warehouse, options)?.is_some() {
                return Err(SqlError::unexpected("INITIALLY_SUSPENDED"));
            }
            self.engine.meters.resized(&before, &warehouse);
            if let Some(turn) = turn {
                self.engine.meters.turn(&warehouse, turn)?;
            }
            Ok((vec![Change::PutWarehouse { warehouse }], ()))
        })?;
        answer::status("Statement executed successfully.")
    }

    async fn drop_object(&mut self, kind: Kind, path: &Path, if_exists: bool) -> Result<Rows, SqlError> {
        let last = path.last().cloned().unwrap_or_default();
        // A table that is being written is dropped after the writer's transaction.
        let mut work = self.work();
        if kind == Kind::Table
            && let Ok((table, _)) = self.target(path, "OWNERSHIP")
        {
            self.lock(&mut work, vec![(table, path.join("."))]).await?;
        }
        let done = self.engine.commit(Vec::new(), |catalog| Ok((vec![self.dropped(catalog, kind, path)?], ())));
        match done {
            Ok(()) => {
                let gone = |current: &Option<String>| current.as_ref() == Some(&last);
                if kind == Kind::Database && gone(&self.current.database) {
                    self.current.database = None;
                    self.current.schema = None;
                }
                if kind == Kind::Schema && gone(&self.current.schema) {
                    self.current.schema = None;
                }
                if kind == Kind::Warehouse && gone(&self.current.warehouse) {
                    self.current.warehouse = None;
                }
                answer::status(&format!("{last} successfully dropped."))
            }
            Err(error) if if_exists && error.code == "002003" => {
                answer::status(&format!("Drop statement executed successfully ({last} already dropped)."))
            }
            Err(error) => Err(error),
        }
    }

    fn dropped(&self, catalog: &Catalog, kind: Kind, path: &Path) -> Result<Change, SqlError> {
        let name = path.last().cloned().unwrap_or_default();
        let missing = || SqlError::missing(kind.title(), path.join("."));
        Ok(match kind {
            Kind::Database => {
                catalog.databases.get(&name).ok_or_else(missing)?;
                catalog.check_container(self.role(), "DATABASE", &name, "OWNERSHIP")?;
                Change::DropDatabase { name }
            }
            Kind::Schema => {
                let (database, schema) = self.schema_name(path)?;
                catalog.schemas.get(&(database.clone(), schema.clone())).ok_or_else(missing)?;
                catalog.check_schema(self.role(), &database, &schema, "OWNERSHIP")?;
                Change::DropSchema { database, name: schema }
            }
            Kind::Table | Kind::View | Kind::Stream | Kind::Stage => {
                let full = self.full_name(path)?;
                self.check_place(catalog, &full)?;
                let object = *catalog.names.get(&full).ok_or_else(|| SqlError::missing(kind.title(), &full))?;
                catalog.check_object(self.role(), object, "OWNERSHIP")?;
                match (kind, object) {
                    (Kind::Table, Object::Table(table)) => Change::DropTable { table },
                    (Kind::View, Object::View(view)) => Change::DropView { view },
                    (Kind::Stream, Object::Stream(stream)) => Change::DropStream { stream },
                    (Kind::Stage, Object::Stage(stage)) => Change::DropStage { stage },
                    (kind, object) => {
                        return Err(super::stream_source::wrong_type(object.kind(), kind.word()));
                    }
                }
            }
            Kind::Warehouse => {
                let dropped = catalog.warehouses.get(&name).ok_or_else(missing)?;
                catalog.check_container(self.role(), "WAREHOUSE", &name, "OWNERSHIP")?;
                self.engine.meters.gone(dropped);
                Change::DropWarehouse { name }
            }
            Kind::Role => {
                catalog.roles.get(&name).ok_or_else(missing)?;
                Change::DropRole { name }
            }
            Kind::User => {
                catalog.users.get(&name).ok_or_else(missing)?;
                Change::DropUser { name }
            }
        })
    }

    fn comment(
        &self,
        kind: Kind,
        path: &Path,
        column: Option<String>,
        comment: &str,
        if_exists: bool,
    ) -> Result<Rows, SqlError> {
        let done = self.engine.commit(Vec::new(), |catalog| {
            let comment = comment.to_owned();
            let name = path.last().cloned().unwrap_or_default();
            let missing = || SqlError::missing(kind.title(), path.join("."));
            let change = match kind {
                Kind::Database => {
                    let known = catalog.databases.get(&name).cloned().ok_or_else(missing)?;
                    Change::PutDatabase { name, container: Container { comment, ..known } }
                }
                Kind::Schema => {
                    let (database, name) = self.schema_name(path)?;
                    let known = catalog.schemas.get(&(database.clone(), name.clone())).cloned();
                    let known = known.ok_or_else(missing)?;
                    Change::PutSchema { database, name, container: Container { comment, ..known } }
                }
                Kind::Warehouse => {
                    let known = catalog.warehouses.get(&name).cloned().ok_or_else(missing)?;
                    Change::PutWarehouse { warehouse: Warehouse { comment, ..known } }
                }
                Kind::Table => {
                    let mut definition = self.table(catalog, path, "OWNERSHIP")?.definition.clone();
                    match column {
                        None => definition.comment = Some(comment),
                        Some(name) => {
                            let column = definition.columns.iter_mut().find(|column| column.name == name);
                            column.ok_or_else(|| SqlError::invalid_identifier(&name))?.comment = Some(comment);
                        }
                    }
                    Change::AlterTable { definition: Box::new(definition) }
                }
                Kind::Stream => match self.object(catalog, path, "OWNERSHIP")?.1 {
                    Object::Stream(id) => {
                        let mut stream = catalog.streams.get(&id).cloned().ok_or_else(missing)?;
                        stream.comment = comment;
                        Change::PutStream { stream: Box::new(stream) }
                    }
                    _ => return Err(missing()),
                },
                other => return Err(SqlError::unsupported(format!("COMMENT ON {}", other.word()))),
            };
            Ok((vec![change], ()))
        });
        match done {
            Err(error) if !(if_exists && error.code == "002003") => Err(error),
            _ => answer::status("Statement executed successfully."),
        }
    }
}

/// Sets properties; returns INITIALLY_SUSPENDED, which is none.
fn configure(warehouse: &mut Warehouse, options: &[(String, String)]) -> Result<Option<bool>, SqlError> {
    let mut initially = None;
    for (option, value) in options {
        match option.as_str() {
            "WAREHOUSE_SIZE" => {
                let size = value.to_uppercase().replace('-', "");
                let known = SIZES.iter().find(|(said, _)| *said == size);
                let (_, shown) = known.ok_or_else(|| SqlError::unsupported(format!("WAREHOUSE_SIZE = {value}")))?;
                (*shown).clone_into(&mut warehouse.size);
            }
            "AUTO_SUSPEND" if value.eq_ignore_ascii_case("null") => warehouse.auto_suspend = 0,
            "AUTO_SUSPEND" => {
                warehouse.auto_suspend = value.parse().map_err(|_| SqlError::bad_value("Numeric", value))?;
            }
            "AUTO_RESUME" => warehouse.auto_resume = value.eq_ignore_ascii_case("true"),
            "INITIALLY_SUSPENDED" => initially = Some(value.eq_ignore_ascii_case("true")),
            "COMMENT" => warehouse.comment.clone_from(value),
            // These only tune a real warehouse.
            "WAREHOUSE_TYPE"
            | "MIN_CLUSTER_COUNT"
            | "MAX_CLUSTER_COUNT"
            | "SCALING_POLICY"
            | "RESOURCE_MONITOR"
            | "ENABLE_QUERY_ACCELERATION"
            | "STATEMENT_TIMEOUT_IN_SECONDS"
            | "MAX_CONCURRENCY_LEVEL"
            | "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS" => {}
            other => return Err(SqlError::unexpected(other)),
        }
    }
    Ok(initially)
}
