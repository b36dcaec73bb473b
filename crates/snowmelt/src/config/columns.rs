//! `[tables.columns]`: which columns of a table leave Snowflake, and which of them masked.
//!
//! Promises: a key column that is known here is neither left out nor masked in a way that would make two keys one. The
//! rest depends on the table's real columns and is the source's to judge.

use super::pattern::Pattern;
use super::reading::Section;

/// `[tables.columns]`; all empty: every column as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The columns there are; empty: all.
    pub include: Vec<Pattern>,
    /// Those of them that are not.
    pub exclude: Vec<Pattern>,
    /// Columns of which a salted SHA-256 is sent.
    pub hash: Vec<Pattern>,
    /// Columns of which only NULL or not NULL is sent.
    pub redact: Vec<Pattern>,
    /// Columns of which so many characters are sent.
    pub truncate: Vec<(Pattern, usize)>,
}

impl Columns {
    pub(super) fn build(section: &Section<'_>, key: &[String], salted: bool) -> Option<Self> {
        let list = |name: &str| section.get::<Option<Vec<Pattern>>>(name).map(Option::unwrap_or_default);
        let columns = Self {
            include: list("include")?,
            exclude: list("exclude")?,
            hash: list("hash")?,
            redact: list("redact")?,
            truncate: section.get::<Option<Vec<(Pattern, usize)>>>("truncate")?.unwrap_or_default(),
        };
        if !columns.hash.is_empty() && !salted {
            section.refuse(
                "hash",
                "needs a salt, without which short values are found by trying them all".to_owned(),
                "set snowflake.hash_salt".to_owned(),
            );
        }
        columns.check_key(section, key);
        Some(columns)
    }

    /// Whether nothing is said here.
    pub fn are_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a column of this name leaves Snowflake.
    pub fn has(&self, column: &str) -> bool {
        let named = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(column));
        (self.include.is_empty() || named(&self.include)) && !named(&self.exclude)
    }

    fn check_key(&self, section: &Section<'_>, key: &[String]) {
        let named = |patterns: &[Pattern], column: &str| patterns.iter().any(|pattern| pattern.matches(column));
        for column in key {
            if !self.has(column) {
                let setting = if named(&self.exclude, column) { "exclude" } else { "include" };
                section.refuse(
                    setting,
                    format!("leaves out {column}, which is a key column"),
                    "keep key columns, masked with hash if need be, or choose another key".to_owned(),
                );
            }
            let truncated = self.truncate.iter().any(|(pattern, _)| pattern.matches(column));
            for (setting, hit) in [("redact", named(&self.redact, column)), ("truncate", truncated)] {
                if hit {
                    section.refuse(
                        setting,
                        format!("names {column}, which is a key column, and would make one key of many"),
                        "mask key columns with hash".to_owned(),
                    );
                }
            }
        }
    }
}
