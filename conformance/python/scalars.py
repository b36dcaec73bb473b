"""Every scalar type with its edge values: written as SQL, read back, compared exactly.

A column is one type, a row one value. Each type's column also holds a NULL.
"""

import json
import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

NINES = "9" * 38
# What a JSON null inside a VARIANT is compared as; a SQL NULL is None.
JSON_NULL = "json null"
JSON_TYPES = ("VARIANT", "OBJECT", "ARRAY")


def ntz(text):
    return datetime.fromisoformat(text)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def zoned(text, minutes):
    return datetime.fromisoformat(text).replace(tzinfo=timezone(timedelta(minutes=minutes)))


# type, [(SQL expression, expected value)]
TYPES = [
    ("NUMBER(38,0)", [(text, int(text)) for text in (
        "0", "-1", "127", "128", "-129", "32767", "32768", "2147483647", "2147483648", "-9223372036854775808",
        "9223372036854775807", "9223372036854775808", NINES, f"-{NINES}")]),
    ("NUMBER(38,37)", [(text, Decimal(text)) for text in (
        f"9.{'9' * 37}", f"-9.{'9' * 37}", f"0.{'0' * 36}1", "1.5")]),
    ("NUMBER(10,2)", [("12345678.90", Decimal("12345678.90")), ("-0.01", Decimal("-0.01"))]),
    ("NUMBER(2,0)", [("99", 99), ("-99", -99)]),
    ("FLOAT", [("0.1::FLOAT", 0.1), ("1.7976931348623157e308", 1.7976931348623157e308), ("5e-324", 5e-324), ("-2.5", -2.5),
               ("'NaN'::FLOAT", math.nan), ("'inf'::FLOAT", math.inf), ("'-inf'::FLOAT", -math.inf)]),
    ("BOOLEAN", [("TRUE", True), ("FALSE", False)]),
    ("VARCHAR", [("''", ""), ("'it''s \"quoted\"'", "it's \"quoted\""), ("'zwei\nZeilen\t\\\\'", "zwei\nZeilen\t\\"),
                 ("'žluťoučký 猫 🐈'", "žluťoučký 猫 🐈"), ("REPEAT('x', 1000000)", "x" * 1000000)]),
    ("BINARY", [("TO_BINARY('', 'HEX')", b""), ("TO_BINARY('00ff10', 'HEX')", b"\x00\xff\x10"),
                ("TO_BINARY(REPEAT('ab', 5000), 'HEX')", b"\xab" * 5000)]),
    ("DATE", [(f"'{text}'::DATE", date.fromisoformat(text)) for text in (
        "0001-01-01", "1582-10-15", "1969-12-31", "1970-01-01", "2024-02-29", "9999-12-31")]),
    ("TIME(9)", [("'00:00:00'::TIME", time(0)), ("'23:59:59.999999'::TIME", time(23, 59, 59, 999999)), ("'12:34:56.000001'::TIME", time(12, 34, 56, 1))]),
    ("TIME(0)", [("'23:59:59'::TIME(0)", time(23, 59, 59))]),
    ("TIME(3)", [("'01:02:03.456'::TIME(3)", time(1, 2, 3, 456000))]),
    ("TIMESTAMP_NTZ(9)", [(f"'{text}'::TIMESTAMP_NTZ(9)", ntz(text)) for text in (
        "0001-01-01 00:00:00", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00", "2024-02-29 12:34:56.123456", "9999-12-31 23:59:59.999999")]),
    ("TIMESTAMP_NTZ(6)", [("'1969-12-31 23:59:59.999999'::TIMESTAMP_NTZ(6)", ntz("1969-12-31 23:59:59.999999")),
                          ("'9999-12-31 23:59:59.999999'::TIMESTAMP_NTZ(6)", ntz("9999-12-31 23:59:59.999999"))]),
    ("TIMESTAMP_NTZ(3)", [("'2024-02-29 12:34:56.123'::TIMESTAMP_NTZ(3)", ntz("2024-02-29 12:34:56.123"))]),
    ("TIMESTAMP_NTZ(0)", [("'2024-02-29 12:34:56'::TIMESTAMP_NTZ(0)", ntz("2024-02-29 12:34:56"))]),
    ("TIMESTAMP_LTZ(9)", [("'2024-02-29 12:34:56.123456'::TIMESTAMP_LTZ(9)", utc("2024-02-29 12:34:56.123456")),
                          ("'1969-12-31 23:59:59.5'::TIMESTAMP_LTZ(9)", utc("1969-12-31 23:59:59.500"))]),
    ("TIMESTAMP_LTZ(3)", [("'2024-02-29 12:34:56.123'::TIMESTAMP_LTZ(3)", utc("2024-02-29 12:34:56.123"))]),
    ("TIMESTAMP_TZ(9)", [("'2024-02-29 12:34:56.123456 +05:30'::TIMESTAMP_TZ(9)", zoned("2024-02-29 12:34:56.123456", 330)),
                         ("'2024-02-29 12:34:56.123456 -12:00'::TIMESTAMP_TZ(9)", zoned("2024-02-29 12:34:56.123456", -720)),
                         ("'1960-02-29 12:34:56.5 +14:00'::TIMESTAMP_TZ(9)", zoned("1960-02-29 12:34:56.500", 840))]),
    ("TIMESTAMP_TZ(3)", [("'2024-02-29 12:34:56.123 -07:00'::TIMESTAMP_TZ(3)", zoned("2024-02-29 12:34:56.123", -420))]),
    ("VARIANT", [("PARSE_JSON('{\"a\": null, \"b\": [1, 2.5, \"x\"], \"c\": {}}')", {"a": None, "b": [1, 2.5, "x"], "c": {}}),
                 ("PARSE_JSON('null')", JSON_NULL), ("TO_VARIANT('text')", "text"), ("TO_VARIANT(12)", 12)]),
    ("OBJECT", [("OBJECT_CONSTRUCT('k', 'v', 'n', 1)", {"k": "v", "n": 1})]),
    ("ARRAY", [("ARRAY_CONSTRUCT(1, 'two')", [1, "two"])]),
]

# Below a microsecond Python has no value, so SQL's own text is compared: expression, expected text.
TEXTS = [
    ("'0001-01-01 00:00:00.000000001'::TIMESTAMP_NTZ(9)", "0001-01-01 00:00:00.000000001"),
    ("'9999-12-31 23:59:59.999999999'::TIMESTAMP_NTZ(9)", "9999-12-31 23:59:59.999999999"),
    ("'23:59:59.999999999'::TIME(9)", "23:59:59.999999999"),
    ("'2024-02-29 12:34:56.123456789 +14:00'::TIMESTAMP_TZ(9)", "2024-02-29 12:34:56.123456789 +1400"),
]
FORMATS = {
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF9", "TIME_OUTPUT_FORMAT": "HH24:MI:SS.FF9",
    "TIMESTAMP_TZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF9 TZHTZM",
}


def run(report, connection, label):
    for number, (kind, values) in enumerate(TYPES):
        report.run(f"{label} {kind}", column, connection, label, number, kind, values)
    report.run(f"{label} nanoseconds", nanoseconds, connection, label)
    report.run(f"{label} 16 MB text", longest, connection, label)
    report.run(f"{label} all types in one row", together, connection, label)


def column(report, connection, label, number, kind, values):
    cursor = connection.cursor()
    cursor.execute(f"CREATE OR REPLACE TABLE SCALAR_{number} (N INT, V {kind})")
    for row, (expression, _) in enumerate(values):
        cursor.execute(f"INSERT INTO SCALAR_{number} SELECT {row}, {expression}")
    cursor.execute(f"INSERT INTO SCALAR_{number} SELECT {len(values)}, NULL")
    cursor.execute(f"SELECT V FROM SCALAR_{number} ORDER BY N")
    rows = [row[0] for row in cursor.fetchall()]
    report.check(f"{label} {kind}: rows", len(rows), len(values) + 1)
    for (expression, expected), actual in zip(values, rows):
        report.check(f"{label} {kind} {expression[:60]!r}", comparable(kind, actual), wanted(kind, expected))
    report.check(f"{label} {kind} NULL", rows[-1], None)


def comparable(kind, value):
    """NaN as a word, bytes as bytes, JSON text as what it says, instants with their offset."""
    if kind in JSON_TYPES and value is not None:
        parsed = json.loads(value)
        return JSON_NULL if parsed is None else parsed
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, datetime):
        return (value.isoformat(), value.utcoffset())
    return (type(value).__name__, value)


def wanted(kind, expected):
    """What is expected, in the form `comparable` gives; of a JSON type it is what the text says."""
    return expected if kind in JSON_TYPES else comparable(kind, expected)


def nanoseconds(report, connection, label):
    cursor = connection.cursor()
    for name, form in FORMATS.items():
        cursor.execute(f"ALTER SESSION SET {name} = '{form}'")
    for expression, expected in TEXTS:
        cursor.execute(f"SELECT ({expression})::VARCHAR")
        report.check(f"{label} {expression}", cursor.fetchone()[0], expected)


def longest(report, connection, label):
    cursor = connection.cursor()
    cursor.execute("CREATE OR REPLACE TABLE LONGEST (V VARCHAR)")
    cursor.execute("INSERT INTO LONGEST SELECT REPEAT('abcdefgh', 2097152)")
    cursor.execute("SELECT V FROM LONGEST")
    report.check(f"{label} 16 MB text", cursor.fetchone()[0] == "abcdefgh" * 2097152, True)


def together(report, connection, label):
    """One table with every type, one row full, one row NULL: what a captured table looks like."""
    cursor = connection.cursor()
    columns = ", ".join(f"C{number} {kind}" for number, (kind, _) in enumerate(TYPES))
    cursor.execute(f"CREATE OR REPLACE TABLE TOGETHER (N INT, {columns})")
    firsts = ", ".join(values[0][0] for _, values in TYPES)
    cursor.execute(f"INSERT INTO TOGETHER SELECT 1, {firsts}")
    cursor.execute("INSERT INTO TOGETHER (N) VALUES (2)")
    cursor.execute("SELECT * FROM TOGETHER ORDER BY N")
    full, empty = cursor.fetchall()
    actual = [comparable(kind, value) for (kind, _), value in zip(TYPES, full[1:])]
    report.check(f"{label} a row of every type", actual, [wanted(kind, values[0][1]) for kind, values in TYPES])
    report.check(f"{label} a row of NULLs", list(empty[1:]), [None] * len(TYPES))
