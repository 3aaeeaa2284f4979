"""Times: now, moved, measured, on the wall clock of somewhere."""

from __future__ import annotations

from datetime import date, time
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from hub.conditions.ast import Start
from hub.conditions.times import bounded, shift_of, shifted, start_of
from hub.edge.expression import EVALUATION
from hub.edge.functions import Functions
from hub.flows.fields import Template, fault
from hub.flows.node import THEN, Call, Config, NodeFault, Outcome, Valued, node
from hub.flows.notation import as_text
from hub.flows.times import local, moment_ms, written, zone_of

GROUP: Final = "Time"
_UNITS_MS: Final = {
    "seconds": 1_000,
    "minutes": 60_000,
    "hours": 3_600_000,
    "days": 86_400_000,
    "weeks": 7 * 86_400_000,
}
_CLOCK: Final = r"^([01]\d|2[0-3]):[0-5]\d$"
Zone = Annotated[Template, Field(description="Such as Europe/London or profile@traits.time_zone; null: UTC.")]
_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Now(Valued):
    """Where."""

    time_zone: Zone = Template("UTC")


@node("now", group=GROUP, gives="object")
def now(config: Now, call: Call) -> dict[str, Any]:
    """What time it is: time, date, clock, year, month, day, hour, minute, weekday (Monday is 1), week, time_zone."""
    zone = zone_of(as_text(config.time_zone(call.scope)) or "UTC")
    moment = local(call.now_ms, zone)
    return {
        "time": written(call.now_ms),
        "date": moment.date().isoformat(),
        "clock": moment.strftime("%H:%M:%S"),
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "weekday": moment.isoweekday(),
        "week": moment.isocalendar().week,
        "time_zone": zone.key,
    }


class OfTime(Valued):
    """A time."""

    time: Annotated[
        Template | None, Field(description="RFC 3339, or seconds or milliseconds since 1970. Unset: now.")
    ] = None


class Moved(OfTime):
    """A time, and by how much."""

    by: Annotated[
        list[str] | str,
        Field(description="Such as 3d, -1 month, or several; months and years go by the calendar in UTC."),
    ]

    def model_post_init(self, _context: Any) -> None:
        """Raises PydanticCustomError: it is no span of time."""
        try:
            bounded(tuple(map(shift_of, _spans(self.by))))
        except ValueError as exc:
            raise fault(f"by: {exc}") from exc


