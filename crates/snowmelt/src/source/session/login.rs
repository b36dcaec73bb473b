//! Logging in: `POST /session/v1/login-request` (gosnowflake `auth.go`, connector-python `auth/_auth.py`).
//!
//! Secrets are read at this moment and dropped after it; an error names the user, the way and the address, never the
//! secret.

use std::collections::BTreeMap;
use std::time::SystemTime;

use reqwest::Client;
use uuid::Uuid;

use super::http::{self, ATTEMPTS, Answer};
use super::jwt::jwt;
use super::wire::{LoginData, LoginRequest, LoginRequestData};
use super::{JsonBody as _, data, envelope};
use crate::config::{Credentials, PrivateKey, ResultFormat, Secret, SecretError, Snowflake, Token, read_private_key};
use crate::source::error::SourceError;
use crate::source::selection;

/// What a login sends to prove who it is.
struct Proof {
    authenticator: Option<&'static str>,
    secret: Sent,
    /// How, in words, to be read after the user: "by key pair SHA256:…".
    by: String,
}

enum Sent {
    Password(Secret),
    Token(Secret),
    Key(Box<PrivateKey>),
}

impl Proof {
    async fn read(credentials: &Credentials) -> Result<Self, SourceError> {
        let secret = |what: &str, passing: bool| {
            let what = what.to_owned();
            move |error: SecretError| SourceError::Secret { what, reason: error.to_string(), passing }
        };
        Ok(match credentials {
            Credentials::Password { password, .. } => Self {
                authenticator: None,
                secret: Sent::Password(password.reread().map_err(secret("password", false))?),
                by: "by password".to_owned(),
            },
            Credentials::KeyPair { key, passphrase, .. } => {
                let key = read_private_key(key, passphrase.as_ref()).map_err(|error| SourceError::PrivateKey {
                    origin: key.source().to_string(),
                    reason: error.to_string(),
                })?;
                Self {
                    authenticator: Some("SNOWFLAKE_JWT"),
                    by: format!("by key pair {}", key.fingerprint()),
                    secret: Sent::Key(Box::new(key)),
                }
            }
            Credentials::Oauth { token, .. } => {
                Self::token("OAUTH", format!("by the OAuth token {}", token.origin()), token).await?
            }
            Credentials::ProgrammaticAccessToken { token, .. } => {
                let by = format!("by the programmatic access token {}", token.origin());
                Self::token("PROGRAMMATIC_ACCESS_TOKEN", by, token).await?
            }
            Credentials::ContainerService { token } => {
                let by = format!("by the container service's token {}", token.origin());
                Self::token("OAUTH", by, token).await?
            }
        })
    }

    async fn token(authenticator: &'static str, by: String, token: &Token) -> Result<Self, SourceError> {
        // Read anew at each login: the token of a container service changes every few minutes. What cannot be had now may
        // be there at the next try, but for a program that cannot be run.
        let secret = token.read().await.map_err(|error| SourceError::Secret {
            what: "token".to_owned(),
            reason: error.to_string(),
            passing: token.may_change() && !matches!(error, SecretError::CommandUnusable { .. }),
        })?;
        Ok(Self { authenticator: Some(authenticator), secret: Sent::Token(secret), by })
    }
}

/// Logs in with the account's settings; the answer, and as whom and how in words.
pub(super) async fn login(http: &Client, account: &Snowflake) -> Result<(LoginData, String), SourceError> {
    let user = account.credentials.user();
    let proof = Proof::read(&account.credentials).await?;
    let format_parameter = match account.client_id.as_str() {
        "PythonConnector" => "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT".to_owned(),
        other => format!("{}_QUERY_RESULT_FORMAT", other.to_uppercase()),
    };
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
    let salt = account.hash_salt.as_ref().map(Secret::reread).transpose();
    let salt = salt.map_err(|error| SourceError::Secret {
        what: "hash salt".to_owned(),
        reason: error.to_string(),
        passing: false,
    })?;
    let salt = salt.map(|salt| selection::salt(salt.expose()));
    let variable = format!("${}", selection::SALT);
    if let Some(salt) = salt {
        // A variable of the session: "Setting variables on connection" in Snowflake's page on SQL variables. In a
        // statement, or bound to one, it would stand in the query history.
        parameters.insert(&variable, salt.into());
    }
    let mut url = format!("{}/session/v1/login-request?requestId={}", account.url, Uuid::new_v4());
    for (name, value) in [("warehouse", &account.warehouse), ("roleName", &account.role)] {
        if let Some(value) = value {
            url.push_str(&format!("&{name}={}", percent(value)));
        }
    }
    let what = "the login";
    let who = user.map_or_else(|| proof.by.clone(), |user| format!("{user} {}", proof.by));
    let answer = http::send(&account.url, what, ATTEMPTS, |_| {
        // A token that waited for a repeated request would come too late, so each attempt has its own.
        let signed = match &proof.secret {
            Sent::Key(key) => Some(
                jwt(key, &account.account, user.unwrap_or_default(), SystemTime::now())
                    .map_err(|error| SourceError::PrivateKey { origin: proof.by.clone(), reason: error.to_string() })?,
            ),
            Sent::Password(_) | Sent::Token(_) => None,
        };
        let (password, token) = match &proof.secret {
            Sent::Password(password) => (Some(password.expose()), None),
            Sent::Token(token) => (None, Some(token.expose())),
            Sent::Key(_) => (None, signed.as_deref()),
        };
        let body = LoginRequest {
            data: LoginRequestData {
                client_app_id: &account.client_id,
                client_app_version: &account.client_version,
                account_name: &account.account,
                login_name: user,
                password,
                authenticator: proof.authenticator,
                token,
                client_environment: BTreeMap::from([("APPLICATION", "snowmelt"), ("OS", std::env::consts::OS)]),
                session_parameters: &parameters,
            },
        };
        Ok(http
            .post(&url)
            .header("Accept", "application/snowflake")
            .header("CLIENT_APP_ID", &account.client_id)
            .header("CLIENT_APP_VERSION", &account.client_version)
            .json_body(&body))
    })
    .await?;
    let refused = |code: &str, message: String| SourceError::Login {
        url: account.url.clone(),
        who: who.clone(),
        code: code.to_owned(),
        message,
        may_change: account.credentials.may_change(),
    };
    let Answer::Body(body) = answer else {
        return Err(refused("403", "HTTP status 403".to_owned()));
    };
    let envelope = envelope(what, &body)?;
    if !envelope.success {
        return Err(refused(&envelope.code, envelope.message.clone().unwrap_or_default().trim().to_owned()));
    }
    let login: LoginData = data(what, &envelope)?;
    // A token without a user says nothing about whose it is; the answer does.
    let who = match (user, &login.display_user_name) {
        (None, Some(name)) if !name.is_empty() => format!("{name} {}", proof.by),
        _ => who,
    };
    Ok((login, who))
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
