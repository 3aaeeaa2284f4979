"""Partition ownership on a real Kafka, with what a client library at fault hands over or leaves out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from hub.collector import ownership as ownerships
from hub.collector.ownership import Ownership
from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.log.config import consumer_config
from hub.log.reader import LogReader
from hub.model import Progress
from hub.pipeline.records import LogRecord
from hub.settings import Kafka
from hub.store.factory import open_store
from schemas.topics import EVENTS
from tests import stores
from tests.kafka_tools import eventually, write

RECORDS = 8


class Owner:
    """One member of the group, and what it has read."""

    def __init__(self, kafka: Kafka, namespace: str, folder: Path) -> None:
        self.topic = EVENTS.name(namespace)
        self.consumer = Consumer(consumer_config(kafka, f"{namespace}.collector"))
        self.store = open_store(stores.store_url(folder, namespace))
        reader = LogReader(kafka, namespace)
        self.ownership = Ownership(self.consumer, LogAdmin(kafka, namespace), reader, self.store, namespace)
        self.ownership.subscribe()

    def read(self) -> list[LogRecord]:
        """The next record if one comes within a moment, and if it is fresh."""
        records = [
            LogRecord(m.partition() or 0, m.offset() or 0, 0, m.key() or b"", m.value() or b"", None)
            for m in self.consumer.consume(1, 0.2)
            if m.error() is None
        ]
        self.ownership.raise_if_failed()
        return self.ownership.fresh(records)


@pytest.fixture
def owner(kafka: str, namespace: str, tmp_path: Path) -> Iterator[Owner]:
    """Of the one partition of a topic with eight records; nothing is read yet."""
    settings = Kafka(bootstrap=kafka, partitions=1)
    LogAdmin(settings, namespace).ensure_topics()
    write(settings, EVENTS.name(namespace), [(b"key", b"%d" % number) for number in range(RECORDS)])
    owner = Owner(settings, namespace, tmp_path)
    with closing(owner.store):
        yield owner
        owner.consumer.close()


def test_what_the_client_has_left_out_is_read_again(owner: Owner) -> None:
    """It is on the log still: no gap that a person has to accept."""
    first = eventually(owner.read)
    offset = first[-1].offset
    left_out = [LogRecord(0, offset + 3, 0, b"key", b"", None), LogRecord(0, offset + 4, 0, b"key", b"", None)]
    owner.consumer.seek(TopicPartition(owner.topic, 0, RECORDS))  # where a client would be that has left them out

    assert owner.ownership.fresh(left_out) == []
    read = [record.offset for record in first]
    eventually(lambda: read.extend(record.offset for record in owner.read()) or len(read) >= RECORDS)
    assert read == list(range(RECORDS))


def test_who_is_forgotten_by_the_group_says_so(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    eventually(owner.read)
    assert owner.ownership.assigned
    monkeypatch.setattr(ownerships, "FORGOTTEN_S", 0.0)
    owner.ownership.raise_if_failed()

    owner.consumer.unsubscribe()  # everything is taken, and nothing follows

    def forgotten() -> bool:
        owner.consumer.consume(1, 0.1)
        return not owner.ownership.assigned

    eventually(forgotten)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no word from the consumer group"):
        eventually(lambda: owner.ownership.raise_if_failed() or time.monotonic() - began > 30)


def test_who_gets_nothing_though_there_is_something_says_so(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the process begins again, and reads on."""
    eventually(owner.read)
    monkeypatch.setattr(ownerships, "STARVED_S", 0.0)
    owner.consumer.pause([TopicPartition(owner.topic, 0)])  # as good as a client that has stopped fetching
    eventually(lambda: not owner.consumer.consume(1, 0.2))
    owner.ownership.passed()

    with pytest.raises(Unavailable, match="do not come"):
        owner.ownership.passed()


def test_who_has_read_all_is_not_starved(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[LogRecord] = []
    eventually(lambda: read.extend(owner.read()) or len(read) >= RECORDS)
    monkeypatch.setattr(ownerships, "STARVED_S", 0.0)
    for _ in range(3):
        owner.ownership.passed()


def test_offsets_without_records_are_passed(
    owner: Owner, kafka: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction of somebody else's leaves one at its end, and those of what it has taken back."""
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": namespace})
    producer.init_transactions(60)
    for end in (producer.commit_transaction, producer.abort_transaction, producer.commit_transaction):
        producer.begin_transaction()
        producer.produce(owner.topic, b"taken", b"key")
        assert producer.flush(60) == 0
        end(60)
    end_offset = RECORDS + 6
    read: list[int] = []
    eventually(lambda: read.extend(one.offset for one in owner.read()) or len(read) == RECORDS + 2)
    assert read == [*range(RECORDS), RECORDS, RECORDS + 4]
    owner.ownership.advance({0: Progress(0, read[-1] + 1)})
    monkeypatch.setattr(ownerships, "STARVED_S", 0.0)
    assert owner.ownership.passed() == {}
    step = {0: Progress(read[-1] + 1, end_offset)}
    assert owner.ownership.passed() == step
    assert owner.ownership.advance(step) == {0: end_offset}
    assert owner.ownership.passed() == {}
    assert owner.ownership.passed() == {}


def test_where_nobody_has_begun_there_is_a_place_to_begin_at_before_anything_is_read(
    owner: Owner, kafka: str, namespace: str
) -> None:
    """Whoever is killed in the middle of its first batch has stored it, and told nobody."""
    eventually(lambda: owner.ownership.assigned or owner.consumer.consume(1, 0.1))
    config = consumer_config(Kafka(bootstrap=kafka), f"{namespace}.collector")
    with closing(Consumer(config)) as other:
        (place,) = other.committed([TopicPartition(owner.topic, 0)], timeout=10)
    assert place.offset == 0
