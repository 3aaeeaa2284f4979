"""A condition as SQL for SQLite; whatever the user wrote is bound, never part of the statement."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from hub.conditions.ast import (
    And,
    Atom,
    Between,
    Compare,
    Condition,
    Constant,
    Field,
    Holds,
    IsEmpty,
    IsNull,
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

Bound = str | int | float

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

# SQLite 3.40 compares a path with the bytes of a key as they stand in the document. A key of these characters is
# never escaped there; digits are left out because they may be a position in a list. All else goes to hub_holds.
_PLAIN_KEY: Final = re.compile(r"(?!\d+$)[A-Za-z0-9_ .:@$-]+")


EVERYTHING: Final = "(1)"
"""The clause of a query that asks for nothing."""


class Clause(NamedTuple):
    """A boolean SQL expression over the columns of one table, never NULL, and its named parameters."""

    sql: str
    parameters: dict[str, Bound]


class _Alternative(NamedTuple):
    """Values of these JSON types match if the expression is true; `{0}` in it is the value."""

    types: tuple[str, ...]
    expression: str


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
    return _matcher(condition)(msgspec.json.decode(document))


def hub_matches(pattern: str, text: str) -> bool:
    """SQL function: whether the regular expression is found in the text."""
    return regular(pattern)(text)


def is_plain(path: Sequence[str]) -> bool:
    """Whether SQLite's JSON paths can name this place."""
    return all(_PLAIN_KEY.fullmatch(key) for key in path)


def json_path(path: Sequence[str]) -> str:
    """SQLite's path of a plain place."""
    return "$" + "".join(f'."{key}"' for key in path)


