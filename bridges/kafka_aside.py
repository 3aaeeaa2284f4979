"""What is done to a Kafka source beside reading it: look at messages, set a group back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from bridges.base import Rewind
from hub.errors import Refused, Unavailable

TIMEOUT_S: Final = 10.0


def matching(consumer: Consumer, topics: Sequence[str]) -> list[TopicPartition]:
    """
    Every partition of these topics and patterns (which begin with ^), as the broker has them now.

    Raises: KafkaException. Unavailable: there is no such topic.
    """
    known = consumer.list_topics(timeout=TIMEOUT_S).topics
    found = [name for name in known if any(_matches(name, topic) for topic in topics)]
    for topic in topics:
        if not any(_matches(name, topic) for name in found):
            raise Unavailable("source", missing(topic))
    return [TopicPartition(name, number) for name in sorted(found) for number in sorted(known[name].partitions)]


def missing(topic: str) -> str:
    """Words for a topic that is not there."""
    what = "no topic matches" if topic.startswith("^") else "there is no topic"
    return f"{what} {topic}: make it, or correct `topics`; it is looked for again until then"


def newest(consumer: Consumer, partitions: Iterable[TopicPartition], limit: int) -> list[Message]:
    """
    The newest messages of these partitions, at most `limit` in all, oldest first. Nothing is committed.

    Args: consumer: of a group of its own. Raises: KafkaException, Unavailable.
    """
    starts, wanted = [], 0
    for where in partitions:
        low, high = consumer.get_watermark_offsets(where, TIMEOUT_S)
        first = max(low, high - limit)
        if high > first:
            starts.append(TopicPartition(where.topic, where.partition, first))
            wanted += high - first
    if not starts:
        return []
    consumer.assign(starts)
    found: list[Message] = []
    deadline = time.monotonic() + TIMEOUT_S
    # offsets of transactions hold no message, so fewer may come than the marks say: a quiet second is the end, too
    while wanted > len(found) and time.monotonic() < deadline:
        some = consumer.consume(wanted - len(found), 1.0)
        if not some and found:
            break
        for message in some:
            error = message.error()
            if error is not None:
                raise KafkaException(error)
        found += some
    return sorted(found, key=lambda message: message.timestamp()[1])[-limit:]


def set_back(consumer: Consumer, partitions: Sequence[TopicPartition], to: Rewind) -> None:
    """
    Commit where a group begins, which nobody may be in.

    Args: to: an offset is a number, for all partitions, or `topic/partition/offset` with commas between.

    Raises: KafkaException. Refused: it makes no sense.
    """
    if to.to == "beginning":
        wanted = [TopicPartition(p.topic, p.partition, consumer.get_watermark_offsets(p)[0]) for p in partitions]
    elif to.to == "time":
        asked = [TopicPartition(p.topic, p.partition, to.at_ms) for p in partitions]
        wanted = consumer.offsets_for_times(asked, TIMEOUT_S)
        for where in wanted:
            if where.offset in (OFFSET_END, -1):
                where.offset = consumer.get_watermark_offsets(where, TIMEOUT_S)[1]
    else:
        wanted = _offsets(partitions, to.offset)
    for where in consumer.commit(offsets=wanted, asynchronous=False) or ():
        if where.error is not None:
            raise KafkaException(where.error)


def _offsets(partitions: Sequence[TopicPartition], text: str) -> list[TopicPartition]:
    if text.isdecimal():
        return [TopicPartition(where.topic, where.partition, int(text)) for where in partitions]
    known = {(where.topic, where.partition) for where in partitions}
    wanted = []
    for part in text.split(","):
        fields = part.strip().rsplit("/", 2)
        if len(fields) != 3 or not (fields[1].isdecimal() and fields[2].isdecimal()):
            raise Refused("bridge", f"{part.strip()!r} is no offset: write a number, or topic/partition/offset,…")
        topic, place = fields[0], (fields[0], int(fields[1]))
        if place not in known:
            raise Refused("bridge", f"the bridge reads no partition {place[1]} of a topic {topic}")
        wanted.append(TopicPartition(*place, int(fields[2])))
    return wanted


def _matches(name: str, topic: str) -> bool:
    return re.match(topic, name) is not None if topic.startswith("^") else name == topic


def config_for_looking(config: dict[str, Any], group: str) -> dict[str, Any]:
    """Options of a consumer that is in no group of the bridge's, from those of one that is."""
    kept = {name: value for name, value in config.items() if name not in ("group.protocol", "session.timeout.ms")}
    return {**kept, "group.id": group, "group.protocol": "classic", "auto.offset.reset": "earliest"}
