//! Every type at its edges: through literals, casts, INSERT … SELECT, a file, and back.

use futures::TryStreamExt;
use snowsim::error::SqlError;
use snowsim::session::Bind;
use snowsim::types::convert::read;

use crate::world::{World, refused, run};

const EDGES: &[(&str, &str, &str)] = &[
    ("NUMBER(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
    ("NUMBER(38,0)", "-99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"),
    ("NUMBER(38,37)", "9.9999999999999999999999999999999999999", "9.9999999999999999999999999999999999999"),
    ("NUMBER(38,37)", "-0.0000000000000000000000000000000000001", "-0.0000000000000000000000000000000000001"),
    ("NUMBER(38,4)", "'1.23456'::NUMBER(38,4)", "1.2346"),
    ("NUMBER(38,0)", "9223372036854775808", "9223372036854775808"),
    ("NUMBER(20,0)", "18446744073709551616", "18446744073709551616"),
    ("NUMBER(10,2)", "TO_NUMBER('12.345', 10, 2)", "12.35"),
    ("NUMBER(10,2)", "1.5", "1.50"),
    ("FLOAT", "'NaN'::FLOAT", "NaN"),
    ("FLOAT", "'inf'::FLOAT", "inf"),
    ("FLOAT", "'-inf'::FLOAT", "-inf"),
    ("FLOAT", "1.7976931348623157e308::FLOAT", "1.7976931348623157e308"),
    ("FLOAT", "0.1", "0.1"),
    ("BOOLEAN", "TRUE", "true"),
    ("BOOLEAN", "'no'", "false"),
    ("VARCHAR", "''", ""),
    ("VARCHAR", "'it''s \\\\ \\n é 日本'", "it's \\ \n é 日本"),
    ("BINARY", "TO_BINARY('00FFab', 'HEX')", "00FFAB"),
    ("BINARY", "TO_BINARY('', 'HEX')", ""),
    ("BINARY", "TO_BINARY('héé', 'UTF-8')", "68C3A9C3A9"),
    ("DATE", "'0001-01-01'", "0001-01-01"),
    ("DATE", "TO_DATE('9999-12-31')", "9999-12-31"),
    ("DATE", "DATE '1969-12-31'", "1969-12-31"),
    ("TIME(9)", "'23:59:59.999999999'", "23:59:59.999999999"),
    ("TIME(3)", "'00:00:00.123999'", "00:00:00.123"),
    ("TIMESTAMP_NTZ(9)", "'0001-01-01 00:00:00.000000001'", "0001-01-01 00:00:00.000000001"),
    ("TIMESTAMP_NTZ(9)", "TO_TIMESTAMP_NTZ('9999-12-31T23:59:59.999999999')", "9999-12-31 23:59:59.999999999"),
    ("TIMESTAMP_NTZ(3)", "'1969-12-31 23:59:59.999999'", "1969-12-31 23:59:59.999"),
    ("TIMESTAMP_LTZ(9)", "'2024-01-02 03:04:05.123456789 +0530'", "2024-01-01 21:34:05.123456789 +0000"),
    ("TIMESTAMP_TZ(9)", "'2024-01-02 03:04:05.123456789 +14:00'", "2024-01-02 03:04:05.123456789 +1400"),
    ("TIMESTAMP_TZ(9)", "'0001-01-01 00:00:00 -12:00'::TIMESTAMP_TZ(9)", "0001-01-01 00:00:00.000000000 -1200"),
    ("TIMESTAMP_TZ(0)", "'2024-06-01 00:00:00 +05:30'", "2024-06-01 00:00:00 +0530"),
    (
        "VARIANT",
        "PARSE_JSON('{\"b\":[1,null,{\"n\":99999999999999999999999999999999999999}],\"a\":null}')",
        "{\"a\":null,\"b\":[1,null,{\"n\":99999999999999999999999999999999999999}]}",
    ),
    ("VARIANT", "PARSE_JSON('null')", "null"),
    ("VARIANT", "TO_VARIANT(1.50)", "1.5"),
    ("VARIANT", "'text'::VARIANT", "\"text\""),
    ("OBJECT", "OBJECT_CONSTRUCT('k', 1, 'gone', NULL, 'j', PARSE_JSON('null'))", "{\"j\":null,\"k\":1}"),
    ("ARRAY", "ARRAY_CONSTRUCT(1, 'two', NULL)", "[1,\"two\",null]"),
];

#[tokio::test]
async fn edges_survive_a_table_an_update_and_a_stream() {
    let world = World::new();
    let mut s = world.session().await;
    for (index, (ty, literal, expected)) in EDGES.iter().enumerate() {
        run(&mut s, &format!("CREATE TABLE t{index} (id INT, v {ty})")).await;
        run(&mut s, &format!("CREATE STREAM s{index} ON TABLE t{index}")).await;
        run(&mut s, &format!("INSERT INTO t{index} SELECT 1, {literal}")).await;
        run(&mut s, &format!("INSERT INTO t{index} SELECT 2, NULL")).await;
        run(&mut s, &format!("UPDATE t{index} SET id = id + 10")).await;
        run(&mut s, &format!("CREATE TABLE c{index} AS SELECT * FROM s{index}")).await;
        let rows = run(&mut s, &format!("SELECT id, v FROM c{index} ORDER BY id")).await;
        assert_eq!(rows, [["11", *expected], ["12", "NULL"]], "{ty} {literal}");
        let described = run(&mut s, &format!("DESCRIBE TABLE c{index}")).await;
        let own = run(&mut s, &format!("DESCRIBE TABLE t{index}")).await;
        assert_eq!(described[1][1], own[1][1], "the type of {ty} survives a CTAS");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_an_error_and_try_cast_a_null() {
    let world = World::new();
    let mut s = world.session().await;
    for (sql, code) in [
        ("SELECT 100::NUMBER(2,0)", "100039"),
        ("SELECT 'x'::NUMBER", "100038"),
        ("SELECT 'x'::DATE", "100040"),
        ("SELECT '2023-02-29'::TIMESTAMP_NTZ", "100035"),
        ("SELECT 'abc'::VARCHAR(2)", "100078"),
        ("SELECT PARSE_JSON('{')", "100069"),
        ("SELECT 1 / 0", "100051"),
    ] {
        assert_eq!(refused(&mut s, sql).await.code, code, "{sql}");
    }
    let rows = run(&mut s, "SELECT TRY_CAST('x' AS NUMBER), TRY_CAST('7' AS NUMBER), TRY_TO_DATE('nope')").await;
    assert_eq!(rows, [["NULL", "7", "NULL"]]);
}

#[tokio::test]
async fn a_text_of_sixteen_megabytes_survives() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE TABLE big AS SELECT REPEAT('abcdefgh', 2097152) AS v").await;
    assert_eq!(
        run(&mut s, "SELECT LENGTH(v), MD5(v) = MD5(REPEAT('abcdefgh', 2097152)), RIGHT(v, 3) FROM big").await,
        [["16777216", "true", "fgh"]]
    );
}

#[tokio::test]
async fn expressions_of_the_seed_scripts() {
    let world = World::new();
    let mut s = world.session().await;
    for (sql, expected) in [
        (
            "SELECT IFF(1 < 2, 'a', 'b'), NVL(NULL, 3), COALESCE(NULL, NULL, 'c'), EQUAL_NULL(NULL, NULL)",
            vec!["a", "3", "c", "true"],
        ),
        (
            "SELECT DECODE(2, 1, 'one', 2, 'two', 'many'), LPAD('7', 3, '0'), REPEAT('ab', 2), CONCAT('a', 1, 'b')",
            vec!["two", "007", "abab", "a1b"],
        ),
        (
            "SELECT DATEADD(day, 1, '2024-02-28'::DATE), DATEADD(month, 1, '2024-01-31'::TIMESTAMP_NTZ(0)), DATEDIFF('day', '2024-01-01'::DATE, '2024-03-01'::DATE)",
            vec!["2024-02-29", "2024-02-29 00:00:00.000000000", "60"],
        ),
        ("SELECT 1/3, 7/2, 2.50 * 4, 10 % 3", vec!["0.333333", "3.500000", "10.00", "1"]),
        ("SELECT ROUND(2.567, 2), FLOOR(-1.5), CEIL(1.2), ABS(-3), MOD(7, 4)", vec!["2.570", "-2.0", "2.0", "3", "3"]),
        (
            "SELECT PARSE_JSON('{\"a\":{\"b\":[1,2]}}'):a.b[1]::INT, GET_PATH(PARSE_JSON('{\"x\":\"y\"}'), 'x')::STRING",
            vec!["2", "y"],
        ),
        (
            "SELECT '2024-01-01 00:00:00 +01:00'::TIMESTAMP_TZ = '2023-12-31 23:00:00 +00:00'::TIMESTAMP_TZ, '2024-01-02'::DATE > '2024-01-01'",
            vec!["true", "true"],
        ),
        (
            "SELECT MD5('a'), HASH(1) = HASH(1.0), UPPER('x') || LOWER('Y'), SUBSTR('hello', 2, 3), SPLIT_PART('a,b,c', ',', 2)",
            vec!["0cc175b9c0f1b6a831c399e269772661", "true", "Xy", "ell", "b"],
        ),
        (
            "SELECT TO_TIMESTAMP_NTZ(1704164645), TO_TIMESTAMP_NTZ(1704164645123, 3), TO_CHAR(12.50), TO_VARCHAR('2024-01-02'::DATE)",
            vec!["2024-01-02 03:04:05.000000000", "2024-01-02 03:04:05.123000000", "12.50", "2024-01-02"],
        ),
        (
            "SELECT CASE WHEN NULL THEN 1 ELSE 2 END, 5 BETWEEN 1 AND 10, 'a' IN ('a', 'b'), 'abc' LIKE 'a%', 'ABC' ILIKE 'a_c'",
            vec!["2", "true", "true", "true", "true"],
        ),
        ("WITH c AS (SELECT 1 AS x UNION ALL SELECT 2) SELECT SUM(x), MAX(x), COUNT(*) FROM c", vec!["3", "2", "2"]),
    ] {
        assert_eq!(run(&mut s, sql).await, [expected], "{sql}");
    }
}

#[tokio::test]
async fn binds_have_the_drivers_forms() {
    let world = World::new();
    let mut s = world.session().await;
    let bind = |ty: &str, value: &str| Bind { ty: ty.to_owned(), value: Some(value.to_owned()) };
    let binds = [
        bind("FIXED", "12345678901234567890123456789012345678"),
        bind("TEXT", "it's"),
        bind("REAL", "0.5"),
        bind("BOOLEAN", "true"),
        bind("DATE", "1704153600000"),
        bind("TIMESTAMP_NTZ", "1704164645123456789"),
        bind("TIMESTAMP_TZ", "1704164645123456789 1770"),
        Bind { ty: "TEXT".to_owned(), value: None },
    ];
    for sql in ["SELECT ?, ?, ?, ?, ?, ?, ?, ?", "SELECT :1, :2, :3, :4, :5, :6, :7, :8"] {
        let outcome = s.execute(sql, &binds, false).await.unwrap();
        let batches: Vec<_> = outcome.batches.try_collect().await.map_err(SqlError::from).unwrap();
        let shown: Vec<String> = outcome
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                read(batches[0].column(index), 0, column.ty)
                    .unwrap()
                    .map_or("NULL".to_owned(), |value| value.to_text(9))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "12345678901234567890123456789012345678",
                "it's",
                "0.5",
                "true",
                "2024-01-02",
                "2024-01-02 03:04:05.123456789",
                "2024-01-02 08:34:05.123456789 +0530",
                "NULL",
            ],
            "{sql}"
        );
    }
}
