//! Statements one by one: what they answer, what they leave behind.

use crate::world::{World, attempt, refused, run, sorted};

#[tokio::test]
async fn the_probes_of_the_publisher_answer_without_a_warehouse() {
    let world = World::new();
    let mut s = world.session().await;
    let rows = run(
        &mut s,
        "SELECT CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_VERSION(), CURRENT_ACCOUNT(), CURRENT_USER()",
    )
    .await;
    assert_eq!(rows[0][..3], ["ACCOUNTADMIN", "COMPUTE_WH", "D"]);
    assert_eq!(rows[0][5], "TESTER");
    run(&mut s, "CREATE TABLE \"X_Y\" (\"ID\" NUMBER(38,0) PRIMARY KEY, v VARCHAR(10) DEFAULT 'a''b')").await;
    run(&mut s, "CREATE TABLE XZY (a INT, b INT, CONSTRAINT pk PRIMARY KEY (b, a), UNIQUE (a))").await;
    let rows = run(&mut s, "SHOW TABLES LIKE 'x\\\\_y' IN SCHEMA \"D\".\"PUBLIC\"").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0][1..5], ["X_Y", "D", "PUBLIC", "TABLE"]);
    assert_eq!(rows[0][12], "OFF");
    let keys = run(&mut s, "SHOW PRIMARY KEYS IN TABLE XZY").await;
    let keys: Vec<_> = keys.iter().map(|row| (row[4].as_str(), row[5].as_str(), row[6].as_str())).collect();
    assert_eq!(keys, [("B", "1", "PK"), ("A", "2", "PK")]);
    let described = run(&mut s, "DESCRIBE TABLE X_Y").await;
    assert_eq!(described[0][..4], ["ID", "NUMBER(38,0)", "COLUMN", "N"]);
    assert_eq!(described[1][..5], ["V", "VARCHAR(10)", "COLUMN", "Y", "'a''b'"]);
    assert_eq!(run(&mut s, "SHOW COLUMNS IN TABLE XZY").await.len(), 2);
    assert_eq!(run(&mut s, "SHOW PARAMETERS LIKE 'TIMEZONE' IN SESSION").await[0][1], "UTC");
    assert_eq!(run(&mut s, "SHOW WAREHOUSES LIKE 'compute%'").await[0][0], "COMPUTE_WH");
    run(&mut s, "CREATE STREAM st ON TABLE xzy").await;
    assert_eq!(run(&mut s, "SELECT SYSTEM$STREAM_HAS_DATA('\"D\".\"PUBLIC\".\"ST\"')").await, [["false"]]);
    assert_eq!(world.engine.warehouse_statements(), 0);
    run(&mut s, "SELECT * FROM xzy").await;
    assert_eq!(world.engine.warehouse_log(), ["SELECT * FROM xzy"]);
}

#[tokio::test]
async fn dml_counts_rows_and_changes_them() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT NOT NULL, v VARCHAR, n NUMBER(10,2) DEFAULT 7.5, k INT AUTOINCREMENT)").await;
    assert_eq!(run(&mut s, "INSERT INTO t (id, v) VALUES (1, 'a'), (2, 'b'), (3, NULL)").await, [["3"]]);
    assert_eq!(sorted(&mut s, "SELECT * FROM t").await, ["1|a|7.50|1", "2|b|7.50|2", "3|NULL|7.50|3"]);
    assert_eq!(run(&mut s, "UPDATE t SET v = v || '!', n = n / 2 WHERE id < 3").await, [["2", "0"]]);
    assert_eq!(run(&mut s, "DELETE FROM t WHERE v IS NULL").await, [["1"]]);
    assert_eq!(run(&mut s, "INSERT INTO t SELECT id + 10, UPPER(v), n, k FROM t").await, [["2"]]);
    assert_eq!(sorted(&mut s, "SELECT id, v, n FROM t").await, ["11|A!|3.75", "12|B!|3.75", "1|a!|3.75", "2|b!|3.75"]);
    let merged = run(
        &mut s,
        "MERGE INTO t USING (SELECT 1 AS id, 'x' AS v UNION ALL SELECT 2, 'gone' UNION ALL SELECT 99, 'new') s ON t.id = s.id
         WHEN MATCHED AND s.v = 'gone' THEN DELETE
         WHEN MATCHED THEN UPDATE SET v = s.v
         WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)",
    )
    .await;
    assert_eq!(merged, [["1", "1", "1"]]);
    assert_eq!(sorted(&mut s, "SELECT id, v, n FROM t WHERE id NOT IN (11, 12)").await, ["1|x|3.75", "99|new|7.50"]);
    assert_eq!(refused(&mut s, "INSERT INTO t (id) VALUES (NULL)").await.code, "100072");
    run(&mut s, "CREATE TABLE u (id INT, w VARCHAR)").await;
    run(&mut s, "INSERT INTO u VALUES (1, 'w1'), (11, 'w11')").await;
    assert_eq!(run(&mut s, "UPDATE t SET v = u.w FROM u WHERE t.id = u.id").await, [["2", "0"]]);
    assert_eq!(run(&mut s, "DELETE FROM t USING u WHERE t.id = u.id AND u.id = 11").await, [["1"]]);
    assert_eq!(sorted(&mut s, "SELECT id, v FROM t").await, ["12|B!", "1|w1", "99|new"]);
    let dup = refused(
        &mut s,
        "MERGE INTO t USING (SELECT 1 AS id UNION ALL SELECT 1) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = 'd'",
    )
    .await;
    assert_eq!(dup.code, "100090");
    run(&mut s, "TRUNCATE TABLE t").await;
    assert_eq!(run(&mut s, "SELECT COUNT(*) FROM t").await, [["0"]]);
}

