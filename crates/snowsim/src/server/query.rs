//! Statements as requests: submit, poll, watch, abort.
//!
//! A request id runs once per session; a repeat gets the first execution's answer, and waits for it if it is
//! not there yet. A statement that outlasts the hold is answered with a link to poll (333333), an
//! asynchronous one at once (333334).

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::reply::{self, Refusal};
use super::request::{self, Parameters};
use super::sessions::Connection;
use super::statement::{Answer, Answered, Order, Statement, result_gone, start};
use super::{Read, Service, Struck, chunk};
use crate::error::SqlError;
use crate::session::{Bind, Current};
use crate::stats::count;
use crate::types::{ColumnMeta, SnowType};
use crate::wire::{self, Format};

/// Where a request's answer is awaited.
struct Waiting<'a> {
    service: &'a Arc<Service>,
    origin: String,
    /// The answer's connection will be cut, so nothing less than the end will do.
    to_the_end: bool,
}

/// `POST /queries/v1/query-request`
pub(super) async fn submit(
    State(service): State<Arc<Service>>,
    Extension(Read(body)): Extension<Read>,
    Extension(struck): Extension<Struck>,
    request: Request,
) -> Response {
    let connection = match service.sessions.authenticate(request::token(request.headers())) {
        Ok(connection) => connection,
        Err(refusal) => return refusal.into_response(),
    };
    let order = match order(&body, &struck) {
        Ok(order) => order,
        Err(message) => return Refusal::bad_request(message).into_response(),
    };
    let url = Parameters::of(request.uri());
    if ["clientStartTime", "retryCount", "retryReason"].iter().all(|name| url.get(name).is_some()) {
        count(&service.counts.declared_retries);
    }
    let statement = begin(&service, &connection, url.get("requestId"), order);
    if body.get("asyncExec").and_then(Value::as_bool) == Some(true) {
        return in_progress(&statement, true);
    }
    let waiting =
        Waiting { service: &service, origin: request::origin(request.headers()), to_the_end: struck.drops_after() };
    waiting.answer(&statement).await
}

/// Finds the statement a request id has started, or starts it.
fn begin(
    service: &Arc<Service>,
    connection: &Arc<Connection>,
    request_id: Option<&str>,
    order: Order,
) -> Arc<Statement> {
    let mut requests = connection.requests.lock();
    if let Some(known) = request_id.and_then(|id| requests.find(id)) {
        count(&service.counts.replays);
        return known;
    }
    let statement = Statement::new(connection.id, &order.sql);
    if let Some(id) = request_id {
        for forgotten in requests.remember(id, &statement) {
            service.statements.remove(&forgotten);
        }
    }
    service.statements.add(&statement);
    start(service, connection, &statement, order);
    statement
}

fn order(body: &Value, struck: &Struck) -> Result<Order, String> {
    let sql = body.get("sqlText").and_then(Value::as_str).ok_or("a query request needs sqlText")?;
    let count = body.pointer("/parameters/MULTI_STATEMENT_COUNT");
    Ok(Order {
        sql: sql.to_owned(),
        binds: binds(body.get("bindings"))?,
        describe_only: body.get("describeOnly").and_then(Value::as_bool).unwrap_or(false),
        statement_count: count.and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok())),
        stall: struck.stall(),
    })
}

/// Bind variables in their order. Arrays of values (bulk binding) are refused by name.
fn binds(bindings: Option<&Value>) -> Result<Vec<Bind>, String> {
    let Some(bindings) = bindings.and_then(Value::as_object) else { return Ok(Vec::new()) };
    let mut numbered = Vec::with_capacity(bindings.len());
    for (name, bind) in bindings {
        let position: u64 = name
            .parse()
            .map_err(|_| format!("bind variable '{name}' is not numbered; named ones are not simulated"))?;
        let value = match bind.get("value") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Array(_)) => {
                return Err(format!(
                    "bind variable {name} is an array; array binding is not simulated, send a row at a time"
                ));
            }
            Some(other) => Some(other.to_string()),
        };
        let ty = bind.get("type").and_then(Value::as_str).unwrap_or("TEXT").to_ascii_uppercase();
        numbered.push((position, Bind { ty, value }));
    }
    numbered.sort_by_key(|(position, _)| *position);
    Ok(numbered.into_iter().map(|(_, bind)| bind).collect())
}

