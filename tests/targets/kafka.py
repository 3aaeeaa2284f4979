"""Kafka: a topic of its own on the run's broker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kafka_tools import consume
from tests.sources import World
from tests.targets import Arrived, Open, Sink


class KafkaSink:
    """See Sink."""

    kind = "kafka"
    exactly_once = False

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.bootstrap, self.topic = bootstrap, topic
        self.definition: dict[str, Any] = {"settings": {"bootstrap": bootstrap, "topic": topic}}
        self.away = {"bootstrap": "127.0.0.1:1", "topic": topic}
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()

    def arrived(self) -> Sequence[Arrived]:
        found = []
        config = {
            "bootstrap.servers": self.bootstrap,
            "group.id": f"{self.topic}.test",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
        with closing(Consumer(config)) as consumer:
            consumer.assign([TopicPartition(self.topic, 0, 0)])
            while True:
                for message in consume(consumer, 1.0):
                    error = message.error()
                    if error is not None:
                        if error.code() == KafkaError._PARTITION_EOF:
                            return found
                        continue
                    headers = {name: (value or b"").decode() for name, value in message.headers() or []}
                    assert (message.key() or b"").decode() == headers["hub-profile-id"]
                    found.append(Arrived(headers["hub-event-id"], msgspec.json.decode(message.value() or b"")))


@contextmanager
def topic(world: World) -> Iterator[Sink]:
    yield KafkaSink(world.kafka, f"{world.namespace}.sink")


WAYS: Final[dict[str, Open]] = {"": topic}
