"""The lab of the programs that check what carries: simulator and embedded Kafka, publisher, connector, librdkafka.

`Lab` runs the processes, `Reader` folds and judges the events, `expected` says how a cell has to be written, from the
text that the connector got over the wire. Nothing here shares code with the publisher.
"""

import base64
import datetime
import decimal
import json
import os
import subprocess

import confluent_kafka
import snowflake.connector
from snowflake.connector.converter_null import SnowflakeNoConverterToPython


class Number(str):
    """A JSON number as its text, so that no digit passes through a float."""

    def __repr__(self):
        return f"number {self}"


def parse(text):
    """JSON with its numbers as text."""
    return json.loads(text, parse_float=Number, parse_int=Number)


class Lab:
    """The processes under test."""

    def __init__(self, binary, folder, config):
        """`config` is the publisher's configuration, with {url} and {servers} in it."""
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
        self.config.write_text(config.replace("{url}", self.url).replace("{servers}", self.servers))
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
            "bootstrap.servers": servers, "group.id": "conformance", "isolation.level": "read_committed",
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
        event = parse(value)
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


def expected(kind, text, scale=9, numbers="auto", binary="base64"):
    """A cell as docs/events.md says that it is written, from the connector's unconverted wire text."""
    if text is None:
        return None
    if kind == "number":
        as_text = numbers == "string" or (numbers == "auto" and scale > 0)
        return str(text) if as_text else Number(text)
    if kind == "float":
        return {"NaN": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text) or Number(repr(float(text)))
    if kind == "boolean":
        return text in ("1", "true", True)
    if kind == "binary":
        return text.upper() if binary == "hex" else base64.b64encode(bytes.fromhex(text)).decode()
    if kind == "date":
        return datetime.date.fromordinal(DAY_ZERO + int(text)).isoformat()
    if kind == "time":
        return fraction(*split(text), scale).partition("T")[2]
    if kind == "ntz":
        return fraction(*split(text), scale)
    if kind == "ltz":
        return fraction(*split(text), scale) + "Z"
    if kind == "tz":
        instant, minutes = text.split(" ")
        offset = int(minutes) - 1440
        seconds, digits = split(instant)
        sign = "-" if offset < 0 else "+"
        wall = fraction(seconds + offset * 60, digits, scale)
        return f"{wall}{sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    return text


def fraction(seconds, digits, scale):
    return clock(seconds, digits[:scale]).rstrip(".")


def same(kind, got, want, documents="string"):
    """Whether a cell of an event is what was expected: equal text, but for two kinds.

    A FLOAT has many texts of one shortest form; JSON documents are compared as documents, with their numbers as text,
    because the connector asks for another layout than the publisher. Of a document in place, SQL NULL and JSON null
    look alike.
    """
    if type(got) is not type(want) and kind != "document":
        return False
    if kind == "float" and isinstance(want, Number):
        return decimal.Decimal(got) == decimal.Decimal(want) and got.startswith("-") == want.startswith("-")
    if kind == "document" and documents == "json":
        return got == (None if want is None else parse(want))
    if kind == "document" and None not in (got, want):
        return isinstance(got, str) and not isinstance(got, Number) and parse(got) == parse(want)
    return got == want
