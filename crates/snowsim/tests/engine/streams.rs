//! Streams against the documented table: net delta, offsets, initial rows, staleness.

use std::time::Duration;

use crate::world::{World, refused, run, sorted};

/// What a stream on `t(id, v)` shows after some history, as `action|isupdate|id|v`, sorted.
async fn delta(history: &[&str], options: &str) -> Vec<String> {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT, v VARCHAR)").await;
    run(&mut s, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
    run(&mut s, &format!("CREATE STREAM s ON TABLE t {options}")).await;
    for sql in history {
        run(&mut s, sql).await;
    }
    sorted(&mut s, "SELECT METADATA$ACTION, METADATA$ISUPDATE, id, v FROM s").await
}

#[tokio::test]
async fn the_net_delta_table() {
    let cases: [(&str, &[&str], &[&str]); 13] = [
        ("nothing", &[], &[]),
        ("insert", &["INSERT INTO t VALUES (9, 'n')"], &["INSERT|false|9|n"]),
        (
            "insert then update",
            &[
                "INSERT INTO t VALUES (9, 'n')",
                "UPDATE t SET v = 'm' WHERE id = 9",
                "UPDATE t SET v = 'o' WHERE id = 9",
            ],
            &["INSERT|false|9|o"],
        ),
        ("insert then delete", &["INSERT INTO t VALUES (9, 'n')", "DELETE FROM t WHERE id = 9"], &[]),
        (
            "existing updated twice",
            &["UPDATE t SET v = 'x' WHERE id = 1", "UPDATE t SET v = 'y' WHERE id = 1"],
            &["DELETE|true|1|a", "INSERT|true|1|y"],
        ),
        ("put back", &["UPDATE t SET v = 'x' WHERE id = 1", "UPDATE t SET v = 'a' WHERE id = 1"], &[]),
        (
            "updated then deleted",
            &["UPDATE t SET v = 'x' WHERE id = 1", "DELETE FROM t WHERE id = 1"],
            &["DELETE|false|1|a"],
        ),
        (
            "deleted and equal row inserted",
            &["DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 'a')"],
            &["DELETE|false|1|a", "INSERT|false|1|a"],
        ),
        ("truncate", &["TRUNCATE TABLE t"], &["DELETE|false|1|a", "DELETE|false|2|b", "DELETE|false|3|c"]),
        ("key change", &["UPDATE t SET id = 7 WHERE id = 1"], &["DELETE|true|1|a", "INSERT|true|7|a"]),
        ("no-op update", &["UPDATE t SET v = v"], &[]),
        (
            "overwrite",
            &["INSERT OVERWRITE INTO t SELECT 1, 'a'"],
            &["DELETE|false|1|a", "DELETE|false|2|b", "DELETE|false|3|c", "INSERT|false|1|a"],
        ),
        (
            "several in one transaction",
            &[
                "BEGIN",
                "INSERT INTO t VALUES (9, 'n')",
                "UPDATE t SET v = 'z' WHERE id = 2",
                "DELETE FROM t WHERE id = 3",
                "COMMIT",
            ],
            &["DELETE|false|3|c", "DELETE|true|2|b", "INSERT|false|9|n", "INSERT|true|2|z"],
        ),
    ];
    for (name, history, expected) in cases {
        assert_eq!(delta(history, "").await, expected, "{name}");
    }
}

#[tokio::test]
async fn append_only_shows_each_insert_once_as_inserted() {
    let history = [
        "INSERT INTO t VALUES (9, 'n'), (10, 'm')",
        "UPDATE t SET v = 'x' WHERE id IN (1, 9)",
        "DELETE FROM t WHERE id = 10",
    ];
    assert_eq!(delta(&history, "APPEND_ONLY = TRUE").await, ["INSERT|false|10|m", "INSERT|false|9|n"]);
}

