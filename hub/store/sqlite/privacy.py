"""What somebody has asked for: who is erased or suppressed, and what is still to be removed."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from hub.model import DAY_MS, FOREVER_MS, OUTLIERS, Batch, Person, Privacy, Void, month_of
from hub.pipeline.crossed import is_void_to_send, moved_by
from hub.store.forgotten import joinable
from hub.store.port import Expired, LetterPart, Looked, OrderRow, Passed, Removal, Removed
from hub.store.sqlite.database import Database
from hub.store.sqlite.flow_runs import erase_runs, erase_runs_of_events
from hub.store.sqlite.identity import forget_merges, hosts_of, known_aliases, survivor
from hub.store.sqlite.schema import events_table
from hub.store.sqlite.tasks import forget_samples
from hub.store.stays import NO_PROFILE, is_theirs
from schemas.codec import decode_inbound

_AMONG: Final = "(SELECT value FROM json_each(?))"
_ORDER: Final = "seq, id, kind, mark, at_ms, reason, is_suppressed, until_ms, done_ms, removed"
_VOID: Final = """INSERT INTO voids (mark, since_ms, until_ms, cause) VALUES (?,?,?,?) ON CONFLICT (mark, since_ms)
    DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)"""
_EXPIRED: Final = """INSERT INTO expired (event_type, before_ms) VALUES (?,?) ON CONFLICT (event_type)
    DO UPDATE SET before_ms = max(before_ms, excluded.before_ms)"""
_CHANGED: Final = "UPDATE voiding SET voids = voids + 1"
_MOVED: Final = "UPDATE voiding SET expired = expired + 1"
_BODY: Final = """CASE WHEN body_sha256 IS NULL THEN body
    ELSE coalesce((SELECT data FROM blobs WHERE sha256 = body_sha256), body) END"""
_OF_PROFILE: Final = "profile_id = ? AND profile_id <> ''"
_OF_SESSIONS: Final = f"session_id IN {_AMONG} AND session_id <> '' AND profile_id = ''"
_TYPES: Final = """WITH RECURSIVE found(type) AS (SELECT min(type) FROM {table} UNION ALL
    SELECT (SELECT min(type) FROM {table} WHERE type > found.type) FROM found WHERE found.type IS NOT NULL)
    SELECT type FROM found WHERE type IS NOT NULL"""
"""One step in the index a type, however many events there are."""


class PrivacySide:
    """The privacy part of the port. What `write` does of it is in `write_privacy`."""

    _db: Database

    def voiding(self) -> tuple[int, int]:
        """See the port. Raises Unavailable."""
        with self._db.exclusive() as connection:
            voids, expired = connection.execute("SELECT voids, expired FROM voiding").fetchone()
        return voids, expired

    def voids(self, marks: Sequence[str]) -> dict[str, list[Void]]:
        """See the port. Raises Unavailable."""
        found: defaultdict[str, list[Void]] = defaultdict(list)
        with self._db.reading() as connection:
            rows = connection.execute(
                f"SELECT mark, since_ms, until_ms, cause FROM voids WHERE mark IN {_AMONG} ORDER BY mark, since_ms",
                _json(marks),
            )
            for row in rows:
                found[row[0]].append(Void(*row))
        return dict(found)

    def expired(self) -> list[Expired]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute("SELECT event_type, before_ms FROM expired ORDER BY event_type")
            return [Expired(*row) for row in rows]

    def person(self, id: str) -> Person:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            row = connection.execute("SELECT json_extract(doc, '$.ids') FROM profiles WHERE id = ?", (id,)).fetchone()
            listed = msgspec.json.decode(row[0], type=list[str]) if row is not None and row[0] is not None else []
            ids = dict.fromkeys((id, *listed), -1)
            merged = connection.execute(
                """WITH RECURSIVE part(id, version, merge_id) AS
                (SELECT id, version, merge_id FROM aliases WHERE into_id = ?
                UNION SELECT one.id, one.version, one.merge_id FROM aliases one JOIN part ON one.into_id = part.id)
                SELECT id, version, EXISTS (SELECT 1 FROM merges WHERE merges.id = merge_id) FROM part""",
                (id,),
            ).fetchall()
            ids.update({id: version for id, version, _ in merged})
            latest_ms = _latest_of(connection, {id: version for id, version, has_come in merged if not has_come})
            names = _json(ids)
            sessions = connection.execute(
                f"SELECT id FROM sessions WHERE profile_id <> '' AND profile_id IN {_AMONG} ORDER BY seq", names
            ).fetchall()
            claims = connection.execute(
                f"SELECT identifier, label, uses FROM claims WHERE profile_id IN {_AMONG}", names
            ).fetchall()
            hosts = hosts_of(connection, ids)
            if hosts:
                claims += _lent(connection, id, hosts)
        held = {name: (label, uses) for name, label, uses in claims}
        return Person(ids, [key for (key,) in sessions], held, latest_ms, hosts)

    def has_order(self, id: str) -> bool:
        """See the port. Raises Unavailable."""
        return self.order(id) is not None

    def order(self, id: str) -> OrderRow | None:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            row = connection.execute(f"SELECT {_ORDER} FROM orders WHERE id = ?", (id,)).fetchone()
        return None if row is None else _order(row)

    def orders(self, size: int, before: int | None) -> list[OrderRow]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                f"SELECT {_ORDER} FROM orders WHERE seq < ? ORDER BY seq DESC LIMIT ?",
                (2**63 - 1 if before is None else before, size),
            ).fetchall()
        return [_order(row) for row in rows]

    def removals(self) -> list[Removal]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                "SELECT id, person, until_ms FROM orders WHERE person IS NOT NULL ORDER BY seq"
            ).fetchall()
        return [Removal(id, msgspec.json.decode(person, type=Person), until_ms) for id, person, until_ms in rows]

    def remove_events(self, removal: Removal, after: Looked | None, most: int) -> tuple[int, Looked | None]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            found, reached = _next_of(connection, removal, after, most)
        if not found:
            return 0, reached
        with self._db.transaction() as connection:
            # again, as others may have removed some since, and a running number is given out once more then
            found, reached = _next_of(connection, removal, after, most)
            if not found or reached is None:
                return 0, reached
            table, seqs = events_table(reached.partition), [seq for seq, _ in found]
            _unclaim(connection, table, removal.person.hosts, seqs)
            _forget_runs(connection, table, removal, seqs)
            removed = _delete(connection, table, seqs)
            count_removed(connection, removal.id, events=removed)
            _void_up_to(connection, removal, max(received_ms for _, received_ms in found))
        return removed, reached

    def letters_after(self, seq: int, most: int) -> list[LetterPart]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                f"""SELECT seq, id, doc, coalesce({_BODY}, x'') FROM dead_letters WHERE seq > ?
                ORDER BY seq LIMIT ?""",
                (seq, most),
            ).fetchall()
        return [_letter(*row) for row in rows]

    def remove_letters(self, removal: Removal, ids: Sequence[str]) -> None:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            names = _json(ids)
            blobs = connection.execute(
                f"SELECT body_sha256 FROM dead_letters WHERE body_sha256 IS NOT NULL AND id IN {_AMONG}", names
            ).fetchall()
            removed = connection.execute(f"DELETE FROM dead_letters WHERE id IN {_AMONG}", names).rowcount
            connection.execute(
                f"""DELETE FROM blobs WHERE sha256 IN {_AMONG}
                AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE body_sha256 = sha256)""",
                _json([sha256 for (sha256,) in blobs]),
            )
            count_removed(connection, removal.id, dead_letters=removed)

    def end_removal(self, removal: Removal, at_ms: int) -> None:
        """See the port. Raises Unavailable."""
        self._db.empty_log()
        keys = _json([*removal.person.ids, *removal.person.hosts])
        with self._db.transaction() as connection:
            # what counts for something may not have been sent: whoever takes its partition over does that
            rows = connection.execute(
                f"SELECT rowid, value FROM outbox WHERE CAST(key AS TEXT) IN {_AMONG}", keys
            ).fetchall()
            void = [row for row, value in rows if _is_void_to_send(connection, value, removal)]
            connection.execute(f"DELETE FROM outbox WHERE rowid IN {_AMONG}", _json(void))
            count_removed(connection, removal.id, records_to_send=len(void))
            connection.execute("UPDATE orders SET person = NULL, done_ms = ? WHERE id = ?", (at_ms, removal.id))

    def expire(self, rows: Sequence[Expired]) -> None:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            connection.executemany(_EXPIRED, rows)
            connection.execute(_MOVED)

    def remove_expired(self, after: Passed | None, most: int) -> tuple[int, Passed | None]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows, before_ms, reached = _next_old(connection, after, most)
        expired, removed = [seq for seq, received_ms in rows if received_ms < before_ms], 0
        if expired and reached is not None:
            with self._db.transaction() as connection:
                removed = _delete(connection, events_table(reached.partition), expired)
        return removed, reached

    def voids_after(self, after: tuple[str, int], most: int) -> list[Void]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                """SELECT mark, since_ms, until_ms, cause FROM voids WHERE (mark, since_ms) > (?, ?)
                ORDER BY mark, since_ms LIMIT ?""",
                (*after, most),
            ).fetchall()
        return [Void(*row) for row in rows]

    def removed(self) -> Removed:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            events, number, is_going_on = connection.execute(
                """SELECT removed, voids + removed, EXISTS (SELECT 1 FROM orders WHERE person IS NOT NULL)
                FROM voiding"""
            ).fetchone()
        return Removed(events, number, bool(is_going_on))

    def keep_voids(self, voids: Sequence[Void], expired: Sequence[Expired]) -> None:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            connection.executemany(_VOID, voids)
            connection.executemany(_EXPIRED, expired)
            connection.execute(_CHANGED)
            connection.execute(_MOVED)


def write_privacy(connection: sqlite3.Connection, batch: Batch) -> None:
    """What of a batch is about privacy, inside its transaction."""
    if batch.voids:
        connection.executemany(_VOID, batch.voids)
        connection.execute(_CHANGED)
    order = batch.privacy
    if order is None:
        return
    until_ms = max((void.until_ms for void in order.voids if not void.since_ms), default=0)
    is_new = connection.execute(
        """INSERT INTO orders (id, kind, mark, at_ms, reason, is_suppressed, until_ms) VALUES (?,?,?,?,?,?,?)
        ON CONFLICT (id) DO NOTHING""",
        (order.id, order.kind, order.mark, order.at_ms, order.reason, order.is_suppressed, until_ms),
    ).rowcount
    if not is_new:
        return
    connection.executemany(_VOID, order.voids)
    connection.execute(_CHANGED)
    if order.kind == "lift":
        _lift(connection, order)
    if order.kind == "erase":
        _erase(connection, order)
        forget_samples(connection)
    else:
        connection.execute("UPDATE orders SET done_ms = at_ms WHERE id = ?", (order.id,))


def _lift(connection: sqlite3.Connection, order: Privacy) -> None:
    connection.execute(
        f"""UPDATE voids SET until_ms = max(since_ms, ?) WHERE until_ms = ? AND cause IN
        (SELECT cause FROM voids WHERE until_ms = ? AND mark IN {_AMONG})""",
        (order.at_ms, FOREVER_MS, FOREVER_MS, *_json(order.marks)),
    )


def _erase(connection: sqlite3.Connection, order: Privacy) -> None:
    """All of the person at once but what there may be much of."""
    person = order.person
    ids = _json(person.ids)
    connection.execute(
        f"UPDATE claims SET profile_id = '', event_id = '' WHERE identifier IN {_AMONG}", _json(order.shared)
    )
    removed = {
        "profiles": f"DELETE FROM profiles WHERE id IN {_AMONG}",
        "sessions": f"DELETE FROM sessions WHERE profile_id <> '' AND profile_id IN {_AMONG}",
        "identifiers": f"DELETE FROM claims WHERE profile_id IN {_AMONG}",
        "aliases": f"DELETE FROM aliases WHERE id IN {_AMONG}",
    }
    counts = {name: connection.execute(sql, ids).rowcount for name, sql in removed.items()}
    connection.execute(f"DELETE FROM due WHERE profile_id IN {_AMONG}", ids)
    lent = f"DELETE FROM claims WHERE identifier IN {_AMONG} AND profile_id <> ''"
    counts["identifiers"] += connection.execute(lent, _json(person.identifiers)).rowcount
    counts["merges"] = forget_merges(connection, person)
    counts["flow_runs"] = erase_runs(connection, person)
    _let_join(connection, person)
    for side in ("asked", "asker"):
        connection.execute(
            f"UPDATE asks SET {side} = '', cause = ? WHERE {side} <> '' AND {side} IN {_AMONG}", (order.id, *ids)
        )
    count_removed(connection, order.id, **counts, events=0, dead_letters=0, records_to_send=0)
    connection.execute("UPDATE orders SET person = ? WHERE id = ?", (msgspec.json.encode(person).decode(), order.id))


def _next_of(
    connection: sqlite3.Connection, removal: Removal, after: Looked | None, most: int
) -> tuple[list[tuple[int, int]], Looked | None]:
    """(running number, receive time) of the person's events among the next where such may lie; how far that is."""
    person = removal.person
    places = sorted({NO_PROFILE, *person.ids, *person.hosts})
    for (partition,) in connection.execute("SELECT name FROM partitions ORDER BY name").fetchall():
        for id in places:
            if after is not None and (partition, id) < after[:2]:
                continue
            start = after[2:] if after is not None and (partition, id) == after[:2] else (-(2**63), 0)
            where, among = _OF_PROFILE, (id,)
            if id == NO_PROFILE:
                where, among = _OF_SESSIONS, _json(person.sessions)
            rows = connection.execute(
                f"""SELECT time_ms, seq, received_at_ms, profile_version, session_id,
                json_extract(doc, '$.metadata.sent_as'), json_extract(doc, '$.metadata.forwarded_for')
                FROM {events_table(partition)} WHERE {where} AND (time_ms, seq) > (?, ?)
                ORDER BY time_ms, seq LIMIT ?""",
                (*among, *start, most),
            ).fetchall()
            if rows:
                version = person.ids.get(id, -1)
                found = [
                    (seq, received_ms)
                    for _, seq, received_ms, of_version, *way in rows
                    if (received_ms <= removal.until_ms or of_version <= version) and is_theirs(person, id, *way)
                ]
                return found, Looked(partition, id, *rows[-1][:2])
    return [], None


