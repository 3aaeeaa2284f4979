"""Identity in the store: claims, aliases, the journal of merges, and what is still to be sent."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from hub.errors import Fenced
from hub.model import Alias, Ask, Batch, Claim, Claimed, MergeEntry, Outgoing, Person, Position, Session, Stay, Undo
from hub.pipeline.documents import CLAIMED_BY
from hub.store.forgotten import forgotten
from hub.store.port import MOST_LATER, OVERTAKEN, MergeRow
from hub.store.sqlite.database import Database
from hub.store.sqlite.schema import events_table
from hub.store.stays import stays
from hub.store.told_apart import Row, beginning

_ENTRY: Final = "id, loser_id, survivor_id, version, at_ms, reason, loser, survivor, changes"
_ENTRY_SET: Final = ", ".join(f"{name} = ?" for name in _ENTRY.split(", ")[1:])
_ROW: Final = "SELECT id, loser_id, survivor_id, version, at_ms, reason, changes, undone_ms FROM merges"
_AMONG: Final = "(SELECT value FROM json_each(?))"


class IdentitySide:
    """The identity part of the port. Its writes are those of `write`, apart from the claims."""

    _db: Database

    def claim(self, claims: Iterable[Claim]) -> dict[str, Claimed]:
        """See the port. Raises Unavailable."""
        claims = list(claims)
        names = _json([claim.identifier for claim in claims])
        with self._db.exclusive() as connection:
            found = _claimed(connection, names)
        missing = [claim for claim in claims if claim.identifier not in found]
        if not missing:
            return found
        with self._db.transaction() as connection:
            connection.executemany(
                """INSERT INTO claims (identifier, label, profile_id, event_id, at_ms) VALUES (?,?,?,?,?)
                ON CONFLICT DO NOTHING""",
                ((c.identifier, c.label, c.profile_id, c.event_id, c.at_ms) for c in missing),
            )
            return _claimed(connection, names)

    def aliases(self, ids: Sequence[str]) -> dict[str, Alias]:
        """See the port. Raises Unavailable."""
        with self._db.exclusive() as connection:
            return known_aliases(connection, ids)

    def asks(self, ids: Sequence[str]) -> dict[str, Ask]:
        """See the port. Raises Unavailable."""
        with self._db.exclusive() as connection:
            rows = connection.execute(
                f"SELECT id, asked, asker, cause, is_done FROM asks WHERE id IN {_AMONG}", _json(ids)
            )
            return {id: Ask(id, asked, asker, cause, bool(is_done)) for id, asked, asker, cause, is_done in rows}

    def outbox(self, epoch: int, partitions: Sequence[int]) -> list[Outgoing]:
        """See the port. Raises Unavailable."""
        with self._db.exclusive() as connection:
            rows = connection.execute(
                f"""SELECT epoch, partition, "offset", place, key, value, replay FROM outbox
                WHERE epoch = ? AND partition IN {_AMONG} ORDER BY partition, "offset", place""",
                (epoch, *_json(partitions)),
            )
            return [Outgoing(Position(*row[:4]), row[4], row[5], row[6]) for row in rows]

    def undo(self, merge_id: str) -> Undo | None:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            row = connection.execute(
                f"SELECT {_ENTRY} FROM merges WHERE id = ? AND undone_ms IS NULL", (merge_id,)
            ).fetchone()
            if row is None:
                return None
            entry = _entry(row)
            first = beginning(entry, _before(connection, entry), partial(_read, connection))
            if first is None:
                return None
            later = connection.execute(
                f"""SELECT undone_ms IS NOT NULL, {_ENTRY} FROM merges
                WHERE survivor_id = ? AND version >= ? AND id <> ? ORDER BY version""",
                (entry.survivor_id, first.version, entry.id),
            )
            merges: tuple[list[MergeEntry], list[MergeEntry]] = [], []
            for is_undone, *row in later:
                merges[is_undone].append(_entry(row))
            away = stays(first, partial(_ended, connection))
            events = _later_events(connection, first, away)
            if events is None:
                return None
            sessions = {
                id: Session(id, holder, version, msgspec.json.decode(doc))
                for id, holder, version, doc in connection.execute(
                    f"""SELECT id, profile_id, version, doc FROM sessions
                    WHERE profile_id IN (SELECT ?1 UNION SELECT value FROM profiles, json_each(doc, '$.ids')
                    WHERE profiles.id = ?1) AND ((profile_id = ?1 AND id IN (SELECT value FROM json_each(?2)))
                    OR json_extract(doc, '$.metadata.{CLAIMED_BY}') IS NOT NULL)""",
                    (entry.survivor_id, *_json(sorted({session for session, _ in events if session}))),
                )
            }
            copied = list(copied_events(connection, person(connection, entry.survivor_id)))
        return Undo(entry, first, *merges, [doc.encode() for _, doc in events], sessions, away, copied)

    def merges(self, ids: Sequence[str]) -> list[MergeRow]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                f"""{_ROW} WHERE (survivor_id IN {_AMONG} OR loser_id IN {_AMONG})
                AND NOT (undone_ms IS NOT NULL AND length(survivor) = 0) ORDER BY seq""",
                (*_json(ids), *_json(ids)),
            )
            return [_row(row) for row in rows]

    def merge(self, id: str) -> MergeRow | None:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            row = connection.execute(f"{_ROW} WHERE id = ?", (id,)).fetchone()
        return None if row is None else _row(row)

    def identifier_uses(self, identifiers: Sequence[str]) -> dict[str, Claimed]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            return _claimed(connection, _json(identifiers))

    def survivor(self, id: str) -> str:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            return survivor(connection, id)


def survivor(connection: sqlite3.Connection, id: str) -> str:
    """The profile that `id` is part of now; `id` itself if it was not merged."""
    row = connection.execute(
        """WITH RECURSIVE way(id, n) AS (SELECT into_id, 1 FROM aliases WHERE id = ?
        UNION SELECT aliases.into_id, n + 1 FROM aliases JOIN way ON aliases.id = way.id)
        SELECT id FROM way ORDER BY n DESC LIMIT 1""",
        (id,),
    ).fetchone()
    return id if row is None else str(row[0])


def person(connection: sqlite3.Connection, id: str) -> list[str]:
    """Every id of the profile that `id` is part of now, that id included: the survivor's first."""
    into = survivor(connection, id)
    row = connection.execute("SELECT json_extract(doc, '$.ids') FROM profiles WHERE id = ?", (into,)).fetchone()
    ids = msgspec.json.decode(row[0], type=list[str]) if row is not None and row[0] is not None else ()
    return list(dict.fromkeys((into, *ids, id)))


