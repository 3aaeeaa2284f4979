"""Who was part of somebody else once, and is told apart from them: each has their own, wherever it lies."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from hub.api.export import Export
from hub.pipeline.letter_owner import Looking
from hub.store.port import Store
from schemas.records import Inbound
from tests.factories import NOW_MS
from tests.unit.hub_model import Hub, step_record
from tests.unit.test_privacy import hub, ids_of, order, sign_in, store, sweep
from tests.unit.test_privacy_merges import settled

__all__ = ["hub", "store"]
"""Fixtures."""


def sent(id: str, profile: str, at: int, who: str = "", session: str | None = None) -> Inbound:
    return sign_in(id, profile, who, n=at, session=session, at_ms=NOW_MS + at)


def erase(hub: Hub, profile: str, at: int) -> None:
    hub.settle()
    hub.put(order(f"o{at}", profile, at_ms=NOW_MS + at))
    hub.settle()
    sweep(hub.store)


def undo(hub: Hub, loser: str) -> None:
    """The newest merge of a profile that holds."""
    hub.settle()
    rows = [row for row in hub.store.merges([loser]) if row.loser_id == loser and row.undone_ms is None]
    hub.put(step_record(rows[-1].id, rows[-1].survivor_id, loser, "undo"))
    hub.settle()


def a_while_as_one(hub: Hub) -> None:
    """p1 is part of p0 for a while, in which p2 comes to p0; then p1 is told apart, and goes on."""
    hub.put(sent("e0", "p0", 10, "w0"), sent("e1", "p1", 20, "w1"))
    hub.settle()
    hub.put(sent("e2", "p1", 30, "w0"))
    hub.settle()
    hub.put(sent("e3", "p1", 40, "w3", "s1"), sent("e4", "p0", 50), sent("e5", "p2", 60, "w2"))
    hub.settle()
    hub.put(sent("e6", "p2", 70, "w0"))
    undo(hub, "p1")
    assert hub.profile("p1")["traits"]["every"] == [20, 30, 40]
    assert hub.profile("p0")["traits"]["every"] == [10, 50, 60, 70]


def lies_under(hub: Hub, event: str) -> str:
    found = hub.store.get("events", event)
    assert found is not None
    return str(found["profile"]["id"])


def test_who_is_erased_leaves_nothing_where_they_were(hub: Hub) -> None:
    """Neither their events, nor by an undo of who came there meanwhile; all else is as it was."""
    a_while_as_one(hub)
    assert lies_under(hub, "e3") == "p0"
    erase(hub, "p1", 100)
    assert settled(hub) == ["e0", "e4", "e5", "e6"]
    (row,) = hub.store.merges(["p0"])
    assert (row.loser_id, hub.store.undo(row.id)) == ("p2", None)
    hub.put(step_record(row.id, "p0", "p2", "undo"))
    assert settled(hub) == ["e0", "e4", "e5", "e6"]
    assert hub.profile("p2")["traits"]["every"] == [10, 50, 60, 70]
    assert ids_of(hub.store, "profiles") == ["p0"]


def test_who_comes_back_is_nobody_that_was_known_there(hub: Hub) -> None:
    """Not even by an identifier that they came with while they were part of somebody else."""
    a_while_as_one(hub)
    erase(hub, "p1", 100)
    hub.put(sent("e7", "p4", 110, "w3"))
    hub.settle()
    assert hub.profile("p4")["ids"] == ["p4"]
    hub.put(sent("e8", "p1", 120, "w0"))
    hub.settle()
    assert hub.profile("p1")["traits"]["every"] == [10, 50, 60, 70, 120]


def test_who_they_were_part_of_is_erased_without_them(hub: Hub) -> None:
    """What came for p1 lies under p0's id, and counts for p1: it stays, and is found when p1 is erased in turn."""
    a_while_as_one(hub)
    undo(hub, "p2")
    erase(hub, "p0", 100)
    assert ids_of(hub.store) == ["e1", "e2", "e3", "e5", "e6"]
    assert hub.profile("p1")["traits"]["every"] == [20, 30, 40]
    assert hub.store.merges(["p0", "p1", "p2"]) == []
    hub.put(sent("e2", "p1", 30, "w0"), sent("e3", "p1", 40, "w3", "s1"))
    hub.settle()
    assert hub.profile("p1")["traits"]["every"] == [20, 30, 40]
    erase(hub, "p1", 110)
    assert ids_of(hub.store) == ["e5", "e6"]


def test_a_merge_into_who_was_told_apart_is_undone_after_the_other_is_erased(hub: Hub) -> None:
    """It needs what came for p1 while p1 was part of p0."""
    hub.put(sent("e0", "p0", 10, "w0"), sent("e1", "p1", 20, "w1"), sent("e2", "p3", 30))
    hub.settle()
    hub.put(sent("e3", "p3", 40, "w1"))
    hub.settle()
    hub.put(sent("e4", "p1", 50, "w0"))
    hub.settle()
    hub.put(sent("e5", "p1", 60), sent("e6", "p3", 70))
    undo(hub, "p1")
    erase(hub, "p0", 100)
    undo(hub, "p3")
    assert hub.profile("p1")["traits"]["every"] == [20, 50, 60]
    assert hub.profile("p3")["traits"]["every"] == [30, 40, 70]


@pytest.mark.parametrize(
    ("profile", "events"), [("p0", ["e0", "e4", "e5", "e6"]), ("p1", ["e1", "e2", "e3"]), ("p2", [])]
)
def test_an_export_has_what_is_the_persons_wherever_it_lies(hub: Hub, profile: str, events: list[str]) -> None:
    a_while_as_one(hub)
    if not events:
        undo(hub, "p2")
        events = ["e5", "e6"]
    assert exported(hub.store, profile) == events


def exported(store: Store, profile: str) -> list[str]:
    document = store.get("profiles", profile)
    assert document is not None
    with zipfile.ZipFile(io.BytesIO(b"".join(Export(store, document, {}, Looking(b"key"), NOW_MS)))) as file:
        (name,) = [one for one in file.namelist() if "events" in one]
        return sorted(json.loads(line)["id"] for line in file.read(name).splitlines())
