"""`hub replay` on a real Kafka: into live it changes nothing, into a shadow it shows what other definitions change."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hub.log.admin import LogAdmin
from hub.log.partitions import partition_of_key
from hub.model import Counts
from hub.replay.bounds import BEGINNING, At, Offset, Offsets
from hub.settings import Kafka
from hub.store.port import Store
from schemas.topics import DEFINITIONS, EVENTS
from tests.factories import NOW_MS, event, track
from tests.kafka_tools import eventually, read, write, write_events
from tests.live.collector import CollectorProcess, collector
from tests.live.replayed import MOST, PROFILES, TIMES, Live, tables

pytestmark = pytest.mark.slow


@pytest.fixture
def live(kafka: str, namespace: str, tmp_path: Path) -> Iterator[Live]:
    one = Live(kafka, namespace, tmp_path)
    with collector(kafka, namespace, tmp_path):
        yield one


def says(log: Path, words: str) -> bool:
    return words in log.read_text()


def totals(store: Store) -> Counts:
    sums = Counts()
    for counts in store.books(0, 0).totals.values():
        for name in ("received", "stored", "duplicate", "dropped", "dead"):
            setattr(sums, name, getattr(sums, name) + getattr(counts, name))
    return sums


def test_into_live_it_changes_nothing(live: Live) -> None:
    """Not a byte of events, profiles, sessions; the copies are duplicates, and the next replay leaves them out."""
    live.send()
    write(live.kafka, EVENTS.name(live.namespace), [(b"p1", b"rubbish")])
    live.level()
    before = tables(live.folder)
    records, events = PROFILES * TIMES, 2 * PROFILES * TIMES

    counted = live.count(BEGINNING)
    assert (counted.records, counted.events) == (records, events)
    first = live.replay("--from", "beginning")
    assert (first["records"], first["events"], first["whole"]) == (records, events, True)
    assert first["skipped"]["undecodable"] == 1
    live.level()
    second = live.replay("--from", "0")
    assert second["records"] == records
    assert second["skipped"]["copies"] == records
    live.level()

    assert tables(live.folder) == before
    store = live.store()
    sums = totals(store)
    assert sums == Counts(received=3 * events + 1, stored=events, duplicate=2 * events, dead=1)
    assert store.books(0, 1 << 40).wrong == []
    store.close()
    assert "conflict" not in (live.folder / "collector.log").read_text()


def test_a_part_of_the_log_by_time_offset_and_query(live: Live) -> None:
    live.send()
    live.level()
    by_time = live.count(At(NOW_MS + 2), At(NOW_MS + 4))
    assert by_time.records == 2 * PROFILES
    assert by_time.skipped["out_of_time"] == 3 * PROFILES
    ends = LogAdmin(live.kafka, live.namespace).end_offsets()
    number = max(ends, key=ends.__getitem__)
    assert live.count(Offsets({number: 1}), Offsets({number: 3})).records == 2
    assert live.count(Offset(1)).records == sum(end - 1 for end in ends.values() if end)
    found = live.count(BEGINNING, query="type = view AND profile.id = p3")
    assert (found.records, found.events, found.whole) == (TIMES, TIMES, False)
    assert "there is no partition 99" in live.fails("--from", "99:0")


@pytest.mark.long
def test_a_shadow_with_the_same_definitions_is_the_same(live: Live) -> None:
    live.send()
    live.level()
    report = live.replay("--from", "beginning", "--into", live.shadow)
    assert report["diff"]["same"] == report["diff"]["live"] == report["diff"]["shadow"] == PROFILES
    assert report["diff"]["fields"] == []
    assert report["shadow"] == {
        "received": 2 * PROFILES * TIMES,
        "stored": 2 * PROFILES * TIMES,
        "duplicate": 0,
        "dropped": 0,
        "dead": 0,
    }


def test_a_hub_that_has_taken_nothing_yet(live: Live) -> None:
    live.level()
    report = live.replay("--from", "beginning", "--into", live.shadow)
    assert (report["records"], report["diff"]["live"], report["diff"]["shadow"]) == (0, 0, 0)


def test_a_shadow_with_another_mapping_shows_exactly_the_fields_that_differ(live: Live) -> None:
    """Again and again: each replay begins with an empty shadow, and leaves live alone."""
    live.send()
    live.level()
    before = tables(live.folder)
    folder = live.folder / "other"
    (folder / "mapping").mkdir(parents=True)
    (folder / "mapping" / "sum.json").write_text(json.dumps(MOST))
    (folder / "mapping" / "last.json").write_text("null")
    report = live.replay("--from", "beginning", "--into", live.shadow, "--definitions", str(folder), "--samples", "1")
    total, most, page = sum(range(TIMES)), TIMES - 1, f"/{TIMES - 1}"
    expected = [
        {"path": "traits.n", "profiles": PROFILES, "samples": [{"profile": "p0", "live": total, "shadow": most}]},
        {"path": "traits.page", "profiles": PROFILES, "samples": [{"profile": "p0", "live": page}]},
    ]
    assert report["diff"]["fields"] == expected
    assert report["diff"]["differ"] == PROFILES
    again = live.replay("--from", "beginning", "--into", live.shadow, "--samples", "1")
    assert again["diff"]["fields"] == expected, "the shadow's definitions were not kept"
    assert again["shadow"] == report["shadow"], "something of the first replay was left"
    part = live.replay("--from", "beginning", "--into", live.shadow, "--q", "profile.id = p1")
    assert (part["diff"]["only_live"], part["diff"]["shadow"]) == (PROFILES - 1, 1)
    assert tables(live.folder) == before


def test_what_kafka_has_deleted_is_read_from_the_store(live: Live) -> None:
    """In its order, whole payloads, with nothing twice: the shadow's profiles are the same again."""
    live.send(0, 3)
    # the same event once more, from another payload: a duplicate, of which the store has no document
    write_events(live.kafka, live.namespace, [track("p0", event("buy-0-0", n=0), received_at_ms=NOW_MS)])
    live.send(3)
    live.level()
    live.delete_records()
    before = tables(live.folder)
    into_live = live.replay("--from", "beginning")
    assert into_live["read"]["store"] > 0
    assert into_live["events"] >= 2 * PROFILES * TIMES
    live.level()
    assert tables(live.folder) == before
    report = live.replay("--from", "beginning", "--into", live.shadow)
    assert report["diff"]["same"] == report["diff"]["shadow"] == PROFILES, report["diff"]
    assert report["shadow"]["stored"] == 2 * PROFILES * TIMES
    assert live.count(Offset(1)).read["store"] > 0