#[tokio::test]
async fn row_ids_pair_updates_and_differ_between_rows() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT)").await;
    run(&mut s, "INSERT INTO t VALUES (1), (2)").await;
    run(&mut s, "CREATE STREAM a ON TABLE t").await;
    run(&mut s, "CREATE STREAM b ON TABLE t APPEND_ONLY = FALSE COMMENT = 'second'").await;
    run(&mut s, "UPDATE t SET id = id + 10").await;
    let rows =
        run(&mut s, "SELECT METADATA$ROW_ID, METADATA$ACTION, id FROM a ORDER BY METADATA$ROW_ID, METADATA$ACTION")
            .await;
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row[0].len() == 40));
    assert_eq!(rows[0][0], rows[1][0]);
    assert_ne!(rows[1][0], rows[2][0]);
    assert_eq!((rows[0][1].as_str(), rows[1][1].as_str()), ("DELETE", "INSERT"));
    assert_eq!(
        rows,
        run(&mut s, "SELECT METADATA$ROW_ID, METADATA$ACTION, id FROM b ORDER BY METADATA$ROW_ID, METADATA$ACTION")
            .await
    );
}

#[tokio::test]
async fn only_committed_dml_moves_the_offset() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT)").await;
    run(&mut s, "CREATE TABLE sink (id INT, a VARCHAR)").await;
    run(&mut s, "CREATE STREAM s ON TABLE t").await;
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    let pending = "SELECT COUNT(*) FROM s";
    assert_eq!(run(&mut s, pending).await, [["1"]]);
    assert_eq!(run(&mut s, pending).await, [["1"]]);
    assert_eq!(run(&mut s, "SELECT SYSTEM$STREAM_HAS_DATA('s')").await, [["true"]]);
    run(&mut s, "BEGIN").await;
    run(&mut s, "INSERT INTO sink SELECT id, METADATA$ACTION FROM s").await;
    run(&mut s, "ROLLBACK").await;
    assert_eq!(run(&mut s, pending).await, [["1"]]);
    assert_eq!(refused(&mut s, "INSERT INTO sink SELECT id, 1/0 FROM s").await.code, "100051");
    assert_eq!(run(&mut s, pending).await, [["1"]]);
    run(&mut s, "INSERT INTO sink SELECT id, METADATA$ACTION FROM s WHERE 1 = 0").await;
    assert_eq!(run(&mut s, pending).await, [["0"]]);
    assert_eq!(run(&mut s, "SELECT SYSTEM$STREAM_HAS_DATA('s')").await, [["false"]]);

    // Inside a transaction a stream shows what was committed before the transaction began.
    run(&mut s, "INSERT INTO t VALUES (2)").await;
    let mut other = world.session().await;
    run(&mut s, "BEGIN").await;
    run(&mut other, "INSERT INTO t VALUES (3)").await;
    run(&mut s, "INSERT INTO t VALUES (4)").await;
    run(&mut s, "INSERT INTO sink SELECT id, METADATA$ACTION FROM s").await;
    run(&mut s, "COMMIT").await;
    assert_eq!(sorted(&mut s, "SELECT id FROM sink").await, ["2"]);
    assert_eq!(sorted(&mut s, "SELECT id FROM s").await, ["3", "4"]);
    run(
        &mut s,
        "MERGE INTO sink USING (SELECT * FROM s) x ON sink.id = x.id WHEN NOT MATCHED THEN INSERT VALUES (x.id, 'M')",
    )
    .await;
    assert_eq!(run(&mut s, pending).await, [["0"]]);
    run(&mut s, "INSERT INTO t VALUES (5)").await;
    run(&mut s, "DELETE FROM sink USING s WHERE sink.id = s.id").await;
    assert_eq!(run(&mut s, pending).await, [["0"]]);
    run(&mut s, "INSERT INTO t VALUES (6)").await;
    run(&mut s, "UPDATE sink SET a = 'U' FROM s WHERE sink.id = s.id").await;
    assert_eq!(run(&mut s, pending).await, [["0"]]);
}

