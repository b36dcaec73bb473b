//! The words of a fault: what is matched, what is done, what is counted. Plain data, read from JSON as
//! `{"match":{"path":"/queries","sql":"create transient"},"nth":2,"times":1,"action":{"kind":"drop_after"}}`.

use serde::{Deserialize, Serialize};

/// Names one armed rule for as long as the simulator lives.
pub type RuleId = u64;

/// One fault: which requests, which of those, and what happens to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The requests meant; all of them if empty.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// The first match that is struck, counted from 1.
    #[serde(default = "first")]
    pub nth: u64,
    /// How many requests are struck in all; `None` is without end. Once by default.
    #[serde(default = "once")]
    pub times: Option<u64>,
    /// The share of matches that is struck, between 0 and 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Seeds the dice of `probability`.
    #[serde(default)]
    pub seed: u64,
    /// What happens.
    pub action: Action,
}

impl Rule {
    /// A rule that strikes the first request under `path`, once.
    pub fn on_path(path: &str, action: Action) -> Rule {
        Rule::new(Match { path: Some(path.to_owned()), sql: None }, action)
    }

    /// A rule that strikes the first statement whose text contains `sql`, once.
    pub fn on_sql(sql: &str, action: Action) -> Rule {
        Rule::new(Match { path: None, sql: Some(sql.to_owned()) }, action)
    }

    fn new(matches: Match, action: Action) -> Rule {
        Rule { matches, nth: first(), times: once(), probability: always(), seed: 0, action }
    }
}

fn first() -> u64 {
    1
}

fn once() -> Option<u64> {
    Some(1)
}

fn always() -> f64 {
    1.0
}

/// Which requests a rule means. Every condition given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The request's path starts with this (`/queries/v1`, `/session/token-request`, `/results/`).
    #[serde(default)]
    pub path: Option<String>,
    /// The statement's text contains this, whatever the case. Only query requests have a text.
    #[serde(default)]
    pub sql: Option<String>,
}

impl Match {
    pub(super) fn covers(&self, path: &str, sql: Option<&str>) -> bool {
        let path_holds = self.path.as_deref().is_none_or(|prefix| path.starts_with(prefix));
        let sql_holds = self
            .sql
            .as_deref()
            .is_none_or(|part| sql.is_some_and(|text| text.to_ascii_lowercase().contains(&part.to_ascii_lowercase())));
        path_holds && sql_holds
    }
}

/// What happens to a request that is struck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// An HTTP status instead of an answer; nothing runs.
    Status {
        /// The status code, such as 503 or 429.
        status: u16,
        /// The `Retry-After` header, in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// The connection closes before anything runs.
    DropBefore,
    /// The statement runs to its end and commits; then the connection closes without an answer.
    DropAfter,
    /// The request waits.
    Delay {
        /// Before the statement runs, or after it, before the answer.
        moment: Moment,
        /// Milliseconds.
        ms: u64,
    },
    /// The statement itself takes so much longer: it can be polled and aborted meanwhile.
    Stall {
        /// Milliseconds before it does anything.
        ms: u64,
    },
    /// The session token used expires (390112); renewal works.
    ExpireSession,
    /// The session used is gone (390111), with its open transaction.
    SessionGone,
    /// Session and master token expire (390112, then 390114 at renewal).
    MasterExpired,
    /// A result chunk trickles.
    SlowChunk {
        /// So many bytes …
        bytes: u64,
        /// … every so many milliseconds.
        every_ms: u64,
    },
    /// A result chunk's connection closes early.
    CutChunk {
        /// Bytes of the body that still arrive.
        after: u64,
    },
    /// A result chunk is refused with 403, as an expired link is.
    ChunkForbidden,
    /// An error of the service; the statement does not run.
    Error {
        /// Snowflake's code, such as `000606`.
        code: String,
        /// Its text.
        message: String,
        /// The SQL state, `XX000` by default.
        #[serde(default = "internal_error")]
        sql_state: String,
    },
}

fn internal_error() -> String {
    "XX000".to_owned()
}

/// When a delay waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the statement runs.
    Before,
    /// After it ran.
    After,
}

/// What one rule has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Requests that met the rule's conditions.
    pub matched: u64,
    /// Those of them that it acted on.
    pub struck: u64,
}
