"""Random tables for type_fuzz.py: columns of every type, odd names, keys of many kinds, and cells with their edges.

A cell is a pair: the SQL that makes it, and the text in which the protocol shows it, worked out here from the value and
not read from anywhere. `None` is NULL.
"""

import datetime
import decimal
import json
import math
import struct

from lab import parse

DAY_ZERO = datetime.date(1970, 1, 1).toordinal()
LAST_DAY = datetime.date(9999, 12, 31).toordinal()
NULLS = 0.15
# Words that need their quotes, and characters that something between here and there might trip over.
NAMES = ["select", "Order By", "from", "a.b", 'quo"te', "back\\slash", "tab\there", "Ünï çödé", "雪", "🐈", "$1", "'single'",
         "{brace}", "semi;colon", "--", "/* */", "%s", "?", " lead", "trail ", "before", "after", "null", "0", "VALUE",
         "a,b", "(paren)", "x" * 200, "METADATA", "op", "__proto__", "ID", "id", "Id"]
LETTERS = ["a", "Z", "7", " ", "'", '"', "\\", "\n", "\r", "\t", "\x01", "\x7f", "é", "ß", "İ", "雪", "🐈", "\u2028", "\ufeff",
           "{", "%", "\u0301", "</", "null"]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def text(dice, most):
    letters = [dice.choice(LETTERS) if dice.random() < 0.5 else chr(dice.randrange(97, 123)) for _ in range(dice.randint(0, most))]
    return "".join(letters)[:most]


def document(dice, depth=2):
    """A JSON value whose numbers are written as Snowflake writes them back."""
    kind = dice.randrange(9 if depth else 6)
    if kind == 0:
        return None
    if kind == 1:
        return dice.random() < 0.5
    if kind == 2:
        return dice.choice([0, -1, 2**53 + 1, -(2**63), 10**37 + 1, dice.randrange(-10**6, 10**6)])
    if kind == 3:
        return dice.choice([0.5, -0.25, 1.5, 1234.5625])
    if kind in (4, 5):
        return text(dice, 12)
    if kind == 6:
        return [document(dice, depth - 1) for _ in range(dice.randrange(4))]
    return mapping(dice, depth)


def mapping(dice, depth):
    return {text(dice, 6) or "k": document(dice, depth - 1) for _ in range(dice.randrange(4))}


