"""Values of a field as things to count: each a text that is the same in every store, and can be had back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from hub.conditions.ast import Field, Value
from hub.conditions.truth import at
from hub.store.port import Histogram, Series
from hub.store.query.paths import is_plain, json_path
from hub.store.query.sql import Compiler

NOTHING: Final = ""
"""The key of a field that is null, not there, or an object."""

BEGAN: Final = ("metadata", "time", "insert")
"""Where profiles and sessions say since when they are there."""
BEFORE_MS: Final = -(2**63)

_LARGEST: Final = 2**63


def key_of(value: object) -> str:
    """The key of a scalar; NOTHING for anything else. 1 and 1.0 have the same."""
    if isinstance(value, str):
        return f"t{value}"
    if isinstance(value, bool):
        return "btrue" if value else "bfalse"
    if isinstance(value, int | float):
        number = value if isinstance(value, int) else int(value) if value.is_integer() else value
        return f"n{number}" if -_LARGEST <= number < _LARGEST else f"n{float(value)!r}"
    return NOTHING


def value_of(key: str) -> Value:
    """The value of a key; None of NOTHING."""
    if key.startswith("t"):
        return key[1:]
    if key.startswith("b"):
        return key == "btrue"
    if not key:
        return None
    return float(key[1:]) if any(character in key for character in ".e") else int(key[1:])


def keys_of(document: object, field: Field) -> list[str]:
    """The keys of all values that a document has in a field, each once, in their order; of an id that is "", none."""
    found = at(document, field.path)
    keys = dict.fromkeys(map(key_of, found)) if isinstance(found, list) else {key_of(found): None}
    return [key for key in keys if key != NOTHING and not (field.is_text and key == "t")]


def group_of(document: object, field: Field) -> str:
    """The key of the first value that a document has in a field; NOTHING where there is none."""
    return next(iter(keys_of(document, field)), NOTHING)


def most_frequent(counts: Mapping[str, int], most: int) -> list[str]:
    """The keys that come most often, the most frequent first; of two alike the smaller one."""
    return sorted(counts, key=lambda key: (-counts[key], key.encode()))[:most]


def make_histogram(rows: Iterable[tuple[int, str, int]], intervals: int, groups: Sequence[str]) -> Histogram:
    """
    Put counts together.

    Args:
        rows: (interval, key of the group, count). intervals: how many there are.
        groups: Keys of those that are told apart; all else is other. None: there are no groups.
    """
    counts, other = [0] * intervals, [0] * intervals
    found = {key: [0] * intervals for key in groups}
    for interval, key, count in rows:
        counts[interval] += count
        found.get(key, other)[interval] += count
    series = [Series(value_of(key), one) for key, one in found.items()]
    return Histogram(counts, series, other if groups else [0] * intervals)


def hub_keys(document: str, field: str) -> str:
    """SQL function: `keys_of` as a JSON list. Args: both JSON."""
    return msgspec.json.encode(keys_of(msgspec.json.decode(document), _field(field))).decode()


def hub_group(document: str, field: str) -> str:
    """SQL function: `group_of`. Args: both JSON."""
    return group_of(msgspec.json.decode(document), _field(field))


def group_sql(field: Field, compiler: Compiler) -> str:
    """The expression that gives `group_of` of a row."""
    if field.is_text and is_plain(field.path):
        place = compiler.text(field)
        return f"CASE {place} WHEN '' THEN '' ELSE 't' || {place} END"
    python = f"hub_group(doc, {compiler.bind(msgspec.json.encode(field).decode())})"
    return _scalar(field, compiler, python) if is_plain(field.path) else python


def keys_sql(field: Field, compiler: Compiler) -> str:
    """The expression that gives `keys_of` of a row as a JSON list."""
    if field.is_text and is_plain(field.path):
        place = compiler.text(field)
        return f"CASE {place} WHEN '' THEN '[]' ELSE json_array('t' || {place}) END"
    return f"hub_keys(doc, {compiler.bind(msgspec.json.encode(field).decode())})"


def _scalar(field: Field, compiler: Compiler, otherwise: str) -> str:
    place = compiler.bind(json_path(field.path))
    found = f"json_extract(doc, {place})"
    return f"""CASE coalesce(json_type(doc, {place}), 'null') WHEN 'null' THEN '' WHEN 'text' THEN 't' || {found}
        WHEN 'true' THEN 'btrue' WHEN 'false' THEN 'bfalse' ELSE {otherwise} END"""


@lru_cache(maxsize=64)
def _field(field: str) -> Field:
    return msgspec.json.decode(field, type=Field)
