"""What every store promises to a replay: everything in it, page by page."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from hub.store import Store
from hub.store.port import EventPlace
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, profile


def walk(store: Store, most: int) -> Iterator[EventPlace]:
    after = None
    while page := store.event_places(after, most):
        assert len(page) <= most
        yield from page
        after = page[-1]


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_every_event_is_met_once_whatever_the_size_of_a_page(store: Store, most: int) -> None:
    """Months and outliers alike, those that are written while the walk goes on among them."""
    store.epoch("topic")
    events = [event(f"e{n}", time_ms=NOW_MS - (n % 3) * MONTH_MS) for n in range(7)]
    outlier = event("odd", time_ms=NOW_MS + 10 * MONTH_MS)
    store.write(batch(*events, outlier))
    found = list(walk(store, most))
    documents = [doc for place in found for doc in store.event_documents(place.partition, [place.seq])]
    by_id = {msgspec.json.decode(doc)["id"]: place for doc, place in zip(documents, found, strict=True)}
    assert sorted(by_id) == sorted(one.id for one in (*events, outlier))
    for one in (*events, outlier):
        place = by_id[one.id]
        assert (place.position, place.received_at_ms, place.partition) == (one.position, NOW_MS, one.partition)


def test_documents_come_in_the_order_asked_for(store: Store) -> None:
    store.epoch("topic")
    store.write(batch(*(event(f"e{n}") for n in range(4))))
    places = store.event_places(None, 10)
    seqs = [places[2].seq, places[0].seq, places[3].seq]
    documents = store.event_documents(places[0].partition, seqs)
    assert [msgspec.json.decode(doc)["id"] for doc in documents] == ["e2", "e0", "e3"]


def test_profiles_by_id(store: Store) -> None:
    """In the order of their code points, so that two stores can be compared in one pass."""
    ids = ["b", "a", "é", "z", "\U0001f600", "\uffff", "A", "a-1"]
    store.write(batch(*(profile(id) for id in ids)))
    found: list[str] = []
    while page := store.profiles_after(found[-1] if found else "", 3):
        assert all(msgspec.json.decode(document)["id"] == id for id, document in page)
        found += [id for id, _ in page]
    assert found == sorted(ids)


def test_a_topic_that_was_never_read_has_no_number(store: Store) -> None:
    """Asking gives it none: only the collector does."""
    assert store.known_epoch("topic") is None
    assert store.epoch("other") == 1
    assert store.known_epoch("topic") is None
    assert (store.epoch("topic"), store.known_epoch("topic")) == (2, 2)
    assert store.event_places(None, 5) == []
    assert store.profiles_after("", 5) == []


def test_events_on_segments_are_left_out_of_what_two_stores_are_compared_by(store: Store) -> None:
    """The hub makes them again, and perhaps others."""
    store.epoch("topic")
    own = msgspec.structs.replace(event("e1"), source="@segments")
    store.write(batch(event("e0"), own, event("e2"), event("e3")))
    (partition,) = store.event_partitions()
    first, *_ = page = store.events_since(partition, 0, 2)
    assert [one.id for one in page] == ["e0", "e2"]
    assert [one.id for one in store.events_since(partition, page[-1].seq, 2)] == ["e3"]
    assert store.events_since(partition, first.seq, 10)[0].id == "e2"