#[tokio::test]
async fn a_consumer_waits_for_the_other_one() {
    let world = World::new();
    let mut s = world.session().await;
    let mut other = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT)").await;
    run(&mut s, "CREATE TABLE sink (id INT)").await;
    run(&mut s, "CREATE TABLE sink2 (id INT)").await;
    run(&mut s, "CREATE STREAM s ON TABLE t").await;
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    run(&mut s, "BEGIN").await;
    run(&mut s, "INSERT INTO sink SELECT id FROM s").await;
    run(&mut other, "ALTER SESSION SET LOCK_TIMEOUT = 0").await;
    assert_eq!(refused(&mut other, "INSERT INTO sink2 SELECT id FROM s").await.code, "000625");
    run(&mut other, "ALTER SESSION SET LOCK_TIMEOUT = 60").await;
    let waiting = tokio::spawn(async move { run(&mut other, "INSERT INTO sink2 SELECT id FROM s").await });
    run(&mut s, "COMMIT").await;
    assert_eq!(waiting.await.unwrap(), [["0"]]);
}

#[tokio::test]
async fn staging_is_one_act_and_idempotent() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE SCHEMA STATE").await;
    run(&mut s, "USE SCHEMA D.PUBLIC").await;
    run(&mut s, "CREATE TABLE CUSTOMERS (\"ID\" NUMBER(38,0) PRIMARY KEY, \"NAME\" VARCHAR)").await;
    run(&mut s, "INSERT INTO CUSTOMERS VALUES (1, 'a'), (2, 'b')").await;
    run(
        &mut s,
        "CREATE STREAM IF NOT EXISTS \"D\".\"STATE\".\"ST\" ON TABLE \"D\".\"PUBLIC\".\"CUSTOMERS\" APPEND_ONLY = FALSE SHOW_INITIAL_ROWS = TRUE COMMENT = '{\"a\":1}'",
    )
    .await;
    run(&mut s, "INSERT INTO CUSTOMERS VALUES (3, 'c')").await;
    run(&mut s, "UPDATE CUSTOMERS SET NAME = 'z' WHERE ID = 1").await;
    run(&mut s, "UPDATE CUSTOMERS SET ID = 20 WHERE ID = 2").await;
    let staging = |number: u32, claim: u32| {
        format!(
            "CREATE TRANSIENT TABLE IF NOT EXISTS \"D\".\"STATE\".\"SNOWMELT_AB12_C_1_{number}\" DATA_RETENTION_TIME_IN_DAYS = 0 COMMENT = 'x' AS
             SELECT *, ROW_NUMBER() OVER (ORDER BY \"SNOWMELT$PHASE\", METADATA$ROW_ID, METADATA$ACTION) AS \"SNOWMELT$ROW\"
             FROM (SELECT *, CASE WHEN NOT METADATA$ISUPDATE THEN IFF(METADATA$ACTION = 'DELETE', 0, 2)
                     WHEN COUNT(\"ID\") OVER (PARTITION BY METADATA$ROW_ID) <> 1 AND EQUAL_NULL(MIN(\"ID\") OVER (PARTITION BY METADATA$ROW_ID), MAX(\"ID\") OVER (PARTITION BY METADATA$ROW_ID)) THEN 1
                     ELSE IFF(METADATA$ACTION = 'DELETE', 0, 2) END AS \"SNOWMELT$PHASE\"
                   FROM \"D\".\"STATE\".\"ST\" WHERE NOT EXISTS (SELECT 1 FROM \"D\".\"STATE\".\"CLAIM_{claim}\"))"
        )
    };
    assert_eq!(refused(&mut s, &staging(1, 3)).await.code, "002003");
    run(&mut s, "CREATE TABLE IF NOT EXISTS \"D\".\"STATE\".\"CLAIM_3\" (\"X\" INT)").await;
    run(&mut s, &staging(1, 3)).await;
    let read = |number: u32, from: u32| {
        format!(
            "SELECT * FROM \"D\".\"STATE\".\"SNOWMELT_AB12_C_1_{number}\" WHERE \"SNOWMELT$ROW\" > {from} ORDER BY \"SNOWMELT$ROW\""
        )
    };
    let rows = run(&mut s, &read(1, 0)).await;
    let mut names: Vec<_> = rows.iter().map(|row| format!("{} {} {} {}", row[0], row[1], row[2], row[5])).collect();
    names.sort();
    assert_eq!(names, ["1 a INSERT 2", "2 b INSERT 2"], "only the rows that were there at first");
    assert_eq!(rows.iter().map(|row| row[6].as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let before = world.engine.warehouse_statements();
    assert_eq!(run(&mut s, &staging(1, 3)).await, [["SNOWMELT_AB12_C_1_1 already exists, statement succeeded."]]);
    assert_eq!(world.engine.warehouse_statements(), before);
    run(&mut s, &staging(2, 3)).await;
    let rows = run(&mut s, &read(2, 0)).await;
    let shown: Vec<_> =
        rows.iter().map(|row| format!("{} {} {} {} {}", row[0], row[1], row[2], row[3], row[5])).collect();
    assert_eq!(
        shown,
        ["2 b DELETE true 0", "1 a DELETE true 1", "1 z INSERT true 1", &shown[3], &shown[4]],
        "{shown:?}"
    );
    let mut last = shown[3..].to_vec();
    last.sort();
    assert_eq!(last, ["20 b INSERT true 2", "3 c INSERT false 2"]);
    assert_eq!(run(&mut s, &read(2, 3)).await.len(), 2);
    assert_eq!(run(&mut s, "SELECT COUNT(*) FROM \"D\".\"STATE\".\"ST\"").await, [["0"]]);
    // A claim with a row in it keeps the rows out; the statement still consumes.
    run(&mut s, "INSERT INTO CUSTOMERS VALUES (50, 'late')").await;
    run(&mut s, "INSERT INTO \"D\".\"STATE\".\"CLAIM_3\" VALUES (1)").await;
    run(&mut s, &staging(3, 3)).await;
    assert_eq!(run(&mut s, &read(3, 0)).await.len(), 0);
}

#[tokio::test]
async fn starts_elsewhere_and_copies() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT) CHANGE_TRACKING = TRUE").await;
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    run(&mut s, "CREATE STREAM s ON TABLE t").await;
    run(&mut s, "INSERT INTO t VALUES (2)").await;
    let id = {
        let outcome = s.execute("INSERT INTO t VALUES (3)", &[], false).await.unwrap();
        outcome.query_id
    };
    run(&mut s, &format!("CREATE STREAM at_it ON TABLE t AT(STATEMENT => '{id}')")).await;
    run(&mut s, &format!("CREATE STREAM before_it ON TABLE t BEFORE(STATEMENT => '{id}')")).await;
    run(&mut s, "CREATE STREAM at_s ON TABLE t AT(STREAM => 's')").await;
    run(&mut s, "CREATE STREAM copy CLONE s").await;
    assert_eq!(sorted(&mut s, "SELECT id FROM at_it").await, Vec::<String>::new());
    assert_eq!(sorted(&mut s, "SELECT id FROM before_it").await, ["3"]);
    assert_eq!(sorted(&mut s, "SELECT id FROM at_s").await, ["2", "3"]);
    assert_eq!(sorted(&mut s, "SELECT id FROM copy").await, ["2", "3"]);
    run(&mut s, "CREATE OR REPLACE STREAM s ON TABLE t").await;
    assert_eq!(sorted(&mut s, "SELECT id FROM s").await, Vec::<String>::new());
    assert_eq!(
        sorted(&mut s, "SELECT id, METADATA$ACTION FROM t CHANGES(INFORMATION => DEFAULT) AT(STREAM => 'at_s')").await,
        ["2|INSERT", "3|INSERT"]
    );
    let early = refused(&mut s, "CREATE STREAM x ON TABLE t AT(OFFSET => -86400)").await;
    assert!(early.message.contains("Time travel data is not available for table T"), "{early}");
    run(&mut s, "CREATE TABLE untracked (id INT)").await;
    run(&mut s, "INSERT INTO untracked VALUES (1)").await;
    world.clock.advance(Duration::from_secs(60));
    run(&mut s, "INSERT INTO untracked VALUES (2)").await;
    let error = refused(&mut s, "CREATE STREAM x ON TABLE untracked AT(OFFSET => -30)").await;
    assert_eq!(error.code, "091930");
}

#[tokio::test]
async fn streams_go_stale_by_the_clock_and_invalid_by_ddl() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT)").await;
    run(&mut s, "CREATE STREAM s ON TABLE t").await;
    run(&mut s, "CREATE STREAM kept ON TABLE t").await;
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    run(&mut s, "CREATE TABLE sink AS SELECT * FROM kept").await;
    world.clock.advance(Duration::from_secs(13 * 86_400));
    assert_eq!(run(&mut s, "SELECT SYSTEM$STREAM_HAS_DATA('kept')").await, [["false"]]);
    assert_eq!(sorted(&mut s, "SELECT id FROM s").await, ["1"]);
    world.clock.advance(Duration::from_secs(2 * 86_400));
    let show = run(&mut s, "SHOW STREAMS LIKE 'S' IN SCHEMA D.PUBLIC").await;
    assert_eq!((show[0][1].as_str(), show[0][6].as_str(), show[0][10].as_str()), ("S", "D.PUBLIC.T", "true"));
    let stale = refused(&mut s, "SELECT * FROM s").await;
    assert_eq!(stale.code, "091901");
    assert!(stale.message.contains("D.PUBLIC.S"), "{stale}");
    assert_eq!(refused(&mut s, "SELECT SYSTEM$STREAM_HAS_DATA('s')").await.code, "091901");
    assert_eq!(
        sorted(&mut s, "SELECT id FROM kept").await,
        Vec::<String>::new(),
        "an empty stream that was asked stays alive"
    );
    run(&mut s, "ALTER TABLE t RENAME TO t2").await;
    run(&mut s, "INSERT INTO t2 VALUES (2)").await;
    assert_eq!(sorted(&mut s, "SELECT id FROM kept").await, ["2"]);
    run(&mut s, "CREATE OR REPLACE TABLE t2 (id INT)").await;
    let gone = refused(&mut s, "SELECT * FROM kept").await;
    assert!(gone.message.contains("dropped or replaced"), "{gone}");
    let show = run(&mut s, "SHOW STREAMS LIKE 'kept'").await;
    assert_eq!(show[0][10], "true");
    assert!(show[0][13].contains("dropped or replaced"));
}

#[tokio::test]
async fn rows_are_shown_with_the_current_columns() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT, v VARCHAR, w VARCHAR)").await;
    run(&mut s, "INSERT INTO t VALUES (1, 'a', 'x')").await;
    run(&mut s, "CREATE STREAM s ON TABLE t").await;
    run(&mut s, "INSERT INTO t VALUES (2, 'b', 'y')").await;
    run(&mut s, "DELETE FROM t WHERE id = 1").await;
    run(&mut s, "ALTER TABLE t ADD COLUMN d NUMBER DEFAULT 5").await;
    run(&mut s, "ALTER TABLE t DROP COLUMN w").await;
    run(&mut s, "ALTER TABLE t RENAME COLUMN v TO vv").await;
    run(&mut s, "INSERT INTO t (id, vv) VALUES (3, 'c')").await;
    assert_eq!(
        sorted(&mut s, "SELECT id, vv, d, METADATA$ACTION FROM s").await,
        ["1|a|5|DELETE", "2|b|5|INSERT", "3|c|5|INSERT"]
    );
    assert_eq!(sorted(&mut s, "SELECT * FROM t").await, ["2|b|5", "3|c|5"]);
}
