"""DDL, DML, transactions, streams, errors and large results, told as a client lives them."""

import time

import snowflake.connector


def prepare(connection, prefix):
    cursor = connection.cursor()
    cursor.execute(f"CREATE DATABASE IF NOT EXISTS {prefix}")
    cursor.execute(f"USE SCHEMA {prefix}.PUBLIC")
    cursor.execute("CREATE WAREHOUSE IF NOT EXISTS W")
    cursor.execute("USE WAREHOUSE W")


def run(report, connection, label, connect, prefix):
    for name, part in (("dml", dml), ("transactions", transactions), ("streams", streams), ("staging", staging),
                       ("errors", errors), ("binding", binding), ("asynchronous", asynchronous), ("several", several),
                       ("large", large), ("listing", listing)):
        report.run(f"{label} {name}", part, connection, f"{label} {name}")
    report.run(f"{label} two sessions", sessions, connection, f"{label} two sessions", connect, prefix)


def ask(connection, sql, *arguments, **options):
    cursor = connection.cursor()
    cursor.execute(sql, *arguments, **options)
    return cursor.fetchall()


def dml(report, connection, label):
    cursor = connection.cursor()
    report.check(f"{label} create", ask(connection, "CREATE OR REPLACE TABLE T (ID INT PRIMARY KEY, NAME VARCHAR(20), N NUMBER(10,2))"),
                 [("Table T successfully created.",)])
    cursor.execute("INSERT INTO T (ID, NAME, N) VALUES (1, 'a', 1.5), (2, 'b', 2.5), (3, NULL, NULL)")
    report.check(f"{label} rows inserted", (cursor.rowcount, cursor.fetchall()), (3, [(3,)]))
    cursor.execute("UPDATE T SET N = N + 1 WHERE ID <= 2")
    report.check(f"{label} rows updated", cursor.rowcount, 2)
    cursor.execute("DELETE FROM T WHERE ID = 2")
    report.check(f"{label} rows deleted", cursor.rowcount, 1)
    cursor.execute("MERGE INTO T USING (SELECT 1 AS ID, 'z' AS NAME UNION ALL SELECT 9, 'new') S ON T.ID = S.ID "
                   "WHEN MATCHED THEN UPDATE SET NAME = S.NAME WHEN NOT MATCHED THEN INSERT (ID, NAME) VALUES (S.ID, S.NAME)")
    report.check(f"{label} merge", cursor.rowcount, 2)
    rows = [(identity, name, None if n is None else str(n)) for identity, name, n in ask(connection, "SELECT * FROM T ORDER BY ID")]
    report.check(f"{label} rows", rows, [(1, "z", "2.50"), (3, None, None), (9, "new", None)])
    cursor.execute("SELECT ID, NAME, N FROM T")
    described = [(column[0], column[6]) for column in cursor.description]
    report.check(f"{label} description", described, [("ID", False), ("NAME", True), ("N", True)])
    report.check(f"{label} scale", (cursor.description[2][4], cursor.description[2][5]), (10, 2))
    ask(connection, "TRUNCATE TABLE T")
    report.check(f"{label} truncated", ask(connection, "SELECT COUNT(*) FROM T"), [(0,)])
    report.check(f"{label} empty", ask(connection, "SELECT * FROM T"), [])


def transactions(report, connection, label):
    ask(connection, "CREATE OR REPLACE TABLE X (A INT)")
    ask(connection, "BEGIN")
    ask(connection, "INSERT INTO X VALUES (1)")
    report.check(f"{label} own rows seen", ask(connection, "SELECT COUNT(*) FROM X"), [(1,)])
    ask(connection, "ROLLBACK")
    report.check(f"{label} rolled back", ask(connection, "SELECT COUNT(*) FROM X"), [(0,)])
    ask(connection, "BEGIN")
    ask(connection, "INSERT INTO X VALUES (1), (2)")
    ask(connection, "COMMIT")
    report.check(f"{label} committed", ask(connection, "SELECT A FROM X ORDER BY A"), [(1,), (2,)])


def changes(connection, stream):
    return ask(connection, f"SELECT ID, V, METADATA$ACTION, METADATA$ISUPDATE FROM {stream} ORDER BY ID, METADATA$ACTION, V")


