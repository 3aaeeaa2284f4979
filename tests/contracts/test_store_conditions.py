"""Searches of profiles by what has happened to them, and by what is not there: the same in every store."""

from __future__ import annotations

import time
from typing import Any

from hub.conditions.history import note, series_of
from hub.model import Profile
from hub.store import Store
from hub.store.query import for_kind, parse
from tests.contracts.batches import batch, event

HISTORY = "count(buy) in last 1 day >= 2"
DAY_MS = 86_400_000


def shopper(id: str, ago_ms: list[int] | None, **traits: Any) -> Profile:
    """Args: ago_ms: how long ago it bought something; None: that is not kept."""
    document: dict[str, Any] = {"id": id, "traits": traits, "metadata": {"history": {}}}
    ((key, series),) = series_of([for_kind(parse(HISTORY), "profiles")]).items()
    if ago_ms is not None:
        state: dict[str, Any] = {"count": 0}
        for ago in ago_ms:
            state = note(state, series, time.time_ns() // 1_000_000 - ago)
        document["metadata"]["history"][key] = state
    return Profile(id, 1, document)


def ids(store: Store, query: str) -> list[str]:
    """In the order of their ids."""
    found = sorted(one["id"] for one in store.search("profiles", query, 100, None).items)
    assert store.count("profiles", query) == len(found)
    return found


def test_profiles_are_found_by_their_history(store: Store) -> None:
    """The span goes by the time of the search; what is not kept is unknown."""
    store.write(
        batch(
            shopper("often", [0, 1_000, 2 * DAY_MS]),
            shopper("once", [0, 3 * DAY_MS]),
            shopper("never", []),
            shopper("unknown", None),
        )
    )
    assert ids(store, HISTORY) == ["often"]
    assert ids(store, f"NOT {HISTORY}") == ["never", "once"]
    assert ids(store, "count(buy) in last 1 day != 2") == ["never", "once", "unknown"]
    assert ids(store, "never(buy)") == ["never"]
    assert ids(store, "last(buy) > now - 1h AND count(buy) BETWEEN 2 AND 3") == ["often", "once"]
    assert ids(store, "first(buy) < now - 2d AND first(buy) > now - 59h") == ["often"]
    assert ids(store, "last(buy) IS NULL") == ["never"]


def test_not_of_what_is_not_there_finds_nothing(store: Store) -> None:
    """In columns, in documents, in lists."""
    store.write(
        batch(
            shopper("a", None, age=40, tags=["x", "y"]),
            shopper("b", None, age=20, tags=[]),
            shopper("c", None, age="20"),
            event("e1", session_id="", n=1),
            event("e2", session_id="s2"),
        )
    )
    assert ids(store, "NOT traits.age > 30") == ["b"]
    assert ids(store, "NOT traits.age = 40") == ["b", "c"]
    assert ids(store, "traits.age != 40 AND traits.nobody != 1") == ["b", "c"]
    assert ids(store, "NOT traits.tags = x OR traits.tags NOT CONTAINS x") == ["b"]
    assert ids(store, "ALL(traits.tags) IN [x, y, z]") == ["a", "b"]
    assert ids(store, "ANY(traits.tags) != x OR NONE(traits.tags) = x") == ["a", "b"]
    assert ids(store, "NOT (traits.age > 30 AND traits.nobody = 1)") == ["b"]
    assert store.count("events", "NOT session.id = s1") == 1
    assert store.count("events", "session.id != s1") == 2
    assert store.count("events", "session.id NOT IN [s1]") == 1
    assert store.count("events", "NOT properties.n > 1") == 1
