//! The windows way: closed windows of a table's history, read with SELECT alone.
//!
//! ```text
//! ──┤ window n: (from, to] ├─────┤ window n + 1 ├─ … ── lag ──▶ now
//!   rows in one order for ever    begins where n ends
//! ```
//!
//! Nothing is made in Snowflake. A window's bounds are committed with its first slice, so a publisher that takes over asks
//! for the very same rows, which Time Travel keeps; it goes on behind the last row in Kafka, after it has recognised that
//! row. Why that is exactly once, and what it assumes of `changes.lag`, is argued in `docs/guarantees.md`. Each window is
//! looked at a second time, when a late commit would show; and a table without changes is not read at all.

mod looks;
mod statement;
mod table;

use std::sync::Arc;
use std::time::Duration;

pub use statement::SUM;

use self::statement::{Asked, Bounds};
use self::table::Seen;
use super::error::SourceError;
use super::key::resolve_key;
use super::session::Session;
use super::staging::Note;
use super::value::Column;
use super::{Anchor, Batch, Found, Permit, next_number};
use crate::budget::{Budget, Pool};
use crate::checkpoint::{Checkpoint, Window};
use crate::config::{Mode, Snapshot, Table};
use crate::failpoint;

const DAY_MS: i64 = 24 * 3_600_000;
/// The start of an idle table's window moves at least this often, so that it stays within Time Travel.
const MOST_IDLE_MS: i64 = DAY_MS / 4;
/// The windows way of one capture.
pub struct ChangesSource {
    session: Arc<Session>,
    table: Table,
    pool: Pool,
    lag_ms: i64,
    /// The change token of the last probe.
    token: Option<String>,
    /// Whether the last probe found another token than the one before.
    stirring: bool,
    /// Moments by Snowflake's clock, in milliseconds: a window that reaches one has something new in it.
    stirred: Vec<i64>,
    /// How long the last window was that had few enough rows, in milliseconds.
    width: Option<i64>,
    /// Days of Time Travel, as far as Snowflake tells.
    retention_days: Option<u32>,
}

impl ChangesSource {
    /// Takes over. In Snowflake there is nothing to claim: reading changes nothing there.
    pub fn open(session: Arc<Session>, lag: Duration, table: &Table, pool: Pool) -> Self {
        let lag_ms = i64::try_from(lag.as_millis()).unwrap_or(i64::MAX);
        Self {
            session,
            table: table.clone(),
            pool,
            lag_ms,
            token: None,
            stirring: false,
            stirred: Vec::new(),
            width: None,
            retention_days: None,
        }
    }

    /// Tries what the first window needs, without a warehouse; false where the table has no history yet.
    ///
    /// # Errors
    /// Whatever Snowflake refuses.
    pub async fn trial(session: &Arc<Session>, table: &Table, lag: Duration) -> Result<bool, SourceError> {
        // Nothing is fetched, so nothing is bounded.
        let mut source = Self::open(Arc::clone(session), lag, table, Budget::new(0).chunks);
        let to = source.probe().await? - source.lag_ms;
        let start = Checkpoint::start("", String::new());
        Ok(source.first(None, to, &start).await?.is_some())
    }

    /// What is left of the checkpoint's window, or the next window that is closed; `None` when there is none, or nothing
    /// can be in it, or `permit` says no to reading it now.
    ///
    /// # Errors
    /// [`SourceError::WindowLost`], [`SourceError::TableReplaced`], [`SourceError::WindowChanged`]; whatever Snowflake
    /// refuses.
    pub async fn next_batch(
        &mut self,
        checkpoint: &Checkpoint,
        permit: &mut dyn Permit,
    ) -> Result<Option<Batch>, SourceError> {
        if let Some(window) = checkpoint.window.as_ref().filter(|_| !checkpoint.batch_is_whole()) {
            let seen = self.see(Some(window)).await?;
            self.require_same_question(window)?;
            return self.read(window.clone(), &seen, checkpoint).await.map(Some);
        }
        let now = self.probe().await?;
        let to = now - self.lag_ms;
        let window = match &checkpoint.window {
            Some(last) if checkpoint.batch > 0 => {
                if !self.may_read(last, to, permit) {
                    return Ok(None);
                }
                Some(self.following(last, to, now, checkpoint).await?)
            }
            seam => self.first(seam.as_ref(), to, checkpoint).await?.filter(|_| permit.may_read(Found::Initial)),
        };
        let Some((window, seen)) = window else { return Ok(None) };
        failpoint::hit("before-window");
        self.read(window, &seen, checkpoint).await.map(Some)
    }

