"""Real brokers as sources of the bridge contract: each fills a queue of its own and says how a bridge reaches it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

LARGEST_BYTES: Final = 60 * 1024 * 1024


class Source(Protocol):
    """A queue on a real broker, empty at first, of one test."""

    kind: str
    settings: dict[str, Any]

    def put(self, bodies: Sequence[bytes]) -> None:
        """Returns when the broker has them, in this order."""
        ...


class KafkaSource:
    """One topic with one partition, so that the order of the whole source is promised."""

    kind = "kafka"

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self.settings = {"bootstrap": bootstrap, "topics": topic, "protocol": "consumer"}
        admin = AdminClient({"bootstrap.servers": bootstrap})
        new = NewTopic(topic, 1, 1, config={"max.message.bytes": str(LARGEST_BYTES)})
        admin.create_topics([new])[topic].result()
        self._producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": LARGEST_BYTES, "log_level": 3})

    def put(self, bodies: Sequence[bytes]) -> None:
        failed: list[Any] = []
        for body in bodies:
            self._producer.produce(
                self.topic,
                body,
                headers={"h": b"v"},
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
        assert self._producer.flush(60) == 0
        assert not failed, failed[0]


@contextmanager
def kafka_source(bootstrap: str, namespace: str) -> Iterator[KafkaSource]:
    yield KafkaSource(bootstrap, f"{namespace}.source")
