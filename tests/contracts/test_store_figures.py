"""Histograms and values of fields: the same in every store."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.model import Profile, Session
from hub.store import Store
from hub.store.memory import MemoryStore
from hub.store.port import Kind, Span
from hub.store.query import QueryError
from hub.store.sqlite import SqliteStore
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, letter, profile

DAY_MS = 86_400_000
EDGES = [NOW_MS - 2 * MONTH_MS, NOW_MS - MONTH_MS, NOW_MS, NOW_MS + 1]


def began(id: str, at: str, **traits: Any) -> Profile:
    return Profile(id, 1, {"id": id, "metadata": {"time": {"insert": at}}, "traits": traits})


def test_events_are_counted_by_their_own_time(store: Store) -> None:
    """Over the months; an interval's first moment belongs to it, its end does not."""
    store.write(
        batch(
            event("e1"),
            event("e2", time_ms=NOW_MS - 1),
            event("e3", time_ms=NOW_MS - MONTH_MS),
            event("e4", time_ms=NOW_MS - MONTH_MS - 1, type="view"),
            event("e5", time_ms=NOW_MS - 2 * MONTH_MS - 1),
            event("e6", time_ms=NOW_MS + 1),
        )
    )
    assert store.histogram("events", "", EDGES).counts == [1, 2, 1]
    assert store.histogram("events", "type = view", EDGES).counts == [1, 0, 0]
    assert store.histogram("events", "type = nothing", EDGES).counts == [0, 0, 0]


def test_a_search_may_be_of_a_span_of_time(store: Store) -> None:
    """Its end is outside; pages and counts go by it as well."""
    store.write(
        batch(
            *(event(f"e{n}", time_ms=NOW_MS - n * DAY_MS) for n in range(60)),
            *(began(f"p{n}", f"2025-11-{24 - n}T16:00:00.000Z") for n in range(5)),
            profile("p9"),
            letter("d1"),
        )
    )
    span = Span(NOW_MS - 50 * DAY_MS, NOW_MS - DAY_MS)
    first = store.search("events", "", 40, None, span)
    rest = store.search("events", "", 40, first.next, span)
    assert [one["id"] for one in (*first.items, *rest.items)] == [f"e{n}" for n in range(2, 51)]
    assert rest.next is None
    assert store.count("events", "id != e3", span) == 48
    assert store.count("profiles", "", Span(NOW_MS - 2 * DAY_MS, NOW_MS)) == 2
    assert [one["id"] for one in store.search("profiles", "", 9, None, Span(NOW_MS, NOW_MS + 1)).items] == ["p0"]
    assert store.count("dead-letters", "", Span(NOW_MS, NOW_MS + 1)) == 1
    assert store.count("dead-letters", "", Span(NOW_MS + 1, NOW_MS + 2)) == 0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("metadata.time.create > '2025-11-24T16:00:00.000Z'", ["e1"]),
        ("metadata.time.create >= '2025-11-24T16:00:00.000Z'", ["e1", "e0"]),
        ("metadata.time.create > '2025-11-24T15:59:59.9999Z'", ["e1", "e0"]),
        ("metadata.time.create < '2025-11-24T16:00:00.0001Z'", ["e0", "e-1"]),
        ("metadata.time.create <= '2025-11-24T15:59:59.999Z'", ["e-1"]),
        ("metadata.time.create = '2025-11-24T17:00:00+01:00'", ["e0"]),
        ("metadata.time.create BETWEEN '2025-11-24T15:59:59.9989Z' AND '2025-11-24T16:00:00.0009Z'", ["e0", "e-1"]),
        ("NOT metadata.time.create > '2025-11-24T16:00:00Z'", ["e0", "e-1"]),
        ("metadata.time.create != '2025-11-24T16:00:00Z' AND id != 'none'", ["e1", "e-1"]),
        ("metadata.time.create < now - 1d OR metadata.time.insert IS NULL", ["e1", "e0", "e-1", "none"]),
        ("metadata.time.create > now - 1d", []),
    ],
)
def test_events_are_found_by_the_time_in_their_document(store: Store, query: str, expected: list[str]) -> None:
    """To the millisecond, whatever column or index helps; one without a time of its own is found by none."""
    made = []
    for id, create in (("e1", ".001Z"), ("e0", ".000Z"), ("e-1", ""), ("none", None)):
        text = None if create is None else f"2025-11-24T16:00:00{create}" if create else "2025-11-24T15:59:59.999Z"
        one = event(id, time_ms=NOW_MS + {"e1": 1, "e0": 0, "e-1": -1, "none": -2}[id])
        doc = msgspec.json.decode(one.doc) | {"metadata": {"time": {"create": text}}}
        made.append(msgspec.structs.replace(one, doc=msgspec.json.encode(doc)))
    store.write(batch(*made))
    assert [one["id"] for one in store.search("events", query, 9, None).items] == expected


def test_an_empty_store_has_empty_intervals(store: Store) -> None:
    for kind in ("events", "profiles", "sessions", "dead-letters"):
        assert store.histogram(kind, "", EDGES, "id") == ([0, 0, 0], [], [0, 0, 0])  # type: ignore[arg-type]
        assert store.values(kind, "", "id") == []  # type: ignore[arg-type]


