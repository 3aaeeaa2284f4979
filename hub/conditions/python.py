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
    History,
    Holds,
    IsEmpty,
    IsNull,
    Items,
    Moment,
    Not,
    Now,
    OneOf,
    Operand,
    Or,
    Order,
    Pattern,
    Place,
    Shift,
    Value,
)
from hub.conditions.documents import of_item
from hub.conditions.history import begin_us, value_of
from hub.conditions.patterns import regular, wildcard
from hub.conditions.times import moment_of, read_time, shifted
from hub.conditions.truth import (
    MISSING,
    UNKNOWN,
    At,
    Test,
    Verdict,
    against,
    against_time,
    all_of,
    any_of,
    at,
    is_empty,
    is_null,
    is_unknown,
    items,
    negated,
    one_of_them,
    stands,
    unsaid,
)
from hub.conditions.walk import field_of

Document: TypeAlias = Mapping[str, Any]
Matcher: TypeAlias = Callable[[Document], bool]
Judge: TypeAlias = Callable[[Document], Verdict]
Clock: TypeAlias = Callable[[], int]
Getter: TypeAlias = Callable[[Document], object]


def compile_python(condition: Condition, clock: Clock | None = None) -> Matcher:
    """
    A function that tells whether a document (decoded JSON) matches: whether the condition is true of it.

    Args:
        condition: On one document: its fields have no prefix; see `hub.conditions.documents` for several.
        clock: Microseconds since 1970, asked each time that a document is; None: for conditions without `now`.
    """
    if isinstance(condition, And | Or):
        parts = tuple(compile_python(part, clock) for part in condition.parts)
        if len(parts) == 1:
            return parts[0]
        return _all_met(parts) if isinstance(condition, And) else _any_met(parts)
    if isinstance(condition, Not) and condition.or_unknown:
        met = compile_python(condition.part, clock)
        return lambda document: not met(document)
    if isinstance(condition, Not):
        inner = judge(condition.part, clock)
        return lambda document: inner(document) is False
    verdict = _atom(condition, clock)
    return lambda document: verdict(document) is True


def judge(condition: Condition, clock: Clock | None = None) -> Judge:
    """The same, telling false (False) from unknown (None)."""
    if isinstance(condition, And | Or):
        parts = tuple(judge(part, clock) for part in condition.parts)
        if len(parts) == 1:
            return parts[0]
        how = all_of if isinstance(condition, And) else any_of
        return lambda document: how(part(document) for part in parts)
    if isinstance(condition, Not):
        inner = judge(condition.part, clock)
        if condition.or_unknown:
            return lambda document: inner(document) is not True
        return lambda document: negated(inner(document))
    return _atom(condition, clock)


def _all_met(parts: tuple[Matcher, ...]) -> Matcher:
    def met(document: Document) -> bool:
        for part in parts:  # noqa: SIM110 - a generator costs more than the parts do
            if not part(document):
                return False
        return True

    return met


def _any_met(parts: tuple[Matcher, ...]) -> Matcher:
    def met(document: Document) -> bool:
        for part in parts:  # noqa: SIM110
            if part(document):
                return True
        return False

    return met


def value_at(place: Place, clock: Clock | None = None) -> Getter:
    """What a document has in a place: a value of JSON, an `At`, MISSING or UNKNOWN."""
    return _getter(place, clock)


def _atom(atom: Atom, clock: Clock | None) -> Judge:
    if isinstance(atom, Items):
        return _items(atom, clock)
    get = _getter(atom.field, clock)
    if isinstance(atom, IsNull):
        return _unless_unknown(get, is_null)
    if isinstance(atom, IsEmpty):
        return _unless_unknown(get, is_empty)
    if isinstance(atom, Holds):
        return _holds(atom, get)
    if isinstance(atom, Compare) and isinstance(atom.right, Field | Folded | Dated | History):
        order, other = atom.order, _getter(atom.right, clock)
        return lambda document: _pairs(get(document), order, other(document))
    if isinstance(atom, Compare):
        test = _test(atom.order, atom.right, clock)
    elif isinstance(atom, Between):
        low, high = _test(">=", atom.low, clock), _test("<=", atom.high, clock)
        test = _both(low, high)
    elif isinstance(atom, OneOf):
        test = _any(tuple(_test("=", value, clock) for value in atom.values))
    else:
        test = _text_test(regular(atom.pattern))
    return lambda document: one_of_them(get(document), test)


