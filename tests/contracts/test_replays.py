"""Replays from a store: of letters of the first version under ids that stay the same, and in the source's order."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bridges.replay import converter_with
from hub.api.replay import Replayer, Unreplayable
from hub.api.sending_again import send_again
from hub.api.tasks import TaskViews
from hub.definitions.catalogue import Catalogue
from hub.settings import Limits, Settings
from hub.store.memory import MemoryStore
from hub.store.port import Reading
from hub.store.sqlite import SqliteStore, beside, schema
from schemas.codec import decode_inbound, encode_inbound
from schemas.records import REFUSED
from schemas.replays import Replay
from tests.contracts.batches import NOW_MS, batch, letter
from tests.factories import event, track
from tests.letters import Log
from workers.jobs.kinds import kinds

FIRST_VERSION = {
    "source": "shop",
    "reason": "not_json",
    "detail": "no JSON",
    "at": "2025-11-24T16:00:00.000Z",
    "attempts": 1,
    "body_sha256": None,
    "headers": {"x-id": "42"},
    "position": {"epoch": 1, "partition": 0, "offset": 5, "place": 0},
}


@pytest.fixture
def old(tmp_path: Path) -> SqliteStore:
    """A store that the first version has filled: a message, a record of ours, and bytes that are none."""
    path = tmp_path / "hub.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    schema.migrate(connection, path, schema.MIGRATIONS[:1])
    originals = {
        "message": ("bridge", "bridge:b:t/0/1", b'{"events": [{"type": "a"}]}'),
        "record": ("collector", "rest", encode_inbound(track("p1", event("e1")))),
        "bytes": ("collector", "log", b"rubbish"),
    }
    for id, (stage, origin, body) in originals.items():
        document = {"id": id, "stage": stage, "origin": origin, "body_size": len(body), **FIRST_VERSION}
        connection.execute(
            "INSERT INTO dead_letters (id, at_ms, source, reason, body, body_sha256, body_size, doc)"
            " VALUES (?,?,?,?,?,?,?,?)",
            (id, NOW_MS, "shop", "not_json", body, None, len(body), json.dumps(document)),
        )
    connection.close()
    beside.upgrade(path, now_ms=lambda: NOW_MS)
    return SqliteStore(path)


def _replayer(
    log: Log,
    store: Reading,
    catalogue: Catalogue,
    now_ms: Callable[[], int],
    send_again: Callable[[Sequence[Mapping[str, Any]]], str] | None = None,
) -> Replayer:
    return Replayer(
        log,  # type: ignore[arg-type]
        store,
        catalogue,
        namespace="hub",
        limits=Limits(),
        converter=converter_with({}),
        now_ms=now_ms,
        send_again=send_again,
    )


def test_they_are_open_and_can_be_found(old: SqliteStore) -> None:
    found = old.get("dead-letters", "message")
    assert found is not None
    new = ("status", "first_at", "resolved_at", "payload_id", "key", "time_ms", "meta")
    assert [found[name] for name in new] == ["open", found["at"], None, None, None, None, {}]
    assert set(found) == set(_fresh(old))
    assert old.count("dead-letters", "status = open AND attempts = 1 AND payload_id = null") == 3
    old.write(batch(failed_again=[letter("message")], resolved={"bytes": NOW_MS}))
    assert old.count("dead-letters", "attempts = 2") == 1
    assert [one["id"] for one in old.open_dead_letters("", 10, 0)[0]] == ["message", "record", "fresh"]
    old.close()


def _fresh(store: SqliteStore) -> dict[str, object]:
    store.write(batch(letter("fresh")))
    found = store.get("dead-letters", "fresh")
    assert found is not None
    return found


async def test_each_replay_of_them_has_the_same_ids(old: SqliteStore) -> None:
    catalogue = Catalogue()
    catalogue.apply(b"source/shop", b'{"spec": {}, "updated_at_ms": 0}', 0)
    log, clock = Log(), [NOW_MS]
    replayer = _replayer(log, old, catalogue, lambda: clock[0])
    report = await replayer.all("", None, None, 0)
    assert (report.matched, report.sent, report.skipped) == (3, 2, 1)
    assert [record[0] for record in log.records] == [b"p1", b"bytes"]
    assert [record[2] for record in log.records] == [Replay("record", 2), Replay("bytes", 2)]

    spec = {"type": "kafka", "source": "shop"}
    catalogue.apply(b"bridge/b", json.dumps({"spec": spec, "updated_at_ms": 0}).encode(), 1)
    log.records.clear()
    for clock[0] in (NOW_MS + 1, NOW_MS + 40 * 86_400_000):
        await replayer.one("message", None, None)
    one, other = (decode_inbound(value) for _, value, _ in log.records)
    assert one["body"] == other["body"], "the same events, and as old"
    assert (one["id"], one["profile_id"], one["origin"]) == (other["id"], other["profile_id"], "bridge:b:t/0/1")
    assert one["body"][1]["events"][0]["time_ms"] == NOW_MS  # type: ignore[typeddict-item]

    catalogue.apply(b"source/shop", None, 2)
    log.records.clear()
    assert (await replayer.one("message", None, None)).refused == 1
    [(_, value, replay)] = log.records
    refused = decode_inbound(value)
    assert (refused["id"], refused["body"][0], replay) == (one["id"], REFUSED, Replay("message", 2))
    old.close()


async def test_letters_of_one_source_go_in_its_order_however_the_collector_came_by_them() -> None:
    """Refused messages of one topic lie on all partitions of ours; numbers in a position count as numbers."""
    store, log = MemoryStore(), Log()
    places = [("t/0/10", 5), ("t/0/9", 5), ("t/0/100", 5), ("t/0/2", 6), ("t/0/1", None), ("t/0/11", 5)]
    for position, time_ms in places:
        made = letter(f"letter {position}")
        store.write(batch(replace(made, origin=f"bridge:gone:{position}", time_ms=time_ms)))
    mapping = {"source": "'shop'", "event": {"type": "'a'"}}
    report = await _replayer(log, store, Catalogue(), lambda: NOW_MS).all("", mapping, None, 0)
    assert (report.matched, report.refused) == (6, 6), "their bytes are no JSON"
    sent = [replay.letter_id for *_, replay in log.records if replay is not None]
    assert sent == [f"letter t/0/{number}" for number in (9, 10, 11, 100, 2, 1)]


async def test_messages_of_flows_are_asked_of_a_task_and_once_as_long_as_that_is_under_way() -> None:
    """What is stored of an event is not sent again by it, and what a flow has said is neither edited nor mapped."""
    catalogue, store, log = Catalogue(), MemoryStore(), Log()
    of_flow = replace(letter("m1"), stage="destination", origin="destination:crm:flow/1")
    of_event = replace(letter("e1"), stage="destination", origin="destination:crm:hub.stored.v1/0/1")
    store.write(batch(of_flow, of_event))
    views = TaskViews(store, store, kinds(Settings()), None, lambda: NOW_MS)
    replayer = _replayer(log, store, catalogue, lambda: NOW_MS, partial(send_again, views, store))
    report = await replayer.all("", None, None, 0)
    assert (report.matched, report.sent, report.skipped) == (2, 1, 1)
    assert "POST /destinations/{id}/rewind" in report.problems[0].detail
    (task,) = report.tasks
    found = store.task(task)
    assert found is not None
    assert found.arguments == {"letters": [{"id": "m1", "attempts": 1, "resolved_at": None}]}
    assert (await replayer.one("m1", None, None)).tasks == [task]
    store.cancel_task(task, NOW_MS)
    assert (await replayer.one("m1", None, None)).tasks != [task]
    assert len(store.tasks(10, None)) == 2
    mapping = {"event": {"type": "'a'"}}
    mapped = await replayer.all("", mapping, None, 0)
    assert (mapped.sent, mapped.skipped, mapped.tasks) == (0, 2, [])
    for body, mapping_ in ((b"{}", None), (None, mapping)):
        with pytest.raises(Unreplayable, match="sent as it is"):
            await replayer.one("m1", body, mapping_)
    assert log.records == []