def _let_join(connection: sqlite3.Connection, person: Person) -> None:
    """Who they were part of does not know of them any more."""
    for id in dict.fromkeys(survivor(connection, host) for host in person.hosts):
        row = connection.execute("SELECT doc FROM profiles WHERE id = ?", (id,)).fetchone()
        document = None if row is None else joinable(msgspec.json.decode(row[0]), person.ids)
        if document is not None:
            doc = msgspec.json.encode(document).decode()
            connection.execute("UPDATE profiles SET doc = ? WHERE id = ?", (doc, id))


def _unclaim(connection: sqlite3.Connection, table: str, hosts: Sequence[str], seqs: Sequence[int]) -> None:
    """An identifier that a host has come with, too, stays its own; by which event it was claimed is not kept."""
    if hosts:
        connection.execute(
            f"""UPDATE claims SET event_id = '' WHERE profile_id IN {_AMONG}
            AND event_id IN (SELECT id FROM {table} WHERE seq IN {_AMONG})""",
            (*_json(hosts), *_json(seqs)),
        )


def _forget_runs(connection: sqlite3.Connection, table: str, removal: Removal, seqs: Sequence[int]) -> None:
    """Runs that these events have triggered, of those that are not under one of their own ids."""
    if removal.person.hosts:
        events = connection.execute(f"SELECT id FROM {table} WHERE seq IN {_AMONG}", _json(seqs)).fetchall()
        removed = erase_runs_of_events(connection, removal.person.hosts, [id for (id,) in events])
        count_removed(connection, removal.id, flow_runs=removed)


