//! Functions whose value depends on the session or the account, binds, and GENERATOR.
//!
//! Promises: SYSTEM$ functions answer from the catalog alone, without a warehouse; an unknown one is
//! refused by name. HAS_DATA is never falsely FALSE, and a FALSE keeps the stream from going stale.
//! Leaves to others: functions of values (`sql::function`).

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session as EngineSession, TableProvider};
use datafusion::error::Result as EngineResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr as EngineExpr, TableType};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::sql::sqlparser::ast::{Expr, Value as SqlValue};
use parking_lot::Mutex;

use super::relations::Planner;
use super::{Bind, Session, Statement};
use crate::catalog::change::Change;
use crate::catalog::{Catalog, Object};
use crate::error::SqlError;
use crate::sql::cursor::Cursor;
use crate::sql::rewrite::{cast, text};
use crate::stream::{Mode, Stream};
use crate::table::Table;
use crate::table::version::Operation;
use crate::types::SnowType;
use crate::types::timestamp::Timestamp;

/// What CURRENT_VERSION answers: the simulator's own version in Snowflake's form.
const VERSION: &str = "10.0.0";
/// The account's name.
const ACCOUNT: &str = "SNOWSIM";
/// Seconds between two renewals of an empty stream's life in the journal.
const RENEWAL: i64 = 60_000_000_000;

fn boolean(value: bool) -> Expr {
    Expr::Value(SqlValue::Boolean(value).into())
}

fn null() -> Expr {
    Expr::Value(SqlValue::Null.into())
}

fn number(value: impl std::fmt::Display) -> Expr {
    cast(text(value.to_string()), "NUMBER(38,0)")
}

