"""When did it happen? A time as clients write it, in milliseconds since 1970 UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from hub.errors import InvalidPayload

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
FIRST_MS: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
END_MS: Final = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
"""First millisecond that is no time any more: stores and browsers differ about the year 9999."""

SECONDS_UP_TO: Final = 2e10
"""A number up to this is seconds, beyond it milliseconds: what pydantic does, on which our predecessor's API stands."""

_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ](?P<clock>\d\d:\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?\s?(?:[Zz]|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"[+-]?\d{1,18}(?:\.\d*)?", re.ASCII)


def time_ms(value: str | float, where: str) -> int:
    """
    Milliseconds since 1970 UTC of an RFC 3339 time or of a number of seconds or milliseconds.

    More is taken than RFC 3339 allows: no zone means UTC; a space for the `T`; a date alone is its midnight.

    Args:
        where: The field, for the error.

    Raises:
        InvalidPayload: bad_time, also for the years 0 and 9999.
    """
    moment = _from_text(value.strip(), where) if isinstance(value, str) else _from_number(value)
    if not FIRST_MS <= moment < END_MS:
        raise InvalidPayload("bad_time", "the time is outside the years 1 to 9998", where)
    return int(moment)


def within(moment_ms: int | None) -> int | None:
    """The nearest time that an event can have: others' clocks may say anything. Milliseconds since 1970."""
    return None if moment_ms is None else min(max(moment_ms, FIRST_MS), END_MS - 1)


def _from_number(value: float) -> float:
    return value * 1000 if -SECONDS_UP_TO <= value <= SECONDS_UP_TO else value


def _from_text(text: str, where: str) -> float:
    match = _RFC_3339.fullmatch(text)
    if match is None:
        if _NUMBER.fullmatch(text):
            return _from_number(float(text))
        raise InvalidPayload("bad_time", "the text is no RFC 3339 time, such as 2026-11-24T15:21:00Z", where)
    leap = match["second"] == "60"
    if leap:
        text = f"{text[:17]}59{text[19:]}"
    try:
        moment = datetime.fromisoformat(text.upper().replace(" Z", "Z").replace(" +", "+").replace(" -", "-"))
    except ValueError as exc:
        raise InvalidPayload("bad_time", f"there is no such time: {exc}", where) from exc
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND + 1000 * leap
