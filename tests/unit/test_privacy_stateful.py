"""
Random events, merges, erasures, redeliveries, crashes, in whatever order they meet: what came before an erasure is
gone, all else is there, and each profile is what its events make of it.
"""

from __future__ import annotations

import sqlite3
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from hub.store.memory import MemoryStore
from hub.store.port import MergeRow, Store
from hub.store.sqlite import SqliteStore
from schemas.records import Inbound
from tests.factories import NOW_MS
from tests.unit.hub_model import Hub, step_record
from tests.unit.test_privacy import order, sign_in, sweep

# what fails is made small first, and that takes longer than any test
pytestmark = pytest.mark.timeout(600)

PROFILES = [f"p{n}" for n in range(5)]
PEOPLE = [f"w{n}" for n in range(3)]
SESSIONS = ["s0", "s1"]
NAMES = ["", "", *PEOPLE]
CRASHES = ["", "", "", "computed", "written", "told"]


class Sent(NamedTuple):
    """An event. `at_ms`: when it was received. `names`: who and in which session, those that it says."""

    id: str
    sender: str
    at_ms: int
    names: list[str]


class Machine(RuleBasedStateMachine):
    """Three partitions, one collector each; the clock of the edge moves on with everything that is sent."""

    sessions: Sequence[str] = ("",)

    def __init__(self, store: Store | None = None) -> None:
        super().__init__()
        self.hub = Hub(3, store=store or MemoryStore())
        self.now_ms = NOW_MS
        self.events: list[Sent] = []
        self.records: list[Inbound] = []
        self.erased: list[tuple[str, int]] = []

    def _tick(self) -> int:
        self.now_ms += 10
        return self.now_ms

    @rule(data=st.data(), profile=st.sampled_from(PROFILES), who=st.sampled_from(NAMES))
    def send(self, data: st.DataObject, profile: str, who: str) -> None:
        at_ms, session = self._tick(), data.draw(st.sampled_from(self.sessions))
        number = len(self.events) + 1
        one = Sent(f"e{number}", profile, at_ms, [name for name in (who, session) if name])
        record = sign_in(one.id, profile, who, n=number, session=session or None, at_ms=at_ms)
        self.events.append(one)
        self.records.append(record)
        self.hub.put(record)

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        self.hub.put(data.draw(st.sampled_from(self.records)))

    @rule(profile=st.sampled_from(PROFILES))
    def erase(self, profile: str) -> None:
        at_ms = self._tick()
        self.erased.append((profile, at_ms))
        self.hub.put(order(f"o{at_ms}", profile, at_ms=at_ms))

    @rule()
    def remove(self) -> None:
        sweep(self.hub.store)

    @rule(owner=st.integers(0, 2), most=st.integers(1, 4), crash=st.sampled_from(CRASHES))
    def collect(self, owner: int, most: int, crash: str) -> None:
        self.hub.owners[owner].step(most, crash)

    @rule(owner=st.integers(0, 2), most=st.integers(1, 4))
    def collect_beside_the_others(self, owner: int, most: int) -> None:
        """They write between what this one reads and what it writes."""
        one = self.hub.owners[owner]
        outcome = one.begin(most)
        for other in self.hub.owners:
            if other is not one:
                other.step(most)
        if outcome is not None:
            lost = one.write(outcome)
            if lost is not None:
                one.tell(outcome)
                one.end(outcome, lost)

    def teardown(self) -> None:
        self.hub.settle()
        sweep(self.hub.store)
        self._check()
        self._teardown()

    def _teardown(self) -> None:
        self.hub.put(*self.records)
        self.hub.settle()
        self._check()
        sweep(self.hub.store)
        self._check()
        counts = self.hub.counts()
        assert counts["received"] == counts["stored"] + counts["duplicate"] + counts["dropped"]

    def _check(self) -> None:
        events: list[dict[str, Any]] = self.hub.store.search("events", "", 1_000, None).items
        there = {one["id"] for one in events}
        people = self._people()
        for one in self.events:
            own = [at_ms for id, at_ms in self.erased if id == one.sender]
            of_the_person = [at_ms for id, at_ms in self.erased if id in people[one.sender]]
            if any(one.at_ms <= at_ms for at_ms in own):
                # in a session of somebody else, who is still there, it is theirs
                assert one.id not in there or set(SESSIONS) & set(one.names)
            elif not of_the_person:
                assert one.id in there
        whole(self.hub.profiles(), events, self._of)

    def _of(self, event: dict[str, Any]) -> str:
        """An id of the profile that the event counts for: that which it was sent with, or whose session brought it."""
        metadata = event["metadata"]
        if metadata.get("forwarded_for") != "session":
            return str(metadata.get("sent_as") or event["profile"]["id"])
        session = self.hub.store.get("sessions", event["session"]["id"])
        assert session is not None
        return str(session["profile"]["id"])

    def _people(self) -> dict[str, set[str]]:
        """By profile, all that may ever have been one with it."""
        groups = {id: {id} for id in PROFILES}
        for name in (*PEOPLE, *SESSIONS):
            for one, other in pairwise({event.sender for event in self.events if name in event.names}):
                both = groups[one] | groups[other]
                for id in both:
                    groups[id] = both
        return groups


