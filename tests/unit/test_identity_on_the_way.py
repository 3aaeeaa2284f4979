"""Merges that are undone while something that they sent on is still on its way: it goes back to whom it was for."""

from __future__ import annotations

import pytest

from hub.pipeline.identity import MOST_WAY_MS
from tests.factories import NOW_MS
from tests.unit.hub_model import Hub
from tests.unit.test_identity import ask, assert_balanced, settled, sign_in, told, undo


def of(hub: Hub, *ids: str) -> dict[str, tuple[str, int]]:
    """By id, which profile it is part of, and what its events add up to."""
    return {id: (hub.profile(id)["id"], hub.profile(id)["traits"]["sum"]) for id in ids}


def test_data_goes_back_to_whom_it_was_for() -> None:
    """e ends in b, which has ended in a; by the time that e's data comes to a, b is none of it any more."""
    hub = settled(*(sign_in(f"{id}1", id, n) for id, n in (("a", 1), ("b", 2), ("e", 4))))
    hub.put(ask("e", "b"), ask("b", "a"))
    hub.owners[hub.log.of("b")].step(2)
    hub.owners[hub.log.of("a")].step(1)
    hub.put(undo(hub, "b"), sign_in("e2", "e", 8))
    hub.settle()
    assert of(hub, *"abe") == {"a": ("a", 1), "b": ("b", 14), "e": ("b", 14)}
    assert (hub.profile("a")["ids"], sorted(hub.profile("b")["ids"])) == (["a"], ["b", "e"])
    settled(sign_in("e3", "e", 16), undo(hub, "e"), hub=hub)
    assert of(hub, *"be") == {"b": ("b", 2), "e": ("e", 28)}
    assert_balanced(hub, 5)


@pytest.mark.parametrize("who", ["", "w"])
def test_a_session_is_not_claimed_by_whom_its_first_event_only_passed(who: str) -> None:
    """b2 comes to a behind the undo and goes back: its session, and what comes in it later, is b's."""
    hub = settled(sign_in("a1", "a", 1), sign_in("b1", "b", 2), ask("b", "a"))
    hub.put(undo(hub, "b"), sign_in("b2", "b", 4, who, session_id="s"))
    hub.owners[hub.log.of("b")].step(100)
    hub.settle()
    settled(sign_in("b3", "b", 8, session_id="s"), hub=hub)
    assert of(hub, *"ab") == {"a": ("a", 1), "b": ("b", 14)}
    assert told(hub, "b2")["metadata"]["flags"] == ["visit_started"]
    session = hub.store.get("sessions", "s")
    assert session is not None
    assert (session["profile"]["id"], session["stats"]["events"]) == ("b", 2)
    assert_balanced(hub, 4)


def test_an_event_that_came_late_counts_as_late_after_its_session_has_gone() -> None:
    """b2 waits at a while a copy of it comes after b3, in c's session; c is in b then, and goes, and so does d."""
    own = [sign_in("a1", "a", 1), sign_in("b1", "b", 2), sign_in("c1", "c", 4, session_id="s"), sign_in("d1", "d", 8)]
    hub = settled(*own, ask("d", "b"), ask("c", "a"))
    late = sign_in("b2", "b", 16, at=10, session_id="s")
    of_a, of_b, of_c = (hub.owners[hub.log.of(id)] for id in "abc")
    hub.put(undo(hub, "c"), late)
    of_b.step(1)  # hands it on to a, who has the session, behind the undo
    of_a.step(1)
    of_c.step(1)
    hub.put(ask("c", "b"))
    of_c.step(1)
    of_b.step(1)
    hub.put(sign_in("b3", "b", 32, at=20), late)
    of_b.step(2)
    hub.settle()
    assert hub.profile("b")["traits"]["last"] == 32
    for loser in "cd":
        settled(undo(hub, loser), hub=hub)
        assert (hub.profile("b")["traits"]["last"], hub.profile("b")["traits"]["newest"]) == (32, 32)
    assert of(hub, *"abcd") == {"a": ("a", 1), "b": ("b", 50), "c": ("c", 4), "d": ("d", 8)}
    assert_balanced(hub, 7)


