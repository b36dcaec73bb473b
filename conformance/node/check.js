// Runs the checks with the official Node client: every scalar type, DML, transactions, streams, errors, large results.
//
// check.js URL: prints one line per check and ends with {"passed": n, "failed": n}; exits 1 if anything failed.
// Values are fetched as strings where JavaScript has no exact value for them.
'use strict';

const { isDeepStrictEqual } = require('node:util');
const snowflake = require('snowflake-sdk');

snowflake.configure({ logLevel: 'ERROR', additionalLogToConsole: false, logFilePath: 'STDOUT' });

const NINES = '9'.repeat(38);
let passed = 0;
let failed = 0;

function check(name, actual, expected) {
  if (isDeepStrictEqual(actual, expected)) {
    passed += 1;
    console.log(`ok   node ${name}`);
  } else {
    fail(name, `got ${shorten(actual)}, expected ${shorten(expected)}`);
  }
}

function fail(name, why) {
  failed += 1;
  console.log(`FAIL node ${name}: ${why}`);
}

function shorten(value) {
  const text = JSON.stringify(value) ?? String(value);
  return text.length < 300 ? text : `${text.slice(0, 150)} … (${text.length} characters)`;
}

function connect(url) {
  const address = new URL(url);
  const connection = snowflake.createConnection({
    accessUrl: url, host: address.hostname, port: Number(address.port), protocol: 'http',
    account: 'local', username: 'conformance', password: 'secret', jsTreatIntegerAsBigInt: false,
  });
  return new Promise((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve(connection))));
}

function execute(connection, sqlText, options = {}) {
  return new Promise((resolve, reject) =>
    connection.execute({
      sqlText, ...options,
      complete: (error, statement, rows) => (error ? reject(error) : resolve({ statement, rows })),
    }));
}

const ask = async (connection, sql, options) => (await execute(connection, sql, options)).rows;
const first = async (connection, sql, options) => Object.values((await ask(connection, sql, options))[0])[0];

// type, how to fetch it, [[SQL expression, expected value], …]
const TYPES = [
  ['NUMBER(38,0)', ['Number'], ['0', '-1', '128', '32768', '2147483648', '9223372036854775808', NINES, `-${NINES}`].map((n) => [n, n])],
  ['NUMBER(38,37)', ['Number'], [[`9.${'9'.repeat(37)}`, `9.${'9'.repeat(37)}`], ['-1.5', `-1.5${'0'.repeat(36)}`]]],
  ['NUMBER(10,2)', [], [['12345678.90', 12345678.9], ['-0.01', -0.01]]],
  ['FLOAT', [], [['0.1::FLOAT', 0.1], ['1.7976931348623157e308', Number.MAX_VALUE], ['5e-324', Number.MIN_VALUE]]],
  ['BOOLEAN', [], [['TRUE', true], ['FALSE', false]]],
  ['VARCHAR', [], [["''", ''], ["'it''s \"q\" \\\\ 猫 🐈'", 'it\'s "q" \\ 猫 🐈'], ["REPEAT('x', 1000000)", 'x'.repeat(1000000)]]],
  ['BINARY', ['Buffer'], [["TO_BINARY('', 'HEX')", ''], ["TO_BINARY('00ff10', 'HEX')", '00FF10']]],
  ['DATE', ['Date'], ['0001-01-01', '1969-12-31', '2024-02-29', '9999-12-31'].map((d) => [`'${d}'::DATE`, d])],
  ['TIME(9)', ['Date'], [["'23:59:59.999999999'::TIME", '23:59:59.999999999'], ["'00:00:00'::TIME", '00:00:00.000000000']]],
  ['TIMESTAMP_NTZ(9)', ['Date'], ['0001-01-01 00:00:00.000000001', '1969-12-31 23:59:59.999999999', '9999-12-31 23:59:59.999999999']
    .map((t) => [`'${t}'::TIMESTAMP_NTZ(9)`, t])],
  ['TIMESTAMP_LTZ(9)', ['Date'], [["'2024-02-29 12:34:56.123456789'::TIMESTAMP_LTZ(9)", '2024-02-29 12:34:56.123456789 +0000']]],
  ['TIMESTAMP_TZ(9)', ['Date'], [['+14:00', '+1400'], ['-12:00', '-1200'], ['+05:30', '+0530']]
    .map(([sql, shown]) => [`'2024-02-29 12:34:56.123456789 ${sql}'::TIMESTAMP_TZ(9)`, `2024-02-29 12:34:56.123456789 ${shown}`])],
  ['VARIANT', [], [['PARSE_JSON(\'{"a": null, "b": [1, 2.5, "x"]}\')', { a: null, b: [1, 2.5, 'x'] }]]],
  ['ARRAY', [], [["ARRAY_CONSTRUCT(1, 'two')", [1, 'two']]]],
];

async function scalars(connection) {
  for (const [number, [kind, fetchAsString, values]] of TYPES.entries()) {
    await run(kind, async () => {
      await ask(connection, `CREATE OR REPLACE TABLE SCALAR_${number} (N INT, V ${kind})`);
      for (const [row, [expression]] of values.entries()) {
        await ask(connection, `INSERT INTO SCALAR_${number} SELECT ${row}, ${expression}`);
      }
      await ask(connection, `INSERT INTO SCALAR_${number} SELECT ${values.length}, NULL`);
      const rows = await ask(connection, `SELECT V FROM SCALAR_${number} ORDER BY N`, { fetchAsString });
      check(`${kind}: rows`, rows.length, values.length + 1);
      values.forEach(([expression, expected], row) => check(`${kind} ${expression.slice(0, 60)}`, rows[row].V, expected));
      const last = rows[rows.length - 1].V;
      check(`${kind} NULL`, last === null || last === 'NULL', true);
    });
  }
}

