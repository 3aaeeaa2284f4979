"""Segments in the store: who differs from a condition, when somebody is due, how many are in each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hub.conditions.history import series_of
from hub.model import Alias, Batch, Identity, Person, Privacy, Profile
from hub.store import Store
from hub.store.port import Rule
from hub.store.query.segment import segment_condition
from tests.contracts.batches import NOW_MS, batch, event, profile

NOW_US = NOW_MS * 1_000
DAY_MS = 86_400_000


def member(id: str, *segments: str, version: int = 1, history: dict[str, Any] | None = None, **traits: Any) -> Profile:
    document = {"id": id, "ids": [], "traits": traits, "segments": sorted(segments), "metadata": {"history": history}}
    return Profile(id, version, document)


def with_due(one: Batch, **due: int | None) -> Batch:
    return msgspec.structs.replace(one, due=due)


def merged(loser: str, into: str) -> Identity:
    alias = Alias(into, 7, "m1")
    return Identity(
        aliases={loser: alias}, restored=[], taken=[], uses={}, merges=[], undone={}, forwarded=[], outbox=[]
    )


def erased(*ids: str) -> Privacy:
    return Privacy(
        id="order-1",
        kind="erase",
        mark="",
        at_ms=NOW_MS,
        reason="",
        is_suppressed=False,
        person=Person(ids=dict.fromkeys(ids, 7)),
        shared=[],
        voids=[],
        marks=[],
    )


# Due


def test_who_is_due_comes_first_and_only_when_the_time_has_come(store: Store) -> None:
    store.write(with_due(batch(*(profile(id) for id in "abcd")), a=NOW_MS + 5, b=NOW_MS - 5, c=NOW_MS, d=None))
    assert store.due(NOW_MS, 10) == [("b", NOW_MS - 5), ("c", NOW_MS)]
    assert store.due(NOW_MS, 1) == [("b", NOW_MS - 5)]
    assert store.due(NOW_MS + 5, 10, after=(NOW_MS - 5, "b")) == [("c", NOW_MS), ("a", NOW_MS + 5)]


def test_the_newest_batch_says_when_and_none_means_not_any_more(store: Store) -> None:
    store.write(with_due(batch(profile("a"), profile("b")), a=NOW_MS, b=NOW_MS))
    store.write(with_due(batch(), a=NOW_MS + 9, b=None))
    assert store.due(NOW_MS + 100, 10) == [("a", NOW_MS + 9)]


def test_whoever_does_not_own_a_profile_can_only_say_sooner(store: Store) -> None:
    store.write(with_due(batch(profile("a"), profile("b"), profile("c")), a=NOW_MS + 9, b=NOW_MS + 1))
    store.note_due([("a", NOW_MS + 5), ("b", NOW_MS + 5), ("c", NOW_MS + 5), ("nobody", NOW_MS)])
    assert store.due(NOW_MS + 100, 10) == [("b", NOW_MS + 1), ("a", NOW_MS + 5), ("c", NOW_MS + 5)]


def test_nobody_is_due_who_was_merged_or_erased(store: Store) -> None:
    store.write(with_due(batch(profile("a"), profile("b"), profile("c")), a=NOW_MS, b=NOW_MS, c=NOW_MS))
    store.write(msgspec.structs.replace(batch(), identity=merged("b", "a")))
    assert store.due(NOW_MS, 10) == [("a", NOW_MS), ("c", NOW_MS)]
    store.write(msgspec.structs.replace(batch(), privacy=erased("a")))
    assert store.due(NOW_MS, 10) == [("c", NOW_MS)]


# Who differs


def rule(segment: str, condition: str) -> Rule:
    return Rule(segment, segment_condition(condition))


def test_those_are_found_whose_membership_is_not_what_the_conditions_say(store: Store) -> None:
    store.write(
        batch(
            member("in-and-is", "adults", age=30),
            member("in-but-is-not", "adults", age=3),
            member("is-but-not-in", "others", age=30),
            member("neither", age=3),
            member("unknown"),
            member("unknown-in", "adults"),
        )
    )
    found = store.differing([rule("adults", "traits.age >= 18")], "", "", 100, NOW_US)
    assert found.rows == [("in-but-is-not", ["adults"]), ("is-but-not-in", ["adults"]), ("unknown-in", ["adults"])]
    assert (found.last, found.looked) == ("unknown-in", 6)


def test_many_segments_are_looked_at_together_and_page_by_page(store: Store) -> None:
    store.write(batch(*(member(f"p{n}", *(["even"] if n % 3 == 0 else []), n=n) for n in range(6))))
    rules = [rule("even", "traits.n IN (0, 2, 4)"), rule("late", "traits.n > 3"), rule('it\'s "odd"', "traits.n = 1")]
    first = store.differing(rules, "", "p4", 3, NOW_US)
    assert first.rows == [("p1", ['it\'s "odd"']), ("p2", ["even"])]
    assert (first.last, first.looked) == ("p2", 3)
    second = store.differing(rules, first.last or "", "p4", 3, NOW_US)
    assert second.rows == [("p3", ["even"]), ("p4", ["even", "late"])]
    assert (second.last, second.looked) == ("p4", 2)
    assert store.differing(rules, "p4", "p4", 3, NOW_US).last is None


def test_now_is_that_of_the_question(store: Store) -> None:
    store.write(batch(member("p1", at="2025-11-24T16:00:00Z")))  # NOW_MS
    rules = [rule("week", "traits.at < now - 7d")]
    assert store.differing(rules, "", "", 9, NOW_US + 7 * DAY_MS * 1_000).rows == []
    assert store.differing(rules, "", "", 9, NOW_US + 7 * DAY_MS * 1_000 + 1).rows == [("p1", ["week"])]


def test_who_is_due_anyway_is_told(store: Store) -> None:
    store.write(with_due(batch(member("a", "x"), member("b", "x"), member("c", "x")), a=NOW_MS, b=NOW_MS + 1))
    found = store.differing([rule("x", "traits.never = 1")], "", "", 9, NOW_US)
    assert [id for id, _ in found.rows] == ["a", "b", "c"]
    assert found.overdue == {"a"}


def test_ids_of_segments_are_not_mistaken_for_parts_of_others(store: Store) -> None:
    store.write(batch(member("p1", "ab", "%", 'c"d'), member("p2", "a", "b")))
    every = [rule(id, "traits.never = 1") for id in ("a", "b", "ab", "%", "_", 'c"d', "c", "d")]
    assert store.differing(every, "", "", 9, NOW_US).rows == [("p1", ["ab", "%", 'c"d']), ("p2", ["a", "b"])]
    assert store.segment_sizes() == {"ab": 1, "%": 1, 'c"d': 1, "a": 1, "b": 1}


def test_a_history_is_read_from_the_profile(store: Store) -> None:
    condition = segment_condition("count(purchase) in last 7 days >= 2")
    (key,) = series_of([condition])

    def bought(*days: int) -> dict[str, Any]:
        entries = [[NOW_MS - day * DAY_MS, 1] for day in days]
        times = [time for time, _ in entries]
        return {key: {"count": len(days), "first": min(times), "last": max(times), "entries": entries}}

    store.write(
        batch(
            member("often", history=bought(9, 5, 1)),
            member("once", "buyers", history=bought(9, 8, 1)),
            member("nobody-knows", history={}),
        )
    )
    found = store.differing([Rule("buyers", condition)], "", "", 9, NOW_US)
    assert found.rows == [("often", ["buyers"]), ("once", ["buyers"])]


# Members and sizes


def test_sizes_follow_the_profiles(store: Store) -> None:
    store.write(batch(member("p1", "a", "b"), member("p2", "b"), member("p3")))
    assert store.segment_sizes() == {"a": 1, "b": 2}
    store.write(batch(member("p1", "b", version=2), member("p3", "a", version=2)))
    assert store.segment_sizes() == {"a": 1, "b": 2}
    store.write(batch(member("p2", version=1)))  # an old one changes nothing
    store.write(msgspec.structs.replace(batch(), identity=merged("p1", "p0")))
    assert store.segment_sizes() == {"a": 1, "b": 1}
    store.write(msgspec.structs.replace(batch(), privacy=erased("p3")))
    assert store.segment_sizes() == {"b": 1}


def test_members_come_newest_first_in_pages(store: Store) -> None:
    store.write(batch(*(member(f"p{n}", "a" if n % 2 else "b") for n in range(6))))
    page, following = store.members("a", 2, None)
    assert [one["id"] for one in page] == ["p5", "p3"]
    page, following = store.members("a", 2, following)
    assert [one["id"] for one in page] == ["p1"]
    assert following is None


def test_a_promotion_brings_memberships(store: Store) -> None:
    store.write(batch(member("p1", "a")))
    with store.promotion("shadow", at_ms=NOW_MS, most_s=5) as promotion:
        promotion.replace([("p1", msgspec.json.encode(member("p1", "b").doc))])
    assert store.segment_sizes() == {"b": 1}


def test_the_first_size_of_an_hour_is_kept_for_as_long_as_is_said(store: Store) -> None:
    store.keep_sizes(100, {"a": 1, "b": 2}, 0)
    store.keep_sizes(100, {"a": 9, "c": 3}, 0)
    store.keep_sizes(101, {"a": 4}, 0)
    assert store.kept_sizes("a", 0, 102) == [(100, 1), (101, 4)]
    assert store.kept_sizes("a", 100, 101) == [(100, 1)]
    assert store.kept_sizes("c", 0, 102) == [(100, 3)]
    store.keep_sizes(102, {"a": 5}, 101)
    assert store.kept_sizes("a", 0, 200) == [(101, 4), (102, 5)]


# Histories


def ids_of(documents: list[bytes]) -> list[str]:
    return [msgspec.json.decode(one)["id"] for one in documents]


def test_the_events_of_a_person_are_told_in_the_order_of_their_time(store: Store) -> None:
    store.write(
        batch(
            event("e1", time_ms=NOW_MS - 40 * DAY_MS, profile_id="p1"),
            event("e2", time_ms=NOW_MS, profile_id="p1"),
            event("e3", time_ms=NOW_MS - 1, profile_id="p2"),
            event("e4", time_ms=NOW_MS - 2, profile_id="p3"),
            event("e5", profile_id="p1", type="visit"),
            event("e6", profile_id="stranger"),
            event("e7", profile_id=""),
        )
    )
    store.write(msgspec.structs.replace(batch(), identity=merged("p2", "p1")))
    store.write(msgspec.structs.replace(batch(), identity=merged("p3", "p2")))
    assert ids_of(store.history("p1", ["purchase"])) == ["e1", "e4", "e3", "e2"]
    assert ids_of(store.history("p1", ["visit"])) == ["e5"]
    assert store.history("p1", []) == []
    assert store.history("nobody", ["purchase"]) == []


def test_what_is_erased_and_not_removed_yet_is_not_told(store: Store) -> None:
    store.write(batch(event("e1", profile_id="p1"), event("e2", profile_id="p2")))
    store.write(msgspec.structs.replace(batch(), privacy=erased("p1")))
    assert store.history("p1", ["purchase"]) == []
    assert ids_of(store.history("p2", ["purchase"])) == ["e2"]


def test_who_may_have_a_history_that_is_not_kept_yet(store: Store) -> None:
    store.write(batch(event("e1", profile_id="p1"), event("e2", profile_id="p2", type="visit")))
    store.write(msgspec.structs.replace(batch(profile("p3")), identity=merged("p9", "p3")))
    asked = ["p1", "p2", "p3", "p4"]
    assert store.with_events(asked, ["purchase"]) == {"p1", "p3"}
    assert store.with_events(asked, ["purchase", "visit"]) == {"p1", "p2", "p3"}


# Preview


@pytest.mark.parametrize("size", [0, 2, 10])
def test_a_condition_is_counted_and_some_are_shown(store: Store, size: int) -> None:
    store.write(batch(*(member(f"p{n}", n=n) for n in range(5)), member("none")))
    count, sample = store.satisfying(segment_condition("traits.n >= 2"), size, NOW_US)
    assert count == 3
    assert [one["id"] for one in sample] == ["p4", "p3", "p2"][:size]
