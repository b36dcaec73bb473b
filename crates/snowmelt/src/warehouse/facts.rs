//! What Snowflake tells of a warehouse without running it: its size, and when it suspends itself.

use std::sync::Arc;
use std::time::Duration;

use crate::source::SourceError;
use crate::source::session::{Session, TableRow};
use crate::source::staging;

/// Sizes as `SHOW WAREHOUSES` writes them, each twice as dear as the one before; the first is one credit an hour
/// (user-guide/warehouses-overview).
const SIZES: [&str; 10] =
    ["X-Small", "Small", "Medium", "Large", "X-Large", "2X-Large", "3X-Large", "4X-Large", "5X-Large", "6X-Large"];

/// A warehouse, as far as its cost goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    /// Its name.
    pub(crate) name: String,
    /// Its size, as Snowflake writes it.
    pub(crate) size: String,
    /// Credits an hour of one cluster; `None` for types, generations and sizes whose price is not known here.
    pub(crate) credits_per_hour: Option<f64>,
    /// How long it idles before it suspends itself; `None` is for ever.
    pub(crate) auto_suspend: Option<Duration>,
    /// Whether a statement resumes it.
    pub(crate) auto_resume: bool,
    /// Clusters it may start.
    pub(crate) clusters: u64,
}

impl Facts {
    /// Looks the session's warehouse up, which needs no warehouse (sql-reference/sql/show-warehouses); `None` when it has
    /// none, or the role may not see it.
    ///
    /// # Errors
    /// When Snowflake cannot be asked.
    pub(crate) async fn find(session: &Arc<Session>) -> Result<Option<Self>, SourceError> {
        let Some(name) = session.info().warehouse_name.clone().filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        // The pattern ignores case, so that a quoted name may find another first.
        let found = session.table("the state of the warehouse", &staging::show_warehouses(&name)).await?;
        Ok(found.rows().find(|row| row.text("name").as_ref() == Some(&name)).map(|row| Self::of(name.clone(), &row)))
    }

    fn of(name: String, row: &TableRow<'_>) -> Self {
        let size = row.text("size").unwrap_or_default();
        let is = |column: &str, plain: &str| row.text(column).is_none_or(|text| text.is_empty() || text == plain);
        let place = SIZES.iter().position(|known| known.eq_ignore_ascii_case(&size));
        let place = place.filter(|_| is("type", "STANDARD") && is("generation", "1"));
        let seconds = row.text("auto_suspend").and_then(|text| text.parse::<u64>().ok()).filter(|seconds| *seconds > 0);
        Self {
            name,
            credits_per_hour: place.map(|place| f64::from(1_u32 << place)),
            size,
            auto_suspend: seconds.map(Duration::from_secs),
            auto_resume: row.text("auto_resume").is_none_or(|text| text.eq_ignore_ascii_case("true") || text == "1"),
            clusters: row.text("max_cluster_count").and_then(|text| text.parse().ok()).unwrap_or(1),
        }
    }

    /// What makes each wake dearer than it need be, and what to do about it.
    pub(crate) fn advice(&self) -> Option<(String, String)> {
        let set = |what: &str| format!("ALTER WAREHOUSE {} SET {what}", self.name);
        match self.auto_suspend {
            None => Some((
                "it never suspends itself, so that idle tables cost as much as busy ones".to_owned(),
                set("AUTO_SUSPEND = 60"),
            )),
            Some(idle) if idle > Duration::from_secs(60) => Some((
                format!("it idles for {} s after each use, which is billed", idle.as_secs()),
                format!("{}; less than 60 brings nothing, because a minute is billed anyway", set("AUTO_SUSPEND = 60")),
            )),
            Some(_) if !self.auto_resume => {
                Some(("it does not resume by itself".to_owned(), set("AUTO_RESUME = TRUE")))
            }
            Some(_) => None,
        }
    }
}
