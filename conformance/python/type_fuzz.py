"""Random schemas and rows through the whole path: the connector writes, the publisher carries, librdkafka reads.

usage: type_fuzz.py SNOWMELT_BINARY

For each way the publisher may get its results (Arrow, JSON) one world: random tables of every type, precision, scale, key
and odd column name, filled and changed in several batches, the publisher killed in between. In the end every cell of the
fold by key must be what the connector selects from the simulator, digit by digit; what the connector selects must be
what this program wrote. Formats (`numbers`, `variant`, `binary`) are drawn, too.

`SNOWMELT_SEED` repeats a run, `SNOWMELT_FUZZ_TABLES` (8) and `SNOWMELT_FUZZ_ROUNDS` (12) make it larger. Closes with the
line `N passed, N failed`.
"""

import os
import pathlib
import random
import signal
import sys
import tempfile
import time

from fuzz_schema import Table, quoted
from lab import Lab, Reader, expected, parse, same

SEED = int(os.environ.get("SNOWMELT_SEED", random.SystemRandom().randrange(1 << 32)))
TABLES = int(os.environ.get("SNOWMELT_FUZZ_TABLES", 8))
ROUNDS = int(os.environ.get("SNOWMELT_FUZZ_ROUNDS", 12))
PATIENCE = 60
WIDE = 100
SHOWN = 10

CONFIG = """
name = "fuzz"
[snowflake]
account = "local"
url = "{url}"
user = "someone"
password = { env = "SNOWMELT_TEST_PASSWORD" }
role = "ACCOUNTADMIN"
warehouse = "WH"
state_schema = "LAB.STATE"
result_format = "%(results)s"
[kafka]
bootstrap_servers = ["{servers}"]
[poll]
interval = "50ms"
[topics]
name = "lab.{table}"
partitions = 3
[delivery]
slice_rows = 20
[format]
numbers = "%(numbers)s"
variant = "%(variant)s"
binary = "%(binary)s"
"""


class Model:
    """A table's rows as this program wrote them: cells by column, in the protocol's text, by a row number of its own."""

    def __init__(self, table, dice):
        self.table, self.dice = table, dice
        self.rows, self.next, self.keys = {}, 0, {}

    def fresh(self):
        """A row whose key no row has or had, so that swaps and returns are the statements' choice."""
        while True:
            row = {column.name: column.value(self.dice) for column in self.table.columns}
            row[self.table.address] = (str(self.next), str(self.next))
            key = self.table.identity(row)
            if key is None or key not in self.keys:
                self.keys[key] = True
                self.next += 1
                return row

    def insert(self, count):
        rows = [self.fresh() for _ in range(count)]
        for row in rows:
            self.rows[int(row[self.table.address][1])] = row
        return [self.table.insert(rows[at:at + 6]) for at in range(0, count, 6)]

    def some(self, most):
        return self.dice.sample(sorted(self.rows), min(len(self.rows), self.dice.randint(1, most)))

    def update(self):
        """Some columns of some rows; all rows get the same cells, as one statement gives them."""
        free = [column for column in self.table.columns
                if column.name != self.table.address and column.name not in self.table.key]
        chosen = self.some(6)
        if not chosen or not free:
            return []
        cells = {column.name: column.value(self.dice) for column in self.dice.sample(free, self.dice.randint(1, min(5, len(free))))}
        for number in chosen:
            self.rows[number] = {**self.rows[number], **cells}
        return [self.table.update(cells, chosen)]

    def delete(self):
        chosen = self.some(4)
        for number in chosen:
            del self.rows[number]
        return [self.table.delete(chosen)] if chosen else []

    def again(self):
        """Gone and come again with the same cells and key, as another row."""
        chosen = self.some(2)
        if not chosen:
            return []
        rows = [self.rows[number] for number in chosen]
        return ["begin", self.table.delete(chosen), self.table.insert(rows), "commit"]

    def swap(self):
        """Two rows exchange their keys in one statement."""
        movable = [name for name in self.table.key if name != self.table.address]
        if len(self.rows) < 2 or not movable or self.table.address in self.table.key:
            return []
        one, other = self.dice.sample(sorted(self.rows), 2)
        left, right = self.rows[one], self.rows[other]
        cells = {one: {name: right[name] for name in movable}, other: {name: left[name] for name in movable}}
        for number, moved in cells.items():
            self.rows[number] = {**self.rows[number], **moved}
        return [self.table.exchange(cells)]

    def rekey(self):
        """A row gets a key that no row had."""
        movable = [name for name in self.table.key if name != self.table.address]
        if not self.rows or not movable or self.table.address in self.table.key:
            return []
        number, fresh = self.dice.choice(sorted(self.rows)), self.fresh()
        cells = {name: fresh[name] for name in movable}
        self.rows[number] = {**self.rows[number], **cells}
        return [self.table.update(cells, [number])]

    def step(self):
        kinds = [self.update, self.update, self.delete, self.again, self.swap, self.rekey]
        if not self.table.append_only and self.dice.random() < 0.7:
            return self.dice.choice(kinds)()
        return self.insert(self.dice.randint(1, 6))

    def rolled_back(self):
        """A change that never was."""
        kept = dict(self.rows)
        statements = [] if self.table.append_only else self.delete()
        self.rows = kept
        return ["begin", *statements, "rollback"] if statements else []


