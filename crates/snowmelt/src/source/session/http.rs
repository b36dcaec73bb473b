//! HTTP to Snowflake with the drivers' own retry rules.
//!
//! A request is repeated on transport errors, 307, 308, 408, 429 and 5xx, at most [`ATTEMPTS`] times, honouring
//! `Retry-After` (gosnowflake `retry.go`). The caller's request id stays the same, so a server that already ran the
//! statement answers from memory. Chunk URLs carry their own authorisation, so a 403 there is handed back at once.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{RequestBuilder, StatusCode, header};

use crate::backoff::Backoff;
use crate::source::error::SourceError;

/// First try included.
pub(crate) const ATTEMPTS: u32 = 7;
/// A `Retry-After` longer than this is not waited for here; the pipeline's own back-off takes over.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Why an attempt is being repeated; the drivers tell the server.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attempt {
    /// Zero for the first.
    pub(crate) number: u32,
    /// HTTP status of the attempt before, zero for a transport error.
    pub(crate) reason: u16,
}

/// What an attempt came to.
pub(crate) enum Answer {
    /// A body to read.
    Body(Bytes),
    /// 403: on a chunk URL, an expired link.
    Forbidden,
}

/// Sends what `build` makes until it is answered, at most `attempts` times. `what` names the request in errors; `url` is
/// shown without query.
pub(crate) async fn send(
    url: &str,
    what: &str,
    attempts: u32,
    build: impl Fn(Attempt) -> Result<RequestBuilder, SourceError>,
) -> Result<Answer, SourceError> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(4));
    let mut attempt = Attempt::default();
    loop {
        let (reason, retry_after) = match once(build(attempt)?).await {
            Ok(Outcome::Body(body)) => return Ok(Answer::Body(body)),
            Ok(Outcome::Forbidden) => return Ok(Answer::Forbidden),
            Ok(Outcome::Hopeless(status)) => {
                return Err(SourceError::Unreachable {
                    url: url.to_owned(),
                    what: what.to_owned(),
                    reason: format!("HTTP status {status}; check the account URL and the network policy"),
                });
            }
            Ok(Outcome::Again(status, retry_after)) => {
                attempt.reason = status.as_u16();
                (format!("HTTP status {status}"), retry_after)
            }
            Err(error) => {
                attempt.reason = 0;
                (transport_reason(&error), None)
            }
        };
        attempt.number += 1;
        if attempt.number >= attempts {
            return Err(SourceError::Unreachable {
                url: url.to_owned(),
                what: what.to_owned(),
                reason: match attempts {
                    1 => reason,
                    attempts => format!("{reason} (tried {attempts} times)"),
                },
            });
        }
        let wait = retry_after.map_or_else(|| backoff.next_wait(), |asked: Duration| asked.min(LONGEST_RETRY_AFTER));
        tracing::debug!(what, reason, attempt = attempt.number, ?wait, "repeating a request to snowflake");
        tokio::time::sleep(wait).await;
    }
}

/// Room made for a body on the strength of its announced length alone.
const LARGEST_ROOM: u64 = 64 << 20;

enum Outcome {
    Body(Bytes),
    Forbidden,
    Again(StatusCode, Option<Duration>),
    Hopeless(StatusCode),
}

async fn once(request: RequestBuilder) -> Result<Outcome, reqwest::Error> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() {
        return whole(response).await.map(Outcome::Body);
    }
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    Ok(match status.as_u16() {
        403 => Outcome::Forbidden,
        307 | 308 | 408 | 429 | 500..=599 => Outcome::Again(status, retry_after),
        // 401 carries an ordinary reply (390103 and its kin): the caller reads the code.
        401 => response.bytes().await.map(Outcome::Body)?,
        _ => Outcome::Hopeless(status),
    })
}

/// The body in one piece. Result chunks are the largest things a publisher holds, and `Response::bytes` holds them twice
/// while it joins what came.
async fn whole(mut response: reqwest::Response) -> Result<Bytes, reqwest::Error> {
    let announced = response.content_length().unwrap_or_default().min(LARGEST_ROOM);
    let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or_default());
    while let Some(piece) = response.chunk().await? {
        body.extend_from_slice(&piece);
    }
    Ok(Bytes::from(body))
}

/// The chain of causes without the URL, whose query may hold a signature.
fn transport_reason(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "timed out".to_owned()
    } else if error.is_connect() {
        "cannot connect".to_owned()
    } else {
        "connection broke".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
