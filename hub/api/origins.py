"""Which way a message came: `rest`, `bridge:<id>:<position in the source>`; `destination:…`, `flow:…` likewise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Origin(NamedTuple):
    """Attributes: door: `rest`, `bridge`, `destination` or another; id, position: empty where the door has none."""

    door: str
    id: str
    position: str


def origin_of(text: str, known: Mapping[str, Iterable[str]]) -> Origin:
    """
    Of the text in a document.

    Args:
        known: Ids by door. An id may hold colons itself, so the longest that fits is it.
    """
    door, _, rest = text.partition(":")
    fitting = [id for id in known.get(door, ()) if f"{rest}:".startswith(f"{id}:")]
    id = max(fitting, key=len) if fitting else rest.partition(":")[0]
    return Origin(door, id, rest[len(id) + 1 :])
