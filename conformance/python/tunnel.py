"""The tunnel between two hosts that may only dial one address, used by librdkafka.

    namespace A: inlet, this client     --\
                                           >-- namespace R: project serve on 10.77.0.1:8443
    namespace B: outlet, Kafka cluster  --/

A and B have one link each, to R, which forwards nothing: the relay's address is all that they can reach, and nothing
listens in them but on their own loopback. Usage: tunnel.py SNOWMELT-BINARY. Ends with "N passed, N failed", or where
namespaces cannot be made (not root, or a container without the right to) with "skipped: " and why.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

RELAY = "10.77.0.1"
PORT = 8443
PATIENCE = 60
NAMES = {name: f"snowmelt-{os.getpid()}-{name}" for name in "arb"}
# Run inside namespace A, where sockets are A's.
CLIENT = pathlib.Path(__file__).with_name("tunnel_client.py")


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def inside(name, *words):
    return ["ip", "netns", "exec", NAMES[name], *map(str, words)]


def build():
    """The three namespaces and the two links."""
    for name in NAMES.values():
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
    ip("-n", NAMES["r"], "address", "add", f"{RELAY}/32", "dev", "lo")
    for number, name in ((1, "a"), (2, "b")):
        near, far = f"sm{name}{os.getpid() % 100000}", f"sr{name}{os.getpid() % 100000}"
        ip("link", "add", near, "netns", NAMES[name], "type", "veth", "peer", "name", far, "netns", NAMES["r"])
        for where, link, address in ((NAMES[name], near, f"10.77.{number}.2/24"), (NAMES["r"], far, f"10.77.{number}.1/24")):
            ip("-n", where, "address", "add", address, "dev", link)
            ip("-n", where, "link", "set", link, "up")
        # Towards anything: that R forwards nothing is what keeps A and B apart.
        ip("-n", NAMES[name], "route", "add", "default", "via", f"10.77.{number}.1")
    subprocess.run(inside("r", "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"), check=True)


def tear_down():
    for name in NAMES.values():
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


def listening(name):
    """Sockets that listen on anything but loopback."""
    out = subprocess.run(inside(name, "ss", "-Hltn"), check=True, capture_output=True, text=True).stdout
    addresses = [line.split()[3] for line in out.splitlines()]
    return [address for address in addresses if not address.startswith(("127.", "[::1]"))]


class Lab:
    def __init__(self, binary, folder):
        self.binary, self.folder, self.processes = binary, folder, []
        self.project = folder / "project"

    def run(self, *words):
        done = subprocess.run([self.binary, *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout.strip()

    def start(self, name, log, *words, env=None):
        log = open(self.folder / f"{log}.log", "a")
        process = subprocess.Popen(inside(name, *words), stdout=subprocess.PIPE, stderr=log, text=True,
                                   env=dict(os.environ, **(env or {})))
        self.processes.append(process)
        return process

    def serve(self):
        return self.start("r", "relay", self.binary, "project", "serve", "--dir", self.project, "--listen", f"0.0.0.0:{PORT}")

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def main():
    binary = sys.argv[1]
    passed, failed = [], []

    def report(name, problems):
        (failed if problems else passed).append(name)
        print(("FAIL " if problems else "ok   ") + name)
        for problem in problems[:10]:
            print(f"       {problem}")

    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(binary, pathlib.Path(folder))
        try:
            build()
        except (OSError, subprocess.CalledProcessError) as error:
            tear_down()
            print(f"skipped: network namespaces cannot be made here: {error} {getattr(error, 'stderr', '') or ''}".strip())
            return 0
        try:
            lab.run("project", "create", "--dir", lab.project, "--relay", f"{RELAY}:{PORT}")
            ticket = lambda *words: lab.run("project", "ticket", "--dir", lab.project, *words)
            into = ticket("--attribute", "snowflake-kafka-inlet")
            out = ticket("--attribute", "snowflake-kafka-outlet", "--relay", "kafka")
            lab.serve()
            sim = lab.start("b", "sim", binary, "--log", "error", "sim", "--json", "--listen", "127.0.0.1:0", "--kafka", "127.0.0.1:0")
            servers = json.loads(sim.stdout.readline())["bootstrap_servers"]
            outlet = lab.start("b", "outlet", binary, "outlet", "--relay", "kafka", "--bootstrap-server", servers, "--allow",
                               "snowflake-kafka-inlet", "--state", lab.folder / "outlet", env={"SNOWMELT_TICKET": out})
            lab.start("a", "inlet", binary, "inlet", "--from", "127.0.0.1:9092", "--to", "kafka", "--allow",
                      "snowflake-kafka-outlet", "--state", lab.folder / "inlet", env={"SNOWMELT_TICKET": into})

            client = lambda *words: subprocess.run(
                inside("a", sys.executable, CLIENT, "127.0.0.1:9092", *words), capture_output=True, text=True, timeout=PATIENCE * 2)

            def try_client(name, *words):
                done = client(*words)
                report(name, [] if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()[-10:])

            try_client("librdkafka: metadata names the inlet's ports only", "metadata")
            try_client("librdkafka: producer and a consumer group, 2,000 records", "group")
            report("nothing listens in A and B but on their own loopback",
                   [f"{name}: {address}" for name in "ab" for address in listening(name)])
            # Refused would be an answer, and so a way.
            dial = "import socket\ntry: socket.create_connection(('10.77.2.2', 9), 1)\nexcept (TimeoutError, OSError) as e: print(type(e).__name__)"
            said = subprocess.run(inside("a", sys.executable, "-c", dial), capture_output=True, text=True).stdout.strip()
            report("A cannot reach B", [] if said == "TimeoutError" else [f"dialling B ended with {said or 'a connection'}"])
            lab.processes[0].kill()
            lab.processes[0].wait()
            lab.serve()
            try_client("the relay was killed and is back: a consumer group again", "group")
            outlet.send_signal(signal.SIGTERM)
            code = outlet.wait(timeout=30)
            report("SIGTERM ends the outlet with exit code 0", [] if code == 0 else [f"exit code {code}"])
            for secret in (into, out):
                shown = [log.name for log in lab.folder.glob("*.log") if secret in log.read_text()]
                report("no ticket stands in a log", shown)
            if failed:
                for log in lab.folder.glob("*.log"):
                    print(f"--- {log.name}\n{log.read_text()[-2000:]}")
        except (RuntimeError, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            report("the namespaces, the project and its nodes start", [str(error), str(getattr(error, "stderr", "") or "")])
        finally:
            lab.close()
            tear_down()
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
