"""audit.v1 from its end to its beginning, for questions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from hub.errors import Unavailable
from hub.log.config import consumer_config
from hub.settings import Kafka
from schemas.topics import AUDIT

TIMEOUT_S: Final = 10.0
AT_ONCE: Final = 500
"""Offsets that are asked for at a time; of some of them, compaction has left nothing."""


class AuditLog:
    """Thread-safe: each question has a connection to itself, joins no group and commits nothing."""

    def __init__(self, kafka: Kafka, namespace: str) -> None:
        """Does not connect yet."""
        self._topic = AUDIT.name(namespace)
        self._config = consumer_config(
            kafka, f"{namespace}.audit", **{"enable.partition.eof": True, "queued.max.messages.kbytes": 2_048}
        )

    def newest(self, below: int | None) -> Iterator[tuple[int, bytes]]:
        """
        Offset and value of each record below an offset (None: of all), the newest first. Blocks.

        Raises: Unavailable: no answer within 10 s.
        """
        with closing(Consumer(self._config)) as consumer:
            begin, end = self._ends(consumer)
            until = end if below is None else min(below, end)
            while until > begin:
                first = max(begin, until - AT_ONCE)
                yield from reversed(self._between(consumer, first, until))
                until = first

    def _ends(self, consumer: Consumer) -> tuple[int, int]:
        try:
            begin, end = consumer.get_watermark_offsets(TopicPartition(self._topic, 0), TIMEOUT_S)
        except KafkaException as exc:
            raise Unavailable("kafka", f"{self._topic} cannot be read: {exc.args[0].str()}") from exc
        return begin, end

    def _between(self, consumer: Consumer, first: int, until: int) -> list[tuple[int, bytes]]:
        consumer.assign([TopicPartition(self._topic, 0, first)])
        deadline = time.monotonic() + TIMEOUT_S
        found: list[tuple[int, bytes]] = []
        while (left_s := deadline - time.monotonic()) > 0:
            message = consumer.poll(left_s)
            if message is None:
                continue
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return found
            if error is not None:
                continue  # the client tries again by itself, until the deadline
            offset = message.offset() or 0
            if offset < until:
                found.append((offset, message.value() or b""))
            if offset >= until - 1:
                return found
        raise Unavailable("kafka", f"{self._topic} was not read within {TIMEOUT_S:g} s")
