//! Coming and going: login, renewal, heartbeat, the end of a session.
//!
//! Passwords and tokens are checked only if some are known; a fresh simulator lets anybody in, as a playground should.
//! A key pair is always checked.
//! The login reply is complete, since some clients refuse one without master token and session id.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::key_pair::{self, Asked};
use super::reply::{self, Refusal};
use super::request::{self, Parameters};
use super::sessions::Tokens;
use super::{Read, Service, parameters};
use crate::access::{Bearer, TokenRefusal};
use crate::engine::Login;
use crate::error::SqlError;
use crate::stats::count;
use crate::wire::Dialect;

/// `POST /session/v1/login-request`
pub(super) async fn login(
    State(service): State<Arc<Service>>,
    Extension(Read(body)): Extension<Read>,
    request: Request,
) -> Response {
    for connection in service.sessions.sweep() {
        retire(&service, connection);
    }
    let data = body.get("data").unwrap_or(&Value::Null);
    let Bearer { user, role } = match admit(&service, data) {
        Ok(bearer) => bearer,
        Err(refusal) => {
            count(&service.counts.refused_logins);
            return refusal.into_response();
        }
    };
    let url = Parameters::of(request.uri());
    let named = |name: &str| url.get(name).map(str::to_owned);
    let asked: BTreeMap<String, Value> = data
        .get("SESSION_PARAMETERS")
        .and_then(Value::as_object)
        .map(|set| set.iter().map(|(name, value)| (name.to_ascii_uppercase(), value.clone())).collect())
        .unwrap_or_default();
    let opened = service.engine.session(Login {
        user: user.clone(),
        role: named("roleName").or(role),
        database: named("databaseName"),
        schema: named("schemaName"),
        warehouse: named("warehouse"),
        parameters: asked,
    });
    let session = match opened {
        Ok(session) => session,
        Err(error) => {
            count(&service.counts.refused_logins);
            return refused(&error);
        }
    };
    let dialect = Dialect::of(text(data, "CLIENT_APP_ID").unwrap_or_default());
    let (current, shown) = (session.current(), parameters::shown(&session, &dialect));
    let (_, tokens) = service.sessions.open(&user, dialect, session);
    count(&service.counts.logins);
    let lifetimes = service.sessions.lifetimes();
    reply::success(json!({
        "token": tokens.session,
        "masterToken": tokens.master,
        "validityInSeconds": lifetimes.session.as_secs(),
        "masterValidityInSeconds": lifetimes.master.as_secs(),
        "sessionId": tokens.session_id,
        "displayUserName": user,
        "serverVersion": concat!("9.0.0-snowsim-", env!("CARGO_PKG_VERSION")),
        "firstLogin": false,
        "remMeToken": null,
        "remMeValidityInSeconds": 0,
        "healthCheckInterval": 45,
        "newClientForUpgrade": null,
        "idToken": null,
        "idTokenValidityInSeconds": 0,
        "mfaToken": null,
        "mfaTokenValidityInSeconds": 0,
        "parameters": shown,
        "sessionInfo": {
            "databaseName": current.database,
            "schemaName": current.schema,
            "warehouseName": current.warehouse,
            "roleName": current.role,
        },
        "responseData": null,
    }))
}

/// Decides whether these credentials open the door, and as whom.
fn admit(service: &Service, data: &Value) -> Result<Bearer, Refusal> {
    let user = text(data, "LOGIN_NAME").unwrap_or_default();
    let token = text(data, "TOKEN").unwrap_or_default();
    let authenticator = text(data, "AUTHENTICATOR").unwrap_or("SNOWFLAKE").to_ascii_uppercase();
    match authenticator.as_str() {
        "SNOWFLAKE" | "USERNAME_PASSWORD_MFA" => {
            let password = text(data, "PASSWORD").unwrap_or_default();
            let bearer = Bearer { user: user.to_owned(), role: None };
            service.password_fits(user, password).then_some(bearer).ok_or_else(Refusal::credentials)
        }
        "SNOWFLAKE_JWT" => by_key_pair(service, data, user, token),
        "OAUTH" => {
            let client = text(data, "CLIENT_APP_ID").unwrap_or_default();
            service.access.oauth(token, user, client).map_err(|refusal| match refusal {
                TokenRefusal::Invalid => Refusal::oauth_token(),
                TokenRefusal::Expired => Refusal::oauth_expired(),
                TokenRefusal::OtherUser => Refusal::other_user(),
                TokenRefusal::OtherClient => Refusal::service_token(),
            })
        }
        "PROGRAMMATIC_ACCESS_TOKEN" => {
            service.access.programmatic(token, user).map_err(|_| Refusal::programmatic_token())
        }
        other => Err(Refusal::authenticator(other)),
    }
}

