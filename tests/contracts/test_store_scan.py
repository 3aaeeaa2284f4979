"""What every store promises to the agents: slices of profiles, who has done something, sessions that are over."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model import Session
from hub.pipeline.documents import iso
from hub.store import Store, open_store
from hub.store.port import Cut, IdleSession
from hub.store.query import QueryError
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, profile

HALF_HOUR_MS = 1_800_000


def ids(store: Store, query: str = "", after: str = "", until: str = "", most: int = 2) -> list[str]:
    """All of them, page by page."""
    found: list[str] = []
    while page := store.profile_ids(query, found[-1] if found else after, until, most):
        assert len(page) <= most
        found += page
    return found


def idle(id: str, ended_ms: int, *, profile_id: str = "p1", status: str = "active") -> Session:
    document = {
        "id": id,
        "profile": {"id": profile_id},
        "metadata": {"status": status, "time": {"end": iso(ended_ms)}},
    }
    return Session(id, profile_id, 1, document)


@given(st.sets(st.text("abcABC-é0", min_size=1, max_size=4), max_size=12), st.integers(1, 5))
def test_slices_have_everybody_once(names: set[str], size: int) -> None:
    """Whatever clients call their profiles."""
    store = open_store("memory://")
    store.write(batch(*(profile(name) for name in names)))
    after, found = "", list[str]()
    while True:
        cut = store.next_cut("profiles", after, size)
        part = ids(store, after=after, until=cut.until)
        assert len(part) == cut.size <= size
        found += part
        if not cut.until:
            break
        after = cut.until
    assert found == sorted(names)


def test_where_a_slice_ends(store: Store) -> None:
    store.write(batch(*(profile(f"p{n}") for n in range(5))))
    assert store.next_cut("profiles", "", 2) == Cut("p1", 2)
    assert store.next_cut("profiles", "p1", 2) == Cut("p3", 2)
    assert store.next_cut("profiles", "p3", 2) == Cut("", 1)
    assert store.next_cut("profiles", "p4", 2) == Cut("", 0)
    assert store.next_cut("profiles", "", 100) == Cut("", 5)
    assert store.next_cut("sessions", "", 2) == Cut("", 0)


def test_a_slice_of_so_many_that_match(store: Store) -> None:
    """With those between them in it, who may match by the time that somebody comes there."""
    store.write(batch(*(profile(f"p{n}", age=20 + n % 3) for n in range(9))))
    assert store.next_cut("profiles", "", 2, "traits.age = 21") == Cut("p4", 2)
    assert store.next_cut("profiles", "p4", 2, "traits.age = 21") == Cut("", 1)
    assert store.next_cut("profiles", "", 100, "traits.age > 20") == Cut("", 6)


def test_only_those_that_match_and_only_of_the_slice(store: Store) -> None:
    store.write(batch(*(profile(f"p{n}", age=20 + n) for n in range(9))))
    assert ids(store, "traits.age >= 23 AND traits.age < 27") == ["p3", "p4", "p5", "p6"]
    assert ids(store, "traits.age >= 23", after="p3", until="p6") == ["p4", "p5", "p6"]
    assert ids(store, after="p6") == ["p7", "p8"]
    with pytest.raises(QueryError):
        store.profile_ids("traits.age >=", "", "", 10)


def test_who_was_active(store: Store) -> None:
    """By the event's own time, whichever month it lies in, its type, and nobody else's."""
    store.epoch("topic")
    store.write(
        batch(
            *(profile(f"p{n}") for n in range(5)),
            event("e0", profile_id="p0", time_ms=NOW_MS),
            event("e1", profile_id="p1", time_ms=NOW_MS - MONTH_MS),
            event("e2", profile_id="p2", type="view"),
            event("e3", profile_id="", time_ms=NOW_MS),
            event("e4", profile_id="p4", time_ms=NOW_MS - 10),
        )
    )
    everybody = [f"p{n}" for n in range(5)]
    assert store.active(everybody, "purchase", NOW_MS - 10) == {"p0", "p4"}
    assert store.active(everybody, "purchase", NOW_MS - 9) == {"p0"}
    assert store.active(everybody, "purchase", NOW_MS - 2 * MONTH_MS) == {"p0", "p1", "p4"}
    assert store.active(["p1"], "purchase", NOW_MS - 2 * MONTH_MS) == {"p1"}
    assert store.active([], "purchase", 0) == set()


def test_sessions_in_which_nothing_happens_any_more(store: Store) -> None:
    store.epoch("topic")
    before = NOW_MS - HALF_HOUR_MS
    store.write(
        batch(
            idle("a", before - 1),
            idle("b", before, profile_id="p2"),
            idle("c", before - 1, status="ended"),
            idle("d", before - 1, profile_id=""),
            idle("e", before - 86_400_000 - 1),
            idle("f", before - 5),
            event("e1", session_id="a", time_ms=before - 1),
            event("e2", session_id="a", time_ms=before - 2),
        )
    )
    since = before - 86_400_000
    found = store.idle_sessions("", "", since, before, 10)
    assert found == [IdleSession("a", "p1", before - 1, "shop"), IdleSession("f", "p1", before - 5, "")]
    assert store.idle_sessions("a", "", since, before, 10) == found[1:]
    assert store.idle_sessions("", "a", since, before, 10) == found[:1]
    assert store.idle_sessions("", "", since, before, 1) == found[:1]
    assert msgspec.json.encode(found)
