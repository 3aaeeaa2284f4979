"""Times in conditions: texts that are times, and times that move with now."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from hub.conditions.ast import Now, Shift, Start, Unit

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST: Final = 48
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?P<clock>[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s?(?:[Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_SHIFT: Final = re.compile(r"([+-]?)\s*(\d+)\s*([a-z]+)", re.IGNORECASE)
_NOW: Final = re.compile(r"now((?:\s*[+-]\s*\d+\s*[a-z]+)*)", re.IGNORECASE)
_UNITS: Final[dict[str, Unit]] = {
    "s": "second",
    "sec": "second",
    "second": "second",
    "m": "minute",
    "min": "minute",
    "minute": "minute",
    "h": "hour",
    "hour": "hour",
    "d": "day",
    "day": "day",
    "w": "week",
    "week": "week",
    "mo": "month",
    "month": "month",
    "y": "year",
    "year": "year",
}
_SECONDS: Final[dict[Unit, int]] = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_MONTHS: Final[dict[Unit, int]] = {"month": 1, "year": 12}
FIXED_US: Final[dict[Unit, int]] = {unit: 1_000_000 * seconds for unit, seconds in _SECONDS.items()}
"""Microseconds of the units that are always as long."""
_MONTH_S: Final = 31 * 86_400
MAX_YEARS: Final = 200
"""Longest span of time from now or from a field: so that it cannot leave the calendar."""
_LONGEST_S: Final = MAX_YEARS * 12 * _MONTH_S


def read_time(text: str, zone: str = "UTC") -> int | None:
    """
    Microseconds since 1970 of a text that is an RFC 3339 time, a day alone being its first moment; else None.

    Args: zone: IANA name, for a text without a zone of its own. Raises ValueError: there is no such zone.
    """
    return _read(text, zone) if 10 <= len(text) <= _LONGEST else None


def read_moment(text: str, now_us: int, zone: str = "UTC") -> int:
    """
    The same of a text that may also be `now` or `now - 7d`. Args: now_us: microseconds since 1970.

    Raises ValueError: it is neither, or there is no such zone.
    """
    moving = _NOW.fullmatch(text.strip())
    if moving is not None:
        return shifted(now_us, [shift_of(one[0]) for one in _SHIFT.finditer(moving[1])])
    us = read_time(text.strip(), zone)
    if us is None:
        raise ValueError(f"{text!r} is no time; such as 2026-11-24, 2026-11-24T15:21:00Z, now, now-7d")
    return us


def has_clock(text: str) -> bool:
    """Whether a text that `read_time` reads is more than a day."""
    return len(text) > 10


@lru_cache(maxsize=4096)
def _read(text: str, zone: str) -> int | None:
    if _RFC_3339.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text.upper().replace(" Z", "Z").replace(" +", "+").replace(" -", "-"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC if zone == "UTC" else zone_of(zone))
        return microseconds(moment)
    except (ValueError, OverflowError):
        return None


def zone_of(name: str) -> ZoneInfo:
    """Raises ValueError: there is no such time zone here."""
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError) as exc:  # not found is a KeyError, a folder's name an OSError
        raise ValueError(f"{name!r} is no time zone; such as UTC or Europe/Rome") from exc


def microseconds(moment: datetime) -> int:
    """Since 1970. Args: moment: with a zone."""
    return (moment - _EPOCH) // _MICROSECOND


def shift_of(text: str) -> Shift:
    """Of `-7d`, `+ 1 month`, `15m`. Raises ValueError: it is none."""
    match = _SHIFT.fullmatch(text.strip())
    name = match[3].lower() if match else ""
    unit = _UNITS.get(name) or _UNITS.get(name.removesuffix("s"))
    if match is None or unit is None or len(match[2]) > 9:
        raise ValueError(f"{str(text)!r} is no span of time; such as 15m, 7d, 2 weeks, 1 month")
    return Shift(int(match[2]) * (-1 if match[1] == "-" else 1), unit)


def bounded(shifts: tuple[Shift, ...]) -> tuple[Shift, ...]:
    """The same, if they are short enough for any time that events have. Raises ValueError."""
    if sum(abs(shift.amount) * _SECONDS.get(shift.unit, _MONTH_S * _MONTHS.get(shift.unit, 0)) for shift in shifts) > (
        _LONGEST_S
    ):
        raise ValueError(f"a span of time is at most {MAX_YEARS} years")
    return shifts


def shifted(us: int, shifts: Iterable[Shift]) -> int:
    """
    A time moved by spans: days have 24 hours, months and years go by the calendar in UTC, and end with it.

    Args: us: microseconds since 1970. Raises ValueError: that is outside the years 1 to 9999.
    """
    try:
        moment = _EPOCH + us * _MICROSECOND
        for shift in shifts:
            if shift.unit in _SECONDS:
                moment += timedelta(seconds=shift.amount * _SECONDS[shift.unit])
            else:
                moment = _months_later(moment, shift.amount * _MONTHS[shift.unit])
    except (OverflowError, ValueError) as exc:
        raise ValueError("this time is outside the years 1 to 9999") from exc
    return microseconds(moment)


def moment_of(now: Now, now_us: int) -> int:
    """
    What `now` is at that time, microseconds since 1970.

    Raises ValueError: that is outside the years 1 to 9999.
    """
    return shifted(now_us if now.start is None else start_of(now_us, now.start), now.shifts)


def start_of(us: int, start: Start) -> int:
    """Where the day, week, month or year begins that a time is in, microseconds since 1970."""
    return _midnight(_first_day(us, start), start)


def next_start(us: int, start: Start) -> int:
    """Where the next one begins."""
    day = _first_day(us, start)
    if start.unit in {"day", "week"}:
        later = day + timedelta(days=1 if start.unit == "day" else 7)
    else:
        later = _months_later(datetime.combine(day, clock()), _MONTHS[start.unit]).date()
    return _midnight(later, start)


def unit_of(name: str) -> Unit:
    """Of `day`, `days`, `d`. Raises ValueError: there is none."""
    unit = _UNITS.get(name.lower()) or _UNITS.get(name.lower().removesuffix("s"))
    if unit is None:
        raise ValueError(f"{name!r} is no unit of time; such as day, week, month, year")
    return unit


def _first_day(us: int, start: Start) -> date:
    day = (_EPOCH + us * _MICROSECOND).astimezone(zone_of(start.zone)).date()
    if start.unit == "week":
        return day - timedelta(days=day.weekday())
    if start.unit == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if start.unit == "year" else day


def _midnight(day: date, start: Start) -> int:
    return microseconds(datetime.combine(day, clock(), zone_of(start.zone)))


def _months_later(moment: datetime, months: int) -> datetime:
    years, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= years <= 9999:
        raise ValueError(years)
    last = calendar.monthrange(years, month + 1)[1]
    return moment.replace(year=years, month=month + 1, day=min(moment.day, last))
