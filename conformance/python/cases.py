"""Runs the cases of the simulator with one official client: streams of every kind and start, SHOW, errors.

usage: cases.py URL connector|adbc|node NODE_SCRIPT|snow SNOW_COMMAND

The cases are those that were recorded on accounts (crates/snowsim/tests/recorded/) and those in conformance/cases/, each
in a database of its own. `snow` has one session a command, ends it at a refusal, and takes seconds to start: it runs all
cases without refusals as one script, and those of conformance/cases/ with refusals up to the first.
Closes with {"passed": n, "failed": n}. Steps are explained in crates/snowsim/tests/engine/recorded.rs; besides, `code
<statement>` is refused with the error number that follows.
"""

import json
import os
import pathlib
import subprocess
import sys
from urllib.parse import urlparse

ROOT = pathlib.Path(__file__).parents[2]
FILES = [*sorted((ROOT / "crates/snowsim/tests/recorded").glob("*.txt")), *sorted((ROOT / "conformance/cases").glob("*.txt"))]
VERBS = ("do", "ask", "names", "list", "refuse", "refuse~", "code")
REFUSALS = ("refuse", "refuse~", "code")
BEGIN = ["USE ROLE ACCOUNTADMIN", "CREATE WAREHOUSE IF NOT EXISTS COMPUTE_WH", "USE WAREHOUSE COMPUTE_WH", "DROP DATABASE IF EXISTS D",
         "DROP ROLE IF EXISTS R", "DROP ROLE IF EXISTS READER", "CREATE DATABASE D", "USE SCHEMA D.PUBLIC"]


