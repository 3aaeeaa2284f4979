"""The records that Kafka still has, between two offsets of each partition."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from hub.errors import Unavailable
from hub.log.config import consumer_config
from hub.replay.bounds import Part
from hub.settings import Kafka
from schemas.replays import is_copy
from schemas.topics import EVENTS

IDLE_S: Final = 30.0
"""How long to wait for Kafka without a record before giving up."""
POLL_S: Final = 0.2
AT_ONCE: Final = 500
_GONE: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)


class Logged(NamedTuple):
    """A record as Kafka has it; `copy`: a replay has sent it."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    copy: bool


def logged_records(kafka: Kafka, namespace: str, parts: Mapping[int, Part]) -> Iterator[Logged]:
    """
    Each partition's records in their order. Joins no group, commits nothing.

    Raises: Unavailable: Kafka gives nothing for 30 s, or has deleted records meanwhile.
    """
    topic = EVENTS.name(namespace)
    ends = {number: part.last for number, part in parts.items() if part.log_first < part.last}
    with closing(
        Consumer(
            consumer_config(
                kafka,
                f"{namespace}.replay",
                **{"enable.partition.eof": True, "fetch.wait.max.ms": 100, "queued.max.messages.kbytes": 32_768},
            )
        )
    ) as consumer:
        consumer.assign([TopicPartition(topic, number, parts[number].log_first) for number in ends])
        heard_at = time.monotonic()
        while ends:
            messages = consumer.consume(1, POLL_S)
            if messages:  # to ask for many at once is to wait for many
                messages += consumer.consume(AT_ONCE, 0)
            if not messages and time.monotonic() - heard_at > IDLE_S:
                raise Unavailable("kafka", f"nothing of {topic} within {IDLE_S:g} s")
            for message in messages:
                number, offset = message.partition() or 0, message.offset() or 0
                last = ends.get(number)
                if last is None:
                    continue
                error = message.error()
                if error is not None:
                    if _is_end(error, topic, number):
                        del ends[number]
                    continue
                if offset < last:
                    yield _logged(message)
                if offset >= last - 1:
                    del ends[number]
                    consumer.pause([TopicPartition(topic, number)])
            if messages:
                heard_at = time.monotonic()  # after the caller has taken them, which takes its own time


def _is_end(error: KafkaError, topic: str, number: int) -> bool:
    """Whether there is nothing more on the partition. What librdkafka retries by itself is no end."""
    if error.code() in _GONE:
        raise Unavailable(
            "kafka", f"records of {topic} partition {number} were deleted while they were read: run the replay again"
        )
    if error.fatal():
        raise Unavailable("kafka", error.str())
    return error.code() == KafkaError._PARTITION_EOF


def _logged(message: Message) -> Logged:
    number, offset = message.partition() or 0, message.offset() or 0
    return Logged(number, offset, message.key() or b"", message.value() or b"", is_copy(message.headers()))