def _unless_unknown(get: Getter, test: Callable[[object], bool]) -> Judge:
    def verdict(document: Document) -> Verdict:
        found = get(document)
        return None if found is UNKNOWN else test(found)

    return verdict


def _items(atom: Items, clock: Clock | None) -> Judge:
    get = _getter(atom.field, clock)
    inner = judge(of_item(atom.where), clock)
    how = all_of if atom.how == "all" else any_of

    def verdict(document: Document) -> Verdict:
        found = get(document)
        if is_unknown(found):
            return None
        answer = how(inner({"": item}) for item in items(found))
        return negated(answer) if atom.how == "none" else answer

    return verdict


def _getter(place: Place, clock: Clock | None) -> Getter:
    if isinstance(place, History):
        return _history(place, clock)
    if isinstance(place, Folded):
        return _mapped(_getter(place.field, clock), str.upper if place.upper else str.lower)
    if isinstance(place, Dated):
        shifts = place.shifts
        return _mapped(_getter(place.field, clock), lambda text: _moment(text, shifts))
    path = place.path
    if place.is_text:
        return lambda document: _text(at(document, path))
    if len(path) == 1:
        (key,) = path
        return lambda document: document.get(key, MISSING)
    return lambda document: at(document, path)


def _history(history: History, clock: Clock | None) -> Getter:
    path, function, window, settled_us = field_of(history).path, history.function, history.window, history.since_us
    if window is None or settled_us is not None or clock is None:
        is_windowed = window is not None
        if is_windowed and settled_us is None:
            raise ValueError("a condition on a span of time needs a clock")
        return lambda document: value_of(at(document, path), function, settled_us, is_windowed=is_windowed)
    return lambda document: value_of(at(document, path), function, begin_us(window, clock()), is_windowed=True)


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


def _moment(text: str, shifts: tuple[Shift, ...]) -> object:
    us = read_time(text)
    if us is None:
        return MISSING
    try:
        return At(shifted(us, shifts) if shifts else us)
    except ValueError:  # moved out of the calendar
        return MISSING


def _test(order: Order, right: Operand, clock: Clock | None) -> Test:
    if isinstance(right, Now):
        return _moving(order, right, clock)
    if isinstance(right, Pattern):
        matches = wildcard(right.parts)
        return lambda found: None if is_unknown(found) else isinstance(found, str) and matches(found)
    us = _time(right)
    if isinstance(right, Constant):
        return _against_constant(order, right.value, us)
    if us is None:
        raise TypeError(f"{right} is no value")
    return against_time(order, us)


def _against_constant(order: Order, value: Value, us: int | None) -> Test:
    if value is None:
        return unsaid
    if us is None:
        return against(order, value)
    as_time = against_time(order, us)
    return _any((against(order, value), as_time)) if order == "=" else as_time


def _time(right: Operand) -> int | None:
    if isinstance(right, Moment):
        return right.us
    return right.time_us if isinstance(right, Constant) else None


def _moving(order: Order, now: Now, clock: Clock | None) -> Test:
    if clock is None:
        raise ValueError("a condition with `now` needs a clock")

    def test(found: object) -> Verdict:
        return against_time(order, moment_of(now, clock()))(found)

    return test


def _text_test(test: Callable[[str], bool]) -> Test:
    return lambda found: test(found) if isinstance(found, str) else None


def _both(one: Test, other: Test) -> Test:
    return lambda found: all_of((one(found), other(found)))


def _any(tests: tuple[Test, ...]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda found: None if is_unknown(found) else any_of(test(found) for test in tests)


def _pairs(left: object, order: Order, right: object) -> Verdict:
    return any_of(stands(one, order, other) for one in items(left) for other in items(right))


def _holds(atom: Holds, get: Getter) -> Judge:
    value = atom.value.written if isinstance(atom.value.value, str) else atom.value.value
    if atom.how == "contains":
        item = unsaid if value is None else against("=", value)
        part = value if isinstance(value, str) else None

        def contains(document: Document) -> Verdict:
            found = get(document)
            if isinstance(found, str):
                return None if part is None else part in found
            return any_of(map(item, found)) if isinstance(found, list) else None

        return contains
    text = atom.value.written
    test = _text_test(lambda found: found.startswith(text) if atom.how == "starts" else found.endswith(text))
    return lambda document: one_of_them(get(document), test)
