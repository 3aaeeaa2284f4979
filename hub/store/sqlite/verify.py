"""Is a file that was made of another one the same store? Rows, values, tables, and what the hub asks of a store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, get_args

from hub.errors import Refused
from hub.store.port import Kind, Reading
from hub.store.sqlite import schema
from hub.store.sqlite.moved import quoted, tables
from hub.store.sqlite.steps import changes

SAMPLES: Final = 1_000
"""Rows of each table that are compared value by value, evenly spread; all of them in a smaller table."""
_LOW: Final = 0xFFFFFFFF

Tell = Callable[[str], None]


class Differs(Exception):
    """The two are not the same; the message says where."""


def compare(
    old: sqlite3.Connection, new: sqlite3.Connection, steps: Sequence[Sequence[str]], tell: Tell = lambda _: None
) -> dict[str, int]:
    """
    Compare all that the steps leave alone.

    Of each table: how many rows there are, the sums of all numbers and of the lengths of all texts, and the values of
    SAMPLES rows. Reads both files once.

    Args: old, new: neither is written meanwhile. steps: that were applied to the second.

    Returns: how many rows the new tables have. Raises: Differs. sqlite3.Error.
    """
    changed = changes(steps)
    there = set(tables(new))
    for table in tables(old):
        if table in changed.dropped:
            continue
        if table not in there:
            raise Differs(f"table {table} is gone")
        if table in changed.counted:
            continue
        tell(table)
        columns = [name for name in _columns(old, table) if name not in changed.columns.get(table, ())]
        gone = set(columns) - set(_columns(new, table))
        if gone:
            raise Differs(f"columns of {table} are gone: {', '.join(sorted(gone))}")
        _same(f"rows and sums of {table}", *(_sums(one, table, columns) for one in (old, new)))
        for before, after in zip_longest(_samples(old, table, columns), _samples(new, table, columns)):
            _same(f"a row of {table}", before, after)
    return {table: new.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0] for table in sorted(there)}


def check_file(new: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> None:
    """
    Whether the file is sound, and has the tables and indexes of one that is made anew. Reads all of it.

    Raises: Differs. sqlite3.Error.
    """
    for pragma in ("integrity_check", "foreign_key_check"):
        found = [row for row in new.execute(f"PRAGMA {pragma}").fetchmany(3) if row != ("ok",)]
        if found:
            raise Differs(f"{pragma} says {'; '.join(str(row[0]) for row in found)}")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for statement in (one for statements in migrations for one in statements):
            fresh.execute(statement)
        if "partitions" in set(tables(fresh)):
            for (name,) in new.execute("SELECT name FROM partitions").fetchall():
                schema.create_events_table(fresh, name)
        for table in tables(fresh):
            _same(f"columns of {table}", *(_shape(one, table) for one in (fresh, new)))
        has = dict(_indexes(new))
        for name, sql in _indexes(fresh):
            _same(f"index {name}", sql, has.get(name))


def check_answers(store: Reading) -> None:
    """
    Whether the hub's own code reads it: searches, what they find by id, the books.

    Raises: Differs. Unavailable, Refused.
    """
    for kind in get_args(Kind):
        # nothing that takes longer with more that is stored: a single read has a limit
        for one in store.search(kind, "", 100, None).items:
            if store.get(kind, str(one.get("id"))) is None:
                raise Differs(f"{kind} {one.get('id')} is found by a search, and not by its id")
    store.books(0, 2**40)
    store.latest_progress()
    store.orders(10, None)
    store.merges([])


def as_refused(differs: Differs, path: Path) -> Refused:
    """What to tell the user."""
    return Refused(
        "store",
        f"what was made of {path} is not the same ({differs}), so it was thrown away, and {path} stays as it was. "
        "Check the disk and run `PRAGMA integrity_check` on it; if that says ok, this is a fault of the hub's: "
        "please report it, and go on with the release before",
    )


def _same(what: str, before: Any, after: Any) -> None:
    if before != after:
        raise Differs(f"{what}: {_short(after)} instead of {_short(before)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({quoted(table)})")]


def _shape(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    """Name, type, NOT NULL, default, place in the primary key."""
    return sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({quoted(table)})"))


def _indexes(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    return ((name, " ".join(sql.replace("IF NOT EXISTS ", "").split())) for name, sql in rows)


def _sums(connection: sqlite3.Connection, table: str, columns: Iterable[str]) -> tuple[Any, ...]:
    # in two halves, as the sum of offsets with an epoch in front is beyond 64 bits
    parts = ["count(*)"]
    for name in map(quoted, columns):
        is_number = f"typeof({name}) = 'integer'"
        parts += [
            f"sum({name} & {_LOW}) FILTER (WHERE {is_number})",
            f"sum({name} >> 32) FILTER (WHERE {is_number})",
            f"sum(length({name})) FILTER (WHERE NOT {is_number})",
        ]
    row: tuple[Any, ...] = connection.execute(f"SELECT {', '.join(parts)} FROM {quoted(table)}").fetchone()
    return row


def _samples(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    listed = ", ".join(map(quoted, columns)) or "1"
    name = quoted(table)
    try:
        first, last = connection.execute(f"SELECT min(rowid), max(rowid) FROM {name}").fetchone()
    except sqlite3.OperationalError:  # WITHOUT ROWID: the first ones in the order of the key
        yield from connection.execute(f"SELECT {listed} FROM {name} LIMIT {SAMPLES}")
        return
    if first is None:
        return
    step = max(1, (last - first) // SAMPLES)
    for at in range(first, last + 1, step):
        yield from connection.execute(f"SELECT {listed} FROM {name} WHERE rowid >= ? ORDER BY rowid LIMIT 1", (at,))
