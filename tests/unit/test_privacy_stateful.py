"""Random events, merges, erasures, redeliveries, crashes: what came before an erasure is gone, all else is there."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from hub.store.memory import MemoryStore
from schemas.records import Inbound
from tests.factories import NOW_MS
from tests.unit.hub_model import Hub
from tests.unit.test_privacy import order, sign_in, sweep

PROFILES = [f"p{n}" for n in range(5)]
PEOPLE = [f"w{n}" for n in range(3)]


class Sent(NamedTuple):
    """An event. `at_ms`: when it was received."""

    id: str
    sender: str
    at_ms: int
    who: str


class Machine(RuleBasedStateMachine):
    """Three partitions, one collector each; the clock of the edge moves on with everything that is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(3, store=MemoryStore())
        self.now_ms = NOW_MS
        self.events: list[Sent] = []
        self.records: list[Inbound] = []
        self.erased: list[tuple[str, int]] = []

    def _tick(self) -> int:
        self.now_ms += 10
        return self.now_ms

    @rule(profile=st.sampled_from(PROFILES), who=st.sampled_from(["", *PEOPLE]))
    def send(self, profile: str, who: str) -> None:
        at_ms = self._tick()
        one = Sent(f"e{len(self.events)}", profile, at_ms, who)
        record = sign_in(one.id, profile, who, at_ms=at_ms)
        self.events.append(one)
        self.records.append(record)
        self.hub.put(record)

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        if self.records:
            self.hub.put(data.draw(st.sampled_from(self.records)))

    @rule(profile=st.sampled_from(PROFILES))
    def erase(self, profile: str) -> None:
        # with a merge of the same person under way, see "What is not there" in docs/privacy.md
        self.hub.settle()
        at_ms = self._tick()
        self.erased.append((profile, at_ms))
        self.hub.put(order(f"o{at_ms}", self.hub.store.survivor(profile), at_ms=at_ms))
        self.hub.settle()

    @rule()
    def remove(self) -> None:
        sweep(self.hub.store)

    @rule(
        owner=st.integers(0, 2),
        most=st.integers(1, 4),
        crash=st.sampled_from(["", "", "", "computed", "written", "told"]),
    )
    def collect(self, owner: int, most: int, crash: str) -> None:
        self.hub.owners[owner].step(most, crash)

    def teardown(self) -> None:
        self.hub.settle()
        sweep(self.hub.store)
        self._check()
        self.hub.put(*self.records)
        self.hub.settle()
        self._check()
        counts = self.hub.counts()
        assert counts["received"] == counts["stored"] + counts["duplicate"] + counts["dropped"]

    def _check(self) -> None:
        store = self.hub.store
        there = {one["id"] for one in store.search("events", "", 1_000, None).items}
        people = self._people()
        for one in self.events:
            own = [at_ms for id, at_ms in self.erased if id == one.sender]
            of_the_person = [at_ms for id, at_ms in self.erased if id in people[one.sender]]
            if any(one.at_ms <= at_ms for at_ms in own):
                assert one.id not in there
            elif not of_the_person:
                assert one.id in there
        profiles: list[dict[str, Any]] = self.hub.profiles()
        assert sum(profile["stats"]["events"] for profile in profiles) == len(there)

    def _people(self) -> dict[str, set[str]]:
        """By profile, all that may ever have been one with it."""
        groups = {id: {id} for id in PROFILES}
        for who in PEOPLE:
            for one, other in pairwise({event.sender for event in self.events if event.who == who}):
                both = groups[one] | groups[other]
                for id in both:
                    groups[id] = both
        return groups


Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestPrivacy = Machine.TestCase
