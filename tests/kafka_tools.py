"""Reads and writes topics of a test's namespace with a bare client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from hub.log.admin import LogAdmin
from hub.log.config import consumer_config, producer_config
from hub.settings import Kafka
from schemas.codec import encode_inbound
from schemas.records import Inbound
from schemas.topics import DEFINITIONS, EVENTS, Topic

T = TypeVar("T")


def write(kafka: Kafka, topic: str, records: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Write and wait for the acknowledgement of each."""
    failed: list[Any] = []
    producer = Producer(producer_config(kafka))
    for key, value in records:
        producer.produce(topic, value, key, on_delivery=lambda error, _: failed.append(error) if error else None)
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not failed, failed[0]


def write_events(kafka: Kafka, namespace: str, inbounds: Iterable[Inbound]) -> None:
    """Put records onto events.v1, by profile."""
    write(
        kafka,
        EVENTS.name(namespace),
        ((inbound["profile_id"].encode() or b"none", encode_inbound(inbound)) for inbound in inbounds),
    )


def define(kafka: Kafka, namespace: str, kind: str, id: str, spec: dict[str, Any]) -> None:
    """Put a definition onto definitions.v1."""
    value = msgspec.json.encode({"kind": kind, "id": id, "spec": spec, "updated_at_ms": 0})
    write(kafka, DEFINITIONS.name(namespace), [(f"{kind}/{id}".encode(), value)])


def read(kafka: Kafka, namespace: str, topic: Topic) -> list[Message]:
    """Everything that is on a topic now."""
    admin = LogAdmin(kafka, namespace)
    ends = {number: span for number, span in admin.offsets(topic).items() if span[1] > 0}
    consumer = Consumer(consumer_config(kafka, f"{namespace}.test", **{"enable.partition.eof": True}))
    name = topic.name(namespace)
    # at a number: for the beginning, librdkafka waits half a second
    consumer.assign([TopicPartition(name, number, begin) for number, (begin, _) in ends.items()])
    messages = []
    open_partitions = set(ends)
    while open_partitions:
        for message in consume(consumer):
            if message.error() is not None:
                open_partitions.discard(message.partition() or 0)
            else:
                messages.append(message)
    consumer.close()
    return messages


def consume(consumer: Consumer, within_s: float = 0.2) -> list[Message]:
    """What is there, once something is: the client itself waits until there is as much as it is asked for."""
    first = consumer.consume(1, within_s)
    return first + consumer.consume(1000, 0) if first else []


def eventually(ask: Callable[[], T], within_s: float = 60.0) -> T:
    """
    The first true answer; polls 20 times a second, or as often as a tenth of a processor allows. Fails with the last
    answer.
    """
    deadline = time.monotonic() + within_s
    while True:
        began = time.thread_time()
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within_s:g} s; last answer: {answer!r}"
        time.sleep(max(0.05, 10 * (time.thread_time() - began)))
