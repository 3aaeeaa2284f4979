"""Profiles that turn out to be one person: merges, their undoing, and what comes for them meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import msgspec
import pytest

from hub.definitions.kinds import FieldMapping, IdentificationPoint, IdentifierField, Mapping
from hub.edge.identifiers import MAX_CHARS, Points
from hub.pipeline.definitions import Definitions
from hub.pipeline.identity import Reason
from hub.pipeline.mapping import compile_mappings
from schemas.records import Inbound
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import DEFINITIONS, Hub, step_record


def sign_in(
    id: str, profile_id: str, n: Any = None, who: str = "", at: int = 0, session_id: str | None = None
) -> Inbound:
    """One event; `at`: its own time, in milliseconds from some moment."""
    properties = ({} if n is None else {"n": n}) | ({"who": who} if who else {})
    return track(profile_id, event(id, "sign-in", time_ms=NOW_MS - 100_000 + at, **properties), session_id=session_id)


def ask(one: str, other: str, id: str = "") -> Inbound:
    reason = msgspec.json.encode(Reason("request", one, other, "2026-01-01T00:00:00.000Z"))
    return step_record(id or f"ask-{one}-{other}", one, other, "ask", reason)


def undo(hub: Hub, loser: str) -> Inbound:
    (row,) = [row for row in hub.store.merges([loser]) if row.loser_id == loser and row.undone_ms is None]
    return step_record(row.id, row.survivor_id, loser, "undo")


def settled(*inbounds: Inbound, hub: Hub | None = None) -> Hub:
    """Each record is done with, and all that it led to, before the next comes."""
    hub = hub or Hub()
    for inbound in inbounds:
        hub.put(inbound)
        hub.settle()
    return hub


def told(hub: Hub, event_id: str) -> dict[str, Any]:
    found = hub.store.get("events", event_id)
    assert found is not None
    return found


def assert_balanced(hub: Hub, received: int) -> None:
    counts = hub.counts()
    assert counts["received"] == received
    assert counts["stored"] + counts["duplicate"] + counts["dropped"] + counts["dead"] == received


@pytest.mark.parametrize("order", [("b", "a"), ("a", "b")])
def test_the_smaller_id_survives_and_every_id_finds_it(order: Sequence[str]) -> None:
    hub = settled(*(sign_in(f"e-{id}", id, n, "w") for n, id in enumerate(order, 1)))
    assert [profile["id"] for profile in hub.profiles()] == ["a"]
    assert sorted(hub.profile("a")["ids"]) == ["a", "b"]
    assert hub.profile("b") == hub.profile("a")
    assert hub.profile("a")["traits"]["sum"] == 3
    assert told(hub, f"e-{order[1]}")["outcome"]["identity"][0]["did"] == "merged"


def test_what_comes_later_for_the_other_lands_in_the_survivor() -> None:
    hub = settled(sign_in("e1", "a", 1, "w"), sign_in("e2", "b", 2, "w"), sign_in("e3", "b", 4))
    assert told(hub, "e3")["profile"] == {"id": "a"}
    assert told(hub, "e3")["metadata"]["sent_as"] == "b"
    assert "sent_as" not in told(hub, "e1")["metadata"]
    assert hub.profile("a")["traits"]["sum"] == 7
    assert_balanced(hub, 3)


def test_a_value_that_identifies_nobody_is_told_with_its_identification_point() -> None:
    hub = settled(sign_in("e1", "a", who="w" * (MAX_CHARS + 1)))
    (problem,) = told(hub, "e1")["outcome"]["problems"]
    assert (problem["mapping"], problem["field"]) == ("identification-point/mail", "properties.who")


def test_requests_that_cross_chains_and_merges_with_oneself_end() -> None:
    hub = Hub()
    hub.put(*(sign_in(f"e-{id}", id, 1) for id in "abcd"))
    hub.put(ask("a", "b"), ask("b", "a"), ask("d", "c"), ask("c", "b"), ask("b", "d"), ask("a", "a"))
    hub.settle()
    (profile,) = hub.profiles()
    assert (profile["id"], sorted(profile["ids"]), profile["traits"]["sum"]) == ("a", ["a", "b", "c", "d"], 4)
    assert all(hub.profile(id) == profile for id in "abcd")
    settled(sign_in("late", "d", 5), hub=hub)
    assert told(hub, "late")["metadata"]["sent_as"] == "d"
    assert hub.profile("d")["traits"]["sum"] == 9
    assert_balanced(hub, 5)


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize(
    ("field", "expected"),
    [("sum", 12), ("least", 3), ("most", 5), ("last", 4), ("first", 3)],
)
def test_fields_are_merged_by_how_they_were_made(first: str, field: str, expected: int) -> None:
    """Of `a`: 3 at 10, then 4 at 30. Of `b`: 5 at 20. Whoever comes first."""
    ours, theirs = [sign_in("a1", "a", 3, at=10), sign_in("a2", "a", 4, at=30)], [sign_in("b1", "b", 5, at=20)]
    hub = settled(*(ours + theirs if first == "a" else theirs + ours), ask("b", "a"))
    assert hub.profile("a")["traits"][field] == expected
    assert sorted(hub.profile("a")["traits"]["all"]) == [3, 4, 5]


def test_within_one_id_the_log_decides_not_the_clock() -> None:
    hub = settled(sign_in("a1", "a", 1, at=30), sign_in("a2", "a", 2, at=10), sign_in("b1", "b", 3, at=20))
    settled(ask("b", "a"), hub=hub)
    assert hub.profile("a")["traits"]["last"] == 2


def _mapped(**field: Any) -> Definitions:
    line = FieldMapping(event="properties.n", profile="traits.x", **field)
    mappings = compile_mappings([("one", Mapping(event_type="sign-in", fields=[line]))])
    return msgspec.structs.replace(DEFINITIONS, mappings=mappings)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("last", 2), ("first", 7), ("sum", 9), ("min", 2), ("max", 7), ("union", [7, 2])],
)
def test_a_mapping_may_say_how_its_field_is_merged(strategy: str, expected: Any) -> None:
    hub = Hub(definitions=_mapped(op="set", merge=strategy))
    settled(sign_in("a1", "a", 7, at=1), sign_in("b1", "b", 2, at=2), ask("b", "a"), hub=hub)
    assert hub.profile("a")["traits"]["x"] == expected


@pytest.mark.parametrize(("at", "expected"), [(1, "text"), (3, 5)])
def test_values_that_do_not_go_together_count_as_last(at: int, expected: Any) -> None:
    hub = Hub(definitions=_mapped(op="set", merge="sum"))
    settled(sign_in("a1", "a", "text", at=2), sign_in("b1", "b", 5, at=at), ask("b", "a"), hub=hub)
    assert hub.profile("a")["traits"]["x"] == expected


def _capped(most: int) -> Definitions:
    return msgspec.structs.replace(DEFINITIONS, most_profiles=most)


def test_an_identifier_of_too_many_identifies_nobody() -> None:
    hub = settled(*(sign_in(f"e{n}", f"p{n}", 1, "w") for n in range(5)), hub=Hub(1, _capped(3)))
    assert sorted(len(profile["ids"]) for profile in hub.profiles()) == [1, 1, 3]
    flagged = [n for n in range(5) if "identifier_shared" in told(hub, f"e{n}")["metadata"]["flags"]]
    assert flagged == [3, 4]
    assert told(hub, "e4")["outcome"]["identity"][0]["did"] == "shared"
    assert_balanced(hub, 5)


def test_ten_thousand_profiles_with_one_identifier_lead_to_no_more_steps_than_the_cap() -> None:
    hub = Hub(definitions=_capped(10))
    hub.put(*(sign_in(f"e{n}", f"p{n:05d}", 1, "w") for n in range(10_000)))
    hub.settle(500)
    # each of the three collectors counts for itself; an ask, perhaps a second one, and the data for each profile
    assert len(hub.merges()) <= 3 * 3 * 10
    assert_balanced(hub, 10_000)
    assert hub.counts()["stored"] == 10_000


def _traits(hub: Hub, id: str) -> dict[str, Any]:
    profile = hub.profile(id)
    return {"traits": profile["traits"], "stats": profile["stats"], "ids": profile["ids"]}


def test_an_undone_merge_leaves_both_as_if_it_had_never_been() -> None:
    own = [sign_in("a1", "a", 1, at=1), sign_in("b1", "b", 10, at=2, session_id="s")]
    later = [sign_in("a2", "a", 2, at=3), sign_in("b2", "b", 20, at=4, session_id="s"), sign_in("c1", "c", 100, at=5)]
    hub = settled(*own, ask("b", "a"), *later, ask("c", "a"))
    assert hub.profile("a")["traits"]["sum"] == 133
    assert told(hub, "b2")["session"] == {"id": "s"}
    assert hub.store.get("sessions", "s")["profile"] == {"id": "a"}  # type: ignore[index]
    merge = undo(hub, "b")
    settled(merge, hub=hub)
    apart = settled(*own, *later, ask("c", "a"))
    assert {id: _traits(hub, id) for id in "ab"} == {id: _traits(apart, id) for id in "ab"}
    assert hub.profile("c")["id"] == "a"
    assert hub.store.get("sessions", "s")["profile"] == {"id": "b"}  # type: ignore[index]

    before = {id: _traits(hub, id) for id in "ab"}
    settled(merge, merge, hub=hub)
    assert {id: _traits(hub, id) for id in "ab"} == before
    settled(sign_in("b3", "b", 40, at=6, session_id="s"), hub=hub)
    assert hub.profile("b")["traits"]["sum"] == 70
    assert_balanced(hub, 6)


@pytest.mark.parametrize(("loser", "follower"), [("b", "c"), ("c", "b")])
def test_who_was_merged_because_of_the_other_goes_back_with_it(loser: str, follower: str) -> None:
    """And is one with it, whichever of the two is smaller, with all that it was sent before and after."""
    hub = settled(sign_in("a1", "a", 1), sign_in("x1", loser, 2, "w"), ask(loser, "a"))
    settled(sign_in("y1", follower, 4, "w", session_id="s"), hub=hub)
    assert hub.profile("a")["traits"]["sum"] == 7
    settled(sign_in("y2", follower, 8, session_id="s"), undo(hub, loser), hub=hub)
    for id in "bc":
        profile = hub.profile(id)
        assert (profile["id"], sorted(profile["ids"]), profile["traits"]["sum"]) == ("b", ["b", "c"], 14)
    assert (hub.profile("a")["ids"], hub.profile("a")["traits"]["sum"]) == (["a"], 1)
    settled(sign_in("y3", follower, 16, session_id="s"), sign_in("x2", loser, 32), sign_in("a2", "a", 64), hub=hub)
    assert (hub.profile("a")["traits"]["sum"], hub.profile("c")["traits"]["sum"]) == (65, 62)
    assert hub.store.get("sessions", "s")["stats"]["events"] == 3  # type: ignore[index]
    assert_balanced(hub, 7)


def test_merges_in_merges_are_undone_from_the_outside() -> None:
    """k became part of c, c of b, b of a; what was sent as k all along is k's again, once and in order."""
    own = [sign_in(f"{id}1", id, n) for id, n in (("a", 1), ("b", 2), ("c", 4), ("k", 8))]
    hub = settled(*own, ask("k", "c"), sign_in("k2", "k", 16), ask("c", "b"), sign_in("k3", "k", 32, session_id="s"))
    settled(sign_in("c2", "c", 64), ask("b", "a"), sign_in("k4", "k", 128), sign_in("b2", "b", 256), hub=hub)
    settled(undo(hub, "b"), sign_in("k5", "k", 512), undo(hub, "c"), sign_in("k6", "k", 1024), hub=hub)
    settled(ask("c", "b", "again"), sign_in("k7", "k", 2048), hub=hub)
    settled(undo(hub, "c"), undo(hub, "k"), sign_in("k8", "k", 4096), hub=hub)
    sums = {id: hub.profile(id)["traits"]["sum"] for id in "abck"}
    assert sums == {"a": 1, "b": 2 + 256, "c": 4 + 64, "k": 8 + 16 + 32 + 128 + 512 + 1024 + 2048 + 4096}
    assert {id: hub.profile(id)["stats"]["events"] for id in "abck"} == {"a": 1, "b": 2, "c": 2, "k": 8}
    assert hub.store.get("sessions", "s")["profile"] == {"id": "k"}  # type: ignore[index]
    assert_balanced(hub, 13)


