"""What the collector asks of the store: one transaction a batch, and what it must know before."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.errors import Fenced
from hub.model import (
    Batch,
    Counts,
    DeadLetter,
    EventKey,
    Known,
    KnownEvent,
    Position,
    Profile,
    Progress,
    Session,
    StoredEvent,
    Wanted,
)
from hub.store.documents import RESOLVED, dead_letter_document, failed_again, resolved
from hub.store.sqlite.copies import write_copied
from hub.store.sqlite.database import Database
from hub.store.sqlite.identity import among, known_aliases, write_identity
from hub.store.sqlite.privacy import write_privacy
from hub.store.sqlite.promotion import check_generation
from hub.store.sqlite.schema import create_events_table, events_table
from hub.store.sqlite.segments import listed, write_due

_EVENT: Final = """INSERT INTO {table} (id, profile_id, session_id, type, source, time_ms, received_at_ms, epoch,
    partition, "offset", place, digest, profile_version, doc)
    VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING"""
_PROFILE: Final = """INSERT INTO profiles (id, version, doc, segments) VALUES (?,?,?,?) ON CONFLICT (id) DO UPDATE
    SET version = excluded.version, doc = excluded.doc, segments = excluded.segments
    WHERE excluded.version > profiles.version"""
_SESSION: Final = """INSERT INTO sessions (id, profile_id, version, doc) VALUES (?,?,?,?) ON CONFLICT (id) DO UPDATE
    SET version = excluded.version, doc = excluded.doc
    WHERE excluded.version > sessions.version AND excluded.profile_id = sessions.profile_id"""
_CLAIM_SESSION: Final = """INSERT INTO sessions (id, profile_id, version, doc) VALUES (?,?,?,?)
    ON CONFLICT (id) DO NOTHING"""
_TAKE_SESSION: Final = "UPDATE sessions SET profile_id = ?, version = -1 WHERE id = ?"
_DEAD_LETTER: Final = """INSERT INTO dead_letters (id, at_ms, source, reason, body, body_sha256, body_size, doc)
    VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING"""
_FAILED_AGAIN: Final = "UPDATE dead_letters SET at_ms = ?, reason = ?, doc = ? WHERE id = ?"
_RESOLVED: Final = "UPDATE dead_letters SET status = ?, doc = ? WHERE id = ?"
_COUNTER: Final = """INSERT INTO counters VALUES (?,?,?,?,?,?,?,?,?)
    ON CONFLICT (epoch, partition, source, minute) DO UPDATE SET
    received = received + excluded.received, stored = stored + excluded.stored,
    duplicate = duplicate + excluded.duplicate, dropped = dropped + excluded.dropped, dead = dead + excluded.dead"""
_TOTAL: Final = """INSERT INTO totals VALUES (?,?,?,?,?,?) ON CONFLICT (source) DO UPDATE SET
    received = received + excluded.received, stored = stored + excluded.stored,
    duplicate = duplicate + excluded.duplicate, dropped = dropped + excluded.dropped, dead = dead + excluded.dead"""
_WRITE: Final = """INSERT INTO writes (epoch, partition, next_offset, first_offset, at_ms) VALUES (?,?,?,?,?)
    ON CONFLICT DO NOTHING"""
_PROGRESS: Final = """INSERT INTO progress (epoch, partition, next_offset) VALUES (?,?,?)
    ON CONFLICT (epoch, partition) DO UPDATE SET next_offset = excluded.next_offset"""

# one bound JSON list instead of a placeholder per id: one prepared statement for every batch size
_AMONG: Final = "id IN (SELECT value FROM json_each(?))"


class WriteSide:
    """`Writing` of the port. Each call waits for the one before it."""

    _db: Database
    _generation: int

    def epoch(self, topic_id: str) -> int:
        """The number of this topic id, from 1; given once. Raises Unavailable."""
        with self._db.transaction() as connection:
            connection.execute("INSERT INTO epochs (topic_id) VALUES (?) ON CONFLICT DO NOTHING", (topic_id,))
            (number,) = connection.execute("SELECT number FROM epochs WHERE topic_id = ?", (topic_id,)).fetchone()
        return int(number)

    def progress(self, epoch: int) -> dict[int, int]:
        """Next offset by partition; partitions never written are absent. Raises Unavailable."""
        with self._db.reading() if self._db.readonly else self._db.exclusive() as connection:
            return dict(connection.execute("SELECT partition, next_offset FROM progress WHERE epoch = ?", (epoch,)))

    def known(self, wanted: Wanted) -> Known:
        """What the store has of it. Raises Unavailable."""
        with self._db.exclusive() as connection:
            profiles = {profile.id: profile for profile in _profiles(connection, wanted.profiles)}
            return Known(
                profiles=profiles,
                sessions={session.id: session for session in _sessions(connection, wanted.sessions)},
                events=_events(connection, wanted.events),
                aliases=known_aliases(connection, [id for id in wanted.profiles if id not in profiles]),
                forwarded=among(connection, "forwarded", "first_at", wanted.forwarded),
                merges=among(connection, "merges", "id", wanted.merges),
            )

    def claim_sessions(self, sessions: Sequence[Session]) -> dict[str, Session]:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            connection.executemany(_CLAIM_SESSION, map(_session_row, sessions))
            return {one.id: one for one in _sessions(connection, [one.id for one in sessions])}

    def outcomes(self, ids: Sequence[tuple[str, str]]) -> Mapping[str, bytes]:
        """Documents of stored events by id. Args: ids: (event id, time partition). Raises Unavailable."""
        with self._db.exclusive() as connection:
            present = _partitions(connection)
            return {
                id: doc.encode()
                for partition, among in _grouped((partition, id) for id, partition in ids).items()
                if partition in present
                for id, doc in connection.execute(
                    f"SELECT id, doc FROM {events_table(partition)} WHERE {_AMONG}", _json(among)
                )
            }

    def write(self, batch: Batch, *, at_ms: int | None = None) -> list[str]:
        """
        Write the batch whole or not at all.

        Args: at_ms: see the port.

        Returns: ids of the sessions that another profile holds.

        Raises:
            Fenced: The stored progress is not the batch's `before`, or profiles were promoted since; nothing is
                written.
            Unavailable: Nothing is written; the same batch may be given again.
        """
        with self._db.transaction() as connection:
            check_generation(connection, self._generation)
            for partition, step in batch.progress.items():
                _check_progress(connection, batch.epoch, partition, step)
            _write_events(connection, batch.events)
            if batch.copied:
                write_copied(connection, batch.copied)
            write_identity(connection, batch)
            connection.executemany(_PROFILE, ((p.id, p.version, _text(p.doc), listed(p.doc)) for p in batch.profiles))
            write_due(connection, batch)
            lost = _write_sessions(connection, batch)
            connection.executemany(_DEAD_LETTER, map(_dead_letter_row, batch.dead_letters))
            _follow_replays(connection, batch)
            write_privacy(connection, batch)
            connection.executemany(_COUNTER, ((*key, *_counts(counts)) for key, counts in batch.counters.items()))
            # a row a counter: to add the counters of a source up first would save nothing, they are that few
            connection.executemany(_TOTAL, ((key.source, *_counts(counts)) for key, counts in batch.counters.items()))
            connection.executemany(_PROGRESS, ((batch.epoch, p, step.after) for p, step in batch.progress.items()))
            if at_ms is not None:
                steps = batch.progress.items()
                connection.executemany(_WRITE, ((batch.epoch, p, s.after, s.before, at_ms) for p, s in steps))
        return lost


def _check_progress(connection: sqlite3.Connection, epoch: int, partition: int, step: Progress) -> None:
    """A partition never written takes any `before`: the log may begin later than at 0."""
    row = connection.execute(
        "SELECT next_offset FROM progress WHERE epoch = ? AND partition = ?", (epoch, partition)
    ).fetchone()
    if row is not None and row[0] != step.before:
        raise Fenced(
            "store", f"partition {partition} stands at offset {row[0]}, not {step.before}: another collector wrote it"
        )


def _write_events(connection: sqlite3.Connection, events: Iterable[StoredEvent]) -> None:
    by_partition: defaultdict[str, list[StoredEvent]] = defaultdict(list)
    for event in events:
        by_partition[event.partition].append(event)
    present = _partitions(connection)
    for partition, some in by_partition.items():
        if partition not in present:
            create_events_table(connection, partition)
        connection.executemany(_EVENT.format(table=events_table(partition)), map(_event_row, some))


def _write_sessions(connection: sqlite3.Connection, batch: Batch) -> list[str]:
    """Returns the ids of those that another profile holds."""
    sessions = batch.sessions
    if batch.identity is not None:
        taken = set(batch.identity.taken)
        connection.executemany(_TAKE_SESSION, ((one.profile_id, one.id) for one in sessions if one.id in taken))
    written = connection.executemany(_SESSION, map(_session_row, sessions))
    if written.rowcount >= len(sessions):
        return []
    rows = connection.execute(f"SELECT id, profile_id FROM sessions WHERE {_AMONG}", _json([s.id for s in sessions]))
    holders = dict(rows.fetchall())
    return [one.id for one in sessions if holders[one.id] != one.profile_id]


def _counts(counts: Counts) -> tuple[int, ...]:
    return counts.received, counts.stored, counts.duplicate, counts.dropped, counts.dead


def _event_row(event: StoredEvent) -> tuple[object, ...]:
    return (
        event.id,
        event.profile_id,
        event.session_id,
        event.type,
        event.source,
        event.time_ms,
        event.received_at_ms,
        *event.position,
        event.digest,
        event.profile_version,
        event.doc.decode(),
    )


def _session_row(session: Session) -> tuple[object, ...]:
    return session.id, session.profile_id, session.version, _text(session.doc)


def _dead_letter_row(letter: DeadLetter) -> tuple[object, ...]:
    document = _text(dead_letter_document(letter))
    size = letter.body_size
    return letter.id, letter.at_ms, letter.source, letter.reason, letter.body, letter.body_sha256, size, document


def _follow_replays(connection: sqlite3.Connection, batch: Batch) -> None:
    """What became of the dead letters that were replayed. A resolved one that is not here is of another store."""
    for letter in batch.failed_again:
        document = _letter_document(connection, letter.id)
        if document is None:
            connection.execute(_DEAD_LETTER, _dead_letter_row(letter))
        else:
            changed = _text(failed_again(document, letter))
            connection.execute(_FAILED_AGAIN, (letter.at_ms, letter.reason, changed, letter.id))
    for id, at_ms in batch.resolved.items():
        document = _letter_document(connection, id)
        if document is not None:
            connection.execute(_RESOLVED, (RESOLVED, _text(resolved(document, at_ms)), id))


def _letter_document(connection: sqlite3.Connection, id: str) -> dict[str, Any] | None:
    row = connection.execute("SELECT doc FROM dead_letters WHERE id = ?", (id,)).fetchone()
    return None if row is None else msgspec.json.decode(row[0])


def _profiles(connection: sqlite3.Connection, ids: Sequence[str]) -> Iterator[Profile]:
    for id, version, doc in connection.execute(f"SELECT id, version, doc FROM profiles WHERE {_AMONG}", _json(ids)):
        yield Profile(id, version, msgspec.json.decode(doc))


def _sessions(connection: sqlite3.Connection, ids: Sequence[str]) -> Iterator[Session]:
    rows = connection.execute(f"SELECT id, profile_id, version, doc FROM sessions WHERE {_AMONG}", _json(ids))
    for id, profile_id, version, doc in rows:
        yield Session(id, profile_id, version, msgspec.json.decode(doc))


def _events(connection: sqlite3.Connection, keys: Sequence[EventKey]) -> dict[str, KnownEvent]:
    present = _partitions(connection)
    found: dict[tuple[str, str], KnownEvent] = {}
    for partition, ids in _grouped((partition, key.id) for key in keys for partition in key.partitions).items():
        if partition not in present:
            continue
        rows = connection.execute(
            f'SELECT id, epoch, partition, "offset", place, digest FROM {events_table(partition)} WHERE {_AMONG}',
            _json(ids),
        )
        found.update(((partition, id), KnownEvent(Position(*position), digest)) for id, *position, digest in rows)
    return {
        key.id: found[partition, key.id] for key in keys for partition in key.partitions if (partition, key.id) in found
    }


def _partitions(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM partitions")}


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for group, item in pairs:
        groups[group].append(item)
    return groups


def _json(ids: Sequence[str]) -> tuple[str]:
    return (msgspec.json.encode(ids).decode(),)


def _text(document: dict[str, Any]) -> str:
    return msgspec.json.encode(document).decode()
