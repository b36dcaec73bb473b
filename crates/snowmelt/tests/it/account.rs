//! A session on the simulated account from inside the test process: set-up, the workload's statements, and the tables
//! as they really are. It goes straight to the engine, so neither the wire nor the publisher's client is trusted here.

use std::sync::Arc;

use futures::TryStreamExt as _;
use snowsim::engine::{Engine, Login};
use snowsim::error::SqlError;
use snowsim::session::Session;

use crate::image::{Cell, Image};

/// One session.
pub(crate) struct Account {
    session: Session,
}

impl Account {
    /// Opens a session as the account's administrator.
    pub(crate) fn open(engine: &Arc<Engine>) -> Self {
        let login = Login {
            user: "TEST".to_owned(),
            role: Some("ACCOUNTADMIN".to_owned()),
            warehouse: Some("WH".to_owned()),
            ..Login::default()
        };
        Self { session: engine.session(login).expect("the simulator opens a session") }
    }

    /// Runs a statement that must succeed.
    pub(crate) async fn run(&mut self, sql: &str) -> Vec<Image> {
        match self.attempt(sql).await {
            Ok(rows) => rows,
            Err(error) => panic!("the simulator refused {sql}: {} {}", error.code, error.message),
        }
    }

    /// Runs a statement and returns its rows by column name.
    pub(crate) async fn attempt(&mut self, sql: &str) -> Result<Vec<Image>, SqlError> {
        let outcome = self.session.execute(sql, &[], false).await?;
        let columns = outcome.columns;
        let batches: Vec<_> = outcome.batches.try_collect().await.map_err(SqlError::internal)?;
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let cells = columns.iter().zip(batch.columns());
                rows.push(
                    cells
                        .map(|(column, cells)| (column.name.clone(), Cell::from_engine(cells, row, column.ty)))
                        .collect(),
                );
            }
        }
        Ok(rows)
    }
}
