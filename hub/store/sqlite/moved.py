"""A file whose place another one has taken: the mark in it, what keeps writers from it, and how the other is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from hub.errors import Refused, Unavailable

MARK: Final = 1_000_000
"""
Added to the schema version of such a file. So releases that know nothing of this refuse it: "made by a newer hub".
"""
MOST: Final = 1_000
"""Longest chain of files: nobody has so many releases, so a longer one is a circle."""

_FENCE: Final = "hub_moved"


class Moved(Unavailable):
    """Another file has taken the place of the one that was opened."""


class Mark(NamedTuple):
    """`into`: name of the file, in the same folder. `schema`: of the marked file. `at_ms`: when, since 1970."""

    into: str
    schema: int
    at_ms: int


def is_moved(connection: sqlite3.Connection) -> bool:
    """Whether another file has taken the place of this one. Some microseconds."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version) >= MARK


def mark_of(path: Path) -> Mark | None:
    """The mark of a file; None: it has none, or is not there. Raises sqlite3.Error."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return read(connection) if is_moved(connection) else None


def read(connection: sqlite3.Connection) -> Mark:
    """Of a marked file."""
    return Mark(*connection.execute("SELECT into_name, schema, at_ms FROM moved").fetchone())


def chain(path: Path) -> list[Path]:
    """
    The file, the one that took its place, and so on; the last is the one in force.

    Raises: Refused: one of them is missing. sqlite3.Error.
    """
    files = [path]
    while (mark := mark_of(files[-1])) is not None:
        after = path.parent / mark.into
        if not after.exists():
            raise Refused(
                "store", f"{files[-1]} was upgraded into {after}, which is not there: put it back, or restore a backup"
            )
        files.append(after)
        if len(files) > MOST:
            raise Refused("store", f"{path} and {after} each name the other as their successor: restore a backup")
    return files


def mark(connection: sqlite3.Connection, mark: Mark, database: str = "main") -> None:
    """
    In the caller's transaction: mark the file, and make every write to it fail, also of those who have it open.

    Whoever writes then gets SQLITE_CONSTRAINT_TRIGGER, which `hub.store.sqlite.failures` makes Fenced of.
    """
    for number, table in enumerate(tables(connection, database)):
        for change in ("INSERT", "UPDATE", "DELETE"):
            connection.execute(
                f"""CREATE TRIGGER {database}.{_FENCE}_{number}_{change} BEFORE {change} ON {quoted(table)} BEGIN
                SELECT RAISE(ABORT, 'this file was upgraded into another one: start again with the newer hub'); END"""
            )
    connection.execute(
        f"""CREATE TABLE {database}.moved (into_name TEXT NOT NULL, schema INTEGER NOT NULL,
            at_ms INTEGER NOT NULL) STRICT"""
    )
    connection.execute(f"INSERT INTO {database}.moved VALUES (?, ?, ?)", mark)
    connection.execute(f"PRAGMA {database}.user_version = {MARK + mark.schema}")


def unmark(connection: sqlite3.Connection, mark: Mark, database: str = "main") -> None:
    """In the caller's transaction: the file as it was before `mark`."""
    triggers = connection.execute(
        f"SELECT name FROM {database}.sqlite_master WHERE type = 'trigger' AND name GLOB '{_FENCE}_*'"
    ).fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {database}.{quoted(name)}")
    connection.execute(f"DROP TABLE {database}.moved")
    connection.execute(f"PRAGMA {database}.user_version = {mark.schema}")


def tables(connection: sqlite3.Connection, database: str = "main") -> Iterator[str]:
    """The names of all tables of the file, but SQLite's own."""
    rows = connection.execute(
        f"SELECT name FROM {database}.sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*' ORDER BY name"
    ).fetchall()
    return (name for (name,) in rows)


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
