"""When is too much bad? The share of dead events among the newest ones. Pure."""

from __future__ import annotations

from collections import deque


class StopRule:
    """
    Says stop when of the last `window` events more than `share` are bad, and not before it has seen so many.

    It counts in steps, such as batches, and looks at no more of them than it takes to fill the window.
    """

    def __init__(self, share: float, window: int) -> None:
        """Args: share: 0 to 1; with 1 it never stops. window: events, at least 1."""
        self._share = share
        self._window = window
        self._steps: deque[tuple[int, int]] = deque()
        self._all = 0
        self._bad = 0

    def add(self, events: int, bad: int) -> None:
        """Count a step: so many events, so many of them bad."""
        if not events:
            return
        self._steps.append((events, bad))
        self._all += events
        self._bad += bad
        while self._all - self._steps[0][0] >= self._window:
            old, old_bad = self._steps.popleft()
            self._all -= old
            self._bad -= old_bad

    @property
    def broken(self) -> bool:
        """Whether it is time to stop."""
        return self._all >= self._window and self._bad > self._share * self._all

    def __str__(self) -> str:
        """How things stand, in words."""
        return f"{self._bad:,} of the last {self._all:,} events cannot be taken, more than the share of {self._share:g}"
