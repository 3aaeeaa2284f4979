"""What agents ask of the store: slices of profiles by id, who of them has done something, sessions that are over."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from hub.model import OLDEST_MS, OUTLIERS, month_of
from hub.pipeline.documents import iso
from hub.store.port import Cut, IdleSession, Scope, check_size, ended_ms
from hub.store.query import prepare
from hub.store.query.sql import Clause, compile_sql
from hub.store.sqlite.database import Database
from hub.store.sqlite.schema import events_table

_END: Final = "json_extract(doc, '$.metadata.time.end')"


class ScanSide:
    """`Scanning` of the port. Each page is a read of its own, so that no long one keeps the WAL from being emptied."""

    _db: Database

    def next_cut(self, scope: Scope, after: str, size: int, query: str = "") -> Cut:
        """See the port. Raises QueryError, Unavailable."""
        # the clause of no query would keep SQLite from looking at the index alone
        clause = compile_sql(prepare(query, "profiles"), "profiles") if query else Clause("1", {})
        parameters = {**clause.parameters, "s_after": after, "s_skip": size - 1}
        behind = f"FROM {scope} WHERE id > :s_after AND {clause.sql}"
        with self._db.reading() as connection:
            row = connection.execute(f"SELECT id {behind} ORDER BY id LIMIT 1 OFFSET :s_skip", parameters).fetchone()
            if row is not None:
                return Cut(row[0], size)
            (rest,) = connection.execute(f"SELECT count(*) {behind}", parameters).fetchone()
            return Cut("", rest)

    def profile_ids(self, query: str, after: str, until: str, most: int) -> list[str]:
        """See the port. Raises QueryError, Unavailable."""
        check_size(most)
        clause = compile_sql(prepare(query, "profiles"), "profiles")
        with self._db.reading() as connection:
            rows = connection.execute(
                f"""SELECT id FROM profiles WHERE id > :s_after AND (:s_until = '' OR id <= :s_until) AND {clause.sql}
                ORDER BY id LIMIT :s_most""",
                {**clause.parameters, "s_after": after, "s_until": until, "s_most": most},
            )
            return [id for (id,) in rows]

    def active(self, ids: Sequence[str], event_type: str, since_ms: int) -> set[str]:
        """See the port. Raises Unavailable."""
        found: set[str] = set()
        with self._db.reading() as connection:
            for table in _tables_since(connection, since_ms):
                rows = connection.execute(
                    f"""WITH RECURSIVE people (id, whose) AS (
                        SELECT value, value FROM json_each(:ids)
                        UNION SELECT aliases.id, whose FROM aliases JOIN people ON into_id = people.id)
                    SELECT DISTINCT whose FROM people JOIN {table} ON profile_id = people.id
                    WHERE profile_id <> '' AND type = :type AND time_ms >= :since""",
                    {"ids": msgspec.json.encode(ids).decode(), "type": event_type, "since": since_ms},
                )
                found.update(id for (id,) in rows)
        return found

    def idle_sessions(self, after: str, until: str, since_ms: int, before_ms: int, most: int) -> list[IdleSession]:
        """See the port. Raises Unavailable."""
        check_size(most)
        with self._db.reading() as connection:
            rows = connection.execute(
                f"""SELECT id, profile_id, {_END} FROM sessions
                WHERE id > :after AND (:until = '' OR id <= :until) AND profile_id <> ''
                AND {_END} >= :since AND {_END} < :before AND json_extract(doc, '$.metadata.status') <> 'ended'
                ORDER BY id LIMIT :most""",
                {"after": after, "until": until, "since": iso(since_ms), "before": iso(before_ms), "most": most},
            ).fetchall()
            return [
                IdleSession(id, profile_id, ended_ms(end), _source(connection, id, ended_ms(end)))
                for id, profile_id, end in rows
            ]


def _source(connection: sqlite3.Connection, session_id: str, time_ms: int) -> str:
    """That the last event of a session came from, but for the hub's own."""
    for table in _tables_since(connection, time_ms):
        row = connection.execute(
            f"""SELECT source FROM {table} WHERE session_id = ? AND session_id <> '' AND source NOT LIKE '@%'
            ORDER BY time_ms DESC, seq DESC LIMIT 1""",
            (session_id,),
        ).fetchone()
        if row is not None:
            return str(row[0])
    return ""


def _tables_since(connection: sqlite3.Connection, since_ms: int) -> list[str]:
    """Of events, from the month of this time on."""
    first = month_of(max(since_ms, OLDEST_MS))
    names = sorted(name for (name,) in connection.execute("SELECT name FROM partitions"))
    return [events_table(name) for name in names if name == OUTLIERS or name >= first]
