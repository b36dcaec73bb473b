//! One statement from its request to its answer, and the register of all of them.
//!
//! A statement runs in a task of its own and ends with exactly one [`Answer`], which any number of requests
//! may wait for: the first, a repeat with the same request id, a poll of its result. Aborting drops the
//! engine's future, which undoes what it had begun.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::sessions::Connection;
use super::{Service, parameters};
use crate::engine;
use crate::error::SqlError;
use crate::result::{self, Spooled};
use crate::session::{Bind, Current, Session};
use crate::stats::count;
use crate::wire::Format;

/// What a request asks to be run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    pub(crate) sql: String,
    pub(crate) binds: Vec<Bind>,
    pub(crate) describe_only: bool,
    /// Statements the client says the text holds; 0 is any number.
    pub(crate) statement_count: Option<u64>,
    /// How much longer than it needs it takes, by a fault.
    pub(crate) stall: Duration,
}

/// One statement.
pub(crate) struct Statement {
    pub(crate) id: String,
    pub(crate) session: u64,
    pub(crate) sql: String,
    pub(crate) cancel: CancellationToken,
    answer: watch::Sender<Option<Arc<Answer>>>,
}

/// How a statement ended.
pub(crate) enum Answer {
    /// With a result.
    Rows(Answered),
    /// As several statements, each with a result of its own.
    Many { children: Vec<(String, u32)>, current: Current },
    /// With an error.
    Failed { query_id: String, error: SqlError },
}

/// A statement's result and the context it left behind.
pub(crate) struct Answered {
    pub(crate) query_id: String,
    pub(crate) statement_type: u32,
    pub(crate) binds: usize,
    pub(crate) current: Current,
    pub(crate) parameters: Value,
    pub(crate) result: Arc<Spooled>,
    /// What a PUT tells the client to do.
    pub(crate) transfer: Option<Value>,
}

impl Statement {
    pub(crate) fn new(session: u64, sql: &str) -> Arc<Statement> {
        Statement::ended(Uuid::new_v4().to_string(), session, sql, None)
    }

    fn ended(id: String, session: u64, sql: &str, answer: Option<Arc<Answer>>) -> Arc<Statement> {
        let (answer, _) = watch::channel(answer);
        Arc::new(Statement { id, session, sql: sql.to_owned(), cancel: CancellationToken::new(), answer })
    }

    /// The answer, if there is one already.
    pub(crate) fn answer(&self) -> Option<Arc<Answer>> {
        self.answer.borrow().clone()
    }

