"""How many bulk events may be on their way at once? A window that is told what the collector has done, and when."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

FIRST_EVENTS: Final = 250
LEAST_EVENTS: Final = 40
"""What a collector does in 10 ms, and enough that it waits for no company (ENOUGH_RECORDS of its loop): with less, each
batch waits as long as usual, so that the window would never grow again."""
MOST_EVENTS: Final = 20_000
GROWTH: Final = 0.1
"""Of what was stored in time: a window that is full all the time doubles in seven turns."""
STALE_S: Final = 0.05
"""A look after a longer pause does not tell when something was stored, only that it was."""
MEASURE_EVERY_S: Final = 10.0
"""What is usual changes with the machine, the store and live traffic."""
MEASURING_EVENTS: Final = 10
"""The window meanwhile."""
MEASURED_EVENTS: Final = 8 * MEASURING_EVENTS
ALONE_S: Final = 0.05
"""How long an event may wait at least while no others than bulk come: the first live one waits as long, once."""
FADE_S: Final = 5.0
"""After 14 s without records of others bulk is alone, or 3 s if there was a single one."""
MOST_OTHERS: Final = 8.0
FEW_OTHERS: Final = 0.5


class _Landed(NamedTuple):
    offset: int
    events: int
    at_s: float


class _Measure:
    """How long events wait while next to no bulk is there; of those that landed after `since_s`."""

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.events = 0
        self.waited_s = 0.0


class Pace:
    """
    The window and what is in it: events that were let through, until the collector's commit has passed them.

    It is small for a moment every ten seconds, to see how long an event waits when there is no bulk. In between it
    grows while events wait hardly longer than that, and shrinks when they do: so it follows the collector's pace,
    whatever else the collector has to do. While the collector stores nothing but what was let through here, events may
    wait longer: there is nobody to be held up. Pure: all times are arguments, in seconds of one clock.
    """

    def __init__(self, slowdown: float) -> None:
        """Args: slowdown: how many times as long as without bulk an event may wait on the log."""
        self._slowdown = slowdown
        self._size = float(FIRST_EVENTS)
        self._landed: dict[int, deque[_Landed]] = {}
        self._committed: dict[int, int] = {}
        self._looked_at_s = 0.0
        self._shrunk_at_s = 0.0
        self._usual_s = 0.0
        self._measured_at_s = 0.0
        self._measure: _Measure | None = _Measure(0.0)
        self._others = 1.0
        self._strange = 0
        self._is_alone = False
        self._shared = 0.0
        self.in_flight = 0
        """Events that were let through and are not known to be stored."""

    @property
    def size(self) -> int:
        """The window, events."""
        return int(self._size) if self._measure is None else MEASURING_EVENTS

    def fits(self, events: int) -> bool:
        """Whether so many more may go. Into an empty window anything fits: a payload cannot be cut."""
        return not self.in_flight or self.in_flight + events <= self.size

    def enter(self, events: int) -> None:
        """So many go, whether they fit or not."""
        self.in_flight += events

    def leave(self, events: int) -> None:
        """So many that had entered did not get onto the log."""
        self.in_flight -= events

    def land(self, events: int, partition: int, offset: int, now_s: float) -> None:
        """So many that had entered are one record of the log."""
        if offset < self._committed.get(partition, 0):
            self.leave(events)  # the collector was faster than the acknowledgement
            self._strange -= 1
        else:
            self._landed.setdefault(partition, deque()).append(_Landed(offset, events, now_s))

    def look(self, committed: Mapping[int, int], now_s: float) -> bool:
        """
        Take note of how far the collector has come.

        Args:
            committed: By partition, the offset of the first record that it has not stored.

        Returns: whether it has come further, with anything at all.
        """
        moved = committed != self._committed
        before, self._committed = self._committed, dict(committed)
        stored: list[_Landed] = []
        others = sum(reached - before[number] for number, reached in committed.items() if number in before)
        for partition, waiting in self._landed.items():
            reached = committed.get(partition, 0)
            # it went backwards: the topic was made anew, or the group was set back. What we know is void
            void = reached < before.get(partition, 0)
            while waiting and (void or waiting[0].offset < reached):
                stored.append(waiting.popleft())
                others -= partition in before
        self._heed(others, now_s)
        self.in_flight -= sum(one.events for one in stored)
        if stored and now_s - self._looked_at_s <= STALE_S:
            if self._measure is None:
                self._adapt(stored, now_s)
            else:
                self._observe(self._measure, stored, now_s)
        self._looked_at_s = now_s
        return moved

    def _heed(self, others: int, now_s: float) -> None:
        """
        So many records were stored that are not known to be ours, by one look too early: then acknowledgements are in.

        Whoever comes finds the window at once as it was when there were others.
        """
        self._strange, others = others, self._strange
        self._others *= math.exp((self._looked_at_s - now_s) / FADE_S)
        self._others = min(MOST_OTHERS, self._others + max(0, others))
        if self._is_alone == (self._others < FEW_OTHERS):
            return
        self._is_alone = not self._is_alone
        if self._is_alone:
            self._shared = self._size
        else:
            self._size = min(self._size, self._shared)

    def _observe(self, measure: _Measure, stored: list[_Landed], now_s: float) -> None:
        for _, events, at_s in stored:
            if at_s >= measure.since_s:
                measure.events += events
                measure.waited_s += events * (now_s - at_s)
        if measure.events >= MEASURED_EVENTS:
            self._usual_s = measure.waited_s / measure.events
            self._measured_at_s, self._measure = now_s, None

    def _adapt(self, stored: list[_Landed], now_s: float) -> None:
        if now_s - self._measured_at_s >= MEASURE_EVERY_S:
            # what lands now still has the larger window before it
            self._measure = _Measure(now_s + self._usual_s * self._slowdown)
            return
        events = sum(one.events for one in stored)
        # the mean: the slowest one tells more of a moment's noise than of the queue
        waited_s = sum(one.events * (now_s - one.at_s) for one in stored) / events
        longest_s = self._usual_s * self._slowdown
        if self._is_alone:
            longest_s = max(longest_s, ALONE_S)
        if waited_s <= longest_s:
            self._size = min(MOST_EVENTS, self._size + events * GROWTH)
        elif now_s - self._shrunk_at_s >= waited_s:
            # once for each turn: what is stored in the meantime was let through by the larger window
            self._shrunk_at_s = now_s
            self._size = max(LEAST_EVENTS, self._size * longest_s / waited_s)