@pytest.mark.parametrize("order", [*permutations("bcd")])
def test_merges_are_undone_in_any_order(order: Sequence[str]) -> None:
    """Each is what its own events make of it, whoever was in the survivor when the others came, and stays apart."""
    own = [sign_in(f"{id}1", id, n, f"w{id}", at=n) for n, id in enumerate("abcd", 1)]
    between = [[sign_in(f"{id}{n}", id, 10 * n, at=10 * n) for id in "abcd"] for n in (2, 3, 4)]
    hub = settled(*own)
    for id, events in zip("bcd", between, strict=True):
        settled(ask(id, "a"), *events, hub=hub)
    for number, id in enumerate(order, 5):
        settled(undo(hub, id), *(sign_in(f"{id}{number}", id, 10 * number, at=10 * number) for id in "abcd"), hub=hub)
    apart = settled(*own, *(event for events in between for event in events))
    settled(*(sign_in(f"{id}{n}", id, 10 * n, at=10 * n) for n in (5, 6, 7) for id in "abcd"), hub=apart)
    assert {id: _traits(hub, id) for id in "abcd"} == {id: _traits(apart, id) for id in "abcd"}
    assert {id: told(hub, f"{id}1")["profile"]["id"] for id in "abcd"} == {id: id for id in "abcd"}
    settled(*(sign_in(f"{id}9", id, 0, "all of them") for id in "dcba"), hub=hub)
    assert {hub.profile(id)["id"] for id in "abcd" if "a" in hub.profile(id)["ids"]} == {"a"}
    assert hub.profile("a")["ids"] == ["a"]
    assert_balanced(hub, 32)


