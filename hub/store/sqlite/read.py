"""What the API asks of the store: one document, pages of a search, counts, the balance sheet's numbers."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from hub.conditions.ast import Condition
from hub.model import OLDEST_MS, OUTLIERS, CounterKey, Counts, month_of
from hub.store.cursor import Cursor, decode_cursor, encode_cursor
from hub.store.documents import OPEN, SHOWN_BYTES, body_view
from hub.store.port import Kind, Page, Span, check_size
from hub.store.query import of_people, prepare
from hub.store.query.facets import BEGAN
from hub.store.query.paths import Bound, json_path
from hub.store.query.sql import Clause, compile_sql
from hub.store.sqlite.database import Database
from hub.store.sqlite.identity import person, survivor
from hub.store.sqlite.schema import events_table


class Table(NamedTuple):
    """A table that a search walks through: where its time is, and what of it makes the document."""

    kind: Kind
    name: str
    time: str  # column, or 0 where the order is that of creation
    columns: str = "doc"
    partition: str = ""

    @property
    def order(self) -> str:
        return "seq DESC" if self.time == "0" else f"{self.time} DESC, seq DESC"

    @property
    def after(self) -> str:
        return "seq < :c_seq" if self.time == "0" else f"({self.time}, seq) < (:c_time, :c_seq)"


# a large original lies in the blobs
_BODY: Final = """CASE WHEN body_sha256 IS NULL THEN body
    ELSE coalesce((SELECT data FROM blobs WHERE sha256 = body_sha256), body) END"""
_TABLES: Final[dict[str, Table]] = {
    "profiles": Table("profiles", "profiles", "0"),
    "sessions": Table("sessions", "sessions", "0"),
    "dead-letters": Table(
        "dead-letters",
        "dead_letters",
        "at_ms",
        # substr of no bytes is NULL
        f"doc, coalesce(substr({_BODY}, 1, {SHOWN_BYTES}), x''), body_size",
    ),
}


class ReadSide:
    """`Reading` of the port. Any number of threads; each call has a connection to itself."""

    _db: Database

    def ping(self) -> None:
        """Raises Unavailable when the store cannot answer."""
        with self._db.reading() as connection:
            connection.execute("SELECT 1 FROM epochs LIMIT 1").fetchone()

    def get(self, kind: Kind, id: str) -> dict[str, Any] | None:
        """One document by id, of profiles by any id that was ever theirs; or None. Raises Unavailable."""
        with self._db.reading() as connection:
            if kind == "profiles":
                id = survivor(connection, id)
            for table in tables(connection, kind):
                row = connection.execute(f"SELECT {table.columns} FROM {table.name} WHERE id = ?", (id,)).fetchone()
                if row is not None:
                    return _document(*row)
        return None

    def search(self, kind: Kind, query: str, size: int, cursor: str | None, span: Span | None = None) -> Page:
        """Matches, newest first. Raises QueryError, Unavailable, and ValueError for a size outside 1 to 1,000."""
        check_size(size)
        condition = prepare(query, kind)
        after = None if cursor is None else decode_cursor(cursor, kind)
        items: list[tuple[Cursor, dict[str, Any]]] = []
        with self._db.reading() as connection:
            clause = clause_of(connection, condition, kind, span)
            for table in tables(connection, kind, span):
                if after is None or _rank(table.partition) <= _rank(after.partition):
                    items += _matches(connection, table, clause, size + 1 - len(items), after)
                if len(items) > size:
                    return Page([document for _, document in items[:size]], encode_cursor(items[size - 1][0]))
        return Page([document for _, document in items], None)

    def count(self, kind: Kind, query: str, span: Span | None = None) -> int:
        """How many documents match. Raises QueryError, Unavailable."""
        condition = prepare(query, kind)
        with self._db.reading() as connection:
            clause = clause_of(connection, condition, kind, span)
            return sum(
                connection.execute(
                    f"SELECT count(*) FROM {table.name} WHERE {clause.sql}", clause.parameters
                ).fetchone()[0]
                for table in tables(connection, kind, span)
            )

    def counters(self) -> list[tuple[CounterKey, Counts]]:
        """Every counter, oldest minute first. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute("SELECT * FROM counters ORDER BY minute, epoch, partition, source").fetchall()
        return [(CounterKey(*row[:4]), Counts(*row[4:])) for row in rows]

    def latest_progress(self) -> tuple[int, dict[int, int]]:
        """The newest epoch and its progress; (0, {}) for a new store. Raises Unavailable."""
        with self._db.reading() as connection:
            # one statement, so that both are of the same moment
            rows = connection.execute(
                """SELECT number, partition, next_offset FROM (SELECT max(number) AS number FROM epochs)
                LEFT JOIN progress ON epoch = number"""
            ).fetchall()
        return rows[0][0] or 0, {partition: offset for _, partition, offset in rows if partition is not None}

    def open_dead_letters(self, query: str, size: int, after: int) -> tuple[list[dict[str, Any]], int | None]:
        """Documents without the body, first come first; where the next begin. Raises QueryError, Unavailable."""
        check_size(size)
        clause = _open(query)
        with self._db.reading() as connection:
            rows = connection.execute(
                f"SELECT seq, doc FROM dead_letters WHERE {clause.sql} AND seq > :after ORDER BY seq LIMIT :limit",
                {**clause.parameters, "after": after, "limit": size + 1},
            ).fetchall()
        return [msgspec.json.decode(doc) for _, doc in rows[:size]], rows[size - 1][0] if len(rows) > size else None

    def count_open_dead_letters(self, query: str) -> int:
        """How many dead letters match and are open. Raises QueryError, Unavailable."""
        clause = _open(query)
        with self._db.reading() as connection:
            found = connection.execute(f"SELECT count(*) FROM dead_letters WHERE {clause.sql}", clause.parameters)
            return int(found.fetchone()[0])

    def dead_letter_body(self, id: str) -> bytes | None:
        """The original bytes of a dead letter; None if there is no such letter. Raises Unavailable."""
        with self._db.reading() as connection:
            row = connection.execute(f"SELECT {_BODY} FROM dead_letters WHERE id = ?", (id,)).fetchone()
        return None if row is None else bytes(row[0])


