"""What tunnel.py and tunnel_cuts.py work with: five namespaces, a project, its processes and a Kafka cluster.

    A: inlets, clients -- WA: a router --\\
                                           >-- R: authority and relay on 10.77.0.1
    B: outlets, Kafka  -- WB: a router --/

A and B have one link each. R forwards nothing, so its address is all that they can reach. The routers are where a path is
cut: a blackhole route drops what is forwarded without a word to anybody, and needs no more than iproute2.
"""

import ctypes
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

RELAY = "10.77.0.1"
HOSTS = {"a": "10.77.1.2", "b": "10.77.2.2", "r": RELAY}
PATIENCE = 60
CLIENT = pathlib.Path(__file__).with_name("tunnel_client.py")
INLET, OUTLET = "snowflake-kafka-inlet", "snowflake-kafka-outlet"
SASL = "somebody:not a secret"
NEWNET = 0x40000000


def until(what, condition, patience=PATIENCE):
    """Polls until the condition holds; seconds it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            raise TimeoutError(f"not within {patience} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


class Network:
    """The namespaces. Sockets of theirs are made by a thread that goes in, and can be used by any."""

    apart, relay = True, RELAY

    def __init__(self, tag):
        self.names = {name: f"snowmelt-{os.getpid()}-{tag}-{name}" for name in ("a", "wa", "r", "wb", "b")}

    def port(self, number):
        return number

    def ip(self, name, *words):
        inside = ["-n", self.names[name]] if name else []
        subprocess.run(["ip", *inside, *words], check=True, capture_output=True, text=True)

    def inside(self, name, *words):
        return ["ip", "netns", "exec", self.names[name], *map(str, words)]

    def build(self):
        for name, space in self.names.items():
            self.ip(None, "netns", "add", space)
            self.ip(name, "link", "set", "lo", "up")
            forwards = int(name.startswith("w"))
            # Without the source check a route to nowhere stops one direction only.
            settings = [f"net/ipv4/ip_forward={forwards}", *(f"net/ipv4/conf/{which}/rp_filter=0" for which in ("all", "default"))]
            script = "; ".join(f"echo {setting.split('=')[1]} > /proc/sys/{setting.split('=')[0]}" for setting in settings)
            subprocess.run(self.inside(name, "sh", "-ec", script), check=True, capture_output=True, text=True)
        self.ip("r", "address", "add", f"{RELAY}/32", "dev", "lo")
        for number, host in ((1, "a"), (2, "b")):
            router = "w" + host
            self.link(host, router, f"10.77.{number}")
            self.link(router, "r", f"10.77.1{number}")
            # Towards anything: that R forwards nothing is what keeps A and B apart.
            self.ip(host, "route", "add", "default", "via", f"10.77.{number}.1")
            self.ip(router, "route", "add", "default", "via", f"10.77.1{number}.1")
            self.ip("r", "route", "add", f"10.77.{number}.0/24", "via", f"10.77.1{number}.2")

    def link(self, down, up, net):
        self.ip(down, "link", "add", f"to-{up}", "type", "veth", "peer", "name", f"to-{down}", "netns", self.names[up])
        for where, device, address in ((down, f"to-{up}", f"{net}.2/24"), (up, f"to-{down}", f"{net}.1/24")):
            self.ip(where, "address", "add", address, "dev", device)
            self.ip(where, "link", "set", device, "up")

    def tear_down(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def cut(self, host, directions, action="add"):
        """Drops what goes "to" the relay, comes "from" it, or both; "del" as the action mends it."""
        for direction in directions:
            target = RELAY if direction == "to" else HOSTS[host]
            self.ip("w" + host, "route", action, "blackhole", f"{target}/32")

    def enter(self, name, make):
        """What `make` returns, called inside the namespace."""
        result = []

        def work():
            try:
                with open(f"/run/netns/{self.names[name]}") as space:
                    if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                result.append((make(), None))
            except OSError as error:
                result.append((None, error))

        # Only the thread goes in, and it ends.
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        made, error = result[0]
        if error:
            raise error
        return made

    def connect(self, name, port, timeout=None):
        made = self.enter(name, lambda: socket.create_connection(("127.0.0.1", port), 5))
        made.settimeout(timeout)
        return made

    def passes(self, sender, receiver):
        """Whether a datagram gets from one host to another."""
        def bound(name):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((HOSTS[name], 0))
            made.settimeout(0.3)
            return made

        with self.enter(sender, lambda: bound(sender)) as out, self.enter(receiver, lambda: bound(receiver)) as into:
            out.sendto(b"?", into.getsockname())
            try:
                return into.recv(1) == b"?"
            except TimeoutError:
                return False

    def listening(self, name):
        """Sockets that listen on anything but loopback."""
        out = subprocess.run(self.inside(name, "ss", "-Hltn"), check=True, capture_output=True, text=True).stdout
        addresses = [line.split()[3] for line in out.splitlines()]
        return [address for address in addresses if not address.startswith(("127.", "[::1]"))]


class Here:
    """Where namespaces cannot be made: everything on this machine's loopback, on ports that are free."""

    apart, relay = False, "127.0.0.1"

    def __init__(self):
        self.ports = {}

    def port(self, number):
        if number not in self.ports:
            with socket.socket() as made:
                made.bind(("127.0.0.1", 0))
                self.ports[number] = made.getsockname()[1]
        return self.ports[number]

    def inside(self, name, *words):
        return [*map(str, words)]

    def connect(self, name, port, timeout=None):
        return socket.create_connection(("127.0.0.1", self.port(port)), timeout)

    def tear_down(self):
        pass