    /// The time by Snowflake's clock, in milliseconds; keeps the change token beside it.
    async fn probe(&mut self) -> Result<i64, SourceError> {
        let what = "the probe of the table";
        let found = match self.session.table(what, &statement::probe(&self.table)).await {
            Err(error) if error.is_object_missing() => return Err(self.table_missing()),
            found => found?,
        };
        let row = found.rows().next();
        let (Some(token), Some(now)) = (row.and_then(|row| row.text("TOKEN")), row.and_then(|row| row.millis("NOW")))
        else {
            return Err(SourceError::Protocol { what: what.to_owned(), reason: "no token or no time".to_owned() });
        };
        // The time is that of the statement's beginning, and what it found may have been written later: but not later
        // than the next probe begins.
        if self.stirring {
            self.stirred.push(now);
        }
        self.stirring = self.token.as_ref() != Some(&token);
        if self.token.replace(token).is_none() {
            // What was written before this publisher came is to be read at once.
            self.stirred.push(now - self.lag_ms);
        }
        Ok(now)
    }

    /// Whether to read the window from `last` to `to`: it is long enough, something may be in it, and `permit` agrees.
    fn may_read(&mut self, last: &Window, to: i64, permit: &mut dyn Permit) -> bool {
        let from = last.to;
        // Not more windows than the second looks can keep up with.
        if to - from <= self.lag_ms / 4 {
            return false;
        }
        // A commit that a window would have changes the token, so that a moment in it or after it is known. That this is so
        // is believed for a while only: then the window is read all the same, so that no change depends on it.
        self.stirred.retain(|moment| *moment > from);
        let due = self.stirred.iter().any(|moment| *moment <= to);
        if due || to - from >= self.idle_for() {
            return permit.may_read(Found::Data);
        }
        // What was written and is not closed yet is not nothing.
        if self.stirred.is_empty() && !self.stirring {
            permit.may_read(Found::Nothing);
        }
        false
    }

    /// The window after `last`.
    async fn following(
        &mut self,
        last: &Window,
        to: i64,
        now: i64,
        checkpoint: &Checkpoint,
    ) -> Result<(Window, Seen), SourceError> {
        let from = last.to;
        let seen = self.see(Some(last)).await?;
        self.require_same_question(last)?;
        let looks = self.look_back(last, now, &seen, checkpoint).await?;
        let key = self.key(&seen).await?;
        let mut window = self.window(Some(from), to, key, &seen);
        window.looks = looks;
        self.narrow(&mut window, &seen, checkpoint).await?;
        Ok((window, seen))
    }

    /// The first window of a generation: the table as it stands, or the changes from now on. `seam` is the last window
    /// of the generation before, if this one is to go on where that ended.
    async fn first(
        &mut self,
        seam: Option<&Window>,
        to: i64,
        checkpoint: &Checkpoint,
    ) -> Result<Option<(Window, Seen)>, SourceError> {
        let seen = self.see(seam).await?;
        let key = self.key(&seen).await?;
        let again = checkpoint.generation > 1;
        let wanted = again || self.table.snapshot == Snapshot::Initial;
        if wanted && key.is_none() && !again {
            return Err(SourceError::NotCapturable {
                object: self.table.name.to_string(),
                kind: seen.object.kind.word().to_owned(),
                reason: "without a stream, the rows that are there already have no row id to be their key".to_owned(),
                remedy: "set `key`, or snapshot = \"never\", or read = \"stream\"".to_owned(),
            });
        }
        let initial = wanted && key.is_some();
        let at = seam.map_or(to, |window| window.to);
        let window = match (initial, seam) {
            (true, _) => self.window(None, at, key, &seen),
            (false, Some(seam)) if to <= seam.to => return Ok(None),
            (false, Some(seam)) => self.window(Some(seam.to), to, key, &seen),
            (false, None) => self.window(Some(to - 1), to, key, &seen),
        };
        if seam.is_none() && !self.has_history(&window, &seen, checkpoint).await? {
            return Ok(None);
        }
        Ok(Some((window, seen)))
    }

    /// Whether the first window's changes can be told already: not of a table that was made, or began to be tracked, less
    /// than the lag ago.
    async fn has_history(&self, window: &Window, seen: &Seen, checkpoint: &Checkpoint) -> Result<bool, SourceError> {
        if window.from.unwrap_or(window.to) <= seen.created {
            return Ok(false);
        }
        let selection = self.select(seen, window.key.as_deref())?;
        let asked = Asked { table: &self.table, columns: &seen.columns, key: &[], selection: &selection };
        let from = window.from.unwrap_or(window.to);
        let bounds = Bounds { from: Some(from), to: window.to.saturating_add(self.lag_ms), ..Bounds::of(window) };
        match self.session.describe("the windows of the table", &statement::count(&asked, bounds)).await {
            Ok(_) => Ok(true),
            Err(error) => match self.lost(error, window.to, checkpoint) {
                SourceError::WindowLost { reason, .. } => {
                    tracing::debug!(reason, "the table has no history yet");
                    Ok(false)
                }
                error => Err(error),
            },
        }
    }

    fn window(&self, from: Option<i64>, to: i64, key: Option<Vec<String>>, seen: &Seen) -> Window {
        Window {
            from,
            to,
            table: seen.created,
            key,
            append_only: self.table.mode == Mode::AppendOnly,
            filter: self.filter(),
            columns: statement::fingerprint_of(&seen.columns),
            sum: "0".to_owned(),
            looks: Vec::new(),
        }
    }

