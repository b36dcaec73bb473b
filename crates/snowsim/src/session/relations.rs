//! The relations of one statement: tables, views and streams pinned to the versions it reads.
//!
//! Promises: everything is pinned before the statement runs; a stream read by DML is noted, so that
//! it moves when the statement commits.
//! Leaves to others: planning (`sql::plan`), locks (taken before by `session::dml`).

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{Expr as EngineExpr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Query, TableFactor, TableVersion, Visit, Visitor,
};

use super::transaction::Offsets;
use super::{Session, Statement};
use crate::catalog::{Catalog, Object, ObjectId, View};
use crate::error::SqlError;
use crate::sql::plan::Relations;
use crate::sql::rewrite::{Host, path_of, rewrite};
use crate::sql::{Command, Path, Point, parse};
use crate::stream::Mode;
use crate::stream::delta::Difference;
use crate::stream::marked::MarkedTable;
use crate::stream::not_initialized;
use crate::stream::provider::StreamTable;
use crate::stream::trackable::{self, untrackable};
use crate::table::nature::Nature;
use crate::table::scan::VersionTable;
use crate::table::version::Version;
use crate::table::{Column, Table};

/// Name under which DML registers the table it changes.
pub(super) const TARGET: &str = "$TARGET";

/// Plans one statement's queries.
pub(super) struct Planner<'a> {
    pub(super) session: &'a Session,
    pub(super) statement: &'a Statement<'a>,
    /// Upper end of streams: the transaction's start, or now.
    pub(super) sequence: Option<u64>,
    /// The table that DML changes, with its rows' addresses.
    pub(super) target: Option<(Arc<Version>, Vec<Column>)>,
    /// Streams read, and the versions up to which.
    pub(super) streams: BTreeMap<ObjectId, Offsets>,
    /// Tables read, also inside views.
    pub(super) tables: Vec<ObjectId>,
    /// Tables to read as they are given here, and no others.
    pub(super) pins: Option<Arc<HashMap<ObjectId, MarkedTable>>>,
    /// Whether changes of what is planned are to be told: views must allow it.
    pub(super) tracked: bool,
    /// Whether something was read that needs a warehouse.
    pub(super) warehouse: bool,
    relations: Relations,
    generators: u64,
    depth: usize,
}

impl<'a> Planner<'a> {
    pub(super) fn new(session: &'a Session, statement: &'a Statement<'a>, sequence: Option<u64>) -> Self {
        Self {
            session,
            statement,
            sequence,
            target: None,
            streams: BTreeMap::new(),
            tables: Vec::new(),
            pins: None,
            tracked: false,
            warehouse: false,
            relations: Relations::default(),
            generators: 0,
            depth: 0,
        }
    }

    /// The logical plan of a query.
    pub(super) fn plan(&mut self, mut query: Query) -> Result<LogicalPlan, SqlError> {
        rewrite(&mut query, self)?;
        self.relations.plan(query)
    }

    /// Gives a relation to read under a name of its own.
    pub(super) fn give(&mut self, name: &str, table: Arc<dyn TableProvider>) {
        self.relations.insert(&[name.to_owned()], table);
    }

    fn version(&self, catalog: &Catalog, table: &Table) -> Result<Arc<Version>, SqlError> {
        Ok(self.session.pending(catalog, table.definition.id)?.current)
    }

