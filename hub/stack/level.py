"""After a power cut: Kafka's log may end before what the store has of it. Then it is filled up to there.

Kafka's records are on the disk some seconds later than it has acknowledged them, and the store's position may get there
before them. Records that came next would have the offsets of those that are gone: the collector would take them for
known, and nobody would ever see them. So the offsets are given to records that say nothing, before anybody can send.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import stamina
from confluent_kafka import KafkaError, Message, Producer

from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.log.config import producer_config
from hub.settings import Kafka
from hub.store.factory import file_of
from hub.store.sqlite.reach import Reach, reach
from schemas.records import MERGE, Inbound
from schemas.topics import EVENTS, KEYS

FLUSH_S: Final = 60.0
PATIENCE_S: Final = 60.0
NOBODY: Final = "@power-cut"
"""Profile of these records. None can have this id that comes from outside: ids of the hub's own begin so."""
NO_KEY: Final = b"0" * 32


# a broker that was killed answers some requests before it knows that it leads its partitions; and what was filled up is
# not filled up again
@stamina.retry(on=Unavailable, attempts=None, timeout=PATIENCE_S, wait_initial=0.05, wait_max=1.0)
def level(kafka: Kafka, namespace: str, store_url: str) -> dict[str, int]:
    """
    Call it while nobody else sends or collects.

    Returns: so many records were missing at the end of each topic; empty: none, as always but after a power cut.

    Raises: Unavailable: Kafka does not answer for a minute, the store cannot be read.
    """
    path = file_of(store_url)
    if path is None:
        return {}
    admin = LogAdmin(kafka, namespace)
    missing = {}
    for topic, known, key, value in (
        (EVENTS, Reach.EVENTS, NOBODY.encode(), _nothing),
        (KEYS, Reach.KEYS, NO_KEY, lambda: None),
    ):
        stored = reach(path, known, admin.topic_id(topic))
        ends = admin.end_offsets(topic)
        short = {number: (ends[number], end) for number, end in stored.items() if ends.get(number, end) < end}
        if short:
            _fill(kafka, topic.name(namespace), short, key, value())
            missing[topic.suffix] = sum(end - begin for begin, end in short.values())
    return missing


def _nothing() -> bytes:
    """A step of a merge: of those that it has counted before, a collector does nothing (hub/pipeline/process.py)."""
    from schemas.codec import encode_inbound  # noqa: PLC0415 - takes a while to load, and is needed once in years

    merge = {"loser_id": NOBODY, "loser_version": 0, "snapshot": b"{}", "step": "undo", "reason": b"{}"}
    record: Inbound = {
        "id": NOBODY,
        "source": NOBODY,
        "profile_id": NOBODY,
        "received_at_ms": 0,
        "definitions_offset": -1,
        "origin": NOBODY,
        "body": (MERGE, merge),  # type: ignore[typeddict-item]
        "sent_as": None,
        "first_at": None,
        "forwarded_for": None,
    }
    return encode_inbound(record)


def _fill(kafka: Kafka, topic: str, short: Mapping[int, tuple[int, int]], key: bytes, value: bytes | None) -> None:
    """Args: short: by partition, where the log ends and where it has to."""
    failed: list[KafkaError] = []

    def sent(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer(producer_config(kafka))
    send = partial(producer.produce, topic, key=key, value=value, on_delivery=sent)
    for number, (begin, end) in short.items():
        for _ in range(begin, end):
            while True:
                try:
                    send(partition=number)
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
            producer.poll(0)
    if producer.flush(FLUSH_S) or failed:
        why = failed[0].str() if failed else "no answer"
        raise Unavailable("kafka", f"the end of {topic}, which a power cut has cost, cannot be filled up: {why}")
