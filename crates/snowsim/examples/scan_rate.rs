//! How fast a staged table streams out of a session: `cargo run --example scan_rate -p snowsim [rows]`.
//!
//! Promises: the statement timed is the publisher's own read of a staging table, in row order.
//! Leaves to others: the wire (the server encodes and spools on top of this).

use std::io::Write;
use std::time::Instant;

use futures::TryStreamExt;
use snowsim::clock::Clock;
use snowsim::engine::{Engine, Login};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |rows| rows.parse())?;
    let folder = tempfile::tempdir()?;
    let engine = Engine::open(folder.path(), Clock::new())?;
    let login = Login { user: "BENCH".to_owned(), warehouse: Some("COMPUTE_WH".to_owned()), ..Login::default() };
    let mut session = engine.session(login)?;
    let mut out = std::io::stdout().lock();
    let source = format!(
        "CREATE TABLE SOURCE AS SELECT SEQ8() AS ID, UNIFORM(1, 1000000, RANDOM()) AS A, UNIFORM(1, 100, RANDOM())::NUMBER(12,2) AS B, \
         RANDSTR(20, RANDOM()) AS C, RANDSTR(30, RANDOM()) AS D, '2024-01-02 03:04:05'::TIMESTAMP_NTZ AS E, '2024-01-02'::DATE AS F, \
         0.5::FLOAT AS G, TRUE AS H, RANDSTR(60, RANDOM()) AS I FROM TABLE(GENERATOR(ROWCOUNT => {rows}))"
    );
    for (name, sql) in [
        ("database", "CREATE DATABASE D"),
        ("source", source.as_str()),
        ("stream", "CREATE STREAM S ON TABLE SOURCE SHOW_INITIAL_ROWS = TRUE"),
        (
            "staging",
            "CREATE TRANSIENT TABLE STAGED AS SELECT *, ROW_NUMBER() OVER (ORDER BY P, METADATA$ROW_ID, METADATA$ACTION) AS \"R\" FROM \
             (SELECT *, CASE WHEN NOT METADATA$ISUPDATE THEN 2 WHEN COUNT(ID) OVER (PARTITION BY METADATA$ROW_ID) <> 1 \
              AND EQUAL_NULL(MIN(ID) OVER (PARTITION BY METADATA$ROW_ID), MAX(ID) OVER (PARTITION BY METADATA$ROW_ID)) THEN 1 ELSE 0 END AS P FROM S)",
        ),
        ("read", "SELECT * FROM STAGED WHERE \"R\" > 0 ORDER BY \"R\""),
        ("resume", "SELECT * FROM STAGED WHERE \"R\" > 900000 ORDER BY \"R\""),
    ] {
        let start = Instant::now();
        let mut batches = session.execute(sql, &[], false).await?.batches;
        let mut read = 0;
        while let Some(batch) = batches.try_next().await? {
            read += batch.num_rows();
        }
        let seconds = start.elapsed().as_secs_f64();
        writeln!(out, "{name}: {seconds:.2} s, {read} rows, {:.0} rows/s", read as f64 / seconds)?;
    }
    Ok(())
}