def test_what_came_for_one_that_came_back_counts_in_its_second_time_once() -> None:
    """b is in a, goes, and is in a again, with c there all the time; what x sends in b's session is b's."""
    hub = settled(*(sign_in(f"{id}1", id, n) for id, n in (("a", 1), ("c", 2))))
    settled(sign_in("b1", "b", 4, session_id="s"), ask("b", "a"), ask("c", "a"), hub=hub)
    settled(sign_in("x1", "x", 8, session_id="s"), sign_in("b2", "b", 16), undo(hub, "b"), hub=hub)
    settled(ask("b", "a", "again"), sign_in("x2", "x", 32, session_id="s"), sign_in("b3", "b", 64), hub=hub)
    assert hub.profile("a")["traits"]["sum"] == 1 + 2 + 4 + 8 + 16 + 32 + 64
    settled(undo(hub, "c"), hub=hub)
    assert (hub.profile("a")["traits"]["sum"], hub.profile("c")["traits"]["sum"]) == (1 + 4 + 8 + 16 + 32 + 64, 2)
    assert sorted(hub.profile("a")["ids"]) == ["a", "b"]
    settled(undo(hub, "b"), hub=hub)
    assert (hub.profile("a")["traits"]["sum"], hub.profile("b")["traits"]["sum"]) == (1, 4 + 8 + 16 + 32 + 64)
    assert hub.store.get("sessions", "s")["profile"] == {"id": "b"}  # type: ignore[index]
    assert_balanced(hub, 7)


