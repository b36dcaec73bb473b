"""Runs every check against one simulator with whichever connector is installed.

check.py URL: prints one line per check and ends with {"passed": n, "failed": n}; exits 1 if anything failed.
"""

import json
import sys
import traceback
from urllib.parse import urlparse

import snowflake.connector

import logins
import scalars
import story


class Report:
    """Counts what held and what did not."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, actual, expected):
        if actual == expected:
            self.passed += 1
            print(f"ok   {name}")
        else:
            self.fail(name, f"got {shorten(actual)}, expected {shorten(expected)}")

    def fail(self, name, why):
        self.failed += 1
        print(f"FAIL {name}: {why}")

    def run(self, name, part, *arguments):
        """Runs a part; an exception is one failed check, and the rest goes on."""
        try:
            part(self, *arguments)
        except Exception as error:
            traceback.print_exc(limit=-1)
            self.fail(name, f"{type(error).__name__}: {shorten(error)}")


def shorten(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:150]} … {text[-100:]} ({len(text)} characters)"


def connect(url, **parameters):
    address = urlparse(url)
    session = {"TIMEZONE": "UTC", **parameters}
    return snowflake.connector.connect(
        user="conformance", password="secret", account="local",
        host=address.hostname, port=address.port, protocol=address.scheme,
        session_parameters=session,
    )


def main():
    url = sys.argv[1]
    report = Report()
    version = snowflake.connector.__version__
    for form in ("ARROW", "JSON"):
        label = f"python {version} {form}"
        with connect(url, PYTHON_CONNECTOR_QUERY_RESULT_FORMAT=form) as connection:
            prefix = f"C{version.split('.')[0]}{form}"
            story.prepare(connection, prefix)
            scalars.run(report, connection, label)
            story.run(report, connection, label, lambda: connect(url, PYTHON_CONNECTOR_QUERY_RESULT_FORMAT=form), prefix)
    with connect(url) as connection:
        report.run(f"python {version} logins", logins.run, url, connection, f"python {version}")
    print(json.dumps({"passed": report.passed, "failed": report.failed}))
    sys.exit(1 if report.failed or not report.passed else 0)


if __name__ == "__main__":
    main()
