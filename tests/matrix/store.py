"""What the store has, read as it grows, and compared with what the brokers have confirmed."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from tests.matrix.load import Message

Key: TypeAlias = tuple[str, int]
"""A profile, and its event's number."""


class Mark(NamedTuple):
    """A moment. Attributes: confirmed: messages that the broker had confirmed by then."""

    phase: str
    at: float
    confirmed: int


class Figures(NamedTuple):
    """Of one fault, or of several together. `lag_s`: the longest from the end of a fault until nothing was waiting."""

    messages: int = 0
    times: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    lag_s: float = 0.0


class Reader:
    """Reads the events of a SQLite store that others write."""

    def __init__(self, path: Path) -> None:
        """Args: path: of a store that is there."""
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        self._seen: dict[str, int] = {}
        self.times: Counter[Key] = Counter()
        """How often each is stored."""
        self.order: defaultdict[str, list[int]] = defaultdict(list)
        """Numbers of a profile as they were stored."""

    def close(self) -> None:
        self._connection.close()

    def read(self) -> None:
        """What is new."""
        tables = self._rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'events_*'")
        for (table,) in sorted(tables):
            wanted = f"SELECT seq, profile_id, doc ->> '$.properties.n' FROM {table} WHERE seq > ? ORDER BY seq"
            for seq, profile, number in self._rows(wanted, self._seen.get(table, 0)):
                self._seen[table] = seq
                self.times[profile, number] += 1
                self.order[profile].append(number)

    def counted_otherwise(self) -> list[str]:
        """Profiles that have counted another number of events than are stored."""
        counts = dict(self._rows("SELECT id, doc ->> '$.stats.events' FROM profiles"))
        return [profile for profile, numbers in self.order.items() if counts.get(profile) != len(numbers)]

    def dead_letters(self) -> list[str]:
        """Why each is one."""
        return [reason for (reason,) in self._rows("SELECT reason FROM dead_letters")]

    def _rows(self, statement: str, *values: object) -> list[Any]:
        with closing(self._connection.execute(statement, values)) as cursor:
            return cursor.fetchall()


class Tally:
    """How far the store is behind the broker's confirmations, and how long it was so after each fault."""

    def __init__(self, reader: Reader, confirmed: Sequence[Message]) -> None:
        """Args: confirmed: grows."""
        self.reader = reader
        self._confirmed = confirmed
        self._done = 0
        """All before are stored."""
        self._marks: list[Mark] = []
        self.longest_s: defaultdict[str, float] = defaultdict(float)

    def mark(self, phase: str, at: float) -> None:
        """What is confirmed by now waits since the end of a fault. Args: at: of that end, as time.monotonic has it."""
        self._marks.append(Mark(phase, at, len(self._confirmed)))

    def look(self) -> bool:
        """Whether all that is confirmed is stored."""
        self.reader.read()
        now = time.monotonic()
        times = self.reader.times
        confirmed = self._confirmed
        while self._done < len(confirmed) and (confirmed[self._done].profile, confirmed[self._done].number) in times:
            self._done += 1
        for mark in [mark for mark in self._marks if mark.confirmed <= self._done]:
            self._marks.remove(mark)
            self.longest_s[mark.phase] = max(self.longest_s[mark.phase], now - mark.at)
        return self._done == len(confirmed)

    def caught_up(self) -> bool:
        """Whether all that was confirmed by the end of the last fault is stored."""
        return not self._marks

    def missing(self) -> int:
        """Of the confirmed, those that are not stored."""
        return sum((message.profile, message.number) not in self.reader.times for message in self._confirmed)


def judged(
    confirmed: Sequence[Message], times: Counter[Key], order: dict[str, list[int]], *, in_order: bool
) -> dict[str, Figures]:
    """
    By phase. Those that were given up count only when they are doubled.

    A message is out of order when one of its profile that was confirmed before it was sent is stored after it.

    Args: in_order: whether the broker promises that a profile's messages come in order.
    """
    lost: Counter[str] = Counter()
    messages: Counter[str] = Counter()
    phases: dict[Key, str] = {}
    for message in confirmed:
        key = message.profile, message.number
        phases[key] = message.phase
        messages[message.phase] += 1
        lost[message.phase] += key not in times
    doubled: Counter[str] = Counter()
    for key, count in times.items():
        if count > 1:
            doubled[phases.get(key, "given up")] += count - 1
    reordered: Counter[str] = Counter()
    for profile, numbers in order.items() if in_order else ():
        highest = 0
        for number in numbers:
            phase = phases.get((profile, number))
            if phase is not None:
                reordered[phase] += number < highest
                highest = max(highest, number)
    return {
        phase: Figures(messages[phase], 0, lost[phase], doubled[phase], reordered[phase])
        for phase in {*messages, *doubled}
    }
