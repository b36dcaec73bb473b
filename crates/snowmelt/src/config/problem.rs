//! What is wrong with a configuration, said so that a person can act on it.
//!
//! Promises: each problem is one line, `file:line: setting: reason; remedy`, in
//! the order of the file, and none repeats a value that may be a secret.

use std::fmt;

/// Why a value is refused, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, to be read after the setting's name.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl Refusal {
    /// A refusal with its remedy.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }
}

/// One problem of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file, as it was named by whoever asked for it.
    pub origin: String,
    /// The line, counted from 1; `None` if the file could not be read at all.
    pub line: Option<usize>,
    /// The setting's path, such as `kafka.tls.ca_file` or `tables[2].name`
    /// (tables are counted from 1); `None` if the text is not TOML.
    pub setting: Option<String>,
    /// What is wrong, in lower case.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if let Some(setting) = &self.setting {
            write!(f, "{setting}: ")?;
        }
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

/// All problems of one configuration file, at least one, by line.
///
/// `Display` puts each on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn sorted(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.line, &a.setting).cmp(&(b.line, &b.setting)));
        Self(problems)
    }

    pub(super) fn of_file(origin: &str, reason: &str, remedy: &str) -> Self {
        Self(vec![Problem {
            origin: origin.to_owned(),
            line: None,
            setting: None,
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
        }])
    }

    /// The problems, by line.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
