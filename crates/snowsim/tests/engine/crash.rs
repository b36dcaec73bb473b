//! What survives: reopening after a drop, after a copy of the folder taken in flight, after torn writes.

use std::path::Path;
use std::sync::Arc;

use snowsim::clock::Clock;
use snowsim::engine::{Engine, Login};
use snowsim::session::Session;

use crate::world::{World, run, sorted};

fn reopen(folder: &Path) -> (Arc<Engine>, Session) {
    let engine = Engine::open(folder, Clock::new()).unwrap();
    let login = Login {
        user: "TESTER".to_owned(),
        database: Some("D".to_owned()),
        warehouse: Some("COMPUTE_WH".to_owned()),
        ..Login::default()
    };
    let session = engine.session(login).unwrap();
    (engine, session)
}

/// What kill -9 leaves: the files as they are, nothing flushed or closed.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn every_committed_statement_and_no_other_survives() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR DEFAULT 'd')").await;
    run(&mut s, "INSERT INTO t (id) VALUES (1), (2), (3)").await;
    run(&mut s, "CREATE STREAM s ON TABLE t SHOW_INITIAL_ROWS = TRUE").await;
    run(&mut s, "CREATE TABLE first AS SELECT * FROM s").await;
    run(&mut s, "UPDATE t SET v = 'x' WHERE id = 1").await;
    run(&mut s, "DELETE FROM t WHERE id = 2").await;
    run(&mut s, "CREATE ROLE r").await;
    run(&mut s, "GRANT SELECT ON TABLE t TO ROLE r").await;
    run(&mut s, "BEGIN").await;
    run(&mut s, "INSERT INTO t (id) VALUES (99)").await;
    let copied = tempfile::tempdir().unwrap();
    copy(world.folder.path(), copied.path());
    let delta = "SELECT METADATA$ACTION, METADATA$ISUPDATE, METADATA$ROW_ID, id, v FROM s";
    let expected = {
        let mut other = world.session().await;
        sorted(&mut other, delta).await
    };
    for _ in 0..2 {
        let (_engine, mut s) = reopen(copied.path());
        assert_eq!(sorted(&mut s, "SELECT * FROM t").await, ["1|x", "3|d"]);
        assert_eq!(sorted(&mut s, delta).await, expected);
        assert_eq!(sorted(&mut s, "SELECT id FROM first").await, ["1", "2", "3"]);
        assert_eq!(run(&mut s, "SHOW GRANTS TO ROLE r").await.len(), 1);
    }
    // Parts of what was not committed are swept.
    let parts = |folder: &Path| std::fs::read_dir(folder.join("parts")).unwrap().count();
    assert!(parts(copied.path()) < parts(world.folder.path()));
}

