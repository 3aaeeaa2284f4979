"""Random events, merges, redeliveries and crashes: always one profile a connected person, with the model's fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from hub.pipeline.identity import Reason
from schemas.codec import decode_inbound
from schemas.records import TRACK
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import Hub, step_record

PROFILES = [f"p{n}" for n in range(6)]
PEOPLE = [f"w{n}" for n in range(4)]


@dataclass
class Sender:
    """What one profile id was sent, in its order; shares no code with the hub."""

    events: list[tuple[int, int]] = field(default_factory=list)  # (time, n)
    whos: set[str] = field(default_factory=set)

    def last(self) -> tuple[int, int]:
        """(time that never goes back, n) of the last."""
        return max(time for time, _ in self.events), self.events[-1][1]


class Machine(RuleBasedStateMachine):
    """Three partitions, one collector each."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(3)
        self.senders: dict[str, Sender] = {}
        self.joined: list[tuple[str, str]] = []
        self.sent: list[Any] = []
        self.number = 0
        self.clock: dict[str, int] = {}

    @rule(
        profile=st.sampled_from(PROFILES),
        who=st.sampled_from(["", "", *PEOPLE]),
        n=st.integers(-3, 3),
        back=st.integers(-3, 5),
    )
    def send(self, profile: str, who: str, n: int, back: int) -> None:
        self.number += 1
        # each sender's own clock moves on: what is first and last is then told by it alone
        time = self.clock[profile] = self.clock.get(profile, 0) + max(back, 0)
        properties: dict[str, Any] = {"n": n} | ({"who": who} if who else {})
        record = track(profile, event(f"e{self.number}", "sign-in", time_ms=NOW_MS - 100_000 + time, **properties))
        self.sent.append(record)
        self.hub.put(record)
        sender = self.senders.setdefault(profile, Sender())
        sender.events.append((time, n))
        if who:
            sender.whos.add(who)

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        if self.sent:
            self.hub.put(data.draw(st.sampled_from(self.sent)))

    @rule(one=st.sampled_from(PROFILES), other=st.sampled_from(PROFILES))
    def ask_for_a_merge(self, one: str, other: str) -> None:
        reason = msgspec.json.encode(Reason("request", one, other, "2026-01-01T00:00:00.000Z"))
        self.hub.put(step_record(f"ask-{one}-{other}", one, other, "ask", reason))
        # also of profiles that have not sent anything yet
        for id in (one, other):
            self.senders.setdefault(id, Sender())
        self.joined.append((one, other))

    @rule(
        owner=st.integers(0, 2),
        most=st.integers(1, 4),
        crash=st.sampled_from(["", "", "", "computed", "written", "told"]),
    )
    def collect(self, owner: int, most: int, crash: str) -> None:
        self.hub.owners[owner].step(most, crash)

    def teardown(self) -> None:
        self.hub.settle()
        people = self._people()
        profiles = self.hub.profiles()
        by_ids = {frozenset(profile["ids"]): profile for profile in profiles}
        expected = {person for person in people if any(self.senders[id].events for id in person) or len(person) > 1}
        assert set(by_ids) == expected
        for person in expected:
            self._check(person, by_ids[person])
        total = sum(len(sender.events) for sender in self.senders.values())
        counts = self.hub.counts()
        assert counts["stored"] == total
        assert counts["received"] == counts["stored"] + counts["duplicate"] == len(self.sent_on_the_log())

    def sent_on_the_log(self) -> list[Any]:
        records = [decode_inbound(record.value) for part in self.hub.log.partitions for record in part]
        return [one for one in records if one["body"][0] == TRACK and one.get("first_at") is None]

    def _people(self) -> set[frozenset[str]]:
        groups = {id: {id} for id in self.senders}
        links = list(self.joined)
        for who in PEOPLE:
            having = [id for id, sender in self.senders.items() if who in sender.whos]
            links += pairwise(having)
        for one, other in links:
            both = groups[one] | groups[other]
            for id in both:
                groups[id] = both
        return {frozenset(group) for group in groups.values()}

    def _check(self, person: frozenset[str], profile: dict[str, Any]) -> None:
        assert profile["id"] == min(person)
        for id in person:
            assert self.hub.profile(id) == profile
        senders = {id: self.senders[id] for id in person if self.senders[id].events}
        numbers = [n for sender in senders.values() for _, n in sender.events]
        assert profile["stats"]["events"] == len(numbers)
        if not numbers:
            return
        traits = profile["traits"]
        assert traits["sum"] == sum(numbers)
        assert (traits["least"], traits["most"]) == (min(numbers), max(numbers))
        assert sorted(traits["all"]) == sorted(set(numbers))
        last = max((sender.last()[0], id, sender.last()[1]) for id, sender in senders.items())
        assert traits["last"] == last[2]


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestIdentity = Machine.TestCase
