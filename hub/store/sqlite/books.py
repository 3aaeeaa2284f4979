"""What the API asks of the store for the balance sheet: counters of one moment, bounded however old the hub is."""

from __future__ import annotations

import sqlite3
from typing import Final

from hub.model import Counts
from hub.store.port import MAX_ROWS, MAX_WRONG, Books, CountedMinute
from hub.store.sqlite.database import Database
from hub.store.sqlite.schema import events_table

_SUMS: Final = "sum(received), sum(stored), sum(duplicate), sum(dropped), sum(dead)"
_OFF: Final = "received <> stored + duplicate + dropped + dead"
# one more than is given out, which shows that there are more
_ROWS: Final = f"""SELECT minute, source, {_SUMS} FROM counters WHERE minute >= ? AND minute < ?
    GROUP BY minute, source ORDER BY minute DESC, source DESC LIMIT {MAX_ROWS + 1}"""
# the inner one walks the index of what is off, which is empty in a hub that does its work
_WRONG: Final = f"""SELECT minute, source, {_SUMS} FROM counters WHERE (minute, source) IN
    (SELECT DISTINCT minute, source FROM counters WHERE {_OFF} ORDER BY minute DESC, source DESC LIMIT {MAX_WRONG + 1})
    GROUP BY minute, source HAVING sum(received) <> sum(stored) + sum(duplicate) + sum(dropped) + sum(dead)
    ORDER BY minute DESC, source DESC"""


class BooksSide:
    """The balance sheet's part of `Reading` of the port."""

    _db: Database

    def books(self, since: int, until: int, *, count_events: bool = False) -> Books:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            # a transaction that reads: everything is of the moment of its first statement
            connection.execute("BEGIN")
            try:
                epoch, progress = _progress(connection)
                totals = {source: Counts(*counts) for source, *counts in connection.execute("SELECT * FROM totals")}
                rows = _minutes(connection.execute(_ROWS, (since, until)).fetchall())
                wrong = _minutes(connection.execute(_WRONG).fetchall())
                stored_events = _events(connection) if count_events else None
            finally:
                connection.execute("ROLLBACK")
        return Books(epoch, progress, totals, rows, wrong, stored_events)


def _progress(connection: sqlite3.Connection) -> tuple[int, dict[int, int]]:
    (epoch,) = connection.execute("SELECT coalesce(max(number), 0) FROM epochs").fetchone()
    rows = connection.execute("SELECT partition, next_offset FROM progress WHERE epoch = ?", (epoch,))
    return int(epoch), dict(rows.fetchall())


def _minutes(rows: list[tuple[int, str, int, int, int, int, int]]) -> list[CountedMinute]:
    return [CountedMinute(minute, source, Counts(*counts)) for minute, source, *counts in rows]


def _events(connection: sqlite3.Connection) -> int:
    """Those that are there, and those that were removed on purpose."""
    names = [name for (name,) in connection.execute("SELECT name FROM partitions")]
    count: int = connection.execute("SELECT removed FROM voiding").fetchone()[0]
    for name in names:
        count += connection.execute(f"SELECT count(*) FROM {events_table(name)}").fetchone()[0]
    return count
