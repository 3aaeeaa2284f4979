"""All profiles of a store, by id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hub.store.port import Walking

PAGE: Final = 500
"""Profiles read at once."""


def all_profiles(store: Walking) -> Iterator[tuple[str, bytes]]:
    """(id, document as JSON), by id; a page of them is in memory. Raises Unavailable."""
    id = ""
    while page := store.profiles_after(id, PAGE):
        yield from page
        id = page[-1][0]
