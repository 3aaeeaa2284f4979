"""
A condition written out as Python: the same answer as `hub.conditions.python` gives, in a fraction of the time.

What conditions on profiles are made of as a rule becomes one expression; the rest, and every value that is not of the
type that is asked for, is left to the functions of `python`, which so remain what says when a condition holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Final, NamedTuple, TypeAlias

from hub.conditions.ast import (
    And,
    Atom,
    Between,
    Compare,
    Condition,
    Constant,
    Field,
    History,
    Holds,
    IsNull,
    Moment,
    Not,
    Now,
    OneOf,
    Operand,
    Or,
    Window,
)
from hub.conditions.history import DECIMALS, NONE, begin_us, count_since, value_since
from hub.conditions.python import Document, compile_python, judge
from hub.conditions.times import FIXED_US, read_time
from hub.conditions.truth import MISSING, NUMBERS, at
from hub.conditions.walk import field_of, moves

Met: TypeAlias = Callable[[Document, int], bool]
"""Whether a document meets a condition at a moment, microseconds since 1970. For one thread at a time."""

_ORDERS: Final = {"=": "==", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TOTALS: Final = {
    "count": "{0}['count']",
    "sum": f"(round({{0}}['sum'], {DECIMALS}) if {{0}}['count'] else 0)",
    "avg": f"round({{0}}['sum'] / {{0}}['count'], {DECIMALS})",
    "min": "{0}['min']",
    "max": "{0}['max']",
    "first": "{0}['first'] * 1000",
    "last": "{0}['last'] * 1000",
}
"""What a history comes to over all time; of all but the first two only where there is an event."""


def write_out(condition: Condition) -> Met:
    """The function. Args: condition: on one document, as `compile_python` takes it; it may move."""
    writer = _Writer()
    made: Met = writer.function(f"True if {writer.met(condition)} else False")
    return made


def write_out_all(conditions: Iterable[Condition]) -> Callable[[Document, int], tuple[bool, ...]]:
    """One function that answers for all of them, in their order: what they have in common is looked up once."""
    writer = _Writer()
    answers = "".join(f"True if {writer.met(condition)} else False, " for condition in conditions)
    made: Callable[[Document, int], tuple[bool, ...]] = writer.function(f"({answers})")
    return made


class _Clock:
    """The moment of the call under way, for what is left to `python`."""

    __slots__ = ("us",)

    def __init__(self) -> None:
        self.us = 0

    def __call__(self) -> int:
        return self.us


class _Writer:
    """
    Writes expressions. A condition is true, false or unknown: `met` says whether it is true, `failed` whether false.

    """

    def __init__(self) -> None:
        self._clock = _Clock()
        self._scope: dict[str, Any] = {
            "MISSING": MISSING,
            "NONE": NONE,
            "NOTHING": {},
            "NUMBERS": NUMBERS,
            "TEXT_OR_LIST": frozenset({str, list}),
            "at": at,
            "begin_us": begin_us,
            "clock": self._clock,
            "count_since": count_since,
            "read_time": read_time,
            "value_since": value_since,
        }
        self._asks_time = False
        self._number = count()
        self._objects: dict[tuple[str, ...], str] = {}
        self._lines: list[str] = []

    def function(self, answer: str) -> Any:
        """A function of a document and a moment. Args: answer: an expression, of what `met` and `failed` gave."""
        head = ["clock.us = now"] if self._asks_time else []
        source = "\n ".join(["def met(d, now):", *head, *self._lines, f"return {answer}"])
        exec(compile(source, "<condition>", "exec"), self._scope)  # noqa: S102 - names and values are written with repr
        return self._scope["met"]

    def met(self, condition: Condition) -> str:
        if isinstance(condition, And):
            return _joined(" and ", map(self.met, condition.parts), "True")
        if isinstance(condition, Or):
            return _joined(" or ", map(self.met, condition.parts), "False")
        if isinstance(condition, Not):
            return f"not {self.met(condition.part)}" if condition.or_unknown else self.failed(condition.part)
        return self._atom(condition, is_met=True)

    def failed(self, condition: Condition) -> str:
        if isinstance(condition, And):
            return _joined(" or ", map(self.failed, condition.parts), "False")
        if isinstance(condition, Or):
            return _joined(" and ", map(self.failed, condition.parts), "True")
        if isinstance(condition, Not):
            return self.met(condition.part)
        return self._atom(condition, is_met=False)

    def _atom(self, atom: Atom, *, is_met: bool) -> str:
        written = None
        if isinstance(atom, Compare | Between) and isinstance(atom.field, History):
            written = self._of_history(atom.field, atom, is_met=is_met)
        elif isinstance(atom, IsNull) and isinstance(atom.field, Field) and not atom.field.is_text:
            name = self._name()
            written = f"(({name} := {self._found(atom.field.path)}) is None or {name} is MISSING)"
            written = written if is_met else f"(not {written})"
        elif isinstance(atom.field, Field) and not atom.field.is_text:
            written = self._of_field(atom, atom.field, is_met=is_met)
        return self._left(atom, is_met=is_met) if written is None else written

    def _left(self, condition: Condition, *, is_met: bool) -> str:
        """To the functions of `python`."""
        self._asks_time = self._asks_time or moves(condition)
        if is_met:
            return f"{self._constant(compile_python(condition, self._clock))}(d)"
        return f"({self._constant(judge(condition, self._clock))}(d) is False)"

    def _of_field(self, atom: Atom, field: Field, *, is_met: bool) -> str | None:
        """The expression for a value of the usual type; else it is left to `python`."""
        name = self._name()
        usual = self._usual(atom, name, is_met=is_met)
        if usual is None:
            return None
        check, test = usual
        # nothing can be said of what is not there; of what else it may be, python can
        other = f"({name} is not MISSING and {self._left(atom, is_met=is_met)})"
        return f"({test} if {check.format(f'({name} := {self._found(field.path)})')} else {other})"

    def _usual(self, atom: Atom, name: str, *, is_met: bool) -> tuple[str, str] | None:
        """The check whether it is of the usual type, and what is asked of it then; None: there is no such type."""
        turned = "" if is_met else "not "
        if isinstance(atom, Compare):
            return self._compared(atom, name, turned)
        if isinstance(atom, Between):
            check = _type_of(atom.low)
            if check is not None and check == _type_of(atom.high):
                return check, f"({turned}{_value(atom.low)} <= {name} <= {_value(atom.high)})"
        elif isinstance(atom, OneOf):
            checks = {_type_of(value) for value in atom.values}
            if len(checks) == 1 and (check := checks.pop()) is not None:
                values = frozenset(value.value for value in atom.values if isinstance(value, Constant))
                return check, f"({name} {turned}in {self._constant(values)})"
        elif isinstance(atom, Holds) and isinstance(atom.value.value, str):
            text = repr(atom.value.written)
            if atom.how == "contains":
                return "type({}) in TEXT_OR_LIST" if is_met else _TEXT, f"({text} {turned}in {name})"
            return _TEXT, f"({turned}{name}.{atom.how}with({text}))"
        return None

    def _compared(self, atom: Compare, name: str, turned: str) -> tuple[str, str] | None:
        order, time = _ORDERS[atom.order], _moment(atom.right)
        if time is None:
            check = _type_of(atom.right)
            if check is None and order == "==" and isinstance(atom.right, Constant) and type(atom.right.value) is bool:
                check = "type({}) is bool"
            return None if check is None else (check, f"({turned}{name} {order} {_value(atom.right)})")
        us = self._name()
        read, passed = f"({us} := read_time({name}))", f"{us} {order} {time}"
        if turned and atom.order == "=":  # what is no time is not equal to one
            return _TEXT, f"({read} is None or not {passed})"
        return _TEXT, f"({read} is not None and {turned}{passed})"

    def _of_history(self, history: History, atom: Compare | Between, *, is_met: bool) -> str | None:
        asked = _asked(history, atom, "" if is_met else "not ")
        if asked is None or history.since_us is not None:
            return None
        state, name, function = self._state(field_of(history).path), self._name(), history.function
        kept = f"{state} is not NOTHING"
        if history.window is None:
            some = "" if function in {"count", "sum"} else f" and {state}['count']"
            return f"({kept}{some} and {asked.test.format(_TOTALS[function].format(state))})"
        if function in {"first", "last"}:
            return None
        since, test = f"{self._begin(history.window)} // 1000", asked.test.format(name)
        if function == "count":
            # of what has not happened so often at all, there is no more in a span of time
            often = f" and {asked.least}".format(f"{state}['count']") if is_met and asked.least else ""
            return f"({kept}{often} and ({name} := count_since({state}, {since})) is not None and {test})"
        return f"({kept} and type({name} := value_since({state}, {function!r}, {since})) in NUMBERS and {test})"

    def _begin(self, window: Window) -> str:
        """Where the span begins, microseconds since 1970."""
        if window.unit in FIXED_US:
            return f"(now - {window.amount * FIXED_US[window.unit]})"
        return f"begin_us({self._constant(window)}, now)"

    def _found(self, path: tuple[str, ...]) -> str:
        """What a document has there."""
        if len(path) < 2:
            return f"d.get({path[0]!r}, MISSING)" if path else "d"
        key = path[-1]
        if key.isascii() and key.isdecimal():  # perhaps a place in a list
            return f"at({self._found(path[:-1])}, ({key!r},))"
        return f"{self._object(path[:-1])}.get({key!r}, MISSING)"

    def _object(self, path: tuple[str, ...]) -> str:
        """The name of the object there, which is looked up once; of an empty one, if there is none."""
        name = self._objects.get(path)
        if name is None:
            found = self._found(path)
            name = self._objects[path] = self._name()
            self._lines.append(f"{name} = {found}")
            self._lines.append(f"if type({name}) is not dict: {name} = NOTHING")
        return name

    def _state(self, path: tuple[str, ...]) -> str:
        """The same of the state of a history, which is 0 where there has been no event."""
        name = self._objects.get(path)
        if name is None:
            found = self._found(path)
            name = self._objects[path] = self._name()
            self._lines.append(f"{name} = {found}")
            self._lines.append(f"if type({name}) is not dict: {name} = NONE if type({name}) is int else NOTHING")
        return name

    def _constant(self, value: object) -> str:
        name = f"c{next(self._number)}"
        self._scope[name] = value
        return name

    def _name(self) -> str:
        return f"v{next(self._number)}"


class _Asked(NamedTuple):
    """Of a number or a time. `least`: what it has to be at least, so that the test may pass; "": nothing."""

    test: str
    least: str


def _asked(history: History, atom: Compare | Between, turned: str) -> _Asked | None:
    if history.function in {"first", "last"}:
        if not isinstance(atom, Compare) or (time := _moment(atom.right)) is None:
            return None
        return _Asked(f"{turned}{{}} {_ORDERS[atom.order]} {time}", "")
    if not isinstance(atom, Compare):
        if _type_of(atom.low) != _NUMBER or _type_of(atom.high) != _NUMBER:
            return None
        low, high = _value(atom.low), _value(atom.high)
        return _Asked(f"{turned}{low} <= {{}} <= {high}", f"{{}} >= {low}")
    if _type_of(atom.right) != _NUMBER:
        return None
    test = f"{{}} {_ORDERS[atom.order]} {_value(atom.right)}"
    return _Asked(f"{turned}{test}", test if atom.order in {">", ">="} else "")


def _moment(right: Operand) -> str | None:
    """Microseconds since 1970; None: it is no moment, or not as simple as that."""
    if isinstance(right, Moment):
        return repr(right.us)
    if isinstance(right, Now) and right.start is None and all(shift.unit in FIXED_US for shift in right.shifts):
        return f"now + {sum(shift.amount * FIXED_US[shift.unit] for shift in right.shifts)}"
    return None


_TEXT: Final = "type({}) is str"
_NUMBER: Final = "type({}) in NUMBERS"


def _type_of(right: Operand) -> str | None:
    """How to check for the type of a constant; None: that is not all that there is to it."""
    if not isinstance(right, Constant) or right.time_us is not None:
        return None
    if type(right.value) is str:
        return _TEXT
    return _NUMBER if type(right.value) in NUMBERS else None


def _value(right: Operand) -> str:
    assert isinstance(right, Constant)
    return repr(right.value)


def _joined(word: str, parts: Iterable[str], empty: str) -> str:
    written = list(parts)
    return f"({word.join(written)})" if written else empty
