"""
What a profile keeps of its events, so that conditions can ask how many there were: pure.

A series is the events of one type for which one condition holds. Its state is a JSON object in the profile's document,
at `metadata.history.<key>`; times are milliseconds since 1970:

| member              |                                                                                          |
|---------------------|------------------------------------------------------------------------------------------|
| `count`             | how many there ever were; of a series with a field, those that have a number there       |
| `first`, `last`     | their earliest and latest time; not there while there is none                            |
| `sum`, `min`, `max` | of the field; only of a series with a field, and once there is an event                  |
| `entries`           | `[time, how many]`, of a series with a field `[time, how many, sum, min, max]`, earliest |
|                     | first; only where a condition asks for a span of time                                    |
| `since`             | entries are complete for what is later than this; not there: for all                     |

The number 0 in place of the object says that there has been no such event: most profiles have none of most series.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec

from hub.conditions.ast import Condition, Function, Shift, Unit, Window
from hub.conditions.keys import key_of, unplaced
from hub.conditions.times import shifted
from hub.conditions.truth import MISSING, UNKNOWN, At
from hub.conditions.walk import histories

State: TypeAlias = dict[str, Any]

MAX_ENTRIES: Final = 1_000
"""Most entries of a series; beyond that, the two closest in time become one, at the later time."""
SLACK_MS: Final = 86_400_000
"""Entries are kept so much longer than is asked for: the clocks of those who ask differ."""
DECIMALS: Final = 6
"""Sums and averages are rounded, so that they do not depend on the order of what they are made of."""

_DAY_MS: Final = 86_400_000
_LONGEST_MS: Final[dict[Unit, int]] = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": _DAY_MS,
    "week": 7 * _DAY_MS,
    "month": 31 * _DAY_MS,
    "year": 366 * _DAY_MS,
}


class Series(msgspec.Struct, frozen=True):
    """Events that are kept account of."""

    key: str
    event_type: str
    where: Condition | None  # on the event's document
    field: tuple[str, ...] | None  # of the event's document
    keep_ms: int | None  # longest span that any condition asks for; None: totals are enough


def series_of(conditions: Iterable[Condition]) -> dict[str, Series]:
    """The series that conditions on profiles need, by key."""
    found: dict[str, Series] = {}
    for condition in conditions:
        for history in histories(condition):
            key, keep_ms = key_of(history), None if history.window is None else longest_ms(history.window)
            if (known := found.get(key)) is not None and known.keep_ms is not None:
                keep_ms = max(known.keep_ms, keep_ms or 0)
            path = None if history.field is None else history.field.path
            where = None if history.where is None else unplaced(history.where)
            found[key] = Series(key, history.event_type, where, path, keep_ms)
    return found


def longest_ms(window: Window) -> int:
    """The longest that a span can be: a month has up to 31 days."""
    return window.amount * _LONGEST_MS[window.unit]


def note(state: Mapping[str, Any] | None, series: Series, time_ms: int, value: float | None = None) -> State:
    """
    The state with one more event; the one that was given stays as it is.

    Args:
        state: None: none so far.
        value: What the event has in the series' field; None: no number, and then a series with a field leaves it out.
    """
    new: State = dict(state) if state else {"count": 0}
    if series.field is None:
        number = None
    elif value is None:
        return new
    else:
        number = float(value)  # whole numbers could add up to more than JSON takes
    if series.keep_ms is None:  # entries that miss one are worse than none
        new.pop("entries", None)
        new.pop("since", None)
    elif time_ms > (begin := _begin(new)):
        entry = [time_ms, 1] if number is None else [time_ms, 1, number, number, number]
        new["entries"] = _with(new.get("entries"), entry)
        _since(new, begin)
    _add_one(new, time_ms, number)
    return new


def joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> State:
    """The state of two profiles that have become one: of what both have kept, and no event of one is the other's."""
    if not one or not other:
        return dict(one or other or NONE)
    new: State = dict(one)
    since = max(_begin(one), _begin(other))
    entries = [entry for state in (one, other) for entry in state.get("entries", []) if entry[0] > since]
    if other["count"]:
        _add(new, other["count"], other["first"], other["last"], [other[name] for name in _VALUES if name in other])
    new.pop("entries", None)
    new.pop("since", None)
    if "entries" in one or "entries" in other:
        new["entries"] = _capped(sorted(entries))
        _since(new, since)
    return new


def pruned(state: Mapping[str, Any], series: Series, now_ms: int) -> State:
    """The state without entries that nobody asks for any more."""
    new: State = dict(state)
    prune(new, series, now_ms)
    return new


def prune(state: State, series: Series, now_ms: int) -> None:
    """The same, in place."""
    if series.keep_ms is None:
        state.pop("entries", None)
        state.pop("since", None)
        return
    before = now_ms - series.keep_ms - SLACK_MS
    entries = state.get("entries")
    if entries and entries[0][0] <= before:
        state["entries"] = entries[later_than(entries, before) :]
        state["since"] = max(before, state.get("since", before))


def is_enough(state: Mapping[str, Any] | None, series: Series, now_ms: int) -> bool:
    """Whether the state can answer what is asked of the series; else it has to be made anew from the events."""
    if not state:
        return state is not None
    return series.keep_ms is None or not state["count"] or _begin(state) <= now_ms - series.keep_ms


