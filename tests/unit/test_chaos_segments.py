"""The checker says who must be in which segment, and names what was told of that and cannot be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from hub.chaos.checker.ledger import Step
from hub.chaos.checker.segments import Seen, Segments, check, figures

OURS: Final = Segments(
    by_sum="sum",
    low=10,
    high=50,
    by_time="time",
    time_label="now",
    window_ms=4_000,
    by_count="count",
    count_label="many",
    many=2,
)
STEPS: Final = [
    Step("a1", "ann", 1, 900, "now"),
    Step("c1", "cas", 1, 100, "many"),
    Step("a2", "ann", 2, 100, "many"),
    Step("b1", "bob", 1, 5_000, "now"),
    Step("e1", "eve", 1, 999, "many"),
]
"""Ann and cas are one person."""
PERSON_OF: Final = {"ann": "ann", "cas": "ann", "bob": "bob", "eve": "eve"}
ASKED_MS: Final = 1_795_000_000_000
RECEIVED: Final = dict.fromkeys(("a1", "c1", "a2", "b1", "e1"), "2026-11-18T10:00:00.000Z")
LATER: Final = "2026-11-18T12:00:00.000Z"
"""By a clock that is an hour and more ahead of who asks."""


def crossings(*told: str) -> list[dict[str, Any]]:
    """In the order of the log. Args: told: such as `+ann sum`: it has entered; `-`: it has left."""
    return [
        {
            "type": "segment-entered" if one.startswith("+") else "segment-left",
            "profile": {"id": one[1:].split()[0]},
            "properties": {"segment": one.split()[1], "event": None},
            "metadata": {"position": {"epoch": 1, "partition": 3, "offset": number, "place": 0}},
        }
        for number, one in enumerate(told)
    ]


class Told:
    """What a hub without fault says, to be changed by a test."""

    def __init__(self) -> None:
        self.members: dict[str, set[str]] = {"sum": {"ann"}, "time": set(), "count": {"ann"}}
        self.crossings = ["+ann time", "+cas count", "-ann time", "+bob time", "+ann sum", "-bob time"]
        self.documents: dict[str, list[str]] = {"ann": ["count", "sum"], "bob": [], "eve": []}
        self.received: dict[str, str] = dict(RECEIVED)

    def seen(self) -> Seen:
        # the log of a partition says nothing of the order in which pages are read
        return Seen(self.members, crossings(*self.crossings)[::-1], ASKED_MS)

    def wrong(self) -> set[tuple[str, str]]:
        """Kind and subject of each violation."""
        stored = {id: [{"metadata": {"time": {"insert": at}}}] for id, at in self.received.items()}
        profiles = {id: {"segments": segments} for id, segments in self.documents.items()}
        found = check(OURS, self.seen(), kept=STEPS, stored=stored, profiles=profiles, person_of=PERSON_OF)
        return {(one.kind, one.subject) for one in found}

    def put(self, id: str, segment: str, is_in: bool) -> None:
        """By its document and by the segment's list."""
        (self.members[segment].add if is_in else self.members[segment].discard)(id)
        self.documents[id] = sorted(one for one in self.members if id in self.members[one])


def test_a_hub_without_fault() -> None:
    told = Told()
    assert told.wrong() == set()
    assert figures(OURS, told.seen()) == {
        "segments_entered": 4,
        "segments_left": 2,
        "left_as_time_passed": 2,
        "members": 2,
    }


def too_late(told: Told) -> None:
    told.put("bob", "time", True)
    told.crossings.append("+bob time")


def not_in(told: Told) -> None:
    told.put("ann", "count", False)
    told.crossings.append("-ann count")


def one_too_many(told: Told) -> None:
    told.put("eve", "count", True)
    told.crossings.append("+eve count")


def beyond(told: Told) -> None:
    told.put("bob", "sum", True)
    told.crossings.append("+bob sum")


def list_alone(told: Told) -> None:
    told.members["sum"].add("eve")


def document_alone(told: Told) -> None:
    told.members["sum"].clear()


def merged_and_listed(told: Told) -> None:
    told.members["count"].add("cas")


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        (too_late, "bob"),
        (not_in, "ann"),
        (one_too_many, "eve"),
        (beyond, "bob"),
        (list_alone, "eve"),
        (document_alone, "ann"),
        (merged_and_listed, "cas"),
    ],
)
def test_who_is_in_the_wrong_segment(change: Callable[[Told], None], subject: str) -> None:
    told = Told()
    change(told)
    assert ("segment", subject) in told.wrong()


def test_what_was_received_by_a_clock_that_is_ahead_may_be_seen_either_way() -> None:
    told = Told()
    told.received["b1"] = LATER
    assert told.wrong() == set()
    told.put("bob", "time", True)
    told.crossings.append("+bob time")
    assert told.wrong() == set()
    told.received["b1"] = RECEIVED["b1"]
    assert told.wrong() == {("segment", "bob")}


@pytest.mark.parametrize(
    ("told", "person"),
    [
        (["+bob sum", "-bob sum", "+bob sum", "-bob sum"], None),
        (["+bob sum", "+bob sum", "-bob sum"], "bob"),
        (["+bob sum", "-bob sum", "-bob sum"], "bob"),
        (["-bob sum"], "bob"),
        (["+bob sum"], "bob"),
        # by a merge: what cas is in, ann is in
        (["+cas time", "-ann time"], None),
        (["+cas time", "+ann time", "-ann time"], None),
        (["+cas time", "-ann time", "+ann time", "-ann time"], None),
        (["+cas time", "-cas time"], None),
        (["+cas time"], "ann"),
        (["+cas time", "+ann time"], "ann"),
        (["+cas time", "-ann time", "-ann time"], "ann"),
        (["+ann time", "-cas time", "-ann time"], "ann"),
        (["+zoe time"], "zoe"),
    ],
)
def test_what_was_told_of_entering_and_leaving(told: Sequence[str], person: str | None) -> None:
    hub = Told()
    hub.crossings = ["+cas count", "+ann sum", *told]
    assert hub.wrong() == (set() if person is None else {("crossing", person)})


@pytest.mark.parametrize(
    ("told", "is_right"),
    [
        (["+ann count"], True),
        (["+ann count", "+cas count"], True),
        (["+ann count", "-ann count", "+ann count"], True),
        (["+cas count", "-ann count", "+ann count"], True),
        (["+ann count", "-ann count", "+cas count"], True),
        ([], False),
        (["+ann count", "-ann count"], False),
        (["+cas count", "-cas count"], False),
    ],
)
def test_who_is_in_has_entered(told: Sequence[str], is_right: bool) -> None:
    hub = Told()
    hub.crossings = ["+ann sum", *told]
    assert hub.wrong() == (set() if is_right else {("crossing", "ann")})