def known_aliases(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Alias]:
    """Of those that were merged: where each went."""
    if not ids:
        return {}
    rows = connection.execute(f"SELECT id, into_id, version, merge_id FROM aliases WHERE id IN {_AMONG}", _json(ids))
    return {id: Alias(*rest) for id, *rest in rows}


def among(connection: sqlite3.Connection, table: str, column: str, ids: Sequence[str]) -> set[str]:
    """Which of the ids are there."""
    if not ids:
        return set()
    return {id for (id,) in connection.execute(f"SELECT {column} FROM {table} WHERE {column} IN {_AMONG}", _json(ids))}


def write_identity(connection: sqlite3.Connection, batch: Batch) -> None:
    """The identity of a batch, inside its transaction; what earlier batches had in the outbox was sent by now."""
    connection.executemany(
        'DELETE FROM outbox WHERE epoch = ? AND partition = ? AND "offset" < ?',
        ((batch.epoch, partition, step.before) for partition, step in batch.progress.items()),
    )
    identity = batch.identity
    if identity is None:
        return
    connection.executemany("DELETE FROM aliases WHERE id = ?", ((id,) for id in identity.restored))
    connection.executemany(
        """INSERT INTO aliases (id, into_id, version, merge_id) VALUES (?,?,?,?) ON CONFLICT (id) DO UPDATE
        SET into_id = excluded.into_id, version = excluded.version, merge_id = excluded.merge_id""",
        ((id, alias.into, alias.version, alias.merge_id) for id, alias in identity.aliases.items()),
    )
    connection.executemany("DELETE FROM profiles WHERE id = ?", ((id,) for id in identity.aliases))
    connection.executemany("DELETE FROM due WHERE profile_id = ?", ((id,) for id in identity.aliases))
    connection.executemany(
        "UPDATE claims SET uses = uses + ? WHERE identifier = ?", ((uses, id) for id, uses in identity.uses.items())
    )
    connection.executemany(
        f"INSERT INTO merges ({_ENTRY}) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING",
        map(_entry_row, identity.merges),
    )
    connection.executemany(
        "UPDATE merges SET undone_ms = ? WHERE id = ?", ((at, id) for id, at in identity.undone.items())
    )
    connection.executemany(
        "INSERT INTO forwarded (first_at) VALUES (?) ON CONFLICT DO NOTHING", ((at,) for at in identity.forwarded)
    )
    connection.executemany(
        "INSERT INTO outbox VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        ((*one.position, one.key, one.value, one.replay) for one in identity.outbox),
    )
    connection.executemany(
        "INSERT INTO asks (id, asked, asker) VALUES (?,?,?) ON CONFLICT DO NOTHING",
        ((one.id, one.asked, one.asker) for one in identity.asks),
    )
    _answer(connection, identity.answered)


