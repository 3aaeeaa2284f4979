"""Conditions on a profile's history as SQL: on the state that its document keeps (`hub.conditions.history`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from hub.conditions.ast import Atom, Between, Compare, Constant, Function, History, Moment, Operand, Order
from hub.conditions.history import value_of
from hub.conditions.truth import UNKNOWN, At
from hub.conditions.walk import field_of
from hub.store.query.paths import Bound, json_path

_decode: Final = msgspec.json.decode


def history_sql(atom: Atom, wanted: bool, bind: Callable[[Bound], str]) -> str:
    """
    The expression that is true where a condition on a history has the wanted verdict, else false; empty where SQLite
    cannot do it.

    Args: atom: settled; its field is a history. bind: gives the parameter that holds a value.
    """
    history = atom.field
    assert isinstance(history, History)
    sides: list[tuple[Order, Operand]]
    if isinstance(atom, Compare):
        sides = [(atom.order, atom.right)]
    elif isinstance(atom, Between):
        sides = [(">=", atom.low), ("<=", atom.high)]
    else:
        return ""
    values = [_value(history, side) for _, side in sides]
    if None in values:
        return ""
    found = _found(history, bind)
    tests = [
        f"{found} {order} {bind(value)}" for (order, _), value in zip(sides, values, strict=True) if value is not None
    ]
    if wanted:
        return " AND ".join(f"coalesce({test}, 0)" for test in tests)
    return " OR ".join(f"coalesce(NOT ({test}), 0)" for test in tests)


def hub_history(state: str | int | None, function: Function, since_us: int | None) -> float | int | None:
    """
    SQL function: what a history comes to; None: it is not known, or there is no such event.

    Args: state: JSON, or the number that it is. since_us: None: all events count.
    """
    if state is None:
        return None
    known = _decode(state) if isinstance(state, str) else state
    found = value_of(known, function, since_us, is_windowed=since_us is not None)
    if found is UNKNOWN or not isinstance(found, int | float):
        return None
    return int(found) if isinstance(found, At) else found


def _found(history: History, bind: Callable[[Bound], str]) -> str:
    path = field_of(history).path
    if history.window is None and history.function in _KEPT:
        found = f"json_extract(doc, {bind(json_path((*path, history.function)))})"
        # where there has been none, the state is 0
        none = f"coalesce({found}, json_extract(doc, {bind(json_path(path))}))"
        return none if history.function == "count" else f"{found} * 1000"
    if history.window is not None and history.since_us is None:
        raise ValueError("a condition on a span of time has to be settled before it becomes SQL")
    since = "NULL" if history.since_us is None else bind(history.since_us)
    return f"hub_history(json_extract(doc, {bind(json_path(path))}), {bind(history.function)}, {since})"


_KEPT: Final = frozenset({"count", "first", "last"})
"""What the state has as it is asked for, whole numbers."""


def _value(history: History, operand: Operand) -> Bound | None:
    """What it is compared with; None: nothing that a statement could bind."""
    if history.function in {"first", "last"}:
        return operand.us if isinstance(operand, Moment) else getattr(operand, "time_us", None)
    if not isinstance(operand, Constant) or isinstance(operand.value, bool | str):
        return None
    return operand.value
