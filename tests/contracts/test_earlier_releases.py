"""Data folders of earlier releases, as they were left: this release answers from them what those answered."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.model import CounterKey, Counts, EventKey, Wanted
from hub.store.port import MAX_PAGE, EventSpan
from hub.store.sqlite import SqliteStore, beside, moved, rollback
from hub.store.upgrading import due
from tests import upgrades
from tests.contracts.batches import batch, event, profile

NOW_MS = 1_796_000_000_000
OUTCOMES = ("received", "stored", "duplicate", "dropped", "dead")
KINDS = ("profiles", "events", "sessions", "dead-letters")


@pytest.fixture(params=upgrades.SCHEMAS)
def schema(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def opened(path: Path) -> SqliteStore:
    """As a collector opens it."""
    if due(f"sqlite:///{path}"):
        beside.upgrade(path, now_ms=lambda: NOW_MS)
    return SqliteStore(path)


@pytest.fixture
def answers(schema: int) -> dict[str, Any]:
    return upgrades.answers(schema)


def test_every_document_is_what_it_was(schema: int, answers: dict[str, Any], tmp_path: Path) -> None:
    """Profiles, events, sessions and dead letters: all of them, in the same order, each by its id as well."""
    with closing(opened(upgrades.unpack(schema, tmp_path))) as store:
        for kind in KINDS:
            expected = answers[f"/{kind}"]
            assert store.search(kind, "", MAX_PAGE, None).items == expected, kind  # type: ignore[arg-type]
            assert store.count(kind, "") == len(expected)  # type: ignore[arg-type]
            for document in expected:
                assert store.get(kind, document["id"]) == document  # type: ignore[arg-type]
        for id in ("person-0", "person-1", "phone"):
            assert store.get("profiles", id) == answers[f"/profiles/{id}"]
        assert store.get("profiles", "person-7") is None


def test_all_that_a_store_is_asked_still_works(schema: int, answers: dict[str, Any], tmp_path: Path) -> None:
    """Searches by the new code, who is who, the books, what walks through all of it, what only newer releases have."""
    with closing(opened(upgrades.unpack(schema, tmp_path))) as store:
        orders = [one for one in answers["/events"] if one["type"] == "order"]
        assert store.count("events", "type = order AND properties.total >= 0") == len(orders)
        assert store.values("events", "", "type")[0].documents >= len(orders)
        assert sum(store.histogram("events", "", [0, NOW_MS * 2]).counts) == len(answers["/events"])
        totals = answers["/balance"]
        books = store.books(0, 2**40, count_events=True)
        sums = {name: sum(getattr(one, name) for one in books.totals.values()) for name in OUTCOMES}
        assert sums == {name: totals[name] for name in OUTCOMES}
        assert (books.stored_events, books.wrong) == (totals["stored"], [])
        epoch, progress = store.latest_progress()
        assert store.progress(epoch) == progress
        assert store.survivor("phone") == "person-0"
        assert {row.loser_id for row in store.merges(["person-0"])} == {"person-1", "phone"}
        assert store.known(Wanted(["person-0"], [], [EventKey(orders[0]["id"], ())])).profiles
        (letter,) = answers["/dead-letters"]
        assert store.dead_letter_body(letter["id"]) == b"no Avro at all"
        assert store.open_dead_letters("", 10, 0)[0][0]["id"] == letter["id"]
        assert [row.kind for row in store.orders(10, None)] == ["erase"]
        assert store.removals() == []
        places = store.event_places(None, 1_000)
        assert len(places) == len(answers["/events"])
        assert len(store.profiles_after("", 1_000)) == len(answers["/profiles"])
        assert [one.id for one in store.aliases_after("", 10)] == ["person-1", "phone"]
        assert store.next_cut("profiles", "", 1_000)
        for partition in store.event_partitions():
            last = store.events_cut(partition, 0, 1_000)
            found = store.events_between(EventSpan(partition, 0, last), "", ["order", "page-view", "sign-in"], 1_000)
            assert found
            assert all(msgspec.json.decode(document)["id"] for _, document in found)
        assert [row.id for row in store.versions("mapping", "orders", 10, None)] == ["orders"]
        assert (store.promoted(), store.tasks(10), store.due(NOW_MS, 10)) == ([], [], [])
        assert store.segment_sizes() == {}


def test_what_comes_next_is_stored_behind_it(schema: int, answers: dict[str, Any], tmp_path: Path) -> None:
    """The collector goes on where the release before has stopped."""
    with closing(opened(upgrades.unpack(schema, tmp_path))) as store:
        epoch, progress = store.latest_progress()
        partition, offset = min(progress.items())
        store.write(
            batch(
                event("new", profile_id="person-2"),
                profile("person-2", 2**50, city="Rome"),
                epoch=epoch,
                progress={partition: (offset, offset + 1)},
                counters={CounterKey(epoch, partition, "shop", 1): Counts(received=1, stored=1)},
            )
        )
        assert store.count("events", "") == len(answers["/events"]) + 1
        assert store.latest_progress()[1][partition] == offset + 1
        found = store.get("profiles", "person-2")
        assert found is not None
        assert found["traits"] == {"city": "Rome"}


def test_back_to_that_release_is_row_by_row_what_it_left(schema: int, tmp_path: Path) -> None:
    """`hub migrate store`, and `hub migrate rollback`."""
    path = upgrades.unpack(schema, tmp_path)
    before = dump(path)
    assert beside.upgrade(path, now_ms=lambda: NOW_MS) is not None
    assert dump(path) != before
    rollback.roll_back(path, now_ms=lambda: NOW_MS)
    assert dump(path) == before


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        is_moved = moved.is_moved(connection)
        return [f"moved: {is_moved}", *connection.iterdump()]