class Column:
    """One column; `kind` is a word of lab.expected."""

    WEIGHTS = {"number": 5, "float": 2, "boolean": 1, "text": 3, "binary": 2, "date": 2, "time": 2, "ntz": 2, "ltz": 2, "tz": 2,
               "document": 3}

    def __init__(self, name, dice, kind=None, key=False):
        self.name, self.key = name, key
        kinds = {kind: 1} if kind else dict(self.WEIGHTS)
        if key:
            # A FLOAT or a document is no key; two letters of one instant are one key in SQL.
            kinds = {kind: weight for kind, weight in kinds.items() if kind not in ("float", "document", "geography")}
        self.kind = dice.choices(list(kinds), list(kinds.values()))[0]
        self.scale, self.most = 0, 0
        self.type = self.declare(dice)
        self.nullable = not key and dice.random() < 0.8

    def __str__(self):
        return f"{quoted(self.name)} {self.type}"

    def declare(self, dice):
        if self.kind == "number":
            self.precision = dice.choice([1, 2, 4, 5, 9, 10, 18, 19, 37, 38, dice.randint(1, 38)])
            self.scale = dice.choice([0, 0, min(self.precision, 37), dice.randint(0, min(self.precision, 37))])
            return f"NUMBER({self.precision},{self.scale})"
        if self.kind == "float":
            return dice.choice(["FLOAT", "DOUBLE"])
        if self.kind == "text":
            self.most = dice.choice([1, 10, 80, 4000])
            return dice.choice(["VARCHAR", f"VARCHAR({self.most})"])
        if self.kind == "binary":
            self.most = dice.choice([1, 16, 1000])
            return dice.choice(["BINARY", f"BINARY({self.most})"])
        if self.kind in ("time", "ntz", "ltz", "tz"):
            self.scale = dice.randint(0, 9)
            word = {"time": "TIME", "ntz": "TIMESTAMP_NTZ", "ltz": "TIMESTAMP_LTZ", "tz": "TIMESTAMP_TZ"}[self.kind]
            return f"{word}({self.scale})"
        if self.kind == "document":
            return dice.choice(["VARIANT", "OBJECT", "ARRAY"])
        return {"boolean": "BOOLEAN", "date": "DATE"}[self.kind]

    @property
    def rich(self):
        """Whether it has values enough to be a key alone."""
        return (self.kind == "number" and self.precision >= 9) or self.kind in ("ntz", "ltz", "tz") or (
            self.kind in ("text", "binary") and self.most >= 10)

    def value(self, dice):
        """A cell."""
        if self.nullable and dice.random() < NULLS:
            return f"NULL::{self.type}", None
        sql, shown = getattr(self, self.kind)(dice)
        return f"{sql}::{self.type}", shown

    def number(self, dice):
        most = 10**self.precision - 1
        unscaled = dice.choice([0, 1, -1, most, -most, 10 ** (self.precision - 1), dice.randint(-most, most), dice.randint(-most, most),
                                dice.choice([-1, 1]) * dice.randrange(10 ** dice.randint(1, self.precision))])
        sign, digits = "-" if unscaled < 0 else "", str(abs(unscaled)).rjust(self.scale + 1, "0")
        shown = sign + (f"{digits[:-self.scale]}.{digits[-self.scale:]}" if self.scale else digits)
        return dice.choice([shown if not sign else f"({shown})", literal(shown)]), shown

    def float(self, dice):
        edges = [0.0, -0.0, 0.1, 5e-324, -5e-324, 1.7976931348623157e308, 2.0**53 + 2, 1e22, 1e23, 123456789.125, math.nan, math.inf, -math.inf]
        drawn = struct.unpack(">d", struct.pack(">Q", dice.getrandbits(64)))[0]
        value = dice.choice([*edges, drawn, drawn, dice.uniform(-1e6, 1e6)])
        return literal(repr(value)), repr(value)

    def boolean(self, dice):
        return dice.choice([("TRUE", "1"), ("FALSE", "0")])

    def text(self, dice):
        value = text(dice, dice.choice([min(self.most, 12), self.most]))
        return literal(value), value

    def binary(self, dice):
        value = dice.randbytes(dice.randint(0, dice.choice([min(self.most, 6), self.most]))).hex().upper()
        return f"TO_BINARY('{value}', 'HEX')", value

    def day(self, dice):
        return dice.choice([1, DAY_ZERO - 1, DAY_ZERO, datetime.date(1582, 10, 15).toordinal(), datetime.date(2024, 2, 29).toordinal(), LAST_DAY,
                            dice.randint(1, LAST_DAY), dice.randint(1, LAST_DAY)])

    def date(self, dice):
        day = self.day(dice)
        return f"'{datetime.date.fromordinal(day).isoformat()}'", str(day - DAY_ZERO)

    def clock(self, dice):
        """Seconds of a day and its fraction in units of the scale."""
        seconds = dice.choice([0, 86399, dice.randrange(86400), dice.randrange(86400)])
        return seconds, dice.choice([0, 10**self.scale - 1, 1 % 10**self.scale, dice.randrange(10**self.scale)])

    def wall(self, seconds, units):
        digits = f".{units:0{self.scale}}" if self.scale else ""
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{digits}"

    def shown(self, seconds, units):
        whole = seconds * 10**self.scale + units
        sign, digits = "-" if whole < 0 else "", str(abs(whole)).rjust(self.scale + 1, "0")
        return sign + (f"{digits[:-self.scale]}.{digits[-self.scale:]}" if self.scale else digits)

    def time(self, dice):
        seconds, units = self.clock(dice)
        return f"'{self.wall(seconds, units)}'", self.shown(seconds, units)

    def moment(self, dice, offset):
        day, (seconds, units) = self.day(dice), self.clock(dice)
        # The instant must be inside the years 1 to 9999, too.
        day = min(max(day, 2), LAST_DAY - 1) if offset else day
        shown = self.shown((day - DAY_ZERO) * 86400 + seconds - offset * 60, units)
        return f"{datetime.date.fromordinal(day).isoformat()} {self.wall(seconds, units)}", shown

    def ntz(self, dice):
        sql, shown = self.moment(dice, 0)
        return f"'{sql}'", shown

    def ltz(self, dice):
        sql, shown = self.moment(dice, 0)
        return f"'{sql} +00:00'", shown

    def tz(self, dice):
        offset = dice.choice([0, 0, 840, -720, 330, -570, dice.randint(-720, 840)])
        sql, shown = self.moment(dice, offset)
        sign = "-" if offset < 0 else "+"
        return f"'{sql} {sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}'", f"{shown} {offset + 1440}"

    def document(self, dice):
        value = {"VARIANT": document, "OBJECT": mapping, "ARRAY": lambda dice, depth: [document(dice, depth - 1) for _ in range(3)]}[self.type](dice, 2)
        shown = json.dumps(value, ensure_ascii=dice.random() < 0.5)
        return f"PARSE_JSON({literal(shown)})", shown

    def identity(self, shown):
        """What SQL compares: of a TIMESTAMP_TZ the instant alone, of a number its value."""
        if self.kind == "tz" and shown is not None:
            return shown.partition(" ")[0]
        return decimal.Decimal(shown) if self.kind == "number" and shown is not None else shown

    def agree(self, got, wrote):
        """Whether the connector's text says what was written."""
        if got is None or wrote is None:
            return got == wrote
        if self.kind == "float":
            return repr(float(got)) == wrote
        if self.kind == "document":
            return parse(got) == parse(wrote)
        if self.kind == "boolean":
            return got in {"1": ("1", "true", True), "0": ("0", "false", False)}[wrote]
        return got == wrote