/// `GET /queries/{id}/result`
pub(super) async fn result(
    State(service): State<Arc<Service>>,
    Extension(struck): Extension<Struck>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = service.sessions.authenticate(request::token(&headers)) {
        return refusal.into_response();
    }
    let Some(statement) = service.statements.find(&id) else {
        return failure(&id, &result_gone(&id));
    };
    let waiting = Waiting { service: &service, origin: request::origin(&headers), to_the_end: struck.drops_after() };
    waiting.answer(&statement).await
}

/// `GET /monitoring/queries/{id}`
pub(super) async fn monitor(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = service.sessions.authenticate(request::token(&headers)) {
        return refusal.into_response();
    }
    let queries: Vec<Value> = service.statements.find(&id).iter().map(|statement| status(&id, statement)).collect();
    reply::success(json!({ "queries": queries }))
}

fn status(id: &str, statement: &Statement) -> Value {
    let answer = statement.answer();
    let (status, error) = match answer.as_deref() {
        None => ("RUNNING", None),
        Some(Answer::Failed { error, .. }) => ("FAILED_WITH_ERROR", Some(error)),
        Some(_) => ("SUCCESS", None),
    };
    json!({
        "id": id,
        "status": status,
        "state": status,
        "sqlText": statement.sql,
        "sessionId": statement.session,
        "errorCode": error.map(|error| error.code.clone()),
        "errorMessage": error.map(|error| error.message.clone()),
        "stats": {},
    })
}

/// `POST /queries/v1/abort-request` with the request id of the statement.
pub(super) async fn abort_request(
    State(service): State<Arc<Service>>,
    Extension(Read(body)): Extension<Read>,
    headers: HeaderMap,
) -> Response {
    let connection = match service.sessions.authenticate(request::token(&headers)) {
        Ok(connection) => connection,
        Err(refusal) => return refusal.into_response(),
    };
    let id = body.get("requestId").and_then(Value::as_str).unwrap_or_default();
    let statement = connection.requests.lock().find(id);
    abort(&service, statement)
}

/// `POST /queries/{id}/abort-request`
pub(super) async fn abort_query(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match service.sessions.authenticate(request::token(&headers)) {
        Ok(_) => abort(&service, service.statements.find(&id)),
        Err(refusal) => refusal.into_response(),
    }
}

fn abort(service: &Service, statement: Option<Arc<Statement>>) -> Response {
    match statement.filter(|statement| statement.answer().is_none()) {
        Some(statement) => {
            count(&service.counts.aborts);
            statement.cancel.cancel();
            reply::success(Value::Null)
        }
        None => failure("", &SqlError::new("000605", "02000", "Identified SQL statement is not currently executing.")),
    }
}

