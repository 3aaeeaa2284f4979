"""A condition as SQL for SQLite; whatever the user wrote is bound, never part of the statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

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
    IsEmpty,
    IsNull,
    Items,
    Matches,
    Moment,
    Not,
    OneOf,
    Operand,
    Or,
    Order,
    Pattern,
    Single,
)
from hub.conditions.patterns import glob, regular
from hub.conditions.python import Matcher, compile_python
from hub.store.port import Kind
from hub.store.query.history import history_sql
from hub.store.query.paths import Bound, is_plain, json_path

COLUMNS: Final[dict[str, dict[tuple[str, ...], str]]] = {
    "profiles": {("id",): "id"},
    "events": {
        ("id",): "id",
        ("type",): "type",
        ("source", "id"): "source",
        ("profile", "id"): "profile_id",
        ("session", "id"): "session_id",
    },
    "sessions": {("id",): "id", ("profile", "id"): "profile_id"},
    "dead-letters": {("id",): "id", ("source",): "source", ("reason",): "reason", ("status",): "status"},
}
"""Fields that have a column of their own: text, '' where the document has null or nothing."""

TIMES: Final[dict[str, dict[tuple[str, ...], str]]] = {
    "events": {("metadata", "time", "create"): "time_ms", ("metadata", "time", "insert"): "received_at_ms"},
}
"""Times that have a column as well, milliseconds since 1970: where the document has the field, it has this time."""

EVERYTHING: Final = "(1)"
"""The clause of a query that asks for nothing."""


class Clause(NamedTuple):
    """A boolean SQL expression over the columns of one table, never NULL, and its named parameters."""

    sql: str
    parameters: dict[str, Bound]


class _Alternative(NamedTuple):
    """
    What decides for values of these JSON types; `{0}` in it is the value, which is not null.

    Attributes:
        holds: True where the condition is true.
        fails: True where it is false; empty: where `holds` is not true.
    """

    types: tuple[str, ...]
    holds: str
    fails: str = ""

    def expression(self, value: str, wanted: bool) -> str:
        """Whether the verdict is the wanted one."""
        if wanted:
            return self.holds.format(value)
        return (self.fails or f"NOT ({self.holds})").format(value)


class _Tests(NamedTuple):
    """`is_equal`: of values of types that nothing here decides for, the condition is false; else it is unknown."""

    alternatives: Sequence[_Alternative]
    is_equal: bool


_NUMBERS: Final = ("integer", "real")
_MOST_GLOBS: Final = 100


def compile_sql(condition: Condition, kind: Kind) -> Clause:
    """
    The WHERE clause.

    Args: condition: as `prepare` gives it for `kind`; its tables have the COLUMNS, the TIMES and `doc`.
    """
    compiler = Compiler(kind)
    return Clause(f"({compiler.visit(condition)})", compiler.parameters)


def hub_holds(document: str, condition: str) -> bool:
    """
    SQL function for what SQLite cannot do itself: whether the condition holds for a document.

    Args: both JSON.
    """
    return _matcher(condition)(_decoded(document))


def hub_matches(pattern: str, text: str) -> bool:
    """SQL function: whether the regular expression is found in the text."""
    return regular(pattern)(text)


class Compiler:
    """Makes expressions and keeps what they bind."""

    def __init__(self, kind: Kind, prefix: str = "q") -> None:
        """Args: prefix: of the parameters' names."""
        self._columns = COLUMNS[kind]
        self._times = TIMES.get(kind, {})
        self._prefix = prefix
        self.parameters: dict[str, Bound] = {}

    def visit(self, condition: Condition, wanted: bool = True) -> str:
        """
        The expression that is true where the condition has the wanted verdict, true or false, and else false: never
        NULL. What is unknown is neither.
        """
        if isinstance(condition, And | Or):
            return self._joined(condition.parts, wanted, is_all=isinstance(condition, And) is wanted)
        if isinstance(condition, Not) and condition.or_unknown:
            met = self.visit(condition.part)
            return f"NOT ({met})" if wanted else met
        if isinstance(condition, Not):
            return self.visit(condition.part, not wanted)
        sooner = self._sooner(condition) if wanted else ""
        return self._sql(condition, wanted) or f"{sooner}{self._python(condition if wanted else Not(condition))}"

    def bind(self, value: Bound) -> str:
        """The parameter that holds a value."""
        name = f"{self._prefix}{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def text(self, field: Field) -> str:
        """Of a field that holds nothing but text; '' where it is null or not there."""
        column = self._columns.get(field.path)
        return column or f"coalesce(json_extract(doc, {self.bind(json_path(field.path))}), '')"

    def _joined(self, parts: Sequence[Condition], wanted: bool, *, is_all: bool) -> str:
        """What only Python can do comes last and together: it has to decode the document."""
        made: list[str] = []
        rest: list[Condition] = []
        for part in parts:
            if isinstance(part, And | Or | Not):
                made.append(self.visit(part, wanted))
            elif expression := self._sql(part, wanted):
                made.append(expression)
            else:
                if is_all and wanted and (sooner := self._sooner(part)):
                    made.append(sooner.removesuffix(" AND "))
                rest.append(part if wanted else Not(part))
        if rest:
            made.append(self._python(rest[0] if len(rest) == 1 else (And if is_all else Or)(tuple(rest))))
        if len(made) < 2:
            return made[0] if made else str(int(is_all))
        return (" AND " if is_all else " OR ").join(f"({expression})" for expression in made)

    def _python(self, condition: Condition) -> str:
        return f"hub_holds(doc, {self.bind(msgspec.json.encode(condition).decode())})"

    def _sql(self, atom: Atom, wanted: bool) -> str:
        """The expression of a leaf; empty where SQLite cannot do it."""
        if isinstance(atom, Items):
            return ""
        field = atom.field
        if isinstance(field, History):
            return history_sql(atom, wanted, self.bind)
        if not isinstance(field, Field) or not is_plain(field.path):
            return ""
        if isinstance(atom, IsNull | IsEmpty):
            is_null = isinstance(atom, IsNull) or field.is_text
            expression = self._null(field) if is_null else self._empty(field)
            return expression if wanted else f"NOT ({expression})"
        if isinstance(atom, Holds):
            return self._holds(field, atom, wanted)
        return self._compared(field, atom, wanted)

    def _compared(self, field: Field, atom: Compare | Between | OneOf | Matches, wanted: bool) -> str:
        if isinstance(atom, OneOf) and field.is_text and all(isinstance(value, Constant) for value in atom.values):
            place, word = self.text(field), "IN" if wanted else "NOT IN"
            return f"{place} {word} (SELECT value FROM json_each({self._list(atom.values)})) AND {place} <> ''"
        found = self._alternatives(atom)
        if found is None:
            return ""
        is_equal = isinstance(atom, OneOf) or (isinstance(atom, Compare) and atom.order == "=")
        return self._decided(field, _Tests(found, is_equal), _Tests(found, is_equal), wanted)

    def _null(self, field: Field) -> str:
        if field.is_text:
            return f"{self.text(field)} = ''"
        return f"coalesce(json_type(doc, {self.bind(json_path(field.path))}), 'null') = 'null'"

    def _empty(self, field: Field) -> str:
        place = self.bind(json_path(field.path))
        return f"""CASE coalesce(json_type(doc, {place}), 'null') WHEN 'null' THEN 1
            WHEN 'text' THEN json_extract(doc, {place}) = '' WHEN 'array' THEN json_array_length(doc, {place}) = 0
            WHEN 'object' THEN NOT EXISTS (SELECT 1 FROM json_each(doc, {place})) ELSE 0 END"""

    def _decided(self, field: Field, alone: _Tests, items: _Tests, wanted: bool) -> str:
        """Args: alone: of a value that is no list. items: of one in a list."""
        if field.is_text:
            return self._text(field, alone, wanted)
        place = self.bind(json_path(field.path))
        one = _case("item.type", "item.value", items, wanted)
        among = f"SELECT 1 FROM json_each(doc, {place}) AS item WHERE"
        # one item that is right will do; for the condition to be false, all have to be wrong
        of_list = f"EXISTS ({among} {one})" if wanted else f"NOT EXISTS ({among} NOT ({one}))"
        kind, found = f"coalesce(json_type(doc, {place}), 'null')", f"json_extract(doc, {place})"
        return _case(kind, found, alone, wanted, f"WHEN 'array' THEN {of_list} ")

    def _text(self, field: Field, tests: _Tests, wanted: bool) -> str:
        place = self.text(field)
        made = [one.expression(place, wanted) for one in tests.alternatives if "text" in one.types]
        if not made:
            return f"{place} <> ''" if tests.is_equal and not wanted else "0"
        # the second half lets SQLite use the indexes that leave out ''
        return f"({(' OR ' if wanted else ' AND ').join(made)}) AND {place} <> ''"

    def _list(self, values: Sequence[object]) -> str:
        texts = [value.written for value in values if isinstance(value, Constant)]
        return self.bind(msgspec.json.encode(texts).decode())

    def _holds(self, field: Field, atom: Holds, wanted: bool) -> str:
        text = self.bind(atom.value.written)
        if atom.how == "contains":
            if isinstance(atom.value.value, str):
                alone = [_Alternative(("text",), f"instr({{0}}, {text}) > 0")]
                items = [_Alternative(("text",), f"{{0}} = {text}")]
            else:
                alone, items = [], self._one(Compare(field, "=", atom.value)) or []
            return self._decided(field, _Tests(alone, False), _Tests(items, True), wanted)
        # substr(x, -0) is all of it, and what is asked for may be longer than the text
        expression = (
            f"substr({{0}}, 1, length({text})) = {text}"
            if atom.how == "starts"
            else f"(length({{0}}) >= length({text}) AND substr({{0}}, length({{0}}) - length({text}) + 1) = {text})"
        )
        found = _Tests([_Alternative(("text",), expression)], False)
        return self._decided(field, found, found, wanted)

    def _alternatives(self, atom: Compare | Between | OneOf | Matches) -> list[_Alternative] | None:
        """None where only Python can do it."""
        if isinstance(atom, Matches):
            return [_Alternative(("text",), f"hub_matches({self.bind(atom.pattern)}, {{0}})")]
        if isinstance(atom, Compare):
            return self._one(atom)
        if isinstance(atom, Between):
            return self._between(atom)
        if any(_needs_python(value) for value in atom.values):
            return None
        if sum(isinstance(value, Pattern) for value in atom.values) > _MOST_GLOBS:
            return None
        return self._among(atom.values)

    def _among(self, values: Sequence[Single]) -> list[_Alternative]:
        constants = [value for value in values if isinstance(value, Constant)]
        made = [
            _Alternative(("text",), f"{{0}} GLOB {self.bind(glob(value.parts))}")
            for value in values
            if isinstance(value, Pattern)
        ]
        # one list however long it is: SQLite takes no more than 1,000 terms of an OR
        texts = [value.value for value in constants if isinstance(value.value, str)]
        flags = {value.value for value in constants if isinstance(value.value, bool)}
        numbers = [
            value.value
            for value in constants
            if isinstance(value.value, int | float) and not isinstance(value.value, bool)
        ]
        for types, listed in ((("text",), texts), (_NUMBERS, numbers)):
            if listed:
                among = self.bind(msgspec.json.encode(listed).decode())
                made.append(_Alternative(types, f"{{0}} IN (SELECT value FROM json_each({among}))"))
        return [*made, *(_Alternative(("true" if flag else "false",), "1") for flag in sorted(flags))]

    def _one(self, atom: Compare) -> list[_Alternative] | None:
        right = atom.right
        if _needs_python(right):
            return None
        if isinstance(right, Pattern):
            return [_Alternative(("text",), f"{{0}} GLOB {self.bind(glob(right.parts))}")]
        assert isinstance(right, Constant)
        if isinstance(right.value, bool):
            return [_Alternative(("true" if right.value else "false",), "1")] if atom.order == "=" else []
        if isinstance(right.value, str):
            return [_Alternative(("text",), f"{{0}} {atom.order} {self.bind(right.value)}")]
        return [_Alternative(_NUMBERS, f"{{0}} {atom.order} {self._number(right.value)}")]

    def _between(self, atom: Between) -> list[_Alternative] | None:
        low, high = (self._one(Compare(atom.field, order, side)) for order, side in _sides(atom))
        if low is None or high is None:
            return None
        types = {one.types for one in (*low, *high)}
        if low and high and len(types) == 1:
            return [_Alternative(low[0].types, f"({low[0].holds} AND {high[0].holds})")]
        # no value is in order with both; what is outside of the one that it is in order with, is not between them
        return [_Alternative(one.types, "0", f"NOT ({one.holds})") for one in (*low, *high)]

    def _number(self, value: object) -> str:
        if isinstance(value, float):
            # read by SQLite as it reads the document: its last binary digit may differ from Python's
            return f"json_extract({self.bind(repr(value))}, '$')"
        assert isinstance(value, int)
        return self.bind(value)

    def _sooner(self, atom: Atom) -> str:
        """What must be so of a column where the leaf holds: an index, or no look into the document."""
        field = atom.field
        column = self._times.get(field.path) if isinstance(field, Field) else None
        if column is None:
            return ""
        sides: list[tuple[Order, Operand]] = []
        if isinstance(atom, Compare):
            sides = [(atom.order, atom.right)]
        elif isinstance(atom, Between):
            sides = list(_sides(atom))
        made = ""
        for order, right in sides:
            us = right.us if isinstance(right, Moment) else right.time_us if isinstance(right, Constant) else None
            if us is None:
                continue
            # a millisecond more on each side: columns have no microseconds
            if order in {"=", ">", ">="}:
                made += f"{column} >= {self.bind(us // 1_000)} AND "
            if order in {"=", "<", "<="}:
                made += f"{column} <= {self.bind(-(-us // 1_000))} AND "
        return made


