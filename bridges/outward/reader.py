"""Reads stored.v1 for one destination: a consumer group of its own, committed when the target has the events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from bridges.base import Context
from bridges.kafka import KafkaBridge, KafkaSettings
from hub.definitions.kinds import Destination
from hub.log.config import consumer_config
from hub.log.lag import destination_group
from hub.settings import Kafka
from schemas.topics import STORED

log: Final = structlog.get_logger()

WATERMARK_S: Final = 5.0
HELD_KB: Final = 8_192
"""Of records that are fetched ahead: a hundred destinations shall fit into one process."""


class StoredReader(KafkaBridge):
    """
    The hub's own topic as a Kafka source.

    Attributes:
        missed: Events that Kafka had deleted before this destination could read them, since it connected.
    """

    def __init__(self, id: str, definition: Destination, saved_at_ms: int, kafka: Kafka, namespace: str) -> None:
        """Args: saved_at_ms: when the definition was saved, milliseconds since 1970: where `latest` begins."""
        start: Any = definition.start
        if start == "latest":
            # not the end of the topic: what is stored between the answer to the PUT and now was stored after it
            start = datetime.fromtimestamp(saved_at_ms / 1000, UTC)
        settings = KafkaSettings(
            bootstrap=kafka.bootstrap,
            topics=[STORED.name(namespace)],
            group=destination_group(namespace, id),
            start=start,
            protocol="consumer",
        )
        super().__init__(settings, Context(id, namespace, {}))
        self._kafka = kafka
        self._group = settings.group
        self.missed = 0

    def _config(self) -> dict[str, Any]:
        return consumer_config(
            self._kafka,
            self._group,
            **{
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": HELD_KB,
                "error_cb": self._on_error,
                "on_commit": self._on_commit,
            },
        )

    def _cluster(self) -> Kafka:
        return self._kafka

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        super()._on_assign(consumer, partitions)
        try:
            for where in consumer.committed(partitions, WATERMARK_S):
                oldest, _ = consumer.get_watermark_offsets(where, WATERMARK_S)
                if 0 <= where.offset < oldest:
                    self.missed += oldest - where.offset
        except KafkaException as exc:
            log.warning("destination.gap_unknown", destination=self._context.bridge, error=exc.args[0].str())