impl Session {
    /// A session like this one for planning inside a view; it shares nothing that could change.
    pub(super) fn shadow(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            number: self.number,
            user: self.user.clone(),
            current: self.current.clone(),
            parameters: self.parameters.clone(),
            variables: self.variables.clone(),
            transaction: None,
            last_query: self.last_query.clone(),
            temporary: Vec::new(),
            setup: None,
        }
    }

    /// The value of a function of the session or the account; `None` if it is none.
    pub(super) fn system_function(&self, name: &str, arguments: &[Expr]) -> Result<Option<Expr>, SqlError> {
        let name = name.to_uppercase();
        let or_null =
            |value: &Option<String>| value.as_ref().map_or_else(null, |value| cast(text(value.clone()), "VARCHAR"));
        let now = Timestamp::from_nanos(i128::from(self.engine.now()));
        Ok(Some(match name.as_str() {
            "CURRENT_ROLE" => or_null(&self.current.role),
            "CURRENT_WAREHOUSE" => or_null(&self.current.warehouse),
            "CURRENT_DATABASE" => or_null(&self.current.database),
            "CURRENT_SCHEMA" => or_null(&self.current.schema),
            "CURRENT_USER" => text(self.user.clone()),
            "CURRENT_ACCOUNT" | "CURRENT_ACCOUNT_NAME" => text(ACCOUNT),
            "CURRENT_ORGANIZATION_NAME" | "SYSTEM$RETURN_CURRENT_ORG_NAME" => text("LOCAL"),
            // Where a person would look at it; nobody answers there.
            "SYSTEM$GET_SNOWSIGHT_HOST" => text("https://snowsim.invalid"),
            "CURRENT_REGION" => text("LOCAL"),
            "CURRENT_VERSION" => text(VERSION),
            "CURRENT_SESSION" => text(self.number.to_string()),
            "CURRENT_CLIENT" => text("SNOWSIM"),
            "CURRENT_TRANSACTION" => match &self.transaction {
                Some(open) => text(open.id.to_string()),
                None => null(),
            },
            "LAST_QUERY_ID" => or_null(&self.last_query),
            "CURRENT_TIMESTAMP" | "LOCALTIMESTAMP" | "GETDATE" | "SYSTIMESTAMP" => {
                cast(text(now.format(9, false)), "TIMESTAMP_LTZ(9)")
            }
            "SYSDATE" => cast(text(now.format(9, false)), "TIMESTAMP_NTZ(9)"),
            "CURRENT_DATE" => cast(text(now.format(9, false)), "DATE"),
            "CURRENT_TIME" | "LOCALTIME" => cast(cast(text(now.format(9, false)), "TIMESTAMP_NTZ(9)"), "TIME(9)"),
            "SYSTEM$STREAM_HAS_DATA" => boolean(self.stream_has_data(&argument(&name, arguments)?)?),
            "SYSTEM$STREAM_GET_TABLE_TIMESTAMP" => {
                let catalog = self.engine.catalog();
                let stream = self.stream_named(&catalog, &argument(&name, arguments)?)?;
                let tables = stream.readable(&catalog, self.engine.now())?;
                let ([base], [table]) = (stream.bases.as_slice(), tables.as_slice()) else {
                    return Err(SqlError::compilation(format!("{name} is not supported on streams on views")));
                };
                number(table.version(base.offset).map_or(0, |version| version.at))
            }
            "SYSTEM$LAST_CHANGE_COMMIT_TIME" => number(self.last_change(&argument(&name, arguments)?)?),
            "SYSTEM$GET_LOGIN_FAILURE_DETAILS" => {
                self.engine.catalog().check_account(self.role(), "MONITOR")?;
                let id = argument(&name, arguments)?;
                text(
                    self.engine
                        .login_failure(&id)
                        .ok_or_else(|| SqlError::compilation(format!("no failed login has the id '{id}'")))?,
                )
            }
            "SYSTEM$TYPEOF" => return Err(SqlError::unsupported(name)),
            "SYSTEM$ABORT_TRANSACTION" => return Err(SqlError::unsupported(name)),
            _ if name.starts_with("SYSTEM$") => return Err(SqlError::unknown_function(name)),
            _ => return Ok(None),
        }))
    }

    fn stream_named<'c>(&self, catalog: &'c Catalog, name: &str) -> Result<&'c Stream, SqlError> {
        let mut cursor = Cursor::new(name)?;
        let path = cursor.path()?;
        cursor.end()?;
        match self.object(catalog, &path, "SELECT")? {
            (full, Object::Stream(id)) => catalog.streams.get(&id).ok_or_else(|| SqlError::missing("Stream", full)),
            (full, _) => Err(SqlError::missing("Stream", full)),
        }
    }

    /// When a table, or any that a view reads, was last written, nanoseconds since the epoch.
    fn last_change(&self, name: &str) -> Result<i64, SqlError> {
        let mut cursor = Cursor::new(name)?;
        let path = cursor.path()?;
        cursor.end()?;
        let (full, object) = self.object(&self.engine.catalog(), &path, "SELECT")?;
        let tables = match object {
            Object::Table(id) => vec![id],
            Object::View(id) => {
                let view = self.engine.catalog().views.get(&id).cloned();
                let view = view.ok_or_else(|| SqlError::missing("Object", &full))?;
                let statement = Statement {
                    sql: "",
                    binds: &[],
                    describe_only: true,
                    query_id: String::new(),
                    usage: Mutex::default(),
                };
                let mut planner = Planner::new(self, &statement, None);
                planner.view(&view)?;
                std::mem::take(&mut planner.tables)
            }
            _ => return Err(SqlError::missing("Object", full)),
        };
        let catalog = self.engine.catalog();
        let written = |table: &Table| {
            let writes = table.versions.iter().rev().find(|version| version.operation != Operation::Compact);
            writes.unwrap_or(&table.versions[0]).at
        };
        Ok(tables.iter().filter_map(|id| catalog.table(*id)).map(written).max().unwrap_or_default())
    }

    fn stream_has_data(&self, name: &str) -> Result<bool, SqlError> {
        let now = self.engine.now();
        let (found, stream) = {
            let catalog = self.engine.catalog();
            let stream = self.stream_named(&catalog, name)?;
            let tables = stream.readable(&catalog, now)?;
            let found = stream.bases.iter().zip(tables).any(|(base, table)| {
                if stream.initial {
                    return table.version(base.offset).is_some_and(|version| version.rows() > 0);
                }
                table.versions.iter().filter(|version| version.number > base.offset).any(|version| match stream.mode {
                    Mode::AppendOnly | Mode::InsertOnly => !version.inserted.is_empty(),
                    Mode::Default => version.operation == Operation::Write,
                })
            });
            (found, stream.clone())
        };
        if !found && now - stream.touched > RENEWAL {
            self.engine.commit(Vec::new(), |catalog| {
                let changes = match catalog.streams.get(&stream.id) {
                    Some(current) if current.bases == stream.bases => {
                        let renewed = Stream { touched: now, ..current.clone() };
                        vec![Change::PutStream { stream: Box::new(renewed) }]
                    }
                    _ => Vec::new(),
                };
                Ok((changes, ()))
            })?;
        }
        Ok(found)
    }
}

/// The only argument of a SYSTEM$ function: a constant text.
fn argument(name: &str, arguments: &[Expr]) -> Result<String, SqlError> {
    match arguments {
        [Expr::Value(value)] => match &value.value {
            SqlValue::SingleQuotedString(text) => Ok(text.clone()),
            other => Err(SqlError::compilation(format!("argument {other} of {name} needs to be a string"))),
        },
        _ => Err(SqlError::compilation(format!("wrong number of arguments for function [{name}]"))),
    }
}

