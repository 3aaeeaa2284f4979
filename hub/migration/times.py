"""Times as the predecessor's documents have them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from hub.pipeline.documents import iso
from hub.pipeline.records import FIRST_MS, LAST_MS

_SECONDS: Final = 100_000_000_000
"""A number below is in seconds since 1970, others in milliseconds: so until the year 5138, and from 1973 on."""


def time_ms(value: Any) -> int | None:
    """Milliseconds since 1970; None: it is no time. One without a zone is in UTC, as the predecessor writes them."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        found = round(value * 1_000 if abs(value) < _SECONDS else value)
    else:
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
            found = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
        except (ValueError, OverflowError):
            return None
    return found if FIRST_MS <= found <= LAST_MS else None


def told(value: Any) -> str | None:
    """The same as RFC 3339 in UTC, with milliseconds."""
    found = time_ms(value)
    return None if found is None else iso(found)
