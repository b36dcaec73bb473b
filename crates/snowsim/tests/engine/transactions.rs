//! Transactions: isolation, locks, implicit commits, cancellation.

use std::time::Duration;

use crate::world::{World, refused, run, sorted};

#[tokio::test]
async fn writes_are_seen_by_their_own_transaction_only_until_commit() {
    let world = World::new();
    let mut s = world.session().await;
    let mut other = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT, v VARCHAR)").await;
    run(&mut s, "INSERT INTO t VALUES (1, 'a')").await;
    run(&mut s, "BEGIN").await;
    run(&mut s, "INSERT INTO t VALUES (2, 'b')").await;
    run(&mut s, "UPDATE t SET v = 'z' WHERE id = 1").await;
    run(&mut s, "DELETE FROM t WHERE id = 2").await;
    run(&mut s, "INSERT INTO t VALUES (3, 'c')").await;
    assert_eq!(sorted(&mut s, "SELECT * FROM t").await, ["1|z", "3|c"]);
    assert_eq!(sorted(&mut other, "SELECT * FROM t").await, ["1|a"]);
    run(&mut s, "ROLLBACK").await;
    assert_eq!(sorted(&mut s, "SELECT * FROM t").await, ["1|a"]);
    run(&mut s, "BEGIN").await;
    run(&mut s, "INSERT INTO t VALUES (4, 'd')").await;
    run(&mut s, "COMMIT").await;
    assert_eq!(sorted(&mut other, "SELECT * FROM t").await, ["1|a", "4|d"]);
}

#[tokio::test]
async fn a_failed_statement_leaves_its_transaction_open_and_itself_without_effect() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT NOT NULL)").await;
    run(&mut s, "BEGIN").await;
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    assert_eq!(refused(&mut s, "INSERT INTO t SELECT 10 / (id - id) FROM t").await.code, "100051");
    run(&mut s, "INSERT INTO t VALUES (2)").await;
    run(&mut s, "COMMIT").await;
    assert_eq!(sorted(&mut s, "SELECT * FROM t").await, ["1", "2"]);
}

#[tokio::test]
async fn writers_of_one_table_wait_readers_do_not() {
    let world = World::new();
    let mut s = world.session().await;
    let mut other = world.session().await;
    run(&mut s, "CREATE TABLE t (n INT)").await;
    run(&mut s, "INSERT INTO t VALUES (0)").await;
    run(&mut s, "BEGIN").await;
    run(&mut s, "UPDATE t SET n = n + 1").await;
    run(&mut other, "ALTER SESSION SET LOCK_TIMEOUT = 0").await;
    let locked = refused(&mut other, "UPDATE t SET n = n + 1").await;
    assert_eq!(locked.code, "000625");
    assert!(locked.message.contains('T'), "{locked}");
    assert_eq!(run(&mut other, "SELECT n FROM t").await, [["0"]]);
    run(&mut other, "ALTER SESSION UNSET LOCK_TIMEOUT").await;
    let waiting = tokio::spawn(async move { run(&mut other, "UPDATE t SET n = n + 1").await });
    run(&mut s, "COMMIT").await;
    assert_eq!(waiting.await.unwrap(), [["1", "0"]]);
    assert_eq!(run(&mut s, "SELECT n FROM t").await, [["2"]]);
}

#[tokio::test]
async fn ddl_commits_what_is_open_and_a_lost_session_frees_its_locks() {
    let world = World::new();
    let mut s = world.session().await;
    let mut other = world.session().await;
    run(&mut s, "CREATE TABLE t (n INT)").await;
    run(&mut s, "BEGIN").await;
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    run(&mut s, "CREATE TABLE u (n INT)").await;
    assert_eq!(sorted(&mut other, "SELECT * FROM t").await, ["1"]);
    run(&mut s, "BEGIN").await;
    run(&mut s, "INSERT INTO t VALUES (2)").await;
    drop(s);
    run(&mut other, "INSERT INTO t VALUES (3)").await;
    assert_eq!(sorted(&mut other, "SELECT * FROM t").await, ["1", "3"]);
}

#[tokio::test]
async fn a_cancelled_statement_has_no_effect_and_frees_its_locks() {
    let world = World::new();
    let mut s = world.session().await;
    let mut other = world.session().await;
    run(&mut s, "CREATE TABLE t (n INT)").await;
    run(&mut s, "BEGIN").await;
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    {
        let waiting = other.execute("INSERT INTO t VALUES (2)", &[], false);
        assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    }
    run(&mut s, "COMMIT").await;
    run(&mut other, "INSERT INTO t VALUES (3)").await;
    assert_eq!(sorted(&mut s, "SELECT * FROM t").await, ["1", "3"]);
}

#[tokio::test]
async fn concurrent_increments_are_never_lost() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (n INT)").await;
    run(&mut s, "INSERT INTO t VALUES (0)").await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let mut session = world.session().await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..25 {
                run(&mut session, "UPDATE t SET n = n + 1").await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(run(&mut s, "SELECT n FROM t").await, [["100"]]);
}