#[tokio::test]
async fn generated_rows_and_staging_queries() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE g (id NUMBER(38,0), r NUMBER, t VARCHAR, u VARCHAR)").await;
    run(
        &mut s,
        "INSERT INTO g SELECT SEQ8(), UNIFORM(1, 10, RANDOM()), RANDSTR(8, RANDOM()), UUID_STRING() FROM TABLE(GENERATOR(ROWCOUNT => 20000))",
    )
    .await;
    assert_eq!(
        run(&mut s, "SELECT COUNT(*), MIN(id), MAX(id), COUNT(DISTINCT id), MIN(r), MAX(r), MIN(LENGTH(t)), COUNT(DISTINCT u) FROM g").await,
        [["20000", "0", "19999", "20000", "1", "10", "8", "20000"]]
    );
    let (columns, rows) = attempt(
        &mut s,
        "SELECT *, ROW_NUMBER() OVER (ORDER BY id) AS \"N\", COUNT(id) OVER (PARTITION BY r) AS C FROM g WHERE id < 100 ORDER BY \"N\" LIMIT 3",
    )
    .await
    .unwrap();
    assert_eq!(columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["ID", "R", "T", "U", "N", "C"]);
    assert_eq!(rows.iter().map(|row| row[4].as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
}

#[tokio::test]
async fn columns_are_named_as_written_and_may_repeat() {
    let world = World::new();
    let mut s = world.session().await;
    let (columns, rows) =
        attempt(&mut s, "SELECT 1, 1, 'x', a, a, count(*) FROM (SELECT 7 AS a) GROUP BY a").await.unwrap();
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["1", "1", "'x'", "A", "A", "COUNT(*)"]);
    assert_eq!(rows, [["1", "1", "x", "7", "7", "1"]]);
}

#[tokio::test]
async fn what_is_unknown_is_refused_by_name() {
    let world = World::new();
    let mut s = world.session().await;
    for (sql, code, name) in [
        ("FROBNICATE THE TABLE", "001003", "FROBNICATE"),
        ("SELECT FROB(1)", "002140", "FROB"),
        ("SELECT * FROM nothing_here", "002003", "NOTHING_HERE"),
        ("SELECT nope FROM (SELECT 1 AS a)", "000904", "NOPE"),
        ("CREATE STREAM s ON SHARE v", "001003", "SHARE"),
        ("SELECT * FROM TABLE(SYSTEM$STREAM_BACKLOG('s'))", "002140", "BACKLOG"),
        ("USE DATABASE nowhere", "002043", "operation cannot be performed"),
        ("CREATE TABLE t (a FROBTYPE)", "002040", "FROBTYPE"),
        ("SELECT SYSTEM$FROB()", "002140", "SYSTEM$FROB"),
        ("DROP TABLE nothing_here", "002003", "NOTHING_HERE"),
        ("SELECT 1 FROM", "001003", ""),
    ] {
        let error = refused(&mut s, sql).await;
        assert_eq!(error.code, code, "{sql}: {error}");
        assert!(error.message.contains(name), "{sql}: {error}");
    }
    run(&mut s, "DROP TABLE IF EXISTS nothing_here").await;
    run(&mut s, "CREATE TABLE t (a INT)").await;
    assert_eq!(refused(&mut s, "CREATE TABLE t (a INT)").await.code, "002002");
    assert_eq!(run(&mut s, "CREATE TABLE IF NOT EXISTS t (a INT)").await, [["T already exists, statement succeeded."]]);
    run(&mut s, "DROP WAREHOUSE compute_wh").await;
    assert_eq!(refused(&mut s, "SELECT * FROM t").await.code, "000606");
    assert_eq!(run(&mut s, "SELECT 1").await, [["1"]]);
}

