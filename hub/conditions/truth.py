"""
When a condition holds: for every kind of value that a document may have there. No other module decides that.

A condition is true or false, never unknown: `NOT` turns it round, whatever is in the document.

| a field that is            | = < > BETWEEN IN … | != NOT … | IS NULL, NOT EXISTS | EMPTY |
|----------------------------|--------------------|----------|---------------------|-------|
| not there, or null         | false              | true     | true                | true  |
| of another type            | false              | true     | false               | false |
| a list                     | of one of its items| of none  | false               | if [] |
| an object                  | false              | true     | false               | if {} |

Types are those of JSON: text, number, truth value. A text that is compared with a time is one, if it can be read so.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from hub.conditions.ast import Order
from hub.conditions.times import has_clock, read_time

Test: TypeAlias = Callable[[object], bool]
"""Of what a document has in one place: a scalar, or MISSING."""

MISSING: Final = object()
"""What is not in the document."""

ORDERS: Final[dict[Order, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def is_null(found: object) -> bool:
    """Null or not there."""
    return found is None or found is MISSING


def is_empty(found: object) -> bool:
    """Null, not there, or with nothing in it; numbers and truth values never are."""
    return is_null(found) or (isinstance(found, str | list | Mapping) and not found)


def one_of_them(found: object, test: Test) -> bool:
    """Whether the value passes, or one of its items if it is a list."""
    return any(test(item) for item in found) if isinstance(found, list) else test(found)


def items(found: object) -> Iterator[object]:
    """The value itself, or the items of a list."""
    if isinstance(found, list):
        yield from found
    else:
        yield found


def is_number(found: object) -> bool:
    """A truth value is none, though Python counts it as one."""
    return isinstance(found, int | float) and not isinstance(found, bool)


def against(order: Order, value: str | int | float | bool) -> Test:
    """The test of a value that stands so to this one; truth values have no order."""
    holds = ORDERS[order]
    if isinstance(value, bool):
        return lambda found: order == "=" and found is value
    if isinstance(value, str):
        return lambda found: isinstance(found, str) and holds(found, value)
    return lambda found: is_number(found) and holds(found, value)


def against_time(order: Order, us: int) -> Test:
    """The test of a text that is a time and stands so to this one. Args: us: microseconds since 1970."""
    holds = ORDERS[order]

    def test(found: object) -> bool:
        moment = read_time(found) if isinstance(found, str) else None
        return moment is not None and holds(moment, us)

    return test


def stands(left: object, order: Order, right: object) -> bool:
    """Whether two values of documents, no lists, stand so to each other; texts that are both times do so as times."""
    if isinstance(left, bool) or isinstance(right, bool):
        return order == "=" and left is right
    if isinstance(left, str) and isinstance(right, str):
        first, second = (read_time(text) if order != "=" or has_clock(text) else None for text in (left, right))
        if first is not None and second is not None:
            return ORDERS[order](first, second)
        return ORDERS[order](left, right)
    return is_number(left) and is_number(right) and ORDERS[order](left, right)


def at(document: object, path: tuple[str, ...]) -> object:
    """What a document, decoded JSON, has there; else MISSING. A key of digits is a position where there is a list."""
    for key in path:
        if isinstance(document, Mapping):
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