def test_what_came_while_a_survivor_was_part_of_another_goes_with_whom_it_was_sent_for() -> None:
    """k is in c, c in a; what is sent as k lies under a then, and goes to c with the first undo, to k with the next."""
    hub = settled(sign_in("a1", "a", 1), sign_in("c1", "c", 2), sign_in("k1", "k", 4), ask("k", "c"), ask("c", "a"))
    settled(sign_in("k2", "k", 8), undo(hub, "c"), hub=hub)
    assert told(hub, "k2")["profile"] == {"id": "a"}
    assert (hub.profile("a")["traits"]["sum"], hub.profile("c")["traits"]["sum"]) == (1, 14)
    settled(undo(hub, "k"), hub=hub)
    assert (hub.profile("c")["traits"]["sum"], hub.profile("k")["traits"]["sum"]) == (2, 12)
    assert_balanced(hub, 4)


def test_who_was_told_apart_stays_so_in_a_third() -> None:
    """b and c were told apart; then b becomes part of a: c and a do not meet by an identifier either."""
    hub = settled(sign_in("b1", "b", 1, "w"), sign_in("c1", "c", 2, "w"))
    settled(undo(hub, "c"), ask("b", "a"), hub=hub)
    assert hub.profile("b")["id"] == "a"
    settled(sign_in("a1", "a", 4, "v"), sign_in("c2", "c", 8, "v"), hub=hub)
    assert (hub.profile("a")["traits"]["sum"], hub.profile("c")["traits"]["sum"]) == (5, 10)


