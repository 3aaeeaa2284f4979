"""One record of events.v1 by its coordinates: what the log still has there."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Final, NamedTuple

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, Message, TopicPartition

from hub.errors import Unavailable
from hub.log.config import consumer_config
from hub.settings import Kafka
from schemas.topics import EVENTS

TIMEOUT_S: Final = 5.0
_NOT_THERE: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._PARTITION_EOF)


class Record(NamedTuple):
    """
    A record as Kafka has it.

    `at_ms`: its time stamp, milliseconds since 1970; by the broker's clock when it was appended if `by_broker`, else by
    the producer's when that took it.
    """

    at_ms: int
    by_broker: bool
    key: bytes
    value: bytes


class LogReader:
    """Reads single records; for questions, not for traffic. Thread-safe: each call has a connection to itself."""

    def __init__(self, kafka: Kafka, namespace: str) -> None:
        """Does not connect yet."""
        self._topic = EVENTS.name(namespace)
        self._config = consumer_config(
            kafka, f"{namespace}.trace", **{"enable.partition.eof": True, "queued.max.messages.kbytes": 2_048}
        )

    def record(self, partition: int, offset: int) -> Record | None:
        """
        The record; None when Kafka has deleted it, or has none there yet. Joins no group and commits nothing.

        Raises: Unavailable: no answer within 5 s.
        """
        message = self._seen(partition, offset)
        return _record(message) if message.error() is None and message.offset() == offset else None

    def first(self, partition: int, offset: int) -> int:
        """
        The offset of the first record from there on; the partition's end if there is none.

        Not each offset has a record: the end of a transaction takes one, and what a transaction took back leaves some.

        Raises: Unavailable: no answer within 5 s, or that Kafka has deleted that offset.
        """
        message = self._seen(partition, offset)
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise Unavailable("kafka", f"{self._topic} cannot be read from offset {offset} on: {error.str()}")
        return message.offset() or 0

    def _seen(self, partition: int, offset: int) -> Message:
        """The first message from there on, or what says that there is none. Raises Unavailable."""
        deadline = time.monotonic() + TIMEOUT_S
        with closing(Consumer(self._config)) as consumer:
            consumer.assign([TopicPartition(self._topic, partition, offset)])
            while (left_s := deadline - time.monotonic()) > 0:
                message = consumer.poll(left_s)
                error = None if message is None else message.error()
                if message is not None and (error is None or error.code() in _NOT_THERE):
                    return message
        raise Unavailable("kafka", f"no record of {self._topic} within {TIMEOUT_S:g} s")


def _record(message: Message) -> Record:
    kind, at_ms = message.timestamp()
    return Record(at_ms, kind == TIMESTAMP_LOG_APPEND_TIME, message.key() or b"", message.value() or b"")
