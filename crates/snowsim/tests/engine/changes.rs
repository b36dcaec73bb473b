//! CHANGES and Time Travel: windows that meet without gap or overlap, the end of retention, views, the change token.

use std::time::Duration;

use crate::world::{World, refused, run, sorted};

/// The account's time in milliseconds, and a moment later.
async fn now(world: &World) -> i64 {
    let now = i64::try_from(world.clock.now_nanos() / 1_000_000).unwrap();
    world.clock.advance(Duration::from_millis(20));
    now + 10
}

fn at(moment: i64) -> String {
    format!("TIMESTAMP => TO_TIMESTAMP_LTZ({moment}, 3)")
}

#[tokio::test]
async fn windows_meet_without_gap_or_overlap() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT, v VARCHAR) CHANGE_TRACKING = TRUE").await;
    run(&mut s, "INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    let first = now(&world).await;
    run(&mut s, "UPDATE t SET v = 'x' WHERE id = 1").await;
    run(&mut s, "INSERT INTO t VALUES (3, 'c')").await;
    let second = now(&world).await;
    run(&mut s, "DELETE FROM t WHERE id = 2").await;
    run(&mut s, "UPDATE t SET v = 'y' WHERE id = 1").await;
    let third = now(&world).await;
    let window = |from, to, information: &str| {
        format!(
            "SELECT METADATA$ACTION, METADATA$ISUPDATE, id, v FROM t CHANGES(INFORMATION => {information}) AT({}) END({})",
            at(from),
            at(to)
        )
    };
    let whole = sorted(&mut s, &window(first, third, "DEFAULT")).await;
    assert_eq!(whole, ["DELETE|false|2|b", "DELETE|true|1|a", "INSERT|false|3|c", "INSERT|true|1|y"]);
    let earlier = sorted(&mut s, &window(first, second, "DEFAULT")).await;
    assert_eq!(earlier, ["DELETE|true|1|a", "INSERT|false|3|c", "INSERT|true|1|x"]);
    let later = sorted(&mut s, &window(second, third, "DEFAULT")).await;
    assert_eq!(later, ["DELETE|false|2|b", "DELETE|true|1|x", "INSERT|true|1|y"]);
    assert_eq!(sorted(&mut s, &window(first, third, "APPEND_ONLY")).await, ["INSERT|false|3|c"]);
    assert!(sorted(&mut s, &window(third, third, "DEFAULT")).await.is_empty());
    let then = format!("SELECT id, v FROM t AT({})", at(second));
    assert_eq!(sorted(&mut s, &then).await, ["1|x", "2|b", "3|c"]);
}

#[tokio::test]
async fn what_is_beyond_retention_is_refused_even_if_a_stream_keeps_it() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT)").await;
    run(&mut s, "CREATE STREAM s ON TABLE t").await;
    let start = now(&world).await;
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    let window = format!("SELECT id FROM t CHANGES(INFORMATION => DEFAULT) AT({})", at(start));
    assert_eq!(sorted(&mut s, &window).await, ["1"]);
    world.clock.advance(Duration::from_secs(25 * 3600));
    let error = refused(&mut s, &window).await;
    assert!(error.message.contains("Time travel data is not available for table T"), "{}", error.message);
    assert_eq!(sorted(&mut s, "SELECT id FROM s").await, ["1"], "the stream still has it");
    let before = format!("SELECT id FROM t AT({})", at(start - 3_600_000));
    assert!(refused(&mut s, &before).await.message.contains("before the object creation time"));
}

#[tokio::test]
async fn the_token_moves_with_every_write_and_needs_no_warehouse() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT)").await;
    run(&mut s, "CREATE VIEW v AS SELECT id FROM t").await;
    let used = world.engine.warehouse_statements();
    let of_table = "SELECT SYSTEM$LAST_CHANGE_COMMIT_TIME('T')";
    let of_view = "SELECT SYSTEM$LAST_CHANGE_COMMIT_TIME('V')";
    let before = sorted(&mut s, of_table).await;
    assert_eq!(before, sorted(&mut s, of_table).await);
    assert_eq!(before, sorted(&mut s, of_view).await);
    assert_eq!(world.engine.warehouse_statements(), used);
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    let after = sorted(&mut s, of_table).await;
    assert!(after > before, "{before:?} {after:?}");
    assert_eq!(after, sorted(&mut s, of_view).await);
    run(&mut s, "ALTER TABLE t SET COMMENT = 'c'").await;
    assert_eq!(after, sorted(&mut s, of_table).await, "no write");
}

#[tokio::test]
async fn changes_of_a_view_are_those_of_its_result() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT, v INT) CHANGE_TRACKING = TRUE").await;
    run(&mut s, "CREATE VIEW w AS SELECT id, v FROM t WHERE v > 10").await;
    run(&mut s, "INSERT INTO t VALUES (1, 5), (2, 20), (3, 30)").await;
    let from = now(&world).await;
    run(&mut s, "UPDATE t SET v = v + 10 WHERE id < 3").await;
    run(&mut s, "DELETE FROM t WHERE id = 3").await;
    let to = now(&world).await;
    run(&mut s, "DELETE FROM t").await;
    let sql = format!(
        "SELECT METADATA$ACTION, METADATA$ISUPDATE, id, v FROM w CHANGES(INFORMATION => DEFAULT) AT({}) END({})",
        at(from),
        at(to)
    );
    assert_eq!(refused(&mut s, &sql).await.code, "091930", "the view is not tracked");
    run(&mut s, "ALTER VIEW w SET CHANGE_TRACKING = TRUE").await;
    assert_eq!(
        sorted(&mut s, &sql).await,
        ["DELETE|false|3|30", "DELETE|true|2|20", "INSERT|false|1|15", "INSERT|true|2|30"]
    );
    assert_eq!(sorted(&mut s, &format!("SELECT id, v FROM w AT({})", at(from))).await, ["2|20", "3|30"]);
}

#[tokio::test]
async fn a_late_commit_is_dated_before_it_is_seen() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT) CHANGE_TRACKING = TRUE").await;
    let from = now(&world).await;
    world.clock.advance(Duration::from_secs(60));
    let to = now(&world).await;
    let sql = format!("SELECT id FROM t CHANGES(INFORMATION => DEFAULT) AT({}) END({})", at(from), at(to));
    assert!(sorted(&mut s, &sql).await.is_empty());
    world.engine.commit_late(Duration::from_secs(30));
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    assert_eq!(sorted(&mut s, &sql).await, ["1"]);
}
