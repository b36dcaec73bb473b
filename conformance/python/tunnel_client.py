"""What tunnel.py runs inside the inlet's namespace: tunnel_client.py BOOTSTRAP metadata|group."""

import sys
import time

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

PATIENCE = 50
COUNT = 2000


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
    assert brokers, "no broker is named"
    for broker in brokers:
        assert broker.host == "127.0.0.1", f"{broker} cannot be reached from here"


def group(servers):
    topic = f"through-{time.monotonic_ns()}"
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.create_topics([NewTopic(topic, 3, 1)], request_timeout=PATIENCE).values():
        future.result()
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


if __name__ == "__main__":
    {"metadata": metadata, "group": group}[sys.argv[2]](sys.argv[1])
