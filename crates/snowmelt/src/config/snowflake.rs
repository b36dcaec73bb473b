//! `[snowflake]`: where the account is, how to log in, and what a session sets.
//!
//! Promises: what an authenticator needs is there and what it would ignore is
//! refused; the URL is `https` unless it stays on this machine. Leaves logging
//! in, and reading a token file again, to the session.

use std::collections::BTreeMap;
use std::time::Duration;

use super::choice::{Choice, choice};
use super::name::SchemaName;
use super::reading::Section;
use super::secret::Secret;

choice! {
    /// How a session proves who it is.
    Authenticator {
        Password = "password", "`user` and `password`";
        Oauth = "oauth", "an OAuth access token, or a container service's token file, in `token`";
        ProgrammaticAccessToken = "programmatic_access_token", "a programmatic access token in `token`";
    }
}

choice! {
    /// The encoding asked of Snowflake for results.
    ResultFormat {
        Arrow = "arrow", "Arrow record batches: exact and fast";
        Json = "json", "JSON rows: for client ids that are not given Arrow";
    }
}

/// `[snowflake]`.
#[derive(Debug, Clone)]
pub struct Snowflake {
    /// Account identifier, `organisation-account` or a locator. Required.
    pub account: String,
    /// Base URL without a trailing slash; default
    /// `https://<account>.snowflakecomputing.com`.
    pub url: String,
    /// Login name; `None` with a container service's token.
    pub user: Option<String>,
    /// Default `password`.
    pub authenticator: Authenticator,
    /// There if and only if `authenticator` is `password`.
    pub password: Option<Secret>,
    /// There if and only if `authenticator` is one of the tokens. Call
    /// [`Secret::reread`] at each login: token files change under a running
    /// service.
    pub token: Option<Secret>,
    /// Role of the session; default: the user's default role.
    pub role: Option<String>,
    /// Warehouse of the session; default: the user's default warehouse.
    pub warehouse: Option<String>,
    /// Schema that holds everything the publisher creates. Required.
    pub state_schema: SchemaName,
    /// `CLIENT_APP_ID` of the login; default `Go`.
    pub client_id: String,
    /// `CLIENT_APP_VERSION` of the login; default `1.19.0`.
    pub client_version: String,
    /// Query tag of the session; default `snowmelt/<name>`.
    pub query_tag: String,
    /// Default `arrow`.
    pub result_format: ResultFormat,
    /// Longest wait for one HTTP answer; default 120 s.
    pub request_timeout: Duration,
    /// Further session parameters, by name as written; default none.
    pub session_parameters: BTreeMap<String, String>,
    /// What hashes of masked columns are salted with; there if any table's
    /// `columns.hash` is.
    pub hash_salt: Option<Secret>,
}

/// A salt that is shorter could be found by trying.
const SHORTEST_SALT: usize = 16;

impl Snowflake {
    pub(super) fn build(section: &Section<'_>, name: Option<&str>) -> Option<Self> {
        check_credentials(section);
        check_salt(section);
        let account: Option<String> = section.get("account");
        let url = section.get::<Option<String>>("url");
        let query_tag = section.get::<Option<String>>("query_tag");
        let account = account?;
        Some(Self {
            url: url?.unwrap_or_else(|| default_url(&account)),
            account,
            user: section.get("user")?,
            authenticator: section.get("authenticator")?,
            password: section.get("password")?,
            token: section.get("token")?,
            role: section.get("role")?,
            warehouse: section.get("warehouse")?,
            state_schema: section.get("state_schema")?,
            client_id: section.get("client_id")?,
            client_version: section.get("client_version")?,
            query_tag: query_tag?.or_else(|| Some(format!("snowmelt/{}", name?)))?,
            result_format: section.get("result_format")?,
            request_timeout: section.get("request_timeout")?,
            session_parameters: section.get("session_parameters")?,
            hash_salt: section.get("hash_salt")?,
        })
    }
}

/// Host names may not hold underscores, and Snowflake answers to the account
/// with hyphens in their place.
fn default_url(account: &str) -> String {
    let host = account.to_ascii_lowercase().replace('_', "-");
    format!("https://{host}.snowflakecomputing.com")
}

fn check_salt(section: &Section<'_>) {
    let salt = section.get::<Option<Secret>>("hash_salt").flatten();
    if salt.is_some_and(|salt| salt.expose().len() < SHORTEST_SALT) {
        section.refuse(
            "hash_salt",
            format!("is shorter than {SHORTEST_SALT} characters, and could be found by trying"),
            "draw a random one, for instance with `openssl rand -hex 32`, and keep it".to_owned(),
        );
    }
}

/// A credential that the authenticator would ignore is refused: it is either a
/// forgotten secret or a login other than the one meant.
fn check_credentials(section: &Section<'_>) {
    let Some(authenticator) = section.get::<Authenticator>("authenticator") else {
        return;
    };
    let (needed, unused): (&[&str], &[&str]) = match authenticator {
        Authenticator::Password => (&["user", "password"], &["token"]),
        Authenticator::Oauth | Authenticator::ProgrammaticAccessToken => (&["token"], &["password"]),
    };
    let word = authenticator.as_str();
    for key in needed {
        if !section.given(key) {
            section.refuse(
                key,
                format!("is missing, and authenticator \"{word}\" needs it"),
                format!("set {key}, or choose another authenticator"),
            );
        }
    }
    for key in unused {
        if section.given(key) {
            section.refuse(
                key,
                format!("is not used by authenticator \"{word}\""),
                format!("remove {key}, or choose the authenticator that uses it"),
            );
        }
    }
}