def _lent(connection: sqlite3.Connection, id: str, hosts: Sequence[str]) -> list[tuple[str, str, int]]:
    """Identifiers that came with the profile alone, and are held by who it was part of then."""
    rows = connection.execute(
        f"""SELECT identifier, label, uses, profile_id FROM claims WHERE profile_id IN {_AMONG} AND identifier IN
        (SELECT key FROM json_each((SELECT doc FROM profiles WHERE id = ?), '$.metadata.identifiers'))""",
        (*_json(hosts), id),
    ).fetchall()
    own = "SELECT 1 FROM profiles, json_each(doc, '$.metadata.identifiers') WHERE profiles.id = ? AND key = ?"
    return [
        (name, label, uses)
        for name, label, uses, holder in rows
        if connection.execute(own, (survivor(connection, holder), name)).fetchone() is None
    ]


def _latest_of(connection: sqlite3.Connection, versions: dict[str, int]) -> int:
    """When the newest event of these profiles was received, each up to its version; 0: there is none."""
    latest_ms = 0
    if not versions:
        return latest_ms
    for (name,) in connection.execute("SELECT name FROM partitions").fetchall():
        for id, version in versions.items():
            (found,) = connection.execute(
                f"""SELECT max(received_at_ms) FROM {events_table(name)}
                WHERE profile_id = ? AND profile_id <> '' AND profile_version <= ?""",
                (id, version),
            ).fetchone()
            latest_ms = max(latest_ms, found or 0)
    return latest_ms


