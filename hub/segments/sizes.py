"""How large segments are: now, and at the beginning of each hour of the last year."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hub.store.port import Segments

HOUR_MS: Final = 3_600_000
KEPT_HOURS: Final = 366 * 24


class HourlySizes:
    """Keeps the sizes once an hour. Any number may do so: the first is told. For one thread."""

    def __init__(self, store: Segments) -> None:
        """Nothing is kept yet."""
        self._store = store
        self._hour = -1

    def tick(self, segments: Iterable[str], now_ms: int) -> bool:
        """
        Keep them, if an hour has begun since the last time, or this is the first. Raises Unavailable.

        Args: segments: that are defined; those without members are kept, too.

        Returns: whether it did.
        """
        hour = now_ms // HOUR_MS
        if hour == self._hour:
            return False
        sizes = dict.fromkeys(segments, 0) | self._store.segment_sizes()
        self._store.keep_sizes(hour, sizes, hour - KEPT_HOURS)
        self._hour = hour
        return True
