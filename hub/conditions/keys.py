"""The name under which a profile's document keeps what a history needs."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final, cast

import msgspec

from hub.conditions.ast import Condition, History

HISTORY: Final = ("metadata", "history")
"""Where in a profile's document histories are kept, each under its key."""


def key_of(history: History) -> str:
    """16 hex digits. Histories that differ in function or window only have the same."""
    where = None if history.where is None else unplaced(history.where)
    return _key(history.event_type, where, None if history.field is None else history.field.path)


def unplaced(condition: Condition) -> Condition:
    """The same without where in a text it stood: two that were written differently and mean the same are equal."""
    return cast("Condition", _unplaced(condition))


def _unplaced(node: object) -> object:
    if isinstance(node, tuple):
        return tuple(map(_unplaced, node))
    if not isinstance(node, msgspec.Struct):
        return node
    fields = ((name, getattr(node, name)) for name in node.__struct_fields__)
    return type(node)(**{name: _PLACED.get(name, _unplaced(value)) for name, value in fields})


_PLACED: Final = {"line": 1, "column": 1, "is_bare": False}


@lru_cache(maxsize=1024)
def _key(event_type: str, where: Condition | None, field: tuple[str, ...] | None) -> str:
    return blake2b(msgspec.json.encode((event_type, where, field)), digest_size=8).hexdigest()
