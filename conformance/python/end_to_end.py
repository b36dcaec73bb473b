"""Snowflake's own connector writes, the publisher carries, librdkafka reads: none of the three shares code.

usage: end_to_end.py SNOWMELT_BINARY

Starts `snowmelt sim --kafka` and `snowmelt run`, changes two tables through snowflake-connector-python, reads the topics
with a `read_committed` confluent-kafka consumer, and compares the fold by key with what the connector reads back.
Closes with the line `N passed, N failed`.
"""

import datetime
import decimal
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import confluent_kafka
import snowflake.connector

SEED = int(os.environ.get("SNOWMELT_SEED", random.SystemRandom().randrange(1 << 32)))
ROUNDS = 30
PATIENCE = 60

CONFIG = """
name = "conformance"
[snowflake]
account = "local"
url = "{url}"
user = "someone"
password = {{ env = "SNOWMELT_TEST_PASSWORD" }}
role = "ACCOUNTADMIN"
warehouse = "WH"
state_schema = "LAB.STATE"
[kafka]
bootstrap_servers = "{servers}"
[poll]
interval = "50ms"
[topics]
name = "lab.{{table}}"
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


class Lab:
    """The processes under test."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.env = dict(os.environ, SNOWMELT_TEST_PASSWORD="not a secret")
        self.sim = subprocess.Popen(
            [binary, "--log", "error", "sim", "--json", "--listen", "127.0.0.1:0", "--kafka", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True)
        said = json.loads(self.sim.stdout.readline())
        self.url, self.servers = said["url"], said["bootstrap_servers"]
        host, port = self.url.removeprefix("http://").split(":")
        self.connection = snowflake.connector.connect(
            user="someone", password="not a secret", account="local", host=host, port=int(port), protocol="http",
            role="ACCOUNTADMIN", session_parameters={"TIMEZONE": "UTC"})
        self.config = folder / "snowmelt.toml"
        self.config.write_text(CONFIG.format(url=self.url, servers=self.servers))
        self.publisher = None

    def sql(self, text):
        return self.connection.cursor().execute(text).fetchall()

    def start(self):
        log = open(self.folder / "publisher.log", "a")
        self.publisher = subprocess.Popen([self.binary, "run", "--config", self.config], env=self.env, stderr=log)

    def stop(self, how):
        self.publisher.send_signal(how)
        return self.publisher.wait(timeout=35)

    def close(self):
        for process in (self.publisher, self.sim):
            if process and process.poll() is None:
                process.kill()
                process.wait()


class Reader:
    """A read_committed librdkafka consumer that folds by key and judges every event."""

    def __init__(self, servers, topics):
        self.consumer = confluent_kafka.Consumer({
            "bootstrap.servers": servers, "group.id": f"conformance-{SEED}", "isolation.level": "read_committed",
            "auto.offset.reset": "earliest", "enable.auto.commit": False})
        self.consumer.subscribe(topics)
        self.rows = {topic: {} for topic in topics}
        self.seen, self.events, self.wrong = set(), 0, []

    def poll(self):
        for message in self.consumer.consume(500, timeout=0.2):
            if message.error():
                if message.error().code() != confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
                    self.wrong.append(f"consumer: {message.error()}")
                continue
            self.take(message.topic(), message.key().decode(), message.value())

    def take(self, topic, key, value):
        rows = self.rows[topic]
        if value is None:
            if key in rows:
                self.wrong.append(f"{topic} {key}: a tombstone for a key that is there")
            return
        event = json.loads(value, parse_float=decimal.Decimal)
        source = event["source"]
        position = (topic, source["generation"], source["batch"], source["row"], event["op"])
        if position in self.seen:
            self.wrong.append(f"{position}: came twice")
        self.seen.add(position)
        self.events += 1
        if event["before"] != rows.get(key):
            self.wrong.append(f"{position} {key}: before is not the previous after")
        if event["after"] is None:
            rows.pop(key, None)
        else:
            rows[key] = event["after"]


def expected(value):
    """A connector value as the publisher's documents say that it is written."""
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, float):
        if value != value:
            return "NaN"
        if value in (float("inf"), float("-inf")):
            return "Infinity" if value > 0 else "-Infinity"
        return decimal.Decimal(repr(value))
    if isinstance(value, (bytes, bytearray)):
        import base64
        return base64.b64encode(bytes(value)).decode()
    return value


# The connector's datetimes end at microseconds, so times are compared as texts that the server formats.
THINGS_QUERY = """
select id, exact, small, ratio, flag, label, raw, to_varchar(day, 'YYYY-MM-DD'), to_varchar(clock, 'HH24:MI:SS.FF9'),
  to_varchar(ntz, 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), to_varchar(ltz, 'YYYY-MM-DD"T"HH24:MI:SS.FF9"Z"'),
  to_varchar(tz, 'YYYY-MM-DD"T"HH24:MI:SS.FF9TZH:TZM'), doc from things
"""
THINGS_NAMES = "ID EXACT SMALL RATIO FLAG LABEL RAW DAY CLOCK NTZ LTZ TZ DOC".split()
PAIRS_NAMES = "A B N".split()


def table(lab, query, names, key):
    rows = {}
    for row in lab.sql(query):
        image = {name: expected(value) for name, value in zip(names, row)}
        rows[json.dumps({name: image[name] for name in key}, separators=(",", ":"), default=str)] = image
    return rows


def same(name, got, want):
    """JSON documents are compared as documents: the connector indents them."""
    if name == "DOC" and got is not None and want is not None:
        return json.loads(got, parse_float=str) == json.loads(want, parse_float=str)
    if isinstance(want, decimal.Decimal) or isinstance(got, decimal.Decimal):
        return want is not None and got is not None and decimal.Decimal(str(got)) == decimal.Decimal(str(want))
    return got == want


def differences(got, want):
    found = [f"{key}: not in kafka" for key in want.keys() - got.keys()]
    found += [f"{key}: in kafka only" for key in got.keys() - want.keys()]
    for key in want.keys() & got.keys():
        for name, value in want[key].items():
            if not same(name, got[key].get(name), value):
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
        found = differences(reader.rows["lab.THINGS"], table(lab, THINGS_QUERY, THINGS_NAMES, ["ID"]))
        found += differences(reader.rows["lab.PAIRS"], table(lab, "select a, b, n from pairs", PAIRS_NAMES, ["A", "B"]))
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
        lab = Lab(sys.argv[1], pathlib.Path(folder))
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
