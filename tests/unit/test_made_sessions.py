"""Sessions of events that name none: half an hour of silence ends one, whatever happens to profiles and collectors."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.pipeline.records import lookup_partitions
from hub.replay.rebuild import inbound_of
from schemas.records import Inbound
from tests.factories import NOW_MS
from tests.unit.hub_model import Hub
from tests.unit.test_identity import ask, assert_balanced, settled, sign_in, told, undo
from tests.unit.test_modes import with_options

MINUTE_MS = 60_000
START_MS = -600 * MINUTE_MS


def quiet(id: str, profile_id: str, minute: float, n: int = 1, who: str = "") -> Inbound:
    """An event that names no session, so many minutes after some moment."""
    at = START_MS + round(minute * MINUTE_MS)
    return with_options({"sessions": "30m"}, sign_in(id, profile_id, n, who, at=at))


def session_of(hub: Hub, event_id: str) -> str | None:
    found = told(hub, event_id)["session"]
    return None if found is None else found["id"]


def session(hub: Hub, event_id: str) -> dict[str, Any]:
    id = session_of(hub, event_id)
    assert id is not None
    found = hub.store.get("sessions", id)
    assert found is not None
    return found


def visits(hub: Hub, profile_id: str) -> int:
    return int(hub.profile(profile_id)["stats"]["visits"])


def test_half_an_hour_of_silence_ends_a_session() -> None:
    hub = settled(*(quiet(f"e{minute}", "a", minute) for minute in (0, 29, 59, 89.1)))
    assert session_of(hub, "e0") == session_of(hub, "e29") == session_of(hub, "e59") != session_of(hub, "e89.1")
    first, second = session(hub, "e0"), session(hub, "e89.1")
    assert (first["stats"]["events"], first["metadata"]["time"]["duration_s"]) == (3, 59 * 60)
    assert (first["metadata"]["status"], second["metadata"]["status"]) == ("ended", "started")
    assert (first["profile"], second["profile"]) == ({"id": "a"}, {"id": "a"})
    assert visits(hub, "a") == 2
    assert [told(hub, id)["metadata"]["flags"] for id in ("e0", "e29", "e89.1")] == [
        ["visit_started"],
        [],
        ["visit_started"],
    ]


def test_an_event_that_comes_too_late_for_its_session_has_none() -> None:
    """And does not break the one in hand in two."""
    hub = settled(quiet("e1", "a", 100), quiet("late", "a", 60), quiet("early", "a", 75), quiet("e2", "a", 110))
    assert session_of(hub, "late") is None
    assert session_of(hub, "early") == session_of(hub, "e1") == session_of(hub, "e2")
    assert visits(hub, "a") == 1
    assert session(hub, "e1")["metadata"]["time"]["duration_s"] == 35 * 60


def test_without_the_option_there_is_none_and_a_session_that_is_named_is_taken() -> None:
    named = with_options({"sessions": "30m"}, sign_in("e2", "a", 1, session_id="s"))
    hub = settled(sign_in("e1", "a", 1), named, quiet("e3", "a", 0))
    assert (session_of(hub, "e1"), session_of(hub, "e2")) == (None, "s")
    assert session_of(hub, "e3") not in (None, "s")
    assert "session_made" not in told(hub, "e2")["metadata"]
    assert hub.store.count("sessions", "") == 2, "none for a request that needs none"


def test_what_is_sent_again_begins_nothing() -> None:
    first = quiet("e1", "a", 0)
    hub = settled(first, quiet("e2", "a", 100), first, quiet("e3", "a", 101))
    assert session_of(hub, "e3") == session_of(hub, "e2")
    assert (visits(hub, "a"), hub.store.count("sessions", "")) == (2, 2)
    assert_balanced(hub, 4)


@pytest.mark.parametrize("crash", ["computed", "written", "told"])
def test_wherever_a_collector_dies_the_sessions_are_the_same(crash: str) -> None:
    sent = [quiet("e1", "a", 0), quiet("e2", "a", 10), quiet("e3", "a", 50), quiet("e4", "a", 55)]
    hub, plain = Hub(1), settled(*sent, hub=Hub(1))
    for one in sent:
        hub.put(one)
        hub.owners[0].step(9, crash)
        hub.settle()
    assert hub.profile("a") == plain.profile("a")
    ids = [session_of(hub, f"e{n}") for n in range(1, 5)]
    assert ids == [session_of(plain, f"e{n}") for n in range(1, 5)]
    assert all(hub.store.get("sessions", id) == plain.store.get("sessions", id) for id in ids if id)


@given(
    minutes=st.lists(st.sampled_from([0, 10, 25, 40, 61, 90, 91.5, 130, 200]), max_size=8),
    most=st.integers(1, 4),
)
@example([40, 90, 61, 40], 1)
@settings(max_examples=150, deadline=None)
def test_batches_of_any_size_give_what_a_model_says(minutes: list[float], most: int) -> None:
    hub = Hub(1)
    hub.put(*(quiet(f"e{n}", "a", minute) for n, minute in enumerate(minutes)))
    hub.settle(most)
    model: list[tuple[float, float]] = []  # begin and end of each session, minutes
    for n, minute in enumerate(minutes):
        if model and (minute + 30 < model[-1][0] or minute <= max((end for _, end in model[:-1]), default=-1)):
            assert session_of(hub, f"e{n}") is None
            continue
        if not model or minute > model[-1][1] + 30:
            model.append((minute, minute))
        model[-1] = min(model[-1][0], minute), max(model[-1][1], minute)
    times = [
        (one["metadata"]["time"]["duration_s"], one["metadata"]["status"] == "ended")
        for one in sorted(hub.store.search("sessions", "", 100, None).items, key=_start)
    ]
    assert times == [((end - begin) * 60, n < len(model) - 1) for n, (begin, end) in enumerate(model)]
    if minutes:
        assert visits(hub, "a") == len(model)


def _start(doc: dict[str, Any]) -> str:
    return str(doc["metadata"]["time"]["start"])


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_visit_goes_on_in_the_profile_that_its_own_becomes_part_of(partitions: int, at_once: bool) -> None:
    """Somebody looks around, signs in, and is a customer then."""
    sent = [quiet("b1", "b", 0), quiet("b2", "b", 5, who="w"), quiet("b3", "b", 10)]
    hub = settled(sign_in("a1", "a", 1, "w"), hub=Hub(partitions))
    if at_once:
        hub.put(*sent)
        hub.settle()
    else:
        settled(*sent, hub=hub)
    settled(quiet("b4", "a", 20), hub=hub)
    assert hub.profile("b") == hub.profile("a")
    assert len({session_of(hub, id) for id in ("b1", "b2", "b3", "b4")}) == 1
    found = session(hub, "b1")
    assert (found["profile"], found["metadata"]["claimed_by"]) == ({"id": "a"}, "b")
    assert (found["stats"]["events"], visits(hub, "a")) == (4, 1)
    assert_balanced(hub, 5)


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_merge_and_what_comes_for_the_profile_in_the_same_batch(partitions: int) -> None:
    """The session of the other profile is known by then, though nobody named it before."""
    hub = settled(quiet("b1", "b", 0), sign_in("a1", "a", 1), hub=Hub(partitions))
    hub.put(ask("b", "a"))
    hub.owners[hub.log.of("b")].step(9)
    hub.put(quiet("a2", "a", 5))
    hub.settle()
    assert session_of(hub, "a2") == session_of(hub, "b1")
    assert (session(hub, "b1")["profile"], session(hub, "b1")["stats"]["events"]) == ({"id": "a"}, 2)
    assert visits(hub, "a") == 1


def test_a_merge_that_is_undone_gives_each_its_session_in_hand_back() -> None:
    hub = settled(quiet("a1", "a", 0), quiet("b1", "b", 1), ask("b", "a"), quiet("b2", "b", 2), quiet("a2", "a", 3))
    assert session_of(hub, "b2") == session_of(hub, "a2") == session_of(hub, "b1")
    settled(undo(hub, "b"), quiet("b3", "b", 4), quiet("a3", "a", 5), hub=hub)
    assert session_of(hub, "b3") == session_of(hub, "b1")
    assert session_of(hub, "a3") == session_of(hub, "a1")
    assert (session(hub, "a1")["profile"]["id"], session(hub, "b1")["profile"]["id"]) == ("a", "b")
    assert (visits(hub, "a"), visits(hub, "b")) == (1, 1)
    assert_balanced(hub, 6)


def test_a_session_that_began_after_the_merge_stays_with_the_id_that_it_began_with() -> None:
    hub = settled(sign_in("a1", "a", 1), sign_in("b1", "b", 1), ask("b", "a"), quiet("b2", "b", 2), quiet("a2", "a", 3))
    settled(undo(hub, "b"), quiet("a3", "a", 4), quiet("b3", "b", 5), hub=hub)
    assert session_of(hub, "b3") == session_of(hub, "b2")
    assert session_of(hub, "a3") not in (None, session_of(hub, "b2"))
    assert (visits(hub, "a"), visits(hub, "b")) == (1, 1)


def test_what_is_rebuilt_from_the_store_has_the_same_sessions() -> None:
    hub = settled(*(quiet(f"e{minute}", "a", minute) for minute in (0, 10, 50)), sign_in("e99", "a", 1, session_id="s"))
    ids = ["e0", "e10", "e50", "e99"]
    again = settled(*(inbound_of([msgspec.json.encode(told(hub, id))]) for id in ids))
    assert [session_of(again, id) for id in ids] == [session_of(hub, id) for id in ids]
    assert again.profile("a")["stats"] == hub.profile("a")["stats"]
    for one in (hub, again):
        settled(quiet("e70", "a", 70), hub=one)
    assert session_of(again, "e70") == session_of(hub, "e70") == session_of(hub, "e50")


def test_a_time_that_cannot_be_is_taken_for_that_of_the_receipt() -> None:
    hub = settled(with_options({"sessions": "30m"}, sign_in("e1", "a", 1, at=-NOW_MS)), quiet("e2", "a", 0))
    assert lookup_partitions(-100_000, NOW_MS) == ("other",)
    assert session_of(hub, "e1") is not None
    assert session_of(hub, "e2") is None