def test_events_of_a_topic_that_was_made_anew_come_from_the_store(kafka: str, namespace: str, tmp_path: Path) -> None:
    live = Live(kafka, namespace, tmp_path)
    live.send(0, 3)
    with collector(kafka, namespace, tmp_path):
        live.level()
    LogAdmin(live.kafka, live.namespace).empty_topics([EVENTS])
    live.send(3)
    report = live.count(BEGINNING)
    assert report.read == {"store": 3 * PROFILES, "log": 2 * PROFILES}
    assert report.records == TIMES * PROFILES


@pytest.mark.timeout(300)
@pytest.mark.first
def test_a_replay_that_was_killed_is_started_again(live: Live) -> None:
    """Wherever it was: the shadow is emptied, nothing counts twice, and no collector is left behind."""
    live.send(0, 100)
    live.level()
    log = live.folder / f"shadow-{live.shadow}.log"
    for marker in ("partitions.assigned", "batches.stored"):
        log.write_text("")
        running = live.start("--from", "beginning", "--into", live.shadow)
        eventually(partial(says, log, marker))
        running.kill()
        running.communicate(timeout=30)
        assert running.returncode == -signal.SIGKILL, "it was done before it could be killed"
    report = live.replay("--from", "beginning", "--into", live.shadow)
    assert report["diff"]["same"] == PROFILES
    assert report["shadow"]["stored"] == 2 * PROFILES * 100
    running = live.start("--from", "beginning")
    eventually(lambda: sum(LogAdmin(live.kafka, live.namespace).end_offsets().values()) > PROFILES * 100)
    running.kill()
    running.communicate(timeout=30)
    before = tables(live.folder)
    assert live.replay("--from", "beginning")["records"] == PROFILES * 100
    live.level()
    assert tables(live.folder) == before


def test_a_namespace_that_no_replay_has_made_is_never_emptied(live: Live) -> None:
    live.send(0, 1)
    live.level()
    other = f"{live.namespace}-real"
    LogAdmin(live.kafka, other).ensure_topics()
    write_events(live.kafka, other, [track("p1", event("precious"))])
    assert "no replay from this data folder has made" in live.fails("--from", "0", "--into", other)
    assert "the live namespace itself" in live.fails("--from", "0", "--into", live.namespace)
    # not even with the marker of another namespace's definitions
    (live.folder / f"shadow-{other}.json").write_text('{"topic_id": "AAAAAAAAAAAAAAAAAAAAAA"}')
    assert "no replay from this data folder has made" in live.fails("--from", "0", "--into", other)
    assert len(read(live.kafka, other, EVENTS)) == 1
    assert LogAdmin(live.kafka, other).topic_id(DEFINITIONS)


def test_profiles_that_live_has_changed_since_are_not_compared(live: Live) -> None:
    live.send(0, 3)
    live.level()
    ends = LogAdmin(live.kafka, live.namespace).end_offsets()
    write_events(live.kafka, live.namespace, [track("p2", event("later", n=1)), track("new", event("first", n=1))])
    live.level()
    until = ",".join(f"{number}:{end}" for number, end in ends.items())
    report = live.replay("--from", "beginning", "--until", until, "--into", live.shadow)
    assert (report["diff"]["later"], report["diff"]["same"]) == (2, PROFILES - 1)
    assert report["diff"]["only_live"] == report["diff"]["differ"] == 0


def test_a_live_collector_that_stands_still_stops_a_replay_into_live(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """Bulk never piles up in front of a collector."""
    live = Live(kafka, namespace, tmp_path)
    one = CollectorProcess(kafka, namespace, tmp_path)
    try:
        live.send(0, 50)
        live.level()
        assert one.stop() == 0
    finally:
        one.kill()
    before = sum(LogAdmin(live.kafka, namespace).end_offsets().values())
    os.environ["HUB_BULK__PATIENCE_S"] = "2"
    try:
        assert "has stored nothing for 2 s" in live.fails("--from", "beginning")
    finally:
        del os.environ["HUB_BULK__PATIENCE_S"]
    sent = sum(LogAdmin(live.kafka, namespace).end_offsets().values()) - before
    assert sent < PROFILES * 50


@pytest.mark.parametrize("partitions", [1, 4, 7])
def test_our_partitioner_is_that_of_librdkafka(kafka: str, namespace: str, partitions: int) -> None:
    settings = Kafka(bootstrap=kafka, partitions=partitions)
    LogAdmin(settings, namespace).ensure_topics()
    keys = [f"{'é' * (n % 7)}{n}{'x' * (n % 5)}".encode() for n in range(300)]
    write(settings, EVENTS.name(namespace), [(key, b"x") for key in keys])
    messages = read(settings, namespace, EVENTS)
    assert len(messages) == len(keys)
    for message in messages:
        assert partition_of_key(message.key() or b"", partitions) == message.partition()
