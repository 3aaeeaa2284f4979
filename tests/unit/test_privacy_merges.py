"""An erasure that meets a merge of the same person: nobody is left by half, and nobody else goes."""

from __future__ import annotations

from typing import Any

import pytest

from hub.model import Ask, Batch, Identity, Outgoing, Position
from hub.pipeline.documents import iso
from hub.store.port import Store
from schemas.codec import decode_inbound, encode_inbound
from schemas.records import TRACK, Inbound
from tests.factories import NOW_MS
from tests.unit.hub_model import Hub, step_record
from tests.unit.test_privacy import hub, ids_of, order, sign_in, store, sweep
from tests.unit.test_privacy_stateful import whole

__all__ = ["hub", "store"]
"""Fixtures."""


def sent(id: str, profile: str, at: int, who: str = "", session: str | None = None) -> Inbound:
    """An event that was received at this moment."""
    return sign_in(id, profile, who, n=at, session=session, at_ms=NOW_MS + at)


def erase(id: str, profile: str, at: int) -> Inbound:
    return order(id, profile, at_ms=NOW_MS + at)


def step(hub: Hub, profile: str, most: int = 1) -> None:
    """The owner of this profile goes on by a batch."""
    hub.owners[hub.log.of(profile)].step(most)


def settled(hub: Hub) -> list[str]:
    """The events that are left in the end; every profile is whole."""
    hub.settle()
    sweep(hub.store)
    events: list[dict[str, Any]] = hub.store.search("events", "", 1_000, None).items
    whole(hub.profiles(), events)
    counts = hub.counts()
    assert counts["received"] == counts["stored"] + counts["duplicate"] + counts["dropped"]
    return sorted(event["id"] for event in events)


@pytest.mark.parametrize("by", ["identifier", "session"])
def test_a_merge_that_is_ahead_of_the_erasure_is_part_of_it(hub: Hub, by: str) -> None:
    """p2 has ended in p1, or given its event to it, before p1's turn comes; though that was received later."""
    who, session = ("w1", None) if by == "identifier" else ("", "s1")
    first, later = sent("e1", "p1", 10, who, session), sent("e2", "p2", 30, who, session)
    hub.put(first)
    step(hub, "p1")
    hub.put(erase("o1", "p1", 20), later)
    step(hub, "p2")
    left = settled(hub)
    hub.put(first, later)
    assert settled(hub) == left
    assert "e1" not in left


def test_an_erasure_goes_the_way_of_the_events_of_the_id_that_was_asked_for(hub: Hub) -> None:
    """p1 is part of p0 when its erasure is asked for, and is none any more when the event before it arrives."""
    hub.put(sent("e1", "p0", 10, "w0"), erase("o1", "p0", 20), sent("e2", "p1", 30, "w0"), sent("e3", "p1", 40))
    step(hub, "p0")
    step(hub, "p1", 5)
    assert hub.store.survivor("p1") == "p0"
    hub.put(erase("o2", "p1", 50))
    assert settled(hub) == []


def test_what_came_with_a_merge_of_before_is_void_when_it_comes_again(hub: Hub) -> None:
    records = [
        sent("e1", "p0", 10, "w0"),
        sent("e2", "p1", 30, "w0"),
        sent("e3", "p1", 40, "w0"),
        sent("e4", "p0", 60, "w0"),
    ]
    hub.put(records[0], erase("o1", "p0", 20), *records[1:3], erase("o2", "p0", 50), records[3])
    left = settled(hub)
    assert "e4" in left
    hub.put(*records)
    assert not {"e1", "e2"} & set(settled(hub))


@pytest.mark.parametrize("crash", ["written", "told"])
def test_a_merge_that_is_told_again_after_the_erasure_brings_nobody_back(hub: Hub, crash: str) -> None:
    """The owner of the other half has died; whoever takes over reads its last batch again, and sends its data again."""
    hub.put(sent("e1", "p0", 10, "w0"))
    hub.settle()
    hub.put(sent("e2", "p1", 30, "w0"), erase("o1", "p0", 20))
    hub.owners[hub.log.of("p1")].step(1, crash)
    step(hub, "p0")
    assert settled(hub) == []