def streams(report, connection, label):
    ask(connection, "CREATE OR REPLACE TABLE B (ID INT, V VARCHAR)")
    ask(connection, "INSERT INTO B VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    ask(connection, "CREATE OR REPLACE STREAM S ON TABLE B")
    ask(connection, "CREATE OR REPLACE STREAM A ON TABLE B APPEND_ONLY = TRUE")
    ask(connection, "CREATE OR REPLACE STREAM I ON TABLE B SHOW_INITIAL_ROWS = TRUE")
    report.check(f"{label} nothing yet", ask(connection, "SELECT SYSTEM$STREAM_HAS_DATA('S')"), [(False,)])
    ask(connection, "UPDATE B SET V = 'A' WHERE ID = 1")
    ask(connection, "DELETE FROM B WHERE ID = 2")
    ask(connection, "INSERT INTO B VALUES (4, 'd'), (5, 'e')")
    ask(connection, "DELETE FROM B WHERE ID = 5")
    ask(connection, "UPDATE B SET V = 'x' WHERE ID = 3")
    ask(connection, "UPDATE B SET V = 'c' WHERE ID = 3")
    net = [(1, "a", "DELETE", True), (1, "A", "INSERT", True), (2, "b", "DELETE", False), (4, "d", "INSERT", False)]
    report.check(f"{label} has data", ask(connection, "SELECT SYSTEM$STREAM_HAS_DATA('S')"), [(True,)])
    report.check(f"{label} net delta", changes(connection, "S"), net)
    report.check(f"{label} reading does not consume", changes(connection, "S"), net)
    report.check(f"{label} append only", changes(connection, "A"), [(4, "d", "INSERT", False), (5, "e", "INSERT", False)])
    report.check(f"{label} initial rows", changes(connection, "I"), [(1, "a", "INSERT", False), (2, "b", "INSERT", False), (3, "c", "INSERT", False)])
    ids = ask(connection, "SELECT METADATA$ROW_ID FROM S WHERE ID = 1")
    report.check(f"{label} halves share a row id", (len(ids), len(set(ids)), len(ids[0][0])), (2, 1, 40))
    ask(connection, "CREATE TABLE IF NOT EXISTS SINK (ID INT)")
    ask(connection, "BEGIN")
    ask(connection, "INSERT INTO SINK SELECT ID FROM S WHERE 1 = 0")
    ask(connection, "ROLLBACK")
    report.check(f"{label} rollback keeps the offset", changes(connection, "S"), net)
    ask(connection, "INSERT INTO SINK SELECT ID FROM S WHERE 1 = 0")
    report.check(f"{label} a committed statement consumes", changes(connection, "S"), [])
    shown = connection.cursor(snowflake.connector.DictCursor)
    shown.execute("SHOW STREAMS LIKE 'S'")
    rows = shown.fetchall()
    report.check(f"{label} shown", [(row["name"], row["stale"], row["mode"], row["type"]) for row in rows], [("S", "false", "DEFAULT", "DELTA")])


def staging(report, connection, label):
    ask(connection, "CREATE OR REPLACE TABLE SRC (ID INT, V VARCHAR)")
    ask(connection, "DROP TABLE IF EXISTS STAGE_1")
    ask(connection, "CREATE OR REPLACE STREAM SRC_STREAM ON TABLE SRC")
    ask(connection, "INSERT INTO SRC SELECT SEQ8(), 'v' || SEQ8() FROM TABLE(GENERATOR(ROWCOUNT => 1000))")
    statement = ('CREATE TRANSIENT TABLE IF NOT EXISTS STAGE_1 DATA_RETENTION_TIME_IN_DAYS = 0 COMMENT = \'batch 1\' AS '
                 'SELECT *, ROW_NUMBER() OVER (ORDER BY METADATA$ROW_ID, METADATA$ACTION) AS "STAGE$ROW" FROM SRC_STREAM')
    report.check(f"{label} created", ask(connection, statement), [("Table STAGE_1 successfully created.",)])
    ask(connection, "INSERT INTO SRC VALUES (-1, 'later')")
    report.check(f"{label} again", ask(connection, statement), [("STAGE_1 already exists, statement succeeded.",)])
    report.check(f"{label} stream kept", len(ask(connection, "SELECT * FROM SRC_STREAM")), 1)
    rows = ask(connection, 'SELECT "STAGE$ROW", ID FROM STAGE_1 WHERE "STAGE$ROW" > 400 ORDER BY "STAGE$ROW"')
    report.check(f"{label} resumed", ([row[0] for row in rows], len({row[1] for row in rows})), (list(range(401, 1001)), 600))


def failure(connection, sql):
    try:
        ask(connection, sql)
    except snowflake.connector.errors.Error as error:
        return (error.errno, error.sqlstate)
    return None


def errors(report, connection, label):
    report.check(f"{label} missing table", failure(connection, "SELECT * FROM NOT_THERE"), (2003, "42S02"))
    report.check(f"{label} syntax", (failure(connection, "FROBNICATE TABLE T") or (None,))[0], 1003)
    report.check(f"{label} goes on", ask(connection, "SELECT 1"), [(1,)])


def binding(report, connection, label):
    ask(connection, "CREATE OR REPLACE TABLE BOUND (A INT, B VARCHAR, C FLOAT, D BOOLEAN)")
    cursor = connection.cursor()
    cursor.execute("INSERT INTO BOUND VALUES (%s, %s, %s, %s)", (7, "it's 100%", 0.1, True))
    cursor.execute("INSERT INTO BOUND VALUES (%(a)s, %(b)s, NULL, NULL)", {"a": 8, "b": None})
    report.check(f"{label} rows", ask(connection, "SELECT * FROM BOUND ORDER BY A"), [(7, "it's 100%", 0.1, True), (8, None, None, None)])


def asynchronous(report, connection, label):
    cursor = connection.cursor()
    cursor.execute_async("SELECT COUNT(*) FROM TABLE(GENERATOR(ROWCOUNT => 100000))")
    query = cursor.sfqid
    deadline = time.monotonic() + 60
    while connection.is_still_running(connection.get_query_status(query)) and time.monotonic() < deadline:
        pass
    cursor.get_results_from_sfqid(query)
    report.check(f"{label} result", cursor.fetchall(), [(100000,)])


def several(report, connection, label):
    cursor = connection.cursor()
    cursor.execute("SELECT 1; SELECT 'two'; SELECT 3", num_statements=3)
    results = [cursor.fetchall()]
    while cursor.nextset():
        results.append(cursor.fetchall())
    report.check(f"{label} results", results, [[(1,)], [("two",)], [(3,)]])


def large(report, connection, label):
    rows = 200_000
    ask(connection, f"CREATE OR REPLACE TABLE LARGE AS SELECT SEQ8() AS ID, 'row number ' || SEQ8() AS NAME, SEQ8() * 1000003 AS N FROM TABLE(GENERATOR(ROWCOUNT => {rows}))")
    cursor = connection.cursor()
    cursor.execute("SELECT ID, NAME, N FROM LARGE ORDER BY ID")
    seen = 0
    wrong = 0
    for identity, name, number in cursor:
        wrong += (identity, name, number) != (seen, f"row number {seen}", seen * 1000003)
        seen += 1
    report.check(f"{label} rows and wrong ones", (seen, wrong), (rows, 0))


def listing(report, connection, label):
    ask(connection, "CREATE OR REPLACE TRANSIENT TABLE LISTED_1 (A INT NOT NULL, B VARCHAR(5), PRIMARY KEY (A)) COMMENT = 'seen'")
    cursor = connection.cursor(snowflake.connector.DictCursor)
    cursor.execute("SHOW TABLES LIKE 'LISTED\\\\_1'")
    rows = cursor.fetchall()
    report.check(f"{label} tables", [(row["name"], row["kind"], row["comment"]) for row in rows], [("LISTED_1", "TRANSIENT", "seen")])
    cursor.execute("SHOW PRIMARY KEYS IN TABLE LISTED_1")
    report.check(f"{label} primary keys", [(row["column_name"], row["key_sequence"]) for row in cursor.fetchall()], [("A", 1)])
    cursor.execute("DESCRIBE TABLE LISTED_1")
    report.check(f"{label} columns", [(row["name"], row["type"], row["null?"]) for row in cursor.fetchall()],
                 [("A", "NUMBER(38,0)", "N"), ("B", "VARCHAR(5)", "Y")])


def sessions(report, connection, label, connect, prefix):
    ask(connection, "CREATE OR REPLACE TABLE SHARED (A INT)")
    with connect() as other:
        ask(other, f"USE SCHEMA {prefix}.PUBLIC")
        ask(other, "USE WAREHOUSE W")
        ask(connection, "BEGIN")
        ask(connection, "INSERT INTO SHARED VALUES (1)")
        report.check(f"{label} uncommitted unseen", ask(other, "SELECT COUNT(*) FROM SHARED"), [(0,)])
        ask(connection, "COMMIT")
        report.check(f"{label} committed seen", ask(other, "SELECT COUNT(*) FROM SHARED"), [(1,)])
