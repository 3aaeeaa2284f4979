"""What the customer's own clock showed."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hub.edge.functions import EPOCH

MOST_CHARS: Final = 64
"""Of a time zone's name."""


def hour_of(time_ms: int, zone: str) -> int | None:
    """
    The hour of the day there, 0 to 23; None: nobody knows the zone.

    Args:
        time_ms: Milliseconds since 1970.
        zone: IANA name, such as Europe/London.
    """
    known = _zone(zone) if 0 < len(zone) <= MOST_CHARS else None
    if known is None:
        return None
    try:
        return (EPOCH + timedelta(milliseconds=time_ms)).astimezone(known).hour
    except OverflowError:
        return None


@lru_cache(maxsize=1_024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder's name, or one that no file could have
        return None