def test_what_comes_before_the_data_of_its_sender_waits_for_it() -> None:
    """e ends in b; its data takes the way through a, and e2 none: it is e's all the same, as e goes from b again."""
    hub = settled(*(sign_in(f"{id}1", id, n) for id, n in (("a", 1), ("b", 2), ("e", 4))))
    of_a, of_b = (hub.owners[hub.log.of(id)] for id in "ab")
    assert hub.log.of("b") == hub.log.of("e")
    hub.put(ask("e", "b"), ask("b", "a"))
    of_b.step(2)
    hub.put(sign_in("e2", "e", 8))
    of_a.step(1)
    hub.put(undo(hub, "b"))
    of_b.step(1)  # e's data goes on to a, behind the undo
    of_a.step(1)
    of_b.step(1)  # e2 goes to b, behind its restoration
    for _ in range(5):
        of_b.step(1)
    assert hub.profile("b")["traits"]["sum"] == 2
    hub.settle()
    assert of(hub, *"abe") == {"a": ("a", 1), "b": ("b", 14), "e": ("b", 14)}
    settled(undo(hub, "e"), hub=hub)
    assert of(hub, *"abe") == {"a": ("a", 1), "b": ("b", 2), "e": ("e", 12)}
    assert_balanced(hub, 4)


def test_what_comes_back_before_its_sender_does_waits_for_it() -> None:
    """e is in a because of b, and goes with it; e2 comes to a behind the undo, and back before e lives again."""
    hub = settled(*(sign_in(f"{id}1", id, n) for id, n in (("a", 1), ("b", 2), ("e", 4))), ask("b", "a"), ask("e", "b"))
    of_a, of_e = (hub.owners[hub.log.of(id)] for id in "ae")
    hub.put(undo(hub, "b"), sign_in("e2", "e", 8))
    of_e.step(1)
    of_a.step(1)
    of_a.step(1)
    hub.settle()
    assert of(hub, *"abe") == {"a": ("a", 1), "b": ("b", 14), "e": ("b", 14)}
    settled(undo(hub, "e"), hub=hub)
    assert of(hub, *"abe") == {"a": ("a", 1), "b": ("b", 2), "e": ("e", 12)}
    assert_balanced(hub, 4)


def test_what_follows_a_session_that_has_gone_back_goes_back_as_well() -> None:
    """e2 follows the session of b2 to a, of whom b is no part any more: a has nothing to do with either."""
    hub = settled(*(sign_in(f"{id}1", id, n) for id, n in (("a", 1), ("b", 2), ("e", 4))), ask("b", "a"))
    hub.put(undo(hub, "b"), sign_in("b2", "b", 8, session_id="s"), sign_in("e2", "e", 16, session_id="s"))
    hub.owners[hub.log.of("b")].step(2)
    hub.settle()
    assert of(hub, *"abe") == {"a": ("a", 1), "b": ("b", 10), "e": ("e", 20)}
    session = hub.store.get("sessions", "s")
    assert session is not None
    assert session["profile"]["id"] in ("b", "e")
    assert_balanced(hub, 5)


def test_nothing_looks_for_its_senders_profile_for_ever() -> None:
    """e2 has come back to a again and again, for a minute: it is a's now."""
    hub = settled(sign_in("a1", "a", 1))
    back = sign_in("e2", "e", 8)
    back |= {"profile_id": "a", "sent_as": "e", "first_at": "1/0/9", "forwarded_for": "return"}
    back["received_at_ms"] = NOW_MS - MOST_WAY_MS - 1
    settled(back, hub=hub)
    assert (told(hub, "e2")["profile"]["id"], hub.profile("a")["traits"]["sum"]) == ("a", 9)


def test_a_session_of_who_is_refused_is_not_taken_over() -> None:
    """c, with f in it, comes to a, with b in it, and goes back, as b and f were told apart: a3 is behind it, in s."""
    own = [
        sign_in("a1", "a", 1, "w"),
        sign_in("b1", "b", 2),
        sign_in("c1", "c", 4, session_id="s"),
        sign_in("f1", "f", 8),
    ]
    hub = settled(*own, ask("f", "b"))
    settled(undo(hub, "f"), ask("f", "c"), ask("b", "a"), hub=hub)
    hub.put(sign_in("a2", "a", 16, "w", session_id="s"), sign_in("a3", "a", 32, session_id="s"))
    hub.settle()
    assert of(hub, *"abcf") == {"a": ("a", 35), "b": ("a", 35), "c": ("c", 28), "f": ("c", 28)}
    assert told(hub, "a3")["metadata"]["flags"] == ["session_of_another_profile"]
    session = hub.store.get("sessions", "s")
    assert session is not None
    assert (session["profile"]["id"], session["stats"]["events"]) == ("c", 2)
    assert_balanced(hub, 6)