def _is_void_to_send(connection: sqlite3.Connection, value: bytes, removal: Removal) -> bool:
    inbound = decode_inbound(value)
    moved = moved_by(inbound)
    alias = known_aliases(connection, [moved.profile_id]).get(moved.profile_id) if moved else None
    return is_void_to_send(inbound, removal.person, removal.until_ms, alias)


def _void_up_to(connection: sqlite3.Connection, removal: Removal, received_ms: int) -> None:
    """One was received later than was thought, by the clock of another edge: the same record again is void, too."""
    if received_ms <= removal.until_ms:
        return
    connection.execute(
        "UPDATE voids SET until_ms = max(until_ms, ?) WHERE cause = ? AND since_ms = 0", (received_ms, removal.id)
    )
    connection.execute(_CHANGED)


def _next_old(
    connection: sqlite3.Connection, after: Passed | None, most: int
) -> tuple[list[tuple[int, int]], int, Passed | None]:
    """(running number, receive time) of the next events of one type that may be too old; before when they are."""
    before: dict[str, int] = dict(connection.execute("SELECT event_type, before_ms FROM expired").fetchall())
    for partition, type in _old(connection, before):
        if after is not None and (partition, type) < after[:2]:
            continue
        start = after[2:] if after is not None and (partition, type) == after[:2] else (-(2**63), 0)
        before_ms = before.get(type, before.get("*", 0))
        # an event is received a day before its own time at the earliest, unless that is out of range
        until_ms = 2**63 - 1 if partition == OUTLIERS else before_ms + DAY_MS
        rows = connection.execute(
            f"""SELECT time_ms, seq, received_at_ms FROM {events_table(partition)}
            WHERE type = ? AND time_ms < ? AND (time_ms, seq) > (?, ?) ORDER BY time_ms, seq LIMIT ?""",
            (type, until_ms, *start, most),
        ).fetchall()
        if rows:
            found = [(seq, received_ms) for _, seq, received_ms in rows]
            return found, before_ms, Passed(partition, type, *rows[-1][:2])
    return [], 0, None