def forget_merges(connection: sqlite3.Connection, person: Person) -> int:
    """Leave nothing of them in the journal. Returns how many of its entries said something of them."""
    own, every = _json(list(person.ids)), _json([*person.ids, *person.hosts])
    found = connection.execute(
        f"DELETE FROM merges WHERE undone_ms IS NULL AND (survivor_id IN {_AMONG} OR loser_id IN {_AMONG})",
        (*own, *own),
    ).rowcount
    rows = connection.execute(
        f"SELECT {_ENTRY} FROM merges WHERE survivor_id IN {_AMONG} OR loser_id IN {_AMONG}", (*every, *every)
    ).fetchall()
    for row in rows:
        entry = _entry(row)
        left = forgotten(entry, person.ids)
        if left is None:
            connection.execute("DELETE FROM merges WHERE id = ?", (entry.id,))
        elif left is not entry:
            id, *values = _entry_row(left)
            connection.execute(f"UPDATE merges SET {_ENTRY_SET} WHERE id = ?", (*values, id))
        found += left is not entry
    return found


def hosts_of(connection: sqlite3.Connection, ids: Iterable[str]) -> list[str]:
    """Profiles that these were part of once, and are not any more."""
    names = _json(list(ids))
    rows = connection.execute(
        f"""WITH RECURSIVE way(id) AS (SELECT value FROM json_each(?) UNION SELECT merges.survivor_id FROM merges
        JOIN way ON merges.loser_id = way.id WHERE merges.undone_ms IS NOT NULL)
        SELECT id FROM way WHERE id NOT IN {_AMONG}""",
        (*names, *names),
    )
    return [id for (id,) in rows]


def _answer(connection: sqlite3.Connection, ids: Sequence[str]) -> None:
    if not ids:
        return
    names = _json(ids)
    # one of the two was erased after this was read: the collector has to read it again, and sees it then
    if connection.execute(f"SELECT 1 FROM asks WHERE cause <> '' AND is_done = 0 AND id IN {_AMONG}", names).fetchone():
        raise Fenced("store", OVERTAKEN)
    connection.execute(f"UPDATE asks SET is_done = 1 WHERE id IN {_AMONG}", names)


def _claimed(connection: sqlite3.Connection, names: tuple[str]) -> dict[str, Claimed]:
    rows = connection.execute(f"SELECT identifier, profile_id, uses FROM claims WHERE identifier IN {_AMONG}", names)
    return {identifier: Claimed(*rest) for identifier, *rest in rows}


