"""What time was it really? The times of a client whose clock is wrong, by what it showed when it sent them."""

from __future__ import annotations

from typing import Final

from hub.edge.times import END_MS, FIRST_MS

ON_TIME_MS: Final = 60_000
"""A clock that differs by less is left alone: that much may be the network's, and would move honest times."""
_SECOND_MS: Final = 1_000


def corrected(time_ms: int | None, sent_at_ms: int | None, received_at_ms: int) -> int | None:
    """
    When it happened by our clock; all are milliseconds since 1970.

    In whole seconds, so that a message that is sent again, through another moment of the network, mostly gets the
    same time again. Where it does not, the collector looks for it on both sides of a month's end (`lookup_partitions`).

    Args:
        time_ms: When it happened, by the client's clock; None: it does not say.
        sent_at_ms: What that clock showed when the client sent it; None: it does not say.
        received_at_ms: What ours showed when it came.
    """
    if time_ms is None or sent_at_ms is None:
        return time_ms
    slow_ms = received_at_ms - sent_at_ms
    if abs(slow_ms) < ON_TIME_MS:
        return time_ms
    moved = time_ms + round(slow_ms / _SECOND_MS) * _SECOND_MS
    return moved if FIRST_MS <= moved < END_MS else time_ms
