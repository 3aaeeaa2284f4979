"""Stored events that are copied into profiles, or get their index fields anew."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from hub.model import Copied
from hub.store.port import EventSpan
from hub.store.query import prepare
from hub.store.sqlite.database import Database
from hub.store.sqlite.read import clause_of
from hub.store.sqlite.schema import events_table
from hub.store.sqlite.segments import is_void, void_of

_RECORD_MOST: Final = 4_096
"""Events behind a cut that are looked at for the end of the record: a payload has a thousand, and what they caused."""


class CopySide:
    """`Copies` of the port, and `events_to_copy`. Each page is a read of its own, as of a walk."""

    _db: Database

    def events_to_copy(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """See the port. Raises Unavailable."""
        found: dict[str, bytes] = {}
        rows: list[tuple[Any, ...]] = []
        with self._db.exclusive() as connection:
            present = {name for (name,) in connection.execute("SELECT name FROM partitions")}
            for partition, ids in _grouped(keys).items():
                if partition in present:
                    rows += connection.execute(
                        f"""SELECT id, profile_id, received_at_ms, profile_version, doc FROM {events_table(partition)}
                        WHERE id IN (SELECT value FROM json_each(?))""",
                        (msgspec.json.encode(ids).decode(),),
                    ).fetchall()
            void = void_of(connection, [row[1] for row in rows])
        for id, owner, received_ms, version, doc in rows:
            if not void or not is_void(void, owner, received_ms, version, doc):
                found[id] = doc.encode()
        return found

    def events_cut(self, partition: str, after: int, size: int) -> int:
        """See the port. Raises Unavailable."""
        table = events_table(partition)
        with self._db.reading() as connection:
            row = connection.execute(
                f"SELECT seq FROM {table} WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?", (after, size - 1)
            ).fetchone()
            if row is None:
                (last,) = connection.execute(f"SELECT max(seq) FROM {table} WHERE seq > ?", (after,)).fetchone()
                return int(last or 0)
            rows = connection.execute(
                f"""SELECT seq, epoch, partition, "offset" FROM {table} WHERE seq >= ? ORDER BY seq LIMIT ?""",
                (row[0], _RECORD_MOST),
            ).fetchall()
        until, *record = rows[0]
        for seq, *other in rows[1:]:
            if other != record:
                break
            until = seq
        return int(until)

    def count_between(self, span: EventSpan, query: str, types: Sequence[str]) -> int:
        """See the port. Raises QueryError, Unavailable."""
        with self._db.reading() as connection:
            where, parameters = _between(connection, span, query, types)
            (count,) = connection.execute(
                f"SELECT count(*) FROM {events_table(span.partition)} WHERE {where}", parameters
            ).fetchone()
        return int(count)

    def events_between(self, span: EventSpan, query: str, types: Sequence[str], most: int) -> list[tuple[int, bytes]]:
        """See the port. Raises QueryError, Unavailable."""
        with self._db.reading() as connection:
            where, parameters = _between(connection, span, query, types)
            rows = connection.execute(
                f"SELECT seq, doc FROM {events_table(span.partition)} WHERE {where} ORDER BY seq LIMIT :c_most",
                {**parameters, "c_most": most},
            ).fetchall()
        return [(seq, doc.encode()) for seq, doc in rows]

    def owners_between(self, span: EventSpan, query: str, types: Sequence[str]) -> list[tuple[str, int]]:
        """See the port. Raises QueryError, Unavailable."""
        with self._db.reading() as connection:
            where, parameters = _between(connection, span, query, types)
            rows: list[tuple[str, int]] = connection.execute(
                # + as in `_between`: sorted once they are found, not found by the index of profiles
                f"SELECT profile_id, seq FROM {events_table(span.partition)} WHERE {where} ORDER BY +profile_id, seq",
                parameters,
            ).fetchall()
        return rows

    def events_at(self, partition: str, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                f"""SELECT seq, doc FROM {events_table(partition)} WHERE seq IN (SELECT value FROM json_each(?))
                ORDER BY seq""",
                (msgspec.json.encode(list(numbers)).decode(),),
            ).fetchall()
        return [(seq, doc.encode()) for seq, doc in rows]

    def rewrite_events(self, partition: str, documents: Sequence[tuple[int, bytes, bytes]]) -> int:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            written = connection.executemany(
                f"UPDATE {events_table(partition)} SET doc = ? WHERE seq = ? AND doc = ?",
                ((new.decode(), seq, old.decode()) for seq, old, new in documents),
            )
            return max(0, written.rowcount)


def write_copied(connection: sqlite3.Connection, copied: Iterable[Copied]) -> None:
    """
    In the caller's transaction. Only these two members are changed: somebody else may have written the others since.
    """
    for partition, some in _grouped_copies(copied).items():
        connection.executemany(
            f"""UPDATE {events_table(partition)}
            SET doc = json_set(doc, '$.outcome.mapped', json(?), '$.outcome.copied', json(?)) WHERE id = ?""",
            ((one.mapped.decode(), one.copied.decode(), one.id) for one in some),
        )


def _between(
    connection: sqlite3.Connection, span: EventSpan, query: str, types: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    clause = clause_of(connection, prepare(query, "events"), "events")
    parameters = {
        **clause.parameters,
        "c_after": span.after,
        "c_until": span.until,
        "c_types": msgspec.json.encode(list(types)).decode(),
    }
    # + keeps SQLite from the index of types: whatever matches is read in the order of the numbers
    types_in = "+type IN (SELECT value FROM json_each(:c_types))"
    return f"seq > :c_after AND seq <= :c_until AND {types_in} AND ({clause.sql})", parameters


def _grouped(keys: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for partition, id in keys:
        groups[partition].append(id)
    return groups


def _grouped_copies(copied: Iterable[Copied]) -> dict[str, list[Copied]]:
    groups: defaultdict[str, list[Copied]] = defaultdict(list)
    for one in copied:
        groups[one.partition].append(one)
    return groups
