"""What the API asks of the store for the trace of an event: when it was written, what its profile did around it."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from hub.model import OUTLIERS, Position
from hub.store.port import Neighbour
from hub.store.sqlite.database import Database
from hub.store.sqlite.schema import events_table


class _Found(NamedTuple):
    """Where an event lies: the number of its table in the order of a search, and what it is ordered by there."""

    table: int
    profile_id: str
    time_ms: int
    seq: int


class TraceSide:
    """The trace's part of `Reading` of the port."""

    _db: Database

    def written_at(self, position: Position) -> int | None:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            row = connection.execute(
                """SELECT first_offset, at_ms FROM writes WHERE epoch = ? AND partition = ? AND next_offset > ?
                ORDER BY next_offset LIMIT 1""",
                position[:3],
            ).fetchone()
        # what an older version has written left no row: the next one is of later records
        return None if row is None or row[0] > position.offset else int(row[1])

    def neighbours(self, id: str, most: int) -> tuple[list[Neighbour], list[Neighbour]]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM partitions")]
            # months from the newest, then the events whose time is out of range
            names.sort(key=lambda name: "" if name == OUTLIERS else name, reverse=True)
            tables = [events_table(name) for name in names]
            found = _find(connection, tables, id)
            if found is None or not found.profile_id:
                return [], []
            older = _walk(connection, tables[found.table :], found, most, newer=False)
            newer = _walk(connection, tables[found.table :: -1], found, most, newer=True)
        return older, newer


def _find(connection: sqlite3.Connection, tables: list[str], id: str) -> _Found | None:
    for number, table in enumerate(tables):
        row = connection.execute(f"SELECT profile_id, time_ms, seq FROM {table} WHERE id = ?", (id,)).fetchone()
        if row is not None:
            return _Found(number, *row)
    return None


def _walk(
    connection: sqlite3.Connection, tables: list[str], start: _Found, most: int, *, newer: bool
) -> list[Neighbour]:
    """The nearest first. Args: tables: the event's own first."""
    side, order = (">", "ASC") if newer else ("<", "DESC")
    found: list[Neighbour] = []
    beyond = f"AND (time_ms, seq) {side} (?, ?)"
    place: tuple[int, ...] = (start.time_ms, start.seq)
    for table in tables:
        # the second condition lets SQLite use the index, which leaves out ''
        rows = connection.execute(
            f"""SELECT id, type, time_ms, epoch, partition, "offset", place FROM {table}
            WHERE profile_id = ? AND profile_id <> '' {beyond} ORDER BY time_ms {order}, seq {order} LIMIT ?""",
            (start.profile_id, *place, most - len(found)),
        )
        found += [Neighbour(id, type, time_ms, Position(*at)) for id, type, time_ms, *at in rows]
        if len(found) == most:
            break
        beyond, place = "", ()  # all of a table further on lies beyond
    return found