class World:
    """One publisher, its tables, and what was written to them."""

    def __init__(self, binary, folder, results, dice):
        self.dice = dice
        self.formats = {
            "results": results, "numbers": dice.choice(["auto", "auto", "number", "string"]),
            "variant": dice.choice(["string", "json"]), "binary": dice.choice(["base64", "hex"])}
        tables = [Table(number, dice, columns=WIDE if number == 0 else None) for number in range(TABLES)]
        self.models = [Model(table, dice) for table in tables]
        config = CONFIG % self.formats + "".join(table.configuration() for table in tables)
        self.lab = Lab(binary, folder, config)
        try:
            for statement in ("create warehouse wh", "use warehouse wh", "create database lab", "create schema lab.state",
                              "use schema lab.public", *(table.create() for table in tables)):
                self.lab.sql(statement)
        except BaseException:
            self.lab.close()
            raise
        self.reader = Reader(self.lab.servers, [f"lab.{table.name}" for table in tables])

    def write(self, statements):
        for statement in statements:
            self.lab.sql(statement)

    def change(self):
        for model in self.models:
            self.write(model.step())
            if self.dice.random() < 0.15:
                self.write(model.rolled_back())

    def images(self, model):
        """The rows that the connector selects, in the protocol's texts, by row number."""
        columns = model.table.columns
        names = ", ".join(quoted(column.name) for column in columns)
        rows = {}
        for cells in self.lab.wire(f"select {names} from {model.table.name}"):
            row = dict(zip((column.name for column in columns), cells))
            rows[int(row[model.table.address])] = row
        return rows

    def misread(self):
        """Where the connector reads something else than what was written."""
        found = []
        for model in self.models:
            read = self.images(model)
            found += unlike(model.table.name, "select", read.keys(), model.rows.keys())
            for number in read.keys() & model.rows.keys():
                for column in model.table.columns:
                    wrote, got = model.rows[number][column.name][1], read[number][column.name]
                    if not column.agree(got, wrote):
                        found.append(f"{column} of row {number}: wrote {wrote!r}, the connector reads {got!r}")
        return found

    def differences(self):
        """Where the fold differs from what the connector reads."""
        found = []
        for model in self.models:
            table = model.table
            fold, rows = self.reader.rows[f"lab.{table.name}"], self.images(model)
            by_number = {int(image[table.address]): (key, image) for key, image in fold.items()}
            if len(by_number) != len(fold):
                found.append(f"{table.name}: {len(fold)} keys for {len(by_number)} rows")
            found += unlike(table.name, "kafka", by_number.keys(), rows.keys())
            for number in by_number.keys() & rows.keys():
                key, image = by_number[number]
                found += self.compare(table, number, parse(key), image, rows[number])
        return found

    def compare(self, table, number, key, image, row):
        formats = {name: self.formats[name] for name in ("numbers", "binary")}
        if list(image) != [column.name for column in table.columns]:
            yield f"{table.name} row {number}: columns {list(image)}"
            return
        for column in table.columns:
            want = expected(column.kind, row[column.name], column.scale, **formats)
            if not same(column.kind, image[column.name], want, self.formats["variant"]):
                yield f"{column} of row {number}: kafka {image[column.name]!r}, the connector {want!r}"
            if column.name in table.key and not same(column.kind, key.get(column.name), want):
                yield f"{column} of row {number}: key {key}, the connector {want!r}"
        if table.key and list(key) != table.key:
            yield f"{table.name} row {number}: key {key} for {table.key}"

    def settle(self):
        """Reads until the fold equals the tables, or patience ends; returns what still differs."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.reader.poll()
            found = self.differences()
            ended = self.lab.publisher.poll()
            if ended is not None:
                return [f"the publisher ended with code {ended}", *found]
            if not found or time.monotonic() > deadline:
                return found


def unlike(name, where, got, want):
    return [f"{name}: row {number} is not in {where}" for number in want - got] + [
        f"{name}: row {number} is in {where} only" for number in got - want]


def main():
    print(f"seed {SEED}: repeat with SNOWMELT_SEED={SEED}")
    passed, failed = [], []

    def report(name, problems):
        (failed if problems else passed).append(name)
        print(("FAIL " if problems else "ok   ") + name)
        for problem in problems[:SHOWN]:
            print(f"       {problem[:2000]}")

    for number, results in enumerate(os.environ.get("FZ", "arrow,json").split(",")):
        if not results: continue
        dice = random.Random(SEED * 2 + number)
        with tempfile.TemporaryDirectory() as name:
            folder, before = pathlib.Path(name), len(failed)
            world = World(sys.argv[1], folder, results, dice)
            try:
                print(" ".join(f"{key}={value}" for key, value in world.formats.items()))
                for model in world.models:
                    world.write(model.insert(dice.randint(5, 25)))
                report(f"{results}: the connector reads what was written", world.misread())
                world.lab.start()
                report(f"{results}: initial rows of {len(world.models)} random tables", world.settle())
                for turn in range(ROUNDS):
                    world.change()
                    if turn == ROUNDS // 2:
                        world.lab.stop(signal.SIGKILL)
                    elif turn == ROUNDS // 2 + 1:
                        world.lab.start()
                report(f"{results}: random changes, with a kill -9 between", world.settle())
                report(f"{results}: the connector reads the changes as written", world.misread())
                code = world.lab.stop(signal.SIGTERM)
                report(f"{results}: SIGTERM ends with exit code 0", [] if code == 0 else [f"exit code {code}"])
                cells = sum(len(model.rows) * len(model.table.columns) for model in world.models)
                report(f"{results}: {world.reader.events} events, {cells} cells at the end; none twice, every before is "
                       "the previous after", world.reader.wrong)
                if len(failed) > before:
                    print((folder / "publisher.log").read_text()[-4000:])
            finally:
                world.lab.close()
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
