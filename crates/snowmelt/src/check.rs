//! Everything a publisher needs, tried before it runs: all findings at once, each with its remedy.
//!
//! Privileges are tried, not parsed from grants: what counts is whether the statement goes through, by whatever chain
//! of roles. What is made for that is dropped again. Nothing here touches a capture's own stream, topic or checkpoint.

mod kafka;
mod object;
mod pattern;
mod place;
mod snowflake;
mod tunnel;
mod windows;

use serde::Serialize;

use crate::config::Config;
use crate::source::SourceError;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It will work, but somebody should know.
    Warning,
    /// The publisher cannot do its work like this.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub level: Level,
    /// What was looked at.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Findings as they come.
#[derive(Debug, Default)]
pub struct Findings {
    all: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, level: Level, subject: impl Into<String>, found: impl ToString, remedy: Option<String>) {
        self.all.push(Finding { level, subject: subject.into(), found: found.to_string(), remedy });
    }

    fn ok(&mut self, subject: impl Into<String>, found: impl ToString) {
        self.add(Level::Ok, subject, found, None);
    }

    fn warning(&mut self, subject: impl Into<String>, found: impl ToString, remedy: impl Into<String>) {
        self.add(Level::Warning, subject, found, Some(remedy.into()));
    }

    fn problem(&mut self, subject: impl Into<String>, found: impl ToString, remedy: impl Into<String>) {
        self.add(Level::Problem, subject, found, Some(remedy.into()));
    }

    /// An object or a stream that cannot be used as it is.
    fn unfit(&mut self, subject: impl Into<String>, error: &SourceError) {
        match error {
            SourceError::NotCapturable { kind, reason, remedy, .. } => {
                self.problem(subject, format!("it is a {kind}: {reason}"), remedy.clone());
            }
            SourceError::StreamUnfit { reason, remedy, .. } => self.problem(subject, reason.clone(), remedy.clone()),
            other => self.failure(subject, other),
        }
    }

    /// A failure whose message holds its remedy already.
    fn failure(&mut self, subject: impl Into<String>, found: impl ToString) {
        self.add(Level::Problem, subject, found, None);
    }

    /// The findings in the order they were made.
    #[must_use]
    pub fn all(&self) -> &[Finding] {
        &self.all
    }

    /// The worst level, [`Level::Ok`] when there is none.
    #[must_use]
    pub fn worst(&self) -> Level {
        self.all.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }
}

/// Looks at both sides. `wake_warehouse` allows one staging statement on an empty stream, which is the only way to know
/// that the warehouse will run one; without it that is left open and said so.
pub async fn check(config: &Config, wake_warehouse: bool) -> Findings {
    let mut findings = Findings::default();
    let found = snowflake::check(config, wake_warehouse, &mut findings).await;
    // From here on a table that was found is like one that is named.
    let mut config = config.clone();
    config.tables.extend(found);
    tunnel::through(config, &mut findings, kafka::check).await;
    findings
}
