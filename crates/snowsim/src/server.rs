//! The driver protocol over HTTP: routes, and the one way every request goes.
//!
//! A request's body is read whole, faults are asked, then a handler answers; the handlers are in the files
//! of this folder by noun. Statements run in tasks of their own, so a client that hangs up does not stop them,
//! as it does not in Snowflake.

mod admin;
mod chunk;
mod connection;
mod key_pair;
mod login;
mod parameters;
mod query;
mod reply;
mod request;
mod sessions;
mod statement;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::access::AccessTokens;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::fault::{Action, Faults, Moment};
use crate::result::{Limits, Spool};
use crate::stats::Counts;

pub(crate) use connection::{Lines, Scissors};
pub(crate) use sessions::{Lifetimes, Sessions};
pub(crate) use statement::Statements;

use reply::Refusal;

/// Everything a handler may need.
pub(crate) struct Service {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) faults: Faults,
    pub(crate) sessions: Sessions,
    pub(crate) statements: Statements,
    pub(crate) spool: Spool,
    pub(crate) counts: Counts,
    pub(crate) limits: ServiceLimits,
    pub(crate) users: Vec<(String, String)>,
    pub(crate) access: AccessTokens,
    /// Ends long polls when the server stops.
    pub(crate) closing: CancellationToken,
}

/// What a service allows itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceLimits {
    /// How long a request waits for its statement.
    pub(crate) hold: Duration,
    /// Bytes of the part inside a reply.
    pub(crate) inline_bytes: usize,
    /// Bytes of a chunk, instead of what the session's parameter says.
    pub(crate) chunk_bytes: Option<usize>,
    pub(crate) gzip_arrow: bool,
    /// Bytes of finished results kept for re-reading.
    pub(crate) spool_bytes: u64,
}

impl ServiceLimits {
    /// The sizes of a result's parts in a session whose `CLIENT_RESULT_CHUNK_SIZE` is so many megabytes.
    fn parts(&self, megabytes: Option<u64>) -> Limits {
        // The parameter is an upper bound; a part is held in memory while it is encoded, so there is a lower one.
        let asked = megabytes.and_then(|size| usize::try_from(size).ok()).unwrap_or(16).clamp(1, 16) << 20;
        let chunk = self.chunk_bytes.unwrap_or(asked);
        Limits { inline: self.inline_bytes.min(chunk), chunk, gzip_arrow: self.gzip_arrow }
    }
}

/// A request's body, decompressed and read as JSON.
#[derive(Clone)]
struct Read(Arc<Value>);

/// Faults that a handler must act on itself.
#[derive(Clone, Default)]
pub(crate) struct Struck(Arc<Vec<Action>>);

impl Struck {
    /// Whether the connection will be cut after the statement: then the answer must wait for its end.
    fn drops_after(&self) -> bool {
        self.0.iter().any(|action| matches!(action, Action::DropAfter))
    }

    /// How much longer the statement takes.
    fn stall(&self) -> Duration {
        let each = self.0.iter().map(|action| if let Action::Stall { ms } = action { *ms } else { 0 });
        Duration::from_millis(each.sum())
    }
}

/// The routes of the simulator.
pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/session/v1/login-request", post(login::login))
        .route("/session/authenticator-request", post(login::authenticator))
        .route("/session/token-request", post(login::renew))
        .route("/session/heartbeat", post(login::heartbeat))
        .route("/session", get(login::describe).post(login::close))
        .route("/queries/v1/query-request", post(query::submit))
        .route("/queries/v1/abort-request", post(query::abort_request))
        .route("/queries/{id}/abort-request", post(query::abort_query))
        .route("/queries/{id}/result", get(query::result))
        .route("/monitoring/queries/{id}", get(query::monitor))
        .route("/monitoring/queries//{id}", get(query::monitor))
        .route("/telemetry/send", post(telemetry))
        .route("/telemetry/send/sessionless", post(telemetry))
        .route(chunk::ROUTE, get(chunk::download))
        .layer(middleware::from_fn_with_state(Arc::clone(&service), pass))
        .route("/simulator/faults", get(admin::list_faults).post(admin::add_faults).delete(admin::clear_faults))
        .route("/simulator/faults/{id}", axum::routing::delete(admin::remove_fault))
        .route("/simulator/clock", get(admin::clock).post(admin::advance))
        .route("/simulator/tokens", post(admin::issue_token))
        .route("/simulator/tokens/{token}", axum::routing::delete(admin::revoke_token))
        .route("/simulator/stats", get(admin::stats))
        .route("/simulator/warehouse-log", get(admin::warehouse_log))
        .fallback(any(unknown))
        .with_state(service)
}

