"""A whole copy of the store as it is at one moment, while others write on; and whether a copy is sound."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

from hub.errors import Refused, Unavailable
from hub.store.sqlite import moved, schema
from hub.store.sqlite.failures import translated

BUSY_S: Final = 1.0
_PAGES: Final = 4_096  # copied at a time: 32 MiB


class Copied(NamedTuple):
    """`schema`: its version. `rows`: by table."""

    schema: int
    rows: dict[str, int]


class Snapshot:
    """The store in force, opened for reading. A context manager. Nobody has to wait for it."""

    def __init__(self, path: Path) -> None:
        """
        Args: path: as in the store's URL.

        Raises: Unavailable: there is no file. Refused: it is newer than this hub, or no store.
        """
        self._asked = path.absolute()
        with translated(self._asked):
            self.path = moved.chain(self._asked)[-1]
        if not self.path.exists():
            raise Unavailable("store", f"{self.path} is not there yet: the collector makes it when it starts")
        with translated(self.path):
            self._source = sqlite3.connect(
                f"{self.path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None
            )
            self._source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens all that it takes

    def begin(self) -> None:
        """
        From here on it is the store of this moment. Takes less than a millisecond.

        Raises: Moved: it was upgraded into another file just now. Refused: it is newer than this hub.
        """
        with translated(self.path):
            self._source.execute("BEGIN")
            version = schema.check_version(self._source, self.path)
        if version == 0:
            raise Unavailable("store", f"{self.path} is empty: the collector makes its tables when it starts")

    def copy(self, target: Path, tell: Callable[[int, int], None] = lambda _done, _all: None) -> Copied:
        """
        Write it into a file, one that has nothing beside it, and check that.

        Args: tell: gets how many of how many pages are copied.

        Raises: Refused: the copy is not sound, so the store is not. Unavailable: the disk is full.
        """
        with translated(target), closing(sqlite3.connect(target, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # whoever needs it for longer brings it to the disk
            self._source.backup(copy, pages=_PAGES, progress=lambda _status, left, total: tell(total - left, total))
            self._source.execute("ROLLBACK")
            copy.execute("PRAGMA journal_mode = DELETE")  # it was copied as being in WAL mode
        return check(target)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _at: TracebackType | None
    ) -> None:
        """Close it."""
        self._source.close()


def check(path: Path, pragma: Literal["integrity_check", "quick_check"] = "integrity_check") -> Copied:
    """
    Whether the file is a store that this hub can open, whole. Reads all of it.

    Args: pragma: the second does not compare indexes with their tables, and is several times as fast.

    Raises: Refused: it is not; or newer than this hub.
    """
    with translated(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        version = schema.check_version(connection, path)
        found = [str(row[0]) for row in connection.execute(f"PRAGMA {pragma}").fetchmany(3) if row != ("ok",)]
        if found:
            raise Refused("store", f"{path.name} is damaged: {pragma} says {'; '.join(found)}")
        rows = {
            table: int(connection.execute(f"SELECT count(*) FROM {moved.quoted(table)}").fetchone()[0])
            for table in moved.tables(connection)
        }
    return Copied(version, rows)
