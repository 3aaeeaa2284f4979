"""Minutes since 1970, as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def minute_text(minute: int) -> str:
    """`2026-11-24T15:21Z` for a number of minutes since 1970."""
    return f"{_EPOCH + timedelta(minutes=minute):%Y-%m-%dT%H:%MZ}"