/// Every protocol request comes through here: body, faults before, handler, faults after.
async fn pass(
    State(service): State<Arc<Service>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = match axum::body::to_bytes(body, request::BODY_LIMIT).await {
        Ok(body) => body,
        Err(error) => return Refusal::bad_request(format!("request body not read: {error}")).into_response(),
    };
    let value = match request::json(&parts.headers, &body) {
        Ok(value) => Arc::new(value),
        Err(message) => return Refusal::bad_request(message).into_response(),
    };
    parts.extensions.insert(Read(Arc::clone(&value)));
    // A task of its own, because a connection that closes drops its handler: a statement that was received runs, delayed
    // or not, whether or not its client still lives.
    let answered = tokio::spawn(async move {
        let sql = value.get("sqlText").and_then(Value::as_str);
        let struck = service.faults.strike(parts.uri.path(), sql);
        for action in &struck {
            if let Some(answer) = before(&service, action, &scissors, request::token(&parts.headers)).await {
                return answer;
            }
        }
        let struck = Struck(Arc::new(struck));
        parts.extensions.insert(struck.clone());
        let response = next.run(Request::from_parts(parts, Body::from(Bytes::new()))).await;
        for action in struck.0.iter() {
            match action {
                Action::Delay { moment: Moment::After, ms } => tokio::time::sleep(Duration::from_millis(*ms)).await,
                Action::DropAfter => scissors.cut(),
                _ => {}
            }
        }
        response
    });
    answered.await.unwrap_or_else(|error| Refusal::bad_request(format!("request not served: {error}")).into_response())
}

/// What a fault does before the handler; an answer means that the handler is not asked.
async fn before(service: &Arc<Service>, action: &Action, scissors: &Scissors, token: Option<&str>) -> Option<Response> {
    match action {
        Action::Status { status, retry_after } => return Some(reply::status(*status, *retry_after)),
        Action::DropBefore => {
            scissors.cut();
            return Some(reply::status(503, None));
        }
        Action::Delay { moment: Moment::Before, ms } => tokio::time::sleep(Duration::from_millis(*ms)).await,
        Action::ExpireSession => service.sessions.expire(token?, false),
        Action::MasterExpired => service.sessions.expire(token?, true),
        Action::SessionGone => {
            let session = service.sessions.owner(token?)?;
            login::end(service, session);
        }
        Action::Error { code, message, sql_state } => {
            return Some(reply::envelope(&json!({
                "data": { "errorCode": code, "sqlState": sql_state, "queryId": null, "internalError": false },
                "code": code, "message": message, "success": false,
            })));
        }
        Action::Delay { .. }
        | Action::DropAfter
        | Action::Stall { .. }
        | Action::SlowChunk { .. }
        | Action::CutChunk { .. }
        | Action::ChunkForbidden => {}
    }
    None
}

async fn telemetry() -> Response {
    reply::success(json!("Log Received"))
}

async fn unknown(request: Request) -> Response {
    let path = request.uri().path();
    let body = json!({
        "data": null, "code": "390404", "success": false,
        "message": format!("the simulator has no endpoint {} {path}", request.method()),
    });
    (axum::http::StatusCode::NOT_FOUND, body.to_string()).into_response()
}
