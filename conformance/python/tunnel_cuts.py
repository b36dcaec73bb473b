"""What happens when a path dies without a word: tunnel.py's second half.

On each side in turn, both ways and one way only, everything between a host and the relay is dropped while a producer, a
consumer group and raw TCP streams are under way. The nodes have to notice, whoever is connected has to be told, and when
the path is back all has to heal by itself with every record there once.
"""

import contextlib
import socket
import threading
import time

from tunnel_lab import Stream, until

# Pings and probes make it 9 s; the rest is for a machine that has other things to do.
NOTICED = 15
# When the late client speaks. TCP's own limit for what nobody acknowledges begins then, and would make it too late.
LATER = 7
# Bytes that sockets and processes on the way may hold.
BUFFERS = 32 << 20
PIECE = b"x" * (32 << 10)
RAW = 7000
# The cuts: which host loses the relay, and what is dropped. One way it is the answers: what is asked still happens, and a
# producer that has to ask again must not be believed twice.
CUTS = (("a", ("to", "from")), ("b", ("to", "from")), ("a", ("from",)), ("b", ("to",)))
WORDS = {("to", "from"): "both ways", ("to",): "towards the relay", ("from",): "from the relay"}


class Target:
    """A TCP service in B: sends the first bytes back, swallows the rest, and notes how each connection ended."""

    def __init__(self, network):
        def listen():
            made = socket.socket()
            made.bind(("127.0.0.1", 0))
            made.listen()
            return made

        self.listener = network.enter("b", listen)
        self.port = self.listener.getsockname()[1]
        self.received, self.ended = 0, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, stream):
        try:
            stream.sendall(stream.recv(5))
            while piece := stream.recv(1 << 16):
                self.received += len(piece)
            self.ended.append(None)
        except OSError as error:
            self.ended.append(error)


class Raw(threading.Thread):
    """A client of the raw inlet that goes on until it is told that it cannot: it waits for an answer ("waiting"), writes
    all the time ("writing"), or says something once the path has been cut for a while ("late")."""

    def __init__(self, network, kind):
        super().__init__(daemon=True)
        self.network, self.kind, self.cut = network, kind, threading.Event()
        self.sent, self.opened, self.error, self.over = 0, False, None, False
        self.start()

    def run(self):
        try:
            with self.network.connect("a", RAW) as stream:
                stream.sendall(b"hello")
                self.opened = stream.recv(5) == b"hello"
                while self.kind == "writing" and self.opened:
                    stream.sendall(PIECE)
                    self.sent += len(PIECE)
                    # A steady stream, not as much as fits.
                    time.sleep(0.02)
                if self.kind == "late":
                    self.cut.wait()
                    stream.settimeout(LATER)
                    with contextlib.suppress(TimeoutError):
                        stream.recv(1)
                    stream.settimeout(None)
                    stream.sendall(b"still there?")
                stream.recv(1)
        except OSError as error:
            self.error = error
        self.over = True

    def problem(self):
        """What is wrong about how it ended."""
        if isinstance(self.error, (ConnectionResetError, BrokenPipeError)):
            return []
        return [f"the {self.kind} client saw {self.error or 'an orderly end'}, not a reset"]


def echoes(network):
    try:
        with network.connect("a", RAW, 2) as stream:
            stream.sendall(b"hello")
            return stream.recv(5) == b"hello"
    except OSError:
        return False


def measure(conditions):
    """Seconds until each condition held; one that did not within the limit is missing."""
    began, seconds = time.monotonic(), {}
    while len(seconds) < len(conditions) and time.monotonic() - began < NOTICED:
        for name, holds in conditions.items():
            if name not in seconds and holds():
                seconds[name] = time.monotonic() - began
        time.sleep(0.05)
    return seconds


def cut(lab, target, client, host, directions, report):
    network, name = lab.network, f"the path of {host.upper()} is cut {WORDS[directions]}"
    nodes = [node for node in lab.words if node.startswith("inlet" if host == "a" else "outlet")]
    raw = {kind: Raw(network, kind) for kind in ("waiting", "writing", "late")[:2 + (len(directions) == 2)]}
    until("raw streams are open", lambda: all(stream.opened for stream in raw.values()))
    until("bytes arrive", lambda: raw["writing"].sent > 10 * len(PIECE))
    ended, received = len(target.ended), target.received - raw["writing"].sent
    reconnects = {node: lab.figure(node, "reconnects_total") for node in nodes}

    network.cut(host, directions)
    for stream in raw.values():
        stream.cut.set()
    newcomer = Raw(network, "waiting")
    conditions = {f"{node} not ready": lambda node=node: not lab.ready(node) for node in nodes}
    conditions["relay has no streams"] = lambda: lab.figure("relay", "streams") == 0
    if host == "b":
        conditions["relay has no outlets"] = lambda: lab.figure("relay", "outlets") == 0
    conditions |= {f"{which} client reset": lambda stream=stream: stream.over for which, stream in raw.items()}
    conditions["new client reset"] = lambda: newcomer.over
    conditions["target reset"] = lambda: len(target.ended) >= ended + len(raw)
    began = time.monotonic()
    open_ways = {"to": (host, "r"), "from": ("r", host)}
    leaks = [way for way, ends in open_ways.items() if network.passes(*ends) == (way in directions)]
    spent = time.monotonic() - began
    seconds = {what: took + spent for what, took in measure(conditions).items()}
    network.cut(host, directions, "del")

    problems = [f"the cut is none: {way}" for way in leaks]
    problems += [f"not within {NOTICED} s: {what}" for what in conditions if what not in seconds]
    for stream in (*raw.values(), newcomer):
        if stream.over:
            problems += stream.problem()
    problems += [f"the target saw {error or 'an orderly end'}" for error in target.ended[ended:]
                 if not isinstance(error, ConnectionResetError)]
    lost = raw["writing"].sent - (target.received - received)
    if lost > BUFFERS:
        problems.append(f"{lost} bytes were taken in and never arrived")
    report(f"{name}: " + ", ".join(f"{what} {took:.1f} s" for what, took in seconds.items()), problems)

    healed = {"all ready": until("all are ready again", lambda: all(lab.ready(node) for node in lab.words)),
              "raw stream": until("a raw stream opens again", lambda: echoes(network)),
              "records": client.goes_on(300)}
    problems = [f"{node} counts no reconnect" for node in nodes if lab.figure(node, "reconnects_total") <= reconnects[node]]
    if client.process.poll() is not None:
        problems.append("the client ended")
    report(f"{name} and comes back: " + ", ".join(f"{what} {took:.1f} s" for what, took in healed.items()), problems)


def run(lab, report):
    target = Target(lab.network)
    lab.open()
    lab.pair("kafka", 9092, "--bootstrap-server", lab.kafka("brokers"))
    lab.pair("raw", RAW, "--target", f"127.0.0.1:{target.port}")
    lab.all_ready()
    client = Stream(lab, "records")
    client.goes_on()
    for host, directions in CUTS:
        cut(lab, target, client, host, directions, report)
    wrong, said = client.end()
    report(f"an idempotent producer and a group through all cuts: {said.get('written')} records, each there once", wrong)
