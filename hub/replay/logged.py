"""The records that Kafka still has, between two offsets of each partition."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from hub.errors import Unavailable
from hub.log.config import consumer_config
from hub.log.keys import Opener
from hub.pipeline.records import LogRecord
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
    """
    A record as Kafka has it, opened if it was sealed; `copy`: a replay has sent it. `is_shredded`: as in `LogRecord`.
    """

    partition: int
    offset: int
    key: bytes
    value: bytes
    copy: bool
    is_shredded: bool = False


def logged_records(
    kafka: Kafka, namespace: str, parts: Mapping[int, Part], opener: Opener | None = None
) -> Iterator[Logged]:
    """
    Each partition's records in their order. Joins no group, commits nothing.

    Args: opener: of sealed records; None: there are none.

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
            found = _opened(messages, opener)
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
                    yield found[number, offset]
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


def _opened(messages: Sequence[Message], opener: Opener | None) -> dict[tuple[int, int], Logged]:
    """By partition and offset. Raises Unavailable, Refused."""
    good = [message for message in messages if message.error() is None]
    records = [
        LogRecord(message.partition() or 0, message.offset() or 0, 0, message.key() or b"", message.value() or b"")
        for message in good
    ]
    if opener is not None:
        records = opener.open(records)
    return {
        (one.partition, one.offset): Logged(
            one.partition, one.offset, one.key, one.value, is_copy(message.headers()), one.is_shredded
        )
        for one, message in zip(records, good, strict=True)
    }