def growing(profile_id: str, mb: int) -> list[Inbound]:
    """Records that make the profile so large: three of its fields keep each text."""
    return [sign_in(f"{profile_id}{mb}-{n}", profile_id, f"{n}" + "x" * 349_524) for n in range(mb)]


@pytest.mark.parametrize("last", ["a-1", "b-1"])
def test_a_profile_too_large_for_a_record_stays_apart_and_holds_up_nobody(last: str) -> None:
    first = "b-1" if last == "a-1" else "a-1"
    hub = settled(*growing("b-1", 3), sign_in("first", first, 1, "w"), sign_in("last", last, 1, "w"))
    assert [profile["ids"] for profile in hub.profiles()] == [["a-1"], ["b-1"]]
    assert hub.profile("b-1")["metadata"]["apart"] == ["a-1"]
    if last == "b-1":
        assert "profile_too_large" in told(hub, "last")["metadata"]["flags"]
        assert told(hub, "last")["outcome"]["identity"][0]["did"] == "too_large"
    settled(ask("b-1", "a-1"), sign_in("c1", "c", 1, "w"), sign_in("z1", "z", 1, "w"), hub=hub)
    assert sorted(hub.profile(first)["ids"]) == [first, "c", "z"]
    assert hub.counts() == {"received": 7, "stored": 7, "duplicate": 0, "dropped": 0, "dead": 0}


def test_a_small_profile_becomes_part_of_a_large_one() -> None:
    hub = settled(*growing("a", 3), sign_in("a1", "a", 1, "w"), sign_in("b1", "b", 1, "w"))
    assert [profile["ids"] for profile in hub.profiles()] == [["a", "b"]]


def test_a_merge_whose_loser_has_become_too_large_is_not_undone() -> None:
    hub = settled(sign_in("a1", "a", 1), sign_in("b1", "b", 2), ask("b", "a"), *growing("b", 3))
    settled(undo(hub, "b"), sign_in("a2", "a", 4), hub=hub)
    assert [(profile["ids"], profile["stats"]["events"]) for profile in hub.profiles()] == [(["a", "b"], 6)]
    assert hub.store.merges(["a"])[0].undone_ms is None


def test_the_cap_counts_what_other_collectors_have_seen() -> None:
    hub = Hub(3, msgspec.structs.replace(DEFINITIONS, most_profiles=3))
    ids = [f"p{n}" for n in range(9)]
    assert {hub.log.of(id) for id in ids} == {0, 1, 2}
    settled(*(sign_in(f"e{id}", id, 1, "w") for id in ids), hub=hub)
    assert sorted(hub.profile("p0")["ids"]) == ["p0", "p1", "p2"]
    assert len(hub.profiles()) == 7


def test_a_session_that_comes_back_has_what_the_survivor_wrote_to_it() -> None:
    hub = settled(sign_in("a1", "a", 1), sign_in("b1", "b", 1, session_id="s"), ask("b", "a"))
    settled(sign_in("b2", "b", 1, session_id="s"), hub=hub)
    settled(undo(hub, "b"), sign_in("b3", "b", 1, session_id="s"), hub=hub)
    assert hub.store.get("sessions", "s")["stats"]["events"] == 3  # type: ignore[index]


def test_told_apart_profiles_merge_again_on_request_only() -> None:
    hub = settled(sign_in("a1", "a", 1, "w"), sign_in("b1", "b", 2, "w"))
    settled(undo(hub, "b"), hub=hub)
    settled(sign_in("b2", "b", 4, "v"), sign_in("a2", "a", 8, "v"), hub=hub)
    assert (hub.profile("a")["traits"]["sum"], hub.profile("b")["traits"]["sum"]) == (9, 6)
    assert told(hub, "a2")["outcome"]["identity"][0]["did"] == "apart"
    settled(ask("b", "a", "again"), hub=hub)
    assert hub.profile("b")["traits"]["sum"] == 15
    assert [profile["id"] for profile in hub.profiles()] == ["a"]


