"""What a replay asks of the store: everything in it, page by page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hub.model import Position
from hub.store.port import EventPlace
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