def value_of(state: object, function: Function, since_us: int | None, *, is_windowed: bool) -> object:
    """
    What the history comes to: a number, of `first` and `last` an `At`. MISSING: there is no such event, where that is
    not 0. UNKNOWN: the document does not tell.

    Args:
        state: What the document has at the series' key; MISSING where that is nothing.
        since_us: Later events count, microseconds since 1970.
        is_windowed: False: all events count, and `since_us` is not looked at.
    """
    if not isinstance(state, Mapping):
        if type(state) is not int:
            return UNKNOWN
        state = NONE
    if not is_windowed:
        return _of(state, function)
    if since_us is None:
        raise ValueError("a history of a span of time needs to know when that begins: `settled`, or a clock")
    # times are whole milliseconds: later than since_us is later than this
    return value_since(state, function, since_us // 1_000)


def value_since(state: Mapping[str, Any], function: Function, since_ms: int) -> object:
    """The same of events later than that, milliseconds since 1970."""
    if function == "count":
        count = count_since(state, since_ms)
        return UNKNOWN if count is None else count
    if not state["count"] or state["last"] <= since_ms:
        return _of(NONE, function)
    if state["first"] > since_ms or function == "last":
        return _of(state, function)
    return UNKNOWN if since_ms < _begin(state) else _of(_total(state["entries"], since_ms), function)


def count_since(state: Mapping[str, Any], since_ms: int) -> int | None:
    """How many of its events were later than that, milliseconds since 1970; None: the document does not tell."""
    total: int = state["count"]
    if not total or state["last"] <= since_ms:
        return 0
    if state["first"] > since_ms:
        return total
    if since_ms < _begin(state):
        return None
    entries = state["entries"]
    begin = later_than(entries, since_ms)
    if len(entries) == total:  # each is one event
        return total - begin
    left: int = sum([entry[1] for entry in entries[begin:]])
    return left


def is_whole_since(state: Mapping[str, Any], since_ms: int) -> bool:
    """Whether its entries tell of all that was later than that, milliseconds since 1970."""
    return "entries" in state and _begin(state) <= since_ms


def later_than(entries: list[list[Any]], since_ms: int) -> int:
    """The place of the first entry that is later than that, milliseconds since 1970."""
    return bisect_left(entries, [since_ms + 1])  # no entry is as short as that


@lru_cache(maxsize=256)  # months take long, and all segments ask for the same
def begin_us(window: Window, now_us: int) -> int:
    """
    Where a span that ends now begins; events later than that are in it. Args: now_us: microseconds since 1970.

    Raises ValueError: that is outside the years 1 to 9999.
    """
    return shifted(now_us, (Shift(-window.amount, window.unit),))


NONE: Final[Mapping[str, Any]] = {"count": 0}
"""The state where there has been no event."""
_VALUES: Final = ("sum", "min", "max")
_LARGEST: Final = sys.float_info.max


def _of(state: Mapping[str, Any], function: Function) -> object:
    count = state["count"]
    if function == "count":
        return count
    if function == "sum":
        return _rounded(state["sum"]) if count else 0
    if not count:
        return MISSING
    if function == "avg":
        return _rounded(state["sum"] / count)
    if function in {"min", "max"}:
        return state[function]
    return At(state[function] * 1_000)


def _rounded(value: float) -> float:
    return round(value, DECIMALS)


def complete_after(state: Mapping[str, Any]) -> int:
    """Its entries are complete for what is later than this, milliseconds since 1970."""
    return _begin(state)


def _begin(state: Mapping[str, Any]) -> int:
    """Entries are complete for what is later than this."""
    if "since" in state:
        return int(state["since"])
    if "entries" in state or not state["count"]:
        return _EVER
    return int(state["last"])


_EVER: Final = -(2**62)


def _since(state: State, since: int) -> None:
    if since != _EVER:
        state["since"] = since


def _add(state: State, count: int, first: int, last: int, values: list[Any]) -> None:
    """Totals, in place."""
    had = state["count"]
    if not had or first < state["first"]:
        state["first"] = first
    if not had or last > state["last"]:
        state["last"] = last
    if values:
        added = _summed([state["sum"], state["min"], state["max"]], values) if had else values
        state["sum"], state["min"], state["max"] = added
    state["count"] = had + count


def _add_one(state: State, time_ms: int, number: float | None) -> None:
    """The same of one event, without lists: it is done with each that comes."""
    had = state["count"]
    state["count"] = had + 1
    if not had:
        state["first"] = state["last"] = time_ms
        if number is not None:
            state["sum"] = state["min"] = state["max"] = number
        return
    if time_ms < state["first"]:
        state["first"] = time_ms
    elif time_ms > state["last"]:
        state["last"] = time_ms
    if number is not None:
        total = state["sum"] + number
        state["sum"] = total if -_LARGEST <= total <= _LARGEST else math.copysign(_LARGEST, total)
        if number < state["min"]:
            state["min"] = number
        elif number > state["max"]:
            state["max"] = number


def _summed(one: list[Any], other: list[Any]) -> list[Any]:
    total = one[0] + other[0]
    return [max(-_LARGEST, min(total, _LARGEST)), min(one[1], other[1]), max(one[2], other[2])]


def _with(entries: list[list[Any]] | None, entry: list[Any]) -> list[list[Any]]:
    if not entries:
        return [entry]
    new = [*entries, entry]
    if entry < entries[-1]:
        new.pop()
        insort(new, entry)
    return new if len(new) <= MAX_ENTRIES else _capped(new)


def _capped(entries: list[list[Any]]) -> list[list[Any]]:
    while len(entries) > MAX_ENTRIES:
        at = min(range(len(entries) - 1), key=lambda place: entries[place + 1][0] - entries[place][0])
        one, other = entries[at], entries[at + 1]
        entries[at : at + 2] = [[other[0], one[1] + other[1], *(_summed(one[2:], other[2:]) if one[2:] else ())]]
    return entries


def _total(entries: list[list[Any]], since_ms: int) -> Mapping[str, Any]:
    total: State = {"count": 0}
    for entry in entries[later_than(entries, since_ms) :]:
        _add(total, entry[1], entry[0], entry[0], entry[2:])
    return total
