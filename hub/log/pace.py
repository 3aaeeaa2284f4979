"""How many bulk events may be on their way at once? A window that is told what the collector has done, and when."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

FIRST_EVENTS: Final = 250
LEAST_EVENTS: Final = 50
"""About what a collector does in 5 ms: less would cost bulk its pace and give live events nothing."""
MOST_EVENTS: Final = 20_000
GROWTH: Final = 0.25
"""Of what was stored in time: a window that is full all the time doubles in four turns."""
SHRINKING: Final = 0.75
STALE_S: Final = 0.05
"""A look after a longer pause does not tell when something was stored, only that it was."""


class _Landed(NamedTuple):
    offset: int
    events: int
    at_s: float


class Pace:
    """
    The window and what is in it: events that were let through, until the collector's commit has passed them.

    It grows while they are stored within the delay that is wanted, and shrinks when they are not: so it follows the
    collector's pace, whatever else the collector has to do. Pure: all times are arguments, in seconds of one clock.
    """

    def __init__(self, delay_s: float) -> None:
        """Args: delay_s: the longest that an event shall wait on the log."""
        self._delay_s = delay_s
        self._size = float(FIRST_EVENTS)
        self._landed: dict[int, deque[_Landed]] = {}
        self._committed: dict[int, int] = {}
        self._looked_at_s = 0.0
        self._shrunk_at_s = 0.0
        self.in_flight = 0
        """Events that were let through and are not known to be stored."""

    @property
    def size(self) -> int:
        """The window, events."""
        return int(self._size)

    def fits(self, events: int) -> bool:
        """Whether so many more may go. Into an empty window anything fits: a payload cannot be cut."""
        return not self.in_flight or self.in_flight + events <= self._size

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
        stored, waited_s = 0, 0.0
        for partition, waiting in self._landed.items():
            reached = committed.get(partition, 0)
            # it went backwards: the topic was made anew, or the group was set back. What we know is void
            void = reached < before.get(partition, 0)
            while waiting and (void or waiting[0].offset < reached):
                _, events, at_s = waiting.popleft()
                self.in_flight -= events
                stored += events
                waited_s += events * (now_s - at_s)
        if stored and now_s - self._looked_at_s <= STALE_S:
            self._adapt(stored, waited_s / stored, now_s)
        self._looked_at_s = now_s
        return moved

    def _adapt(self, stored: int, waited_s: float, now_s: float) -> None:
        # of the mean: the slowest one tells more of a moment's noise than of the queue
        if waited_s <= self._delay_s:
            self._size = min(MOST_EVENTS, self._size + stored * GROWTH)
        elif now_s - self._shrunk_at_s >= self._delay_s:
            # once for each delay: what is stored in the meantime was let through by the larger window
            self._shrunk_at_s = now_s
            self._size = max(LEAST_EVENTS, self._size * SHRINKING)
