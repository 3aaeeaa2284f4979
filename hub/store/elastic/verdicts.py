"""What a comparison says of each kind of value: for which it is true, and for which it is not false."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Final, NamedTuple

from hub.conditions.ast import (
    Atom,
    Between,
    Compare,
    Constant,
    Holds,
    Matches,
    Moment,
    OneOf,
    Operand,
    Order,
    Pattern,
    Value,
)
from hub.conditions.times import read_time
from hub.store.elastic import ranges, tokens
from hub.store.elastic.ranges import ALL, NONE, VAGUE, Values


class Says(NamedTuple):
    """Of values of one kind: `holds` is a part of `may`; of what is in neither, the comparison is false."""

    holds: Values = NONE
    may: Values = NONE


FALSE: Final = Says()
UNKNOWN: Final = Says(NONE, ALL)


class Verdicts(NamedTuple):
    """
    By kind of value. `at`: a time that was worked out, of a history or of a field that was moved. `other`: an object,
    or a list in a list.
    """

    text: Says = UNKNOWN
    time: Says = UNKNOWN
    number: Says = UNKNOWN
    flag: Says = UNKNOWN
    at: Says = UNKNOWN
    other: Says = UNKNOWN


UNSAID: Final = Verdicts()
NEVER: Final = Verdicts(*(FALSE for _ in Verdicts._fields))
_OF_TIMES: Final = frozenset("0123456789-:.,+TtZz \t\n\r\f\v")
_DIGITS: Final = Values((("0", ":"),), form=tokens.AS_WRITTEN)
_LONGEST_PATTERN: Final = 60
_MOST_PATTERNS: Final = 50


def verdicts(atom: Atom, shift_us: int = 0) -> Verdicts | None:
    """
    What a leaf says of a value that is no list, or of an item of a list; None: that depends on other fields.

    Args: shift_us: So much later is the time of the field that the leaf looks at.
    """
    if isinstance(atom, Compare):
        return _compared(atom.order, atom.right, shift_us)
    if isinstance(atom, Between):
        low, high = _compared(">=", atom.low, shift_us), _compared("<=", atom.high, shift_us)
        return None if low is None or high is None else _each(low, high, ranges.both, ranges.both)
    if isinstance(atom, OneOf):
        return _among(atom, shift_us)
    if isinstance(atom, Matches):
        return Verdicts(text=_alike(VAGUE), time=_alike(VAGUE))
    return _holds(atom) if isinstance(atom, Holds) else None


def of_items(atom: Holds) -> Verdicts:
    """What `contains` says of an item of a list: that it is this one."""
    value = atom.value
    if isinstance(value.value, str):
        return _equal_text(value.written)
    return _constant("=", value.value)


def _holds(atom: Holds) -> Verdicts:
    value, text = atom.value.value, atom.value.written
    if atom.how == "contains":
        found = _pattern(("", text, "")) if isinstance(value, str) else None
    elif len(text) > tokens.LONGEST:
        found = VAGUE
    else:
        found = ranges.beginning(text) if atom.how == "starts" else _pattern(("", text))
    if found is None:
        return UNSAID
    return Verdicts(text=_alike(found), time=_alike(_as_written(found)))


def _compared(order: Order, right: Operand, shift_us: int) -> Verdicts | None:
    if isinstance(right, Pattern):
        found = _pattern(right.parts)
        return NEVER._replace(text=_alike(found), time=_alike(_as_written(found)))
    if isinstance(right, Moment):
        return _timed(order, right.us, shift_us)
    if not isinstance(right, Constant):
        return None
    if right.time_us is not None:
        return _dated(order, right, right.time_us, shift_us)
    return _constant(order, right.value)


def _constant(order: Order, value: Value) -> Verdicts:
    if isinstance(value, str):
        return _equal_text(value) if order == "=" else _ordered_text(order, value)
    if isinstance(value, bool):
        return NEVER._replace(flag=_alike(ranges.point("1" if value else "0"))) if order == "=" else UNSAID
    if value is None:
        return UNSAID
    found = _alike(ranges.ordered(order, tokens.number(value)))
    return (NEVER if order == "=" else UNSAID)._replace(number=found)


def _ordered_text(order: Order, value: str) -> Verdicts:
    found = VAGUE if len(value) > tokens.LONGEST else ranges.ordered(order, value)
    return UNSAID._replace(text=_alike(found), time=_alike(_as_written(found)))


def _equal_text(value: str) -> Verdicts:
    if read_time(value) is not None:
        return NEVER._replace(time=_alike(ranges.point(value, tokens.AS_WRITTEN)))
    return NEVER._replace(text=_alike(ranges.point(value) if len(value) <= tokens.LONGEST else VAGUE))


def _timed(order: Order, us: int, shift_us: int) -> Verdicts:
    """Of what is compared with a time: texts that are none are of another type."""
    found = _alike(ranges.ordered(order, tokens.instant(us), tokens.AS_TIME))
    moved = _alike(ranges.ordered(order, tokens.instant(us - shift_us), tokens.AS_TIME))
    return (NEVER if order == "=" else UNSAID)._replace(time=found, at=moved)


def _dated(order: Order, right: Constant, us: int, shift_us: int) -> Verdicts:
    """Of a text of the query that is a time: equal is also what is written so."""
    found = _timed(order, us, shift_us)
    if order != "=" or not isinstance(right.value, str) or read_time(right.value) == us:
        return found
    return _each(found, _equal_text(right.value), ranges.either, ranges.either)


def _among(atom: OneOf, shift_us: int) -> Verdicts | None:
    if sum(isinstance(value, Pattern) for value in atom.values) > _MOST_PATTERNS:
        return NEVER._replace(**dict.fromkeys(Verdicts._fields[:5], _alike(VAGUE)))
    made: list[Verdicts] = []
    many: dict[bool, list[str]] = {True: [], False: []}
    for value in atom.values:
        # what there may be a thousand of, at once
        plain = value.value if isinstance(value, Constant) and value.time_us is None else None
        if isinstance(plain, str) and len(plain) <= tokens.LONGEST and read_time(plain) is None:
            many[True].append(plain)
        elif isinstance(plain, int | float) and not isinstance(plain, bool):
            many[False].append(tokens.number(plain))
        elif (found := _compared("=", value, shift_us)) is not None:
            made.append(found)
        else:
            return None
    plain_ones = NEVER._replace(text=_alike(ranges.points(many[True])), number=_alike(ranges.points(many[False])))
    return reduce(lambda one, other: _each(one, other, ranges.either, ranges.either), made, plain_ones)


def _each(
    one: Verdicts,
    other: Verdicts,
    holds: Callable[[Values, Values], Values],
    may: Callable[[Values, Values], Values],
) -> Verdicts:
    pairs = zip(one, other, strict=True)
    return Verdicts(*(Says(holds(first.holds, second.holds), may(first.may, second.may)) for first, second in pairs))


def _alike(values: Values) -> Says:
    return Says(values, values)


def _as_written(values: Values) -> Values:
    """Those of them that may be times."""
    if values.is_all or values.is_vague:
        return values
    patterns = tuple(parts for parts in values.patterns if _OF_TIMES.issuperset("".join(parts)))
    found = ranges.both(values._replace(patterns=(), form=tokens.AS_WRITTEN), _DIGITS)
    return ALL if found == _DIGITS else found._replace(patterns=patterns)


def _pattern(parts: tuple[str, ...]) -> Values:
    """Texts like this. Nobody knows of a pattern that is long: engines refuse it."""
    text = "".join(parts)
    if not text:
        return ALL
    if len(text) > _LONGEST_PATTERN or tokens.MARK in text:
        return VAGUE
    if len(parts) == 2 and not parts[1]:
        return ranges.beginning(text)
    return Values(patterns=(parts,))