impl Waiting<'_> {
    async fn answer(&self, statement: &Arc<Statement>) -> Response {
        let hold = (!self.to_the_end).then_some(self.service.limits.hold);
        match statement.wait(hold, &self.service.closing).await.as_deref() {
            None => in_progress(statement, false),
            Some(Answer::Failed { query_id, error }) => failure(query_id, error),
            Some(Answer::Rows(answered)) => self.rows(answered),
            Some(Answer::Many { children, current }) => several(&statement.id, children, current),
        }
    }

    /// The reply of a statement with a result; its chunk links are new each time.
    fn rows(&self, answered: &Answered) -> Response {
        let result = &answered.result;
        let mut data = head(&answered.query_id, &answered.result.columns, answered.statement_type, &answered.current);
        data.insert("parameters".to_owned(), answered.parameters.clone());
        data.insert("numberOfBinds".to_owned(), json!(answered.binds));
        data.insert("total".to_owned(), json!(result.total));
        data.insert("returned".to_owned(), json!(result.total));
        data.insert("queryResultFormat".to_owned(), json!(result.format.word()));
        data.insert("queryContext".to_owned(), self.context());
        if let Some(Value::Object(transfer)) = &answered.transfer {
            data.extend(transfer.clone());
        }
        if !result.chunks.is_empty() {
            let link = self.service.spool.link(result);
            data.insert("chunks".to_owned(), chunk::links(&self.origin, &link, result));
            data.insert("chunkHeaders".to_owned(), chunk::headers(result));
        }
        if result.format == Format::Arrow {
            data.insert("rowsetBase64".to_owned(), json!(result.inline));
            return reply::success(Value::Object(data));
        }
        // The rows are JSON already; they are put in as they are, not read and written again.
        let head = Value::Object(data).to_string();
        let head = head.strip_suffix('}').unwrap_or(&head);
        let body =
            format!(r#"{{"data":{head},"rowset":[{}]}},"code":null,"message":null,"success":true}}"#, result.inline);
        reply::json_bytes(body.into_bytes())
    }

    /// An opaque context: a text here, which the client sends back as `{"base64Data": …}`.
    fn context(&self) -> Value {
        let micros = u64::try_from(self.service.clock.now_nanos() / 1_000).unwrap_or_default();
        json!({ "entries": [{ "id": 0, "timestamp": micros, "priority": 0, "context": "c25vd3NpbQ==" }] })
    }
}

fn head(query_id: &str, columns: &[ColumnMeta], statement_type: u32, current: &Current) -> Map<String, Value> {
    let data = json!({
        "queryId": query_id,
        "sqlState": "00000",
        "parameters": [],
        "rowtype": wire::rowtype(columns),
        "statementTypeId": statement_type,
        "finalDatabaseName": current.database,
        "finalSchemaName": current.schema,
        "finalWarehouseName": current.warehouse,
        "finalRoleName": current.role,
        "arrayBindSupported": false,
        "version": 1,
        "sendResultTime": std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0)),
    });
    match data {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn several(query_id: &str, children: &[(String, u32)], current: &Current) -> Response {
    let column = ColumnMeta {
        name: "multiple statement execution".to_owned(),
        database: String::new(),
        schema: String::new(),
        table: String::new(),
        ty: SnowType::TEXT,
        nullable: false,
    };
    let joined = |part: fn(&(String, u32)) -> String| children.iter().map(part).collect::<Vec<_>>().join(",");
    let mut data = head(query_id, &[column], 0xA000, current);
    data.insert("resultIds".to_owned(), json!(joined(|child| child.0.clone())));
    data.insert("resultTypes".to_owned(), json!(joined(|child| child.1.to_string())));
    data.insert("rowset".to_owned(), json!([["Multiple statements executed successfully."]]));
    data.insert("total".to_owned(), json!(1));
    data.insert("returned".to_owned(), json!(1));
    data.insert("queryResultFormat".to_owned(), json!("json"));
    reply::success(Value::Object(data))
}

fn in_progress(statement: &Statement, asynchronous: bool) -> Response {
    let (code, message) = if asynchronous {
        (
            "333334",
            "Asynchronous execution in progress. Use provided query id to perform query monitoring and management.",
        )
    } else {
        ("333333", "Query execution in progress. Use provided query id to perform query monitoring and management.")
    };
    reply::envelope(&json!({
        "data": {
            "queryId": statement.id,
            "getResultUrl": format!("/queries/{}/result", statement.id),
            "queryAbortsAfterSecs": 300,
            "progressDesc": null,
        },
        "code": code, "message": message, "success": true,
    }))
}

fn failure(query_id: &str, error: &SqlError) -> Response {
    reply::envelope(&json!({
        "data": {
            "internalError": false,
            "errorCode": error.code,
            "sqlState": error.sql_state,
            "queryId": query_id,
            "age": 0, "line": -1, "pos": -1,
            "type": "COMPILATION",
        },
        "code": error.code, "message": error.message, "success": false, "headers": null,
    }))
}
