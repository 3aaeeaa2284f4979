"""Operations on a field of a profile: set, add, append, remove and their like."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from hub.definitions.fields import Operation

MISSING: Final = object()
_INT64: Final = 1 << 63
_FEW_CENTS: Final = 10.0**12
"""Below it a number of cents is exact, and is written in 15 digits at most: there is one number that is written so."""


class OperationError(ValueError):
    """The operation cannot work with these values; the message says why."""


def apply(op: Operation, current: Any, value: Any) -> Any:
    """
    The field's new value, MISSING when it is to go.

    Args: current: MISSING when the field is not there. value: never None, but for delete.

    Raises: OperationError; then the field stays as it is.
    """
    return _OPERATIONS[op](current, value)


def _set(_current: Any, value: Any) -> Any:
    return value


def _set_if_empty(current: Any, value: Any) -> Any:
    return value if current is MISSING or current is None or current in ("", [], {}) else current


def _add(current: Any, value: Any) -> Any:
    if current is MISSING or current is None:
        current = 0
    if not (_is_number(current) and _is_number(value)):
        raise OperationError(f"add works on numbers, not on {kind_of(current)} and {kind_of(value)}")
    if isinstance(current, int) and isinstance(value, int):
        total: int | float = current + value
        if not -_INT64 <= total < _INT64:
            raise OperationError("the sum does not fit into 64 bits")
        return total
    # money adds up to the cent: 0.1 + 0.2 is 0.3 here
    if -_FEW_CENTS < current < _FEW_CENTS and -_FEW_CENTS < value < _FEW_CENTS:
        left, right = round(current * 100), round(value * 100)
        if left / 100 == current and right / 100 == value:
            return (left + right) / 100
    # the same by way of decimals, for whatever is no number of cents
    total = float(Decimal(repr(current)) + Decimal(repr(value)))
    if not isfinite(total):
        raise OperationError("the sum is too large for a number")
    return total


def _least(current: Any, value: Any) -> Any:
    return value if current is MISSING or current is None or _ordered(value, current) else current


def _greatest(current: Any, value: Any) -> Any:
    return value if current is MISSING or current is None or _ordered(current, value) else current


def _subtract(current: Any, value: Any) -> Any:
    return _add(current, -value if _is_number(value) else value)


def _append(current: Any, value: Any) -> Any:
    return [*_items(current), *(value if isinstance(value, list) else [value])]


def _append_unique(current: Any, value: Any) -> Any:
    new = _items(current)
    for item in value if isinstance(value, list) else [value]:
        if not holds(new, item):
            new.append(item)
    return new


def _remove(current: Any, value: Any) -> Any:
    gone = value if isinstance(value, list) else [value]
    if isinstance(current, list):
        return [item for item in current if not holds(gone, item)]
    return MISSING if holds(gone, current) else current


def _delete(_current: Any, _value: Any) -> Any:
    return MISSING


def _items(current: Any) -> list[Any]:
    if current is MISSING or current is None:
        return []
    return [*current] if isinstance(current, list) else [current]


def holds(items: list[Any], item: Any) -> bool:
    """Whether the item is one of them."""
    # True == 1 in Python but not in JSON
    return any(type(item) is type(other) and item == other for other in items)


def _ordered(left: Any, right: Any) -> bool:
    """Whether left < right. Numbers go with numbers, texts (ISO times, say) with texts."""
    comparable = (_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str))
    if not comparable:
        raise OperationError(f"min and max compare numbers or texts, not {kind_of(left)} with {kind_of(right)}")
    return bool(left < right)


def _is_number(value: Any) -> bool:
    kind = type(value)  # of JSON: a truth value is no number
    return kind is int or kind is float


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {bool: "true/false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


_OPERATIONS: Final[dict[Operation, Callable[[Any, Any], Any]]] = {
    "set": _set,
    "set-if-empty": _set_if_empty,
    "set-if-newer": _set,
    "add": _add,
    "increment": _add,
    "decrement": _subtract,
    "min": _least,
    "max": _greatest,
    "append": _append,
    "append-unique": _append_unique,
    "remove": _remove,
    "delete": _delete,
}