def whole(
    profiles: list[dict[str, Any]],
    events: list[dict[str, Any]],
    whose: Callable[[dict[str, Any]], str] = lambda event: str(event["profile"]["id"]),
) -> None:
    """Every event is in one profile, which says of all of its events what they say, and nothing else."""
    owners = {id: profile["id"] for profile in profiles for id in profile["ids"]}
    assert len(owners) == sum(len(profile["ids"]) for profile in profiles)
    of: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        of[owners[whose(event)]].append(event)
    for profile in profiles:
        own = of[profile["id"]]
        numbers = sorted(event["properties"]["n"] for event in own)
        traits, metadata = profile["traits"], profile["metadata"]
        assert profile["stats"]["events"] == traits.get("count", 0) == len(own)
        assert sorted(traits.get("every", [])) == sorted(traits.get("all", [])) == numbers
        assert (traits.get("sum", 0), -traits.get("down", 0)) == (sum(numbers), sum(numbers))
        assert (traits.get("least"), traits.get("most")) == ((numbers[0], numbers[-1]) if numbers else (None, None))
        assert {traits[name] for name in ("first", "last", "newest") if name in traits} <= set(numbers)
        ids = {event["id"] for event in own}
        assert {came[2] for came in metadata.get("identifiers", {}).values()} <= ids
        assert {stamp[1] for stamp in metadata["fields"].values()} <= ids


class WithSessions(Machine):
    """Also events that follow a session to who holds it."""

    sessions = ("", "", *SESSIONS)


class ToldApart(Machine):
    """Merges are undone, too: before one of the two is erased, while that is under way, and all that are left then."""

    @rule(data=st.data(), profiles=st.permutations(PROFILES), who=st.sampled_from(PEOPLE))
    def meet(self, data: st.DataObject, profiles: list[str], who: str) -> None:
        """Three become one, one after the other."""
        for profile in profiles[:3]:
            self.send(data, profile, who)
            self.hub.settle()

    @precondition(lambda self: self._undoable())
    @rule(data=st.data())
    def part(self, data: st.DataObject) -> None:
        self._undo(data.draw(st.sampled_from(self._undoable())))

    @precondition(lambda self: self._undoable())
    @rule(data=st.data())
    def part_and_erase(self, data: st.DataObject) -> None:
        """One of two who were one for a while."""
        row = data.draw(st.sampled_from(self._undoable()))
        self._undo(row)
        self.hub.settle()
        self.erase(data.draw(st.sampled_from([row.loser_id, row.survivor_id])))

    def _undoable(self) -> list[MergeRow]:
        rows = {row.id: row for row in self.hub.store.merges(PROFILES) if row.undone_ms is None}
        return list(rows.values())

    def _undo(self, row: MergeRow) -> None:
        if any(self.sessions):
            self.hub.settle()  # an undo that overtakes an event with a session is no matter of privacy
        step = step_record(row.id, row.survivor_id, row.loser_id, "undo")
        self.hub.put({**step, "received_at_ms": self._tick()})

    def _teardown(self) -> None:
        done: set[str] = set()
        while rows := [row for row in self._undoable() if row.id not in done]:
            done.add(rows[-1].id)
            self._undo(rows[-1])
            self.hub.settle()
            self._check()
        super()._teardown()


class ToldApartWithSessions(ToldApart):
    """Also events that follow a session, and sessions that go back to who claimed them."""

    sessions = WithSessions.sessions


class OnAFile(ToldApartWithSessions):
    """With the store that is used; nothing in its file says anything of an event that is gone."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "hub.sqlite"
        self._store = SqliteStore(self._path)
        super().__init__(self._store)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self._store.close()
            self._folder.cleanup()

    def _check(self) -> None:
        super()._check()
        found = list(texts(self._path))
        for one in self.events:
            erased = [at_ms for id, at_ms in self.erased if id == one.sender and one.at_ms <= at_ms]
            if erased and not set(SESSIONS) & set(one.names):
                assert [text for text in found if text == one.id or f'"{one.id}"' in text] == []


def texts(path: Path) -> Iterator[str]:
    """All that a store's file holds, what it holds compressed, too."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for row in connection.execute(f"SELECT * FROM {name}"):
                for value in row:
                    if isinstance(value, str):
                        yield value
                    elif isinstance(value, bytes):
                        with suppress(zlib.error):
                            yield zlib.decompress(value).decode(errors="replace")
                        yield value.decode(errors="replace")


Machine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
WithSessions.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
ToldApart.TestCase.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
ToldApartWithSessions.TestCase.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
OnAFile.TestCase.settings = settings(max_examples=8, stateful_step_count=40, deadline=None)
TestPrivacy = Machine.TestCase
TestPrivacyWithSessions = WithSessions.TestCase
TestPrivacyToldApart = ToldApart.TestCase
TestPrivacyToldApartWithSessions = ToldApartWithSessions.TestCase
TestPrivacyOnAFile = OnAFile.TestCase


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("machine", "examples"),
    [(Machine, 1_500), (WithSessions, 1_500), (ToldApart, 1_500), (ToldApartWithSessions, 1_500), (OnAFile, 200)],
)
def test_at_length(machine: type[Machine], examples: int) -> None:
    steps = settings(max_examples=examples, stateful_step_count=50, deadline=None, derandomize=False)
    run_state_machine_as_test(machine, settings=steps)
