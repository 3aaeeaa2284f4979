"""Sessions that two profiles come with: the first holds it, and what the other sends with it goes there."""

from __future__ import annotations

import pytest

from hub.model import Session
from hub.pipeline.process import Outcome
from schemas.records import Inbound
from tests.contracts.batches import batch
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import Hub, Owner
from tests.unit.test_identity import ask, assert_balanced, settled, sign_in, told, undo

ANOTHERS = "session_of_another_profile"


def session(hub: Hub, id: str = "s") -> tuple[str, int]:
    """Who holds it, and how many events it counts."""
    found = hub.store.get("sessions", id)
    assert found is not None
    return found["profile"]["id"], found["stats"]["events"]


def total(hub: Hub, id: str) -> int:
    """The sum of the numbers that were sent to a profile; 0 where there is none."""
    found = hub.store.get("profiles", id)
    return 0 if found is None else found["traits"].get("sum", 0)


def flags(hub: Hub, event_id: str) -> list[str]:
    found: list[str] = told(hub, event_id)["metadata"]["flags"]
    return found


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_another_profile_sends_with_a_session_goes_to_its_holder(partitions: int, at_once: bool) -> None:
    sent = [sign_in("a1", "a", 1, session_id="s"), sign_in("b1", "b", 2, session_id="s"), sign_in("b2", "b", 4)]
    hub = Hub(partitions)
    hub.put(sent[0])
    if not at_once:
        hub.settle()
    hub.put(*sent[1:])
    if partitions == 3 and at_once:
        hub.owners[hub.log.of("a")].step(9)
    hub.settle()
    assert (total(hub, "a"), total(hub, "b"), session(hub)) == (3, 4, ("a", 2))
    document = told(hub, "b1")
    assert (document["profile"], document["session"]) == ({"id": "a"}, {"id": "s"})
    assert (document["metadata"]["sent_as"], document["metadata"]["forwarded_for"]) == ("b", "session")
    assert document["metadata"]["flags"] == []
    assert hub.profile("a")["ids"] == ["a"], "it is no merge"
    assert hub.profile("a")["stats"] == {"events": 2, "visits": 1}
    assert_balanced(hub, 3)


def test_a_profile_that_only_came_with_the_session_of_another_is_none() -> None:
    hub = settled(sign_in("a1", "a", 1, session_id="s"), sign_in("b1", "b", 2, session_id="s"))
    assert [profile["id"] for profile in hub.profiles()] == ["a"]
    assert hub.store.count("events", "profile.id = a") == 2


@pytest.mark.parametrize("crash", ["computed", "written", "told"])
@pytest.mark.parametrize("where", ["a", "b"])
def test_wherever_a_collector_dies_it_counts_once(where: str, crash: str) -> None:
    """At the holder's or at the sender's, which forwards again what it may have forwarded."""
    hub = settled(sign_in("a1", "a", 1, session_id="s"))
    hub.put(sign_in("b1", "b", 2, session_id="s"), sign_in("b2", "b", 4))
    if where == "a":
        hub.owners[hub.log.of("b")].step(9)
    hub.owners[hub.log.of(where)].step(9, crash)
    hub.settle()
    assert (total(hub, "a"), total(hub, "b"), session(hub)) == (3, 4, ("a", 2))
    assert_balanced(hub, 3)
    assert hub.counts()["stored"] == 3


def test_what_is_sent_or_replayed_again_is_a_duplicate_and_changes_nothing() -> None:
    sent = sign_in("a1", "a", 1, session_id="s"), sign_in("b1", "b", 2, session_id="s")
    hub = settled(*sent)
    before = hub.profiles(), hub.store.get("sessions", "s")
    settled(*sent, *reversed(sent), hub=hub)
    # the client tries again, with the event among new ones
    again, new = event("b1", "sign-in", time_ms=NOW_MS - 100_000, n=2), event("b2", "sign-in", n=4)
    assert (hub.profiles(), hub.store.get("sessions", "s")) == before
    settled(track("b", again, new, session_id="s"), hub=hub)
    assert (total(hub, "a"), session(hub)) == (7, ("a", 3))
    assert_balanced(hub, 8)
    assert hub.counts()["duplicate"] == 5


