//! A focused client of Snowflake's driver protocol: the part of a driver that exactly-once needs, and no more.
//!
//! ```text
//! connect ─▶ query ─▶ [long poll] ─▶ first rows + list of chunks ─▶ RowStream (prefetched, in order, counted) ─▶ Rows
//!              │ 390112: renew the token, send the same request id again
//!              └ session over: SourceError::SessionOver, the pipeline starts again from the checkpoint
//! ```
//!
//! A statement is never sent under a second request id by this module: whether it ran is for the caller to find out.
//! Dropping an unfinished query asks Snowflake to abort it. Rows received must equal the rows announced.

mod abort;
mod chunk;
mod http;
mod jwt;
mod login;
// Two attributes, because Clippy knows a test by the first one.
#[cfg(test)]
#[cfg(feature = "demo")]
mod refreshed;
// Two attributes, because Clippy knows a test by the first one.
#[cfg(test)]
#[cfg(feature = "demo")]
mod tests;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::Client;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, RwLock};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use uuid::Uuid;

pub use chunk::{RowChunk, RowStream, Table, TableRow};
pub use wire::SessionInfo;

use self::abort::AbortOnDrop;
use self::http::{ATTEMPTS, Answer, Attempt};
use self::wire::{
    Envelope, FailureData, InProgressData, QueryContext, QueryData, QueryRequest, RenewData, RenewRequest,
};
use super::error::SourceError;
use super::value::{Column, parse_columns};
use crate::config::Snowflake;
use crate::warehouse::Tab;

/// Longest wait for each of the last words of a session.
const GOODBYE: Duration = Duration::from_secs(3);

struct Tokens {
    session: String,
    master: String,
}

/// One logged-in session. Statements may run side by side.
pub struct Session {
    http: Client,
    account: Snowflake,
    tokens: RwLock<Tokens>,
    /// Serialises renewals: the loser of the race finds a new token and only sends again.
    renewal: Mutex<()>,
    sequence: AtomicU64,
    query_context: Mutex<QueryContext>,
    info: SessionInfo,
    who: String,
    server_version: String,
    /// Requests to abort statements whose callers went away.
    aborts: TaskTracker,
    heartbeat: std::sync::OnceLock<AbortOnDropHandle<()>>,
    /// Whom statements are charged to, if anybody.
    tab: std::sync::OnceLock<Tab>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("url", &self.account.url).field("info", &self.info).finish_non_exhaustive()
    }
}

/// How a statement is sent.
#[derive(Clone, Copy)]
struct Sending {
    describe_only: bool,
    attempts: u32,
    /// Whether it needs a warehouse.
    warehouse: bool,
}

/// A statement's result: its columns, its announced size and the way to its rows.
pub struct ResultSet {
    session: Arc<Session>,
    columns: Arc<[Column]>,
    data: QueryData,
}

