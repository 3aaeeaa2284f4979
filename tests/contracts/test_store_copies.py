"""What every store promises to those who copy stored events: pages in order, and that no change of others is lost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from hub.model import Copied, Position, StoredEvent
from hub.store import Store
from hub.store.port import EventSpan
from hub.store.query import QueryError
from hub.task import Page, Planned, Task, after_page
from tests.contracts.batches import NOW_MS, batch, event
from tests.contracts.test_store_privacy import erasure, later


def stored(number: int, record: int, type: str = "purchase", **properties: Any) -> StoredEvent:
    one = event(f"e{number}", type=type, time_ms=NOW_MS - number, **properties)
    document = {**msgspec.json.decode(one.doc), "outcome": {"changes": []}}
    return replace(one, position=Position(1, 0, record, number), doc=msgspec.json.encode(document))


@pytest.fixture
def filled(store: Store) -> Store:
    """Ten events in four records: of one, four, two and three."""
    records = [0, 1, 1, 1, 1, 2, 2, 3, 3, 3]
    types = ["purchase", "view"] * 5
    store.write(batch(*(stored(n, record, types[n], n=n) for n, record in enumerate(records))))
    return store


def partition(store: Store) -> str:
    (only,) = store.event_partitions()
    return only


def numbers(store: Store, query: str = "", types: tuple[str, ...] = ("purchase",), *, size: int = 2) -> list[int]:
    """Of the events, page by page."""
    found: list[int] = []
    after = 0
    while rows := store.events_between(EventSpan(partition(store), after, 100), query, types, size):
        assert len(rows) <= size
        after = rows[-1][0]
        found += [msgspec.json.decode(document)["properties"]["n"] for _, document in rows]
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 10, 50])
def test_slices_cut_no_record_in_two_and_have_everything(filled: Store, size: int) -> None:
    after, records = 0, list[set[int]]()
    while until := filled.events_cut(partition(filled), after, size):
        rows = filled.events_between(EventSpan(partition(filled), after, until), "", ["purchase", "view"], 100)
        assert len(rows) >= min(size, 1)
        records.append({(0, 1, 1, 1, 1, 2, 2, 3, 3, 3)[msgspec.json.decode(doc)["properties"]["n"]] for _, doc in rows})
        after = until
    together = [record for some in records for record in some]
    assert sorted(together) == [0, 1, 2, 3]


def test_pages_in_the_order_they_came(filled: Store) -> None:
    assert numbers(filled) == [0, 2, 4, 6, 8]
    assert numbers(filled, types=("purchase", "view"), size=3) == list(range(10))
    assert numbers(filled, "properties.n > 3") == [4, 6, 8]
    assert numbers(filled, types=()) == []
    assert filled.count_between(EventSpan(partition(filled), 0, 100), "properties.n > 3", ["purchase"]) == 3
    with pytest.raises(QueryError):
        numbers(filled, "properties.n >")


def test_owners_of_events_in_the_order_of_their_profiles(store: Store) -> None:
    """Ids beyond ASCII and events without a profile included."""
    owners = ["zoe", "", "ann", "Zoe", "\U0001f600", "\uffee", "ann", ""]
    store.write(batch(*(event(f"e{n}", profile_id=owner, type="view", n=n) for n, owner in enumerate(owners))))
    span = EventSpan(partition(store), 0, 7)
    found = store.owners_between(span, "", ["view"])
    assert found == [("", 2), ("Zoe", 4), ("ann", 3), ("ann", 7), ("zoe", 1), ("\uffee", 6), ("\U0001f600", 5)]
    assert store.owners_between(span._replace(after=3), "properties.n < 6", ["view"]) == found[1:2] + found[5:]
    assert store.owners_between(span, "", ["purchase"]) == []
    with pytest.raises(QueryError):
        store.owners_between(span, "properties.n >", ["view"])


def test_a_document_is_written_only_as_it_was_read(filled: Store) -> None:
    rows = filled.events_between(EventSpan(partition(filled), 0, 100), "", ["purchase"], 2)
    changes = [(seq, old, old.replace(b'"n":', b'"m":')) for seq, old in rows]
    assert filled.rewrite_events(partition(filled), changes) == 2
    assert filled.rewrite_events(partition(filled), changes) == 0
    assert filled.rewrite_events(partition(filled), []) == 0
    again = filled.events_at(partition(filled), [seq for seq, _ in rows])
    assert again == [(seq, new) for seq, _, new in changes]
    assert filled.count("events", "properties.m >= 0") == 2


def test_what_was_copied_stands_beside_what_others_have_written(filled: Store) -> None:
    (first, *_) = filled.events_between(EventSpan(partition(filled), 0, 100), "", ["purchase"], 1)
    assert filled.rewrite_events(partition(filled), [(*first, first[1][:-1] + b',"traits":{"a":1}}')]) == 1
    told = Copied("e0", partition(filled), b'{"new":"abcdef"}', b'[{"field":"traits.x"}]')
    filled.write(replace(batch(), copied=[told]))
    document = filled.get("events", "e0")
    assert document is not None
    assert document["traits"] == {"a": 1}
    assert document["outcome"] == {"changes": [], "mapped": {"new": "abcdef"}, "copied": [{"field": "traits.x"}]}
    filled.write(replace(batch(), copied=[replace(told, id="gone"), replace(told, id="e1")]))
    assert filled.get("events", "gone") is None


def test_events_to_copy_are_found_by_id(filled: Store) -> None:
    month = partition(filled)
    found = filled.events_to_copy([(month, "e1"), (month, "nope"), ("2001-01", "e2")])
    assert found.keys() == {"e1"}
    assert msgspec.json.decode(found["e1"])["properties"] == {"n": 1}


def test_nothing_is_copied_of_somebody_who_is_erased(store: Store) -> None:
    """Also before their events are removed: under the same id there may be somebody new."""
    old, new = event("e1", profile_id="ann"), later(event("e2", profile_id="ann"))
    store.write(batch(old, new, event("e3", profile_id="eve")))
    keys = [(partition(store), id) for id in ("e1", "e2", "e3")]
    assert store.events_to_copy(keys).keys() == {"e1", "e2", "e3"}
    store.write(erasure("o1"))
    assert store.events_to_copy(keys).keys() == {"e2", "e3"}


def test_what_a_task_shows_is_forgotten_when_somebody_is_erased(store: Store) -> None:
    store.add_task(Task(id="t1", kind="copy", queue="q", arguments={}))
    store.plan_task("t1", [Planned({}, 9)], 5)
    part = store.begin_slice("t1", 0)
    assert part is not None
    part = after_page(part, Page({"at": 1}, 1, {}, ["ann's"]))
    assert store.save_slice("t1", part, 6)
    store.write(erasure("o1"))
    assert store.slices("t1") == [replace(part, sample=[])]
    # what was read before that, and comes now
    assert store.save_slice("t1", after_page(part, Page({"at": 2}, 1, {}, ["ann's, too"])), 7)
    assert store.slices("t1")[0].sample == []
    assert store.slices("t1")[0].done == 2