@pytest.mark.parametrize("partitions", [1, 3])
def test_an_identifier_of_a_forwarded_event_is_the_holders(partitions: int) -> None:
    """Who only sent it is not merged with the holder; whoever comes with it later is."""
    hub = Hub(partitions)
    hub.put(sign_in("a1", "a", 1, session_id="s"), sign_in("d1", "d", 2, "w", session_id="s"), sign_in("d2", "d", 4))
    hub.settle()
    assert sorted(profile["id"] for profile in hub.profiles()) == ["a", "d"]
    assert told(hub, "d1")["outcome"]["identity"][0]["did"] == "claimed"
    settled(sign_in("c1", "c", 8, "w"), hub=hub)
    assert hub.profile("c")["ids"] == ["a", "c"]
    settled(sign_in("d3", "d", 16, "w"), hub=hub)
    (profile,) = hub.profiles()
    assert (sorted(profile["ids"]), total(hub, "a")) == (["a", "c", "d"], 31)
    assert_balanced(hub, 5)


@pytest.mark.parametrize("crash", ["computed", "written", "told"])
def test_a_crash_does_not_leave_an_identifier_with_a_profile_that_its_event_does_not_reach(crash: str) -> None:
    """b comes first with session and address; the collector dies, and a comes with the session before it is back."""
    hub = Hub()
    hub.put(sign_in("b1", "b", 1, "w", session_id="s"), sign_in("a1", "a", 2, session_id="s"), sign_in("b2", "b", 4))
    hub.owners[hub.log.of("b")].step(9, crash)
    hub.owners[hub.log.of("a")].step(9)
    hub.settle()
    assert sorted(len(profile["ids"]) for profile in hub.profiles()) == [1]
    assert (total(hub, "b"), session(hub)) == (7, ("b", 2))
    assert_balanced(hub, 3)


def test_a_session_that_comes_with_a_profile_that_is_merged_meanwhile_is_its_survivors() -> None:
    """c's sign-in and the end of c are one batch; a has its session and address, and b, who comes later, does not."""
    hub = settled(sign_in("a1", "a", 1), sign_in("c1", "c", 2))
    hub.put(ask("c", "a"), sign_in("c2", "c", 4, "w", session_id="s"), sign_in("b1", "b", 8, session_id="s"))
    for id in ("c", "b", "a"):
        hub.owners[hub.log.of(id)].step(9)
    hub.settle()
    assert [profile["ids"] for profile in hub.profiles()] == [["a", "c"]]
    assert (total(hub, "a"), session(hub)) == (15, ("a", 2))
    assert hub.profile("a")["stats"]["visits"] == 1
    assert_balanced(hub, 4)


def test_a_session_follows_its_holder_into_a_merge_and_back() -> None:
    """With what others have sent with it: c held it, and has what b sent with it, once it is itself again."""
    hub = settled(sign_in("a1", "a", 1), sign_in("c1", "c", 2, session_id="s"), sign_in("b1", "b", 4, session_id="s"))
    settled(ask("c", "a"), sign_in("b2", "b", 8, session_id="s"), sign_in("b3", "b", 16), hub=hub)
    assert (total(hub, "a"), total(hub, "b"), session(hub)) == (15, 16, ("a", 3))
    assert told(hub, "b2")["profile"] == {"id": "a"}
    settled(undo(hub, "c"), hub=hub)
    assert (total(hub, "a"), total(hub, "c"), session(hub)) == (1, 14, ("c", 3))
    settled(sign_in("b4", "b", 32, session_id="s"), sign_in("c2", "c", 64, session_id="s"), hub=hub)
    assert (total(hub, "a"), total(hub, "b"), total(hub, "c"), session(hub)) == (1, 16, 110, ("c", 5))
    # and once more: what was written to it meanwhile is not lost
    settled(ask("c", "a", "again"), sign_in("a2", "a", 128, session_id="s"), hub=hub)
    assert (total(hub, "a"), session(hub)) == (239, ("a", 6))
    assert_balanced(hub, 8)


def test_a_session_that_comes_back_by_way_of_another_collector_has_what_was_written_there() -> None:
    """Of d, then of b, which another collector owns, and at last of a, which has the same collector as d."""
    hub = settled(sign_in("d1", "d", 1, session_id="s"), sign_in("b1", "b", 2), sign_in("a1", "a", 4))
    assert hub.log.of("d") == hub.log.of("a") != hub.log.of("b")
    settled(ask("d", "b"), sign_in("b2", "b", 8, session_id="s"), ask("b", "a"), hub=hub)
    settled(sign_in("a2", "a", 16, session_id="s"), hub=hub)
    assert (total(hub, "a"), session(hub)) == (31, ("a", 3))
    assert_balanced(hub, 5)