    /// Halves a window until it counts no more rows than are wanted.
    async fn narrow(&mut self, window: &mut Window, seen: &Seen, checkpoint: &Checkpoint) -> Result<(), SourceError> {
        let (Some(most), Some(from)) = (self.table.max_rows_per_batch, window.from) else { return Ok(()) };
        if let Some(width) = self.width {
            window.to = window.to.min(from.saturating_add(width.saturating_mul(2).max(1)));
        }
        loop {
            let selection = self.select(seen, window.key.as_deref())?;
            let asked = Asked { table: &self.table, columns: &seen.columns, key: &[], selection: &selection };
            let what = format!("the size of {window}");
            let found = self.session.table(&what, &statement::count(&asked, Bounds::of(window))).await;
            let found = found.map_err(|error| self.lost(error, from, checkpoint))?;
            let rows = found.scalar().and_then(|count| count.parse::<u64>().ok()).unwrap_or_default();
            if rows <= most || window.to - from <= 1 {
                self.width = Some(window.to - from);
                return Ok(());
            }
            window.to = from + (window.to - from) / 2;
        }
    }

    /// Reads a window from the checkpoint's row on.
    async fn read(&self, window: Window, seen: &Seen, checkpoint: &Checkpoint) -> Result<Batch, SourceError> {
        let key = match &window.key {
            Some(names) => resolve_key(&self.table.name, names, &seen.columns)?,
            None => Vec::new(),
        };
        let key: Vec<&Column> = key.iter().collect();
        let selection = self.select(seen, window.key.as_deref())?;
        let asked = Asked { table: &self.table, columns: &seen.columns, key: &key, selection: &selection };
        let row = if checkpoint.batch_is_whole() { 0 } else { checkpoint.row };
        let what = format!("{window} of {}", self.table.name);
        let sql = statement::read(&asked, Bounds::of(&window), row.max(1));
        let result = match self.session.query(&what, &sql).await {
            Ok(result) => result,
            // A statement that names the columns there were fails when there are others.
            Err(SourceError::Refused { message, .. }) if self.columns().await? != seen.columns => {
                tracing::debug!(message, "the window was refused for other columns");
                return Err(SourceError::ColumnsChanged { table: self.table.name.to_string() });
            }
            Err(error) => return Err(self.lost(error, window.from.unwrap_or(window.to), checkpoint)),
        };
        failpoint::hit("after-window");
        // Names can be swapped between two statements.
        self.require_same_table(&self.find().await?, window.table)?;
        let rows = result.rows(&what, &self.pool)?;
        let total = if row > 0 { rows.total() + row - 1 } else { rows.total() };
        if row > 0 && total != checkpoint.rows {
            return Err(SourceError::WindowChanged {
                table: self.table.name.to_string(),
                window: window.to_string(),
                was: format!("{} rows", checkpoint.rows),
                now: format!("{total} rows"),
            });
        }
        let anchor = (row > 0).then(|| Anchor {
            window: window.to_string(),
            sum: Some(window.sum.clone()).filter(|_| window.columns == statement::fingerprint_of(&seen.columns)),
        });
        let initial = window.from.is_none();
        let gap = initial && checkpoint.generation > 1 && checkpoint.gap;
        Ok(Batch {
            number: next_number(checkpoint),
            row,
            total,
            note: Note::new(window.key.clone(), initial).after_gap(gap),
            staged_at_ms: window.to,
            window: Some(window),
            anchor,
            rows,
        })
    }

    /// How long an idle table's window may begin at the same moment, in milliseconds.
    fn idle_for(&self) -> i64 {
        let retention = self.retention_days.map_or(DAY_MS, |days| i64::from(days).saturating_mul(DAY_MS));
        (retention / 4).min(MOST_IDLE_MS)
    }

    /// When the changes since the last window leave Time Travel, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`SourceError::TableReplaced`], [`SourceError::TrackingOff`]; whatever Snowflake refuses.
    pub async fn stale_after(&self, checkpoint: &Checkpoint) -> Result<Option<i64>, SourceError> {
        let Some(window) = &checkpoint.window else { return Ok(None) };
        let object = self.find().await?;
        object.check_windows(&self.table)?;
        self.require_same_table(&object, window.table)?;
        Ok(object.retention_days.map(|days| window.to.saturating_add(i64::from(days).saturating_mul(DAY_MS))))
    }

    /// `configured`, but not more than half of Time Travel: what is always so is no warning.
    pub(super) fn warn_before(&self, configured: Duration) -> Duration {
        let days = u64::from(self.retention_days.unwrap_or(1));
        configured.min(Duration::from_secs(days * 24 * 3600 / 2))
    }

    /// The session that everything here goes through.
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Ends the session.
    pub async fn close(self) {
        self.session.close().await;
    }
}
