"""Promotions: what cannot be one, what live's profile becomes, and when two stores are alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.errors import Refused
from hub.model import Alias, Claim, CounterKey, Counts, Identity, MergeEntry, Person, Void
from hub.replay.alike import Alike, Differs
from hub.replay.bounds import BEGINNING, At, Offset
from hub.replay.options import Options, check_promotion
from hub.replay.promotion import is_stored, promoted
from hub.replay.source import Original
from hub.settings import Bulk, Kafka
from hub.store.memory import MemoryStore
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, profile
from tests.contracts.test_store_privacy import privacy
from tests.factories import event as sent_event
from tests.factories import track


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"into": None}, "--into"),
        ({"dry_run": True}, "--dry-run"),
        ({"query": "type = purchase"}, "without --until and --q"),
        ({"until": At(NOW_MS)}, "without --until and --q"),
        ({"since": Offset(0)}, "--from beginning"),
        ({"since": At(NOW_MS)}, "--from beginning"),
    ],
)
def test_only_a_whole_replay_into_a_shadow_can_be_promoted(wanted: dict[str, Any], why: str) -> None:
    options: dict[str, Any] = {"since": BEGINNING, "into": "next", "promote": True}
    options |= {
        "kafka": Kafka(),
        "namespace": "hub",
        "store_url": "",
        "data": Path(),
        "bulk": Bulk(),
        "environment": {},
    }
    check_promotion(Options(**options))
    with pytest.raises(Refused, match=why):
        check_promotion(Options(**options | wanted))
    check_promotion(Options(**options | wanted | {"promote": False}))


# The document


def document(version: int, traits: dict[str, Any], **metadata: Any) -> bytes:
    return msgspec.json.encode({"id": "a", "metadata": {"version": version, "fields": {}} | metadata, "traits": traits})


def test_a_profile_gets_all_but_what_is_lives_own() -> None:
    """To the byte, numbers included; where nothing is different, nothing is."""
    ours = document(7, {"n": 1}, apart=["b"])
    theirs = document(900, {"n": 1.0, "big": 2**63, "é": [0.1, None]}, identifiers={"x": ["email"]})
    assert promoted(ours, theirs) == document(
        7, {"n": 1.0, "big": 2**63, "é": [0.1, None]}, identifiers={"x": ["email"]}, apart=["b"]
    )
    assert promoted(document(7, {"n": 1}), document(9, {"n": 2}, apart=["c"])) == document(7, {"n": 2})
    assert promoted(ours, document(900, {"n": 1})) == ours


def test_a_profile_stays_in_the_segments_that_it_is_in_and_is_judged_anew() -> None:
    def member(traits: dict[str, Any], *segments: str, version: int, **metadata: Any) -> bytes:
        metadata |= {"segments": {id: {"since": "", "by": "list"} for id in segments}}
        return msgspec.json.encode(
            {"id": "a", "metadata": {"version": version, **metadata}, "segments": list(segments), "traits": traits}
        )

    live = member({"n": 1}, "vip", version=7, judged=50, due=9)
    shadow = member({"n": 2}, "rich", version=900, judged=3, due=8)
    assert msgspec.json.decode(promoted(live, shadow)) == msgspec.json.decode(member({"n": 2}, "vip", version=7, due=9))
    assert promoted(live, member({"n": 1}, version=900)) == live


# Two stores


def store(*owners: tuple[str, str], merged: dict[str, str] | None = None, settled: bool = True) -> MemoryStore:
    """With an event of each profile (event, profile), and these profiles merged into others."""
    one = MemoryStore()
    one.epoch("topic")
    one.write(batch(profile("a"), profile("b"), profile("c")))
    merged = merged or {}
    merges = [
        MergeEntry(
            id=f"m-{id}", loser_id=id, survivor_id=into, version=1, at_ms=NOW_MS, reason=b"{}", loser=b"{}",
            survivor=b"{}", changes=b"[]",
        )
        for id, into in merged.items()
    ]  # fmt: skip
    identity = Identity(
        aliases={id: Alias(into, 1, f"m-{id}") for id, into in merged.items()},
        restored=[],
        taken=[],
        uses={},
        merges=merges if settled else [],
        undone={},
        forwarded=[],
        outbox=[],
    )
    one.write(msgspec.structs.replace(batch(), identity=identity))
    add(one, *owners)
    return one


def add(one: MemoryStore, *owners: tuple[str, str]) -> None:
    months = {id: NOW_MS - int(id[1:]) % 2 * MONTH_MS for id, _ in owners}
    events = [event(id, profile_id=owner, time_ms=months[id]) for id, owner in owners]
    count = Counts(received=len(events), stored=len(events))
    one.write(batch(*events, counters={CounterKey(1, 0, "shop", len(one.counters())): count}))


def judge(live: MemoryStore, shadow: MemoryStore) -> None:
    alike = Alike(live, shadow, "next")
    alike.look()
    alike.judge()


def claim(one: MemoryStore, **holders: str) -> None:
    one.claim(Claim(identifier, "email", id, "e", NOW_MS) for identifier, id in holders.items())


THREE = (("e1", "a"), ("e2", "b"), ("e3", ""))


def test_the_same_events_are_alike_whichever_part_of_a_person_they_are_stored_for() -> None:
    """A record may have come before a merge in the one, and behind it in the other."""
    judge(store(), store())
    judge(store(*THREE), store(*THREE))
    judge(store(*THREE, merged={"b": "a"}), store(("e1", "a"), ("e2", "a"), ("e3", ""), merged={"b": "a"}))


@pytest.mark.parametrize(
    ("live", "shadow", "why"),
    [
        (store(*THREE), store(*THREE[:2]), "1 events are not in next.*e3"),
        (store(*THREE[:2]), store(*THREE), "next has 3 events, live has 2"),
        (store(*THREE), store(("e1", "b"), *THREE[1:]), "belong to another profile there, such as e1"),
        (store(*THREE, merged={"b": "a"}), store(*THREE), "profile b is not part of the same profile"),
        (store(merged={"c": "a"}), store(merged={"c": "b"}), "profile c is not part of the same profile"),
        (store(merged={"b": "a"}, settled=False), store(merged={"b": "a"}), "profile b is being joined with a"),
        (store(merged={"b": "a"}), store(merged={"b": "a"}, settled=False), "profile b is being joined with a"),
    ],
)
def test_what_makes_a_difference(live: MemoryStore, shadow: MemoryStore, why: str) -> None:
    with pytest.raises(Differs, match=why):
        judge(live, shadow)


def test_identifiers_of_the_shadow_are_held_by_the_same_person_in_live() -> None:
    """Live may hold more: those of records that it has in hand."""
    live, shadow = store(merged={"b": "a"}), store(merged={"b": "a"})
    claim(live, x="a", y="b", z="c")
    claim(shadow, x="b", y="b")
    judge(live, shadow)
    claim(shadow, z="a")
    with pytest.raises(Differs, match="1 identifiers are held by somebody else"):
        judge(live, shadow)


def test_who_is_erased_in_both_is_missed_in_neither() -> None:
    """It takes its time: until both have removed the events, nothing can be said of the two."""
    live, shadow = store(*THREE), store(*THREE)
    claim(live, x="b")
    claim(shadow, x="b")
    alike = Alike(live, shadow, "next")
    for one in (live, shadow):
        alike.look()
        order = privacy("o1", person=Person({"b": 9}), voids=[Void("m", 0, NOW_MS, "o1")])
        one.write(msgspec.structs.replace(batch(), privacy=order))
        with pytest.raises(Differs, match="being removed"):
            alike.judge()
        (removal,) = one.removals()
        assert one.remove_events(removal, None, 9)[0] == 1
        one.end_removal(removal, NOW_MS)
    with pytest.raises(Differs, match="being removed"):
        alike.judge()
    alike.look()
    alike.judge()


def test_a_later_look_sees_what_has_come_since() -> None:
    """In whichever of the two it came first."""
    live, shadow = store(*THREE), store(*THREE[:1])
    alike = Alike(live, shadow, "next")
    alike.look()
    add(shadow, *THREE[1:])
    alike.look()
    alike.judge()
    add(shadow, ("e4", "c"))
    alike.look()
    with pytest.raises(Differs, match="next has 4 events, live has 3"):
        alike.judge()
    add(live, ("e4", "c"))
    alike.look()
    alike.judge()


def test_a_record_is_stored_when_all_of_its_events_are() -> None:
    """Also where the first copy of one was filed under another month."""
    one = store()
    one.write(batch(event("e1"), event("e2", time_ms=NOW_MS - MONTH_MS)))

    def sent(*ids: str) -> Original:
        events = [sent_event(id, time_ms=NOW_MS) for id in ids]
        return Original(0, 0, b"a", track("a", *events, received_at_ms=NOW_MS))

    assert is_stored(one, sent("e1", "e2"))
    assert not is_stored(one, sent("e1", "e3"))
