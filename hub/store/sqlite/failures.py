"""From SQLite's errors to the hub's, with words that say how to mend it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.errors import Fenced, PortError, Refused, Unavailable


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise Unavailable or Refused instead of SQLite's errors. Errors that would be our own fault pass unchanged."""
    try:
        yield
    except sqlite3.Error as exc:
        ours = _translate(exc, path)
        if ours is None:
            raise
        raise ours from exc


def _translate(exc: sqlite3.Error, path: Path) -> PortError | None:
    name = getattr(exc, "sqlite_errorname", "")
    for prefix, (kind, words) in _ERRORS.items():
        if name.startswith(prefix):
            return kind("store", f"{words.format(path=path, folder=path.parent)} ({name}: {exc})")
    return None


_ERRORS: dict[str, tuple[type[PortError], str]] = {
    "SQLITE_FULL": (Unavailable, "the disk is full: free space in {folder}; nothing was half written"),
    "SQLITE_BUSY": (Unavailable, "{path} is locked by another process for too long: try again, or find who holds it"),
    "SQLITE_LOCKED": (Unavailable, "{path} is locked: try again"),
    "SQLITE_IOERR": (
        Unavailable,
        "the disk under {path} fails or a limit on file size is reached: see the system's log",
    ),
    "SQLITE_READONLY": (Unavailable, "{path} may not be written: check its owner and rights, and those of {folder}"),
    "SQLITE_CANTOPEN": (Unavailable, "{path} cannot be opened: check that {folder} is there, its owner and rights"),
    "SQLITE_PERM": (Unavailable, "{path} may not be opened: check its owner and rights"),
    "SQLITE_AUTH": (Unavailable, "{path} may not be opened: check its owner and rights"),
    "SQLITE_NOMEM": (Unavailable, "no memory is left for {path}"),
    "SQLITE_CONSTRAINT_TRIGGER": (  # the hub has no others: hub.store.sqlite.moved
        Fenced,
        "{path} was upgraded into another file, and takes nothing any more: start again",
    ),
    "SQLITE_INTERRUPT": (
        Unavailable,
        "the search took too long and was stopped: add an id, a type, a profile or a session to it",
    ),
    "SQLITE_CORRUPT": (Refused, "{path} is damaged: stop the hub, keep the file, restore a backup or replay the log"),
    "SQLITE_NOTADB": (Refused, "{path} is not an SQLite file: move it away, or set HUB_STORE__URL to another"),
}
