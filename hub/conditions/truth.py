"""
When a condition holds: for every kind of value that a document may have there. No other module decides that.

A condition is true, false or unknown, and met only if it is true.

| a field that is         | `=` IN           | < > BETWEEN CONTAINS MATCHES … | != | IS NULL, NOT EXISTS | EMPTY |
|-------------------------|------------------|--------------------------------|----|---------------------|-------|
| not there, or null      | unknown          | unknown                        | true | true              | true  |
| of another type         | false            | unknown                        | true | false             | false |
| a list                  | of one of its items, as OR                        || of none | false       | if [] |
| an object               | false            | unknown                        | true | false             | if {} |

| a history               | compared         | never()                        | != | IS NULL             |
|-------------------------|------------------|--------------------------------|----|---------------------|
| that is not kept yet    | unknown          | unknown                        | true | unknown           |
| without any event       | as 0; avg, min, max, first, last: unknown | true  | true | count, sum: false; else true |

| A       | B       | A AND B | A OR B  | NOT A   |
|---------|---------|---------|---------|---------|
| true    | unknown | unknown | true    | false   |
| false   | unknown | false   | unknown | true    |
| unknown | unknown | unknown | unknown | unknown |

`!=` is the one negation that is true of what is unknown: `a != 1` is that `a = 1` is not true. ANY is OR over the
items, ALL is AND, NONE is NOT ANY; of no items ANY is false, ALL and NONE are true.

Types are those of JSON: text, number, truth value. Truth values have no order. A text that is compared with a time is
one, if it can be read so; else it is of another type.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from hub.conditions.ast import Order
from hub.conditions.times import has_clock, read_time

Verdict: TypeAlias = bool | None
"""None: unknown."""
Test: TypeAlias = Callable[[object], Verdict]
"""Of what a document has in one place: a scalar, or MISSING."""

MISSING: Final = object()
"""What is not in the document."""
UNKNOWN: Final = object()
"""What the document does not tell: a history that is not kept yet."""

ORDERS: Final[dict[Order, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


NUMBERS: Final = frozenset({int, float})
"""Exactly these: what JSON has. Checked for each value that is compared, so it has to be quick."""


class At(int):
    """A time of a document, microseconds since 1970: no number to anything but another time."""


def negated(verdict: Verdict) -> Verdict:
    """NOT."""
    return None if verdict is None else not verdict


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """AND; of none it is true. What is false ends it: the others are not asked for."""
    answer: Verdict = True
    for verdict in verdicts:
        if verdict is False:
            return False
        if verdict is None:
            answer = None
    return answer


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    """OR; of none it is false. What is true ends it."""
    answer: Verdict = False
    for verdict in verdicts:
        if verdict:
            return True
        if verdict is None:
            answer = None
    return answer


def is_null(found: object) -> bool:
    """Null or not there."""
    return found is None or found is MISSING


def is_unknown(found: object) -> bool:
    """Whether nothing can be said of it: null, not there, not told."""
    return found is None or found is MISSING or found is UNKNOWN


def is_empty(found: object) -> bool:
    """Null, not there, or with nothing in it; numbers and truth values never are."""
    return is_null(found) or (isinstance(found, str | list | Mapping) and not found)


def one_of_them(found: object, test: Test) -> Verdict:
    """Whether the value passes, or one of its items if it is a list."""
    return any_of(map(test, found)) if isinstance(found, list) else test(found)


def items(found: object) -> Iterator[object]:
    """The value itself, or the items of a list."""
    if isinstance(found, list):
        yield from found
    else:
        yield found


def is_number(found: object) -> bool:
    """A truth value is none, though Python counts it as one; nor is a time."""
    return type(found) in NUMBERS


def unsaid(_: object) -> Verdict:
    """The test that says nothing of anything: truth values have no order."""
    return None


def against(order: Order, value: str | int | float | bool) -> Test:
    """The test of a value that stands so to this one."""
    if order == "=":
        return _equal(value)
    holds = ORDERS[order]
    if isinstance(value, bool):
        return unsaid
    if isinstance(value, str):
        return lambda found: holds(found, value) if isinstance(found, str) else None
    return lambda found: holds(found, value) if type(found) in NUMBERS else None


def _equal(value: str | int | float | bool) -> Test:
    if isinstance(value, bool):
        return lambda found: None if is_unknown(found) else found is value
    if isinstance(value, str):
        return lambda found: found == value if isinstance(found, str) else None if is_unknown(found) else False
    return lambda found: found == value if type(found) in NUMBERS else None if is_unknown(found) else False


def against_time(order: Order, us: int) -> Test:
    """The test of a time, or of a text that is one, and stands so to this one. Args: us: microseconds since 1970."""
    holds = ORDERS[order]
    otherwise = False if order == "=" else None

    def test(found: object) -> Verdict:
        if is_unknown(found):
            return None
        moment = found if isinstance(found, At) else read_time(found) if isinstance(found, str) else None
        return otherwise if moment is None else holds(moment, us)

    return test


def stands(left: object, order: Order, right: object) -> Verdict:
    """Whether two values of documents, no lists, stand so to each other; texts that are both times do so as times."""
    if is_unknown(left) or is_unknown(right):
        return None
    otherwise = False if order == "=" else None
    if isinstance(left, At) or isinstance(right, At):
        first, second = (
            found if isinstance(found, At) else read_time(found) if isinstance(found, str) else None
            for found in (left, right)
        )
        return otherwise if first is None or second is None else ORDERS[order](first, second)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right if order == "=" else None
    if isinstance(left, str) and isinstance(right, str):
        first, second = (read_time(text) if order != "=" or has_clock(text) else None for text in (left, right))
        if first is not None and second is not None:
            return ORDERS[order](first, second)
        return ORDERS[order](left, right)
    return ORDERS[order](left, right) if is_number(left) and is_number(right) else otherwise


def at(document: object, path: tuple[str, ...]) -> object:
    """What a document, decoded JSON, has there; else MISSING. A key of digits is a position where there is a list."""
    for key in path:
        # most are a dict; to ask for a Mapping takes ten times as long
        if type(document) is dict or isinstance(document, Mapping):
            document = document.get(key, MISSING)
        elif (
            isinstance(document, list)
            and key.isascii()
            and key.isdecimal()
            and len(key) < 10
            and int(key) < len(document)
        ):
            document = document[int(key)]
        else:
            return MISSING
    return document