def _old(connection: sqlite3.Connection, before: dict[str, int]) -> Iterator[tuple[str, str]]:
    """(partition, type) in which there may be events that are too old, in order."""
    if not before:
        return
    newest = month_of(max(before.values()) + DAY_MS)
    for (name,) in connection.execute("SELECT name FROM partitions ORDER BY name").fetchall():
        if name != OUTLIERS and name > newest:
            continue
        types: Iterable[str] = sorted(before)
        if "*" in before:
            types = [type for (type,) in connection.execute(_TYPES.format(table=events_table(name))).fetchall()]
        yield from ((name, type) for type in types)


def _delete(connection: sqlite3.Connection, table: str, seqs: Sequence[int]) -> int:
    """Events; returns how many, as several collectors may do the same."""
    removed = connection.execute(f"DELETE FROM {table} WHERE seq IN {_AMONG}", _json(seqs)).rowcount
    connection.execute("UPDATE voiding SET removed = removed + ?", (removed,))
    return removed


def count_removed(connection: sqlite3.Connection, id: str, **more: int) -> None:
    """So many more of an order are gone."""
    (removed,) = connection.execute("SELECT removed FROM orders WHERE id = ?", (id,)).fetchone()
    counts: dict[str, int] = msgspec.json.decode(removed)
    for name, number in more.items():
        counts[name] = counts.get(name, 0) + number
    connection.execute("UPDATE orders SET removed = ? WHERE id = ?", (msgspec.json.encode(counts).decode(), id))


def _letter(seq: int, id: str, doc: str, body: bytes) -> LetterPart:
    document: dict[str, Any] = msgspec.json.decode(doc)
    first_ms = round(datetime.fromisoformat(document["first_at"]).timestamp() * 1000)
    return LetterPart(seq, id, document["stage"], (document["key"] or "").encode("latin-1"), bytes(body), first_ms)


def _order(row: Sequence[Any]) -> OrderRow:
    seq, id, kind, mark, at_ms, reason, is_suppressed, until_ms, done_ms, removed = row
    counts = msgspec.json.decode(removed)
    return OrderRow(seq, id, kind, mark, at_ms, reason, bool(is_suppressed), until_ms, done_ms, counts)


def _json(values: Iterable[Any]) -> tuple[str]:
    return (msgspec.json.encode(list(values)).decode(),)
