"""What a replay asks of the store: everything in it, page by page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hub.model import Position
from hub.pipeline.histories import SOURCE as SEGMENTS
from hub.store.port import AliasRow, EventPlace, Owned
from hub.store.sqlite.database import Database
from hub.store.sqlite.schema import events_table


class WalkSide:
    """`Walking` of the port. Each page is a read of its own, so that no long one keeps the WAL from being emptied."""

    _db: Database

    def known_epoch(self, topic_id: str) -> int | None:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            row = connection.execute("SELECT number FROM epochs WHERE topic_id = ?", (topic_id,)).fetchone()
        return None if row is None else int(row[0])

    def event_places(self, after: EventPlace | None, most: int) -> list[EventPlace]:
        """See the port. Raises Unavailable."""
        found: list[EventPlace] = []
        with self._db.reading() as connection:
            names = sorted(name for (name,) in connection.execute("SELECT name FROM partitions"))
            for name in names:
                if after is not None and name < after.partition:
                    continue
                behind = after.seq if after is not None and name == after.partition else 0
                rows = connection.execute(
                    f"""SELECT seq, epoch, partition, "offset", place, received_at_ms FROM {events_table(name)}
                    WHERE seq > ? ORDER BY seq LIMIT ?""",
                    (behind, most - len(found)),
                )
                found += [EventPlace(name, seq, Position(*at), received) for seq, *at, received in rows]
                if len(found) == most:
                    break
        return found

    def event_documents(self, partition: str, seqs: Sequence[int]) -> list[bytes]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            found = dict(
                connection.execute(
                    f"SELECT seq, doc FROM {events_table(partition)} WHERE seq IN (SELECT value FROM json_each(?))",
                    (msgspec.json.encode(seqs).decode(),),
                ).fetchall()
            )
        return [found[seq].encode() for seq in seqs]

    def profiles_after(self, id: str, most: int) -> list[tuple[str, bytes]]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute("SELECT id, doc FROM profiles WHERE id > ? ORDER BY id LIMIT ?", (id, most))
            return [(key, doc.encode()) for key, doc in rows]

    def event_partitions(self) -> list[str]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            return sorted(name for (name,) in connection.execute("SELECT name FROM partitions"))

    def events_since(self, partition: str, seq: int, most: int) -> list[Owned]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                f"""SELECT seq, id, profile_id FROM {events_table(partition)} WHERE seq > ? AND source <> ?
                ORDER BY seq LIMIT ?""",
                (seq, SEGMENTS, most),
            )
            return [Owned(*row) for row in rows]

    def event_owners(self, partition: str, ids: Sequence[str]) -> dict[str, str]:
        """See the port. Raises Unavailable."""
        table = events_table(partition)
        with self._db.reading() as connection:
            if not connection.execute("SELECT 1 FROM partitions WHERE name = ?", (partition,)).fetchone():
                return {}
            rows = connection.execute(
                f"SELECT id, profile_id FROM {table} WHERE id IN (SELECT value FROM json_each(?))",
                (msgspec.json.encode(ids).decode(),),
            )
            return dict(rows.fetchall())

    def claims_since(self, seq: int, most: int) -> list[Owned]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                "SELECT rowid, identifier, profile_id FROM claims WHERE rowid > ? ORDER BY rowid LIMIT ?", (seq, most)
            )
            return [Owned(*row) for row in rows]

    def aliases_after(self, id: str, most: int) -> list[AliasRow]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                """SELECT aliases.id, into_id, merges.id IS NOT NULL AND undone_ms IS NULL
                FROM aliases LEFT JOIN merges ON merges.id = merge_id
                WHERE aliases.id > ? ORDER BY aliases.id LIMIT ?""",
                (id, most),
            )
            return [AliasRow(key, into, bool(settled)) for key, into, settled in rows]
