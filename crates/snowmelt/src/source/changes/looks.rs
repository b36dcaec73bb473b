//! The second look at windows that are whole in Kafka.
//!
//! A window is read once its end is the lag ago. A commit that is dated into it and becomes visible later is missed, and
//! nothing would ever tell: so each window is counted and summed once more when its end is twice the lag ago.

use super::ChangesSource;
use super::statement::{self, Asked, Bounds};
use super::table::Seen;
use crate::checkpoint::{Checkpoint, Look, Window};
use crate::source::SourceError;

impl ChangesSource {
    /// Looks once more at every window that is old enough for a late commit to show; what is left to look at later.
    pub(super) async fn look_back(
        &self,
        last: &Window,
        now: i64,
        seen: &Seen,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<Look>, SourceError> {
        let all = last.looks.iter().cloned().chain([last.look(checkpoint.rows)]);
        let (due, later): (Vec<Look>, Vec<Look>) =
            all.partition(|look| now.saturating_sub(look.to) >= self.lag_ms.saturating_mul(2));
        for look in due {
            let selection = self.select(seen, last.key.as_deref())?;
            let asked = Asked { table: &self.table, columns: &seen.columns, key: &[], selection: &selection };
            let bounds = Bounds { from: look.from, to: look.to, append_only: last.append_only };
            let what = format!("the second look at {look}");
            let found = match self.session.table(&what, &statement::second_look(&asked, bounds)).await {
                Ok(found) => found,
                Err(error) => match self.lost(error, look.to, checkpoint) {
                    // The publisher was away for long. The window was whole when it was read.
                    SourceError::WindowLost { reason, .. } => {
                        tracing::warn!(table = %self.table.name, reason, "no second look at {look}");
                        continue;
                    }
                    error => return Err(error),
                },
            };
            let row = found.rows().next();
            let rows = row.and_then(|row| row.at(0)).and_then(|rows| rows.parse::<u64>().ok());
            let sum = row.and_then(|row| row.at(1));
            let alike = look.columns == statement::fingerprint_of(&seen.columns);
            if rows != Some(look.rows) || alike && sum.as_ref() != Some(&look.sum) {
                let said = |rows: u64, sum: &str| format!("{rows} rows (sum of hashes {sum})");
                return Err(SourceError::WindowChanged {
                    table: self.table.name.to_string(),
                    window: look.to_string(),
                    was: said(look.rows, &look.sum),
                    now: said(rows.unwrap_or_default(), sum.as_deref().unwrap_or_default()),
                });
            }
        }
        Ok(later)
    }
}
