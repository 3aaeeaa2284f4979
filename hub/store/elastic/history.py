"""Conditions on a profile's history as queries: on what `hub.store.elastic.facts` says of the state that it keeps."""

from __future__ import annotations

from typing import Final

from hub.conditions.ast import Atom, History, IsEmpty, IsNull
from hub.conditions.walk import field_of
from hub.store.elastic import bounds, ranges, tokens
from hub.store.elastic.bounds import NEVER, Bounds, all_met, among, any_met, exactly, of_kind, unmet
from hub.store.elastic.facts import AFTER
from hub.store.elastic.ranges import Values
from hub.store.elastic.tokens import AS_NUMBER, AS_TIME, NUMBER, OBJECT, TIME
from hub.store.elastic.verdicts import Says, verdicts

_ZERO: Final = tokens.number(0)
_NEVER_NULL: Final = frozenset({"count", "sum"})


def history_bounds(atom: Atom, history: History, *, wanted: bool) -> Bounds:
    """
    The documents of which a condition on a history has the wanted verdict.

    Args: atom: settled; its field is this history.
    """
    path = "".join(map(tokens.key, field_of(history).path))
    if history.window is not None and history.since_us is None:
        raise ValueError("a condition on a span of time has to be settled before it becomes a query")
    state = _State(path, history)
    if isinstance(atom, IsNull | IsEmpty):
        return state.null() if wanted else state.value()
    said = verdicts(atom)
    if said is None:  # nothing stands to what is not known, but for an empty list of another field
        return bounds.at_most(of_kind((path,), (NUMBER, OBJECT)) if wanted else bounds.EVERYTHING)
    return state.compared(said.at if history.function in {"first", "last"} else said.number, wanted=wanted)


class _State:
    """The state at a path. Without events it is a number, or says that there are 0."""

    def __init__(self, path: str, history: History) -> None:
        self._path = path
        self._function = history.function
        self._is_time = history.function in {"first", "last"}
        empty = any_met([exactly(of_kind((path,), (NUMBER,))), self._is("count", NUMBER, ranges.point(_ZERO))])
        if history.since_us is None:
            self._none = empty
            self._whole = all_met([exactly(of_kind((path,), (OBJECT,))), unmet(empty)])
            self._part = NEVER
            self._since = ""
            return
        # times are whole milliseconds
        self._since = tokens.instant(history.since_us // 1_000 * 1_000)
        later, sooner = (ranges.ordered(order, self._since, AS_TIME) for order in (">", "<="))
        self._none = any_met([empty, self._is("last", TIME, sooner)])
        self._whole = self._is("first", TIME, later)
        part = [self._is("first", TIME, sooner), self._is("last", TIME, later)]
        # the last one is known anyway
        kept = [] if history.function == "last" else [self._is(AFTER, TIME, sooner)]
        self._part = all_met([*part, *kept])

    def null(self) -> Bounds:
        """It comes to nothing."""
        return NEVER if self._function in _NEVER_NULL else self._none

    def value(self) -> Bounds:
        """It comes to something."""
        found = [self._whole, self._part]
        return any_met([*found, self._none] if self._function in _NEVER_NULL else found)

    def compared(self, says: Says, *, wanted: bool) -> Bounds:
        """What it comes to is compared so."""
        name, kind = self._function, TIME if self._is_time else NUMBER
        values = says.holds if wanted else ranges.others(says.may)
        total = self._is(name, kind, values)
        found = [all_met([self._whole, total])]
        if name in _NEVER_NULL and (is_in := _has(values, _ZERO)) is not False:
            found.append(self._none if is_in else bounds.loose(self._none))
        if name == "last":
            found.append(all_met([self._part, total]))
        elif name == "count":
            found.append(all_met([self._part, self._counted(values)]))
        elif self._part != NEVER and not values.is_none:
            found.append(bounds.loose(self._part))
        return any_met(found)

    def _counted(self, values: Values) -> Bounds:
        """So many events were later: as many as there are of the last ones whose time is."""
        if self._part == NEVER or values.is_none:
            return NEVER
        most = tokens.MOST_TIMES
        rest = ranges.both(values, ranges.ordered(">=", tokens.number(most)))
        if values.is_vague or not (rest.is_none or rest == ranges.ordered(">=", tokens.number(most))):
            return bounds.at_most(bounds.EVERYTHING)
        found = []
        begin: int | None = None
        for number in range(most + 1):
            is_in = _has(values, tokens.number(number))
            if is_in and begin is None:
                begin = number
            elif not is_in and begin is not None:
                found.append(all_met([self._at_least(begin), unmet(self._at_least(number))]))
                begin = None
        if begin is not None:
            found.append(self._at_least(begin))
        return any_met(found)

    def _at_least(self, number: int) -> Bounds:
        if not number:
            return bounds.ALWAYS
        return self._is(str(number), TIME, ranges.ordered(">", self._since, AS_TIME))

    def _is(self, name: str, kind: str, values: Values) -> Bounds:
        form = AS_TIME if kind == TIME else AS_NUMBER
        return among((self._path + tokens.series(name),), kind, form, values)


def _has(values: Values, value: str) -> bool | None:
    """None: nobody knows."""
    if values.is_vague:
        return None
    return any(low <= value and (high is None or value < high) for low, high in values.ranges)