def _case(kind: str, value: str, tests: _Tests, wanted: bool, more: str = "") -> str:
    """
    Whether a value decides for the wanted verdict.

    Args: kind, value: Expressions that give its JSON type and itself. more: Other cases.
    """
    by_type: dict[str, list[str]] = {}
    for one in tests.alternatives:
        for name in one.types:
            by_type.setdefault(name, []).append(one.expression(value, wanted))
    word = " OR " if wanted else " AND "
    cases = "".join(f"WHEN '{name}' THEN ({word.join(made)}) " for name, made in by_type.items())
    otherwise = int(tests.is_equal and not wanted)
    return f"CASE {kind} {cases}WHEN 'null' THEN 0 {more}ELSE {otherwise} END"


def _sides(atom: Between) -> tuple[tuple[Order, Operand], tuple[Order, Operand]]:
    return (">=", atom.low), ("<=", atom.high)


def _needs_python(operand: Operand) -> bool:
    return not isinstance(operand, Constant | Pattern) or (
        isinstance(operand, Constant) and (operand.time_us is not None or operand.value is None)
    )


@lru_cache(maxsize=1)
def _decoded(document: str) -> dict[str, Any]:
    """Several conditions of one statement are asked of the same document."""
    decoded: dict[str, Any] = msgspec.json.decode(document)
    return decoded


@lru_cache(maxsize=256)
def _matcher(condition: str) -> Matcher:
    decode: Callable[..., Condition] = msgspec.json.decode
    return compile_python(decode(condition, type=Condition))
