"""Runs of flows."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hub.flows.kept import OVER, KeptRun, RunDocuments
from hub.model import Person
from hub.store.port import check_size
from hub.store.sqlite.database import Database
from hub.store.sqlite.identity import person, survivor
from hub.store.sqlite.schema import events_table
from hub.store.sqlite.segments import is_void, void_of

_AMONG: Final = "(SELECT value FROM json_each(?))"
_OVER: Final = "state IN ('done', 'failed', 'stopped', 'cancelled')"
"""As the index of what can be forgotten has it."""
_ADD: Final = """INSERT INTO flow_runs (id, flow, state, profile_id, session_id, changed_ms, due_ms, turn, doc)
    VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING"""
_CHANGE: Final = """UPDATE flow_runs SET state = ?, changed_ms = ?, due_ms = ?, turn = ?, doc = ?
    WHERE id = ? AND turn = ?"""
_THERE: Final = f"""SELECT id FROM profiles WHERE id IN {_AMONG} UNION ALL
    SELECT id FROM aliases WHERE id IN {_AMONG}"""
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(KeptRun).decode


class FlowRunSide:
    """`FlowRuns` of the port."""

    _db: Database

    def flow_runs(self, ids: Sequence[str]) -> dict[str, KeptRun]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(f"SELECT id, doc FROM flow_runs WHERE id IN {_AMONG}", _json(ids))
            return {id: _decode(doc) for id, doc in rows}

    def run_documents(
        self, events: Sequence[tuple[str, str]], profiles: Sequence[str], sessions: Sequence[str]
    ) -> RunDocuments:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            # a transaction that reads: everything is of the moment of its first statement
            connection.execute("BEGIN")
            try:
                found, moving = _profiles(connection, profiles)
                kept = connection.execute(f"SELECT id, doc FROM sessions WHERE id IN {_AMONG}", _json(sessions))
                return RunDocuments(
                    _events(connection, events), found, {id: doc.encode() for id, doc in kept}, frozenset(moving)
                )
            finally:
                connection.execute("ROLLBACK")

    def save_flow_runs(self, runs: Sequence[KeptRun], *, durable: bool = False) -> list[str]:
        """See the port. Raises Unavailable."""
        if not runs:
            return []
        refused: list[str] = []
        new = _json({run.profile_id for run in runs if run.turn == 1 and run.profile_id})
        rows = [(run, _encode(run).decode()) for run in runs]
        with self._db.transaction(durable=durable) as connection:
            there = {id for (id,) in connection.execute(_THERE, (*new, *new))}
            for run, doc in rows:
                if run.turn == 1:
                    is_there = not run.profile_id or run.profile_id in there
                    saved = is_there and connection.execute(_ADD, _columns(run, doc)).rowcount > 0
                else:
                    saved = _change(connection, run, doc)
                if not saved:
                    refused.append(run.id)
                elif run.waits:
                    connection.executemany(
                        "INSERT INTO flow_waits (type, profile_id, run) VALUES (?,?,?)",
                        ((type, run.profile_id, run.id) for type in run.waits),
                    )
        return refused

    def cancel_flow_run(self, id: str, at_ms: int) -> KeptRun | None:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            row = connection.execute("SELECT doc FROM flow_runs WHERE id = ?", (id,)).fetchone()
            run = None if row is None else _decode(row[0])
            if run is None or run.state in OVER:
                return run
            run = replace(run, state="cancelled", changed_ms=at_ms, due_ms=None, waits=[], turn=run.turn + 1)
            _change(connection, run, _encode(run).decode())
            return run

    def due_flow_runs(self, until_ms: int, after: tuple[int, str] | None, most: int) -> list[KeptRun]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                """SELECT doc FROM flow_runs WHERE due_ms IS NOT NULL AND due_ms <= ? AND (due_ms, id) > (?, ?)
                ORDER BY due_ms, id LIMIT ?""",
                (until_ms, *(after or (-(2**63), "")), most),
            ).fetchall()
        return [_decode(doc) for (doc,) in rows]

    def due_seconds(self, most: int, after_s: int = 0) -> list[int]:
        """See the port. Raises Unavailable."""
        found: list[int] = []
        with self._db.reading() as connection:
            while len(found) < most:  # one step in the index a second, however many runs are due then
                row = connection.execute(
                    "SELECT min(due_ms) FROM flow_runs WHERE due_ms IS NOT NULL AND due_ms > ?",
                    ((found[-1] if found else after_s) * 1_000,),
                ).fetchone()
                if row[0] is None:
                    break
                found.append(-(-row[0] // 1_000))
        return found

    def left_flow_runs(self, before_ms: int, most: int) -> list[str]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                "SELECT id FROM flow_runs WHERE state = 'waiting' AND changed_ms < ? ORDER BY changed_ms, id LIMIT ?",
                (before_ms, most),
            ).fetchall()
        return [id for (id,) in rows]

    def waiting_flow_runs(self, profile_ids: Sequence[str], event_type: str) -> list[KeptRun]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                f"""SELECT doc FROM flow_runs WHERE state = 'paused' AND id IN
                (SELECT run FROM flow_waits WHERE type = ? AND profile_id IN {_AMONG}) ORDER BY seq""",
                (event_type, *_json(profile_ids)),
            ).fetchall()
        return [_decode(doc) for (doc,) in rows]

    def waited_types(self) -> set[str]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                """WITH RECURSIVE found(type) AS (SELECT min(type) FROM flow_waits UNION ALL
                SELECT (SELECT min(type) FROM flow_waits WHERE type > found.type) FROM found
                WHERE found.type IS NOT NULL) SELECT type FROM found WHERE type IS NOT NULL"""
            ).fetchall()
        return {type for (type,) in rows}

    def list_flow_runs(
        self,
        size: int,
        before: int | None,
        *,
        flow: str = "",
        state: str = "",
        profile_id: str = "",
        sessions: Sequence[str] = (),
    ) -> tuple[list[KeptRun], int | None]:
        """See the port. Raises Unavailable, and ValueError for a size outside 1 to 1,000."""
        check_size(size)
        where = ["seq < ?"]
        parameters: list[Any] = [2**63 - 1 if before is None else before]
        with self._db.reading() as connection:
            for name, value in (("flow", flow), ("state", state)):
                if value:
                    where.append(f"{name} = ?")
                    parameters.append(value)
            if state and state != "done":
                where.append("state <> 'done'")  # as its index says
            if profile_id:
                where.append(f"profile_id <> '' AND profile_id IN {_AMONG}")
                parameters += _json(person(connection, profile_id))
            if sessions:
                where.append(f"profile_id = '' AND session_id <> '' AND session_id IN {_AMONG}")
                parameters += _json(sessions)
            rows = connection.execute(
                f"SELECT seq, doc FROM flow_runs WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?",
                (*parameters, size + 1),
            ).fetchall()
        found = [_decode(doc) for _, doc in rows[:size]]
        return found, rows[size - 1][0] if len(rows) > size else None

    def forget_flow_runs(self, before_ms: int, most: int) -> int:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            return connection.execute(
                f"""DELETE FROM flow_runs WHERE seq IN
                (SELECT seq FROM flow_runs WHERE {_OVER} AND changed_ms < ? ORDER BY changed_ms LIMIT ?)""",
                (before_ms, most),
            ).rowcount


def erase_runs(connection: sqlite3.Connection, person: Person) -> int:
    """Remove those of somebody who is erased, inside that transaction. Returns how many."""
    theirs = f"""profile_id <> '' AND profile_id IN {_AMONG}
        OR profile_id = '' AND session_id <> '' AND session_id IN {_AMONG}"""
    names = (*_json(person.ids), *_json(person.sessions))
    return _remove(connection, [id for (id,) in connection.execute(f"SELECT id FROM flow_runs WHERE {theirs}", names)])


def erase_runs_of_events(connection: sqlite3.Connection, hosts: Sequence[str], events: Iterable[str]) -> int:
    """Remove those that events of somebody have triggered while they were part of another profile."""
    rows = connection.execute(
        f"""SELECT id FROM flow_runs WHERE profile_id <> '' AND profile_id IN {_AMONG}
        AND json_extract(doc, '$.event[1]') IN {_AMONG}""",
        (*_json(hosts), *_json(events)),
    )
    return _remove(connection, [id for (id,) in rows])


def _remove(connection: sqlite3.Connection, ids: Sequence[str]) -> int:
    if not ids:
        return 0
    connection.execute(f"DELETE FROM flow_waits WHERE run IN {_AMONG}", _json(ids))
    return connection.execute(f"DELETE FROM flow_runs WHERE id IN {_AMONG}", _json(ids)).rowcount


def _change(connection: sqlite3.Connection, run: KeptRun, doc: str) -> bool:
    values = (run.state, run.changed_ms, run.due_ms, run.turn, doc, run.id, run.turn - 1)
    if connection.execute(_CHANGE, values).rowcount == 0:
        return False
    connection.execute("DELETE FROM flow_waits WHERE run = ?", (run.id,))
    return True


def _profiles(connection: sqlite3.Connection, ids: Sequence[str]) -> tuple[dict[str, bytes], list[str]]:
    """By the id that was asked for; and those that are on their way into another one."""
    into = {id: id for id in ids}
    for id, _ in connection.execute(f"SELECT id, into_id FROM aliases WHERE id IN {_AMONG}", _json(ids)).fetchall():
        into[id] = survivor(connection, id)
    rows = connection.execute(f"SELECT id, doc FROM profiles WHERE id IN {_AMONG}", _json(set(into.values())))
    docs = {id: doc.encode() for id, doc in rows}
    found = {id: docs[survivor] for id, survivor in into.items() if survivor in docs}
    return found, [id for id, survivor in into.items() if id != survivor and survivor not in docs]


def _events(connection: sqlite3.Connection, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
    among: defaultdict[str, list[str]] = defaultdict(list)
    for partition, id in keys:
        among[partition].append(id)
    if not among:
        return {}
    rows: list[tuple[Any, ...]] = []
    present = {name for (name,) in connection.execute("SELECT name FROM partitions")}
    for partition, ids in among.items():
        if partition in present:
            rows += connection.execute(
                f"""SELECT id, profile_id, received_at_ms, profile_version, doc FROM {events_table(partition)}
                WHERE id IN {_AMONG}""",
                _json(ids),
            ).fetchall()
    void = void_of(connection, [row[1] for row in rows])
    return {
        id: doc.encode()
        for id, owner, received_ms, version, doc in rows
        if not void or not is_void(void, owner, received_ms, version, doc)
    }


def _columns(run: KeptRun, doc: str) -> tuple[Any, ...]:
    return (
        run.id,
        run.flow,
        run.state,
        run.profile_id,
        run.session_id,
        run.changed_ms,
        run.due_ms,
        run.turn,
        doc,
    )


def _json(values: Iterable[Any]) -> tuple[str]:
    return (msgspec.json.encode(list(values)).decode(),)