class Table:
    """One table: columns in random order, one of them a row number of this program's own, by which it addresses rows."""

    def __init__(self, number, dice, columns=None):
        self.name = f"T{number}"
        self.append_only = dice.random() < 0.1
        count = columns or dice.randint(2, 25)
        names = dice.sample(NAMES, min(len(NAMES), count)) + [f"C{index}" for index in range(count)]
        dice_names = iter(names[:count] if dice.random() < 0.5 else [f"c {index}" for index in range(count)])
        self.columns = [Column(name, dice) for name in dice_names]
        self.address = dice.choice(["row number", "N", "n°"])
        own = Column(self.address, dice, kind="number", key=True)
        own.precision, own.scale, own.type, own.nullable = 38, 0, "NUMBER(38,0)", False
        own.value = lambda dice: ("0", "0")
        self.key, self.declared = self.choose_key(dice, own), dice.random() < 0.5
        self.columns.append(own)
        dice.shuffle(self.columns)

    def choose_key(self, dice, own):
        """Names of the key's columns: none, the row number, or one to three columns of any type that may be a key."""
        kind = dice.randrange(4)
        if kind == 0:
            return []
        if kind == 1:
            return [own.name]
        made = [Column(f"key {index}", dice, key=True) for index in range(dice.randint(1, 3))]
        if not any(column.rich for column in made):
            made.append(Column("rich key", dice, kind="ntz", key=True))
        self.columns += made
        dice.shuffle(made)
        return [column.name for column in made]

    def identity(self, row):
        """The key as SQL compares it, or None without one."""
        kinds = {column.name: column for column in self.columns}
        return tuple(kinds[name].identity(row[name][1]) for name in self.key) or None

    def create(self):
        columns = [f"{column}{'' if column.nullable else ' NOT NULL'}" for column in self.columns]
        if self.key and self.declared:
            columns.append(f"PRIMARY KEY ({', '.join(map(quoted, self.key))})")
        return f"create table {self.name} ({', '.join(columns)})"

    def configuration(self):
        text = f'\n[[tables]]\nname = "LAB.PUBLIC.{self.name}"\n'
        if self.key and not self.declared:
            text += f"key = {json.dumps([quoted(name) for name in self.key], ensure_ascii=False)}\n"
        return text + ('mode = "append_only"\n' if self.append_only else "")

    def insert(self, rows):
        names = ", ".join(quoted(column.name) for column in self.columns)
        selects = ["select " + ", ".join(row[column.name][0] for column in self.columns) for row in rows]
        return f"insert into {self.name} ({names}) {' union all '.join(selects)}"

    def where(self, numbers):
        return f"{quoted(self.address)} in ({', '.join(map(str, numbers))})"

    def update(self, cells, numbers):
        sets = ", ".join(f"{quoted(name)} = {sql}" for name, (sql, _) in cells.items())
        return f"update {self.name} set {sets} where {self.where(numbers)}"

    def exchange(self, cells):
        """Different cells for each of some rows, in one statement."""
        names = next(iter(cells.values()))
        sets = [f"{quoted(name)} = case {' '.join(f'when {self.where([number])} then {row[name][0]}' for number, row in cells.items())} "
                f"else {quoted(name)} end" for name in names]
        return f"update {self.name} set {', '.join(sets)} where {self.where(cells)}"

    def delete(self, numbers):
        return f"delete from {self.name} where {self.where(numbers)}"
