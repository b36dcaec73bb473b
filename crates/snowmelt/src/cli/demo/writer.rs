//! The hand that changes the shop: makes it, then works through random statements at a pace, over the driver protocol.
//!
//! It checks what Snowflake answers: a statement that touches other rows than it must is an error, because then the
//! writer no longer knows which keys there are.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::dml::{Dml, Ending, Statement};
use super::shop;
use crate::config::Snowflake;
use crate::source::SourceError;
use crate::source::session::Session;

/// Why the writer cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// Snowflake refused, or did not answer.
    #[error("the demo's own statement failed: {error}\n  {sql}")]
    Statement {
        /// The statement, cut.
        sql: String,
        /// The reason.
        error: SourceError,
    },
    /// It touched other rows.
    #[error("the demo's own statement touched {touched} rows instead of {wanted}\n  {sql}")]
    Rows {
        /// The statement, cut.
        sql: String,
        /// Rows it must touch.
        wanted: u64,
        /// Rows it touched.
        touched: u64,
    },
    /// No session.
    #[error(transparent)]
    Session(#[from] SourceError),
}

/// The writer.
pub(super) struct Writer {
    session: Arc<Session>,
    dml: Dml,
    board: Arc<Board>,
    /// Changes a second.
    rate: u32,
}

impl Writer {
    /// Logs in, makes the shop, and fills it with the rows that are there before the publisher starts.
    pub(super) async fn open(account: &Snowflake, seed: u64, rate: u32, board: Arc<Board>) -> Result<Self, WriteError> {
        let account = Snowflake { query_tag: "snowmelt demo".to_owned(), ..account.clone() };
        let session = Session::connect(&account).await?;
        let most = usize::try_from(rate / 8).unwrap_or(usize::MAX).clamp(2, 500);
        let mut writer = Self { session, dml: Dml::new(seed, most), board, rate };
        for sql in shop::foundation() {
            writer.run(&sql).await?;
        }
        for statement in writer.dml.initial() {
            writer.change(&statement).await?;
        }
        Ok(writer)
    }

    /// The session, to look at what the writer made.
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Works until `stop`. A transaction that was begun is ended.
    pub(super) async fn work(&mut self, stop: &CancellationToken) -> Result<(), WriteError> {
        let started = Instant::now();
        let before = self.board.figures().changes;
        let mut allowance = Duration::ZERO;
        while !stop.is_cancelled() {
            let work = self.dml.next();
            if work.ending != Ending::Auto {
                self.run("BEGIN").await?;
            }
            for statement in &work.statements {
                self.change(statement).await?;
            }
            match work.ending {
                Ending::Auto => {}
                Ending::Commit => {
                    self.run("COMMIT").await?;
                    self.board.figures().transactions += 1;
                }
                Ending::Rollback => {
                    self.run("ROLLBACK").await?;
                    self.board.figures().rollbacks += 1;
                }
            }
            let changes = self.board.figures().changes - before;
            let due = started + allowance + Duration::from_secs_f64(changes as f64 / f64::from(self.rate));
            // What could not be done in time is not made up for by haste.
            allowance += Instant::now().saturating_duration_since(due);
            // Either end of the wait is looked at by the loop.
            let _ = timeout_at(due, stop.cancelled()).await;
        }
        Ok(())
    }

    async fn run(&self, sql: &str) -> Result<crate::source::session::Table, WriteError> {
        self.session
            .table("a statement of the demo", sql)
            .await
            .map_err(|error| WriteError::Statement { sql: cut(sql), error })
    }

    async fn change(&self, statement: &Statement) -> Result<(), WriteError> {
        let answer = self.run(&statement.sql).await?;
        // One number for each way in which rows were touched; of rows joined several times there are none.
        let touched = answer
            .rows()
            .flat_map(|row| (0..).map_while(move |column| row.at(column)))
            .filter_map(|count| count.parse::<u64>().ok())
            .sum();
        if touched != statement.rows {
            return Err(WriteError::Rows { sql: cut(&statement.sql), wanted: statement.rows, touched });
        }
        let mut figures = self.board.figures();
        figures.statements += 1;
        figures.changes += statement.rows;
        Ok(())
    }
}

fn cut(sql: &str) -> String {
    const LENGTH: usize = 400;
    match sql.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{} …", sql.get(..end).unwrap_or(sql)),
        None => sql.to_owned(),
    }
}
