"""Snowflake's own connector writes, the publisher carries, librdkafka reads: none of the three shares code.

usage: end_to_end.py SNOWMELT_BINARY

Starts `snowmelt sim --kafka` and `snowmelt run`, changes two tables through snowflake-connector-python, reads the topics
with a `read_committed` confluent-kafka consumer, and compares the fold by key with what the connector reads back.
Closes with the line `N passed, N failed`.
"""

import json
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

from lab import Lab, Reader, expected, same

SEED = int(os.environ.get("SNOWMELT_SEED", random.SystemRandom().randrange(1 << 32)))
ROUNDS = 30
PATIENCE = 60

CONFIG = """
name = "conformance"
[snowflake]
account = "local"
url = "{url}"
user = "someone"
password = { env = "SNOWMELT_TEST_PASSWORD" }
role = "ACCOUNTADMIN"
warehouse = "WH"
state_schema = "LAB.STATE"
[kafka]
bootstrap_servers = ["{servers}"]
[poll]
interval = "50ms"
[topics]
name = "lab.{table}"
partitions = 3
[delivery]
slice_rows = 20
[[tables]]
name = "LAB.PUBLIC.THINGS"
[[tables]]
name = "LAB.PUBLIC.PAIRS"
key = ["A", "B"]
"""

THINGS = """
create table things (
  id number(38,0) primary key, exact number(38,10), small number(4,2), ratio float, flag boolean, label varchar,
  raw binary, day date, clock time(9), ntz timestamp_ntz(9), ltz timestamp_ltz(9), tz timestamp_tz(9), doc variant)
"""

EDGES = [
    "(1, 9999999999999999999999999999.0123456789, -99.99, 'NaN'::float, true, '', to_binary('','HEX'), '0001-01-01',"
    " '00:00:00', '0001-01-01 00:00:00.000000001', '1969-12-31 23:59:59.999999999 +00:00',"
    " '2024-01-02 03:04:05.123456789 +14:00', parse_json('null'))",
    "(-2, -9999999999999999999999999999.9999999999, 0.01, 'inf'::float, false, 'quote \" slash \\\\\\\\ tab \t é 雪',"
    " to_binary('00FF10','HEX'), '9999-12-31', '23:59:59.999999999', '9999-12-31 23:59:59.999999999',"
    " '9999-12-31 23:59:59.999999999 +00:00', '1970-01-01 00:00:00 -12:00', parse_json('{\"a\":[1,null,{\"b\":1.50}]}'))",
    "(99999999999999999999999999999999999999, null, null, null, null, null, null, null, null, null, null, null, null)",
    "(4, 0, 0, -0.1, true, 'plain', to_binary('CAFE','HEX'), '1970-01-01', '12:34:56.7', '1969-07-20 20:17:40',"
    " '2024-02-29 12:00:00 +00:00', '2024-02-29 12:00:00 +05:30', parse_json('\"text\"'))",
]


# Kind and scale of each column.
THINGS_KINDS = {
    "ID": ("number", 0), "EXACT": ("number", 10), "SMALL": ("number", 2), "RATIO": ("float", 0), "FLAG": ("boolean", 0),
    "LABEL": ("text", 0), "RAW": ("binary", 0), "DAY": ("date", 0), "CLOCK": ("time", 9), "NTZ": ("ntz", 9),
    "LTZ": ("ltz", 9), "TZ": ("tz", 9), "DOC": ("document", 0)}
PAIRS_KINDS = {"A": ("number", 0), "B": ("number", 0), "N": ("number", 0)}


def table(lab, name, kinds, key):
    """Rows by the text of the record's key, in which whole numbers stand as they are."""
    rows = {}
    for row in lab.wire(f"select {', '.join(kinds)} from {name}"):
        image = {column: expected(kind, cell, scale) for (column, (kind, scale)), cell in zip(kinds.items(), row)}
        rows["{" + ",".join(f"{json.dumps(column)}:{image[column]}" for column in key) + "}"] = image
    return rows