#[tokio::test]
async fn columns_are_left_out_and_replaced_and_a_created_table_names_what_it_expects() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT, \"Mail\" VARCHAR, note VARCHAR)").await;
    run(&mut s, "INSERT INTO t VALUES (1, 'ada@example.com', 'secret')").await;
    let chosen = "SELECT * EXCLUDE (note) REPLACE (LEFT(\"Mail\", 3) AS \"Mail\"), 7 AS n FROM t";
    assert_eq!(run(&mut s, chosen).await, [["1", "ada", "7"]]);
    run(&mut s, &format!("CREATE TRANSIENT TABLE u (a, \"b\", c) COMMENT = 'x' AS {chosen}")).await;
    assert_eq!(run(&mut s, "SELECT c, \"b\", a FROM u").await, [["7", "ada", "1"]]);
    run(&mut s, "ALTER TABLE t ADD COLUMN more INT").await;
    let error = refused(&mut s, &format!("CREATE TABLE v (a, b, c) AS {chosen}")).await;
    assert!(error.code == "002026" && error.message.contains("3 columns are named, the query has 4"), "{error:?}");
    run(&mut s, "ALTER TABLE t RENAME COLUMN note TO remark").await;
    assert!(attempt(&mut s, chosen).await.is_err(), "a column that is to be left out is gone");
}

#[tokio::test]
async fn dates_are_written_by_format_and_text_is_digested() {
    let world = World::new();
    let mut s = world.session().await;
    let rows = run(
        &mut s,
        "SELECT SHA2('abc', 256), SHA2('abc'), SHA2(NULL, 256), TO_VARCHAR('0001-02-03'::DATE, 'YYYY-MM-DD'), \
         TO_VARCHAR('01:02:03.000000004'::TIME(9), 'HH24:MI:SS.FF9'), \
         TO_VARCHAR(CONVERT_TIMEZONE('UTC', '2024-01-01 00:30:00.5 +05:30'::TIMESTAMP_TZ(9)), 'YYYY-MM-DD HH24:MI:SS.FF9'), \
         TO_VARCHAR(CONVERT_TIMEZONE('UTC', '1969-12-31 23:59:59 +00:00'::TIMESTAMP_LTZ(3)), 'YYYY-MM-DD HH24:MI:SS.FF9')",
    )
    .await;
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let expected = [digest, digest, "NULL", "0001-02-03", "01:02:03.000000004", "2023-12-31 19:00:00.500000000"];
    assert_eq!(rows[0][..6], expected);
    assert_eq!(rows[0][6], "1969-12-31 23:59:59.000000000");
    for (sql, word) in [
        ("SELECT SHA2('abc', 512)", "SHA2 of 512 bits"),
        ("SELECT TO_VARCHAR('2024-01-01'::DATE, 'DY')", "the format 'DY'"),
        ("SELECT TO_VARCHAR(1, 'FM9')", "of other than dates and times"),
        ("SELECT CONVERT_TIMEZONE('Europe/Berlin', '2024-01-01'::TIMESTAMP_NTZ)", "Europe/Berlin"),
    ] {
        let message = refused(&mut s, sql).await.message;
        assert!(message.contains(word), "{sql}: {message}");
    }
}

#[tokio::test]
async fn variables_of_a_login_are_text() {
    let world = World::new();
    drop(world.session().await);
    let parameters = [("$Salt".to_owned(), serde_json::json!("it's \\ x")), ("$N".to_owned(), serde_json::json!("1"))];
    let login = snowsim::engine::Login {
        user: "TESTER".to_owned(),
        warehouse: Some("COMPUTE_WH".to_owned()),
        parameters: parameters.into_iter().collect(),
        ..snowsim::engine::Login::default()
    };
    let mut s = world.engine.session(login).unwrap();
    assert_eq!(run(&mut s, "SELECT $SALT, $salt || 'y', $N || '0'").await, [["it's \\ x", "it's \\ xy", "10"]]);
    let message = refused(&mut s, "SELECT $OTHER").await.message;
    assert!(message.contains("OTHER"), "{message}");
}
