"""Random events, merges, undos, crashes, lists, new definitions: membership is what all events together make of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from hub.pipeline.segments import Segments
from tests.factories import NOW_MS
from tests.unit.hub_model import Hub
from tests.unit.segment_cases import define, listed, look_again, segments, sent, with_segments
from tests.unit.test_identity import ask, undo

# what fails is made small first, and that takes longer than any test
pytestmark = pytest.mark.timeout(600)

PROFILES: Final = [f"p{n}" for n in range(4)]
PEOPLE: Final = ["w0", "w1"]
LISTS: Final = ["vip", "news"]
MINUTE_MS: Final = 60_000
YEARS_MS: Final = 3 * 366 * 24 * 60 * MINUTE_MS


class Seen(NamedTuple):
    """An event, as the model knows it. `at_ms`: after NOW_MS."""

    id: str
    at_ms: int
    n: int
    type: str


Rule: TypeAlias = Callable[[Sequence[Seen], int], bool]
"""Of a person's events and the time, milliseconds after NOW_MS."""


def signed_in(events: Sequence[Seen]) -> list[Seen]:
    return [one for one in events if one.type == "sign-in"]


def within(events: Sequence[Seen], now_ms: int, ms: int) -> list[Seen]:
    return [one for one in events if one.at_ms > now_ms - ms]


CONDITIONS: Final[dict[str, list[tuple[str, Rule]]]] = {
    "sum": [
        ("traits.sum > 5", lambda events, _: sum(one.n for one in signed_in(events)) > 5),
        ("traits.sum <= 0", lambda events, _: bool(signed_in(events)) and sum(one.n for one in signed_in(events)) <= 0),
    ],
    "often": [
        ("count(sign-in) >= 3", lambda events, _: len(signed_in(events)) >= 3),
        ("count(sign-in where properties.n > 2) >= 1", lambda events, _: any(one.n > 2 for one in signed_in(events))),
        ("never(visit)", lambda events, _: all(one.type != "visit" for one in events)),
    ],
    "spent": [
        ("sum(sign-in.properties.n) > 4", lambda events, _: sum(one.n for one in signed_in(events)) > 4),
        (
            "max(sign-in.properties.n) = 4 OR min(sign-in.properties.n) = -3",
            lambda events, _: (
                bool(found := [one.n for one in signed_in(events)]) and (max(found) == 4 or min(found) == -3)
            ),
        ),
    ],
    "recent": [
        (
            "count(sign-in) in last 10 minutes >= 2",
            lambda events, now: len(within(signed_in(events), now, 10 * MINUTE_MS)) >= 2,
        ),
        (
            "sum(sign-in.properties.n) in last 30 minutes > 3",
            lambda events, now: sum(one.n for one in within(signed_in(events), now, 30 * MINUTE_MS)) > 3,
        ),
        (
            "never(sign-in) in last 5 minutes",
            lambda events, now: not within(signed_in(events), now, 5 * MINUTE_MS),
        ),
        (
            "last(sign-in) < now - 20m",
            lambda events, now: (
                bool(found := [one.at_ms for one in signed_in(events)]) and max(found) < now - 20 * MINUTE_MS
            ),
        ),
    ],
    "busy": [
        (
            "stats.events >= 4 AND NOT (traits.sum > 5)",
            # of who has never signed in nobody knows, and so not the contrary either
            lambda events, _: (
                len(events) >= 4 and bool(found := [one.n for one in signed_in(events)]) and sum(found) <= 5
            ),
        )
    ],
}


