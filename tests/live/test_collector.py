"""The collector process on a real Kafka: gaps, new topics, several of them, rubbish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from hub.errors import Refused, Unavailable
from hub.log.admin import LogAdmin
from hub.model import Counts
from hub.settings import Kafka
from hub.store import open_store
from hub.store.port import Store
from schemas.codec import decode_stored
from schemas.records import MERGE, Inbound, Merge
from schemas.topics import EVENTS, STORED
from tests import stores
from tests.factories import event, track
from tests.kafka_tools import define, eventually, read, write_events
from tests.live.collector import CollectorProcess, collector

YEAR_10000_MS = 253_402_300_800_000
SUM = {"event_type": "purchase", "fields": [{"event": "properties.n", "profile": "traits.n", "op": "add"}]}


def _prepare(kafka: str, namespace: str) -> Kafka:
    settings = Kafka(bootstrap=kafka, partitions=4)
    LogAdmin(settings, namespace).ensure_topics()
    define(settings, namespace, "mapping", "sum", SUM)
    return settings


def _store(folder: Path, namespace: str) -> Store:
    """The store, once the collector has made it."""
    store = open_store(stores.store_url(folder, namespace), readonly=True)
    eventually(lambda: _is_there(store))
    return store


def _is_there(store: Store) -> bool:
    try:
        store.ping()
    except Unavailable:
        return False
    return True


def _totals(store: Store) -> Counts:
    totals = Counts()
    for _, counts in store.counters():
        totals.received += counts.received
        totals.stored += counts.stored
        totals.duplicate += counts.duplicate
        totals.dead += counts.dead
    return totals


def _applied(store: Store) -> int:
    return sum(store.latest_progress()[1].values())


def test_a_gap_in_the_log_stops_the_collector_until_a_person_accepts_it(
    kafka: str, namespace: str, tmp_path: Path, start: Callable[[str], CollectorProcess]
) -> None:
    settings = _prepare(kafka, namespace)
    write_events(settings, namespace, [track("p1", event(f"e{n}", n=1)) for n in range(10)])
    admin = LogAdmin(settings, namespace)
    (number,) = [number for number, end in admin.end_offsets().items() if end]
    client = AdminClient({"bootstrap.servers": kafka})
    place = TopicPartition(EVENTS.name(namespace), number, 4)
    for future in client.delete_records([place]).values():
        future.result()

    stuck = start("stuck")
    assert stuck.process.wait(60) == 78
    said = stuck.log.read_text()
    assert f"partition {number} has no records 0 to 3" in said
    assert "--accept-gap" in said
    store = _store(tmp_path, namespace)
    assert store.count("events", "") == 0

    with collector(kafka, namespace, tmp_path, "--accept-gap"):
        eventually(lambda: _totals(store).stored == 6)
    store.close()


@pytest.mark.slow
def test_a_topic_that_was_made_anew_goes_on_with_the_same_profiles(kafka: str, namespace: str, tmp_path: Path) -> None:
    """Its offsets begin at 0 again; the epoch keeps the versions growing."""
    settings = _prepare(kafka, namespace)
    sent = [track("p1", event(f"e{n}", n=1)) for n in range(20)]
    write_events(settings, namespace, sent)
    with collector(kafka, namespace, tmp_path):
        store = _store(tmp_path, namespace)
        eventually(lambda: _totals(store).stored == 20)
    before = store.get("profiles", "p1")
    client = AdminClient({"bootstrap.servers": kafka})
    name = EVENTS.name(namespace)
    client.delete_topics([name])[name].result()
    eventually(lambda: name not in client.list_topics(timeout=5).topics)
    eventually(lambda: _made_again(settings, namespace))
    write_events(settings, namespace, [*sent[:5], track("p1", event("new", n=100))])

    with collector(kafka, namespace, tmp_path):
        eventually(lambda: _totals(store).received == 26)
    after = store.get("profiles", "p1")
    assert before is not None
    assert after is not None
    assert after["traits"]["n"] == 120
    assert after["metadata"]["version"] > before["metadata"]["version"]
    assert _totals(store).duplicate == 5
    store.close()


def _made_again(settings: Kafka, namespace: str) -> bool:
    """Whether the topic is there: for a moment after its deletion the broker still says that it exists."""
    admin = LogAdmin(settings, namespace)
    try:
        admin.ensure_topics()
        return bool(admin.end_offsets())
    except (Unavailable, Refused):
        return False


def test_records_of_ours_that_cannot_be_looked_up_are_buried_and_hold_up_nobody(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """What a newer release, or somebody else, has put onto the topic: steps of merges, ways of records, times."""
    settings = _prepare(kafka, namespace)
    sent = [track("p1", event(f"e{n}", n=1)) for n in range(4)]
    reason = b'{"kind":"new"}'
    merge: Merge = {"loser_id": "p9", "loser_version": 0, "snapshot": b"{}", "step": "data", "reason": reason}
    handed_on: Inbound = {**track("p1", event("e9", n=1)), "forwarded_for": "alias"}
    other: Inbound = {**sent[0], "id": "m", "body": (MERGE, merge)}
    point = {"event_type": "purchase", "identifiers": [{"event": "properties.who", "kind": "id"}]}
    define(settings, namespace, "identification-point", "who", point)
    write_events(settings, namespace, [*sent[:2], other, handed_on, *sent[2:]])
    # Kafka before 3.6 takes any time from the future, and this one if it is told to
    entry = ConfigEntry("message.timestamp.after.max.ms", str(2**62), incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, EVENTS.name(namespace), incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.incremental_alter_configs([topic])[topic].result()
    producer = Producer({"bootstrap.servers": kafka})
    errors: list[object] = []
    for at_ms in (1, YEAR_10000_MS):
        producer.produce(
            EVENTS.name(namespace), b"rubbish", timestamp=at_ms, on_delivery=lambda error, _: errors.append(error)
        )
    assert producer.flush(30) == 0
    assert errors == [None, None]
    with collector(kafka, namespace, tmp_path) as process:
        store = _store(tmp_path, namespace)
        eventually(lambda: _totals(store) == Counts(received=8, stored=4, dead=4))
        assert "collector.stumbled" in process.log.read_text()
    profile = store.get("profiles", "p1")
    assert profile is not None
    assert profile["traits"]["n"] == 4
    store.close()


@pytest.fixture
def start(kafka: str, namespace: str, tmp_path: Path) -> Iterator[Callable[[str], CollectorProcess]]:
    """Starts collectors of one namespace on one store; whatever is left of them at the end is killed."""
    started: list[CollectorProcess] = []

    def start(name: str) -> CollectorProcess:
        started.append(CollectorProcess(kafka, namespace, tmp_path, name=name))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.mark.slow
def test_collectors_that_come_and_go_lose_and_double_nothing(
    kafka: str, namespace: str, tmp_path: Path, start: Callable[[str], CollectorProcess]
) -> None:
    settings = _prepare(kafka, namespace)
    profiles, rounds = 30, 40

    def send(first: int, last: int) -> None:
        write_events(
            settings,
            namespace,
            [
                track(f"p{p}", event(f"{p}-{n}", n=n), session_id=f"s{p}")
                for n in range(first, last)
                for p in range(profiles)
            ],
        )

    send(0, 10)
    one = start("one")
    store = _store(tmp_path, namespace)
    eventually(lambda: _applied(store) > 0)
    two = start("two")
    send(10, 20)
    eventually(lambda: "partitions.assigned" in two.log.read_text())
    send(20, 30)
    eventually(lambda: _applied(store) == profiles * 30)
    # what one still remembers of the partitions that it gets back is out of date by now
    assert two.stop() == 0, two.log.read_text()
    send(30, 35)
    eventually(lambda: _applied(store) == profiles * 35)
    one.kill()
    send(35, rounds)
    three = start("three")
    eventually(lambda: _applied(store) == profiles * rounds)
    assert three.stop() == 0, three.log.read_text()

    assert _totals(store) == Counts(received=profiles * rounds, stored=profiles * rounds)
    for p in range(profiles):
        profile = store.get("profiles", f"p{p}")
        assert profile is not None
        assert profile["traits"]["n"] == sum(range(rounds))
    told: dict[str, list[int]] = {}
    for message in read(settings, namespace, STORED):
        record = decode_stored(message.value() or b"")
        numbers = told.setdefault(record["profile_id"], [])
        number = int(record["id"].split("-")[1])
        if number not in numbers:
            numbers.append(number)
    assert all(numbers == list(range(rounds)) for numbers in told.values()), "not in order"
    store.close()
