"""Segments in the store: who is in them, who differs from their conditions, when time alone may change that."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.conditions.ast import Condition
from hub.conditions.walk import settled
from hub.model import Batch, Person
from hub.store.port import Differing, Rule
from hub.store.query.sql import Compiler
from hub.store.sqlite.database import Database
from hub.store.sqlite.schema import events_table
from hub.store.stays import is_theirs, way_of

SEPARATOR: Final = "\x1f"
"""Around each id in `profiles.segments`: it cannot stand in one, so a search for an id finds no part of another."""

_MOST_SEQ: Final = 2**63 - 1
_AMONG: Final = "(SELECT value FROM json_each(?))"
_DUE: Final = """INSERT INTO due (profile_id, at_ms) SELECT id, :at FROM profiles WHERE id = :id
    ON CONFLICT (profile_id) DO UPDATE SET at_ms = excluded.at_ms"""
_SOONER: Final = f"{_DUE} WHERE excluded.at_ms < due.at_ms"
_SIZE: Final = "INSERT INTO segment_sizes (segment, hour, members) VALUES (?,?,?) ON CONFLICT DO NOTHING"


def listed(document: Mapping[str, Any]) -> str:
    """The segments of a profile as its row has them; empty for none."""
    segments = document.get("segments")
    return f"{SEPARATOR}{SEPARATOR.join(segments)}{SEPARATOR}" if segments else ""


def write_due(connection: sqlite3.Connection, batch: Batch) -> None:
    """When profiles of a batch have to be looked at again, inside its transaction and after its profiles."""
    if not batch.due:
        return
    rows = batch.due.items()
    connection.executemany("DELETE FROM due WHERE profile_id = ?", ((id,) for id, at in rows if at is None))
    connection.executemany(_DUE, ({"id": id, "at": at} for id, at in rows if at is not None))


class SegmentSide:
    """`Segments` of the port."""

    _db: Database

    def due(self, until_ms: int, limit: int, after: tuple[int, str] = (-1, "")) -> list[tuple[str, int]]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            return connection.execute(
                """SELECT profile_id, at_ms FROM due WHERE at_ms <= ? AND (at_ms, profile_id) > (?, ?)
                ORDER BY at_ms, profile_id LIMIT ?""",
                (until_ms, *after, limit),
            ).fetchall()

    def note_due(self, rows: Sequence[tuple[str, int]]) -> None:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            connection.executemany(_SOONER, ({"id": id, "at": at_ms} for id, at_ms in rows))

    def differing(self, rules: Sequence[Rule], after: str, until: str, most: int, now_us: int) -> Differing:
        """See the port. Raises Unavailable."""
        masks: list[str] = []
        bound: dict[str, str | int | float] = {"after": after, "until": until, "most": most, "now": now_us // 1_000}
        for place, rule in enumerate(rules):
            compiler = Compiler("profiles", f"r{place}_")
            holds = compiler.visit(settled(rule.condition, now_us))
            bound |= compiler.parameters | {f"s{place}": f"{SEPARATOR}{rule.segment}{SEPARATOR}"}
            masks.append(f"(coalesce(({holds}), 0) <> 0) <> (instr(segments, :s{place}) > 0)")
        within = "id > :after" + (" AND id <= :until" if until else "")
        with self._db.reading() as connection:
            # one statement for all of them: SQLite reads each document once
            rows = connection.execute(
                f"""SELECT id, '' || {" || ".join(f"({mask})" for mask in masks) or "''"},
                EXISTS (SELECT 1 FROM due WHERE profile_id = id AND at_ms <= :now)
                FROM profiles WHERE {within} ORDER BY id LIMIT :most""",
                bound,
            ).fetchall()
        found = [
            (id, [rule.segment for rule, one in zip(rules, mask, strict=True) if one == "1"], overdue)
            for id, mask, overdue in rows
            if "1" in mask
        ]
        return Differing(
            [(id, segments) for id, segments, _ in found],
            rows[-1][0] if rows else None,
            len(rows),
            frozenset(id for id, _, overdue in found if overdue),
        )

    def with_events(self, ids: Sequence[str], types: Sequence[str]) -> set[str]:
        """See the port. Raises Unavailable."""
        asked = _json(ids)
        with self._db.reading() as connection:
            found = {
                id
                for (id,) in connection.execute(
                    f"""SELECT into_id FROM aliases WHERE into_id IN {_AMONG} UNION
                    SELECT loser_id FROM merges WHERE loser_id IN {_AMONG} AND undone_ms IS NOT NULL""",
                    (*asked, *asked),
                )
            }
            for (name,) in connection.execute("SELECT name FROM partitions").fetchall():
                rows = connection.execute(
                    f"""SELECT DISTINCT profile_id FROM {events_table(name)} WHERE profile_id IN {_AMONG}
                    AND profile_id <> '' AND type IN {_AMONG}""",
                    (*asked, *_json(types)),
                )
                found.update(id for (id,) in rows)
        return found

    def history(self, id: str, types: Sequence[str]) -> list[bytes]:
        """See the port. Raises Unavailable."""
        rows: list[tuple[int, int, str]] = []
        with self._db.reading() as connection:
            ids = [id for (id,) in connection.execute(_PARTS, (id,))]
            void = void_of(connection, ids)
            for (name,) in connection.execute("SELECT name FROM partitions").fetchall():
                for owner, received_ms, version, *row in connection.execute(
                    f"""SELECT profile_id, received_at_ms, profile_version, time_ms, seq, doc FROM {events_table(name)}
                    WHERE profile_id IN {_AMONG} AND profile_id <> '' AND type IN {_AMONG}""",
                    (*_json(ids), *_json(types)),
                ):
                    if not is_void(void, owner, received_ms, version, row[2]):
                        rows.append((row[0], row[1], row[2]))
        return [doc.encode() for _, _, doc in sorted(rows)]

    def satisfying(self, condition: Condition, size: int, now_us: int) -> tuple[int, list[dict[str, Any]]]:
        """See the port. Raises Unavailable."""
        compiler = Compiler("profiles")
        holds = compiler.visit(settled(condition, now_us))
        with self._db.reading() as connection:
            rows = connection.execute(
                f"SELECT seq, doc FROM profiles WHERE {holds} ORDER BY seq DESC LIMIT :size",
                {**compiler.parameters, "size": size},
            ).fetchall()
            # each document is looked at once: only those are counted that the sample has not come to
            below = rows[-1][0] if rows else _MOST_SEQ
            rest = 0
            if len(rows) == size:
                (rest,) = connection.execute(
                    f"SELECT count(*) FROM profiles WHERE seq < :below AND {holds}",
                    {**compiler.parameters, "below": below},
                ).fetchone()
        return len(rows) + rest, [msgspec.json.decode(doc) for _, doc in rows]

    def members(self, segment: str, size: int, before: int | None) -> tuple[list[dict[str, Any]], int | None]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                f"""SELECT seq, doc FROM profiles WHERE instr(segments, ?) > 0
                {"" if before is None else "AND seq < ?"} ORDER BY seq DESC LIMIT ?""",
                (f"{SEPARATOR}{segment}{SEPARATOR}", *(() if before is None else (before,)), size + 1),
            ).fetchall()
        return [msgspec.json.decode(doc) for _, doc in rows[:size]], rows[size - 1][0] if len(rows) > size else None

    def segment_sizes(self) -> dict[str, int]:
        """See the port. Raises Unavailable."""
        sizes: Counter[str] = Counter()
        with self._db.reading() as connection:
            for segments, count in connection.execute(
                "SELECT segments, count(*) FROM profiles WHERE segments <> '' GROUP BY segments"
            ):
                for segment in segments[1:-1].split(SEPARATOR):
                    sizes[segment] += count
        return dict(sizes)

    def keep_sizes(self, hour: int, sizes: Mapping[str, int], oldest: int) -> None:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            connection.executemany(_SIZE, ((segment, hour, members) for segment, members in sizes.items()))
            connection.execute("DELETE FROM segment_sizes WHERE hour < ?", (oldest,))

    def kept_sizes(self, segment: str, since: int, until: int) -> list[tuple[int, int]]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            return connection.execute(
                "SELECT hour, members FROM segment_sizes WHERE segment = ? AND hour >= ? AND hour < ? ORDER BY hour",
                (segment, since, until),
            ).fetchall()


_PARTS: Final = """WITH RECURSIVE parts(id) AS (SELECT ? UNION
    SELECT aliases.id FROM aliases JOIN parts ON aliases.into_id = parts.id UNION
    SELECT survivor_id FROM merges JOIN parts ON merges.loser_id = parts.id AND undone_ms IS NOT NULL)
    SELECT id FROM parts"""


def void_of(connection: sqlite3.Connection, ids: Sequence[str]) -> list[tuple[Person, int]]:
    """Erasures of which something of these is left to remove, and what was received up to when is void."""
    rows = connection.execute("SELECT person, until_ms FROM orders WHERE person IS NOT NULL")
    people = [(msgspec.json.decode(person, type=Person), until_ms) for person, until_ms in rows]
    return [(person, until_ms) for person, until_ms in people if not {*person.ids, *person.hosts}.isdisjoint(ids)]


def is_void(void: Sequence[tuple[Person, int]], owner: str, received_ms: int, version: int, doc: str) -> bool:
    """Whether an event is to be removed, and is there only because nobody has come to it. Args: void: of `void_of`."""
    late = [person for person, until_ms in void if received_ms <= until_ms or version <= person.ids.get(owner, -1)]
    return bool(late) and any(is_theirs(person, owner, *way_of(msgspec.json.decode(doc))) for person in late)


def _json(ids: Sequence[str]) -> tuple[str]:
    return (msgspec.json.encode(list(ids)).decode(),)