def test_records_on_their_way_during_an_undo_are_returned_and_counted_once() -> None:
    hub = settled(sign_in("a1", "a", 1), sign_in("b1", "b", 2), ask("b", "a"))
    owner = hub.owners[hub.log.of("b")]
    hub.put(undo(hub, "b"))
    hub.put(sign_in("b2", "b", 4))
    owner.step(100)  # hands b2 on, behind the undo
    hub.settle()
    assert (hub.profile("a")["traits"]["sum"], hub.profile("b")["traits"]["sum"]) == (1, 6)
    assert told(hub, "b2")["profile"] == {"id": "b"}
    assert_balanced(hub, 3)
    assert hub.counts()["stored"] == 3


def test_what_is_returned_claims_its_identifiers_for_its_own_profile() -> None:
    """b2 comes to a behind the undo, and goes back: whoever comes with its address later is b's, not a's."""
    hub = settled(sign_in("a1", "a", 1), sign_in("b1", "b", 2), ask("b", "a"))
    hub.put(undo(hub, "b"), sign_in("b2", "b", 4, "w"))
    hub.owners[hub.log.of("b")].step(100)
    hub.settle()
    settled(sign_in("c1", "c", 8, "w"), hub=hub)
    assert (hub.profile("a")["ids"], sorted(hub.profile("c")["ids"])) == (["a"], ["b", "c"])
    assert hub.profile("b")["traits"]["sum"] == 14


def test_whose_data_went_on_through_the_loser_goes_back_with_it() -> None:
    """c ends in b, which has ended in a by the time that the data comes; it is b's, though a asked for it."""
    hub = settled(*(sign_in(f"{id}1", id, n) for id, n in (("a", 1), ("b", 2), ("c", 4))))
    reason = Reason("request", "a", "c", "2026-01-01T00:00:00.000Z")
    hub.put(step_record("ask", "c", "b", "ask", msgspec.json.encode(reason)))
    hub.put(ask("b", "a"))
    hub.owners[hub.log.of("c")].step(100)
    hub.settle()
    settled(undo(hub, "b"), sign_in("c2", "c", 8), hub=hub)
    sums = {id: (hub.profile(id)["id"], hub.profile(id)["traits"]["sum"]) for id in "abc"}
    assert sums == {"a": ("a", 1), "b": ("b", 14), "c": ("b", 14)}


def test_events_of_the_batch_of_an_undo_are_kept() -> None:
    """What lies before the undo in the same batch is in no store yet."""
    hub = settled(sign_in("a1", "a", 1), sign_in("b1", "b", 2), ask("b", "a"))
    hub.put(sign_in("a2", "a", 4), undo(hub, "b"), sign_in("a3", "a", 8))
    hub.settle()
    assert (hub.profile("a")["traits"]["sum"], hub.profile("b")["traits"]["sum"]) == (13, 2)
    assert hub.profile("a")["stats"]["events"] == 3


def test_what_is_handed_on_twice_counts_once() -> None:
    hub = settled(sign_in("a1", "a", 1), sign_in("b1", "b", 2), ask("b", "a"), sign_in("b2", "b", 4))
    own = hub.log.partitions[hub.log.of("a")]
    hub.log.append("a", own[-1].value)
    hub.settle()
    assert hub.profile("a")["traits"]["sum"] == 7
    assert_balanced(hub, 3)
    assert hub.counts()["stored"] == 3


def test_a_dead_letter_in_a_record_that_was_handed_on_counts_where_it_is_buried() -> None:
    hub = settled(sign_in("a1", "a", 1), sign_in("b1", "b", 2), ask("b", "a"))
    good, bad = event("good", "sign-in", n=4), {**event("bad", "sign-in"), "properties": b"{oops"}
    settled(track("b", good, bad), hub=hub)  # type: ignore[arg-type]
    assert hub.profile("a")["traits"]["sum"] == 7
    counts = hub.counts()
    assert (counts["received"], counts["stored"], counts["dead"]) == (4, 3, 1)
    assert hub.store.count("dead-letters", "") == 1


def test_two_points_join_whoever_shares_either() -> None:
    lines = [IdentifierField(event="properties.who", kind="id"), IdentifierField(event="properties.n", kind="id")]
    points = Points([("p", IdentificationPoint(event_type="sign-in", identifiers=lines))])
    hub = Hub(definitions=msgspec.structs.replace(DEFINITIONS, points=points))
    settled(sign_in("a1", "a", 1), sign_in("b1", "b", None, "1"), sign_in("c1", "c", 2), hub=hub)
    assert len(hub.profiles()) == 2
