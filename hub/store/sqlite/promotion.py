"""Profiles from elsewhere in one transaction, in which nobody else writes; and who has to start anew after it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from hub.errors import Unavailable
from hub.pipeline.applied import Promoted
from hub.store.fences import GROWN, fenced_by, older_log
from hub.store.sqlite.database import Database
from hub.store.sqlite.segments import listed


class PromotionSide:
    """`Promoting` of the port."""

    _db: Database

    @contextmanager
    def promotion(self, origin: str, *, at_ms: int, most_s: float) -> Iterator[Pause]:
        """See the port. Raises Unavailable."""
        with self._db.transaction(durable=True) as connection:
            pause = Pause(connection, most_s)
            try:
                yield pause
            finally:
                expired = pause.end()
            if expired:
                raise pause.over()
            _note(connection, origin, at_ms, pause.mapped)

    def new_epoch(self, topic_id: str, *, at_ms: int) -> int:
        """See the port. Raises Unavailable."""
        with self._db.transaction(durable=True) as connection:
            row = connection.execute("SELECT number FROM epochs WHERE topic_id = ?", (topic_id,)).fetchone()
            if row is not None:
                connection.execute(
                    "UPDATE epochs SET topic_id = ? WHERE number = ?", (older_log(topic_id, row[0]), row[0])
                )
            connection.execute("INSERT INTO epochs (topic_id) VALUES (?)", (topic_id,))
            (number,) = connection.execute("SELECT number FROM epochs WHERE topic_id = ?", (topic_id,)).fetchone()
            if row is not None:
                connection.execute(
                    """INSERT INTO progress (epoch, partition, next_offset)
                    SELECT ?, partition, next_offset FROM progress WHERE epoch = ?""",
                    (number, row[0]),
                )
                connection.execute("UPDATE outbox SET epoch = ? WHERE epoch = ?", (number, row[0]))
            _note(connection, GROWN, at_ms, {})
        return int(number)

    def promoted(self) -> list[Promoted]:
        """See the port. Raises Unavailable."""
        with self._db.exclusive() if not self._db.readonly else self._db.reading() as connection:
            rows = connection.execute(
                "SELECT epoch, progress, mapped FROM promotions WHERE mapped <> '{}' ORDER BY number"
            )
            return [
                Promoted(epoch, msgspec.json.decode(progress, type=dict[int, int]), msgspec.json.decode(mapped))
                for epoch, progress, mapped in rows.fetchall()
            ]

    def generation(self) -> int:
        """How many promotions there were."""
        with self._db.exclusive() as connection:
            return _newest(connection)[0]


class Pause:
    """
    The transaction of a promotion, which ends by itself when its time is over.

    A thread of its own undoes it then: whoever promotes may be waiting for something else than the store.
    """

    def __init__(self, connection: sqlite3.Connection, most_s: float) -> None:
        """Args: connection: in a transaction."""
        self._connection = connection
        self._most_s = most_s
        self._turn = threading.Lock()  # of the connection, between the two threads
        self._ended = self._expired = False
        self.mapped: Mapping[str, Mapping[str, str]] = {}
        self._timer = threading.Timer(most_s, self._give_up)
        self._timer.daemon = True
        self._timer.start()

    def note_mapped(self, mapped: Mapping[str, Mapping[str, str]]) -> None:
        """See the port."""
        self.mapped = mapped

    def replace(self, profiles: Sequence[tuple[str, bytes]]) -> None:
        """See the port."""
        with self._turn:
            if self._expired:
                raise self.over()
            self._connection.executemany(
                "UPDATE profiles SET doc = ?, segments = ? WHERE id = ?",
                ((doc.decode(), listed(msgspec.json.decode(doc)), id) for id, doc in profiles),
            )

    def end(self) -> bool:
        """From now on its time is not over any more. Returns whether it was before."""
        with self._turn:
            self._ended = True
        self._timer.cancel()
        return self._expired

    def over(self) -> Unavailable:
        """What to raise when its time is over."""
        return Unavailable(
            "store", f"collectors had to wait for {self._most_s:g} s, which is the most: nothing was changed here"
        )

    def _give_up(self) -> None:
        with self._turn:
            if not self._ended:
                self._expired = True
                self._connection.execute("ROLLBACK")


def check_generation(connection: sqlite3.Connection, generation: int) -> None:
    """Raises Fenced when profiles were promoted after `generation`."""
    newest, origin = _newest(connection)
    if newest != generation:
        raise fenced_by(origin)


def _note(connection: sqlite3.Connection, origin: str, at_ms: int, mapped: Mapping[str, Mapping[str, str]]) -> None:
    """From now on whoever has opened the store before is fenced."""
    epoch, progress = _progress(connection)
    connection.execute(
        "INSERT INTO promotions (origin, at_ms, epoch, progress, mapped) VALUES (?,?,?,?,?)",
        (origin, at_ms, epoch, _text(progress), _text(mapped)),
    )


def _progress(connection: sqlite3.Connection) -> tuple[int, dict[int, int]]:
    """How far the newest log is applied: its epoch, and by partition the next offset."""
    (epoch,) = connection.execute("SELECT max(number) FROM epochs").fetchone()
    rows = connection.execute("SELECT partition, next_offset FROM progress WHERE epoch = ?", (epoch,))
    return epoch or 0, dict(rows.fetchall())


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _newest(connection: sqlite3.Connection) -> tuple[int, str]:
    row = connection.execute("SELECT number, origin FROM promotions ORDER BY number DESC LIMIT 1").fetchone()
    return (0, "") if row is None else (int(row[0]), str(row[1]))
