"""When time alone may change what a condition says of a document: pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from hub.conditions.ast import (
    And,
    Atom,
    Between,
    Compare,
    Condition,
    Dated,
    Field,
    Folded,
    History,
    Items,
    Not,
    Now,
    OneOf,
    Or,
    Shift,
    Start,
)
from hub.conditions.documents import of_item
from hub.conditions.history import begin_us, is_whole_since, later_than, value_of
from hub.conditions.python import Document, judge, value_at
from hub.conditions.times import moment_of, next_start, read_time, shifted
from hub.conditions.truth import MISSING, UNKNOWN, At, at, is_unknown, items
from hub.conditions.walk import field_of, histories, moves, operands

Moments: TypeAlias = Callable[[Document, int], int | None]
"""Of a document and now, microseconds since 1970: the earliest later moment, or None for never."""

_DAY_US: Final = 86_400_000_000
_FEW_US: Final = 8 * _DAY_US
_LONGEST_US: Final = {"day": 2 * _DAY_US, "week": 8 * _DAY_US, "month": 32 * _DAY_US, "year": 367 * _DAY_US}
_MOST_STEPS: Final = 2_000
"""Entries that are gone through to find one whose leaving changes the verdict; then the next one will do."""
_DRIFT_US: Final = 5 * _DAY_US
"""So much at most the same number of months is longer at one time of the year than at another."""


def due_ms(us: int) -> int:
    """Milliseconds since 1970 of a moment in microseconds, not before it."""
    return -(-us // 1_000)


def next_change(condition: Condition) -> Moments:
    """
    When a verdict may change by time alone: it does not before the moment that this gives, as long as the document
    stays as it is. It may be the same there, too: then ask again.

    Args: condition: On one document, as `judge` takes it.
    """
    if not moves(condition):
        return _never
    if isinstance(condition, Not):
        return next_change(condition.part)
    if isinstance(condition, And | Or):
        return _of_parts(condition)
    if isinstance(condition, Items):
        return _of_items(condition)
    return _of_atom(condition)


def _never(_document: Document, _now_us: int) -> int | None:
    return None


def _of_parts(condition: And | Or) -> Moments:
    """A part that does not move may settle it for ever."""
    still = tuple(part for part in condition.parts if not moves(part))
    moving = tuple(next_change(part) for part in condition.parts if moves(part))
    settles = isinstance(condition, Or)
    verdict = judge(type(condition)(still))

    def moment(document: Document, now_us: int) -> int | None:
        if still and verdict(document) is settles:
            return None
        return _earliest(part(document, now_us) for part in moving)

    return moment


def _of_items(atom: Items) -> Moments:
    get, inner = value_at(atom.field), next_change(of_item(atom.where))

    def moment(document: Document, now_us: int) -> int | None:
        found = get(document)
        return None if is_unknown(found) else _earliest(inner({"": item}, now_us) for item in items(found))

    return moment


def _of_atom(atom: Atom) -> Moments:
    parts = [*_nows(atom)]
    windowed = [history for history in histories(atom) if history.window is not None]
    if len(windowed) == 1 and windowed[0] is atom.field and not parts and not _reads(atom):
        parts.append(_outcome(atom, windowed[0]))
    else:
        parts += [_leaving(history) for history in windowed]
    return lambda document, now_us: _earliest(part(document, now_us) for part in parts)


def _reads(atom: Atom) -> bool:
    """Whether it compares with what the document has elsewhere."""
    return any(isinstance(operand, Field | Folded | Dated | History) for operand in operands(atom))


# Now


def _nows(atom: Atom) -> Iterator[Moments]:
    """Of each `now` that the leaf compares with. In whole microseconds `a < b` is `a + 1 <= b`."""
    if isinstance(atom, Compare) and isinstance(atom.right, Now):
        yield _passing(atom, atom.right, {"<": (1,), ">=": (1,), "=": (0, 1)}.get(atom.order, (0,)))
    elif isinstance(atom, Between):
        if isinstance(atom.low, Now):
            yield _passing(atom, atom.low, (1,))
        if isinstance(atom.high, Now):
            yield _passing(atom, atom.high, (0,))
    elif isinstance(atom, OneOf):
        for value in atom.values:
            if isinstance(value, Now):
                yield _passing(atom, value, (0, 1))


def _passing(atom: Atom, now: Now, later: Sequence[int]) -> Moments:
    """When the shifted now comes to a time that the document has, or so many microseconds later."""

    is_windowed = isinstance(atom.field, History) and atom.field.window is not None
    get = None if is_windowed else value_at(atom.field)

    def moment(document: Document, now_us: int) -> int | None:
        found = value_at(atom.field, lambda: now_us)(document) if get is None else get(document)
        times = [us for item in items(found) if (us := _time(item)) is not None]
        if now.start is not None:
            return _begun(now, now.start, times, now_us)
        return _reached(now.shifts, sorted(us + more for us in times for more in later), now_us)

    return moment


def _begun(now: Now, start: Start, times: Sequence[int], now_us: int) -> int | None:
    """The same where now is the beginning of a day or the like: when one may begin that has passed such a time."""
    try:
        reached = moment_of(now, now_us)
        # moved by months it may fall back a little: what is well behind stays there
        ahead = [us for us in times if us > reached - _FEW_US]
        if not ahead:
            return None
        return next_start(max(now_us, now_us + min(ahead) - reached - _FEW_US - _LONGEST_US[start.unit]), start)
    except ValueError:  # outside the calendar
        return None


def _time(found: object) -> int | None:
    if isinstance(found, At):
        return int(found)
    return read_time(found) if isinstance(found, str) else None


# Windows of history


def _leaving(history: History) -> Moments:
    """When the next entry leaves the window, or what is kept begins to suffice for it."""
    assert history.window is not None
    shifts = (Shift(-history.window.amount, history.window.unit),)
    path = field_of(history).path

    def moment(document: Document, now_us: int) -> int | None:
        return _reached(shifts, [time_ms * 1_000 for time_ms in _edges(at(document, path))], now_us)

    return moment


def _outcome(atom: Atom, history: History) -> Moments:
    """The same, leaving out moments after which the verdict is what it was."""
    window = history.window
    assert window is not None
    leaving, path = _leaving(history), field_of(history).path
    verdict = judge(replace(atom, field=Field(("",))))

    def judged(state: object, us: int) -> bool | None:
        found = value_of(state, history.function, begin_us(window, us), is_windowed=True)
        return None if found is UNKNOWN else verdict({} if found is MISSING else {"": found})

    def moment(document: Document, now_us: int) -> int | None:
        us = leaving(document, now_us)
        if us is None:
            return None
        state = at(document, path)
        if history.function == "count" and window.unit not in {"month", "year"} and _is_whole(state, window, now_us):
            return _lost(state, lambda count: verdict({"": count}), now_us - begin_us(window, now_us), now_us)
        before = judged(state, now_us)
        for _ in range(max(1, _MOST_STEPS // (1 + len(_edges(state))))):
            if judged(state, us) is not before:
                return us
            us = leaving(document, us)
            if us is None:
                return None
        return us

    return moment


def _is_whole(state: object, window: Any, now_us: int) -> bool:
    """Whether entries tell all that is in the window now."""
    return isinstance(state, Mapping) and is_whole_since(state, begin_us(window, now_us) // 1_000)


def _lost(state: Any, verdict: Callable[[int], bool | None], span_us: int, now_us: int) -> int | None:
    """When so many entries have left that the verdict on their number is another one."""
    since_ms = (now_us - span_us) // 1_000
    entries = state["entries"]
    begin = later_than(entries, since_ms)
    left = sum(entry[1] for entry in entries[begin:])
    before = verdict(left)
    for place in range(begin, len(entries)):
        left -= entries[place][1]
        is_last_of_its_time = place + 1 == len(entries) or entries[place + 1][0] != entries[place][0]
        if is_last_of_its_time and verdict(left) is not before:
            return int(entries[place][0]) * 1_000 + span_us
    return None


def _edges(state: object) -> list[int]:
    """Times, milliseconds since 1970, rising, at which a beginning window has another value than before."""
    if not isinstance(state, Mapping):
        return []
    found = {entry[0] for entry in state.get("entries", ())}
    found.update(state[name] for name in ("first", "last", "since") if name in state)
    return sorted(found)


# The calendar


def _reached(shifts: tuple[Shift, ...], targets: Sequence[int], now_us: int) -> int | None:
    """
    The earliest moment after now at which the shifted now comes to one of these times from below, or falls below one
    again: with months it may, as 28 and 29 March less a month are both 28 February.

    Args: targets: rising; all in microseconds since 1970.
    """
    if not targets:
        return None
    try:
        return _search(shifts, targets, now_us)
    except ValueError:  # beyond the year 9999
        return None


def _search(shifts: tuple[Shift, ...], targets: Sequence[int], now_us: int) -> int | None:
    us, drift = now_us, _DRIFT_US * sum(shift.unit in {"month", "year"} for shift in shifts)
    while True:
        # up to the end of the piece, the shifted now moves as now does
        reached = shifted(us, shifts)
        place = bisect_right(targets, reached)
        ahead = None if place == len(targets) else targets[place] - reached
        if not place or targets[place - 1] < reached - drift:  # nothing behind it that it could fall below
            if ahead is None:
                return None
            if ahead > 2 * drift > 0:
                us += ahead - 2 * drift
                continue
        ends = _piece_end(shifts, us)
        if ends is None or (ahead is not None and us + ahead < ends):
            return None if ahead is None else us + ahead
        # just before the end it was below `before`, and then it is at `after`
        before, after = ends + reached - us, shifted(ends, shifts)
        if bisect_left(targets, before) != bisect_right(targets, after):
            return ends
        us = ends


def _piece_end(shifts: tuple[Shift, ...], us: int) -> int | None:
    """When the distance between now and the shifted now may change; None: never."""
    ends: list[int] = []
    for place, shift in enumerate(shifts):
        if shift.unit in {"month", "year"}:
            between = shifted(us, shifts[:place])
            ends.append(us + _next_edge(between) - between)
    return min(ends, default=None)


def _next_edge(us: int) -> int:
    """The next midnight (UTC) of a 1st, 29th, 30th or 31st: where months of different lengths make a difference."""
    midnight = (us // _DAY_US + 1) * _DAY_US
    while _day_of_month(midnight) not in {1, 29, 30, 31}:
        midnight += _DAY_US
    return midnight


def _day_of_month(us: int) -> int:
    # Source: civil_from_days, howardhinnant.github.io/date_algorithms.html, the part that makes the day
    day_of_era = (us // _DAY_US + 719_468) % 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    return day_of_year - (153 * month + 2) // 5 + 1


def _earliest(moments: Iterable[int | None]) -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)