@node("move-time", group=GROUP, gives="text")
def move_time(config: Moved, call: Call) -> str:
    """A time so much later, or earlier."""
    us = shifted(_ms(config.time, call) * 1_000, map(shift_of, _spans(config.by)))
    return written(us // 1_000)


class Begun(OfTime):
    """A time, and of what it is the beginning."""

    of: Literal["day", "week", "month", "year"] = "day"
    time_zone: Zone = Template("UTC")


@node("start-of", group=GROUP, gives="text")
def start_of_(config: Begun, call: Call) -> str:
    """When the day, week (Monday), month or year began that a time is in."""
    zone = zone_of(as_text(config.time_zone(call.scope)) or "UTC")
    return written(start_of(_ms(config.time, call) * 1_000, Start(config.of, zone.key)) // 1_000)


class Between(Valued):
    """Two times, and the unit."""

    begin: Annotated[Template, Field(description="Such as profile@metadata.time.insert.")]
    end: Annotated[Template | None, Field(description="Unset: now.")] = None
    unit: Literal["seconds", "minutes", "hours", "days", "weeks", "months", "years"] = "days"
    whole: Annotated[
        bool, Field(description="Only whole ones; months and years always are, by the calendar in UTC.")
    ] = False


@node("time-between", group=GROUP, gives="number")
def time_between(config: Between, call: Call) -> int | float:
    """How long it is from one time to another; below 0 if the second is earlier."""
    begin_ms, end_ms = moment_ms(config.begin(call.scope), str(config.begin)), _ms(config.end, call)
    unit = config.unit
    if unit in ("months", "years"):
        months = _months(begin_ms, end_ms)
        return months if unit == "months" else int(months / 12)
    found = (end_ms - begin_ms) / _UNITS_MS[unit]
    return int(found) if config.whole or found == int(found) else found


class Formatted(OfTime):
    """A time, and how to write it."""

    format: Annotated[str, Field(min_length=1, max_length=200, description="As of strftime, such as %d.%m.%Y %H:%M.")]
    time_zone: Zone = Template("UTC")


@node("format-time", group=GROUP, gives="text")
def format_time(config: Formatted, call: Call) -> str:
    """Write a time for people, on the wall clock of a time zone."""
    zone = zone_of(as_text(config.time_zone(call.scope)) or "UTC")
    return local(_ms(config.time, call), zone).strftime(config.format)


class Read(Valued):
    """A text, and how it is written."""

    text: Annotated[Template, Field(description="Such as event@properties.birthday.")]
    format: Annotated[str, Field(min_length=1, max_length=200, description="As of strptime; or iso, unix, unix_ms.")]
    time_zone: Annotated[str, Field(description="Of a text that says none.")] = "UTC"


@node("parse-time", group=GROUP, gives="text")
def parse_time(config: Read, call: Call) -> str:
    """Read a time that is written in another way."""
    try:
        found = Functions().call_function("parse_time", [call.text(config.text), config.format, config.time_zone])
    except EVALUATION as exc:
        raise NodeFault(str(exc)) from exc
    if found is None:
        raise NodeFault(f"{config.text}: there is no time")
    return str(found)


class Clock(Config):
    """When, and where."""

    begin: Annotated[str, Field(pattern=_CLOCK, description="Such as 09:00.")]
    end: Annotated[
        str, Field(pattern=_CLOCK, description="Such as 17:30, not included; earlier than `begin`: next day.")
    ]
    time: Annotated[Template | None, Field(description="Unset: now.")] = None
    time_zone: Zone = Template("UTC")


@node("is-time-of-day", group=GROUP, ports=THEN)
def is_time_of_day(config: Clock, call: Call) -> Outcome:
    """Whether it is between two times of the day."""
    zone = zone_of(as_text(config.time_zone(call.scope)) or "UTC")
    found = local(_ms(config.time, call), zone).time()
    begin, end = time.fromisoformat(config.begin), time.fromisoformat(config.end)
    return call.asked(begin <= found < end if begin < end else found >= begin or found < end)


class Days(Config):
    """Which, and where."""

    days: Annotated[
        list[Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]],
        Field(
            default_factory=lambda: ["saturday", "sunday"],
            min_length=1,
            description="The weekend unless you say others.",
        ),
    ]
    time: Annotated[Template | None, Field(description="Unset: now.")] = None
    time_zone: Zone = Template("UTC")


@node("is-weekday", group=GROUP, ports=THEN)
def is_weekday(config: Days, call: Call) -> Outcome:
    """Whether it is one of these days of the week."""
    zone = zone_of(as_text(config.time_zone(call.scope)) or "UTC")
    return call.asked(_NAMES[local(_ms(config.time, call), zone).weekday()] in config.days)


def _ms(template: Template | None, call: Call) -> int:
    return call.now_ms if template is None else moment_ms(template(call.scope), str(template))


def _spans(by: list[str] | str) -> list[str]:
    return [by] if isinstance(by, str) else by


def _months(begin_ms: int, end_ms: int) -> int:
    """Whole months by the calendar in UTC."""
    if end_ms < begin_ms:
        return -_months(end_ms, begin_ms)
    utc = zone_of("UTC")
    begin, end = local(begin_ms, utc), local(end_ms, utc)
    months = (end.year - begin.year) * 12 + end.month - begin.month
    is_whole = (end.day, end.time()) >= (begin.day, begin.time()) or (_is_last(end.date()) and end.day < begin.day)
    return months if is_whole else months - 1


def _is_last(day: date) -> bool:
    return date.fromordinal(day.toordinal() + 1).day == 1