/// A bind as an expression of its type.
pub(super) fn bind_value(bind: &Bind) -> Result<Expr, SqlError> {
    let Some(value) = &bind.value else {
        return Ok(null());
    };
    let epoch = |ty: &str, digits: usize| -> Result<Expr, SqlError> {
        // Drivers send moments as whole nanoseconds (dates as milliseconds) since 1970.
        let mut parts = value.split_whitespace();
        let (moment, offset) = (parts.next().unwrap_or_default(), parts.next());
        let whole: i128 = match moment.parse() {
            Ok(whole) => whole,
            Err(_) => return Ok(cast(text(value.clone()), ty)),
        };
        let unit = 10_i128.pow(u32::try_from(9 - digits).unwrap_or(0));
        let mut at = Timestamp::from_nanos(whole * unit);
        let offset = offset.and_then(|offset| offset.parse::<i16>().ok()).map(|offset| offset - 1440);
        at.offset_minutes = offset.unwrap_or(0);
        Ok(cast(text(at.format(9, offset.is_some())), ty))
    };
    Ok(match bind.ty.to_uppercase().as_str() {
        "FIXED" => {
            let (_, scale) = crate::types::number::parse(value).ok_or_else(|| SqlError::bad_value("Numeric", value))?;
            cast(text(value.clone()), format!("NUMBER(38,{scale})"))
        }
        "REAL" => cast(text(value.clone()), "FLOAT"),
        "BOOLEAN" => cast(text(value.clone()), "BOOLEAN"),
        "DATE" => epoch("DATE", 3)?,
        "TIME" => match value.parse::<i64>() {
            Ok(nanos) => {
                let fraction = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0);
                let shown = crate::types::timestamp::format_time(nanos.div_euclid(1_000_000_000), fraction, 9);
                cast(text(shown), "TIME(9)")
            }
            Err(_) => cast(text(value.clone()), "TIME(9)"),
        },
        "TIMESTAMP_NTZ" | "TIMESTAMP" => epoch("TIMESTAMP_NTZ(9)", 9)?,
        "TIMESTAMP_LTZ" => epoch("TIMESTAMP_LTZ(9)", 9)?,
        "TIMESTAMP_TZ" => epoch("TIMESTAMP_TZ(9)", 9)?,
        "BINARY" => cast(text(value.clone()), "BINARY"),
        "TEXT" | "ANY" | "" => text(value.clone()),
        "VARIANT" | "OBJECT" | "ARRAY" => cast(text(value.clone()), &bind.ty),
        other => return Err(SqlError::unsupported(format!("a bind of type {other}"))),
    })
}

/// `GENERATOR(ROWCOUNT => rows)`: rows without meaning.
#[derive(Debug, Clone)]
pub(super) struct Generator {
    pub(super) rows: u64,
}

fn generator_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("$ROW", DataType::Boolean, true)]))
}

#[async_trait]
impl TableProvider for Generator {
    fn schema(&self) -> SchemaRef {
        generator_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn EngineSession,
        projection: Option<&Vec<usize>>,
        _filters: &[EngineExpr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let rows = Arc::new(GeneratorRows { rows: self.rows, schema: generator_schema() });
        Ok(Arc::new(StreamingTableExec::try_new(
            generator_schema(),
            vec![rows],
            projection,
            Vec::<LexOrdering>::new(),
            false,
            limit,
        )?))
    }
}

#[derive(Debug)]
struct GeneratorRows {
    rows: u64,
    schema: SchemaRef,
}

impl PartitionStream for GeneratorRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        const BATCH: u64 = 8_192;
        let schema = Arc::clone(&self.schema);
        let total = self.rows;
        let sizes = (0..total.div_ceil(BATCH)).map(move |index| (total - index * BATCH).min(BATCH));
        let batches = sizes.map(move |rows| {
            let rows = usize::try_from(rows).unwrap_or(0);
            let column = Arc::new(BooleanArray::from(vec![true; rows]));
            Ok(RecordBatch::try_new(Arc::clone(&schema), vec![column])?)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(batches)))
    }
}

impl SnowType {
    /// The name in `rowtype` and SHOW COLUMNS: FIXED, TEXT, TIMESTAMP_NTZ …
    #[must_use]
    pub fn wire_name(&self) -> &'static str {
        match self {
            Self::Fixed { .. } => "FIXED",
            Self::Real => "REAL",
            Self::Boolean => "BOOLEAN",
            Self::Text { .. } => "TEXT",
            Self::Binary { .. } => "BINARY",
            Self::Date => "DATE",
            Self::Time { .. } => "TIME",
            Self::TimestampNtz { .. } => "TIMESTAMP_NTZ",
            Self::TimestampLtz { .. } => "TIMESTAMP_LTZ",
            Self::TimestampTz { .. } => "TIMESTAMP_TZ",
            Self::Variant => "VARIANT",
            Self::Object => "OBJECT",
            Self::Array => "ARRAY",
            Self::Geography => "GEOGRAPHY",
            Self::Geometry => "GEOMETRY",
        }
    }
}
