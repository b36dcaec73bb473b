//! `/metrics`, `/health/live` and `/health/ready` of a publisher.
//!
//! It is *ready* when every table has been claimed and is carried, or waits for a person: the process then does all it
//! can. A table that waits shows in the answer and in the figures; a rollout must not wait for it.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics;
use crate::status::{State, Status};

/// Listens, so that a wrong address is known before anything else begins.
///
/// # Errors
/// When the address cannot be listened on, with the remedy.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| format!("{address} cannot be listened on: {error}; choose another address with --metrics"))
}

/// Serves for as long as the future is kept.
///
/// # Errors
/// When listening fails.
pub async fn serve(listener: TcpListener, status: Status) -> std::io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "metrics and health are served");
    axum::serve(listener, router(status)).await
}

/// The three pages.
pub fn router(status: Status) -> Router {
    Router::new()
        .route("/metrics", get(figures))
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
        .with_state(status)
}

async fn figures(Shared(status): Shared<Status>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::text(&status))
}

async fn ready(Shared(status): Shared<Status>) -> (StatusCode, String) {
    let (mut ready, mut words) = (true, String::new());
    let tables = status.snapshot();
    for (table, capture) in &tables {
        match &capture.state {
            State::Idle | State::Waiting { .. } | State::Delivering { .. } => {}
            State::Halted { reason } => words.push_str(&format!("{table} waits for a person: {reason}\n")),
            State::Resuming => {
                ready = false;
                words.push_str(&format!("{table} is being claimed\n"));
            }
            State::Retrying { reason } => {
                ready = false;
                words.push_str(&format!("{table} is tried again: {reason}\n"));
            }
            State::Fenced { .. } | State::Stopped => {
                ready = false;
                words.push_str(&format!("{table} is not carried by this process any more\n"));
            }
        }
    }
    if tables.is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no table is known yet\n".to_owned());
    }
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, if words.is_empty() { "ready\n".to_owned() } else { words })
}
