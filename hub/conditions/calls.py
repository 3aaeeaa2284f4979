"""The functions of the language: times, and texts without regard to case."""

from __future__ import annotations

from typing import Final, TypeAlias

from lark import Token

from hub.conditions.ast import Constant, Dated, Field, Folded, Moment, Now, Operand, Shift, Start
from hub.conditions.errors import QueryError
from hub.conditions.literals import column_of, line_of
from hub.conditions.times import bounded, read_time, shift_of, shifted, unit_of, zone_of

Argument: TypeAlias = Operand

_CALENDAR: Final = frozenset({"day", "week", "month", "year"})
_FOLDS: Final = {"lower": False, "lowercase": False, "upper": True, "uppercase": True}
_MOST: Final = {
    "now": 1,
    "utcnow": 0,
    "now.offset": 1,
    "now.timezone": 1,
    "now.timezone.offset": 2,
    "now.start": 2,
    "datetime": 2,
    "date": 2,
    "datetime.offset": 2,
    "datetime.timezone": 2,
    "datetime.from_timestamp": 1,
    **dict.fromkeys(_FOLDS, 1),
}
"""Every function and how many arguments it takes at most."""


def call(name: Token, arguments: list[Argument]) -> Operand:
    """What a call stands for. Raises QueryError."""
    function = name.lower()
    line, column = line_of(name), column_of(name)
    if function not in _MOST:
        raise QueryError(f"there is no function {name}()", line, column, tuple(f"{known}()" for known in _MOST))
    least = 0 if function in {"now", "utcnow"} else 2 if function.endswith(".offset") and _MOST[function] == 2 else 1
    if not least <= len(arguments) <= _MOST[function]:
        most = _MOST[function]
        wanted = f"{least} to {most} arguments" if least < most else f"{most} argument{'s' * (most != 1)}"
        raise QueryError(f"{function}() takes {wanted}, not {len(arguments)}", line, column)
    try:
        if function in _FOLDS:
            return _folded(arguments[0], upper=_FOLDS[function])
        if function == "now.start":
            return _start(arguments)
        if function in {"now", "utcnow", "now.offset", "now.timezone", "now.timezone.offset"}:
            return _now(function, arguments)
        return _datetime(function, arguments)
    except ValueError as exc:
        raise QueryError(f"{function}(): {exc}", line, column) from exc


def later(operand: Operand, shifts: tuple[Shift, ...], token: Token) -> Operand:
    """The same time, so much later. Raises QueryError: it is none, or leaves the calendar."""
    if not shifts:
        return operand
    try:
        return _later(operand, shifts)
    except ValueError as exc:
        raise QueryError(str(exc), line_of(token), column_of(token)) from exc


def _later(operand: Operand, shifts: tuple[Shift, ...]) -> Operand:
    if isinstance(operand, Now):
        return Now(bounded((*operand.shifts, *shifts)), operand.start)
    if isinstance(operand, Field):
        return Dated(operand, bounded(shifts))
    if isinstance(operand, Dated):
        return Dated(operand.field, bounded((*operand.shifts, *shifts)))
    if isinstance(operand, Constant) and operand.time_us is not None:
        return Moment(shifted(operand.time_us, shifts))
    if isinstance(operand, Moment):
        return Moment(shifted(operand.us, shifts))
    raise ValueError("only a time and a field that holds one can be moved")


def _folded(argument: Argument, *, upper: bool) -> Operand:
    if isinstance(argument, Field):
        return Folded(argument, upper)
    text = _text(argument)
    text = text.upper() if upper else text.lower()
    return Constant(text, text)


def _now(function: str, arguments: list[Argument]) -> Now:
    texts = [_text(argument) for argument in arguments]
    shifts = (shift_of(texts.pop()),) if function.endswith("offset") else ()
    for zone in texts:  # a point in time is the same in every zone
        zone_of(zone)
    return Now(bounded(shifts))


def _start(arguments: list[Argument]) -> Now:
    unit, zone = unit_of(_text(arguments[0])), _text(arguments[1]) if len(arguments) > 1 else "UTC"
    if unit not in _CALENDAR:
        raise ValueError(f"{unit} is none of day, week, month, year")
    zone_of(zone)
    return Now((), Start(unit, zone))


def _datetime(function: str, arguments: list[Argument]) -> Operand:
    first = arguments[0]
    if function == "datetime.from_timestamp":
        return Moment(_microseconds(_text(first)))
    if function == "datetime.offset":
        base = first if isinstance(first, Now | Moment | Field) else Moment(_moment(_text(first)))
        return _later(base, (shift_of(_text(arguments[1])),))
    if isinstance(first, Field):
        if len(arguments) > 1:
            raise ValueError("the text of a field is read in UTC, unless it has an offset of its own")
        return Dated(first)
    if isinstance(first, Now | Moment):
        return first
    zone = _text(arguments[1]) if len(arguments) > 1 else "UTC"
    zone_of(zone)
    return Moment(_moment(_text(first), zone))


def _moment(text: str, zone: str = "UTC") -> int:
    us = read_time(text.strip(), zone)
    if us is None:
        raise ValueError(f"{text!r} is no time; such as 2026-11-24, 2026-11-24T15:21:00Z, 2026-11-24 15:21:00+01:00")
    return us


def _microseconds(text: str) -> int:
    try:
        us = int(float(text) * 1_000_000)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{text!r} is no number of seconds since 1970") from exc
    return shifted(us, ())


def _text(argument: Argument) -> str:
    if isinstance(argument, Constant):
        return argument.written
    if isinstance(argument, Field) and not argument.prefix and len(argument.path) == 1:
        return argument.path[0]  # a number, a zone's name
    raise ValueError("a text in quotes is expected")
