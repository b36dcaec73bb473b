//! Aborting: a statement whose caller went away is not left running.
//!
//! Aborting is asked for, not waited for, and harms nothing: a statement that has ended is not aborted, and one that has
//! not had no effect. [`Session::close`] gives what was asked for its time.

use std::sync::Arc;

use uuid::Uuid;

use super::Session;
use super::wire::Envelope;

/// Asks Snowflake to abort a statement whose caller went away.
pub(super) struct AbortOnDrop {
    session: Option<Arc<Session>>,
    request_id: Uuid,
}

impl AbortOnDrop {
    pub(super) fn new(session: &Arc<Session>, request_id: Uuid) -> Self {
        Self { session: Some(Arc::clone(session)), request_id }
    }

    /// The statement came to its end.
    pub(super) fn finished(mut self) {
        self.session = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let request_id = self.request_id;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let aborts = session.aborts.clone();
        aborts.spawn_on(async move { session.abort(request_id).await }, &runtime);
    }
}

impl Session {
    /// Asks Snowflake to abort a statement, with a renewed token if need be: a statement may outlast a token.
    async fn abort(&self, request_id: Uuid) {
        let body = serde_json::json!({ "requestId": request_id.to_string() });
        for _ in 0..2 {
            let url = format!("{}/queries/v1/abort-request?requestId={}", self.account.url, Uuid::new_v4());
            let token = self.tokens.read().await.session.clone();
            let reason = match self.post_once(&url, &token, &body).await {
                Err(error) => error.to_string(),
                Ok(body) => match serde_json::from_slice::<Envelope<'_>>(&body) {
                    Ok(envelope) if envelope.code == "390112" => match self.renew(&token).await {
                        Ok(()) => continue,
                        Err(error) => error.to_string(),
                    },
                    Ok(envelope) if !envelope.success => envelope.message.unwrap_or(envelope.code),
                    _ => return,
                },
            };
            return tracing::debug!(reason, "an abandoned statement could not be aborted");
        }
    }
}
