"""A condition as SQL for SQLite; whatever the user wrote is bound, never part of the statement."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from hub.store.port import Kind
from hub.store.query.ast import And, Condition, Equals, Field, HasText, IsOneOf, Value
from hub.store.query.python import compile_python

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

# SQLite 3.40 compares a path with the bytes of a key as they stand in the document. A key of these characters is
# never escaped there; digits are left out because they may be a position in a list. All else goes to hub_equals.
_PLAIN_KEY: Final = re.compile(r"(?!\d+$)[A-Za-z0-9_ .:@$-]+")


class Clause(NamedTuple):
    """A boolean SQL expression over the columns of one table, never NULL, and its named parameters."""

    sql: str
    parameters: dict[str, Bound]


def compile_sql(condition: Condition, kind: Kind) -> Clause:
    """The WHERE clause. Args: condition: as `for_kind` gives it for `kind`; its tables have the COLUMNS and `doc`."""
    compiler = _Compiler(COLUMNS[kind])
    return Clause(compiler.visit(condition), compiler.parameters)


def hub_equals(document: str, path: str, value: str) -> bool:
    """
    SQL function for keys that SQLite's JSON paths cannot name: whether the document has the value there.

    Args: document: JSON. path: JSON list of keys. value: JSON.
    """
    return _matcher(path, value)(msgspec.json.decode(document))


class _Compiler:
    def __init__(self, columns: dict[tuple[str, ...], str]) -> None:
        self._columns = columns
        self.parameters: dict[str, Bound] = {}

    def visit(self, condition: Condition) -> str:
        if isinstance(condition, And):
            return " AND ".join(self.visit(part) for part in condition.parts) or "1"
        if isinstance(condition, HasText):
            return self._text(condition)
        if isinstance(condition, IsOneOf):
            place = self._column(condition.field)
            among = self._bind(msgspec.json.encode(condition.texts).decode())
            return f"{place} IN (SELECT value FROM json_each({among})) AND {place} <> ''"
        return self._in_document(condition.field.path, condition.value)

    def _bind(self, value: Bound) -> str:
        name = f"q{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def _text(self, condition: HasText) -> str:
        place = self._column(condition.field)
        if condition.text is None:
            return f"{place} = ''"
        # the second half lets SQLite use the indexes that leave out ''
        return f"{place} = {self._bind(condition.text)} AND {place} <> ''"

    def _column(self, field: Field) -> str:
        """Of a field that holds nothing but text; '' where it is null or not there."""
        column = self._columns.get(field.path)
        return column or f"coalesce(json_extract(doc, {self._bind(_place(field.path))}), '')"

    def _in_document(self, path: tuple[str, ...], value: Value) -> str:
        if not all(_PLAIN_KEY.fullmatch(key) for key in path):
            arguments = (msgspec.json.encode(part).decode() for part in (path, value))
            return f"hub_equals(doc, {', '.join(self._bind(argument) for argument in arguments)})"
        place = self._bind(_place(path))
        if value is None:
            return f"coalesce(json_type(doc, {place}), 'null') = 'null'"
        alone, item = self._comparison(value)
        alone = alone.format(found=f"json_extract(doc, {place})")
        among = f"EXISTS (SELECT 1 FROM json_each(doc, {place}) AS item WHERE {item})"
        return f"CASE json_type(doc, {place}) {alone} WHEN 'array' THEN {among} ELSE 0 END"

    def _comparison(self, value: Value) -> tuple[str, str]:
        if isinstance(value, bool):
            name = "true" if value else "false"
            return f"WHEN '{name}' THEN 1", f"item.type = '{name}'"
        if isinstance(value, str):
            bound = self._bind(value)
            return f"WHEN 'text' THEN {{found}} = {bound}", f"item.type = 'text' AND item.value = {bound}"
        bound = self._number(value)
        alone = f"WHEN 'integer' THEN {{found}} = {bound} WHEN 'real' THEN {{found}} = {bound}"
        return alone, f"item.type IN ('integer', 'real') AND item.value = {bound}"

    def _number(self, value: Value) -> str:
        if isinstance(value, float) and value - value == 0:
            # read by SQLite as it reads the document: its last binary digit may differ from Python's
            return f"json_extract({self._bind(repr(value))}, '$')"
        assert isinstance(value, int | float)
        return self._bind(value)


def _place(path: tuple[str, ...]) -> str:
    return "$" + "".join(f'."{key}"' for key in path)


@lru_cache(maxsize=256)
def _matcher(path: str, value: str) -> Callable[[dict[str, object]], bool]:
    field = Field(tuple(msgspec.json.decode(path, type=list[str])))
    return compile_python(Equals(field, msgspec.json.decode(value), ""))
