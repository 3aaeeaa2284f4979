"""A search for a profile id means the person: every id that has become part of the same profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from hub.conditions.ast import Atom, Compare, Condition, Constant, Field, OneOf
from hub.conditions.walk import mapped

_PROFILE: Final = ("profile", "id")


def of_people(condition: Condition, ids: Callable[[str], Sequence[str]]) -> Condition:
    """
    The same condition, with every id of the person in the place of the one that was asked for.

    Args:
        condition: On events or sessions, as `for_kind` gives it; on anything else nothing changes.
        ids: Every id of the profile that an id is part of now, that id included.
    """

    def change(atom: Atom) -> Condition:
        if not isinstance(atom.field, Field) or atom.field.path != _PROFILE:
            return atom
        if isinstance(atom, Compare) and atom.order == "=" and isinstance(atom.right, Constant) and atom.right.written:
            found = tuple(ids(atom.right.written))
            return atom if found == (atom.right.written,) else OneOf(atom.field, _constants(found))
        if isinstance(atom, OneOf):
            asked = [value.written for value in atom.values if isinstance(value, Constant) and value.written]
            others = tuple(value for value in atom.values if not isinstance(value, Constant))
            return OneOf(atom.field, (*_constants(dict.fromkeys(id for one in asked for id in ids(one))), *others))
        return atom

    return mapped(condition, change)


def _constants(texts: Sequence[str] | dict[str, None]) -> tuple[Constant, ...]:
    return tuple(Constant(text, text) for text in texts)