#[tokio::test]
async fn a_journal_cut_anywhere_is_some_whole_state() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (n INT)").await;
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    run(&mut s, "CREATE STREAM s ON TABLE t").await;
    run(&mut s, "INSERT INTO t VALUES (2)").await;
    let start = std::fs::metadata(world.folder.path().join("journal")).unwrap().len();
    run(&mut s, "CREATE TABLE staged AS SELECT * FROM s").await;
    let end = std::fs::metadata(world.folder.path().join("journal")).unwrap().len();
    for cut in (start..=end).step_by(97).chain([end]) {
        let copied = tempfile::tempdir().unwrap();
        copy(world.folder.path(), copied.path());
        let file = std::fs::OpenOptions::new().write(true).open(copied.path().join("journal")).unwrap();
        file.set_len(cut).unwrap();
        let (_engine, mut s) = reopen(copied.path());
        let staged = run(&mut s, "SHOW TABLES LIKE 'STAGED' IN SCHEMA d.public").await.len();
        let pending = run(&mut s, "SELECT COUNT(*) FROM d.public.s").await[0][0].clone();
        assert_eq!((staged, pending.as_str()), if cut == end { (1, "0") } else { (0, "1") }, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_damaged_journal_is_refused_and_costs_no_rows() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (n INT)").await;
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    run(&mut s, "INSERT INTO t VALUES (2)").await;
    let copied = tempfile::tempdir().unwrap();
    copy(world.folder.path(), copied.path());
    let journal = copied.path().join("journal");
    let whole = std::fs::read(&journal).unwrap();
    let mut damaged = whole.clone();
    let last_line = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    damaged[last_line - 20] ^= 1;
    std::fs::write(&journal, &damaged).unwrap();
    let error = Engine::open(copied.path(), Clock::new()).unwrap_err();
    assert!(error.message.contains("damaged in line"), "{error}");
    std::fs::write(&journal, &whole).unwrap();
    let (_engine, mut s) = reopen(copied.path());
    assert_eq!(sorted(&mut s, "SELECT * FROM t").await, ["1", "2"]);
}

#[tokio::test]
async fn a_folder_is_open_once() {
    let world = World::new();
    let error = Engine::open(world.folder.path(), Clock::new()).unwrap_err();
    assert!(error.message.contains("in use"), "{error}");
}

#[tokio::test]
async fn dropped_tables_give_their_files_back_and_many_writes_are_merged() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TRANSIENT TABLE t (n INT)").await;
    run(&mut s, "CREATE STREAM s ON TABLE t").await;
    for n in 0..120 {
        run(&mut s, &format!("INSERT INTO t VALUES ({n})")).await;
    }
    run(&mut s, "UPDATE t SET n = n + 1000 WHERE n < 60").await;
    assert_eq!(run(&mut s, "SELECT COUNT(*), SUM(n) FROM t").await, [["120", "67140"]]);
    assert_eq!(
        run(&mut s, "SELECT COUNT(*), SUM(n), COUNT(DISTINCT METADATA$ROW_ID) FROM s WHERE METADATA$ACTION = 'INSERT' AND NOT METADATA$ISUPDATE").await,
        [["120", "67140", "120"]]
    );
    run(&mut s, "DROP STREAM s").await;
    run(&mut s, "DROP TABLE t").await;
    assert_eq!(std::fs::read_dir(world.folder.path().join("parts")).unwrap().count(), 0);
}

#[tokio::test]
async fn every_kind_of_object_and_its_streams_survive() {
    let world = World::new();
    let mut s = world.session().await;
    for sql in [
        "CREATE TABLE t (id INT, v VARCHAR)",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        "CREATE VIEW vw AS SELECT l.id AS id, r.v AS v FROM t l JOIN t r ON l.id = r.id",
        "CREATE STREAM vs ON VIEW vw",
        "CREATE DYNAMIC TABLE dt TARGET_LAG = DOWNSTREAM WAREHOUSE = COMPUTE_WH AS SELECT id, v FROM t",
        "CREATE STREAM ds ON DYNAMIC TABLE dt",
        "CREATE STAGE st DIRECTORY = (ENABLE = TRUE)",
        "CREATE STREAM ss ON STAGE st",
        "CREATE EXTERNAL TABLE e (n INT AS (VALUE:n::INT)) LOCATION = @st",
        "CREATE STREAM es ON EXTERNAL TABLE e INSERT_ONLY = TRUE",
        "COPY INTO '@st/f.json' FROM (SELECT OBJECT_CONSTRUCT('n', 7))",
        "UPDATE t SET v = 'z' WHERE id = 1",
        "ALTER STAGE st REFRESH",
        "ALTER EXTERNAL TABLE e REFRESH",
        "ALTER DYNAMIC TABLE dt REFRESH",
    ] {
        run(&mut s, sql).await;
    }
    let deltas = ["vs", "ds", "ss", "es"].map(|stream| format!("SELECT * FROM {stream}"));
    let mut expected = Vec::new();
    for delta in &deltas {
        expected.push(sorted(&mut s, delta).await);
    }
    assert_eq!(expected.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1, 1], "{expected:?}");
    let copied = tempfile::tempdir().unwrap();
    copy(world.folder.path(), copied.path());
    for _ in 0..2 {
        let (_engine, mut s) = reopen(copied.path());
        for (delta, expected) in deltas.iter().zip(&expected) {
            assert_eq!(sorted(&mut s, delta).await, *expected, "{delta}");
        }
        assert_eq!(run(&mut s, "SELECT n FROM e").await, [["7"]]);
    }
}
