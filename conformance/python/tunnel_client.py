"""What tunnel.py runs inside the inlet's namespace: tunnel_client.py BOOTSTRAP metadata|group|records|transactions.

`records` and `transactions` write and read until standard input ends, then read to the end of the topic. Now and then, and
at the end, they say as one JSON line what was read; `wrong` is what must not be: a record that is missing, that is there
twice, or that was aborted.
"""

import itertools
import json
import sys
import threading
import time

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

PATIENCE = 50
COUNT = 2000
# The default lets a client look away for ten seconds after all is well again.
PROMPT = {"reconnect.backoff.max.ms": 500, "retry.backoff.max.ms": 500}


def metadata(servers):
    admin = AdminClient({"bootstrap.servers": servers})
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            brokers = admin.list_topics(timeout=5).brokers.values()
            break
        except confluent_kafka.KafkaException:
            # The inlet has only just been started.
            if time.monotonic() > deadline:
                raise
    assert len(brokers) == 3, f"brokers: {brokers}"
    for broker in brokers:
        assert broker.host == "127.0.0.1", f"{broker} cannot be reached from here"


def new_topic(servers):
    topic = f"through-{time.monotonic_ns()}"
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.create_topics([NewTopic(topic, 3, 1)], request_timeout=PATIENCE).values():
        future.result()
    return topic


def group(servers):
    topic = new_topic(servers)
    refused = []
    producer = confluent_kafka.Producer({"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 5})
    for number in range(COUNT):
        producer.produce(topic, key=str(number), value=f"value {number}",
                         on_delivery=lambda error, _: refused.append(error) if error else None)
    left = producer.flush(PATIENCE)
    assert not left and not refused, f"{left} records were not sent, {refused[:3]}"
    consumer = confluent_kafka.Consumer({"bootstrap.servers": servers, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    seen, deadline = set(), time.monotonic() + PATIENCE
    while len(seen) < COUNT and time.monotonic() < deadline:
        for message in consumer.consume(500, timeout=1):
            assert not message.error(), message.error()
            seen.add(message.key())
    assert len(seen) == COUNT, f"{len(seen)} of {COUNT} records were read"
    consumer.commit(asynchronous=False)
    consumer.close()


class Reader(threading.Thread):
    """A member of a consumer group that remembers where it met each key."""

    def __init__(self, servers, topic):
        super().__init__()
        self.consumer = confluent_kafka.Consumer({
            "bootstrap.servers": servers, "group.id": topic, "auto.offset.reset": "earliest", **PROMPT,
            "isolation.level": "read_committed", "enable.partition.eof": True, "auto.commit.interval.ms": 500})
        self.consumer.subscribe([topic])
        self.places, self.at_end, self.wrong = {}, set(), []
        self.done = threading.Event()

    def run(self):
        said = 0
        while not self.done.is_set():
            for message in self.consumer.consume(500, timeout=0.1):
                error = message.error()
                if error and error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    self.at_end.add(message.partition())
                elif error:
                    if error.fatal():
                        self.wrong.append(f"the consumer ended: {error}")
                else:
                    self.at_end.discard(message.partition())
                    # A group may be given again what it did not commit: the same place. A copy has another.
                    self.places.setdefault(message.key().decode(), set()).add((message.partition(), message.offset()))
            if len(self.places) != said:
                said = len(self.places)
                print(json.dumps({"read": said}), flush=True)
        self.consumer.close()


def records(servers, topic, ended):
    """An idempotent producer, about 300 records a second; the keys it wrote."""
    refused = []
    producer = confluent_kafka.Producer({"bootstrap.servers": servers, "enable.idempotence": True, "acks": "all", **PROMPT})
    for number in itertools.count():
        producer.produce(topic, key=str(number), on_delivery=lambda error, _: refused.append(str(error)) if error else None)
        if number % 10 == 0:
            producer.poll(0)
            if ended.wait(0.03):
                break
    left = producer.flush(PATIENCE)
    return set(map(str, range(number + 1))), refused + ([f"{left} records were not sent"] if left else [])


def transactions(servers, topic, ended):
    """A transactional producer, every fifth of whose transactions it aborts; the keys it committed."""
    producer = confluent_kafka.Producer({"bootstrap.servers": servers, "transactional.id": topic, **PROMPT})
    again = 0

    def insist(call):
        """False when the transaction has to be aborted, which is then done."""
        while True:
            try:
                call(5)
                return True
            except confluent_kafka.KafkaException as error:
                if error.args[0].txn_requires_abort():
                    insist(producer.abort_transaction)
                    return False
                if not error.args[0].retriable():
                    raise

    insist(producer.init_transactions)
    committed = set()
    for number in itertools.count():
        keys = [f"{number}-{place}" for place in range(20)]
        aborts = number % 5 == 4
        while True:
            producer.begin_transaction()
            try:
                for key in keys:
                    producer.produce(topic, key=key)
                if aborts:
                    # Otherwise it forgets them and nothing has to be hidden from anybody.
                    producer.flush(5)
            except confluent_kafka.KafkaException as error:
                if not error.args[0].txn_requires_abort():
                    raise
                insist(producer.abort_transaction)
            else:
                if insist(producer.abort_transaction if aborts else producer.commit_transaction):
                    break
            again += 1
        if not aborts:
            committed.update(keys)
        if ended.wait(0.02):
            return committed, []


def stream(servers, write):
    topic, ended = new_topic(servers), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    reader = Reader(servers, topic)
    reader.start()
    try:
        written, wrong = write(servers, topic, ended)
        deadline = time.monotonic() + PATIENCE
        while not (written <= set(reader.places.copy()) and len(reader.at_end) == 3) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        reader.done.set()
        reader.join()
    read = set(reader.places)
    twice = [f"{key} at {sorted(places)}" for key, places in reader.places.items() if len(places) > 1]
    wrong += reader.wrong
    faults = {"missing": sorted(written - read), "not committed and yet read": sorted(read - written), "there twice": twice}
    for what, which in faults.items():
        if which:
            wrong.append(f"{what}: {len(which)} of {len(written)} records, such as {which[:3]}")
    print(json.dumps({"read": len(read), "written": len(written), "wrong": wrong}), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    servers, what = sys.argv[1:]
    if what in ("records", "transactions"):
        sys.exit(stream(servers, {"records": records, "transactions": transactions}[what]))
    {"metadata": metadata, "group": group}[what](servers)
