"""When a document may begin or cease to meet a condition by time alone: pure."""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

from hub.conditions.ast import And, Compare, Condition, Constant, Field, History, Not, Now, Or
from hub.conditions.code import write_out
from hub.conditions.history import is_whole_since
from hub.conditions.moments import Moments, next_change
from hub.conditions.times import FIXED_US, read_time
from hub.conditions.truth import at
from hub.conditions.walk import field_of, moves

State: TypeAlias = dict[str, Any]

_LATER: Final = {"<": 1, ">=": 1, "<=": 0, ">": 0}
"""A time that is compared with now so is passed so many microseconds after now has come to it."""
_CLOSE: Final = 1e-5
"""Sums that differ by less may be the same: what they are made of was added up in another order."""


def next_crossing(condition: Condition) -> Moments:
    """
    As `next_change`, of whether the condition is met: whether it is false or unknown when it is not is all one.

    The moments of most conditions are found without going through what has happened. For one thread at a time.
    """
    if not moves(condition):
        return _never
    if isinstance(condition, Not):
        return next_crossing(condition.part) if condition.or_unknown else next_change(condition.part)
    if isinstance(condition, And | Or):
        return _of_parts(condition)
    found = None
    if isinstance(condition, Compare) and isinstance(condition.right, Now):
        found = _passing(condition, condition.right)
    elif isinstance(condition, Compare) and isinstance(condition.field, History):
        found = _falling(condition, condition.field)
    return found or next_change(condition)


def _never(_document: Any, _now_us: int) -> int | None:
    return None


def _of_parts(condition: And | Or) -> Moments:
    """AND is not met before each of its parts is that is not; OR is met as long as one of its parts is that is."""
    if len(condition.parts) == 1:
        return next_crossing(condition.parts[0])
    still = [part for part in condition.parts if not moves(part)]
    settled = write_out(type(condition)(tuple(still))) if still else None
    moving = [(write_out(part), next_crossing(part)) for part in condition.parts if moves(part)]
    settles = isinstance(condition, Or)

    def moment(document: Any, now_us: int) -> int | None:
        if settled is not None and settled(document, now_us) is settles:
            return None
        latest = None
        for met, crossing in moving:
            if met(document, now_us) is settles:
                found = crossing(document, now_us)
                if found is None:
                    return None
                latest = found if latest is None else max(latest, found)
        if latest is not None:
            return latest
        earliest = None
        for _, crossing in moving:
            found = crossing(document, now_us)
            if found is not None and (earliest is None or found < earliest):
                earliest = found
        return earliest

    return moment


def _passing(atom: Compare, now: Now) -> Moments | None:
    """A time that is compared with a now that moves evenly: it is passed once."""
    is_even = now.start is None and all(shift.unit in FIXED_US for shift in now.shifts)
    if atom.order not in _LATER or not is_even:
        return None
    later_us = _LATER[atom.order] - sum(shift.amount * FIXED_US[shift.unit] for shift in now.shifts)
    general, path = next_change(atom), field_of(atom.field).path
    if isinstance(atom.field, History):
        function = atom.field.function
        if function not in {"first", "last"} or atom.field.window is not None:
            return None

        def of_history(document: Any, now_us: int) -> int | None:
            state = at(document, path)
            if type(state) is not dict or not state["count"]:
                return None
            us: int = state[function] * 1_000 + later_us
            return us if us > now_us else None

        return of_history
    if not isinstance(atom.field, Field) or atom.field.is_text:
        return None

    def of_field(document: Any, now_us: int) -> int | None:
        found = at(document, path)
        if type(found) is not str:
            return general(document, now_us) if type(found) is list else None
        us = read_time(found)
        return us + later_us if us is not None and us + later_us > now_us else None

    return of_field


def _falling(atom: Compare, history: History) -> Moments | None:
    """What adds up over a span of time only falls as time goes by: below a limit it stays there."""
    limit, window = _limit(atom), history.window
    if limit is None or window is None or history.since_us is not None:
        return None
    # months and years go by jumps: then only what can never be met is told from the rest
    span_us = window.amount * FIXED_US[window.unit] if window.unit in FIXED_US else None
    path, general = field_of(history).path, next_change(atom)
    if history.function == "count":
        return _falling_count(path, math.floor(limit) + 1 if atom.order == ">" else math.ceil(limit), span_us, general)
    return _falling_sum(path, limit, span_us, general) if history.function == "sum" else None


def _falling_count(path: tuple[str, ...], least: int, span_us: int | None, general: Moments) -> Moments:
    def moment(document: Any, now_us: int) -> int | None:
        state = at(document, path)
        if type(state) is not dict or state["count"] < least:
            return None
        if span_us is None or not is_whole_since(state, (now_us - span_us) // 1_000):
            return general(document, now_us)
        time_ms = _last_of_count(state, least)
        us = 0 if time_ms is None else time_ms * 1_000 + span_us
        return us if us > now_us else None

    return moment


def _falling_sum(path: tuple[str, ...], limit: float, span_us: int | None, general: Moments) -> Moments:
    def moment(document: Any, now_us: int) -> int | None:
        state = at(document, path)
        if type(state) is not dict or not state["count"]:
            return None
        if state["min"] >= 0 and state["sum"] < limit * (1 - _CLOSE):
            return None
        if state["min"] >= 0 and span_us is not None and is_whole_since(state, (now_us - span_us) // 1_000):
            time_ms = _last_of_sum(state, limit * (1 + _CLOSE))
            us = 0 if time_ms is None else time_ms * 1_000 + span_us
            if us > now_us:
                return us
        return general(document, now_us)

    return moment


def _limit(atom: Compare) -> float | None:
    """The number above 0 that has to be reached, or passed; None: that is not what is asked."""
    right = atom.right
    if not isinstance(right, Constant) or isinstance(right.value, bool | str) or right.value is None:
        return None
    return float(right.value) if atom.order in {">", ">="} and right.value > 0 else None


def _last_of_count(state: State, least: int) -> int | None:
    """The time of the event since which there were so many, milliseconds since 1970; None: there are fewer."""
    entries = state["entries"]
    if len(entries) == state["count"]:  # each is one event
        time_ms: int = entries[-least][0]
        return time_ms
    return _since_when(entries, 1, least)


def _last_of_sum(state: State, least: float) -> int | None:
    return _since_when(state["entries"], 2, least)


def _since_when(entries: list[list[Any]], column: int, least: float) -> int | None:
    total = 0
    for entry in reversed(entries):
        total += entry[column]
        if total >= least:
            time_ms: int = entry[0]
            return time_ms
    return None
