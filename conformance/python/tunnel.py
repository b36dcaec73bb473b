"""The tunnel between two hosts that may only dial one address, used by kcat and librdkafka.

Usage: tunnel.py SNOWMELT-BINARY CLUSTER-BINARY. Two labs (tunnel_lab.py has the picture) run side by side: in one
processes are killed, in the other paths are cut (tunnel_cuts.py). Where namespaces cannot be made (not root, or a container
without the right to) the first runs on this machine's loopback, and a line with "skipped: " says what does not run and why.
Ends with "N passed, N failed".
"""

import concurrent.futures
import glob
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading

import confluent_kafka

import tunnel_cuts
from tunnel_lab import PATIENCE, SASL, Here, Lab, Network, Stream, until

KCAT_RECORDS = 1000
VICTIMS = ("relay", "outlet-kafka", "inlet-kafka", "authority")


def kcat(lab, port, *words, given=None, sasl=None):
    """kcat in A. The distribution's librdkafka may be too old for the cluster, so it gets the one that the wheel has."""
    library, = glob.glob(f"{pathlib.Path(confluent_kafka.__file__).parent}.libs/librdkafka-*.so*")
    options = [] if sasl is None else [
        "-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=PLAIN",
        "-X", f"sasl.username={sasl.split(':')[0]}", "-X", f"sasl.password={sasl.split(':')[1]}"]
    return subprocess.run(lab.network.inside("a", "kcat", "-b", lab.at(port), *options, *words), input=given, text=True,
                          capture_output=True, timeout=PATIENCE, env=dict(os.environ, LD_PRELOAD=library))


def with_kcat(lab, port, brokers, report, sasl=None):
    label = "kcat with SASL" if sasl else "kcat"

    def said(done, problems):
        return problems + ([f"exit code {done.returncode}: {done.stderr.strip()}"] if done.returncode or problems else [])

    listed = kcat(lab, port, "-L", "-J", sasl=sasl)
    names = [broker["name"] for broker in json.loads(listed.stdout or '{"brokers": []}')["brokers"]]
    wrong = [f"{name} is no port of the inlet" for name in names if not name.startswith("127.0.0.1:") or name in brokers.split(",")]
    report(f"{label} -L: three brokers, all at the inlet", said(listed, wrong + ([] if len(set(names)) == 3 else [f"brokers: {names}"])))
    lines = [f"{number}:value {number}" for number in range(KCAT_RECORDS)]
    done = kcat(lab, port, "-P", "-t", "kcat", "-K:", "-X", "enable.idempotence=true", given="\n".join(lines) + "\n", sasl=sasl)
    report(f"{label} -P: {KCAT_RECORDS} records", said(done, []))
    for how in (("-C", "-o", "beginning", "-t", "kcat"), ("-G", "kcat-group", "kcat")):
        read = kcat(lab, port, "-e", "-q", "-K:", "-X", "auto.offset.reset=earliest", *how, sasl=sasl)
        got = sorted(read.stdout.splitlines())
        report(f"{label} {how[0]}: the same records", said(read, [] if got == sorted(lines) else [f"{len(got)} lines were read"]))


def killed(lab, report):
    """Each process is killed -9: once it is away until that shows, once it is started again at once."""
    client = Stream(lab, "transactions")
    client.goes_on()
    for waits in (True, False):
        for name in VICTIMS:
            lab.kill(name)
            problems = []
            if waits:
                others = {"relay": ("inlet-kafka", "outlet-kafka")}.get(name, ())
                for other in others:
                    until(f"{other} notices", lambda: not lab.ready(other))
                if name == "outlet-kafka":
                    until("the relay notices", lambda: lab.figure("relay", "outlets") == 1)
                if name == "authority":
                    # It is not needed to carry anything.
                    client.goes_on(300)
            lab.again(name)
            ready = until("all are ready again", lambda: all(lab.ready(node) for node in lab.words))
            records = client.goes_on(300)
            if client.process.poll() is not None:
                problems.append("the client ended")
            report(f"kill -9 of {name}{', away for a moment' if waits else ''}: ready {ready:.1f} s, records {records:.1f} s", problems)
    wrong, said = client.end()
    report(f"a transactional producer and a read_committed group through all kills: {said.get('written')} records, each there once", wrong)
    renewed = until("the authority that was killed renews credentials",
                    lambda: lab.figure("authority", 'credentials_issued_total{kind="renewal"}') >= 3)
    report(f"the authority that was killed renews credentials: {renewed:.1f} s", [])


