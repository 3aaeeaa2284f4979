"""Back to the file of before an upgrade, and away with what is not needed any more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from hub.errors import Refused
from hub.store.sqlite import moved
from hub.store.sqlite.beside import relatives, remove, remove_parts
from hub.store.sqlite.failures import translated
from schemas.topics import EVENTS

BUSY_S: Final = 1.0
ON_NO_LOG: Final = ("blobs", "tasks", "slices", "flow_runs", "flow_waits", "definition_versions", "segment_sizes")
"""
Tables whose rows nobody can read from Kafka again: the older file gets those that were written since. All else the
collector applies again, from the position that the older file has.
"""

Role: TypeAlias = Literal["in force", "kept", "emptied", "given up", "unused"]
"""
`kept`: of before an upgrade; one can go back to the last. `emptied`: one can not, it only says where the store is.
`given up`: went out of force by a rollback, and holds what was stored until then. `unused`: an upgrade was cut off just
before it would have come into force.
"""
Point: TypeAlias = Literal["opened", "carried", "marked", "done"]
POINTS: Final[tuple[Point, ...]] = ("opened", "carried", "marked", "done")


class File(NamedTuple):
    """One file of a store. `at_ms`: when it went out of force, since 1970; 0: it did not."""

    path: Path
    role: Role
    schema: int
    bytes: int
    at_ms: int


class RolledBack(NamedTuple):
    """`path`: the file that is in force again. `left`: the other one. `carried`: by table, rows written since."""

    path: Path
    schema: int
    left: Path
    carried: dict[str, int]


def files(path: Path) -> list[File]:
    """
    All files of a store, those that were in force in their order first.

    Raises: Refused, Unavailable.
    """
    path = path.absolute()
    with translated(path):
        line = moved.chain(path)
        listed = [_file(one, "in force" if one == line[-1] else "kept") for one in line if one.exists()]
        rest = [one for one in relatives(path) if one not in line]
        return listed + [_file(one, "unused" if moved.mark_of(one) is None else "given up") for one in rest]


def roll_back(
    path: Path, *, now_ms: Callable[[], int], is_forced: bool = False, at: Callable[[Point], None] = lambda _: None
) -> RolledBack:
    """
    Put the file of before the last upgrade in force again, in one transaction over both.

    What was stored since then is in the file that goes; the collector applies it again from the log. What is on no log
    is written to the older file here (ON_NO_LOG).

    Args: path: as in the store's URL. is_forced: also if the log does not reach back so far. at: called at each of
        POINTS.

    Raises:
        Refused: nothing to go back to, a process has one of the files open, or the log does not reach back so far.
        Unavailable.
    """
    path = path.absolute()
    with translated(path):
        line = moved.chain(path)
        mark = moved.mark_of(line[-2]) if len(line) > 1 else None
    if mark is None:
        raise Refused("store", f"{path} was not upgraded into a file of its own: there is nothing to go back to")
    older, newer = line[-2:]
    if _is_emptied(older):
        raise Refused("store", f"{older} was emptied by `hub migrate discard`: restore a backup to go back")
    kept_ms = int(EVENTS.retention.total_seconds() * 1000) if EVENTS.retention else None
    if kept_ms is not None and now_ms() - mark.at_ms > kept_ms and not is_forced:
        raise Refused(
            "store",
            f"{older} is of {(now_ms() - mark.at_ms) // 86_400_000} days ago, and Kafka keeps events for "
            f"{kept_ms // 86_400_000} unless you have told it otherwise: what is gone from the log would be missing "
            "after it. --force goes back all the same",
        )
    with translated(newer), closing(_alone(newer)) as connection:
        connection.execute("ATTACH ? AS older", (f"{older.as_uri()}?mode=rw",))
        try:
            _require_alone(connection, "older", older)
            at("opened")
            connection.execute("BEGIN EXCLUSIVE")
            moved.unmark(connection, mark, "older")
            carried = {table: _carry(connection, table) for table in ON_NO_LOG if _is_in_both(connection, table)}
            at("carried")
            (version,) = connection.execute("PRAGMA main.user_version").fetchone()
            moved.mark(connection, moved.Mark(older.name, version, now_ms()))
            at("marked")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute("PRAGMA main.journal_mode = WAL")
            raise
        at("done")
    return RolledBack(older, mark.schema, newer, {table: rows for table, rows in carried.items() if rows})


def discard(path: Path) -> list[File]:
    """
    Remove all files that are not in force; after it there is no way back.

    The one that the store's URL names becomes a small one that says where the store is.

    Returns: what was removed or emptied. Raises: Refused: a process has one of them open. Unavailable.
    """
    path = path.absolute()
    listed = files(path)
    going = [one for one in listed if one.role not in ("in force", "emptied")]
    live = next(one for one in listed if one.role == "in force").path
    for one in going:
        with translated(one.path), closing(_alone(one.path)):
            """Nobody has it open."""
    if live != path:
        with translated(path), closing(_alone(path)) as connection:
            _empty(connection, live.name)
    for one in going:
        if one.path != path:
            remove(one.path)
    remove_parts(path)
    return going


def _file(path: Path, role: Role) -> File:
    mark = moved.mark_of(path)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if role == "kept" and _is_emptied(path):
        role = "emptied"
    beside = (path.with_name(path.name + suffix) for suffix in ("", "-wal"))
    size = sum(one.stat().st_size for one in beside if one.exists())
    return File(path, role, mark.schema if mark else version, size, mark.at_ms if mark else 0)


def _is_emptied(path: Path) -> bool:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return set(moved.tables(connection)) == {"moved"}


def _empty(connection: sqlite3.Connection, live: str) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    for table in moved.tables(connection):
        if table != "moved":
            connection.execute(f"DROP TABLE {moved.quoted(table)}")
    connection.execute("UPDATE moved SET into_name = ?", (live,))
    connection.execute("COMMIT")
    connection.execute("VACUUM")


def _carry(connection: sqlite3.Connection, table: str) -> int:
    """Rows that the newer file has and the older one has not, or has otherwise. Returns how many."""
    names, other = (
        [row[1] for row in connection.execute(f"PRAGMA {database}.table_info({table})")]
        for database in ("older", "main")
    )
    columns = ", ".join(moved.quoted(name) for name in names if name in other)
    written = connection.execute(
        f"INSERT OR REPLACE INTO older.{table} ({columns}) "
        f"SELECT {columns} FROM main.{table} EXCEPT SELECT {columns} FROM older.{table}"
    )
    return max(0, written.rowcount)


def _is_in_both(connection: sqlite3.Connection, table: str) -> bool:
    return all(table in set(moved.tables(connection, database)) for database in ("main", "older"))


def _alone(path: Path) -> sqlite3.Connection:
    """The file, which nobody else has open. Raises Refused."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        _require_alone(connection, "main", path)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_alone(connection: sqlite3.Connection, database: str, path: Path) -> None:
    # leaving WAL mode needs the file to itself; besides, a transaction over two files is only then whole in both
    try:
        (mode,) = connection.execute(f"PRAGMA {database}.journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as exc:
        if not getattr(exc, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise
        mode = "wal"
    if mode != "delete":
        raise Refused("store", f"a process has {path} open: stop the hub first (`hub down`), then run this again")
