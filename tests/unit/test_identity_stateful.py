"""Random events, sessions, merges, undos, redeliveries, crashes: always one profile a person, as a model has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from hub.definitions.fields import Operation
from hub.flows.effects import ChangeField, Effect
from hub.flows.records import records
from hub.pipeline.identity import Reason
from hub.store.port import MergeRow
from schemas.codec import decode_inbound
from schemas.records import TRACK
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import Hub, step_record

# what fails is made small first, and that takes longer than any test
pytestmark = pytest.mark.timeout(600)

PROFILES = [f"p{n}" for n in range(6)]
PEOPLE = [f"w{n}" for n in range(4)]
SESSIONS = [f"s{n}" for n in range(3)]


class Sent(NamedTuple):
    """An event: who sent it, with which identifier and session, if any; or whom a flow changes with it."""

    id: str
    sender: str
    time: int
    n: int
    who: str
    session: str
    is_flow: bool = False


@dataclass
class Landed:
    """What is of one profile id, in the order of each sender; shares no code with the hub."""

    events: list[Sent] = field(default_factory=list)
    whos: set[str] = field(default_factory=set)


def changes(n: int) -> list[tuple[str, Effect]]:
    """What the mapping of an event with this number does, as far as it matters in no order; and one that does."""
    wanted: list[tuple[Operation, str, int]] = [
        ("add", "sum", n),
        ("min", "least", n),
        ("max", "most", n),
        ("append-unique", "all", n),
        ("decrement", "down", n),
        ("append", "every", n),
        ("increment", "count", 1),
        ("set", "flow", n),
    ]
    return [("n", ChangeField(op, f"traits.{name}", value)) for op, name, value in wanted]


class Machine(RuleBasedStateMachine):
    """Three partitions, one collector each."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(3)
        self.events: list[Sent] = []
        self.joined: list[tuple[str, str]] = []
        self.sent: list[Any] = []
        self.number = 0
        self.clock: dict[str, int] = {}
        self.with_session: dict[str, bool] = {}
        self.has_parted = False

    @rule(
        profile=st.sampled_from(PROFILES),
        who=st.sampled_from(["", "", *PEOPLE]),
        n=st.integers(-3, 3),
        back=st.integers(-3, 5),
        session=st.sampled_from(["", "", "", *SESSIONS]),
        made=st.booleans(),
        minutes=st.sampled_from([0, 0, 10, 31]),
    )
    def send(self, profile: str, who: str, n: int, back: int, session: str, made: bool, minutes: int) -> None:
        self.number += 1
        # each sender's own clock moves on: what is first and last is then told by it alone. Around an event that goes
        # another way because of its session, or comes back as a merge was undone, it is not even
        even = not session and not self.with_session.get(profile, False) and not self.has_parted
        self.with_session[profile] = bool(session)
        time = self.clock[profile] = self.clock.get(profile, 0) + max(back, 0 if even else 1) + minutes * 60_000
        properties: dict[str, Any] = {"n": n} | ({"who": who} if who else {})
        one = event(f"e{self.number}", "sign-in", time_ms=NOW_MS - 86_400_000 + time, **properties)
        record = track(profile, one, session_id=session or None)
        if made:
            record["body"][1]["options"] = b'{"sessions": "30m"}'  # type: ignore[typeddict-unknown-key]
        self.sent.append(record)
        self.hub.put(record)
        self.events.append(Sent(one["id"], profile, time, n, who, session))

    @rule(profile=st.sampled_from(PROFILES), n=st.integers(-3, 3))
    def change_by_flow(self, profile: str, n: int) -> None:
        """A run has seen somebody who is there by now; each leg is later than the one before."""
        if self.hub.store.get("profiles", profile) is None:
            return
        self.number += 1
        made = records(
            f"r{self.number}", "f", 1, profile, "", changes(n), now_ms=NOW_MS + self.number, definitions_offset=-1
        )
        for _, record in made:
            self.sent.append(record)
            self.hub.put(record)
            self.events.append(Sent(record["id"], profile, self.number, n, "", "", is_flow=True))

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        if self.sent:
            self.hub.put(data.draw(st.sampled_from(self.sent)))

    @rule(one=st.sampled_from(PROFILES), other=st.sampled_from(PROFILES))
    def ask_for_a_merge(self, one: str, other: str) -> None:
        self.number += 1
        reason = msgspec.json.encode(Reason("request", one, other, "2026-01-01T00:00:00.000Z"))
        self.hub.put(step_record(f"ask-{one}-{other}-{self.number}", one, other, "ask", reason))
        self.joined.append((one, other))  # also profiles that have not sent anything yet

    @rule(data=st.data())
    def part(self, data: st.DataObject) -> None:
        """Any merge, in any order; while other things are under way it may be too late for it."""
        if rows := self._merges():
            self.has_parted = True
            self._undo(data.draw(st.sampled_from(rows)))

    @rule(data=st.data())
    def part_in_peace(self, data: st.DataObject) -> None:
        """Of a merge whose survivor is nobody else's part: everybody goes with the one because of whom they came."""
        self.hub.settle()
        before = {profile["id"]: set(profile["ids"]) for profile in self.hub.profiles()}
        rows = [row for row in self._merges() if row.survivor_id in before]
        if not rows:
            return
        row = data.draw(st.sampled_from(rows))
        went = self._go_with(row)
        self.has_parted = True
        self._undo(row)
        self.hub.settle()
        expected = {**before, row.survivor_id: before[row.survivor_id] - went, min(went): went}
        assert {profile["id"]: set(profile["ids"]) for profile in self.hub.profiles()} == expected

    def _undo(self, row: MergeRow) -> None:
        self.hub.put(step_record(row.id, row.survivor_id, row.loser_id, "undo"))

    def _go_with(self, row: MergeRow) -> set[str]:
        """Whom the loser of a merge takes with it: its own, and who came later because of one of those."""
        rows = sorted(self._merges(), key=lambda one: one.version)
        went = self._parts(row.loser_id, rows)
        for later in rows:
            if later.survivor_id == row.survivor_id and later.version > row.version:
                own = self._parts(later.loser_id, rows)
                if {later.reason.get(name) for name in ("profile_id", "other_id", "into")} - own & went:
                    went |= own
        return went

    def _parts(self, id: str, rows: list[MergeRow]) -> set[str]:
        return {id}.union(*(self._parts(row.loser_id, rows) for row in rows if row.survivor_id == id))

    def _merges(self) -> list[MergeRow]:
        """Those that hold."""
        rows = {row.id: row for row in self.hub.store.merges(PROFILES) if row.undone_ms is None}
        return list(rows.values())

    @rule(
        owner=st.integers(0, 2),
        most=st.integers(1, 4),
        crash=st.sampled_from(["", "", "", "computed", "written", "told"]),
    )
    def collect(self, owner: int, most: int, crash: str) -> None:
        self.hub.owners[owner].step(most, crash)

    def teardown(self) -> None:
        self.hub.settle()
        landed = self._landed()
        profiles = self.hub.profiles()
        by_ids = {frozenset(profile["ids"]): profile for profile in profiles}
        people = self._people(landed)
        expected = {person for person in people if any(landed[id].events for id in person) or len(person) > 1}
        if self.has_parted:
            # who is whose part was looked at right after each undo; nobody is two people's, and nobody new met
            assert sum(map(len, by_ids)) == len(frozenset().union(*by_ids))
            assert all(any(part <= person for person in people) for part in by_ids)
            assert {id for id, one in landed.items() if one.events} <= frozenset().union(*by_ids)
        else:
            assert set(by_ids) == expected
        for person, profile in by_ids.items():
            self._check(person, profile, landed)
        self._check_sessions(profiles)
        counts = self.hub.counts()
        assert counts["stored"] == len(self.events)
        assert counts["received"] == counts["stored"] + counts["duplicate"] == len(self.sent_on_the_log())

    def sent_on_the_log(self) -> list[Any]:
        records = [decode_inbound(record.value) for part in self.hub.log.partitions for record in part]
        return [one for one in records if one["body"][0] == TRACK and one.get("first_at") is None]

    def _landed(self) -> dict[str, Landed]:
        """
        Each event with its sender, or with who came first with its session if that is another person's; who that was,
        and whether it was another's as the event came, is for the hub to say.
        """
        landed = {id: Landed() for id in PROFILES}
        with_session: dict[str, int] = {}
        for one in self.events:
            id = one.sender
            if one.session and not self._is_left_alone(one):
                with_session[one.session] = with_session.get(one.session, 0) + 1
                if self._metadata(one).get("forwarded_for") == "session" or not self.has_parted:
                    id = self._claimed_by(one.session)
            landed[id].events.append(one)
            if one.who:
                landed[id].whos.add(one.who)
        for session, events in with_session.items():
            assert any(one.session == session and one.sender == self._claimed_by(session) for one in self.events)
            found = self.hub.store.get("sessions", session)
            assert found is not None
            assert found["stats"]["events"] == events
        return landed

    def _is_left_alone(self, one: Sent) -> bool:
        """The session went to a third profile while the event was on its way to who had it."""
        return "session_of_another_profile" in self._metadata(one)["flags"]

    def _metadata(self, one: Sent) -> dict[str, Any]:
        found = self.hub.store.get("events", one.id)
        assert found is not None
        metadata: dict[str, Any] = found["metadata"]
        return metadata

    def _claimed_by(self, session: str) -> str:
        found = self.hub.store.get("sessions", session)
        assert found is not None
        by: str = found["metadata"].get("claimed_by", found["profile"]["id"])
        return by

    def _people(self, landed: dict[str, Landed]) -> set[frozenset[str]]:
        groups = {id: {id} for id in landed}
        links = list(self.joined)
        for who in PEOPLE:
            having = [id for id, one in landed.items() if who in one.whos]
            links += pairwise(having)
        if self.has_parted:
            # what went to the profile of its session, and came back as that had been parted, was claimed for that one
            links += [(one.sender, self._claimed_by(one.session)) for one in self.events if one.session and one.who]
        for one, other in links:
            both = groups[one] | groups[other]
            for id in both:
                groups[id] = both
        return {frozenset(group) for group in groups.values()}

    def _check_sessions(self, profiles: list[dict[str, Any]]) -> None:
        """Each counts its events, is its profile's, and is one of its visits."""
        counted: dict[str, int] = {}
        visits: dict[str, set[str]] = {profile["id"]: set() for profile in profiles}
        for one in self.events:
            found = self.hub.store.get("events", one.id)
            assert found is not None
            if found["session"] is None or "session_of_another_profile" in found["metadata"]["flags"]:
                continue
            id = found["session"]["id"]
            counted[id] = counted.get(id, 0) + 1
            assert found["metadata"].get("session_made", False) == (not one.session)
        for id, number in counted.items():
            session = self.hub.store.get("sessions", id)
            assert session is not None
            assert session["stats"] == {"events": number, "types": {"sign-in": number}}
            visits[self.hub.profile(session["profile"]["id"])["id"]].add(id)
        for profile in profiles:
            assert profile["metadata"]["time"]["visit"]["count"] == profile["stats"]["visits"]
            # one that began for two who were just becoming one counts for whom it began, whoever has the session later
            assert self.has_parted or profile["stats"]["visits"] == len(visits[profile["id"]])
        assert sum(profile["stats"]["visits"] for profile in profiles) == sum(map(len, visits.values()))

    def _check(self, person: frozenset[str], profile: dict[str, Any], landed: dict[str, Landed]) -> None:
        assert profile["id"] == min(person)
        for id in person:
            assert self.hub.profile(id) == profile
        events = [one for id in person for one in landed[id].events]
        numbers = [one.n for one in events]
        assert profile["stats"]["events"] == len(numbers)
        if not numbers:
            return
        for one in events:
            found = self.hub.store.get("events", one.id)
            assert found is not None
            assert self.has_parted or found["profile"]["id"] in person
        traits = profile["traits"]
        assert traits["sum"] == sum(numbers)
        assert (traits["least"], traits["most"]) == (min(numbers), max(numbers))
        assert sorted(traits["all"]) == sorted(set(numbers))
        assert (traits["down"], traits["count"]) == (-sum(numbers), len(numbers))
        assert sorted(traits["every"]) == sorted(numbers)
        legs = [one for one in events if one.is_flow]
        if legs:
            assert traits["flow"] == max(legs, key=lambda one: one.time).n
        if len(legs) == len(events):
            return
        # of several at one time by one sender the last
        newest = max((one.time, one.sender, self.events.index(one)) for one in events if not one.is_flow)
        assert traits["last"] == traits["newest"] == self.events[newest[2]].n


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestIdentity = Machine.TestCase


@pytest.mark.long
@pytest.mark.timeout(900)
def test_identity_in_many_more_runs() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=1_500,
            stateful_step_count=60,
            deadline=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
