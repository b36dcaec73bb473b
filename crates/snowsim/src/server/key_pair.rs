//! Key-pair login: a JSON Web Token, checked as Snowflake says it checks one.
//!
//! What goes over the wire is always 390144 with an id; which check failed is for administrators, by
//! `SYSTEM$GET_LOGIN_FAILURE_DETAILS` (user-guide/key-pair-auth-troubleshooting and
//! sql-reference/functions/system_get_login_failure_details of Snowflake's documentation).

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::catalog::{Catalog, public_key};

/// Seconds after its issue within which a token must arrive.
const FRESH: i64 = 60;
/// Seconds after its issue at which a token ends, whatever it says.
const LONGEST: i64 = 3_600;

/// Which check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JwtFailure {
    Invalid,
    UserInIssuer,
    MissingTimes,
    IssueTime,
    ExpirationTime,
    Fingerprint,
    Algorithm,
    Signature,
    Account,
}

impl JwtFailure {
    /// Number and name of the documentation's table.
    pub(super) fn error(self) -> (&'static str, &'static str) {
        match self {
            JwtFailure::Invalid => ("390144", "JWT_TOKEN_INVALID"),
            JwtFailure::UserInIssuer => ("394300", "JWT_TOKEN_INVALID_USER_IN_ISSUER"),
            JwtFailure::MissingTimes => ("394301", "JWT_TOKEN_MISSING_ISSUE_OR_EXPIRATION_TIME"),
            JwtFailure::IssueTime => ("394302", "JWT_TOKEN_INVALID_ISSUE_TIME"),
            JwtFailure::ExpirationTime => ("394303", "JWT_TOKEN_INVALID_EXPIRATION_TIME"),
            JwtFailure::Fingerprint => ("394304", "JWT_TOKEN_INVALID_PUBLIC_KEY_FINGERPRINT_MISMATCH"),
            JwtFailure::Algorithm => ("394305", "JWT_TOKEN_INVALID_ALGORITHM"),
            JwtFailure::Signature => ("394306", "JWT_TOKEN_INVALID_SIGNATURE"),
            JwtFailure::Account => ("394307", "JWT_TOKEN_ACCOUNT_MISMATCH"),
        }
    }
}

/// A login's word on itself, beside the token.
pub(super) struct Asked<'a> {
    pub(super) account: &'a str,
    /// Empty if there is none.
    pub(super) user: &'a str,
    pub(super) now_seconds: i64,
}

/// The user that the token proves.
pub(super) fn verify(catalog: &Catalog, token: &str, asked: &Asked<'_>) -> Result<String, JwtFailure> {
    let (signed, signature) = token.rsplit_once('.').ok_or(JwtFailure::Invalid)?;
    let (header, claims) = signed.split_once('.').ok_or(JwtFailure::Invalid)?;
    let (header, claims) = (part(header)?, part(claims)?);
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(JwtFailure::Algorithm);
    }
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).ok_or(JwtFailure::Invalid);
    let (subject, fingerprint) = claim("iss")?.split_once(".SHA256:").ok_or(JwtFailure::Invalid)?;
    if claim("sub")? != subject {
        return Err(JwtFailure::Invalid);
    }
    let (account, name) = subject.split_once('.').ok_or(JwtFailure::Invalid)?;
    if account != bare(asked.account) {
        return Err(JwtFailure::Account);
    }
    let user = catalog.users.get(name).ok_or(JwtFailure::UserInIssuer)?;
    if !asked.user.is_empty() && !asked.user.eq_ignore_ascii_case(name) {
        return Err(JwtFailure::Invalid);
    }
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).ok_or(JwtFailure::MissingTimes);
    let (issued, expires) = (seconds(time("iat")?), seconds(time("exp")?));
    if expires.min(issued.saturating_add(LONGEST)) <= asked.now_seconds {
        return Err(JwtFailure::ExpirationTime);
    }
    if asked.now_seconds.saturating_sub(issued).abs() > FRESH {
        return Err(JwtFailure::IssueTime);
    }
    let keys = [&user.rsa_public_key, &user.rsa_public_key_2];
    let key = keys
        .into_iter()
        .flatten()
        .find(|key| public_key::fingerprint(key).strip_prefix("SHA256:") == Some(fingerprint))
        .and_then(|key| public_key::der(key).ok())
        .ok_or(JwtFailure::Fingerprint)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtFailure::Invalid)?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| JwtFailure::Signature)?;
    Ok(name.to_owned())
}

fn part(text: &str) -> Result<Value, JwtFailure> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| JwtFailure::Invalid)?;
    serde_json::from_slice(&bytes).map_err(|_| JwtFailure::Invalid)
}

#[expect(clippy::cast_possible_truncation, reason = "a moment beyond i64 saturates, and is refused as one")]
fn seconds(time: f64) -> i64 {
    time.floor() as i64
}

/// The account as tokens name it: without region, in capitals.
fn bare(account: &str) -> String {
    let end = if account.contains(".global") { account.find('-') } else { account.find('.') };
    account.get(..end.unwrap_or(account.len())).unwrap_or(account).to_uppercase()
}