    /// Waits for the answer, but not longer than `hold` nor beyond the server's end.
    pub(crate) async fn wait(&self, hold: Option<Duration>, closing: &CancellationToken) -> Option<Arc<Answer>> {
        let mut answers = self.answer.subscribe();
        let ended = async {
            match answers.wait_for(Option::is_some).await {
                Ok(answer) => answer.clone(),
                Err(_) => None,
            }
        };
        let limit = async {
            match hold {
                Some(hold) => tokio::time::sleep(hold).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            answer = ended => answer,
            () = limit => None,
            () = closing.cancelled() => None,
        }
    }

    fn settle(&self, answer: Answer) {
        self.answer.send_replace(Some(Arc::new(answer)));
    }
}

/// Every statement that can still be asked for, by query id.
#[derive(Default)]
pub(crate) struct Statements {
    register: Mutex<Register>,
}

#[derive(Default)]
struct Register {
    by_id: HashMap<String, Arc<Statement>>,
    /// Statements with chunks on disk, oldest first.
    spooled: VecDeque<Arc<Statement>>,
}

impl Statements {
    pub(crate) fn add(&self, statement: &Arc<Statement>) {
        self.register.lock().by_id.insert(statement.id.clone(), Arc::clone(statement));
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Statement>> {
        self.register.lock().by_id.get(id).map(Arc::clone)
    }

    /// Forgets one statement, under every name it has.
    pub(crate) fn remove(&self, statement: &Arc<Statement>) {
        let mut register = self.register.lock();
        register.by_id.retain(|_, other| !Arc::ptr_eq(other, statement));
        register.spooled.retain(|other| !Arc::ptr_eq(other, statement));
    }

    /// Forgets a session's statements, and with them their results.
    pub(crate) fn forget(&self, session: u64) {
        let mut register = self.register.lock();
        register.by_id.retain(|_, statement| statement.session != session);
        register.spooled.retain(|statement| statement.session != session);
    }

    /// Enters an ended statement under the engine's id too, and makes room on disk if it is needed.
    fn enter(&self, id: &str, statement: &Arc<Statement>, limit: u64) {
        let mut register = self.register.lock();
        register.by_id.insert(id.to_owned(), Arc::clone(statement));
        register.spooled.push_back(Arc::clone(statement));
        let held: Vec<Arc<Spooled>> = register.spooled.iter().filter_map(|statement| rows(statement)).collect();
        let gone = result::surplus(&held, limit);
        let names: Vec<Arc<Statement>> =
            gone.iter().filter_map(|index| register.spooled.get(*index)).map(Arc::clone).collect();
        for statement in names {
            statement.settle(Answer::Failed { query_id: statement.id.clone(), error: result_gone(&statement.id) });
            register.spooled.retain(|other| !Arc::ptr_eq(other, &statement));
        }
    }
}

/// 000612: the result was there once.
pub(crate) fn result_gone(id: &str) -> SqlError {
    SqlError::new("000612", "02000", format!("Result for query {id} not found, or it has expired"))
}

fn rows(statement: &Statement) -> Option<Arc<Spooled>> {
    match statement.answer()?.as_ref() {
        Answer::Rows(answered) => Some(Arc::clone(&answered.result)),
        _ => None,
    }
}

/// Starts a statement; its answer arrives whatever becomes of the caller.
pub(crate) fn start(service: &Arc<Service>, connection: &Arc<Connection>, statement: &Arc<Statement>, order: Order) {
    let (service, connection, statement) = (Arc::clone(service), Arc::clone(connection), Arc::clone(statement));
    tokio::spawn(async move {
        let mut work = {
            let (service, connection, statement) =
                (Arc::clone(&service), Arc::clone(&connection), Arc::clone(&statement));
            tokio::spawn(async move { run(&service, &connection, &statement, &order).await })
        };
        let ended = tokio::select! {
            ended = &mut work => ended,
            () = statement.cancel.cancelled() => {
                work.abort();
                work.await
            }
        };
        let answer = ended.unwrap_or_else(|error| Answer::Failed {
            query_id: statement.id.clone(),
            error: if error.is_cancelled() {
                SqlError::new("000604", "57014", "SQL execution canceled")
            } else {
                SqlError::new("000603", "XX000", format!("SQL execution internal error: {error}"))
            },
        });
        if matches!(answer, Answer::Failed { .. }) {
            count(&service.counts.failed);
        }
        let id = match &answer {
            Answer::Rows(answered) => Some(answered.query_id.clone()),
            _ => None,
        };
        statement.settle(answer);
        if let Some(id) = id {
            service.statements.enter(&id, &statement, service.limits.spool_bytes);
        }
    });
}

async fn run(service: &Service, connection: &Connection, statement: &Statement, order: &Order) -> Answer {
    let mut session = connection.engine.lock().await;
    if !order.stall.is_zero() {
        tokio::time::sleep(order.stall).await;
    }
    let failed = |error: SqlError| Answer::Failed { query_id: statement.id.clone(), error };
    let texts = match split(&session, order) {
        Ok(texts) => texts,
        Err(error) => return failed(error),
    };
    if let Some(id) = result_scan(&order.sql) {
        return scanned(service, statement, &session, order, id).unwrap_or_else(|| failed(result_gone(id)));
    }
    if texts.len() == 1 {
        return match one(service, connection, &mut session, &order.sql, order).await {
            Ok(answered) => Answer::Rows(answered),
            Err(error) => failed(error),
        };
    }
    let mut children = Vec::with_capacity(texts.len());
    for text in texts {
        match one(service, connection, &mut session, &text, order).await {
            Ok(answered) => {
                let id = answered.query_id.clone();
                children.push((id.clone(), answered.statement_type));
                let answer = Arc::new(Answer::Rows(answered));
                let child = Statement::ended(id.clone(), connection.id, &text, Some(answer));
                service.statements.enter(&id, &child, service.limits.spool_bytes);
            }
            Err(error) => return failed(wrapped(&text, &error)),
        }
    }
    Answer::Many { children, current: session.current() }
}

/// The query id in `SELECT * FROM TABLE(RESULT_SCAN('id'))`, with which some clients fetch what they ran before.
/// Results live here and not in the engine, so this one form is answered here; others the engine refuses.
fn result_scan(sql: &str) -> Option<&str> {
    let mut rest = sql.trim().trim_end_matches(';').trim_end();
    for word in ["select", "*", "from", "table", "(", "result_scan", "("] {
        let (head, tail) = rest.split_at_checked(word.len())?;
        if !head.eq_ignore_ascii_case(word) {
            return None;
        }
        rest = tail.trim_start();
    }
    let (id, rest) = rest.strip_prefix('\'')?.split_once('\'')?;
    let rest = rest.trim_start().strip_prefix(')')?;
    (rest.trim_start() == ")").then_some(id)
}

/// The result of an ended statement once more, under a new query id.
fn scanned(service: &Service, statement: &Statement, session: &Session, order: &Order, id: &str) -> Option<Answer> {
    let known = service.statements.find(id)?;
    let answer = known.answer()?;
    let Answer::Rows(answered) = answer.as_ref() else { return None };
    service.counts.statement(&order.sql);
    Some(Answer::Rows(Answered {
        query_id: statement.id.clone(),
        statement_type: 0x1000,
        binds: 0,
        current: session.current(),
        parameters: answered.parameters.clone(),
        result: Arc::clone(&answered.result),
        transfer: None,
    }))
}

/// The statements of a text, if there are as many as the client said.
fn split(session: &Session, order: &Order) -> Result<Vec<String>, SqlError> {
    let expected = order.statement_count.or_else(|| number(session, "MULTI_STATEMENT_COUNT")).unwrap_or(1);
    let inner = order.sql.trim_end().trim_end_matches(';');
    let texts = if inner.contains(';') { engine::split(&order.sql)? } else { vec![order.sql.clone()] };
    let actual = texts.len() as u64;
    if expected != 0 && actual != expected {
        return Err(SqlError::new(
            "000008",
            "0A000",
            format!("Actual statement count {actual} did not match the desired statement count {expected}."),
        ));
    }
    Ok(texts)
}

/// 100132: a statement among several failed; what came before it stands.
fn wrapped(text: &str, error: &SqlError) -> SqlError {
    SqlError::new(
        "100132",
        "P0000",
        format!(
            "JavaScript execution error: Uncaught Execution of multiple statements failed on statement \"{text}\".\n{} ({}): {}",
            error.code, error.sql_state, error.message
        ),
    )
}

async fn one(
    service: &Service,
    connection: &Connection,
    session: &mut Session,
    sql: &str,
    order: &Order,
) -> Result<Answered, SqlError> {
    if !order.describe_only {
        service.counts.statement(sql);
    }
    let outcome = session.execute(sql, &order.binds, order.describe_only).await?;
    // Only queries come as Arrow; counts, statuses and listings are always JSON, as they are in Snowflake.
    let format = if outcome.statement_type & 0xF000 == 0x1000 {
        connection.dialect.format(session.parameter(&connection.dialect.parameter).as_ref())
    } else {
        Format::Json
    };
    let limits = service.limits.parts(number(session, "CLIENT_RESULT_CHUNK_SIZE"));
    let result = service.spool.write(outcome.columns, outcome.batches, format, limits).await?;
    Ok(Answered {
        query_id: outcome.query_id,
        statement_type: outcome.statement_type,
        binds: order.binds.len(),
        current: session.current(),
        parameters: parameters::shown(session, &connection.dialect),
        result: Arc::new(result),
        transfer: outcome.transfer,
    })
}

fn number(session: &Session, name: &str) -> Option<u64> {
    let value = session.parameter(name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_of_result_scan_is_known() {
        assert_eq!(result_scan("select * from table(result_scan('ab-1'))"), Some("ab-1"));
        assert_eq!(result_scan(" SELECT *\n FROM TABLE ( RESULT_SCAN( 'x' ) ) ;"), Some("x"));
        assert_eq!(result_scan("select a from table(result_scan('x'))"), None);
        assert_eq!(result_scan("select * from table(result_scan('x')) where a"), None);
        assert_eq!(result_scan("select *"), None);
    }
}
