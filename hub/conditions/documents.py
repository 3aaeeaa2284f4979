"""Conditions on several documents at once, as `profile@traits.age > 30 AND event@type = purchase`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

import msgspec

from hub.conditions.ast import Atom, Between, Compare, Condition, Dated, Field, Folded, History, Operand
from hub.conditions.errors import QueryError
from hub.conditions.walk import field_of, mapped, with_field

FieldChange: TypeAlias = Callable[[Field], Field]


def of_documents(condition: Condition, names: Collection[str], usual: str) -> Condition:
    """
    The same condition on an object that holds the documents by name, `{"profile": …, "event": …}`: without prefixes.

    Args:
        names: Of the documents there.
        usual: The one that a field without a prefix is of.

    Raises: QueryError: a prefix that is no such name.
    """

    def placed(field: Field) -> Field:
        prefix = field.prefix or usual
        if prefix not in names:
            known = " and ".join(f"{name}@" for name in names)
            raise QueryError(f"{prefix}@ is not known here; known are {known}", field.line, field.column)
        return msgspec.structs.replace(field, path=(prefix, *field.path), prefix="")

    return mapped(condition, lambda atom: replaced(atom, placed))


def of_item(condition: Condition) -> Condition:
    """
    A condition on an item of a list (`Items.where`), as one on the document `{"": item}`: an item may be no object.
    """
    return mapped(
        condition,
        lambda atom: replaced(atom, lambda field: msgspec.structs.replace(field, path=("", *field.path))),
    )


def replaced(atom: Atom, change: FieldChange) -> Atom:
    """The same leaf with each of its fields changed."""
    place = with_field(atom.field, change(field_of(atom.field)))
    if isinstance(atom, Compare):
        return Compare(place, atom.order, _operand(atom.right, change))
    if isinstance(atom, Between):
        return Between(place, _operand(atom.low, change), _operand(atom.high, change))
    return msgspec.structs.replace(atom, field=place)


def _operand(operand: Operand, change: FieldChange) -> Operand:
    if isinstance(operand, Field | Folded | Dated | History):
        return with_field(operand, change(field_of(operand)))
    return operand