impl Session {
    /// Logs in.
    ///
    /// # Errors
    /// [`SourceError::Login`] when Snowflake refuses, [`SourceError::Unreachable`] when it does not answer,
    /// [`SourceError::Secret`] when the password or token cannot be read.
    pub async fn connect(account: &Snowflake) -> Result<Arc<Self>, SourceError> {
        let http = Client::builder()
            .timeout(account.request_timeout)
            .connect_timeout(Duration::from_secs(15))
            .user_agent(concat!("snowmelt/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SourceError::Protocol { what: "the HTTP client".into(), reason: error.to_string() })?;
        let (login, who) = login::login(&http, account).await?;
        let session = Arc::new(Self {
            http,
            account: account.clone(),
            tokens: RwLock::new(Tokens { session: login.token, master: login.master_token }),
            renewal: Mutex::new(()),
            sequence: AtomicU64::new(0),
            query_context: Mutex::new(QueryContext::default()),
            info: login.session_info,
            who,
            aborts: TaskTracker::new(),
            server_version: login.server_version.unwrap_or_default(),
            heartbeat: std::sync::OnceLock::new(),
            tab: std::sync::OnceLock::new(),
        });
        let every = Duration::from_secs((login.master_validity_in_seconds / 16).clamp(1, 3600));
        let weak = Arc::downgrade(&session);
        let beat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(session) = weak.upgrade() else { return };
                session.heartbeat().await;
            }
        });
        let _ = session.heartbeat.set(AbortOnDropHandle::new(beat));
        Ok(session)
    }

    /// Role, warehouse, database and schema as the login left them.
    #[must_use]
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// The session's role, as Snowflake stores its name.
    #[must_use]
    pub fn role(&self) -> String {
        match self.info.role_name.as_deref() {
            // Should it come quoted, as the names of databases do that need it.
            Some(name) if name.starts_with('"') => crate::config::identifier(name).unwrap_or_else(|_| name.to_owned()),
            Some(name) => name.to_owned(),
            None => "PUBLIC".to_owned(),
        }
    }

    /// Who is logged in and how, in words: "SNOWMELT by key pair SHA256:…".
    #[must_use]
    pub fn who(&self) -> &str {
        &self.who
    }

    /// The server's version as the login told it.
    #[must_use]
    pub fn server_version(&self) -> &str {
        &self.server_version
    }

    /// Charges this session's statements to a capture from now on.
    pub(crate) fn charge_to(&self, tab: Tab) {
        let _ = self.tab.set(tab);
    }

    /// Runs a statement that needs a warehouse and returns its result, whose rows are still to be fetched.
    ///
    /// # Errors
    /// [`SourceError::Refused`] with Snowflake's code, or whatever kept an answer from arriving; then it is unknown
    /// whether the statement ran.
    pub async fn query(self: &Arc<Self>, what: &str, sql: &str) -> Result<ResultSet, SourceError> {
        let data = self.run(what, sql, Sending { describe_only: false, attempts: ATTEMPTS, warehouse: true }).await?;
        self.result_set(what, data)
    }

    /// Runs a statement that needs a warehouse and must not be sent twice: whatever keeps its answer from arriving is an error at once, and
    /// whether it ran is for the caller to find out.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn once(self: &Arc<Self>, what: &str, sql: &str) -> Result<Table, SourceError> {
        let data = self.run(what, sql, Sending { describe_only: false, attempts: 1, warehouse: true }).await?;
        chunk::collect(what, self.result_set(what, data)?).await
    }

    /// Compiles a statement without running it: checks names and privileges, needs no warehouse.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn describe(self: &Arc<Self>, what: &str, sql: &str) -> Result<Arc<[Column]>, SourceError> {
        let data = self.run(what, sql, Sending { describe_only: true, attempts: ATTEMPTS, warehouse: false }).await?;
        Ok(self.result_set(what, data)?.columns)
    }

    /// Runs a statement with a small result and returns it whole. It is counted as one that needs no warehouse: what
    /// does goes through [`Session::query`] or [`Session::once`] in a session that is charged to a capture.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn table(self: &Arc<Self>, what: &str, sql: &str) -> Result<Table, SourceError> {
        let data = self.run(what, sql, Sending { describe_only: false, attempts: ATTEMPTS, warehouse: false }).await?;
        chunk::collect(what, self.result_set(what, data)?).await
    }

    fn result_set(self: &Arc<Self>, what: &str, data: QueryData) -> Result<ResultSet, SourceError> {
        let columns = parse_columns(&data.rowtype)?;
        tracing::trace!(what, query_id = data.query_id, total = data.total, "result");
        Ok(ResultSet { session: Arc::clone(self), columns, data })
    }

    /// Ends the session on the server, after the statements that nobody waits for any more were aborted. Best effort: an
    /// unclosed session ends by itself after its idle time.
    pub async fn close(&self) {
        self.aborts.close();
        if tokio::time::timeout(GOODBYE, self.aborts.wait()).await.is_err() {
            tracing::debug!("a statement was not aborted within 3 s");
        }
        let token = self.tokens.read().await.session.clone();
        let request = self
            .http
            .post(format!("{}/session?delete=true&requestId={}", self.account.url, Uuid::new_v4()))
            .header("Authorization", format!("Snowflake Token=\"{token}\""))
            .header("Accept", "application/snowflake")
            .json_body(&serde_json::json!({}));
        if tokio::time::timeout(GOODBYE, request.send()).await.is_err() {
            tracing::debug!("the session was not closed within 3 s");
        }
    }

    async fn heartbeat(&self) {
        let url = format!("{}/session/heartbeat?requestId={}", self.account.url, Uuid::new_v4());
        let token = self.tokens.read().await.session.clone();
        let answer = self.post_once(&url, &token, &serde_json::json!({})).await;
        if let Ok(body) = answer
            && let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&body)
            && envelope.code == "390112"
            && let Err(error) = self.renew(&token).await
        {
            tracing::debug!(%error, "the session token could not be renewed ahead of time");
        }
    }

    async fn post_once(&self, url: &str, token: &str, body: &impl Serialize) -> Result<Bytes, reqwest::Error> {
        self.http
            .post(url)
            .header("Authorization", format!("Snowflake Token=\"{token}\""))
            .header("Accept", "application/snowflake")
            .json_body(body)
            .send()
            .await?
            .bytes()
            .await
    }

    async fn run(self: &Arc<Self>, what: &str, sql: &str, sending: Sending) -> Result<QueryData, SourceError> {
        let request_id = Uuid::new_v4();
        let started = now_ms();
        let request = QueryRequest {
            sql_text: sql,
            async_exec: false,
            sequence_id: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
            query_submission_time: started,
            describe_only: sending.describe_only,
            query_context: self.query_context.lock().await.clone(),
        };
        let unfinished = AbortOnDrop::new(self, request_id);
        tracing::trace!(what, sql, "statement");
        let charge = self.tab.get().filter(|_| sending.warehouse).map(Tab::charge);
        if charge.is_none()
            && let Some(tab) = self.tab.get()
        {
            tab.metadata();
        }
        let outcome = self.run_to_its_end(what, request_id, started, &request, sending.attempts).await;
        unfinished.finished();
        if let (Some(charge), Err(error)) = (charge, &outcome)
            && error.is_without_warehouse()
        {
            charge.refused();
        }
        let data = outcome?;
        if let Some(context) = &data.query_context {
            *self.query_context.lock().await = context.clone();
        }
        Ok(data)
    }

    async fn run_to_its_end(
        &self,
        what: &str,
        request_id: Uuid,
        started: u128,
        request: &QueryRequest<'_>,
        attempts: u32,
    ) -> Result<QueryData, SourceError> {
        let mut polling: Option<String> = None;
        loop {
            let token = self.tokens.read().await.session.clone();
            let answer =
                http::send(&self.account.url, what, if polling.is_some() { ATTEMPTS } else { attempts }, |attempt| {
                    let builder = match &polling {
                        Some(path) => self.http.get(format!("{}{path}", self.account.url)),
                        None => self.http.post(self.query_url(request_id, started, attempt)).json_body(request),
                    };
                    Ok(builder
                        .header("Authorization", format!("Snowflake Token=\"{token}\""))
                        .header("Accept", "application/snowflake"))
                })
                .await?;
            let Answer::Body(body) = answer else {
                return Err(SourceError::Unreachable {
                    url: self.account.url.clone(),
                    what: what.to_owned(),
                    reason: "HTTP status 403; check the account URL and the network policy".to_owned(),
                });
            };
            let envelope = envelope(what, &body)?;
            match envelope.code.as_str() {
                _ if envelope.success && !matches!(envelope.code.as_str(), "333333" | "333334") => {
                    return data(what, &envelope);
                }
                "333333" | "333334" => polling = Some(data::<InProgressData>(what, &envelope)?.get_result_url),
                "390112" => self.renew(&token).await?,
                _ => return Err(failure(what, &envelope)),
            }
        }
    }

    fn query_url(&self, request_id: Uuid, started: u128, attempt: Attempt) -> String {
        let mut url = format!(
            "{}/queries/v1/query-request?requestId={request_id}&request_guid={}",
            self.account.url,
            Uuid::new_v4()
        );
        if attempt.number > 0 {
            url.push_str(&format!(
                "&clientStartTime={started}&retryCount={}&retryReason={}",
                attempt.number, attempt.reason
            ));
        }
        url
    }

    /// The chunk list of a finished query again, with fresh URLs.
    async fn result_again(&self, what: &str, query_id: &str) -> Result<QueryData, SourceError> {
        loop {
            let token = self.tokens.read().await.session.clone();
            let answer = http::send(&self.account.url, what, ATTEMPTS, |_| {
                Ok(self
                    .http
                    .get(format!("{}/queries/{query_id}/result?requestId={}", self.account.url, Uuid::new_v4()))
                    .header("Authorization", format!("Snowflake Token=\"{token}\""))
                    .header("Accept", "application/snowflake"))
            })
            .await?;
            let Answer::Body(body) = answer else {
                return Err(SourceError::Protocol {
                    what: what.to_owned(),
                    reason: "fresh chunk addresses were refused (HTTP status 403)".to_owned(),
                });
            };
            let envelope = envelope(what, &body)?;
            match envelope.code.as_str() {
                "390112" => self.renew(&token).await?,
                _ if envelope.success => return data(what, &envelope),
                _ => return Err(failure(what, &envelope)),
            }
        }
    }

    /// Trades the expired session token `old` for a new one, unless somebody else just did.
    async fn renew(&self, old: &str) -> Result<(), SourceError> {
        let _turn = self.renewal.lock().await;
        let (session, master) = {
            let tokens = self.tokens.read().await;
            (tokens.session.clone(), tokens.master.clone())
        };
        if session != old {
            return Ok(());
        }
        let what = "the renewal of the session token";
        let body = RenewRequest { old_session_token: &session, request_type: "RENEW" };
        let answer = http::send(&self.account.url, what, ATTEMPTS, |_| {
            Ok(self
                .http
                .post(format!("{}/session/token-request?requestId={}", self.account.url, Uuid::new_v4()))
                .header("Authorization", format!("Snowflake Token=\"{master}\""))
                .header("Accept", "application/snowflake")
                .json_body(&body))
        })
        .await?;
        let Answer::Body(body) = answer else {
            return Err(SourceError::SessionOver { code: "403".into(), message: "renewal refused".into() });
        };
        let envelope = envelope(what, &body)?;
        if !envelope.success {
            let message = envelope.message.clone().unwrap_or_default();
            return Err(SourceError::SessionOver { code: envelope.code, message });
        }
        let renewed: RenewData = data(what, &envelope)?;
        *self.tokens.write().await = Tokens { session: renewed.session_token, master: renewed.master_token };
        tracing::debug!("session token renewed");
        Ok(())
    }

    /// The client for chunk downloads.
    fn http(&self) -> &Client {
        &self.http
    }

    fn url(&self) -> &str {
        &self.account.url
    }
}