@pytest.mark.parametrize("erased", ["p1", "p2"])
def test_whoever_was_asked_to_join_before_the_erasure_goes_too(hub: Hub, erased: str) -> None:
    """The event that made them one was received after it was asked for, and came before its turn."""
    hub.put(sent("e1", "p2", 10, "w0"), sent("e2", "p1", 20))
    hub.settle()
    hub.put(sent("e3", "p1", 40, "w0"))
    # the erasure lies before what p2 is asked, behind the event of p1
    hub.put(erase("o1", erased, 30))
    step(hub, "p1")
    step(hub, erased)
    assert settled(hub) == []


def test_who_was_erased_on_both_sides_of_a_merge_is_not_erased_a_third_time(hub: Hub) -> None:
    hub.put(sent("e1", "p2", 10, "w0"))
    hub.settle()
    hub.put(sent("e2", "p1", 20, "w0"), erase("o2", "p2", 31))
    step(hub, "p1")  # asks p2
    hub.put(erase("o1", "p1", 30))
    step(hub, "p1")
    step(hub, "p2")
    hub.put(sent("e3", "p1", 40), sent("e4", "p2", 50))
    assert settled(hub) == ["e3", "e4"]
    assert ids_of(hub.store, "profiles") == ["p1", "p2"]


def test_an_old_event_that_leads_to_somebody_new_takes_nobody_away(hub: Hub) -> None:
    """It was received before the erasure, by a profile that has nothing to do with it, and is stored late."""
    hub.put(sent("e1", "p0", 10), erase("o1", "p0", 30))
    hub.settle()
    hub.put(sent("e2", "p0", 40, "w1"))
    hub.settle()
    hub.put(sent("e3", "p1", 20, "w1"))
    assert settled(hub) == ["e2", "e3"]
    assert hub.profile("p1")["ids"] == ["p0", "p1"]


@pytest.mark.parametrize("at", [20, 40], ids=["before", "after"])
def test_two_collectors_at_the_same_moment(hub: Hub, at: int) -> None:
    """One has read that p0 has the address, and the erasure of p0 is written before what comes of that."""
    hub.put(sent("e1", "p0", 10, "w0"), sent("e2", "p1", 11))
    hub.settle()
    hub.put(sent("e3", "p1", at, "w0"), erase("o1", "p0", 30))
    owner = hub.owners[hub.log.of("p1")]
    outcome = owner.begin(1)
    assert outcome is not None
    step(hub, "p0")
    lost = hub.store.write(outcome.batch)
    owner.tell(outcome)
    owner.end(outcome, lost)
    # what was received before it is of the person; what came later is of somebody who has the address now
    assert settled(hub) == ([] if at < 30 else ["e2", "e3"])


@pytest.mark.parametrize("is_smaller", [True, False], ids=["asker", "asked"])
def test_an_erasure_that_is_written_while_the_other_reads_what_it_is_asked(hub: Hub, *, is_smaller: bool) -> None:
    """Two who were about to become one go both, whoever of them gives up its profile."""
    asker, asked = ("p1", "p2") if is_smaller else ("p2", "p1")
    if is_smaller:
        hub.put(sent("e1", asked, 10, "w0"))
        hub.settle()
        hub.put(sent("e2", asker, 20, "w0"))
        step(hub, asker)
    else:
        # nobody is asked by somebody larger because of an identifier, but when two sites are one by a link
        hub.put(sent("e1", asked, 10), sent("e2", asker, 11))
        hub.settle()
        reason = b'{"kind":"request","profile_id":"p1","other_id":"p2","at":"2026-01-01T00:00:00Z"}'
        ask = {**step_record("k1", asked, asker, "ask", reason), "received_at_ms": NOW_MS + 20, "origin": "collector"}
        identity = Identity(
            aliases={},
            restored=[],
            taken=[],
            uses={},
            merges=[],
            undone={},
            forwarded=[],
            outbox=[],
            asks=[Ask("k1", asked, asker)],
        )
        hub.store.write(
            Batch(
                epoch=1,
                progress={},
                events=[],
                profiles=[],
                sessions=[],
                dead_letters=[],
                counters={},
                identity=identity,
            )
        )
        hub.log.append(asked, encode_inbound(ask))  # type: ignore[arg-type]
    owner = hub.owners[hub.log.of(asked)]
    outcome = owner.begin(1)
    assert outcome is not None
    hub.put(erase("o1", asker, 30))
    step(hub, asker)
    assert owner.write(outcome) is None
    assert settled(hub) == []