fn by_key_pair(service: &Service, data: &Value, user: &str, token: &str) -> Result<Bearer, Refusal> {
    let seconds = i64::try_from(service.clock.now_nanos() / 1_000_000_000).unwrap_or(i64::MAX);
    let asked = Asked { account: text(data, "ACCOUNT_NAME").unwrap_or_default(), user, now_seconds: seconds };
    let verified = key_pair::verify(&service.engine.catalog(), token, &asked);
    verified.map(|user| Bearer { user, role: None }).map_err(|failure| {
        let (number, name) = failure.error();
        let details = json!({
            "clientIP": "127.0.0.1",
            "clientType": text(data, "CLIENT_APP_ID").unwrap_or("OTHER"),
            "clientVersion": text(data, "CLIENT_APP_VERSION"),
            "username": (!user.is_empty()).then_some(user),
            "errorCode": name,
            "timestamp": seconds,
            "errorDetails": [number],
        });
        Refusal::jwt(&service.engine.remember_login_failure(&details.to_string()))
    })
}

impl Service {
    /// Users named when the simulator was set up and users made by CREATE USER need their password; if the
    /// former exist, nobody else gets in. Snowflake takes a programmatic access token in place of a password.
    fn password_fits(&self, user: &str, password: &str) -> bool {
        let configured = self.users.iter().find(|(name, _)| name.eq_ignore_ascii_case(user));
        let known = configured.map(|(_, expected)| Some(expected.clone()));
        let known = known.or_else(|| {
            let catalog = self.engine.catalog();
            catalog.users.get(&user.to_uppercase()).map(|known| known.password.clone())
        });
        match known {
            Some(expected) => {
                expected.is_some_and(|expected| expected == password) || self.access.replaces_password(password, user)
            }
            None => self.users.is_empty(),
        }
    }
}

fn text<'a>(data: &'a Value, name: &str) -> Option<&'a str> {
    data.get(name).and_then(Value::as_str)
}

fn refused(error: &SqlError) -> Response {
    reply::envelope(&json!({ "data": null, "code": error.code, "message": error.message, "success": false }))
}

/// `POST /session/authenticator-request`: the first half of a browser or federated login.
pub(super) async fn authenticator(Extension(Read(body)): Extension<Read>) -> Response {
    let name = body.pointer("/data/AUTHENTICATOR").and_then(Value::as_str).unwrap_or("(unnamed)");
    Refusal::authenticator(name).into_response()
}

/// `POST /session/token-request`
pub(super) async fn renew(
    State(service): State<Arc<Service>>,
    Extension(Read(body)): Extension<Read>,
    headers: HeaderMap,
) -> Response {
    let kind = body.get("requestType").and_then(Value::as_str).unwrap_or_default();
    if kind != "RENEW" {
        return Refusal::bad_request(format!("token request type '{kind}' is not simulated; only RENEW is"))
            .into_response();
    }
    let old = body.get("oldSessionToken").and_then(Value::as_str);
    match service.sessions.renew(request::token(&headers), old) {
        Ok(Tokens { session, master, session_id }) => {
            count(&service.counts.renewals);
            let lifetimes = service.sessions.lifetimes();
            reply::success(json!({
                "sessionToken": session,
                "validityInSecondsST": lifetimes.session.as_secs(),
                "masterToken": master,
                "validityInSecondsMT": lifetimes.master.as_secs(),
                "sessionId": session_id,
            }))
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// `POST /session/heartbeat`
pub(super) async fn heartbeat(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    match service.sessions.authenticate(request::token(&headers)) {
        Ok(connection) => {
            service.sessions.prolong(connection.id);
            count(&service.counts.heartbeats);
            reply::success(Value::Null)
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// `GET /session`: who a token speaks for.
pub(super) async fn describe(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    match service.sessions.authenticate(request::token(&headers)) {
        Ok(connection) => reply::success(json!({ "sessionId": connection.id, "userName": connection.user })),
        Err(refusal) => refusal.into_response(),
    }
}

/// `POST /session?delete=true`
pub(super) async fn close(State(service): State<Arc<Service>>, request: Request) -> Response {
    let deletes = Parameters::of(request.uri()).get("delete").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if !deletes {
        return Refusal::bad_request("POST /session is only simulated with delete=true").into_response();
    }
    match service.sessions.authenticate(request::token(request.headers())) {
        Ok(connection) => {
            end(&service, connection.id);
            reply::success(Value::Null)
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Ends a session: what runs runs on, an open transaction is undone after it, results go.
pub(super) fn end(service: &Arc<Service>, session: u64) {
    if let Some(connection) = service.sessions.close(session) {
        retire(service, connection);
    }
}

fn retire(service: &Arc<Service>, connection: Arc<super::sessions::Connection>) {
    let service = Arc::clone(service);
    tokio::spawn(async move {
        connection.engine.lock().await.rollback();
        service.statements.forget(connection.id);
        connection.requests.lock().clear();
    });
}
