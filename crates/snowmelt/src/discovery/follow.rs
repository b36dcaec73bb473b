//! The task that looks again and again, and hands a capture to the fleet for each new table.
//!
//! It counts as working, so that a publisher without a table yet waits for one; unless no pattern can be listed, which
//! waits for a person like a capture that is halted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::{Look, left, look, named};
use crate::backoff::Backoff;
use crate::config::{ObjectName, Table};
use crate::error::{Error, ExitCode, Next};
use crate::fleet::{Shared, Working};
use crate::pipeline::Capture;
use crate::source::SourceError;
use crate::source::session::Session;

/// Looks for tables until stopped.
pub(crate) struct Discovery {
    shared: Shared,
    to: UnboundedSender<Capture>,
    /// What is captured, by name.
    known: BTreeMap<ObjectName, Table>,
    /// What waits for a person, as the status shows it, and why.
    waiting: BTreeMap<String, String>,
    /// What earlier publishers left staged; `None` until it is known.
    left: Option<Vec<ObjectName>>,
    session: Option<Arc<Session>>,
    backoff: Backoff,
    /// Counts as working; `None` while it waits for a person.
    working: Option<Working>,
}

impl Discovery {
    /// Counts as working from now on.
    pub(crate) fn new(shared: Shared, to: UnboundedSender<Capture>) -> Self {
        let retry = &shared.config.retry;
        Self {
            known: named(&shared.config),
            to,
            waiting: BTreeMap::new(),
            left: None,
            session: None,
            backoff: Backoff::new(retry.initial, retry.max),
            working: Some(shared.working()),
            shared,
        }
    }

    /// Looks until stopped, or until nothing can be found any more and no capture works.
    pub(crate) async fn run(mut self) {
        let stop = self.shared.stop.clone();
        while let Some(looked) = stop.run_until_cancelled(self.look()).await {
            let wait = match looked {
                Ok(look) => self.take(look),
                Err(error) => self.failed(&error).await,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.shared.idle(), if self.working.is_none() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    async fn look(&mut self) -> Result<Look, SourceError> {
        let session = match &self.session {
            Some(session) => Arc::clone(session),
            None => {
                let session = Session::connect(&self.shared.config.snowflake).await?;
                Arc::clone(self.session.insert(session))
            }
        };
        if self.left.is_none() {
            match self.staged(&session).await {
                Ok(staged) => self.left = Some(staged),
                Err(error) => tracing::warn!(%error, "what is staged of tables that are gone is not known yet"),
            }
        }
        let left = self.left.as_deref().unwrap_or_default();
        look(&session, &self.shared.config, &self.known, left).await
    }

    async fn staged(&self, session: &Arc<Session>) -> Result<Vec<ObjectName>, Error> {
        left::staged(session, self.shared.cluster().await?, &self.shared.config).await
    }

    /// Starts captures, and says what cannot be captured. The time until the next look.
    fn take(&mut self, look: Look) -> Duration {
        self.backoff.reset();
        for table in look.tables {
            let (name, pattern) = (table.name.to_string(), table.pattern.clone().unwrap_or_default());
            tracing::info!(table = name, pattern, topic = table.topic, "a table is found");
            self.waiting.remove(&name);
            self.known.insert(table.name.clone(), table.clone());
            // The fleet takes captures as long as it runs, and this task ends before it.
            let _ = self.to.send(Capture::new(table, self.shared.clone()));
        }
        let all_wait = look.unlisted.len() == self.shared.config.table_patterns.len();
        let refused = look.refused.into_iter().map(|refused| {
            let name = refused.name.to_string();
            (name.clone(), Some(refused.pattern), format!("{name}: {}", refused.reason), ExitCode::Usage)
        });
        let unlisted = look
            .unlisted
            .into_iter()
            .map(|unlisted| (unlisted.pattern, None, unlisted.error.to_string(), ExitCode::Source));
        self.wait_for_a_person(refused.chain(unlisted).collect());
        self.works(!all_wait);
        if all_wait { self.shared.config.retry.halted } else { self.shared.config.discovery.interval }
    }

    /// The time until the next try.
    async fn failed(&mut self, error: &SourceError) -> Duration {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
        if error.next() == Next::Restart {
            let wait = self.backoff.next_wait();
            tracing::warn!(%error, ?wait, "tables cannot be looked for; trying again");
            return wait;
        }
        let patterns = self.shared.config.table_patterns.iter().map(|pattern| pattern.matches.to_string());
        let all = patterns.map(|pattern| (pattern, None, error.to_string(), ExitCode::Source)).collect();
        self.wait_for_a_person(all);
        self.works(false);
        self.shared.config.retry.halted
    }

    /// Shows what waits for a person now, and no longer what does not. Said in the log when it is new.
    fn wait_for_a_person(&mut self, now: Vec<(String, Option<String>, String, ExitCode)>) {
        let before = std::mem::take(&mut self.waiting);
        for (name, pattern, reason, exit) in now {
            if before.get(&name) != Some(&reason) {
                tracing::error!(table = name, reason, "what a pattern finds cannot be captured");
                self.shared.status.refuse(&name, pattern.as_deref(), &reason, exit);
            }
            self.waiting.insert(name, reason);
        }
        for name in before.keys().filter(|name| !self.waiting.contains_key(*name)) {
            let captured = self.known.keys().any(|known| known.to_string() == *name);
            if !captured {
                self.shared.status.remove(name);
            }
        }
    }

    fn works(&mut self, works: bool) {
        match works {
            true if self.working.is_none() => self.working = Some(self.shared.working()),
            true => {}
            false => self.working = None,
        }
    }
}
