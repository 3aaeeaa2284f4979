"""From one version of a store to the next: what there is to do, doing it beside the old one, and going back."""

from __future__ import annotations

import time
from pathlib import Path

from hub.errors import Refused
from hub.store.factory import file_of
from hub.store.sqlite.beside import Outlook, Step, Tell, Upgraded, gigabytes, look, upgrade
from hub.store.sqlite.rollback import File, RolledBack, discard, files, roll_back

__all__ = [
    "File",
    "Outlook",
    "RolledBack",
    "Step",
    "Tell",
    "Upgraded",
    "discard",
    "due",
    "files",
    "gigabytes",
    "look",
    "now_ms",
    "require_file",
    "roll_back",
    "upgrade",
]


def due(url: str) -> Path | None:
    """
    The file that has to be upgraded before a process opens the store for writing; None: there is nothing to do.

    Small changes are made in place when it is opened.

    Args: url: as of `open_store`. Raises: Refused, Unavailable.
    """
    path = file_of(url)
    return None if path is None or not path.exists() or look(path).is_instant else path


def require_file(url: str) -> Path:
    """The file that the store's URL names. Raises Refused for a store of another kind."""
    path = file_of(url)
    if path is None:
        raise Refused("store", "only a store in a file has versions: HUB_STORE__URL=sqlite:///FILE")
    return path


def now_ms() -> int:
    """The clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000