def test_profiles_and_sessions_are_counted_by_when_they_began(store: Store) -> None:
    """One that does not say since when it is there is in no interval."""
    first = Session("s1", "p1", 1, {"id": "s1", "metadata": {"time": {"insert": "2025-11-24T15:59:59.999Z"}}})
    store.write(
        batch(began("p1", "2025-11-24T16:00:00.000Z"), began("p2", "2025-10-24T16:00:00.000Z"), profile("p3"), first)
    )
    assert store.histogram("profiles", "", EDGES).counts == [0, 1, 1]
    assert store.histogram("profiles", "id = p1", EDGES, "id").groups == [("p1", [0, 0, 1])]
    assert store.histogram("sessions", "", EDGES).counts == [0, 1, 0]


def test_dead_letters_are_counted_by_when_they_failed(store: Store) -> None:
    store.write(batch(letter("d1"), letter("d2", at_ms=NOW_MS - 1)))
    assert store.histogram("dead-letters", "", EDGES, "reason") == ([0, 1, 1], [("not_json", [0, 1, 1])], [0, 0, 0])


def test_the_most_frequent_groups_are_told_apart(store: Store) -> None:
    """Five of them, all else together; what has no value is a group like any other; of a list the first counts."""
    plan = ["gold"] * 4 + [["silver", "gold"]] * 3 + [None] * 3 + [1, 1.0, True, True, "x", 2.5]
    store.write(batch(*(event(f"e{n}", time_ms=NOW_MS - n % 2 * DAY_MS, plan=value) for n, value in enumerate(plan))))
    found = store.histogram("events", "", [NOW_MS - DAY_MS, NOW_MS, NOW_MS + 1], "properties.plan")
    assert found.counts == [8, 8]
    assert [(one.value, sum(one.counts)) for one in found.groups] == [
        ("gold", 4),
        (None, 3),
        ("silver", 3),
        (True, 2),
        (1, 2),
    ]
    assert sum(found.other) == 2
    by_type = store.histogram("events", "", [NOW_MS - DAY_MS, NOW_MS + 1], "type", 1)
    assert by_type == ([16], [("purchase", [16])], [0])


def test_values_come_with_how_often(store: Store) -> None:
    """Each value of a list once a document; numbers, texts and truth values apart; null and objects are no values."""
    store.write(
        batch(
            event("e1", tag=["a", "b", "a"]),
            event("e2", tag="a", time_ms=NOW_MS - MONTH_MS),
            event("e3", tag=1, profile_id=""),
            event("e4", tag=[1.0, "1", True, None, {"x": 1}]),
            event("e5", tag={"x": 1}),
            event("e6", tag="abc", type="view"),
        )
    )
    assert store.values("events", "", "properties.tag") == [
        (1, 2),
        ("a", 2),
        (True, 1),
        ("1", 1),
        ("abc", 1),
        ("b", 1),
    ]
    assert store.values("events", "type = view", "properties.tag") == [("abc", 1)]
    assert store.values("events", "", "properties.tag", "a") == [("a", 2), ("abc", 1)]
    assert store.values("events", "", "properties.tag", "1", 1) == [(1, 2)]
    assert store.values("events", "", "profile") == [("p1", 5)], "an empty id is none"
    assert store.values("events", "", "type", "v") == [("view", 1)]
    assert store.values("events", "", "properties.tag.x") == [(1, 1)]


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.values("events", "a b", "type"),
        lambda store: store.values("events", "", "a b"),
        lambda store: store.values("events", "", "profile@traits.x"),
        lambda store: store.values("dead-letters", "", "body"),
        lambda store: store.histogram("events", "", EDGES, "type ="),
        lambda store: store.histogram("events", "a b", EDGES),
    ],
)
def test_what_cannot_be_asked_says_where(store: Store, ask: Any) -> None:
    with pytest.raises(QueryError) as caught:
        ask(store)
    assert caught.value.line == 1
    assert "^" in caught.value.excerpt


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.5, 1.0, 2.0**63, 1e300, "", "a", "ü", "1", "true"]),
    st.just({"x": 1}),
)
PROPERTIES = st.dictionaries(st.sampled_from(["k", "odd key ü"]), VALUES | st.lists(VALUES, max_size=3), max_size=2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(PROPERTIES, st.integers(0, 2 * MONTH_MS)), min_size=1, max_size=8), st.integers(1, 3))
def test_every_store_counts_alike(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[dict[str, Any], int]], groups: int
) -> None:
    """Any documents: histograms, groups and values are the same in memory and in SQLite."""
    memory, sqlite = MemoryStore(), SqliteStore(tmp_path_factory.mktemp("store") / "hub.sqlite")
    one = batch(
        *(event(f"e{n}", time_ms=NOW_MS - before, **content) for n, (content, before) in enumerate(sent)),
        *(began(f"p{n}", "2025-11-24T16:00:00.000Z", **content) for n, (content, _) in enumerate(sent)),
    )
    for store in (memory, sqlite):
        store.write(one)
    asked: list[tuple[Kind, str]] = [
        (kind, f"{top}.{key}")
        for kind, top in (("events", "properties"), ("profiles", "traits"))
        for key in ("k", "`odd key ü`", "k.0")
    ]
    for kind, field in [*asked, ("events", "profile"), ("events", "id")]:
        assert memory.values(kind, "", field) == sqlite.values(kind, "", field)
        assert memory.histogram(kind, "", EDGES, field, groups) == sqlite.histogram(kind, "", EDGES, field, groups)
    sqlite.close()
