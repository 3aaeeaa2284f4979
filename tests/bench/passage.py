"""
How long messages are under way: `python -m tests.bench.passage KIND SETTINGS BOOTSTRAP TOPIC RATE SECONDS`.

An open loop: RATE messages a second go to the broker when they are due, in groups of a hundredth of a second, whatever
becomes of them. From when a message was due to when the broker of our Kafka had it on TOPIC, by its own clock, which is
this machine's. KIND and SETTINGS are a bridge's. Prints JSON: p50, p99, max and how late the last group was sent, all
in milliseconds.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, Final, TypeAlias

import httpx
import msgspec
import nats
import pika
import psycopg
import redis
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from hub.log.config import admin_config, consumer_config
from hub.settings import Kafka
from schemas.codec import decode_inbound
from tests.bench import payloads
from tests.bench.visibility import figures
from tests.sources import mqtt, postgres, sqs

GROUPS: Final = 100
"""A second."""
QUIET_S: Final = 10.0
"""Nothing has come for so long: no more will."""
START_NS: Final = 3_000_000_000
"""Until the first group is due: all messages are made before."""
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
    """The request as it is, unsigned: boto's own work for a hundred a second would be most of what is measured."""
    with closing(sqs.client(settings["endpoint_url"])) as client:
        url = client.get_queue_url(QueueName=settings["queue"])["QueueUrl"]
    headers = {"X-Amz-Target": "AmazonSQS.SendMessageBatch", "Content-Type": "application/x-amz-json-1.0"}
    with httpx.Client(base_url=settings["endpoint_url"], headers=headers) as http:

        def send(bodies: Sequence[bytes]) -> None:
            entries = [{"Id": str(n), "MessageBody": base64.b64encode(body).decode()} for n, body in enumerate(bodies)]
            answer = http.post("/", content=msgspec.json.encode({"QueueUrl": url, "Entries": entries}))
            assert answer.is_success, answer.text

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


class Arrivals:
    """What comes to a topic from now on. It is read when all is over: a reader meanwhile takes what it measures."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        """From now on the broker writes its own time into each record, which is not changed back."""
        kafka = Kafka(bootstrap=bootstrap)
        entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin = AdminClient(admin_config(kafka))
        admin.incremental_alter_configs([resource])[resource].result(CALL_S)
        self._consumer = Consumer(consumer_config(kafka, f"{topic}.passage"))
        numbers = self._consumer.list_topics(topic, CALL_S).topics[topic].partitions
        self._ends = [TopicPartition(topic, number) for number in numbers]
        for end in self._ends:
            _, end.offset = self._consumer.get_watermark_offsets(end, CALL_S, cached=False)

    def read(self, total: int) -> list[tuple[int, bytes]]:
        """
        When our Kafka had each, milliseconds since 1970, and the record; as soon as so many have come.

        The broker leaves the fractions of its milliseconds out: the end of each counts.
        """
        with closing(self._consumer) as consumer:
            consumer.assign(self._ends)
            found: list[Message] = []
            while len(found) < total and (messages := consumer.consume(total - len(found), QUIET_S)):
                found += messages
        return [(_appended_ms(message) + 1, message.value() or b"") for message in found]


def _appended_ms(message: Message) -> int:
    kind, at_ms = message.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME, message.error()
    return at_ms


def message(number: int, due_ns: int) -> bytes:
    """As of payloads.message, with the moment at which it is due."""
    payload = msgspec.json.decode(payloads.message(number % payloads.PATTERNS))
    payload["events"][0]["properties"]["due_ns"] = due_ns
    return msgspec.json.encode(payload)


def main(kind: str, settings: dict[str, Any], bootstrap: str, topic: str, rate: int, seconds: float) -> None:
    """Send, read, and print what it took."""
    total, group = int(rate * seconds), rate // GROUPS
    arrivals = Arrivals(bootstrap, topic)
    with SENDERS[kind](settings) as send:
        groups = list(due_groups(total, group, time.time_ns() + START_NS))
        for due, bodies in groups:
            time.sleep(max(0, due - time.time_ns()) / 1e9)
            send(bodies)
        late_s = (time.time_ns() - due) / 1e9
        found = arrivals.read(total)
    assert len(found) == total, f"{len(found)} of {total} messages came"
    took = [at_ms - _due(value) / 1e6 for at_ms, value in found]
    print(msgspec.json.encode({**figures(took), "max": max(took), "late_ms": late_s * 1000}).decode())


def due_groups(total: int, size: int, began: int) -> Iterator[tuple[int, list[bytes]]]:
    """When each group is due, nanoseconds since 1970, and its messages; the first at `began`."""
    for number in range(0, total, size):
        due = began + number // size * 1_000_000_000 // GROUPS
        yield due, [message(each, due) for each in range(number, min(number + size, total))]


def _due(value: bytes) -> int:
    _, track = decode_inbound(value)["body"]
    due: int = msgspec.json.decode(track["events"][0]["properties"])["due_ns"]  # type: ignore[typeddict-item]
    return due


if __name__ == "__main__":
    kind, settings, bootstrap, topic, rate, seconds = sys.argv[1:]
    main(kind, msgspec.json.decode(settings), bootstrap, topic, int(rate), float(seconds))