    fn provider(&mut self, path: &Path, version: Option<&TableVersion>) -> Result<Arc<dyn TableProvider>, SqlError> {
        let session = self.session;
        let catalog = session.engine.catalog();
        let (name, object) = session.object(&catalog, path, "SELECT")?;
        self.warehouse = true;
        Ok(match (object, version) {
            (Object::Table(id), None) => {
                self.tables.push(id);
                if let Some(pins) = &self.pins {
                    let pinned = pins.get(&id).cloned();
                    return Ok(Arc::new(pinned.ok_or_else(|| SqlError::missing("Object", &name))?));
                }
                let table = catalog.table(id).ok_or_else(|| SqlError::missing("Object", &name))?;
                let definition = &table.definition;
                if self.tracked
                    && !matches!(definition.nature, Nature::Plain | Nature::Event | Nature::Iceberg { managed: true })
                {
                    return Err(SqlError::unsupported(format!(
                        "a stream on a view over {} {name}",
                        definition.nature.word().replace('_', " ").to_lowercase()
                    )));
                }
                if let Nature::Dynamic(dynamic) = &definition.nature
                    && dynamic.data_at.is_none()
                {
                    return Err(not_initialized(&definition.full_name()));
                }
                Arc::new(VersionTable::new(self.version(&catalog, table)?, definition.shown(), false))
            }
            (Object::Table(id), Some(version)) => {
                let table = catalog.table(id).ok_or_else(|| SqlError::missing("Object", &name))?;
                self.travelled(&catalog, table, version)?
            }
            (Object::Stream(id), None) => {
                let stream = catalog.streams.get(&id).cloned().ok_or_else(|| SqlError::missing("Stream", &name))?;
                drop(catalog);
                self.stream(&stream)?
            }
            (Object::View(id), None) => {
                let view = catalog.views.get(&id).cloned().ok_or_else(|| SqlError::missing("Object", &name))?;
                drop(catalog);
                Arc::new(ViewTable::new(self.view(&view)?, None))
            }
            (Object::Stage(_), None) => return Err(SqlError::unsupported("a stage in FROM")),
            (Object::View(id), Some(version)) => {
                let view = catalog.views.get(&id).cloned().ok_or_else(|| SqlError::missing("Object", &name))?;
                drop(catalog);
                self.view_travelled(&view, version)?
            }
            (_, Some(version)) => return Err(SqlError::unsupported(format!("{version} on a {}", object.kind()))),
        })
    }

    fn travelled(
        &self,
        catalog: &Catalog,
        table: &Table,
        version: &TableVersion,
    ) -> Result<Arc<dyn TableProvider>, SqlError> {
        let columns = table.definition.shown();
        match version {
            TableVersion::Function(at) => {
                let version = self.session.version_at(catalog, table, &point(at)?)?;
                Ok(Arc::new(VersionTable::new(version, columns, false)))
            }
            TableVersion::Changes { changes, at, end } => {
                if !matches!(
                    table.definition.nature,
                    Nature::Plain | Nature::Event | Nature::Dynamic(_) | Nature::Iceberg { managed: true }
                ) {
                    let word = table.definition.nature.word().replace('_', " ").to_lowercase();
                    return Err(SqlError::unsupported(format!("CHANGES on {word} {}", table.definition.full_name())));
                }
                let from = self.session.version_at(catalog, table, &point(at)?)?;
                match table.definition.tracked_since {
                    Some(since) if since <= from.number => {}
                    _ => return Err(super::stream_ddl::not_tracked(&table.definition.name)),
                }
                let to = match end {
                    Some(end) => self.session.version_at(catalog, table, &point(end)?)?,
                    None => self.version(catalog, table)?,
                };
                let difference = match information(changes)? {
                    Mode::AppendOnly => Difference::appended(table, from.number, to.number),
                    _ => Difference::net(table, &from, &to),
                };
                Ok(Arc::new(StreamTable::new(difference)))
            }
            other => Err(SqlError::unsupported(other)),
        }
    }

    /// The plan of a view's query.
    pub(super) fn view_body(&mut self, view: &View) -> Result<LogicalPlan, SqlError> {
        if self.depth > 16 {
            return Err(SqlError::compilation(format!("view {} refers to itself", view.name)));
        }
        let query = match parse(&view.text)? {
            Command::CreateView { query, .. } => query,
            Command::CreateDynamic(create) => create.query,
            _ => return Err(SqlError::internal(format!("the text of {} has no query", view.name))),
        };
        if self.tracked {
            if view.materialized {
                return Err(untrackable("'Materialized View'"));
            }
            trackable::check(&query)?;
        }
        // Names inside a view are those of the place where it was made.
        let mut inside = self.session.shadow();
        inside.current.database = Some(view.name.database.clone());
        inside.current.schema = Some(view.name.schema.clone());
        inside.current.role = Some(view.owner.clone());
        let mut planner = Planner::new(&inside, self.statement, self.sequence);
        planner.depth = self.depth + 1;
        planner.pins.clone_from(&self.pins);
        planner.tracked = self.tracked;
        let plan = planner.plan(*query)?;
        self.streams.append(&mut planner.streams);
        self.tables.append(&mut planner.tables);
        Ok(plan)
    }

