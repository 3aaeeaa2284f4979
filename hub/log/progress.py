"""How far a consumer group is, such as the collectors': the offsets that it has committed."""

from __future__ import annotations

import time
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.log.config import REFRESH_S, consumer_config
from hub.settings import Kafka
from schemas.topics import EVENTS, Topic

ANSWER_S: Final = 2.0


def collector_group(namespace: str) -> str:
    """The consumer group of the collectors."""
    return f"{namespace}.collector"


def agents_group(namespace: str) -> str:
    """The consumer group of the agents; for Faust the name of the app."""
    return f"{namespace}.agents"


class Progress:
    """
    By partition of a topic, the first offset that a group has not committed; 0 where it never has.

    One request a call, about 1 ms, over a connection that stays. Joins no group. For one thread.
    """

    def __init__(self, kafka: Kafka, namespace: str, topic: Topic = EVENTS, group: str = "") -> None:
        """Does not connect yet. Args: group: "": that of the collectors."""
        self._of = topic
        self._topic = topic.name(namespace)
        self._admin = LogAdmin(kafka, namespace)
        self._config = consumer_config(kafka, group or collector_group(namespace))
        self._consumer: Consumer | None = None
        self._wanted: list[TopicPartition] = []
        self._counted_at_s = 0.0

    def __call__(self) -> dict[int, int]:
        """Raises Unavailable when Kafka does not answer within 2 s."""
        try:
            now_s = time.monotonic()
            if self._consumer is None or now_s - self._counted_at_s > REFRESH_S:
                self._wanted = [TopicPartition(self._topic, number) for number in self._admin.partitions(self._of)]
                self._counted_at_s = now_s
            if self._consumer is None:
                self._consumer = Consumer(self._config)
            places = self._consumer.committed(self._wanted, timeout=ANSWER_S)
        except KafkaException as exc:
            raise Unavailable("kafka", f"Kafka does not answer: {exc.args[0].str()}") from exc
        return {place.partition: max(0, place.offset) for place in places}

    def close(self) -> None:
        """End the connection."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
