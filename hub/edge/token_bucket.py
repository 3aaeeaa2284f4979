"""How many messages or events may be taken now, of so many a second: a token bucket. Pure."""

from __future__ import annotations

from typing import Final

GATHER_S: Final = 0.05
"""Of the rate, what is let through together: batches cost less than single messages."""


class TokenBucket:
    """
    Lets through `rate` messages a second: at most a second's worth at once, and no fewer than come in GATHER_S.

    Times are in seconds of any clock that does not go back.
    """

    def __init__(self, rate: float, now_s: float) -> None:
        """Full at first. Args: rate: messages a second, above 0."""
        if rate <= 0:
            raise ValueError("a bucket without a rate lets nothing through, ever")
        self._rate = rate
        self._most = max(1.0, rate)
        self._least = max(1.0, rate * GATHER_S)
        self._tokens = self._most
        self._seen_s = now_s

    def room(self, now_s: float) -> int:
        """How many may be taken now; 0 until it is worth while."""
        self._tokens = min(self._most, self._tokens + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s
        return int(self._tokens) if self._tokens >= self._least else 0

    def spend(self, messages: int) -> None:
        """So many were taken. More than `room` has said is a debt, which is paid off first."""
        self._tokens -= messages

    @property
    def wait_s(self) -> float:
        """How long after the last look there is room."""
        return max(0.0, (self._least - self._tokens) / self._rate)