def test_a_session_of_the_survivor_stays_with_it() -> None:
    hub = settled(sign_in("a1", "a", 1, session_id="s"), sign_in("b1", "b", 2), ask("b", "a"))
    settled(sign_in("b2", "b", 4, session_id="s"), sign_in("b3", "b", 8, session_id="t"), undo(hub, "b"), hub=hub)
    # what b sent is b's, as ever; the session that it came with first, too
    assert (total(hub, "a"), total(hub, "b")) == (1, 14)
    assert (session(hub, "s"), session(hub, "t")) == (("a", 2), ("b", 1))
    settled(sign_in("b4", "b", 16, session_id="s"), sign_in("a2", "a", 32, session_id="t"), hub=hub)
    assert (total(hub, "a"), total(hub, "b")) == (17, 46)
    assert "claimed_by" not in hub.store.get("sessions", "t")["metadata"]  # type: ignore[index]
    assert_balanced(hub, 6)


def test_the_senders_merge_takes_what_is_still_to_come() -> None:
    """b sends with a session of a, then becomes part of c's; what it sends then goes to c, and from there to a."""
    hub = settled(sign_in("a1", "a", 1, session_id="s"), sign_in("b1", "b", 2), sign_in("c1", "c", 4), ask("b", "c"))
    settled(sign_in("c2", "c", 8, session_id="s"), sign_in("b2", "b", 16, session_id="s"), hub=hub)
    assert (total(hub, "a"), total(hub, "b"), session(hub)) == (25, 6, ("a", 3))
    assert [told(hub, id)["metadata"]["sent_as"] for id in ("c2", "b2")] == ["c", "b"]
    settled(undo(hub, "c"), sign_in("c3", "c", 32, session_id="s"), hub=hub)
    assert (total(hub, "a"), total(hub, "b"), total(hub, "c")) == (57, 2, 4)
    assert_balanced(hub, 6)


@pytest.mark.parametrize("restored", [True, False])
def test_a_record_that_finds_the_session_gone_comes_back_and_stays(restored: bool) -> None:
    """
    It was on its way to a as the merge that had brought the session there was undone: no circle, and no loss.

    Also if it is there before the owner of c has heard that c lives again.
    """
    hub = settled(sign_in("a1", "a", 1), sign_in("c1", "c", 2, session_id="s"), ask("c", "a"))
    settled(sign_in("c2", "c", 4, session_id="s"), hub=hub)
    hub.put(undo(hub, "c"), sign_in("b1", "b", 8, session_id="s"))
    hub.owners[hub.log.of("b")].step(9)
    hub.owners[hub.log.of("a")].step(9)
    if restored:
        hub.owners[hub.log.of("c")].step(9)
    hub.owners[hub.log.of("a")].step(9)
    hub.settle()
    assert (total(hub, "a"), total(hub, "b"), total(hub, "c"), session(hub)) == (1, 8, 6, ("c", 2))
    assert told(hub, "b1")["metadata"]["forwarded_for"] == "return"
    assert flags(hub, "b1") == [ANOTHERS]
    assert_balanced(hub, 4)


def test_a_record_on_its_way_to_a_holder_follows_it_into_a_merge() -> None:
    hub = settled(sign_in("a1", "a", 1), sign_in("c1", "c", 2, session_id="s"))
    hub.put(ask("c", "a"), sign_in("b1", "b", 4, session_id="s"))
    hub.owners[hub.log.of("b")].step(9)
    hub.settle()
    assert (total(hub, "a"), session(hub)) == (7, ("a", 2))
    assert told(hub, "b1")["metadata"]["forwarded_for"] == "session"
    assert flags(hub, "b1") == []
    assert_balanced(hub, 3)


def test_a_copy_that_overtakes_the_event_on_another_way_counts_by_its_time() -> None:
    """b2 waits behind the merge of c; b is merged as well, and what it sends again goes to a directly."""
    hub = settled(sign_in("c1", "c", 9, session_id="s"))
    again = sign_in("b2", "b", 1, session_id="s", at=1)
    hub.put(ask("c", "a"), again, sign_in("b3", "b", 2, at=2), ask("b", "a"), again)
    a, b, c = (hub.owners[hub.log.of(id)] for id in "abc")
    b.step(2)
    c.step(1)
    b.step(9)
    a.step(9)
    hub.settle()
    assert told(hub, "b2")["metadata"]["forwarded_for"] == "alias", "the copy was first"
    assert (total(hub, "a"), hub.profile("a")["traits"]["last"]) == (12, 2)
    assert_balanced(hub, 4)


