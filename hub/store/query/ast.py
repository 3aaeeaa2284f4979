"""A search as a tree of values: what the grammar gives and every compiler takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool | None
"""What a field is compared with. Integers fit 64 bits; larger numbers are floats."""


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a document. Line and column are those of its first character in the query, from 1."""

    path: tuple[str, ...]  # keys, outermost first; digits are a position where the document has a list
    prefix: str = ""  # `profile`, `event`, `session`, or "" for the kind that is searched
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Equals:
    """The field has the value, or is a list that holds it; `None`: the field is null or not there."""

    field: Field
    value: Value
    written: str  # as it stood in the query, without quotes: ids are text even when they look like numbers


@dataclass(frozen=True, slots=True)
class HasText:
    """The field, which holds nothing but text, has this one; `None`: it is empty, null or not there."""

    field: Field
    text: str | None


@dataclass(frozen=True, slots=True)
class IsOneOf:
    """The field, which holds nothing but text, has one of these, none of them empty."""

    field: Field
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold. No parts: everything matches."""

    parts: tuple[Condition, ...]


Condition: TypeAlias = Equals | HasText | IsOneOf | And
