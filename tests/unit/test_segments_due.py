"""Who is due is asked once, on time, however many there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from hub.definitions.catalogue import Catalogue
from hub.pipeline.patches import operations_of
from hub.segments.due import AGAIN_MS, PAGE, DueSender
from hub.store.memory import MemoryStore
from schemas.records import Inbound
from tests.contracts.batches import NOW_MS, batch, profile


class Sent:
    """Takes what is sent."""

    def __init__(self) -> None:
        self.records: list[Inbound] = []

    def send(self, records: Iterable[Inbound]) -> list[tuple[int, int]]:
        self.records += records
        return []

    def take(self) -> list[Inbound]:
        taken, self.records = self.records, []
        return taken


def define(catalogue: Catalogue, id: str, offset: int, **spec: Any) -> None:
    value = msgspec.json.encode({"kind": "segment", "id": id, "spec": spec, "updated_at_ms": 0})
    catalogue.apply(f"segment/{id}".encode(), value, offset)


def site(**due: int | None) -> tuple[MemoryStore, Catalogue, Sent, list[int], DueSender]:
    store, catalogue, sent, clock = MemoryStore(), Catalogue(), Sent(), [NOW_MS]
    store.write(msgspec.structs.replace(batch(*(profile(id) for id in due)), due=due))
    define(catalogue, "still", 3, condition="traits.n > 1")
    define(catalogue, "moving", 4, condition="traits.at < now - 7d")
    define(catalogue, "off", 5, condition="traits.at < now - 7d", enabled=False)
    return store, catalogue, sent, clock, DueSender(store, sent, catalogue, lambda: clock[0])


def test_a_profile_is_asked_when_its_time_has_come_and_not_before() -> None:
    _, _, sent, clock, due = site(a=NOW_MS, b=NOW_MS + 5, c=None)
    assert due.tick() == 1
    (record,) = sent.take()
    assert (record["profile_id"], record["received_at_ms"], record["definitions_offset"]) == ("a", NOW_MS, 5)
    # of segments that time alone can change
    (operation,) = operations_of(record)
    assert operation.segments == ["moving"]  # type: ignore[union-attr]
    clock[0] += 4
    assert due.tick() == 0
    clock[0] += 1
    assert due.tick() == 1
    assert sent.take()[-1]["profile_id"] == "b"


def test_it_is_asked_once_and_again_when_nothing_has_come_of_it() -> None:
    store, _, sent, clock, due = site(a=NOW_MS)
    assert due.tick() == 1
    first = sent.take()
    assert due.tick() == 0
    clock[0] += AGAIN_MS
    assert due.tick() == 1
    again = sent.take()
    # another process, or a second time: the same record
    assert [one["id"] for one in again] == [one["id"] for one in first]
    store.write(msgspec.structs.replace(batch(), due={"a": clock[0] + 7}))
    assert due.tick() == 0
    clock[0] += 7
    assert due.tick() == 1
    assert sent.take()[0]["id"] != first[0]["id"]


def test_those_who_have_been_asked_hide_nobody() -> None:
    many = {f"p{n:05}": NOW_MS - 10 for n in range(2 * PAGE + 3)}
    store, _, sent, _, due = site(**many)
    assert due.tick() == len(many)
    assert {one["profile_id"] for one in sent.take()} == set(many)
    store.write(msgspec.structs.replace(batch(profile("late")), due={"late": NOW_MS - 1}))
    assert due.tick() == 1
    assert sent.take()[0]["profile_id"] == "late"