def test_a_session_that_was_given_back_twice_is_found_where_it_is() -> None:
    """k came with it, became part of c, and with c of a; both merges are undone."""
    hub = settled(sign_in("k1", "k", 1, session_id="s"), sign_in("c1", "c", 2), sign_in("a1", "a", 4), ask("k", "c"))
    settled(sign_in("k2", "k", 8, session_id="s"), ask("c", "a"), sign_in("k3", "k", session_id="s"), hub=hub)
    assert session(hub) == ("a", 3)
    settled(undo(hub, "c"), undo(hub, "k"), sign_in("a2", "a", 32, session_id="s"), hub=hub)
    assert told(hub, "a2")["profile"] == {"id": "k"}
    assert (total(hub, "a"), total(hub, "c"), total(hub, "k"), session(hub)) == (4, 2, 41, ("k", 4))
    assert_balanced(hub, 6)


def _store(owner: Owner, outcome: Outcome) -> list[str]:
    lost = owner.store.write(outcome.batch)
    owner.tell(outcome)
    owner.end(outcome, lost)
    return lost


def _begun(hub: Hub, *inbounds: Inbound) -> list[tuple[Owner, Outcome]]:
    """By each, of another partition, a batch of its own, before any is written."""
    hub.put(*inbounds)
    owners = [hub.owners[hub.log.of(inbound["profile_id"])] for inbound in inbounds]
    begun = [(owner, owner.begin(9)) for owner in owners]
    return [(owner, outcome) for owner, outcome in begun if outcome is not None]


def _next(hub: Hub, owner: Owner, inbound: Inbound) -> Outcome:
    hub.put(inbound)
    outcome = owner.begin(9)
    assert outcome is not None
    return outcome


def test_of_two_first_hits_at_once_the_first_that_is_stored_holds_the_session() -> None:
    """The other learns of it: only what it had in hand by then stays with its profile."""
    hub = Hub()
    loser, winner = _begun(hub, sign_in("a1", "a", 1, session_id="s"), sign_in("b1", "b", 2, session_id="s"))
    assert (_store(*winner), _store(*loser)) == ([], ["s"])
    hub.settle()
    assert (total(hub, "a"), total(hub, "b"), session(hub)) == (1, 2, ("b", 1))
    settled(sign_in("a2", "a", 4, session_id="s"), sign_in("b2", "b", 8, session_id="s"), hub=hub)
    assert (total(hub, "a"), total(hub, "b"), session(hub)) == (1, 14, ("b", 3))
    assert_balanced(hub, 4)


def test_a_batch_that_was_read_before_the_loss_was_known_does_not_bring_the_session_back() -> None:
    """As in the collector's loop, where the next batch is processed while one is written."""
    hub = Hub()
    (loser, a1), winner = _begun(hub, sign_in("a1", "a", 1, session_id="s"), sign_in("b1", "b", 2, session_id="s"))
    _store(*winner)
    loser.memory.keep(a1)
    loser.next += 1
    a2 = _next(hub, loser, sign_in("a2", "a", 4, session_id="s"))
    loser.memory.lose(hub.store.write(a1.batch))
    loser.memory.keep(a2)
    loser.next += 1
    a3 = _next(hub, loser, sign_in("a3", "a", 8, session_id="s"))
    assert hub.store.write(a2.batch) == ["s"]
    assert _store(loser, a3) == []
    hub.settle()
    assert (total(hub, "a"), total(hub, "b"), session(hub)) == (5, 10, ("b", 2))
    assert told(hub, "a3")["profile"] == {"id": "b"}
    assert_balanced(hub, 4)


def test_a_session_that_nobody_holds_goes_to_who_comes_first() -> None:
    """As an older version has left it, of profile-less events."""
    hub = settled(sign_in("a1", "a", 1))
    doc = {"id": "s", "profile": {"id": ""}, "metadata": {"time": {}}, "stats": {"events": 3}}
    hub.store.write(batch(Session("s", "", 7, doc)))
    settled(sign_in("b1", "b", 2, session_id="s"), sign_in("a2", "a", 4, session_id="s"), hub=hub)
    assert (total(hub, "a"), total(hub, "b"), session(hub)) == (1, 6, ("b", 5))