class Lab:
    """The processes of one project. Each is started again as it was first, but without its ticket."""

    def __init__(self, binary, cluster, folder, network):
        self.binary, self.cluster, self.folder, self.network = binary, cluster, folder, network
        self.project = folder / "project"
        self.running, self.words, self.metrics, self.tickets = {}, {}, {}, []

    def run(self, *words):
        done = subprocess.run([self.binary, *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout.strip()

    def ticket(self, *words):
        self.tickets.append(self.run("project", "ticket", "--dir", self.project, *words))
        return self.tickets[-1]

    def spawn(self, name, where, *words, env=None, **pipes):
        with open(self.folder / f"{name}.log", "a") as log:
            self.running[name] = subprocess.Popen(self.network.inside(where, *words), stderr=log, text=True,
                                                  env=dict(os.environ, **(env or {})), **pipes)
        return self.running[name]

    def command(self, name, where, *words, ticket=None):
        """A command of the tunnel that serves its figures."""
        port = 9100 + len(self.words)
        self.metrics[name] = (where, port)
        self.words[name] = (where, self.binary, *words, "--metrics", self.at(port))
        self.spawn(name, *self.words[name], env=ticket and {"SNOWMELT_TICKET": ticket})

    def at(self, port):
        """An address for whoever is in the same namespace."""
        return f"127.0.0.1:{self.network.port(port)}"

    def open(self, lifetime="24h"):
        """Authority and relay, apart from each other."""
        relay, authority = (f"{self.network.relay}:{self.network.port(port)}" for port in (8443, 8444))
        self.run("project", "create", "--dir", self.project, "--relay", relay, "--authority", authority,
                 "--credential-lifetime", lifetime)
        self.command("authority", "r", "project", "serve", "--dir", self.project, "--listen", authority, "--no-relay")
        self.command("relay", "r", "relay", "--listen", relay, "--state", self.folder / "relay",
                     ticket=self.ticket("--attribute", "snowmelt-relay"))

    def kafka(self, name, *options):
        """Three brokers in B; returns their addresses."""
        return self.spawn(name, "b", self.cluster, *options, stdout=subprocess.PIPE).stdout.readline().strip()

    def pair(self, name, port, *target, more=()):
        """An outlet and an inlet that carry `name`; clients connect to `port` in A."""
        kind = ("--kind", "tcp") if "--target" in target else ()
        self.command(f"outlet-{name}", "b", "outlet", "--relay", name, *kind, *target, "--allow", INLET, "--state",
                     self.folder / f"outlet-{name}", ticket=self.ticket("--attribute", OUTLET, "--relay", name))
        self.command(f"inlet-{name}", "a", "inlet", "--from", self.at(port), "--to", name, *kind, "--allow", OUTLET,
                     *more, "--state", self.folder / f"inlet-{name}", ticket=self.ticket("--attribute", INLET))

    def page(self, name, path):
        where, port = self.metrics[name]
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.sock = self.network.connect(where, port, 5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ready(self, name):
        """Whether the process says that it can do its work now; one that is not there cannot."""
        try:
            return self.page(name, "/health/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def figure(self, name, metric):
        text = self.page(name, "/metrics")[1]
        found = re.search(rf"^snowmelt_tunnel_{re.escape(metric)} (\S+)$", text, re.MULTILINE)
        if not found:
            raise RuntimeError(f"{name} has no figure {metric}:\n{text}")
        return float(found[1])

    def all_ready(self):
        for name in self.words:
            until(f"{name} is ready", lambda: self.ready(name))

    def kill(self, name):
        self.running[name].kill()
        self.running[name].wait()

    def again(self, name):
        self.spawn(name, *self.words[name])

    def client(self, *words):
        """A client in A, to its end."""
        return subprocess.run(self.network.inside("a", sys.executable, "-W", "ignore", CLIENT, self.at(9092), *words),
                              capture_output=True, text=True, timeout=PATIENCE * 2)

    def close(self):
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def logs(self):
        return {log.name: log.read_text() for log in sorted(self.folder.glob("*.log"))}


class Stream:
    """A client in A that writes and reads without an end; see tunnel_client.py."""

    def __init__(self, lab, kind):
        self.process = lab.spawn(kind, "a", sys.executable, "-W", "ignore", CLIENT, lab.at(9092), kind,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.read, self.kind, self.said = 0, kind, {}
        self.listener = threading.Thread(target=self.listen)
        self.listener.start()

    def listen(self):
        for line in self.process.stdout:
            self.said = json.loads(line)
            self.read = self.said["read"]

    def goes_on(self, records=100):
        """Waits until so many more have been read; seconds it took."""
        reached = self.read + records
        return until(f"the {self.kind} client reads on", lambda: self.read >= reached or self.process.poll() is not None)

    def end(self):
        """Lets it read to the end; what is wrong, and what it said last."""
        self.process.stdin.close()
        try:
            code = self.process.wait(timeout=PATIENCE * 2)
        except subprocess.TimeoutExpired:
            return ["it does not end"], self.said
        self.listener.join()
        return self.said.get("wrong", []) + ([] if code == 0 else [f"exit code {code}"]), self.said