def keeps_apart(lab, report):
    report("nothing listens in A and B but on their own loopback",
           [f"{name}: {address}" for name in "ab" for address in lab.network.listening(name)])
    # Refused would be an answer, and so a way.
    dial = "import socket\ntry: socket.create_connection(('10.77.2.2', 9), 1)\nexcept (TimeoutError, OSError) as e: print(type(e).__name__)"
    said = subprocess.run(lab.network.inside("a", sys.executable, "-c", dial), capture_output=True, text=True).stdout.strip()
    report("A cannot reach B", [] if said == "TimeoutError" else [f"dialling B ended with {said or 'a connection'}"])


def processes(lab, report):
    lab.open(lifetime="30s")
    brokers, guarded = lab.kafka("brokers", "--topic", "kcat"), lab.kafka("guarded", "--topic", "kcat", "--sasl", SASL)
    lab.pair("kafka", 9092, "--bootstrap-server", brokers)
    lab.pair("guarded", 9292, "--bootstrap-server", guarded, more=("--broker-ports", "9293-9299") if lab.network.apart else ())
    lab.all_ready()

    def try_client(name, *words):
        done = lab.client(*words)
        report(name, [] if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()[-10:])

    try_client("librdkafka: metadata names the inlet's ports only", "metadata")
    try_client("librdkafka: producer and a consumer group, 2,000 records", "group")
    with_kcat(lab, 9092, brokers, report)
    with_kcat(lab, 9292, guarded, report, SASL)
    refused = kcat(lab, 9292, "-L", sasl=SASL.split(":")[0] + ":a guess")
    report("kcat with a wrong password is refused by Kafka",
           [] if refused.returncode and "invalid credentials" in refused.stderr else [refused.stdout, refused.stderr])
    if lab.network.apart:
        keeps_apart(lab, report)
    killed(lab, report)
    for name in ("outlet-kafka", "inlet-kafka", "relay", "authority"):
        lab.running[name].send_signal(signal.SIGTERM)
        code = lab.running[name].wait(timeout=30)
        report(f"SIGTERM ends {name} with exit code 0", [] if code == 0 else [f"exit code {code}"])
    secrets = [*lab.tickets, SASL.split(":")[1]]
    report("no ticket and no password stands in a log",
           [name for name, log in lab.logs().items() if any(secret in log for secret in secrets)])


def main():
    binary, cluster = sys.argv[1:]
    passed, failed, lock = [], [], threading.Lock()

    def report(name, problems):
        with lock:
            (failed if problems else passed).append(name)
            print(("FAIL " if problems else "ok   ") + name)
            for problem in problems[:10]:
                print(f"       {problem}")
            sys.stdout.flush()

    def play(part, lab):
        """Runs one part; false when something of it failed."""
        before = len(failed)
        try:
            part(lab, report)
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}", str(getattr(error, "stderr", "") or "")]
            report(f"the part {part.__module__}.{part.__name__} comes to its end", wrong)
        return len(failed) == before

    networks, parts = [Network("kill"), Network("cut")], [processes, tunnel_cuts.run]
    with tempfile.TemporaryDirectory() as folder:
        try:
            for network in networks:
                network.build()
        except (OSError, subprocess.CalledProcessError) as error:
            for network in networks:
                network.tear_down()
            why = f"{error} {getattr(error, 'stderr', '') or ''}".strip()
            print(f"skipped: cutting paths and reaching past the relay, since network namespaces cannot be made here: {why}")
            networks, parts = [Here()], [processes]
        labs = [Lab(binary, cluster, pathlib.Path(tempfile.mkdtemp(dir=folder)), network) for network in networks]
        try:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                fine = list(pool.map(play, parts, labs))
            for lab, good in zip(labs, fine):
                for name, log in () if good else lab.logs().items():
                    print(f"--- {name}\n{log[-2000:]}")
        finally:
            for lab in labs:
                lab.close()
            for network in networks:
                network.tear_down()
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
