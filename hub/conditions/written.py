"""A condition as text again: one way to write each, with brackets only where they are needed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from hub.conditions.ast import (
    And,
    Between,
    Compare,
    Condition,
    Constant,
    Dated,
    Field,
    Folded,
    History,
    Holds,
    IsEmpty,
    IsNull,
    Items,
    Matches,
    Moment,
    Not,
    Now,
    OneOf,
    Operand,
    Or,
    Pattern,
    Place,
    Shift,
    Start,
    Window,
)
from hub.conditions.walk import fields

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*|\d+", re.ASCII)
_WORDS: Final = frozenset({"not", "and", "or", "now"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOW: Final = {"contains": "CONTAINS", "starts": "STARTS WITH", "ends": "ENDS WITH"}


def written(condition: Condition) -> str:
    """Parsed again, it is the same condition; one that matches everything is empty."""
    return _condition(condition, "")


def written_place(place: Place) -> str:
    """A field, a history, as it stands on the left side."""
    return _place(place, "")


def written_operand(operand: Operand) -> str:
    """What a field is compared with."""
    return _operand(operand)


def written_item(condition: Condition) -> str:
    """The condition of `Items`; the item itself is called so."""
    return _condition(condition, "item")


def written_series(history: History) -> str:
    """The events that it is about, and their field: what stands between its brackets."""
    series = ".".join(map(_key, (history.event_type, *(() if history.field is None else history.field.path))))
    return series if history.where is None else f"{series} WHERE {written(history.where)}"


def alone(condition: Condition) -> Condition:
    """The condition itself, where it is AND or OR of one."""
    while isinstance(condition, And | Or) and len(condition.parts) == 1:
        (condition,) = condition.parts
    return condition


def _condition(condition: Condition, item: str) -> str:
    """Args: item: how the item of a list is written where it has no field of its own."""
    condition = alone(condition)
    if isinstance(condition, And | Or) and (listed := _with_null(condition)) is not None:
        return f"{_place(listed.field, item)} IN {_list(listed, with_null=True)}"
    if isinstance(condition, And | Or):
        return f" {type(condition).__name__.upper()} ".join(_inside(part, item) for part in condition.parts)
    if isinstance(condition, Not):
        return _negated(condition, item)
    return _items(condition, item) if isinstance(condition, Items) else _atom(condition, item)


def _atom(atom: Compare | Between | OneOf | Holds | Matches | IsNull | IsEmpty, item: str) -> str:
    if isinstance(atom, Compare):
        right = f"{atom.order} {_operand(atom.right)}"
    elif isinstance(atom, Between):
        right = f"BETWEEN {_operand(atom.low)} AND {_operand(atom.high)}"
    elif isinstance(atom, OneOf):
        right = f"IN {_list(atom)}"
    elif isinstance(atom, Holds):
        right = f"{_HOW[atom.how]} {_operand(atom.value)}"
    elif isinstance(atom, Matches):
        right = f"MATCHES {_expression(atom.pattern)}"
    else:
        right = "IS NULL" if isinstance(atom, IsNull) else "EMPTY"
    return f"{_place(atom.field, item)} {right}"


def _inside(condition: Condition, item: str) -> str:
    condition = alone(condition)
    text = _condition(condition, item)
    is_joined = isinstance(condition, And | Or) and _with_null(condition) is None
    return f"({text})" if is_joined else text


def _negated(condition: Not, item: str) -> str:
    part = condition.part
    if condition.or_unknown and isinstance(part, Compare):
        return f"{_place(part.field, item)} != {_operand(part.right)}"
    listed = part if isinstance(part, OneOf) else _with_null(part)
    if condition.or_unknown and listed is not None:
        return f"{_place(listed.field, item)} != {_list(listed, with_null=isinstance(part, Or))}"
    if isinstance(part, IsNull):
        return f"{_place(part.field, item)} IS NOT NULL"
    return f"NOT {_inside(part, item)}"


def _items(atom: Items, item: str) -> str:
    field, how = _place(atom.field, item), atom.how.upper()
    itself = f"{how}({field})"
    text = _condition(atom.where, itself)
    is_itself = any(not one.path for one in fields(atom.where))
    return text if is_itself else f"{how}({field} WHERE {text})"


def _with_null(condition: Condition) -> OneOf | None:
    """Of `a IN [null, …]`."""
    if not isinstance(condition, Or) or len(condition.parts) != 2:
        return None
    null, listed = condition.parts
    is_one = isinstance(null, IsNull) and isinstance(listed, OneOf) and null.field == listed.field
    return listed if is_one and isinstance(listed, OneOf) else None


def _list(listed: OneOf, *, with_null: bool = False) -> str:
    return f"[{', '.join((*('null',) * with_null, *map(_operand, listed.values)))}]"


def _place(place: Place, item: str) -> str:
    if isinstance(place, Field):
        return _path(place) if place.path else item
    if isinstance(place, Folded):
        return f"{'upper' if place.upper else 'lower'}({_path(place.field, ticked=False)})"
    if isinstance(place, Dated):
        return f"{_path(place.field)}{_shifts(place.shifts)}" if place.shifts else f"datetime({_path(place.field)})"
    return f"{place.function}({written_series(place)}){'' if place.window is None else _window(place.window)}"


def _operand(operand: Operand) -> str:
    if isinstance(operand, Constant):
        text = _constant(operand)
    elif isinstance(operand, Pattern):
        text = f'"{"*".join(map(_escaped, operand.parts))}"'
    elif isinstance(operand, Moment):
        text = f'datetime("{time_text(operand.us)}")'
    elif isinstance(operand, Now):
        text = f"now{_start(operand.start)}{_shifts(operand.shifts)}"
    elif isinstance(operand, Field):
        text = _path(operand, ticked=True)
    elif isinstance(operand, Dated) and operand.shifts:
        text = f"{_path(operand.field, ticked=True)}{_shifts(operand.shifts)}"
    else:
        text = _place(operand, "")
    return text


def time_text(us: int) -> str:
    """RFC 3339 in UTC. Args: us: microseconds since 1970."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def _constant(constant: Constant) -> str:
    value = constant.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return constant.written if constant.is_bare else f'"{_escaped(value)}"'
    return constant.written if constant.is_bare else repr(value)


def _escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in '"\\*' else character for character in text)


def _expression(pattern: str) -> str:
    return '"' + pattern.replace('"', '\\"') + '"'


def _path(field: Field, *, ticked: bool = False) -> str:
    """Args: ticked: it begins with a backtick, so that it is a field also where a value stands."""
    first, *rest = field.path
    begin = f"{field.prefix}@{_key(first)}" if field.prefix else f"`{first}`" if ticked else _key(first)
    return ".".join((begin, *map(_key, rest)))


def _key(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS:
        return key
    return f"`{key}`" if key and "`" not in key else f'"{_escaped(key)}"'


def _shifts(shifts: Iterable[Shift]) -> str:
    return "".join(f" {'-' if shift.amount < 0 else '+'} {_span(abs(shift.amount), shift.unit)}" for shift in shifts)


def _start(start: Start | None) -> str:
    return "" if start is None else f'.start("{start.unit}", "{start.zone}")'


def _window(window: Window) -> str:
    return f" IN LAST {_span(window.amount, window.unit)}"


def _span(amount: int, unit: str) -> str:
    return f"{amount} {unit}{'s' * (amount != 1)}"