    /// The plan of a view, its columns under the names it was made with.
    pub(super) fn view(&mut self, view: &View) -> Result<LogicalPlan, SqlError> {
        let plan = self.view_body(view)?;
        let fields = plan.schema().columns();
        // A view keeps the shape it was made with; what it selects may have changed since (facts §1.7).
        if fields.len() != view.columns.len() {
            return Err(SqlError::compilation(format!(
                "View definition for '{}' declared {} column(s), but view query produces {} column(s).",
                view.name,
                view.columns.len(),
                fields.len()
            )));
        }
        let renamed =
            fields.into_iter().zip(&view.columns).map(|(column, (name, _))| EngineExpr::Column(column).alias(name));
        Ok(LogicalPlanBuilder::new(plan).project(renamed)?.build()?)
    }
}

/// `KIND(NAME => value)`: the function's word and the argument.
fn argument(expr: &Expr) -> Result<(String, Expr), SqlError> {
    let refuse = || SqlError::unexpected(expr);
    let Expr::Function(function) = expr else { return Err(refuse()) };
    let FunctionArguments::List(list) = &function.args else { return Err(refuse()) };
    match list.args.as_slice() {
        [FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. }] => Ok((name.value.clone(), value.clone())),
        [FunctionArg::ExprNamed { name, arg: FunctionArgExpr::Expr(value), .. }] => {
            Ok((name.to_string(), value.clone()))
        }
        _ => Err(refuse()),
    }
}

/// What `CHANGES(INFORMATION => …)` asks for.
pub(super) fn information(changes: &Expr) -> Result<Mode, SqlError> {
    let (_, information) = argument(changes)?;
    match information.to_string().as_str() {
        "DEFAULT" => Ok(Mode::Default),
        "APPEND_ONLY" => Ok(Mode::AppendOnly),
        other => Err(SqlError::unexpected(other)),
    }
}

/// A point in time, from `AT(…)`, `BEFORE(…)` or `END(…)`.
pub(super) fn point(expr: &Expr) -> Result<Point, SqlError> {
    let (kind, value) = argument(expr)?;
    let before = matches!(expr, Expr::Function(function) if function.name.to_string() == "BEFORE");
    Ok(Point { before, kind, value })
}

impl Host for Planner<'_> {
    fn relation(&mut self, path: &Path, version: Option<&TableVersion>) -> Result<Path, SqlError> {
        if path == &[TARGET]
            && let Some((version, columns)) = &self.target
        {
            let table = VersionTable::new(Arc::clone(version), columns.clone(), true);
            self.relations.insert(path, Arc::new(table));
            self.warehouse = true;
            return Ok(path.clone());
        }
        if path.first().is_some_and(|first| first.starts_with('$')) {
            return Ok(path.clone());
        }
        let name = self.session.full_name(path)?;
        let mut key = vec![name.database, name.schema, name.name];
        let provider = self.provider(&key, version)?;
        if let Some(version) = version {
            // The same table may be read at several points; the alias stays its own name.
            key[1] = format!("{} {version}", key[1]);
        }
        self.relations.insert(&key, provider);
        Ok(key)
    }

    fn generator(&mut self, rows: u64) -> Path {
        self.generators += 1;
        let path = vec![format!("$GENERATOR{}", self.generators)];
        self.warehouse = true;
        self.relations.insert(&path, Arc::new(super::system::Generator { rows }));
        path
    }

    fn session_function(&mut self, name: &str, arguments: &[Expr]) -> Result<Option<Expr>, SqlError> {
        self.session.system_function(name, arguments)
    }

    fn bind(&self, number: usize) -> Result<Expr, SqlError> {
        let index = number.checked_sub(1);
        match index.and_then(|index| self.statement.binds.get(index)) {
            Some(bind) => super::system::bind_value(bind),
            None if self.statement.describe_only => {
                Ok(Expr::Value(datafusion::sql::sqlparser::ast::Value::Null.into()))
            }
            None => Err(SqlError::new(
                "002049",
                "42601",
                format!("SQL compilation error:\nBind variable :{number} not set."),
            )),
        }
    }

    fn variable(&self, name: &str) -> Result<Expr, SqlError> {
        // Names of variables have no case (Snowflake, "SQL variables").
        match self.session.variables.get(&name.to_uppercase()) {
            Some(literal) => {
                let mut cursor = crate::sql::cursor::Cursor::new(literal)?;
                cursor.expr()
            }
            None => Err(SqlError::compilation(format!("Session variable '${name}' does not exist"))),
        }
    }
}

/// The names a statement reads from, for taking locks before planning.
pub(super) fn names_in(tree: &impl Visit) -> Vec<Path> {
    struct Names(Vec<Path>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name, .. } = factor
                && let Ok(path) = path_of(name)
            {
                self.0.push(path);
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    let _ = tree.visit(&mut names);
    names.0
}
