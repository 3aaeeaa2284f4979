"""When is something due? Intervals and cron expressions, as pure functions of two moments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import islice, pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

DURATION: Final = r"^([1-9]\d{0,5}[smhdw])+$"
"""Such as 90s, 15m or 1d12h."""
FIELDS: Final = 5
_PART: Final = re.compile(r"(\d+)([smhdw])")
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_WINDOWS_MS: Final = (60_000, 3_600_000, 86_400_000, 32 * 86_400_000, 366 * 86_400_000, 9 * 366 * 86_400_000)
"""How far back the last due time is looked for, further each time. The last one: a 29 February over a century's end."""
_NEAR: Final = timedelta(hours=4)
"""A change of a zone's offset that is so near may make the wall clock show a time twice, or not at all."""
_LOOKS: Final = 400
"""Due times that are looked at for the shortest time between two of a cron expression: a day of every four minutes."""


class Schedule(NamedTuple):
    """
    Either every `every_ms`, counted from 1970 (UTC), or as `cron` says on the wall clock of `zone`.

    What is due does not depend on when somebody looks: whoever asks for two spans that meet gets each time once.
    """

    every_ms: int | None
    cron: str = ""
    zone: str = "UTC"


def duration_ms(text: str) -> int:
    """Milliseconds. Args: text: as DURATION says, or empty for none at all."""
    return sum(int(number) * _UNITS_MS[unit] for number, unit in _PART.findall(text))


def words(ms: int) -> str:
    """A duration for people, such as `1d12h` or `0.5s`."""
    parts, rest = [], ms
    for unit in ("d", "h", "m"):
        number, rest = divmod(rest, _UNITS_MS[unit])
        parts += [f"{number}{unit}"] if number else []
    if rest or not parts:
        parts.append(f"{rest / 1000:g}s")
    return "".join(parts)


def check_cron(cron: str, zone: str) -> None:
    """Raises ValueError, which says what is wrong with the expression or the time zone."""
    _zone(zone)
    if len(cron.split()) != FIELDS:
        raise ValueError(
            f"{cron!r} has {len(cron.split())} fields; a cron expression has {FIELDS}: minute, hour, day of the month, "
            "month and day of the week, such as `0 9 * * MON`"
        )
    try:
        next(CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as exc:
        raise ValueError(f"{cron!r} is no cron expression: {str(exc).lower()}") from exc
    except StopIteration as exc:
        raise ValueError(f"{cron!r} is never due: there is no such day") from exc


def due_times(schedule: Schedule, after_ms: int, until_ms: int, most: int) -> list[int]:
    """
    The first `most` due times behind `after_ms` up to `until_ms`, rising; milliseconds since 1970.

    On the wall clock of a zone that goes back an hour, a fixed time comes once, at its first passage; where it goes
    forward, a time that does not exist is due as soon as the clock has jumped. Wildcards follow the time that passes.
    """
    return list(islice(_due(schedule, after_ms, until_ms), most))


def last_due(schedule: Schedule, after_ms: int, until_ms: int) -> int | None:
    """The last due time behind `after_ms` up to `until_ms`; None: there is none."""
    if schedule.every_ms is not None:
        last = until_ms // schedule.every_ms * schedule.every_ms
        return last if last > after_ms else None
    for window_ms in _WINDOWS_MS:
        since_ms = max(after_ms, until_ms - window_ms)
        latest = max(_due(schedule, since_ms, until_ms), default=None)
        if latest is not None or since_ms == after_ms:
            return latest
    return None


def next_due(schedule: Schedule, after_ms: int) -> int | None:
    """The first due time behind `after_ms`; None: not within nine years."""
    found = due_times(schedule, after_ms, after_ms + _WINDOWS_MS[-1], 1)
    return found[0] if found else None


def shortest_ms(schedule: Schedule) -> int:
    """The shortest time between two due times, milliseconds; of a cron expression, among some hundreds of them."""
    if schedule.every_ms is not None:
        return schedule.every_ms
    start_ms = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000)
    found = due_times(schedule._replace(zone="UTC"), start_ms, start_ms + _WINDOWS_MS[-1], _LOOKS)
    return min((after - before for before, after in pairwise(found)), default=_WINDOWS_MS[-1])


def _due(schedule: Schedule, after_ms: int, until_ms: int) -> Iterator[int]:
    if schedule.every_ms is not None:
        every = schedule.every_ms
        yield from range((after_ms // every + 1) * every, until_ms + 1, every)
        return
    last_ms = after_ms
    for at in CronSim(schedule.cron, _start(after_ms, _zone(schedule.zone))):
        at_ms = int(at.timestamp() * 1000)
        if at_ms > until_ms:
            return
        if at_ms > last_ms:
            yield at_ms
            last_ms = at_ms


def _start(after_ms: int, zone: tzinfo) -> datetime:
    """
    Where to begin to look. Near a change of the zone's offset that is some hours before: the wall clock alone does not
    say which of two passages is meant, and what is due for a time that was left out comes before what follows it.
    """
    start = datetime.fromtimestamp(after_ms // 1000, UTC)
    if (start - _NEAR).astimezone(zone).utcoffset() != (start + _NEAR).astimezone(zone).utcoffset():
        start -= 2 * _NEAR
    return start.astimezone(zone)


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ValueError, KeyError, OSError) as exc:  # KeyError: ZoneInfo's own; OSError: the name of a folder
        raise ValueError(f"{name!r} is no time zone; write one such as Europe/London") from exc