def test_a_session_that_a_copy_took_along_begins_once() -> None:
    """d has begun s when b1 follows it; d and b become a, with a copy of b1 in the same batch, before e1 comes."""
    hub = Hub()
    first = sign_in("b1", "b", 1, "w", session_id="s")
    hub.put(sign_in("d1", "d", 2, session_id="s"), first, sign_in("b2", "b", 4, "w"))
    hub.put(sign_in("e1", "e", 8, session_id="s"), ask("b", "a"), first)
    hub.settle()
    assert of(hub, *"abd") == dict.fromkeys("abd", ("a", 15))
    assert hub.profile("a")["stats"] == {"events": 4, "visits": 1}
    session = hub.store.get("sessions", "s")
    assert session is not None
    assert session["stats"]["events"] == 3
    assert_balanced(hub, 5)


def test_a_session_of_who_goes_with_another_is_not_taken_back() -> None:
    """b is in a because of d, and goes with it; c1 comes to a for b's session before b lives again."""
    own = [sign_in("a1", "a", 1), sign_in("b1", "b", 2, session_id="s"), sign_in("d1", "d", 4)]
    hub = settled(*own, ask("d", "a"), ask("d", "b"))
    hub.put(sign_in("c1", "c", 8, session_id="s"), undo(hub, "d"))
    hub.settle()
    assert of(hub, *"abcd") == {"a": ("a", 1), "b": ("b", 6), "c": ("c", 8), "d": ("b", 6)}
    assert told(hub, "c1")["metadata"]["flags"] == ["session_of_another_profile"]
    session = hub.store.get("sessions", "s")
    assert session is not None
    assert (session["metadata"].get("claimed_by", "b"), session["stats"]["events"]) == ("b", 1)
    assert_balanced(hub, 4)


def test_what_its_senders_data_has_passed_counts_as_late() -> None:
    """e2 goes to d, of whom e is none any more, and with d into b and a; e is there by then, and has brought e3."""
    hub = Hub()
    of_d, of_e = (hub.owners[hub.log.of(id)] for id in "de")
    hub.put(ask("d", "e"))
    of_d.step(4)
    hub.put(sign_in("e1", "e", 1))
    of_e.step(3, "told")
    hub.put(ask("e", "b"), ask("a", "b"))
    of_d.step(4)
    hub.put(undo(hub, "e"))
    of_e.step(4)
    hub.put(sign_in("e2", "e", 2, at=10))
    of_d.step(2)
    of_d.step(3)
    hub.put(sign_in("e3", "e", 4, at=20), ask("e", "a"))
    hub.settle()
    assert (hub.profile("e")["id"], hub.profile("e")["traits"]["sum"]) == ("a", 7)
    assert told(hub, "e2")["metadata"]["forwarded_for"] == "return"
    assert (hub.profile("a")["traits"]["last"], hub.profile("a")["traits"]["newest"]) == (4, 4)


def test_a_session_that_the_others_profile_holds_goes_back_with_who_claimed_it() -> None:
    """d takes f's session over as f ends in d, and ends in a before f's data comes there; with f it is f's again."""
    hub = settled(sign_in("d1", "d", 1, "v"), sign_in("a1", "a", 2, "w"))
    hub.put(sign_in("f1", "f", 4, "v", session_id="s"))
    hub.put(sign_in("d2", "d", 8, session_id="s"), sign_in("d3", "d", 16, "w"))
    hub.settle()
    assert of(hub, *"adf") == dict.fromkeys("adf", ("a", 31))
    settled(undo(hub, "f"), sign_in("e1", "e", 32, session_id="s"), hub=hub)
    assert of(hub, *"adf") == {"a": ("a", 27), "d": ("a", 27), "f": ("f", 36)}
    assert_balanced(hub, 6)
