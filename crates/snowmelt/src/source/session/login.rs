//! Logging in: `POST /session/v1/login-request` (gosnowflake `auth.go`, connector-python `auth/_auth.py`).
//!
//! Secrets are read at this moment and dropped after it; an error names the user and the address, never the secret.

use std::collections::BTreeMap;

use reqwest::Client;
use uuid::Uuid;

use super::http::{self, ATTEMPTS, Answer};
use super::wire::{LoginData, LoginRequest, LoginRequestData};
use super::{JsonBody as _, data, envelope};
use crate::config::{Authenticator, ResultFormat, Secret, Snowflake};
use crate::source::error::SourceError;
use crate::source::selection;

/// Logs in with the account's settings.
pub(super) async fn login(http: &Client, account: &Snowflake) -> Result<LoginData, SourceError> {
    let read = |what: &str, secret: Option<&Secret>| -> Result<Option<Secret>, SourceError> {
        let Some(secret) = secret else { return Ok(None) };
        // Read anew at each login: the token file of a container service changes every few minutes.
        match secret.reread() {
            Ok(secret) => Ok(Some(secret)),
            Err(reason) => Err(SourceError::Secret { what: what.to_owned(), reason: reason.to_string() }),
        }
    };
    let user = account.user.as_ref();
    let password = read("password", account.password.as_ref())?;
    let token = read("token", account.token.as_ref())?;
    let authenticator = match account.authenticator {
        Authenticator::Password => None,
        Authenticator::Oauth => Some("OAUTH"),
        Authenticator::ProgrammaticAccessToken => Some("PROGRAMMATIC_ACCESS_TOKEN"),
    };
    let format_parameter = format!("{}_QUERY_RESULT_FORMAT", account.client_id.to_uppercase());
    let mut parameters: BTreeMap<&str, serde_json::Value> = BTreeMap::new();
    // Text forms of values must not depend on the account's or the user's settings.
    parameters.insert("TIMEZONE", "UTC".into());
    parameters.insert("CLIENT_SESSION_KEEP_ALIVE", true.into());
    parameters.insert("ABORT_DETACHED_QUERY", true.into());
    parameters
        .insert(&format_parameter, if account.result_format == ResultFormat::Arrow { "ARROW" } else { "JSON" }.into());
    parameters.insert("QUERY_TAG", account.query_tag.as_str().into());
    for (name, value) in &account.session_parameters {
        parameters.insert(name, value.as_str().into());
    }
    let salt = read("hash salt", account.hash_salt.as_ref())?.map(|secret| selection::salt(secret.expose()));
    let variable = format!("${}", selection::SALT);
    if let Some(salt) = salt {
        // A variable of the session: "Setting variables on connection" in Snowflake's page on SQL variables. In a
        // statement, or bound to one, it would stand in the query history.
        parameters.insert(&variable, salt.into());
    }
    let body = LoginRequest {
        data: LoginRequestData {
            client_app_id: &account.client_id,
            client_app_version: &account.client_version,
            account_name: &account.account,
            login_name: user.map(String::as_str),
            password: password.as_ref().map(|secret| secret.expose()),
            authenticator,
            token: token.as_ref().map(|secret| secret.expose()),
            client_environment: BTreeMap::from([("APPLICATION", "snowmelt"), ("OS", std::env::consts::OS)]),
            session_parameters: parameters,
        },
    };
    let mut url = format!("{}/session/v1/login-request?requestId={}", account.url, Uuid::new_v4());
    for (name, value) in [("warehouse", &account.warehouse), ("roleName", &account.role)] {
        if let Some(value) = value {
            url.push_str(&format!("&{name}={}", percent(value)));
        }
    }
    let what = "the login";
    let answer = http::send(&account.url, what, ATTEMPTS, |_| {
        http.post(&url)
            .header("Accept", "application/snowflake")
            .header("CLIENT_APP_ID", &account.client_id)
            .header("CLIENT_APP_VERSION", &account.client_version)
            .json_body(&body)
    })
    .await?;
    let refused = |code: &str, message: String| SourceError::Login {
        url: account.url.clone(),
        who: user.cloned().unwrap_or_else(|| authenticator.unwrap_or("nobody").to_owned()),
        code: code.to_owned(),
        message,
    };
    let Answer::Body(body) = answer else {
        return Err(refused("403", "HTTP status 403: check the account name and the network policy".to_owned()));
    };
    let envelope = envelope(what, &body)?;
    if !envelope.success {
        return Err(refused(&envelope.code, envelope.message.clone().unwrap_or_default()));
    }
    data(what, &envelope)
}

/// Percent-encodes a query value: everything but unreserved characters (RFC 3986 §2.3).
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
