//! Reading requests the way the real drivers spell them: parameters in any case and with or without
//! underscores (`requestId`, `request_id`), bodies plain or gzipped, tokens in `Authorization`.

use std::io::Read;

use axum::http::{HeaderMap, Uri, header};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// The largest request body taken, after decompression: several 16 MB strings in one statement.
pub(crate) const BODY_LIMIT: usize = 192 * 1024 * 1024;

/// The parameters of a URL, found whatever their spelling.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn of(uri: &Uri) -> Parameters {
        let query = uri.query().unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (folded(&decoded(name)), decoded(value))
        });
        Parameters(pairs.collect())
    }

    /// The value of a parameter; an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let name = folded(name);
        self.0.iter().find(|(other, value)| *other == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

fn folded(name: &str) -> String {
    name.chars().filter(|letter| *letter != '_').map(|letter| letter.to_ascii_lowercase()).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value = escape.and_then(|digits| std::str::from_utf8(digits).ok());
        let value = value.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The body as JSON, decompressed if its encoding says so. An empty body is an empty object.
pub(crate) fn json(headers: &HeaderMap, body: &Bytes) -> Result<Value, String> {
    let gzipped =
        headers.get(header::CONTENT_ENCODING).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let mut plain = Vec::new();
    let text: &[u8] = if gzipped {
        let limit = u64::try_from(BODY_LIMIT).unwrap_or(u64::MAX);
        MultiGzDecoder::new(body.as_ref())
            .take(limit)
            .read_to_end(&mut plain)
            .map_err(|error| format!("request body is not gzip although its encoding says so: {error}"))?;
        &plain
    } else {
        body
    };
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(text).map_err(|error| format!("request body is not JSON: {error}"))
}

/// The token of `Authorization: Snowflake Token="…"`; the drivers' `None` counts as absent.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let token = value.strip_prefix("Snowflake Token=")?.trim_matches('"');
    (!token.is_empty() && token != "None").then_some(token)
}

/// `scheme://host` as the client sees it, for links back to this server.
pub(crate) fn origin(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    let scheme = headers.get("x-forwarded-proto").and_then(|scheme| scheme.to_str().ok()).unwrap_or("http");
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_in_any_spelling() {
        let uri: Uri = "/x?request_id=a%2Fb&databaseName=My+DB&roleName=&clientStartTime=1%".parse().unwrap();
        let parameters = Parameters::of(&uri);
        assert_eq!(parameters.get("requestId"), Some("a/b"));
        assert_eq!(parameters.get("DATABASE_NAME"), Some("My DB"));
        assert_eq!(parameters.get("roleName"), None);
        assert_eq!(parameters.get("clientStartTime"), Some("1%"));
    }

    #[test]
    fn tokens_are_read_and_none_is_absent() {
        let mut headers = HeaderMap::new();
        assert_eq!(token(&headers), None);
        headers.insert(header::AUTHORIZATION, "Snowflake Token=\"None\"".parse().unwrap());
        assert_eq!(token(&headers), None);
        headers.insert(header::AUTHORIZATION, "Snowflake Token=\"abc\"".parse().unwrap());
        assert_eq!(token(&headers), Some("abc"));
    }

    #[test]
    fn a_false_gzip_is_named() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert!(json(&headers, &Bytes::from_static(b"{}")).unwrap_err().contains("gzip"));
        assert_eq!(json(&HeaderMap::new(), &Bytes::new()).unwrap(), serde_json::json!({}));
    }
}