class Machine(RuleBasedStateMachine):
    """Two partitions, one collector each. Time goes on with each record."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 10
        self.chosen = dict.fromkeys(CONDITIONS, 0)
        self.hub = Hub(2, with_segments(self._segments()))
        self.now_ms = 0
        self.events: dict[str, Seen] = {}
        self.sent: list[Any] = []
        self.number = 0

    def _segments(self) -> Segments:
        conditions = {id: CONDITIONS[id][number][0] for id, number in self.chosen.items() if number >= 0}
        return segments(version=self.version, **conditions, **dict.fromkeys(LISTS))

    @rule(
        profile=st.sampled_from(PROFILES),
        who=st.sampled_from(["", "", "", *PEOPLE]),
        n=st.integers(-3, 4),
        minutes=st.sampled_from([0, 1, 3, 12, 40]),
        late=st.sampled_from([0, 0, 0, 4, 25]),
        type=st.sampled_from(["sign-in", "sign-in", "visit"]),
    )
    def send(self, profile: str, who: str, n: int, minutes: int, late: int, type: str) -> None:
        self.number += 1
        self.now_ms += minutes * MINUTE_MS + 1
        one = Seen(f"e{self.number}", self.now_ms - late * MINUTE_MS, n, type)
        record = sent(one.id, profile, n, at_ms=one.at_ms, type=type, who=who)
        record["received_at_ms"] = NOW_MS + self.now_ms
        self.events[one.id] = one
        self.sent.append(record)
        self.hub.put(record)

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        if self.sent:
            self.hub.put(data.draw(st.sampled_from(self.sent)))

    @rule(one=st.sampled_from(PROFILES), other=st.sampled_from(PROFILES))
    def become_one(self, one: str, other: str) -> None:
        self.hub.put(ask(one, other, f"ask-{one}-{other}-{self.number}"))

    @rule(data=st.data())
    def part(self, data: st.DataObject) -> None:
        self.hub.settle()
        losers = sorted(id for profile in self.hub.profiles() for id in profile["ids"] if id != profile["id"])
        if losers:
            self.hub.put(undo(self.hub, data.draw(st.sampled_from(losers))))
            self.hub.settle()

    @rule(profile=st.sampled_from(PROFILES), id=st.sampled_from(LISTS), add=st.booleans())
    def list_(self, profile: str, id: str, add: bool) -> None:
        self.now_ms += 1
        self.hub.put(listed(profile, [id] if add else [], [] if add else [id], at_ms=self.now_ms))

    @rule(profile=st.sampled_from(PROFILES))
    def look(self, profile: str) -> None:
        self.now_ms += 1
        self.hub.put(look_again(profile, at_ms=self.now_ms))

    @rule(id=st.sampled_from(sorted(CONDITIONS)), number=st.integers(-1, 3))
    def define(self, id: str, number: int) -> None:
        """Another condition, or none: the segment is deleted."""
        self.version += 1
        self.chosen[id] = min(number, len(CONDITIONS[id]) - 1)
        define(self.hub, self._segments())

    @rule(
        owner=st.integers(0, 1),
        most=st.integers(1, 4),
        crash=st.sampled_from(["", "", "", "computed", "written", "told"]),
    )
    def collect(self, owner: int, most: int, crash: str) -> None:
        self.hub.owners[owner].step(most, crash)

    def teardown(self) -> None:
        self.hub.settle()
        for profile in self.hub.profiles():
            self.now_ms += 1
            self.hub.put(look_again(profile["id"], at_ms=self.now_ms))
        self.hub.settle()
        for later_ms in (0, 7 * MINUTE_MS, YEARS_MS):
            self._check_all(later_ms)
        self._check_told()

    def _check_all(self, later_ms: int) -> None:
        """Whoever is looked at when it is due is where its events say at any time."""
        self.now_ms += later_ms
        for _ in range(100):
            due = [
                (profile["metadata"]["due"] - NOW_MS, profile["id"])
                for profile in self.hub.profiles()
                if profile["metadata"].get("due", NOW_MS + self.now_ms + 1) <= NOW_MS + self.now_ms
            ]
            if not due:
                break
            for at_ms, id in due:
                self.hub.put(look_again(id, at_ms=at_ms))
            self.hub.settle()
        for profile in self.hub.profiles():
            expected = self._expected(profile["ids"])
            found = [id for id in profile["segments"] if id not in LISTS]
            assert found == expected, (profile, self._of(profile["ids"]), self.chosen, self.now_ms)
            assert profile["segments"] == sorted(profile["segments"])
            assert sorted(profile["metadata"].get("segments", {})) == profile["segments"]

    def _of(self, ids: Sequence[str]) -> list[Seen]:
        """The person's events; whose each one is, is told by whom it was sent with."""
        found = []
        for id, one in self.events.items():
            document = self.hub.store.get("events", id)
            assert document is not None
            if (document["metadata"].get("sent_as") or document["profile"]["id"]) in ids:
                found.append(one)
        return found

    def _expected(self, ids: Sequence[str]) -> list[str]:
        events = self._of(ids)
        return sorted(
            id for id, number in self.chosen.items() if number >= 0 and CONDITIONS[id][number][1](events, self.now_ms)
        )

    def _check_told(self) -> None:
        """Who was never merged has entered as often as it has left, and once more if it is in."""
        stored = self.hub.store.search("events", 'source = "@segments"', 1_000, None).items
        balance: Counter[tuple[str, str]] = Counter()
        for one in stored:
            balance[one["profile"]["id"], one["properties"]["segment"]] += 1 if one["type"] == "segment-entered" else -1
        merged = {id for row in self.hub.store.merges(PROFILES) for id in (row.loser_id, row.survivor_id)}
        for profile in self.hub.profiles():
            if profile["id"] in merged:
                continue
            own = {segment: number for (id, segment), number in balance.items() if id == profile["id"] and number}
            assert own == dict.fromkeys(profile["segments"], 1)
        counts = self.hub.counts()
        assert counts["stored"] == len(self.events) + len(stored)


Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestSegments = Machine.TestCase


@pytest.mark.long
@pytest.mark.timeout(900)
def test_segments_in_many_more_runs() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=1_000,
            stateful_step_count=50,
            deadline=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