def _before(connection: sqlite3.Connection, entry: MergeEntry) -> list[Row]:
    rows = connection.execute(
        """SELECT id, loser_id, version, undone_ms IS NOT NULL FROM merges WHERE survivor_id = ? AND version < ?
        ORDER BY version""",
        (entry.survivor_id, entry.version),
    )
    return [Row(id, loser_id, version, bool(is_undone)) for id, loser_id, version, is_undone in rows]


def _read(connection: sqlite3.Connection, merge_id: str) -> MergeEntry:
    return _entry(connection.execute(f"SELECT {_ENTRY} FROM merges WHERE id = ?", (merge_id,)).fetchone())


def _ended(connection: sqlite3.Connection, loser_id: str) -> list[MergeEntry]:
    rows = connection.execute(
        f"SELECT {_ENTRY} FROM merges WHERE loser_id = ? AND undone_ms IS NOT NULL ORDER BY seq", (loser_id,)
    )
    return [_entry(row) for row in rows]


def _later_events(
    connection: sqlite3.Connection, first: MergeEntry, away: Sequence[Stay]
) -> list[tuple[str, str]] | None:
    """(session id, document) of what came to the survivor after a merge; None when there is too much."""
    found: list[tuple[str, str]] = []
    since = {first.survivor_id: first.version}
    for stay in away:
        since[stay.host] = min(stay.since, since.get(stay.host, stay.since))
    for (name,) in connection.execute("SELECT name FROM partitions").fetchall():
        for id, version in since.items():
            # what came to a host for somebody else was handed on to it
            handed = "" if id == first.survivor_id else "AND json_extract(doc, '$.metadata.sent_as') IS NOT NULL"
            found += connection.execute(
                f"""SELECT session_id, doc FROM {events_table(name)}
                WHERE profile_id = ? AND profile_id <> '' AND profile_version > ? {handed} LIMIT ?""",
                (id, version, MOST_LATER + 1 - len(found)),
            ).fetchall()
            if len(found) > MOST_LATER:
                return None
    return found


def copied_events(connection: sqlite3.Connection, ids: Sequence[str]) -> Iterator[bytes]:
    """Documents of the events of these profiles that were copied into them after they were stored, in their order."""
    for (name,) in connection.execute("SELECT name FROM partitions ORDER BY name").fetchall():
        rows = connection.execute(
            f"""SELECT doc FROM {events_table(name)} WHERE profile_id IN {_AMONG} AND profile_id <> ''
            AND json_extract(doc, '$.outcome.copied') IS NOT NULL ORDER BY seq""",
            _json(ids),
        )
        yield from (doc.encode() for (doc,) in rows)


def _row(row: Sequence[Any]) -> MergeRow:
    id, loser_id, survivor_id, version, at_ms, reason, changes, undone_ms = row
    reason, changes = msgspec.json.decode(reason), msgspec.json.decode(changes)
    return MergeRow(id, loser_id, survivor_id, version, at_ms, reason, changes, undone_ms)


def _entry(row: Sequence[Any]) -> MergeEntry:
    id, loser_id, survivor_id, version, at_ms, reason, loser, before, changes = row
    return MergeEntry(
        id=id,
        loser_id=loser_id,
        survivor_id=survivor_id,
        version=version,
        at_ms=at_ms,
        reason=reason.encode(),
        loser=zlib.decompress(loser),
        survivor=zlib.decompress(before) if before else b"",
        changes=changes.encode(),
    )


def _entry_row(entry: MergeEntry) -> tuple[object, ...]:
    return (
        entry.id,
        entry.loser_id,
        entry.survivor_id,
        entry.version,
        entry.at_ms,
        entry.reason.decode(),
        zlib.compress(entry.loser, 1),
        zlib.compress(entry.survivor, 1) if entry.survivor else b"",
        entry.changes.decode(),
    )


def _json(ids: Sequence[Any]) -> tuple[str]:
    return (msgspec.json.encode(list(ids)).decode(),)
