"""
How long messages are under way: `python -m tests.bench.passage KIND SETTINGS BOOTSTRAP TOPIC RATE SECONDS`.

An open loop: RATE messages a second go to the broker when they are due, in groups of a hundredth of a second, whatever
becomes of them; meanwhile everything that comes to TOPIC of our Kafka is read. From when a message was due to when it
could be read. KIND and SETTINGS are a bridge's. Prints JSON: p50, p99, max and how late the last group was sent, all in
milliseconds.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, Final, TypeAlias

import msgspec
import nats
import pika
import psycopg
import redis
from confluent_kafka import Consumer, Producer, TopicPartition

from hub.log.config import consumer_config
from hub.settings import Kafka
from schemas.codec import decode_inbound
from tests.bench import payloads
from tests.bench.visibility import figures
from tests.sources import mqtt, postgres, sqs

GROUPS: Final = 100
"""A second."""
QUIET_S: Final = 10.0
"""Nothing has come for so long: no more will."""
CALL_S: Final = 60.0

Send: TypeAlias = Callable[[Sequence[bytes]], object]
"""Hands messages to the client library, and waits for no confirmation that the library does not wait for itself."""


@contextmanager
def to_kafka(settings: dict[str, Any]) -> Iterator[Send]:
    producer = Producer({"bootstrap.servers": settings["bootstrap"], "linger.ms": 0})

    def send(bodies: Sequence[bytes]) -> None:
        for body in bodies:
            producer.produce(settings["topics"], body)
        producer.poll(0)

    yield send
    producer.flush(CALL_S)


@contextmanager
def to_mqtt(settings: dict[str, Any]) -> Iterator[Send]:
    with mqtt.connected(settings["url"]) as client:

        def send(bodies: Sequence[bytes]) -> None:
            for body in bodies:
                client.publish(settings["topics"], body, 1, properties=mqtt.own_id())

        yield send


@contextmanager
def to_nats(settings: dict[str, Any]) -> Iterator[Send]:
    with asyncio.Runner() as runner:

        async def connect() -> Any:
            return await nats.connect(settings["url"])

        client = runner.run(connect())

        async def send(bodies: Sequence[bytes]) -> None:
            for body in bodies:
                await client.publish(f"source.{settings['stream']}.a", body)
            await client.flush()

        yield lambda bodies: runner.run(send(bodies))
        runner.run(client.close())


@contextmanager
def to_rabbitmq(settings: dict[str, Any]) -> Iterator[Send]:
    with closing(pika.BlockingConnection(pika.URLParameters(settings["url"]))) as connection:
        channel = connection.channel()

        def send(bodies: Sequence[bytes]) -> None:
            for body in bodies:
                channel.basic_publish("", settings["queues"], body, pika.BasicProperties(delivery_mode=2))

        yield send


@contextmanager
def to_redis_streams(settings: dict[str, Any]) -> Iterator[Send]:
    with redis.Redis.from_url(settings["url"]) as client:

        def send(bodies: Sequence[bytes]) -> None:
            pipe = client.pipeline(transaction=False)
            for body in bodies:
                pipe.xadd(settings["streams"], {"body": body})
            pipe.execute()

        yield send


@contextmanager
def to_redis_list(settings: dict[str, Any]) -> Iterator[Send]:
    with redis.Redis.from_url(settings["url"]) as client:
        yield lambda bodies: client.rpush(settings["key"], *bodies)


@contextmanager
def to_sqs(settings: dict[str, Any]) -> Iterator[Send]:
    with closing(sqs.client(settings["endpoint_url"])) as client:
        url = client.get_queue_url(QueueName=settings["queue"])["QueueUrl"]

        def send(bodies: Sequence[bytes]) -> None:
            entries = [{"Id": str(n), "MessageBody": base64.b64encode(body).decode()} for n, body in enumerate(bodies)]
            client.send_message_batch(QueueUrl=url, Entries=entries)

        yield send


@contextmanager
def to_postgres(settings: dict[str, Any]) -> Iterator[Send]:
    table, user = settings["table"], settings["username"]
    secret = os.environ[postgres.SECRET]
    with psycopg.connect(settings["url"], user=user, password=secret, autocommit=True) as connection:

        def send(bodies: Sequence[bytes]) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(f'INSERT INTO "{table}" (body) VALUES (%s)', [(body,) for body in bodies])
                cursor.execute(f'NOTIFY "{settings["channel"]}"')

        yield send


SENDERS: Final[dict[str, Callable[[dict[str, Any]], AbstractContextManager[Send]]]] = {
    "kafka": to_kafka,
    "mqtt": to_mqtt,
    "nats": to_nats,
    "postgres": to_postgres,
    "rabbitmq": to_rabbitmq,
    "redis_list": to_redis_list,
    "redis_streams": to_redis_streams,
    "sqs": to_sqs,
}
"""By kind of bridge."""


class Arrivals(threading.Thread):
    """Reads a topic from now on, and keeps when each record came. Its records are looked at when all is over."""

    def __init__(self, bootstrap: str, topic: str, total: int) -> None:
        """Reads from the end that the topic has now."""
        super().__init__()
        kafka = Kafka(bootstrap=bootstrap)
        self._consumer = Consumer(consumer_config(kafka, f"{topic}.passage", **{"fetch.wait.max.ms": 500}))
        partitions = self._consumer.list_topics(topic, CALL_S).topics[topic].partitions
        ends = [
            self._consumer.get_watermark_offsets(TopicPartition(topic, number), CALL_S, cached=False)[1]
            for number in partitions
        ]
        self._consumer.assign(
            [TopicPartition(topic, number, end) for number, end in zip(partitions, ends, strict=True)]
        )
        self._total = total
        self.found: list[tuple[int, bytes]] = []

    def run(self) -> None:
        """Until all have come, or none comes any more."""
        last = time.monotonic()
        while len(self.found) < self._total and time.monotonic() - last < QUIET_S:
            first = self._consumer.poll(0.05)
            # a `consume` with a timeout would wait for so many, and that would be in the figures
            messages = [] if first is None else [first, *self._consumer.consume(500, 0)]
            now = time.time_ns()
            if messages:
                last = time.monotonic()
            self.found += [(now, message.value() or b"") for message in messages if message.error() is None]
        self._consumer.close()


def message(number: int, due_ns: int) -> bytes:
    """As of payloads.message, with the moment at which it is due."""
    payload = msgspec.json.decode(payloads.message(number % payloads.PATTERNS))
    payload["events"][0]["properties"]["due_ns"] = due_ns
    return msgspec.json.encode(payload)


def main(kind: str, settings: dict[str, Any], bootstrap: str, topic: str, rate: int, seconds: float) -> None:
    """Send, read, and print what it took."""
    total, group = int(rate * seconds), rate // GROUPS
    arrivals = Arrivals(bootstrap, topic, total)
    arrivals.start()
    with SENDERS[kind](settings) as send:
        began = time.time_ns()
        for start in range(0, total, group):
            due = began + start * 1_000_000_000 // rate
            bodies = [message(number, due) for number in range(start, min(start + group, total))]
            time.sleep(max(0, due - time.time_ns()) / 1e9)
            send(bodies)
        late_s = (time.time_ns() - due) / 1e9
        arrivals.join()
    assert len(arrivals.found) == total, f"{len(arrivals.found)} of {total} messages came"
    took = [(at - _due(value)) / 1e6 for at, value in arrivals.found]
    print(msgspec.json.encode({**figures(took), "max": max(took), "late_ms": late_s * 1000}).decode())


def _due(value: bytes) -> int:
    _, track = decode_inbound(value)["body"]
    due: int = msgspec.json.decode(track["events"][0]["properties"])["due_ns"]  # type: ignore[typeddict-item]
    return due


if __name__ == "__main__":
    kind, settings, bootstrap, topic, rate, seconds = sys.argv[1:]
    main(kind, msgspec.json.decode(settings), bootstrap, topic, int(rate), float(seconds))
