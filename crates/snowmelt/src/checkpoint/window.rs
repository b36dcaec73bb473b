//! Where in a table's history a capture is that is read by windows.
//!
//! Everything that decides which rows a window has, and in which order, is committed with its first slice: so the query
//! that is asked again after a failure is the same one. What of it comes back the same is compared with `sum`.

use serde::{Deserialize, Serialize};

use crate::moment::moment;

/// The window that was read last, or is being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// What was committed up to this moment is not in it: milliseconds since 1970, by Snowflake's clock. `None`: the
    /// window is the table as it stood at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// What was committed up to this moment, itself included, is in it.
    pub to: i64,
    /// When the table was created, in milliseconds since 1970: tells it from another that gets its name.
    pub table: i64,
    /// Key columns its rows were ordered with; `None` when the row id is the key.
    pub key: Option<Vec<String>>,
    /// Whether only inserts are asked for.
    #[serde(default)]
    pub append_only: bool,
    /// Fingerprint of the filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Fingerprint of the columns that `sum` goes over.
    pub columns: String,
    /// Sum of the hashes of its rows up to the checkpoint's, as Snowflake gave it.
    pub sum: String,
    /// Windows before it that are still to be looked at a second time, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<Look>,
}

/// A window that is whole in Kafka, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// As [`Window::from`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// As [`Window::to`].
    pub to: i64,
    /// Rows it had.
    pub rows: u64,
    /// As [`Window::sum`], of all of them.
    pub sum: String,
    /// As [`Window::columns`].
    pub columns: String,
}

impl Window {
    /// The same window, of whose rows those up to `sum` are in Kafka.
    #[must_use]
    pub fn at(&self, sum: String) -> Self {
        Self { sum, ..self.clone() }
    }

    /// What to look at again of this window, which has `rows` rows and is whole.
    #[must_use]
    pub fn look(&self, rows: u64) -> Look {
        let Self { from, to, sum, columns, .. } = self.clone();
        Look { from, to, rows, sum, columns }
    }
}

impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&between(self.from, self.to))
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&between(self.from, self.to))
    }
}

fn between(from: Option<i64>, to: i64) -> String {
    match from {
        Some(from) => format!("the window from {} to {}", moment(from), moment(to)),
        None => format!("the snapshot of {}", moment(to)),
    }
}
