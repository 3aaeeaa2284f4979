"""When is somebody who does not answer left alone? A circuit breaker that is told the time."""

from __future__ import annotations


class Breaker:
    """
    Closed until there were so many failures in a row; then open for a while, in which nobody tries; then one may try,
    and how that goes decides. The libraries that there are for this want to make the call themselves, keep their state
    elsewhere or let all through at once when the while is over; what is needed here is three numbers.
    """

    __slots__ = ("_failed", "_failures", "_rest_s", "_trying", "_until_s")

    def __init__(self, failures: int, rest_s: float) -> None:
        """Args: failures: in a row, at least 1. rest_s: how long it is open."""
        self._failures = failures
        self._rest_s = rest_s
        self._failed = 0
        self._until_s = 0.0
        self._trying = False

    @property
    def failed(self) -> int:
        """How often in a row it has not gone well."""
        return self._failed

    def enter(self, now_s: float) -> float:
        """
        Ask before an attempt. 0: go ahead, and call `leave`. Else: for how many seconds nobody may.

        Args: now_s: of a clock that never goes back.
        """
        if self._failed < self._failures:
            return 0.0
        if now_s < self._until_s:
            return self._until_s - now_s
        if self._trying:
            return self._rest_s
        self._trying = True
        return 0.0

    def leave(self, now_s: float, *, well: bool | None) -> None:
        """How the attempt went. Args: well: None: it says nothing about the other side."""
        self._trying = False
        if well is None:
            return
        self._failed = 0 if well else self._failed + 1
        if self._failed >= self._failures:
            self._until_s = now_s + self._rest_s