def differences(kinds, got, want):
    found = [f"{key}: not in kafka" for key in want.keys() - got.keys()]
    found += [f"{key}: in kafka only" for key in got.keys() - want.keys()]
    for key in want.keys() & got.keys():
        for name, value in want[key].items():
            if not same(kinds[name][0], got[key].get(name), value):
                found.append(f"{key} {name}: kafka {got[key].get(name)!r}, snowflake {value!r}")
    return found


def change(lab, dice):
    """One random change of each table."""
    keys = [row[0] for row in lab.sql("select id from things")]
    kind = dice.randrange(6)
    if kind <= 1 or not keys:
        first = dice.randrange(10, 10**6)
        lab.sql("insert into things (id, exact, label, ntz) values " + ", ".join(
            f"({first * 10 + n}, {dice.randrange(10**9)}.5, 'row {n}', '2026-11-23 10:00:00')" for n in range(dice.randrange(1, 30))))
    elif kind == 2:
        lab.sql(f"update things set label = 'changed {dice.randrange(99)}', flag = not flag where id % 3 = {dice.randrange(3)}")
    elif kind == 3:
        lab.sql(f"delete from things where id % 7 = {dice.randrange(7)} and id > 100")
    elif kind == 4:
        key = dice.choice(keys)
        lab.sql("begin")
        lab.sql(f"delete from things where id = {key}")
        lab.sql(f"insert into things (id, label) values ({key}, 'again')")
        lab.sql("commit")
    else:
        lab.sql("begin")
        lab.sql("update things set label = 'never'")
        lab.sql("rollback")
    # Keys swap between rows: in one batch each key leaves with one row and comes back with another.
    lab.sql("update pairs set a = 1 - a where b < 5")
    lab.sql(f"update pairs set n = {dice.randrange(100)} where b = {dice.randrange(8)}")


def settle(lab, reader):
    """Reads until the fold equals the tables, or patience ends; returns what still differs."""
    deadline = time.monotonic() + PATIENCE
    while True:
        reader.poll()
        found = differences(THINGS_KINDS, reader.rows["lab.THINGS"], table(lab, "things", THINGS_KINDS, ["ID"]))
        found += differences(PAIRS_KINDS, reader.rows["lab.PAIRS"], table(lab, "pairs", PAIRS_KINDS, ["A", "B"]))
        if not found or time.monotonic() > deadline:
            return found


def main():
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    passed, failed = [], []

    def report(name, problems):
        (failed if problems else passed).append(name)
        print(("FAIL " if problems else "ok   ") + name)
        for problem in problems[:10]:
            print(f"       {problem}")

    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(sys.argv[1], pathlib.Path(folder), CONFIG)
        try:
            for statement in ("create warehouse wh", "use warehouse wh", "create database lab", "create schema lab.state",
                              "use schema lab.public", THINGS, "create table pairs (a int, b int, n int)"):
                lab.sql(statement)
            # PARSE_JSON is not allowed in VALUES, as in Snowflake.
            for edge in EDGES:
                lab.sql("insert into things select " + edge[1:-1])
            lab.sql("insert into pairs values " + ", ".join(f"({n % 2}, {n // 2}, 0)" for n in range(16)))
            lab.start()
            reader = Reader(lab.servers, ["lab.THINGS", "lab.PAIRS"])
            report("initial rows, every type at its edges", settle(lab, reader))
            for _ in range(ROUNDS):
                change(lab, dice)
                reader.poll()
            report("random changes, key swaps, deletes and re-inserts", settle(lab, reader))
            lab.stop(signal.SIGKILL)
            for _ in range(ROUNDS):
                change(lab, dice)
            lab.start()
            report("kill -9, changes meanwhile, start again", settle(lab, reader))
            code = lab.stop(signal.SIGTERM)
            report("SIGTERM ends with exit code 0", [] if code == 0 else [f"exit code {code}"])
            report(f"{reader.events} events: none twice, every before is the previous after", reader.wrong)
            if failed:
                print((lab.folder / "publisher.log").read_text()[-4000:])
        finally:
            lab.close()
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
