"""Snowflake's own connector writes, the publisher carries, librdkafka reads: none of the three shares code.

usage: end_to_end.py SNOWMELT_BINARY

Starts `snowmelt sim --kafka` and `snowmelt run`, changes two tables through snowflake-connector-python, reads the topics
with a `read_committed` confluent-kafka consumer, and compares the fold by key with what the connector reads back.
Closes with the line `N passed, N failed`.
"""

import base64
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
from snowflake.connector.converter_null import SnowflakeNoConverterToPython

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
bootstrap_servers = ["{servers}"]
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
        login = dict(user="someone", password="not a secret", account="local", host=host, port=int(port),
                     protocol="http", role="ACCOUNTADMIN")
        self.connection = snowflake.connector.connect(**login, session_parameters={"TIMEZONE": "UTC"})
        self.unconverted = snowflake.connector.connect(
            **login, converter_class=SnowflakeNoConverterToPython,
            session_parameters={"TIMEZONE": "UTC", "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "JSON"})
        self.config = folder / "snowmelt.toml"
        self.config.write_text(CONFIG.format(url=self.url, servers=self.servers))
        self.publisher = None

    def sql(self, text):
        return self.connection.cursor().execute(text).fetchall()

    def wire(self, text):
        """Rows as the protocol's own texts."""
        cursor = self.unconverted.cursor()
        cursor.execute("use schema lab.public")
        cursor.execute("use warehouse wh")
        return cursor.execute(text).fetchall()

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


DAY_ZERO = datetime.date(1970, 1, 1).toordinal()


def clock(seconds, digits):
    """Wall-clock text of whole seconds since 1970 and nine digits of fraction; datetime alone would end at microseconds."""
    days, rest = divmod(seconds, 86400)
    day = datetime.date.fromordinal(DAY_ZERO + days).isoformat()
    return f"{day}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}.{digits}"


def split(text):
    """Seconds rounded down and nine digits, of a wire text such as `-0.000000001`."""
    whole = decimal.Decimal(text).scaleb(9).to_integral_exact()
    seconds, nanos = divmod(int(whole), 10**9)
    return seconds, f"{nanos:09}"


def expected(kind, text):
    """A cell as the publisher's documents say that it is written, from the connector's unconverted wire text."""
    if text is None:
        return None
    if kind == "integer":
        return int(text)
    if kind == "float":
        return {"NaN": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text) or decimal.Decimal(repr(float(text)))
    if kind == "boolean":
        return text in ("1", "true", True)
    if kind == "binary":
        return base64.b64encode(bytes.fromhex(text)).decode()
    if kind == "date":
        return datetime.date.fromordinal(DAY_ZERO + int(text)).isoformat()
    if kind == "time":
        return clock(*split(text)).partition("T")[2]
    if kind == "ntz":
        return clock(*split(text))
    if kind == "ltz":
        return clock(*split(text)) + "Z"
    if kind == "tz":
        instant, minutes = text.split(" ")
        offset = int(minutes) - 1440
        seconds, digits = split(instant)
        sign = "-" if offset < 0 else "+"
        return f"{clock(seconds + offset * 60, digits)}{sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    return text


THINGS_KINDS = {
    "ID": "integer", "EXACT": "decimal", "SMALL": "decimal", "RATIO": "float", "FLAG": "boolean", "LABEL": "text",
    "RAW": "binary", "DAY": "date", "CLOCK": "time", "NTZ": "ntz", "LTZ": "ltz", "TZ": "tz", "DOC": "document"}
PAIRS_KINDS = {"A": "integer", "B": "integer", "N": "integer"}


def table(lab, name, kinds, key):
    rows = {}
    for row in lab.wire(f"select {', '.join(kinds)} from {name}"):
        image = {column: expected(kind, cell) for (column, kind), cell in zip(kinds.items(), row)}
        rows[json.dumps({column: image[column] for column in key}, separators=(",", ":"))] = image
    return rows


def same(name, got, want):
    """JSON documents are compared as documents: the connector indents them."""
    if name == "DOC" and got is not None and want is not None:
        return json.loads(got, parse_float=str) == json.loads(want, parse_float=str)
    if isinstance(want, decimal.Decimal):
        return got is not None and decimal.Decimal(str(got)) == want
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
        found = differences(reader.rows["lab.THINGS"], table(lab, "things", THINGS_KINDS, ["ID"]))
        found += differences(reader.rows["lab.PAIRS"], table(lab, "pairs", PAIRS_KINDS, ["A", "B"]))
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
