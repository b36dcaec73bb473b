"""The Native App of deploy/native-app through Snowflake's own command-line tool against the simulator: bundle, run, run
again, validate, teardown, and what is there after each.

usage: native_app.py URL SNOW_COMMAND
Closes with {"passed": n, "failed": n}.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONNECTION = """[connections.{name}]
account = "snowsim"
user = "me"
password = "any"
protocol = "http"
host = "{host}"
port = {port}
role = "{role}"
warehouse = "{warehouse}"
"""
counts = {"passed": 0, "failed": 0}


def check(what, held, seen=""):
    counts["passed" if held else "failed"] += 1
    print(f"ok {what}" if held else f"FAIL {what}: {seen}")


class Tool:
    """The command-line tool, with a configuration and a copy of the project of its own."""

    def __init__(self, url, command, home):
        self.command = command
        self.project = home / "project"
        shutil.copytree(ROOT / "deploy/native-app", self.project, ignore=shutil.ignore_patterns("output"))
        place = urllib.parse.urlsplit(url)
        roles = {"admin": ("ACCOUNTADMIN", "COMPUTE_WH"), "provider": ("SNOWMELT_PROVIDER", "SNOWMELT_PROVIDER")}
        settings = "".join(
            CONNECTION.format(name=name, host=place.hostname, port=place.port, role=role, warehouse=warehouse)
            for name, (role, warehouse) in roles.items()
        )
        configuration = home / "config.toml"
        configuration.write_text(settings)
        configuration.chmod(0o600)
        self.environment = {**os.environ, "SNOWFLAKE_HOME": str(home)}

    def run(self, *arguments, connection=None):
        wanted = [self.command, *arguments, *(["--connection", connection] if connection else [])]
        done = subprocess.run(
            wanted, cwd=self.project, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def rows(self, sql):
        code, said = self.run("sql", "--format", "json", "--query", sql, connection="admin")
        return json.loads(said) if code == 0 else said


def walk(tool):
    def step(what, *arguments, connection="provider", holds=""):
        code, said = tool.run(*arguments, connection=connection)
        check(what, code == 0 and holds in said, said[-2000:])

    step("database.sql", "sql", "--filename", "database.sql", connection="admin")
    step("bundle", "app", "bundle", connection=None)
    output = tool.project / "output/deploy"
    found = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())
    wanted = sorted(str(path.relative_to(tool.project / "app")) for path in (tool.project / "app").rglob("*") if path.is_file())
    check("the bundle is the folder app and nothing else", found == wanted, found)

    step("run", "app", "run", holds="created successfully")
    asked = tool.rows("SHOW CONFIGURATIONS IN APPLICATION snowmelt")
    names = {row["name"] for row in asked} if isinstance(asked, list) else asked
    check("it asks for relay and ticket", {"RELAY", "TICKET"} <= set(names), asked)
    tool.rows("UPDATE snowmelt.state.service SET relay = 'relay.example.com:443'")
    step("run again", "app", "run", holds="upgraded successfully")
    kept = tool.rows("SELECT relay FROM snowmelt.state.service")
    check("an upgrade keeps what was there", kept == [{"RELAY": "relay.example.com:443"}], kept)
    step("validate", "app", "validate", holds="validation succeeded")
    listed = tool.rows("ls @snowmelt_package.app_src.stage")
    check("every file was put", isinstance(listed, list) and len(listed) == len(found), listed)

    setup = tool.project / "app/setup/operation.sql"
    right = setup.read_text()
    setup.write_text(right.replace("core.stop() TO APPLICATION ROLE app_admin", "core.stop() TO APPLICATION ROLE nobody"))
    code, said = tool.run("app", "run", connection="provider")
    check("a role that is not there fails the run by its name", code != 0 and "NOBODY" in said, said[-2000:])
    setup.write_text(right)

    step("teardown", "app", "teardown", "--cascade", "--force", holds="Teardown is now complete")
    step("teardown.sql", "sql", "--filename", "teardown.sql", connection="admin")
    for what in ["APPLICATIONS", "APPLICATION PACKAGES", "IMAGE REPOSITORIES"]:
        left = tool.rows(f"SHOW {what}")
        check(f"no {what} are left", left == [], left)
    for kind in ["DATABASES", "WAREHOUSES", "ROLES"]:
        rows = tool.rows(f"SHOW {kind}")
        left = [row["name"] for row in rows if "SNOWMELT" in row["name"] or row["name"] == "SHOP"]
        check(f"no {kind} are left", left == [], left)


def main():
    url, command = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home:
        walk(Tool(url, command, pathlib.Path(home)))
    print(json.dumps(counts))


main()
