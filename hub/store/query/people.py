"""A search for a profile id means the person: every id that has become part of the same profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from hub.store.query.ast import And, Condition, HasText, IsOneOf

_PROFILE: Final = ("profile", "id")


def of_people(condition: Condition, ids: Callable[[str], Sequence[str]]) -> Condition:
    """
    The same condition, with every id of the person in the place of the one that was asked for.

    Args:
        condition: On events or sessions, as `for_kind` gives it; on anything else nothing changes.
        ids: Every id of the profile that an id is part of now, that id included.
    """
    if isinstance(condition, And):
        return And(tuple(of_people(part, ids) for part in condition.parts))
    if not isinstance(condition, HasText) or condition.field.path != _PROFILE or not condition.text:
        return condition
    found = tuple(ids(condition.text))
    return condition if found == (condition.text,) else IsOneOf(condition.field, found)
