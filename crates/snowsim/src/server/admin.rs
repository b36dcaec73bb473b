//! The simulator's own surface, for tests and other processes: faults, tokens, the clock, the counts.
//! It answers plain JSON, not the driver protocol's envelope, and is itself never struck by faults.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Service, reply};
use crate::access::TokenGrant;
use crate::fault::Rule;
use crate::stats::Stats;

/// One rule or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rules {
    Many(Vec<Rule>),
    One(Box<Rule>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: f64,
}

impl Service {
    /// Reads every count.
    pub(crate) fn stats(&self) -> Stats {
        self.counts.read(&self.engine, self.sessions.count())
    }
}

/// `POST /simulator/faults`: arms one rule or an array of them.
pub(super) async fn add_faults(State(service): State<Arc<Service>>, body: Bytes) -> Response {
    // Read twice, because an untagged enum would hide which field of the rule is wrong.
    let rules = match serde_json::from_slice::<Rules>(&body) {
        Ok(Rules::Many(rules)) => rules,
        Ok(Rules::One(rule)) => vec![*rule],
        Err(_) => match serde_json::from_slice::<Rule>(&body) {
            Ok(rule) => vec![rule],
            Err(error) => return wrong(&format!("no fault rule: {error}")),
        },
    };
    let ids: Vec<_> = rules.into_iter().map(|rule| service.faults.add(rule)).collect();
    reply::envelope(&json!({ "ids": ids }))
}

/// `GET /simulator/faults`
pub(super) async fn list_faults(State(service): State<Arc<Service>>) -> Response {
    let rules: Vec<Value> = service
        .faults
        .list()
        .into_iter()
        .map(|(id, rule, counters)| json!({ "id": id, "rule": rule, "matched": counters.matched, "struck": counters.struck }))
        .collect();
    reply::envelope(&json!({ "faults": rules }))
}

/// `DELETE /simulator/faults`
pub(super) async fn clear_faults(State(service): State<Arc<Service>>) -> Response {
    service.faults.clear();
    reply::envelope(&json!({}))
}

/// `DELETE /simulator/faults/{id}`
pub(super) async fn remove_fault(State(service): State<Arc<Service>>, Path(id): Path<u64>) -> Response {
    if service.faults.remove(id) {
        return reply::envelope(&json!({}));
    }
    (StatusCode::NOT_FOUND, json!({ "error": format!("there is no fault {id}") }).to_string()).into_response()
}

/// `POST /simulator/tokens`: issues an access token.
pub(super) async fn issue_token(State(service): State<Arc<Service>>, body: Bytes) -> Response {
    match serde_json::from_slice::<TokenGrant>(&body) {
        Ok(grant) => reply::envelope(&json!({ "token": service.access.issue(grant) })),
        Err(error) => wrong(&format!("no token to issue: {error}")),
    }
}

/// `DELETE /simulator/tokens/{token}`: takes one back.
pub(super) async fn revoke_token(State(service): State<Arc<Service>>, Path(token): Path<String>) -> Response {
    if service.access.revoke(&token) {
        return reply::envelope(&json!({}));
    }
    (StatusCode::NOT_FOUND, json!({ "error": "there is no such token" }).to_string()).into_response()
}

/// `GET /simulator/clock`
pub(super) async fn clock(State(service): State<Arc<Service>>) -> Response {
    reply::envelope(&json!({ "now_nanos": service.clock.now_nanos().to_string() }))
}

/// `POST /simulator/clock`: moves the clock forward.
pub(super) async fn advance(State(service): State<Arc<Service>>, body: Bytes) -> Response {
    let advance = match serde_json::from_slice::<Advance>(&body) {
        Ok(advance) => advance,
        Err(error) => return wrong(&format!("no clock advance: {error}")),
    };
    match Duration::try_from_secs_f64(advance.advance_seconds) {
        Ok(by) => {
            service.clock.advance(by);
            clock(State(service)).await
        }
        Err(error) => wrong(&format!("advance_seconds is {}: {error}", advance.advance_seconds)),
    }
}

/// `GET /simulator/stats`
pub(super) async fn stats(State(service): State<Arc<Service>>) -> Response {
    reply::envelope(&json!(service.stats()))
}

/// `GET /simulator/warehouse-log`: the texts of the latest statements that would have used a warehouse.
pub(super) async fn warehouse_log(State(service): State<Arc<Service>>) -> Response {
    reply::envelope(&json!({ "statements": service.engine.warehouse_log() }))
}

fn wrong(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, json!({ "error": message }).to_string()).into_response()
}
