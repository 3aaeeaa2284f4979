"""The balance sheet and the trace on SQLite: files of older versions, and what a read costs."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hub.model import CounterKey, Counts, Position
from hub.store.sqlite import SqliteStore, beside, schema
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event

MONTHS = range(0, 90 * 24 * 60, 7)


@pytest.mark.parametrize("version", [1, 2])
def test_totals_of_an_older_file_are_those_of_its_counters(tmp_path: Path, version: int) -> None:
    """A hub that is upgraded keeps its balance sheet, and goes on counting from there."""
    path = tmp_path / "hub.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    schema.migrate(connection, path, schema.MIGRATIONS[:version])
    rows = [(1, 0, "shop", 7, 3, 2, 1, 0, 0), (1, 1, "shop", 7, 1, 0, 0, 0, 1), (2, 0, "app", 8, 2, 1, 0, 0, 0)]
    connection.executemany("INSERT INTO counters VALUES (?,?,?,?,?,?,?,?,?)", rows)
    connection.execute("INSERT INTO progress VALUES (1, 0, 5)")
    connection.close()
    beside.upgrade(path, now_ms=lambda: NOW_MS)

    store = SqliteStore(path)
    shop, app = Counts(received=4, stored=2, duplicate=1, dead=1), Counts(received=2, stored=1)
    books = store.books(0, 100)
    assert books.totals == {"shop": shop, "app": app}
    assert books.wrong == [(8, "app", app)]
    assert store.written_at(Position(1, 0, 4, 0)) is None
    store.write(
        batch(progress={0: (5, 6)}, counters={CounterKey(1, 0, "shop", 9): Counts(received=1, stored=1)}), at_ms=77
    )
    assert store.books(0, 100).totals["shop"] == Counts(received=5, stored=3, duplicate=1, dead=1)
    assert store.written_at(Position(1, 0, 4, 0)) is None
    assert store.written_at(Position(1, 0, 5, 0)) == 77
    store.close()


def _plans(store: SqliteStore, ask: Any) -> list[str]:
    """How SQLite does each statement of a call."""
    statements: list[str] = []
    with store._db.reading() as connection:
        connection.set_trace_callback(statements.append)
    ask()
    with store._db.reading() as connection:
        connection.set_trace_callback(None)
        return [
            step[3]
            for one in statements
            if one.startswith(("SELECT", "\n", " "))
            for step in connection.execute(f"EXPLAIN QUERY PLAN {one}")
        ]


def test_books_read_no_more_than_they_show(tmp_path: Path) -> None:
    """Months of counters: totals are kept, rows and differences are found by an index and not sorted."""
    store = SqliteStore(tmp_path / "hub.sqlite")
    counters = {CounterKey(1, 0, "shop", minute): Counts(received=1, stored=1) for minute in MONTHS}
    store.write(batch(counters=counters))
    plans = _plans(store, lambda: store.books(MONTHS[-100], MONTHS[-1]))
    touching = [step for step in plans if "counters" in step]
    by_range, by_minute = "counters_minute (minute>? AND minute<?)", "counters_minute (minute=?)"
    assert {step.partition("INDEX ")[2] for step in touching} == {by_range, by_minute, "counters_wrong"}, plans
    store.close()


def test_neighbours_are_found_by_the_index_of_the_profile(tmp_path: Path) -> None:
    """A profile with a million events costs no more than one with ten."""
    store = SqliteStore(tmp_path / "hub.sqlite")
    store.write(batch(*(event(f"e{n}", time_ms=NOW_MS - n % 3 * MONTH_MS) for n in range(30))))
    plans = _plans(store, lambda: store.neighbours("e10", 20))
    touching = [step for step in plans if "events_" in step and "sqlite_autoindex" not in step]
    assert touching
    assert all("_profile (profile_id=?" in step for step in touching), plans
    assert not any("TEMP B-TREE" in step for step in plans)
    store.close()
