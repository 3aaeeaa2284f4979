"""The connections of one process to the file: one that writes, as many as are needed that read."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import stamina

from hub.errors import Refused, Unavailable
from hub.store.query.functions import add_functions
from hub.store.sqlite import moved, schema, steps
from hub.store.sqlite.failures import translated

BUSY_S: Final = 10.0
"""How long a writer waits for another process's transaction before it gives up."""
READ_LIMIT_S: Final = 30.0
"""Longest single read; a search over millions of events without an index must not hold a thread for ever."""
OLDEST_SQLITE: Final = (3, 37)
"""STRICT tables. Source: sqlite.org/stricttables.html"""

_IDLE_READERS: Final = 8
_PAGE_BYTES: Final = 8_192
_WAL_PAGES: Final = 8_000  # 64 MiB: a batch of 1,000 events writes some 2,000 pages
_CHECKPOINT_S: Final = 0.25  # between two checkpoints; at full speed 2,000 pages come in that time
_EMPTY_BUSY_MS: Final = 250  # in which no other process writes while `empty_log` waits for who reads
_EMPTY_TRIES: Final = 4
_STEPS: Final = 100_000  # virtual machine steps between two looks at the clock: some milliseconds


class Database:
    """Opens, lends and closes connections. Thread-safe."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Raises: Refused, Unavailable; see `hub.store.factory.open_store`."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise Refused(
                "store", f"SQLite {sqlite3.sqlite_version} is too old; this Python needs one with 3.37 or later"
            )
        self._asked = path.absolute()
        self.path = self._asked  # or the file that has taken its place
        self.readonly = readonly
        self._turn = threading.Lock()  # of the writing connection
        self._pool = threading.Lock()  # of the list of idle readers
        self._idle: list[sqlite3.Connection] = []
        self._closed = threading.Event()
        self._written = threading.Event()
        self._writer = None if readonly else self._following(self._open_writer)
        self._checkpointer = threading.Thread(target=self._checkpoint, name="checkpoint", daemon=True)
        if self._writer is not None:
            self._checkpointer.start()

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """The writing connection outside a transaction: for the writer's own reads, whose pages it has in memory."""
        if self._writer is None:
            raise Refused("store", f"{self.path} was opened for reading only")
        with self._turn, translated(self.path):
            yield self._writer

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """
        A transaction that no other writer can cross: committed when the block ends, undone when it raises.

        Args: durable: Force it to disk before it returns; see the module `hub.store.sqlite`.
        """
        with self.exclusive() as connection:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
                self._written.set()
            except BaseException:
                # SQLite has undone it already after some errors, such as a full disk
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that only reads. Each statement sees what was committed when it began; none blocks a writer."""
        with translated(self.path):
            connection = self._borrow()
            deadline = time.monotonic() + READ_LIMIT_S
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            try:
                yield connection
            finally:
                connection.set_progress_handler(None, 0)
                self._give_back(connection)

    def empty_log(self) -> None:
        """
        Copy all of the write-ahead log into the file and cut it to nothing: what was deleted can still be read in it.

        Raises: Unavailable: somebody reads what was before; nobody does so for much longer than `READ_LIMIT_S`.
        """
        for _ in range(_EMPTY_TRIES):
            with self.exclusive() as connection:
                connection.execute(f"PRAGMA busy_timeout = {_EMPTY_BUSY_MS}")
                try:
                    (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                finally:
                    connection.execute(f"PRAGMA busy_timeout = {round(BUSY_S * 1000)}")
            if not is_busy:
                return
            self._closed.wait(_CHECKPOINT_S)
        raise Unavailable("store", f"{self.path}-wal cannot be emptied yet: somebody reads what was before")

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        with self._pool:
            self._closed.set()
            idle, self._idle = self._idle, []
        self._written.set()
        for connection in idle:
            connection.close()
        with self._turn:
            if self._writer is not None:
                self._checkpointer.join()
                self._writer.close()

    def _checkpoint(self) -> None:
        """
        Copy what is committed from the write-ahead log into the file, beside the writer instead of in its way.

        A commit that finds 64 MiB in the log copies them itself, for a third of a second; this leaves it next to none.
        """
        with closing(self._connect("rw")) as connection:
            while not self._closed.wait(_CHECKPOINT_S):
                self._written.wait()
                self._written.clear()
                with suppress(sqlite3.OperationalError):  # a full disk, say: the writer finds out, and tells
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _borrow(self) -> sqlite3.Connection:
        while True:
            with self._pool:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._following(self._open_reader)
            if not moved.is_moved(connection):
                return connection
            connection.close()

    def _following(self, open: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        """Open the file, or the one that has taken its place."""
        try:
            return open()
        except moved.Moved:
            with translated(self._asked):
                self.path = moved.chain(self._asked)[-1]
            return open()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._pool:
            if not self._closed.is_set() and len(self._idle) < _IDLE_READERS:
                self._idle.append(connection)
                return
        connection.close()

    def _open_writer(self) -> sqlite3.Connection:
        with translated(self.path):
            connection = self._connect("rwc")
            try:
                _use_wal(connection, self.path)
                connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
                connection.execute("PRAGMA journal_size_limit = 134217728")  # bytes; after a long reader let it grow
                # what is deleted or replaced cannot be read in the file any more; some builds have that off
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute("PRAGMA cache_size = -8192")  # KiB, as it is negative
                connection.execute("PRAGMA temp_store = MEMORY")
                steps.require_instant(schema.check_version(connection, self.path), schema.MIGRATIONS, self.path)
                schema.migrate(connection, self.path)
            except BaseException:
                connection.close()
                raise
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        if not self.path.exists():
            raise Unavailable("store", f"{self.path} is not there yet: the collector makes it when it starts")
        connection = self._connect("ro")
        try:
            add_functions(connection)
            connection.execute("PRAGMA query_only = ON")
            schema.require_current(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        # one thread at a time uses a connection, but not always the same one
        return sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=1_000,
        )


def _is_busy(exc: Exception) -> bool:
    return getattr(exc, "sqlite_errorname", "").startswith("SQLITE_BUSY")


# when several processes turn a new file to WAL at once, SQLite fails some of them without waiting its busy time
# (11 of 240 here)
@stamina.retry(on=_is_busy, attempts=None, timeout=BUSY_S, wait_initial=0.01, wait_max=0.2)
def _use_wal(connection: sqlite3.Connection, path: Path) -> None:
    schema.check_version(connection, path)  # first: a file that is not ours must stay as it is
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file
    connection.execute("PRAGMA journal_mode = WAL")
