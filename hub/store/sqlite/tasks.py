"""Tasks and their slices."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hub.store.port import check_size
from hub.store.sqlite.database import Database
from hub.task import MOST_SLICES, OVER, Planned, Slice, Task

_OPEN: Final = "state IN ('waiting', 'running')"
_ERASING: Final = "SELECT 1 FROM orders WHERE person IS NOT NULL LIMIT 1"


class TaskSide:
    """`Tasks` of the port. Each change is one short transaction."""

    _db: Database

    def add_task(self, task: Task) -> bool:
        """See the port. Raises Unavailable."""
        with self._db.transaction() as connection:
            added = connection.execute(
                "INSERT INTO tasks (id, kind, queue, state, asked_ms, doc) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                (task.id, task.kind, task.queue, task.state, task.asked_ms, _text(task)),
            )
            return added.rowcount > 0

    def task(self, id: str) -> Task | None:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            return _task(connection, id)

    def tasks(self, size: int, before: int | None = None, kind: str = "", state: str = "") -> list[tuple[int, Task]]:
        """See the port. Raises Unavailable."""
        check_size(size)
        with self._db.reading() as connection:
            rows = connection.execute(
                """SELECT seq, doc FROM tasks WHERE seq < :before AND (:kind = '' OR kind = :kind)
                AND (:state = '' OR state = :state) ORDER BY seq DESC LIMIT :size""",
                {"before": 2**63 - 1 if before is None else before, "kind": kind, "state": state, "size": size},
            ).fetchall()
        return [(seq, msgspec.json.decode(doc, type=Task)) for seq, doc in rows]

    def open_tasks(self, queue: str) -> list[Task]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(f"SELECT doc FROM tasks WHERE {_OPEN} AND queue = ? ORDER BY seq", (queue,))
            return [msgspec.json.decode(doc, type=Task) for (doc,) in rows]

    def slices(self, task: str) -> list[Slice]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            return _slices(connection, task)

    def open_slices(self, task: str) -> list[int]:
        """See the port. Raises Unavailable."""
        with self._db.reading() as connection:
            rows = connection.execute(
                "SELECT number FROM slices WHERE task = ? AND state = 'open' ORDER BY number", (task,)
            )
            return [number for (number,) in rows]

    def begin_plan(self, id: str) -> Task | None:
        """See the port. Raises Unavailable."""
        with self._changing(id) as (connection, task):
            if task is None or task.state != "waiting":
                return None
            begun = replace(task, begun=task.begun + 1)
            _save(connection, begun)
            return begun

    def plan_task(self, id: str, slices: Sequence[Planned], at_ms: int) -> bool:
        """See the port. Raises Unavailable."""
        if len(slices) > MOST_SLICES:
            raise ValueError(f"a task has at most {MOST_SLICES:,} slices, not {len(slices):,}")
        parts = [Slice(number=n, spec=dict(one.spec), total=one.total) for n, one in enumerate(slices)]
        with self._changing(id) as (connection, task):
            if task is None or task.state != "waiting":
                return False
            connection.executemany(
                "INSERT INTO slices (task, number, state, step, doc) VALUES (?,?,?,?,?)",
                ((id, part.number, part.state, part.step, _text(part)) for part in parts),
            )
            running = replace(task, state="running", started_ms=at_ms, error="")
            _save(connection, running)
            _end_if_over(connection, running, at_ms)
            return True

    def begin_slice(self, id: str, number: int) -> Slice | None:
        """See the port. Raises Unavailable."""
        with self._changing(id) as (connection, task):
            part = _slice(connection, id, number)
            if task is None or task.state != "running" or part is None or part.state != "open":
                return None
            begun = replace(part, begun=part.begun + 1)
            _save_slice(connection, id, begun)
            return begun

    def save_slice(self, id: str, part: Slice, at_ms: int) -> bool:
        """See the port. Raises Unavailable."""
        with self._changing(id) as (connection, task):
            before = _slice(connection, id, part.number)
            if task is None or task.state != "running" or before is None or before.state != "open":
                return False
            if before.step != part.step - 1:
                return False
            if part.sample and connection.execute(_ERASING).fetchone() is not None:
                part = replace(part, sample=[])  # it may be of somebody who was erased since it was read
            _save_slice(connection, id, part)
            _end_if_over(connection, task, at_ms)
            return True

    def note_slice_error(
        self, id: str, number: int, error: str, at_ms: int, *, is_final: bool, is_fault: bool = True
    ) -> None:
        """See the port. Raises Unavailable."""
        with self._changing(id) as (connection, task):
            part = _slice(connection, id, number)
            if task is None or task.state != "running" or part is None or part.state != "open":
                return
            state, begun = "failed" if is_final else "open", part.begun if is_fault else 0
            _save_slice(connection, id, replace(part, error=error, state=state, begun=begun))
            _end_if_over(connection, task, at_ms)

    def note_plan_error(self, id: str, error: str, at_ms: int, *, is_final: bool) -> None:
        """See the port. Raises Unavailable."""
        with self._changing(id) as (connection, task):
            if task is None or task.state != "waiting":
                return
            over = replace(task, state="failed", ended_ms=at_ms) if is_final else task
            _save(connection, replace(over, error=error))

    def cancel_task(self, id: str, at_ms: int) -> Task | None:
        """See the port. Raises Unavailable."""
        with self._changing(id) as (connection, task):
            if task is None or task.state in OVER:
                return task
            cancelled = replace(task, state="cancelled", ended_ms=at_ms)
            _save(connection, cancelled)
            return cancelled

    def forget_tasks(self, before_ms: int) -> int:
        """See the port. Raises Unavailable."""
        old = f"SELECT id FROM tasks WHERE NOT ({_OPEN}) AND asked_ms < ?"
        with self._db.transaction() as connection:
            connection.execute(f"DELETE FROM slices WHERE task IN ({old})", (before_ms,))
            return connection.execute(f"DELETE FROM tasks WHERE id IN ({old})", (before_ms,)).rowcount

    @contextmanager
    def _changing(self, id: str) -> Iterator[tuple[sqlite3.Connection, Task | None]]:
        with self._db.transaction() as connection:
            yield connection, _task(connection, id)


def forget_samples(connection: sqlite3.Connection) -> None:
    """Somebody is erased, inside that transaction: what tasks show of their work may be of that person."""
    connection.execute(
        """UPDATE slices SET doc = json_set(doc, '$.sample', json('[]'))
        WHERE json_array_length(doc, '$.sample') > 0"""
    )


def _task(connection: sqlite3.Connection, id: str) -> Task | None:
    row = connection.execute("SELECT doc FROM tasks WHERE id = ?", (id,)).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Task)


def _slice(connection: sqlite3.Connection, task: str, number: int) -> Slice | None:
    row = connection.execute("SELECT doc FROM slices WHERE task = ? AND number = ?", (task, number)).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Slice)


def _slices(connection: sqlite3.Connection, task: str) -> list[Slice]:
    rows = connection.execute("SELECT doc FROM slices WHERE task = ? ORDER BY number", (task,))
    return [msgspec.json.decode(doc, type=Slice) for (doc,) in rows]


def _save(connection: sqlite3.Connection, task: Task) -> None:
    connection.execute("UPDATE tasks SET state = ?, doc = ? WHERE id = ?", (task.state, _text(task), task.id))


def _save_slice(connection: sqlite3.Connection, task: str, part: Slice) -> None:
    connection.execute(
        "UPDATE slices SET state = ?, step = ?, doc = ? WHERE task = ? AND number = ?",
        (part.state, part.step, _text(part), task, part.number),
    )


def _end_if_over(connection: sqlite3.Connection, task: Task, at_ms: int) -> None:
    """With the last slice the task is over."""
    row = connection.execute("SELECT 1 FROM slices WHERE task = ? AND state = 'open' LIMIT 1", (task.id,)).fetchone()
    if row is not None:
        return
    failed = connection.execute(
        "SELECT doc FROM slices WHERE task = ? AND state = 'failed' ORDER BY number LIMIT 1", (task.id,)
    ).fetchone()
    error = "" if failed is None else msgspec.json.decode(failed[0], type=Slice).error
    _save(connection, replace(task, state="failed" if failed else "done", ended_ms=at_ms, error=error))


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