async function dml(connection) {
  await ask(connection, 'CREATE OR REPLACE TABLE T (ID INT, NAME VARCHAR(20))');
  const inserted = await execute(connection, "INSERT INTO T VALUES (1, 'a'), (2, 'b'), (3, NULL)");
  check('rows inserted', [inserted.statement.getNumUpdatedRows(), inserted.rows], [3, [{ 'number of rows inserted': 3 }]]);
  check('rows updated', (await execute(connection, "UPDATE T SET NAME = 'x' WHERE ID < 3")).statement.getNumUpdatedRows(), 2);
  check('rows deleted', (await execute(connection, 'DELETE FROM T WHERE ID = 2')).statement.getNumUpdatedRows(), 1);
  check('rows', await ask(connection, 'SELECT * FROM T ORDER BY ID'), [{ ID: 1, NAME: 'x' }, { ID: 3, NAME: null }]);
  await ask(connection, 'INSERT INTO T VALUES (?, ?)', { binds: [7, "it's"] });
  check('bound', await ask(connection, 'SELECT NAME FROM T WHERE ID = ?', { binds: [7] }), [{ NAME: "it's" }]);
}

async function transactions(connection) {
  await ask(connection, 'CREATE OR REPLACE TABLE X (A INT)');
  await ask(connection, 'BEGIN');
  await ask(connection, 'INSERT INTO X VALUES (1)');
  await ask(connection, 'ROLLBACK');
  check('rolled back', await first(connection, 'SELECT COUNT(*) FROM X'), 0);
  await ask(connection, 'BEGIN');
  await ask(connection, 'INSERT INTO X VALUES (1), (2)');
  await ask(connection, 'COMMIT');
  check('committed', await first(connection, 'SELECT COUNT(*) FROM X'), 2);
}

async function streams(connection) {
  await ask(connection, 'CREATE OR REPLACE TABLE B (ID INT, V VARCHAR)');
  await ask(connection, "INSERT INTO B VALUES (1, 'a'), (2, 'b')");
  await ask(connection, 'CREATE OR REPLACE STREAM S ON TABLE B');
  await ask(connection, "UPDATE B SET V = 'A' WHERE ID = 1");
  await ask(connection, 'DELETE FROM B WHERE ID = 2');
  const changes = () => ask(connection, 'SELECT ID, V, METADATA$ACTION AS ACTION, METADATA$ISUPDATE AS PAIRED FROM S ORDER BY ID, METADATA$ACTION');
  check('net delta', await changes(), [
    { ID: 1, V: 'a', ACTION: 'DELETE', PAIRED: true }, { ID: 1, V: 'A', ACTION: 'INSERT', PAIRED: true },
    { ID: 2, V: 'b', ACTION: 'DELETE', PAIRED: false }]);
  check('has data', await first(connection, "SELECT SYSTEM$STREAM_HAS_DATA('S')"), true);
  await ask(connection, 'CREATE OR REPLACE TABLE STAGED AS SELECT * FROM S');
  check('consumed', await changes(), []);
  check('staged', await first(connection, 'SELECT COUNT(*) FROM STAGED'), 3);
}

async function errors(connection) {
  const code = async (sql) => ask(connection, sql).then(() => null, (error) => error.code);
  check('missing table', Number(await code('SELECT * FROM NOT_THERE')), 2003);
  check('syntax', Number(await code('FROBNICATE TABLE T')), 1003);
}

async function large(connection) {
  const rows = 50000;
  await ask(connection, `CREATE OR REPLACE TABLE LARGE AS SELECT SEQ8() AS ID, 'row ' || SEQ8() AS NAME FROM TABLE(GENERATOR(ROWCOUNT => ${rows}))`);
  const all = await ask(connection, 'SELECT ID, NAME FROM LARGE ORDER BY ID');
  const wrong = all.filter((row, index) => row.ID !== index || row.NAME !== `row ${index}`).length;
  check('large: rows and wrong ones', [all.length, wrong], [rows, 0]);
}

async function several(connection) {
  const { statement } = await execute(connection, "SELECT 1 AS X; SELECT 'two' AS X", { parameters: { MULTI_STATEMENT_COUNT: 2 } });
  check('several statements', statement.hasNext(), true);
}

async function run(name, part) {
  try {
    await part();
  } catch (error) {
    fail(name, shorten(error.message ?? String(error)));
  }
}

async function main() {
  const connection = await connect(process.argv[2]);
  for (const sql of ['CREATE DATABASE IF NOT EXISTS NODE', 'USE SCHEMA NODE.PUBLIC', 'CREATE WAREHOUSE IF NOT EXISTS W', 'USE WAREHOUSE W',
    "ALTER SESSION SET TIMEZONE = 'UTC'", "ALTER SESSION SET TIME_OUTPUT_FORMAT = 'HH24:MI:SS.FF9'",
    "ALTER SESSION SET TIMESTAMP_NTZ_OUTPUT_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF9'",
    "ALTER SESSION SET TIMESTAMP_LTZ_OUTPUT_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF9 TZHTZM'",
    "ALTER SESSION SET TIMESTAMP_TZ_OUTPUT_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF9 TZHTZM'"]) {
    await ask(connection, sql);
  }
  await scalars(connection);
  for (const part of [dml, transactions, streams, errors, large, several]) {
    await run(part.name, () => part(connection));
  }
  await new Promise((resolve) => connection.destroy(() => resolve()));
}

main().catch((error) => fail('session', shorten(error.message ?? String(error)))).finally(() => {
  console.log(JSON.stringify({ passed, failed }));
  process.exit(failed > 0 || passed === 0 ? 1 : 0);
});
