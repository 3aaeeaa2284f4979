"""The keys that records of events.v1 are sealed with, and those that were thrown away and are still on keys.v1."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from hub.pipeline.data_keys import DataKey
from hub.store.port import Removal
from hub.store.sqlite.database import Database
from hub.store.sqlite.privacy import count_removed

_KEEP: Final = """INSERT INTO data_keys (id, mark, at_ms, kept_ms, wrapped) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING"""
_VOID: Final = "SELECT 1 FROM voids WHERE voids.mark = {mark} AND voids.since_ms = 0 AND voids.until_ms >= {at_ms}"


class KeySide:
    """`DataKeys` of the port, and what the sweeper does with them."""

    _db: Database

    def data_keys(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            marks = ",".join("?" * len(ids))
            rows = connection.execute(f"SELECT id, wrapped FROM data_keys WHERE id IN ({marks})", tuple(ids))
            return dict(rows.fetchall())

    def keys_read(self, topic_id: str) -> int:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            return _read(connection, topic_id)

    def keep_keys(
        self, topic_id: str, begin: int, end: int, keys: Sequence[DataKey], gone: Sequence[bytes], *, at_ms: int
    ) -> bool:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            if _read(connection, topic_id) != begin:
                return False
            if connection.execute("SELECT EXISTS (SELECT 1 FROM voids)").fetchone()[0]:
                keys = list(_wanted(connection, keys))
            connection.executemany(_KEEP, ((key.id, key.mark, key.at_ms, at_ms, key.wrapped) for key in keys))
            connection.executemany("DELETE FROM data_keys WHERE id = ?", ((id,) for id in gone))
            connection.execute(
                """INSERT INTO keys_read (topic_id, next_offset) VALUES (?,?)
                ON CONFLICT (topic_id) DO UPDATE SET next_offset = excluded.next_offset""",
                (topic_id, end),
            )
        return True

    def remove_keys(self, removal: Removal, marks: Sequence[str], most: int) -> int:
        """See the port. Raises Unavailable."""
        void = _VOID.format(mark="data_keys.mark", at_ms="data_keys.at_ms")
        with self._db.transaction() as connection:
            found = connection.execute(
                f"""SELECT seq FROM data_keys WHERE mark IN (SELECT value FROM json_each(?)) AND EXISTS ({void})
                LIMIT ?""",
                (msgspec.json.encode(list(marks)).decode(), most),
            ).fetchall()
            removed = _throw_away(connection, found)
            if removed:
                count_removed(connection, removal.id, keys=removed)
        return removed

    def has_keys(self) -> bool:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM keys_read)").fetchone()[0])

    def remove_old_keys(self, before_ms: int, most: int) -> int:
        """See the port. Raises Unavailable."""
        oldest = "SELECT seq, kept_ms FROM data_keys ORDER BY seq LIMIT ?"
        with self._db.reading() as connection:
            found = connection.execute(f"SELECT seq FROM ({oldest}) WHERE kept_ms < ?", (most, before_ms)).fetchall()
        if not found:
            return 0
        with self._db.transaction() as connection:
            return _throw_away(connection, found)

    def keys_to_bury(self, most: int) -> list[bytes]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            return [id for (id,) in connection.execute("SELECT id FROM keys_gone LIMIT ?", (most,)).fetchall()]

    def forget_keys(self, ids: Sequence[bytes]) -> None:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            connection.executemany("DELETE FROM keys_gone WHERE id = ?", ((id,) for id in ids))


def _read(connection: sqlite3.Connection, topic_id: str) -> int:
    row = connection.execute("SELECT next_offset FROM keys_read WHERE topic_id = ?", (topic_id,)).fetchone()
    return 0 if row is None else int(row[0])


def _wanted(connection: sqlite3.Connection, keys: Sequence[DataKey]) -> Iterator[DataKey]:
    """Those of nobody who was erased; the others are noted as thrown away."""
    for key in keys:
        void = _VOID.format(mark="?", at_ms="?")
        if connection.execute(void, (key.mark, key.at_ms)).fetchone() is None:
            yield key
        else:
            connection.execute("INSERT INTO keys_gone (id) VALUES (?) ON CONFLICT DO NOTHING", (key.id,))


def _throw_away(connection: sqlite3.Connection, seqs: Sequence[tuple[int]]) -> int:
    connection.executemany(
        "INSERT INTO keys_gone (id) SELECT id FROM data_keys WHERE seq = ? ON CONFLICT DO NOTHING", seqs
    )
    return connection.executemany("DELETE FROM data_keys WHERE seq = ?", seqs).rowcount