def test_what_has_to_be_sent_and_counts_is_not_removed_with_the_person(store: Store) -> None:
    """Its owner has died after it was stored; who takes over sends it."""
    hub = Hub(3, store=store)
    hub.put(sent("e1", "p0", 10, "w0"))
    hub.settle()
    hub.put(sent("e2", "p1", 20, "w0"))
    step(hub, "p1")
    hub.put(erase("o1", "p0", 30), sent("e3", "p1", 25), sent("e4", "p1", 40))
    owner = hub.owners[hub.log.of("p1")]
    outcome = owner.begin(5)
    assert outcome is not None
    store.write(outcome.batch)  # and it is dead
    step(hub, "p0")
    step(hub, "p0")
    sweep(store)
    waiting = [decode_inbound(one.value) for one in store.outbox(owner.epoch, [owner.number])]
    assert [one["body"][1]["events"][0]["id"] for one in waiting if one["body"][0] == TRACK] == ["e4"]
    owner.take_over()
    assert settled(hub) == ["e4"]


def test_a_request_by_hand_to_join_somebody_who_is_erased_meanwhile(hub: Hub) -> None:
    hub.put(sent("e1", "p0", 10), sent("e2", "p1", 11), sent("e3", "p2", 12))
    hub.settle()
    reason = b'{"kind":"request","profile_id":"p1","other_id":"p0","at":"2026-01-01T00:00:00Z"}'
    asked = {**step_record("m1", "p1", "p0", "ask", reason), "received_at_ms": NOW_MS + 20}
    hub.put(erase("o1", "p0", 30))
    step(hub, "p0")
    hub.log.append("p1", encode_inbound(asked))  # type: ignore[arg-type]
    assert settled(hub) == ["e3"]


def test_a_step_of_a_merge_is_known_by_its_record(store: Store) -> None:
    """A second copy of what a profile was asked counts for nothing, once somebody was erased."""
    hub = Hub(3, store=store)
    hub.put(sent("e1", "p1", 10, "w0"))
    hub.settle()
    hub.put(sent("e2", "p0", 20, "w0"))
    hub.settle()
    (ask,) = [one for one in hub.merges() if one["body"][1]["step"] == "ask"]  # type: ignore[typeddict-item]
    assert (store.asks([ask["id"]])[ask["id"]].is_done, hub.store.survivor("p1")) == (True, "p0")
    hub.put(erase("o1", "p1", 30))
    hub.settle()
    hub.put(sent("e3", "p1", 40), sent("e4", "p0", 41))
    hub.settle()
    hub.log.send(Outgoing(Position(1, 0, 0, 0), b"p1", encode_inbound(ask)))
    assert settled(hub) == ["e3", "e4"]
    assert ids_of(store, "profiles") == ["p0", "p1"]
    kept = store.asks([ask["id"]])[ask["id"]]
    assert (kept.asked, kept.asker, kept.cause) == ("", "", "o1")


def test_what_is_void_reaches_up_to_the_newest_event_of_the_person(hub: Hub) -> None:
    """In whatever order their events came: here by two edges, one of which has a clock that is ahead."""
    hub.put(sent("e1", "p1", 60), sent("e2", "p1", 40), erase("o1", "p1", 50))
    step(hub, "p1", 2)
    assert hub.profile("p1")["metadata"]["time"]["update"] == iso(NOW_MS + 60)
    hub.settle()
    row = hub.store.order("o1")
    assert row is not None
    assert row.until_ms == NOW_MS + 60
