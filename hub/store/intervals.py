"""Intervals of a histogram: by the calendar of a time zone, so that a year is a year and a day may have 23 hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from hub.conditions import QueryError
from hub.conditions.times import zone_of

Interval: TypeAlias = Literal["minute", "hour", "day", "week", "month", "year"]

MAX_INTERVALS: Final = 1_000
"""Most intervals of one histogram."""
FEW: Final = 100
"""Most intervals that `auto` makes; with years there may be more."""

_STEPS_MS: Final[dict[Interval, int]] = {
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 7 * 86_400_000,
    "month": 30 * 86_400_000,
    "year": 365 * 86_400_000,
}
"""About as long is each."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Intervals(NamedTuple):
    """
    Where intervals begin, milliseconds since 1970, rising; the last number is where the last one ends.

    The first and the last are cut off where the histogram begins and ends: `begins` has what they would have been.
    """

    interval: Interval
    begins: list[int]
    edges: list[int]


def intervals(since_ms: int, until_ms: int, interval: Interval | Literal["auto"], zone: str) -> Intervals:
    """
    The intervals from `since_ms` up to `until_ms`, which is outside.

    Args: interval: `auto`: the shortest that makes FEW at most. zone: IANA name.

    Raises: QueryError: no such zone, or MAX_INTERVALS are not enough.
    """
    try:
        place = zone_of(zone)
    except ValueError as exc:
        raise QueryError(str(exc)) from exc
    if not since_ms < until_ms:
        raise QueryError("a histogram ends after it begins: `from` has to be before `to`")
    chosen = _chosen(until_ms - since_ms) if interval == "auto" else interval
    if (until_ms - since_ms) // _STEPS_MS[chosen] > MAX_INTERVALS:
        raise QueryError(
            f"more than {MAX_INTERVALS} intervals of one {chosen}; take a longer interval, or less time, or auto"
        )
    try:
        begins = _begins(since_ms, until_ms, chosen, place)
    except (OverflowError, ValueError) as exc:
        raise QueryError("a histogram has times of the years 1 to 9998") from exc
    return Intervals(chosen, begins, [since_ms, *begins[1:], until_ms])


def at(time_ms: int, zone: str) -> str:
    """RFC 3339 with the zone's offset. Args: time_ms: milliseconds since 1970."""
    return _local(time_ms, zone_of(zone)).isoformat(timespec="seconds")


def _chosen(span_ms: int) -> Interval:
    return next((interval for interval, step_ms in _STEPS_MS.items() if span_ms <= FEW * step_ms), "year")


def _begins(since_ms: int, until_ms: int, interval: Interval, zone: ZoneInfo) -> list[int]:
    begins = [_first(since_ms, interval, zone)]
    while (following := _next(begins[-1], interval, zone)) < until_ms:
        begins.append(following)
    return begins


def _first(since_ms: int, interval: Interval, zone: ZoneInfo) -> int:
    local = _local(since_ms, zone)
    if interval == "minute":
        return since_ms - since_ms % 60_000
    if interval == "hour":
        return since_ms - since_ms % 60_000 - local.minute * 60_000
    return _midnight(_begin_of(local.date(), interval), zone)


def _next(begin_ms: int, interval: Interval, zone: ZoneInfo) -> int:
    if interval == "minute":
        return begin_ms + 60_000
    if interval == "hour":
        following = begin_ms + 3_600_000
        # where clocks move by half an hour, that hour is longer
        return following + (60 - _local(following, zone).minute) % 60 * 60_000
    # half a step on, as midnight may be 01:00 where there is none
    day = _begin_of(_local(begin_ms + 43_200_000, zone).date(), interval)
    return _midnight(_after(day, interval), zone)


def _begin_of(day: date, interval: Interval) -> date:
    if interval == "week":
        return day - timedelta(days=day.weekday())
    if interval == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if interval == "year" else day


def _after(day: date, interval: Interval) -> date:
    if interval == "year":
        return day.replace(year=day.year + 1)
    if interval == "month":
        return (day + timedelta(days=31)).replace(day=1)
    return day + timedelta(days=7 if interval == "week" else 1)


def _midnight(day: date, zone: ZoneInfo) -> int:
    """The first moment of a day: where there is no midnight, as clocks go forward then, it is what they show after."""
    return (datetime(day.year, day.month, day.day, tzinfo=zone) - _EPOCH) // _MILLISECOND


def _local(time_ms: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + time_ms * _MILLISECOND).astimezone(zone)