impl ResultSet {
    /// The result's columns, in order.
    #[must_use]
    pub fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// Rows the server announced.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.data.total
    }
}

fn envelope<'a>(what: &str, body: &'a Bytes) -> Result<Envelope<'a>, SourceError> {
    serde_json::from_slice(body)
        .map_err(|error| SourceError::Protocol { what: what.to_owned(), reason: format!("not a reply: {error}") })
}

fn data<T: DeserializeOwned>(what: &str, envelope: &Envelope<'_>) -> Result<T, SourceError> {
    let text = envelope.data.map_or("null", |raw| raw.get());
    serde_json::from_str(text)
        .map_err(|error| SourceError::Protocol { what: what.to_owned(), reason: error.to_string() })
}

fn failure(what: &str, envelope: &Envelope<'_>) -> SourceError {
    // Snowflake breaks its messages into lines; ours are one, in a log.
    let message = envelope.message.as_deref().unwrap_or_default().lines().collect::<Vec<_>>().join(" ");
    if SourceError::is_session_over(&envelope.code) {
        return SourceError::SessionOver { code: envelope.code.clone(), message };
    }
    let detail: FailureData = data(what, envelope).unwrap_or_default();
    SourceError::Refused {
        what: what.to_owned(),
        code: envelope.code.clone(),
        sql_state: detail.sql_state.unwrap_or_default(),
        message,
        query_id: detail.query_id.unwrap_or_default(),
    }
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// JSON bodies without reqwest's `json` feature; our own types always serialise.
trait JsonBody {
    fn json_body(self, body: &impl Serialize) -> Self;
}

impl JsonBody for reqwest::RequestBuilder {
    fn json_body(self, body: &impl Serialize) -> Self {
        self.header("Content-Type", "application/json").body(serde_json::to_vec(body).unwrap_or_default())
    }
}
