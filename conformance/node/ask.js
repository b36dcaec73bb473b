// Answers SQL for cases.py: one JSON line {"sql": …} in, one out: {"columns": […], "rows": [[text, …], …]} or
// {"error": …, "code": …}. ask.js URL
'use strict';

const readline = require('node:readline');
const snowflake = require('snowflake-sdk');

snowflake.configure({ logLevel: 'ERROR', additionalLogToConsole: false, logFilePath: 'STDERR' });
const address = new URL(process.argv[2]);
const connection = snowflake.createConnection({
  accessUrl: process.argv[2], host: address.hostname, port: Number(address.port), protocol: 'http',
  account: 'local', username: 'conformance', password: 'secret', fetchAsString: ['Number', 'Date', 'JSON'],
});

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

// What a client makes an object of is shown as the JSON it was.
function shown(cell) {
  return cell === null ? null : typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
}

function complete(error, statement, rows) {
  if (error) {
    say({ error: error.message, code: String(error.code) });
    return;
  }
  const columns = statement.getColumns().map((column) => column.getName());
  say({ columns, rows: rows.map((row) => Object.values(row).map((cell) => shown(cell))) });
}

connection.connect((error) => {
  if (error) {
    say({ error: error.message, code: String(error.code) });
    process.exit(1);
  }
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => connection.execute({ sqlText: JSON.parse(line).sql, rowMode: 'array', complete }));
  lines.on('close', () => connection.destroy(() => process.exit(0)));
});