def clause_of(connection: sqlite3.Connection, condition: Condition, kind: Kind, span: Span | None = None) -> Clause:
    """The WHERE clause of a search. Args: span: only what is of this time."""
    clause = compile_sql(of_people(condition, partial(person, connection)), kind)
    if span is None:
        return clause
    time = _TABLES[kind].time if kind in _TABLES else "time_ms"
    if time == "0":
        within = "hub_bucket(json_extract(doc, :s_began), :s_edges) IS NOT NULL"
        more: dict[str, Bound] = {"s_began": json_path(BEGAN), "s_edges": msgspec.json.encode(span).decode()}
    else:
        within, more = f"{time} >= :s_since AND {time} < :s_until", {"s_since": span.since_ms, "s_until": span.until_ms}
    return Clause(f"{within} AND {clause.sql}", {**clause.parameters, **more})


def _open(query: str) -> Clause:
    clause = compile_sql(prepare(query, "dead-letters"), "dead-letters")
    return Clause(f"status = :open AND ({clause.sql})", {**clause.parameters, "open": OPEN})


def tables(connection: sqlite3.Connection, kind: Kind, span: Span | None = None) -> list[Table]:
    """
    In the order of a search: months from the newest, then the events whose time is out of range.

    Args: span: without those that have nothing of this time.
    """
    if kind != "events":
        return [_TABLES[kind]]
    names = [name for (name,) in connection.execute("SELECT name FROM partitions") if _touches(name, span)]
    names.sort(key=_rank, reverse=True)
    return [Table("events", events_table(name), "time_ms", partition=name) for name in names]


def _touches(partition: str, span: Span | None) -> bool:
    if partition == OUTLIERS or span is None:
        return True
    first, last = (month_of(max(time_ms, OLDEST_MS)) for time_ms in span)
    return first <= partition <= last


def _rank(partition: str) -> str:
    return "" if partition == OUTLIERS else partition


def _matches(
    connection: sqlite3.Connection, table: Table, clause: Clause, limit: int, after: Cursor | None
) -> list[tuple[Cursor, dict[str, Any]]]:
    within = after is not None and after.partition == table.partition
    parameters = {**clause.parameters, "limit": limit}
    if within and after is not None:
        parameters |= {"c_time": after.time_ms, "c_seq": after.seq}
    rows = connection.execute(
        f"""SELECT {table.time}, seq, {table.columns} FROM {table.name}
        WHERE {clause.sql} AND {table.after if within else "1"} ORDER BY {table.order} LIMIT :limit""",
        parameters,
    ).fetchall()
    return [(Cursor(table.kind, table.partition, time, seq), _document(*rest)) for time, seq, *rest in rows]


def _document(doc: str, start: bytes | None = None, size: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(doc)
    return document if start is None else document | body_view(start, size)
