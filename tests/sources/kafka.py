"""Kafka: one topic with one partition, so that the order of the whole source is promised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.sources import Open, World
from tests.waiting import wait_for

MOST_BYTES: Final = 60 * 1024 * 1024


class KafkaSource:
    """See Source."""

    kind = "kafka"
    most_bytes = MOST_BYTES
    keeps_order = True

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self.settings: dict[str, Any] = {"bootstrap": bootstrap, "topics": topic, "protocol": "consumer"}
        admin = AdminClient({"bootstrap.servers": bootstrap})
        new = NewTopic(topic, 1, 1, config={"max.message.bytes": str(MOST_BYTES)})
        admin.create_topics([new])[topic].result()
        # made, it says, as soon as the controller knows it: the broker hears of it a moment later
        wait_for("the topic is there", lambda: topic in admin.list_topics(timeout=10).topics)
        self._producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": MOST_BYTES, "log_level": 3})

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
def topic(world: World) -> Iterator[KafkaSource]:
    yield KafkaSource(world.kafka, f"{world.namespace}.source")


WAYS: Final[dict[str, Open]] = {"": topic}
