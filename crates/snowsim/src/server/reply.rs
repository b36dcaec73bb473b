//! The envelope every answer of the driver protocol wears: `{data, code, message, success}`, with
//! HTTP 200 also for logical errors. The codes are those of Snowflake's own drivers.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refusal by the service itself, before or instead of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// What stands under `data`; most refusals have none, and drivers check for that.
    pub(crate) data: Option<String>,
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), data: None }
    }

    pub(crate) fn credentials() -> Refusal {
        Refusal::new("390100", "Incorrect username or password was specified.")
    }

    pub(crate) fn oauth_token() -> Refusal {
        Refusal::new("390303", "Invalid OAuth access token. ")
    }

    pub(crate) fn oauth_expired() -> Refusal {
        Refusal::new("390318", "OAuth access token expired. ")
    }

    pub(crate) fn other_user() -> Refusal {
        Refusal::new(
            "390309",
            "The user you were trying to authenticate as differs from the user tied to the access token.",
        )
    }

    pub(crate) fn service_token() -> Refusal {
        Refusal::new("395092", "Client is unauthorized to use Snowpark Container Services OAuth token.")
    }

    pub(crate) fn programmatic_token() -> Refusal {
        Refusal::new("394400", "Programmatic access token is invalid.")
    }

    /// Says only that the token is invalid; `id` leads an administrator to the reason.
    pub(crate) fn jwt(id: &str) -> Refusal {
        Refusal::new("390144", format!("JWT token is invalid. [{id}]"))
    }

    pub(crate) fn authenticator(name: &str) -> Refusal {
        Refusal::new(
            "390190",
            format!(
                "authenticator {name} is not simulated; use a password, SNOWFLAKE_JWT, OAUTH or PROGRAMMATIC_ACCESS_TOKEN"
            ),
        )
    }

    pub(crate) fn token_missing() -> Refusal {
        Refusal::new("390103", "Session token not found in the request data.")
    }

    pub(crate) fn token_invalid() -> Refusal {
        Refusal::new("390104", "Invalid session token.")
    }

    pub(crate) fn session_gone() -> Refusal {
        Refusal::new("390111", "Session no longer exists.  New login required to access the service.")
    }

    pub(crate) fn session_expired() -> Refusal {
        Refusal::new("390112", "Your session has expired. Please login again.")
    }

    pub(crate) fn master_expired() -> Refusal {
        Refusal::new("390114", "Authentication token has expired.  The user must authenticate again.")
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new("390400", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        envelope(
            &json!({ "data": self.data, "code": self.code, "message": self.message, "success": false, "headers": null }),
        )
    }
}

/// A success with its data.
pub(crate) fn success(data: Value) -> Response {
    envelope(&json!({ "data": data, "code": null, "message": null, "success": true }))
}

/// Any envelope, as the JSON it is.
pub(crate) fn envelope(body: &Value) -> Response {
    json_bytes(body.to_string().into_bytes())
}

/// An answer already written as JSON.
pub(crate) fn json_bytes(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A bare status, as a proxy or an overloaded front door gives.
pub(crate) fn status(status: u16, retry_after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = (status, status.canonical_reason().unwrap_or("fault")).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
