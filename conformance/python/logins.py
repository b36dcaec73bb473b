"""Logs in by key pair and by issued tokens, as the official connector does it, and is refused as it must be."""

import json
import pathlib
import urllib.request
from urllib.parse import urlparse

import snowflake.connector

KEYS = pathlib.Path(__file__).parents[2] / "crates" / "snowmelt" / "tests" / "keys"


def run(report, url, connection, label):
    lines = (KEYS / "public.pem").read_text().splitlines()
    public = "".join(line for line in lines if not line.startswith("-----"))
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE OR REPLACE USER KEYED RSA_PUBLIC_KEY = '{public}'")
        cursor.execute("CREATE OR REPLACE USER KEYLESS")
        fingerprint = [row[1] for row in cursor.execute("DESC USER KEYED") if row[0] == "RSA_PUBLIC_KEY_FP"]
    # Made by openssl, not by the simulator.
    report.check(f"{label} fingerprint", fingerprint, ["SHA256:" + (KEYS / "fingerprint.txt").read_text().strip()])

    def attempt(**parameters):
        address = urlparse(url)
        place = {"account": "local", "host": address.hostname, "port": address.port, "protocol": address.scheme}
        try:
            with snowflake.connector.connect(**place, **parameters) as opened, opened.cursor() as cursor:
                return cursor.execute("SELECT CURRENT_USER()").fetchone()[0]
        except snowflake.connector.errors.Error as error:
            return str(error)

    plain = {"authenticator": "SNOWFLAKE_JWT", "private_key_file": str(KEYS / "plain.p8")}
    encrypted = {**plain, "private_key_file": str(KEYS / "aes256.p8"), "private_key_file_pwd": "opensesame"}
    report.check(f"{label} key pair", attempt(user="keyed", **plain), "KEYED")
    report.check(f"{label} encrypted key pair", attempt(user="KEYED", **encrypted), "KEYED")
    refused = attempt(user="keyless", **plain)
    report.check(f"{label} key pair of another: {refused}", "JWT token is invalid" in refused, True)

    def issue(**grant):
        request = urllib.request.Request(f"{url}/simulator/tokens", json.dumps(grant).encode(), method="POST")
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)["token"]

    service = issue(kind="service", user="SERVICE_OF_APP")
    report.check(f"{label} service token", attempt(authenticator="oauth", token=service), "SERVICE_OF_APP")
    with_user = attempt(authenticator="oauth", token=service, user="SERVICE_OF_APP")
    report.check(f"{label} service token with a user: {with_user}", "differs from the user tied" in with_user, True)
    expired = attempt(authenticator="oauth", token=issue(kind="oauth", user="U", lifetime_seconds=0))
    report.check(f"{label} expired token: {expired}", "expired" in expired, True)
    programmatic = issue(kind="programmatic_access", user="KEYED")
    by_token = attempt(authenticator="PROGRAMMATIC_ACCESS_TOKEN", token=programmatic, user="KEYED")
    report.check(f"{label} programmatic access token", by_token, "KEYED")
    report.check(f"{label} token as password", attempt(user="KEYED", password=programmatic), "KEYED")
