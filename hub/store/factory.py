"""From a store's URL to the store."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hub.errors import Refused
from hub.store.memory import MemoryStore
from hub.store.port import Store
from hub.store.sqlite import SqliteStore

_SQLITE: Final = "sqlite:///"


def open_store(url: str, *, readonly: bool = False) -> Store:
    """
    The store behind `url`.

    Args:
        url: `sqlite:///FILE` (relative; a fourth slash makes it absolute; taken literally, no %-escapes), or
            `memory://` for a new, empty store that lives as long as the object.
        readonly: Never write, create or migrate; a file that is not there yet makes each call raise Unavailable,
            until the collector has made it.

    Raises:
        Refused: No such kind of store, or a file that this version cannot read.
        Unavailable: The file cannot be opened now.
    """
    if url == "memory://":
        return MemoryStore()
    if (path := file_of(url)) is not None:
        return SqliteStore(path, readonly=readonly)
    # whatever follows the scheme may hold a password, so it is not repeated
    scheme = url.partition(":")[0][:32]
    raise Refused("store", f"no store for a URL that begins with {scheme!r}; supported: sqlite:///FILE and memory://")


def file_of(url: str) -> Path | None:
    """The file that a store's URL names; None: it names none."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) and len(url) > len(_SQLITE) else None
