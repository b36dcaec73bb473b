//! What the engine's tests share: an account in a temporary folder, and results as text.

use std::sync::Arc;

use futures::TryStreamExt;
use snowsim::clock::Clock;
use snowsim::engine::{Engine, Login};
use snowsim::error::SqlError;
use snowsim::session::Session;
use snowsim::types::ColumnMeta;
use snowsim::types::SnowType;
use snowsim::types::convert::read;

/// An account and the folder it lives in.
pub(crate) struct World {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new();
        let engine = Engine::open(folder.path(), Arc::clone(&clock)).unwrap();
        Self { engine, clock, folder }
    }

    /// A session of an administrator in database D, schema PUBLIC.
    pub(crate) async fn session(&self) -> Session {
        let login = Login { user: "TESTER".to_owned(), warehouse: Some("COMPUTE_WH".to_owned()), ..Login::default() };
        let mut session = self.engine.session(login).unwrap();
        run(&mut session, "CREATE DATABASE IF NOT EXISTS D").await;
        run(&mut session, "USE SCHEMA D.PUBLIC").await;
        session
    }
}

/// Columns and rows of a statement, every value as text (`NULL` for NULL).
pub(crate) async fn attempt(session: &mut Session, sql: &str) -> Result<(Vec<ColumnMeta>, Vec<Vec<String>>), SqlError> {
    let outcome = session.execute(sql, &[], false).await?;
    let batches: Vec<_> = outcome.batches.try_collect().await.map_err(SqlError::from)?;
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = outcome.columns.iter().enumerate().map(|(index, column)| {
                let scale = match column.ty {
                    SnowType::Time { scale }
                    | SnowType::TimestampNtz { scale }
                    | SnowType::TimestampLtz { scale }
                    | SnowType::TimestampTz { scale } => scale,
                    _ => 9,
                };
                match read(batch.column(index), row, column.ty).unwrap() {
                    Some(snowsim::types::value::Value::Json(json)) => json.to_string(),
                    Some(value) => value.to_text(scale),
                    None => "NULL".to_owned(),
                }
            });
            rows.push(cells.collect());
        }
    }
    Ok((outcome.columns, rows))
}

/// The rows of a statement that must succeed.
pub(crate) async fn run(session: &mut Session, sql: &str) -> Vec<Vec<String>> {
    match attempt(session, sql).await {
        Ok((_, rows)) => rows,
        Err(error) => panic!("{sql}\nfailed with {}: {error}", error.code),
    }
}

/// The rows joined by `|` and sorted, for comparisons.
pub(crate) async fn sorted(session: &mut Session, sql: &str) -> Vec<String> {
    let mut rows: Vec<String> = run(session, sql).await.iter().map(|row| row.join("|")).collect();
    rows.sort();
    rows
}

/// The error of a statement that must fail.
pub(crate) async fn refused(session: &mut Session, sql: &str) -> SqlError {
    match attempt(session, sql).await {
        Ok((_, rows)) => panic!("{sql}\nsucceeded with {rows:?}"),
        Err(error) => error,
    }
}