class Refused(Exception):
    """The statement was refused; `code` is the error number."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = str(code).lstrip("0")


def text(cell):
    """A cell as the cases write it."""
    if cell is None:
        return "NULL"
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return str(cell)


class Connector:
    """snowflake-connector-python."""

    def __init__(self, url):
        import snowflake.connector
        self.errors = snowflake.connector.errors.Error
        address = urlparse(url)
        self.connection = snowflake.connector.connect(
            user="conformance", password="secret", account="local", host=address.hostname, port=address.port,
            protocol=address.scheme)
        self.name = f"python {snowflake.connector.__version__}"

    def run(self, sql):
        try:
            cursor = self.connection.cursor()
            cursor.execute(sql)
            return [column[0] for column in cursor.description], cursor.fetchall()
        except self.errors as error:
            raise Refused(error.errno, str(error)) from None


class Adbc:
    """adbc-driver-snowflake, whose core is the Go driver."""

    def __init__(self, url):
        import adbc_driver_manager
        import adbc_driver_snowflake
        import adbc_driver_snowflake.dbapi
        self.errors = adbc_driver_manager.Error
        address = urlparse(url)
        self.connection = adbc_driver_snowflake.dbapi.connect(autocommit=True, db_kwargs={
            "username": "conformance", "password": "secret", "adbc.snowflake.sql.account": "local",
            "adbc.snowflake.sql.uri.host": address.hostname, "adbc.snowflake.sql.uri.port": str(address.port),
            "adbc.snowflake.sql.uri.protocol": address.scheme, "adbc.snowflake.sql.client_option.use_high_precision": "true"})
        self.name = f"adbc {adbc_driver_snowflake.__version__}"

    def run(self, sql):
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                return [column[0] for column in cursor.description], cursor.fetchall()
        except self.errors as error:
            raise Refused(error.vendor_code or str(error).partition(" (")[0].rpartition(" ")[2], str(error)) from None


class Node:
    """snowflake-sdk, in a process that answers lines."""

    def __init__(self, url, script):
        self.name = "node"
        self.process = subprocess.Popen(["node", "--no-warnings", script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, sql):
        print(json.dumps({"sql": sql}), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["code"], answer["error"])
        return answer["columns"], answer["rows"]


class Snow:
    """`snow sql`: one session for each script, which ends at its first refusal."""

    def __init__(self, url, command):
        self.name, self.command, address = "snow", command, urlparse(url)
        self.options = ["--temporary-connection", "--account", "local", "--user", "conformance", "--host", address.hostname,
                        "--port", str(address.port), "--protocol", address.scheme, "--format", "JSON"]

    def script(self, statements):
        """Results of the statements."""
        ran = subprocess.run([self.command, "sql", *self.options, "--stdin"], input=";\n".join(statements) + ";\n",
                             capture_output=True, text=True, timeout=300, env={**os.environ, "SNOWFLAKE_PASSWORD": "secret"})
        if ran.returncode != 0:
            message = " ".join(ran.stderr.replace("│", " ").split())
            raise Refused(message.partition(" (")[0].rpartition(" ")[2], message)
        answers = json.loads(ran.stdout)
        return answers if len(statements) > 1 else [answers]


def cases(path):
    """(title, [[verb, text, expected lines]])"""
    found = []
    for line in path.read_text().splitlines():
        verb, _, rest = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        if verb == "case":
            found.append((rest, []))
        elif verb == "=":
            found[-1][1][-1][2].append(rest)
        elif verb in VERBS:
            found[-1][1].append([verb, rest, []])
        else:
            raise SystemExit(f"{path}: no such step: {line}")
    return found


def statement(verb, rest):
    return rest.partition(" ")[2] if verb == "list" else rest


def judge(verb, rest, expected, columns, rows):
    """What is wrong with a result, or nothing."""
    if verb == "list":
        # snow shows names as they are; every client keeps those of SHOW in lower case.
        places = [columns.index(name) for name in rest.partition(" ")[0].split(",")]
        rows = [[row[place] for place in places] for row in rows]
    came = ["|".join(columns)] if verb == "names" else ["|".join(map(text, row)) for row in rows]
    return None if verb == "do" or came == expected else f"{rest}: came {came}, expected {expected}"


def judge_refusal(verb, rest, expected, error):
    squeezed = "".join(str(error).split())
    if verb == "code":
        return None if error.code == expected[0].lstrip("0") else f"{rest}: code {error.code}, expected {expected[0]}: {error}"
    wanted = "".join(expected[0].replace("\\n", " ").split())
    return None if wanted in squeezed else f"{rest}: refused with {error}, expected {expected[0]}"


def play(client, steps):
    for sql in BEGIN:
        client.run(sql)
    for verb, rest, expected in steps:
        try:
            columns, rows = client.run(statement(verb, rest))
        except Refused as error:
            wrong = judge_refusal(verb, rest, expected, error) if verb in REFUSALS else f"{rest}: {error}"
        else:
            wrong = f"{rest}: was not refused" if verb in REFUSALS else judge(verb, rest, expected, columns, rows)
        if wrong:
            return wrong
    return None


def play_scripts(snow, files):
    """Every case with `snow`: those without refusals as one script, of ours the others up to their first refusal."""
    whole, short = [], []
    for path in files:
        for title, steps in cases(path):
            at = next((at for at, step in enumerate(steps) if step[0] in REFUSALS), None)
            if at is None:
                whole.append((title, steps))
            elif "recorded" not in path.parts:
                short.append((title, steps[:at + 1]))
    answers = iter(snow.script([sql for _, steps in whole for sql in [*BEGIN, *(statement(*step[:2]) for step in steps)]]))
    for title, steps in whole:
        for _ in BEGIN:
            next(answers)
        wrong = None
        for verb, rest, expected in steps:
            answer = next(answers)
            if answer:
                found = judge(verb, rest, expected, list(answer[0]), [list(row.values()) for row in answer])
            else:
                # An empty result has no columns in JSON, so that nothing is there to be named.
                found = None if verb == "names" or not expected else f"{rest}: came nothing, expected {expected}"
            wrong = wrong or found
        yield title, wrong
    for title, steps in short:
        verb, rest, expected = steps[-1]
        try:
            snow.script([*BEGIN, *(statement(*step[:2]) for step in steps)])
            yield title, f"{rest}: was not refused"
        except Refused as error:
            yield title, judge_refusal(verb, rest, expected, error)


def play_all(client, files):
    for path in files:
        for title, steps in cases(path):
            try:
                yield title, play(client, steps)
            except Exception as error:  # One case that cannot be played is a failure, and the others go on.
                yield title, f"{type(error).__name__}: {error}"


def main():
    url, kind, *more = sys.argv[1:]
    client = {"connector": Connector, "adbc": Adbc, "node": Node, "snow": Snow}[kind](url, *more)
    passed = failed = 0
    for title, wrong in (play_scripts if kind == "snow" else play_all)(client, FILES):
        passed, failed = passed + (wrong is None), failed + (wrong is not None)
        print(f"ok   {client.name} {title}" if wrong is None else f"FAIL {client.name} {title}: {wrong[:600]}")
    print(json.dumps({"passed": passed, "failed": failed}))
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
