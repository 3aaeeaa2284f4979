"""How far consumer groups of destinations are behind stored.v1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient

from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.log.config import admin_config
from hub.settings import Kafka
from schemas.topics import STORED

ANSWER_S: Final = 5.0


def destination_group(namespace: str, id: str) -> str:
    """The consumer group of a destination."""
    return f"{namespace}.destination.{id}"


class DestinationLag:
    """Asks Kafka, also for those that nobody runs. Thread-safe; blocks for some milliseconds a destination."""

    def __init__(self, kafka: Kafka, namespace: str) -> None:
        """Does not connect yet."""
        self._kafka = kafka
        self._namespace = namespace
        self._topic = STORED.name(namespace)

    def __call__(self, ids: Iterable[str]) -> dict[str, int | None]:
        """
        Records that wait, by destination; None: it has not begun.

        Raises: Unavailable: Kafka does not answer.
        """
        ends = LogAdmin(self._kafka, self._namespace).end_offsets(STORED)
        client = AdminClient(admin_config(self._kafka))
        return {id: self._one(client, id, ends) for id in ids}

    def _one(self, client: AdminClient, id: str, ends: dict[int, int]) -> int | None:
        group = destination_group(self._namespace, id)
        try:
            asked = client.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)], require_stable=False, request_timeout=ANSWER_S
            )
            found = asked[group].result()
        except KafkaException as exc:
            raise Unavailable("kafka", f"Kafka does not tell the offsets of {group}: {exc.args[0].str()}") from exc
        done: dict[int, int] = {
            place.partition: place.offset
            for place in found.topic_partitions or ()
            if place.topic == self._topic and place.offset >= 0
        }
        if not done:
            return None
        return sum(max(0, end - done[number]) for number, end in ends.items() if number in done)
