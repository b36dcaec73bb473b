//! Chunks whose addresses expire, against the simulator over real sockets, with its clock.

use std::sync::Arc;
use std::time::Duration;

use snowsim::fault::{Action, Rule};
use snowsim::{Options, Running, Simulator};

use super::{RowStream, Session};
use crate::budget::Budget;
use crate::config::Config;
use crate::error::Next;
use crate::source::error::SourceError;
use crate::source::value::Value;

const ROWS: u64 = 30_000;
/// How long an address lives, by the simulator's clock.
const LINKS: Duration = Duration::from_secs(600);

/// A simulator with a table of many chunks, and a session on it.
async fn lab() -> (Running, Arc<Session>) {
    let options =
        Options { inline_bytes: 1 << 10, chunk_bytes: Some(4 << 10), link_lifetime: LINKS, ..Options::default() };
    let simulator = Simulator::start_with(options).await.unwrap();
    let text = format!(
        "name = \"lab\"\n[snowflake]\naccount = \"a\"\nurl = \"{}\"\nuser = \"u\"\npassword = {{ env = \"P\" }}\n\
         role = \"ACCOUNTADMIN\"\nwarehouse = \"WH\"\nstate_schema = \"D.PUBLIC\"\n\
         [kafka]\nbootstrap_servers = [\"h:1\"]\n[[tables]]\nname = \"D.PUBLIC.T\"\n",
        simulator.url()
    );
    let config = Config::parse(&text, "lab.toml", &|_| Some("secret".to_owned())).unwrap();
    let session = Session::connect(&config.snowflake).await.unwrap();
    for sql in [
        "CREATE WAREHOUSE WH".to_owned(),
        "CREATE DATABASE D".to_owned(),
        format!("CREATE TABLE D.PUBLIC.T AS SELECT SEQ4() AS N FROM TABLE(GENERATOR(ROWCOUNT => {ROWS}))"),
    ] {
        session.table("the lab", &sql).await.unwrap();
    }
    (simulator, session)
}

async fn read(session: &Arc<Session>, budget: &Budget) -> RowStream {
    let result = session.query("the rows", "SELECT N FROM D.PUBLIC.T ORDER BY N").await.unwrap();
    result.rows("the rows", &budget.chunks).unwrap()
}

/// Reads on, expecting every number once and in order.
async fn go_on(rows: &mut RowStream, next: &mut i128, chunks: usize) -> Result<(), SourceError> {
    for _ in 0..chunks {
        let Some(chunk) = rows.next().await? else { break };
        for batch in &chunk.rows {
            for row in 0..batch.len() {
                assert_eq!(batch.value(0, row), Value::Fixed { unscaled: *next, scale: 0 });
                *next += 1;
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_goes_on_at_the_chunk_whose_address_expired() {
    let (simulator, session) = lab().await;
    let budget = Budget::new(1 << 20);
    let mut rows = read(&session, &budget).await;
    let refreshes = Rule {
        times: None,
        ..Rule::on_path("/queries/", Action::Delay { moment: snowsim::fault::Moment::Before, ms: 100 })
    };
    let counted = simulator.sim.faults().add(refreshes);
    let mut next = 0;
    let mut expiries = 0;
    while next < i128::from(ROWS) {
        go_on(&mut rows, &mut next, 3).await.unwrap();
        // In the end the session's token, which lives for an hour, must be had anew too.
        if expiries < 8 {
            simulator.sim.clock().advance(2 * LINKS);
            expiries += 1;
        }
    }
    go_on(&mut rows, &mut next, 1).await.unwrap();
    assert_eq!(next, i128::from(ROWS));
    assert!(expiries > 3, "so few chunks prove little: {expiries}");
    // Of all chunks that are under way when the addresses expire, one asks, however long the answer takes; a renewal of
    // the session's token repeats its request.
    let asked = simulator.sim.faults().counters(counted).unwrap().struck;
    assert!((1..=expiries + 4).contains(&asked), "{asked} requests for fresh addresses, {expiries} expiries");
    drop(rows);
    assert_eq!(budget.chunks.used(), 0);
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_address_is_asked_for_again_and_one_that_stays_refused_fails_the_read() {
    let (simulator, session) = lab().await;
    let budget = Budget::new(1 << 20);
    simulator.sim.faults().add(Rule { nth: 2, times: Some(3), ..Rule::on_path("/results/", Action::ChunkForbidden) });
    let mut rows = read(&session, &budget).await;
    let mut next = 0;
    go_on(&mut rows, &mut next, usize::MAX).await.unwrap();
    assert_eq!(next, i128::from(ROWS));
    simulator.sim.faults().add(Rule { times: None, ..Rule::on_path("/results/", Action::ChunkForbidden) });
    let mut rows = read(&session, &budget).await;
    let error = go_on(&mut rows, &mut 0, usize::MAX).await.unwrap_err();
    assert!(error.to_string().contains("its address expired and the fresh one was refused as well"), "{error}");
    assert_eq!(error.next(), Next::Restart);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_gone_starts_the_capture_again() {
    let (simulator, session) = lab().await;
    let budget = Budget::new(1 << 20);
    let mut rows = read(&session, &budget).await;
    let gone = Action::Error {
        code: "000612".to_owned(),
        message: "Result not found".to_owned(),
        sql_state: "02000".to_owned(),
    };
    simulator.sim.faults().add(Rule { times: None, ..Rule::on_path("/queries/", gone) });
    simulator.sim.clock().advance(2 * LINKS);
    let error = go_on(&mut rows, &mut 0, usize::MAX).await.unwrap_err();
    assert!(matches!(&error, SourceError::Refused { code, .. } if code == "000612"), "{error}");
    assert_eq!(error.next(), Next::Restart);
}