class Compiler:
    """Makes expressions and keeps what they bind."""

    def __init__(self, kind: Kind, prefix: str = "q") -> None:
        """Args: prefix: of the parameters' names."""
        self._columns = COLUMNS[kind]
        self._times = TIMES.get(kind, {})
        self._prefix = prefix
        self.parameters: dict[str, Bound] = {}

    def visit(self, condition: Condition) -> str:
        """The expression of a condition."""
        if isinstance(condition, And):
            return self._joined(condition.parts, " AND ", And) or "1"
        if isinstance(condition, Or):
            return self._joined(condition.parts, " OR ", Or) or "0"
        if isinstance(condition, Not):
            return f"NOT ({self.visit(condition.part)})"
        return self._sql(condition) or f"{self._sooner(condition)}hub_holds(doc, {self._json(condition)})"

    def bind(self, value: Bound) -> str:
        """The parameter that holds a value."""
        name = f"{self._prefix}{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def text(self, field: Field) -> str:
        """Of a field that holds nothing but text; '' where it is null or not there."""
        column = self._columns.get(field.path)
        return column or f"coalesce(json_extract(doc, {self.bind(json_path(field.path))}), '')"

    def _joined(self, parts: Sequence[Condition], word: str, join: type[And] | type[Or]) -> str:
        """What only Python can do comes last and together: it has to decode the document."""
        made: list[str] = []
        rest: list[Atom] = []
        for part in parts:
            if isinstance(part, And | Or | Not):
                made.append(self.visit(part))
            elif expression := self._sql(part):
                made.append(expression)
            elif join is And and (sooner := self._sooner(part)):
                made.append(sooner.removesuffix(" AND "))
                rest.append(part)
            else:
                rest.append(part)
        if rest:
            together: Condition = rest[0] if len(rest) == 1 else join(tuple(rest))
            made.append(f"hub_holds(doc, {self._json(together)})")
        return made[0] if len(made) == 1 else word.join(f"({expression})" for expression in made)

    def _json(self, condition: Condition) -> str:
        return self.bind(msgspec.json.encode(condition).decode())

    def _sql(self, atom: Atom) -> str:
        """The expression of a leaf; empty where SQLite cannot do it."""
        field = atom.field
        if not isinstance(field, Field) or not is_plain(field.path):
            return ""
        if isinstance(atom, IsNull) or (isinstance(atom, IsEmpty) and field.is_text):
            return self._null(field)
        if isinstance(atom, IsEmpty):
            return self._empty(field)
        if isinstance(atom, Holds):
            return self._holds(field, atom)
        return self._compared(field, atom)

    def _compared(self, field: Field, atom: Compare | Between | OneOf | Matches) -> str:
        if isinstance(atom, OneOf) and field.is_text and all(isinstance(value, Constant) for value in atom.values):
            place = self.text(field)
            return f"{place} IN (SELECT value FROM json_each({self._list(atom.values)})) AND {place} <> ''"
        found = self._alternatives(atom)
        if found is None:
            return ""
        return self._text(field, found) if field.is_text else self._in_document(field, found, found)

    def _null(self, field: Field) -> str:
        if field.is_text:
            return f"{self.text(field)} = ''"
        return f"coalesce(json_type(doc, {self.bind(json_path(field.path))}), 'null') = 'null'"

    def _empty(self, field: Field) -> str:
        place = self.bind(json_path(field.path))
        return f"""CASE coalesce(json_type(doc, {place}), 'null') WHEN 'null' THEN 1
            WHEN 'text' THEN json_extract(doc, {place}) = '' WHEN 'array' THEN json_array_length(doc, {place}) = 0
            WHEN 'object' THEN NOT EXISTS (SELECT 1 FROM json_each(doc, {place})) ELSE 0 END"""

    def _text(self, field: Field, found: list[_Alternative]) -> str:
        place = self.text(field)
        either = [one.expression.format(place) for one in found if "text" in one.types]
        # the second half lets SQLite use the indexes that leave out ''
        return f"({' OR '.join(either) or '0'}) AND {place} <> ''"

    def _list(self, values: Sequence[object]) -> str:
        texts = [value.written for value in values if isinstance(value, Constant)]
        return self.bind(msgspec.json.encode(texts).decode())

    def _holds(self, field: Field, atom: Holds) -> str:
        if atom.how == "contains":
            alone: list[_Alternative] = []
            if isinstance(atom.value.value, str):
                text = self.bind(atom.value.value)
                alone = [_Alternative(("text",), f"instr({{0}}, {text}) > 0")]
                items = [_Alternative(("text",), f"{{0}} = {text}")]
            else:
                items = self._one(Compare(field, "=", atom.value)) or []
            if field.is_text:
                place = self.text(field)
                return f"{alone[0].expression.format(place)} AND {place} <> ''" if alone else "0"
            return self._in_document(field, alone, items)
        text = self.bind(atom.value.written)
        # substr(x, -0) is all of it, and what is asked for may be longer than the text
        expression = (
            f"substr({{0}}, 1, length({text})) = {text}"
            if atom.how == "starts"
            else f"(length({{0}}) >= length({text}) AND substr({{0}}, length({{0}}) - length({text}) + 1) = {text})"
        )
        found = [_Alternative(("text",), expression)]
        if field.is_text:
            place = self.text(field)
            return f"{expression.format(place)} AND {place} <> ''"
        return self._in_document(field, found, found)

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
            return [_Alternative(("true" if right.value else "false",), "1" if atom.order == "=" else "0")]
        if isinstance(right.value, str):
            return [_Alternative(("text",), f"{{0}} {atom.order} {self.bind(right.value)}")]
        return [_Alternative(_NUMBERS, f"{{0}} {atom.order} {self._number(right.value)}")]

    def _between(self, atom: Between) -> list[_Alternative] | None:
        low, high = (self._one(Compare(atom.field, order, side)) for order, side in _sides(atom))
        if low is None or high is None:
            return None
        if low[0].types != high[0].types:  # nothing is of both types
            return [_Alternative(("null",), "0")]
        return [_Alternative(low[0].types, f"({low[0].expression} AND {high[0].expression})")]

    def _number(self, value: object) -> str:
        if isinstance(value, float):
            # read by SQLite as it reads the document: its last binary digit may differ from Python's
            return f"json_extract({self.bind(repr(value))}, '$')"
        assert isinstance(value, int)
        return self.bind(value)

    def _in_document(self, field: Field, alone: list[_Alternative], items: list[_Alternative]) -> str:
        place = self.bind(json_path(field.path))
        found = f"json_extract(doc, {place})"
        by_type: dict[str, list[str]] = {}
        for one in alone:
            for name in one.types:
                by_type.setdefault(name, []).append(one.expression.format(found))
        cases = " ".join(f"WHEN '{name}' THEN ({' OR '.join(tests)})" for name, tests in by_type.items())
        tests = " OR ".join(
            f"(item.type IN ({', '.join(map(_quoted, one.types))}) AND {one.expression.format('item.value')})"
            for one in items
        )
        among = f"EXISTS (SELECT 1 FROM json_each(doc, {place}) AS item WHERE {tests or '0'})"
        return f"CASE json_type(doc, {place}) {cases} WHEN 'array' THEN {among} ELSE 0 END"

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


def _sides(atom: Between) -> tuple[tuple[Order, Operand], tuple[Order, Operand]]:
    return (">=", atom.low), ("<=", atom.high)


def _needs_python(operand: Operand) -> bool:
    return not isinstance(operand, Constant | Pattern) or (
        isinstance(operand, Constant) and (operand.time_us is not None or operand.value is None)
    )


def _quoted(name: str) -> str:
    return f"'{name}'"


@lru_cache(maxsize=256)
def _matcher(condition: str) -> Matcher:
    decode: Callable[..., Condition] = msgspec.json.decode
    return compile_python(decode(condition, type=Condition))
