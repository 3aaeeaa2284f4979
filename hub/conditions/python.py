"""A condition as a Python function of a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from hub.conditions.ast import (
    And,
    Atom,
    Between,
    Compare,
    Condition,
    Constant,
    Dated,
    Field,
    Folded,
    Holds,
    IsEmpty,
    IsNull,
    Moment,
    Not,
    Now,
    OneOf,
    Operand,
    Or,
    Order,
    Pattern,
    Place,
    Value,
)
from hub.conditions.patterns import regular, wildcard
from hub.conditions.times import read_time, shifted
from hub.conditions.truth import (
    MISSING,
    ORDERS,
    Test,
    against,
    against_time,
    at,
    is_empty,
    is_null,
    items,
    one_of_them,
    stands,
)

Document: TypeAlias = Mapping[str, Any]
Matcher: TypeAlias = Callable[[Document], bool]
Clock: TypeAlias = Callable[[], int]
Getter: TypeAlias = Callable[[Document], object]


def compile_python(condition: Condition, clock: Clock | None = None) -> Matcher:
    """
    A function that tells whether a document (decoded JSON) matches.

    Args:
        condition: On one document: its fields have no prefix; see `hub.conditions.documents` for several.
        clock: Microseconds since 1970, asked each time that a document is; None: for conditions without `now`.
    """
    if isinstance(condition, And | Or):
        parts = tuple(compile_python(part, clock) for part in condition.parts)
        if len(parts) == 1:
            return parts[0]
        if isinstance(condition, And):
            return lambda document: all(part(document) for part in parts)
        return lambda document: any(part(document) for part in parts)
    if isinstance(condition, Not):
        inner = compile_python(condition.part, clock)
        return lambda document: not inner(document)
    return _atom(condition, clock)


def _atom(atom: Atom, clock: Clock | None) -> Matcher:
    get = _getter(atom.field)
    if isinstance(atom, IsNull):
        return lambda document: is_null(get(document))
    if isinstance(atom, IsEmpty):
        return lambda document: is_empty(get(document))
    if isinstance(atom, Holds):
        return _holds(atom, get)
    if isinstance(atom, Compare) and isinstance(atom.right, Field | Folded | Dated):
        order, other = atom.order, _getter(atom.right)
        return lambda document: _pairs(get(document), order, other(document))
    if isinstance(atom, Compare):
        test = _test(atom.field, atom.order, atom.right, clock)
    elif isinstance(atom, Between):
        test = _both(_test(atom.field, ">=", atom.low, clock), _test(atom.field, "<=", atom.high, clock))
    elif isinstance(atom, OneOf):
        test = _any(tuple(_test(atom.field, "=", value, clock) for value in atom.values))
    else:
        test = _text_test(regular(atom.pattern))
    return lambda document: one_of_them(get(document), test)


def _getter(place: Place) -> Getter:
    if isinstance(place, Folded):
        return _mapped(_getter(place.field), str.upper if place.upper else str.lower)
    if isinstance(place, Dated):
        return _mapped(_getter(place.field), _moment)
    path = place.path
    if place.is_text:
        return lambda document: _text(at(document, path))
    if len(path) == 1:
        (key,) = path
        return lambda document: document.get(key, MISSING)
    return lambda document: at(document, path)


def _text(found: object) -> object:
    return found if isinstance(found, str) and found else MISSING


def _mapped(get: Getter, change: Callable[[str], object]) -> Getter:
    """Texts changed; what is no text is not there."""

    def got(document: Document) -> object:
        found = get(document)
        if isinstance(found, list):
            return [change(item) if isinstance(item, str) else MISSING for item in found]
        return change(found) if isinstance(found, str) else MISSING

    return got


class _At(int):
    """A time of a document, microseconds since 1970: no number to anything but another time."""


def _moment(text: str) -> object:
    us = read_time(text)
    return MISSING if us is None else _At(us)


def _test(place: Place, order: Order, right: Operand, clock: Clock | None) -> Test:
    if isinstance(right, Now):
        return _moving(isinstance(place, Dated), order, right, clock)
    if isinstance(right, Pattern):
        return _text_test(wildcard(right.parts))
    us = _time(right)
    if isinstance(place, Dated):
        return _never if us is None else _dated(order, us)
    if isinstance(right, Constant):
        return _against_constant(order, right.value, us)
    return _never if us is None else against_time(order, us)


def _against_constant(order: Order, value: Value, us: int | None) -> Test:
    if value is None:
        return _never
    if us is None:
        return against(order, value)
    as_time = against_time(order, us)
    return _any((against(order, value), as_time)) if order == "=" else as_time


def _never(_: object) -> bool:
    return False


def _time(right: Operand) -> int | None:
    if isinstance(right, Moment):
        return right.us
    return right.time_us if isinstance(right, Constant) else None


def _dated(order: Order, us: int) -> Test:
    holds = ORDERS[order]
    return lambda found: isinstance(found, _At) and holds(found, us)


def _moving(is_dated: bool, order: Order, now: Now, clock: Clock | None) -> Test:
    if clock is None:
        raise ValueError("a condition with `now` needs a clock")

    def test(found: object) -> bool:
        us = shifted(clock(), now.shifts)
        return (_dated if is_dated else against_time)(order, us)(found)

    return test


def _text_test(test: Callable[[str], bool]) -> Test:
    return lambda found: isinstance(found, str) and test(found)


def _both(one: Test, other: Test) -> Test:
    return lambda found: one(found) and other(found)


def _any(tests: tuple[Test, ...]) -> Test:
    return tests[0] if len(tests) == 1 else lambda found: any(test(found) for test in tests)


def _pairs(left: object, order: Order, right: object) -> bool:
    return any(_stands(one, order, other) for one in items(left) for other in items(right))


def _stands(left: object, order: Order, right: object) -> bool:
    if isinstance(left, _At) or isinstance(right, _At):
        first, second = (
            found if isinstance(found, _At) else _moment(found) if isinstance(found, str) else MISSING
            for found in (left, right)
        )
        return isinstance(first, _At) and isinstance(second, _At) and ORDERS[order](first, second)
    return stands(left, order, right)


def _holds(atom: Holds, get: Getter) -> Matcher:
    value = atom.value.written if isinstance(atom.value.value, str) else atom.value.value
    if atom.how == "contains":
        item = _never if value is None else against("=", value)
        part = value if isinstance(value, str) else None

        def contains(document: Document) -> bool:
            found = get(document)
            if isinstance(found, str):
                return part is not None and part in found
            return isinstance(found, list) and any(item(one) for one in found)

        return contains
    text = atom.value.written
    test = _text_test(lambda found: found.startswith(text) if atom.how == "starts" else found.endswith(text))
    return lambda document: one_of_them(get(document), test)
