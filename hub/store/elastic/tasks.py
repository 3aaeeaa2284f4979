"""
Tasks and their slices, without transactions.

A task is a row that is changed by compare-and-set, and so is each slice; what has to hold for several of them:

- **Cut once.** The slices of a plan are written first, under a key that nobody else has; then the task's row is changed
  to `running` with that key: this is what counts, and from then on the slices are seen. Of two who plan one is refused
  and removes what it has written. What one leaves that is killed before, nobody sees; it goes with the task.
- **The last slice ends it.** A slice that is done is saved first. Then whoever has saved it looks, after a refresh,
  whether one is open: of two who save the last two at once the later one sees both. Whoever is killed between the two
  leaves a task that runs without an open slice: who asks for its open slices, as workers do again and again, ends it.
- **Nothing moves that is over.** A task is looked at before each change of its slices. One that is cancelled between
  the look and the change keeps that page as well, as if it had been saved right before.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hub.store.elastic.client import Engine
from hub.store.elastic.head import HeadDocument
from hub.store.elastic.rows import Fields, Table, between, equal, text_of
from hub.store.port import Removal, check_size
from hub.task import MOST_SLICES, OVER, Planned, Slice, Task

_OPEN: Final = equal("state", ["waiting", "running"])


class TaskSide:
    """`Tasks` of the port."""

    _engine: Engine
    _head: HeadDocument
    removals: Callable[[], list[Removal]]

    def add_task(self, task: Task) -> bool:
        """See the port. Raises Unavailable: it may be there nevertheless."""
        (seq,) = self._tasks.numbers(1)
        return self._tasks.create(task.id, _row(task, seq))

    def task(self, id: str) -> Task | None:
        """See the port. Raises Unavailable."""
        found = self._tasks.get(id)
        return None if found is None else _task(found.source)

    def tasks(self, size: int, before: int | None = None, kind: str = "", state: str = "") -> list[tuple[int, Task]]:
        """See the port. Raises Unavailable."""
        check_size(size)
        where = [equal(name, value) for name, value in (("kind", kind), ("state", state)) if value]
        if before is not None:
            where.append(between("seq", lt=before))
        return [(row.fields["seq"], _task(row.fields)) for row in self._tasks.find(where, ["-seq"], size)]

    def open_tasks(self, queue: str) -> list[Task]:
        """See the port. Raises Unavailable."""
        return [_task(row.fields) for row in self._tasks.every([_OPEN, equal("queue", queue)], ["seq"])]

    def slices(self, task: str) -> list[Slice]:
        """See the port. Raises Unavailable."""
        found = self._tasks.get(task)
        if found is None:
            return []
        keys = [_key(task, found.source["plan"], number) for number in range(found.source["slices"])]
        rows = self._slices.many(keys)
        return [_slice(rows[key].source) for key in keys if key in rows]  # those of one that is being forgotten go

    def open_slices(self, task: str) -> list[int]:
        """See the port: and a task that is left without any is ended. Raises Unavailable."""
        found = self._tasks.get(task)
        if found is None:
            return []
        where = [*_of(task, found.source["plan"]), equal("state", "open")]
        numbers = [int(number) for number in self._slices.distinct(where, "number", MOST_SLICES)]
        if not numbers and found.source["state"] == "running" and not self._engine.readonly:
            self._end_if_over(task, found.source["plan"])
        return numbers

    def begin_plan(self, id: str) -> Task | None:
        """See the port. Raises Unavailable."""
        return self._change_task(id, ["waiting"], lambda task: replace(task, begun=task.begun + 1))

    def plan_task(self, id: str, slices: Sequence[Planned], at_ms: int) -> bool:
        """See the port. Raises Unavailable: it may be planned nevertheless."""
        if len(slices) > MOST_SLICES:
            raise ValueError(f"a task has at most {MOST_SLICES:,} slices, not {len(slices):,}")
        task = self.task(id)
        if task is None or task.state != "waiting":
            return False
        plan = secrets.token_hex(8)
        parts = [Slice(number=n, spec=dict(one.spec), total=one.total) for n, one in enumerate(slices)]
        keys = [_key(id, plan, part.number) for part in parts]
        self._slices.apply(
            self._slices.creating(key, _slice_row(id, plan, part, at_ms)) for key, part in zip(keys, parts, strict=True)
        )

        def begin(task: Task) -> Task:
            begun = replace(task, state="running", started_ms=at_ms, error="")
            return begun if parts else replace(begun, state="done", ended_ms=at_ms)

        if self._change_task(id, ["waiting"], begin, plan=plan, slices=len(parts)) is None:
            self._slices.apply(self._slices.removing(key) for key in keys)
            return False
        return True

    def begin_slice(self, id: str, number: int) -> Slice | None:
        """See the port. Raises Unavailable: it may be counted nevertheless."""
        plan = self._running(id)
        return (
            None
            if plan is None
            else self._change_slice(id, plan, number, lambda part: replace(part, begun=part.begun + 1))
        )

    def save_slice(self, id: str, part: Slice, at_ms: int) -> bool:
        """See the port. Raises Unavailable: the page may be saved nevertheless, and is refused then."""
        plan = self._running(id)
        if plan is None:
            return False

        def save(before: Slice) -> Slice | None:
            if before.step != part.step - 1:
                return None
            # of somebody who was erased since it was read; one who is erased from now on changes the row, so that this
            # is looked at again
            return replace(part, sample=[]) if part.sample and self._is_erasing() else part

        if self._change_slice(id, plan, part.number, save, at_ms) is None:
            return False
        if part.state != "open":
            self._end_if_over(id, plan)
        return True

    def note_slice_error(
        self, id: str, number: int, error: str, at_ms: int, *, is_final: bool, is_fault: bool = True
    ) -> None:
        """See the port. Raises Unavailable: it may be noted nevertheless."""
        plan = self._running(id)

        def note(part: Slice) -> Slice:
            begun = part.begun if is_fault else 0
            return replace(part, error=error, state="failed" if is_final else "open", begun=begun)

        if plan is not None and self._change_slice(id, plan, number, note, at_ms) is not None and is_final:
            self._end_if_over(id, plan)

    def note_plan_error(self, id: str, error: str, at_ms: int, *, is_final: bool) -> None:
        """See the port. Raises Unavailable."""

        def note(task: Task) -> Task:
            over = replace(task, state="failed", ended_ms=at_ms) if is_final else task
            return replace(over, error=error)

        self._change_task(id, ["waiting"], note)

    def cancel_task(self, id: str, at_ms: int) -> Task | None:
        """See the port. Raises Unavailable."""
        cancelled = self._change_task(
            id, ["waiting", "running"], lambda task: replace(task, state="cancelled", ended_ms=at_ms)
        )
        return cancelled or self.task(id)

    def forget_tasks(self, before_ms: int) -> int:
        """See the port: slices first, so that whoever goes on after a crash finds them. Raises Unavailable."""
        self._tasks.refresh()
        removed = 0
        for row in list(self._tasks.every([equal("state", sorted(OVER)), between("asked_ms", lt=before_ms)], ["seq"])):
            parts = self._slices.every([equal("task", row.key)], ["plan", "number"])
            self._slices.apply(self._slices.removing(part.key) for part in list(parts))
            removed += not self._tasks.apply([self._tasks.removing(row.key, row.found)])
        return removed

    @property
    def _tasks(self) -> Table:
        return Table(self._engine, "tasks")

    @property
    def _slices(self) -> Table:
        return Table(self._engine, "slices")

    def _is_erasing(self) -> bool:
        """Whether somebody's erasure is going on, or begins just now: the batch has not come to the order yet."""
        pending = self._head.read().pending
        return any(entry.is_alone and entry.parts is None for entry in pending) or bool(self.removals())

    def _running(self, id: str) -> str | None:
        """The plan of a task that runs."""
        found = self._tasks.get(id)
        return found.source["plan"] if found is not None and found.source["state"] == "running" else None

    def _change_task(self, id: str, states: Sequence[str], change: Callable[[Task], Task], **more: Any) -> Task | None:
        """Returns it as it was changed to; None: it is not in one of these states."""
        changed: Task | None = None

        def step(row: Fields | None) -> Fields | None:
            nonlocal changed
            changed = None if row is None or row["state"] not in states else change(_task(row))
            return None if row is None or changed is None else {**row, **_named(changed), **more}

        self._tasks.change(id, step)
        return changed

    def _change_slice(
        self, id: str, plan: str, number: int, change: Callable[[Slice], Slice | None], at_ms: int | None = None
    ) -> Slice | None:
        """Returns it as it was changed to; None: it is not open, or `change` has left it."""
        changed: Slice | None = None

        def step(row: Fields | None) -> Fields | None:
            nonlocal changed
            changed = None if row is None or row["state"] != "open" else change(_slice(row))
            if row is None or changed is None:
                return None
            return _slice_row(id, plan, changed, row["saved_ms"] if at_ms is None else at_ms)

        self._slices.change(_key(id, plan, number), step)
        return changed

    def _end_if_over(self, id: str, plan: str) -> None:
        """With the last slice the task is over. Whoever else does this as well does the same."""
        self._slices.refresh()  # what others have done before this is seen, too
        where = _of(id, plan)
        found = self._slices.figures(
            where, {"open": {"filter": equal("state", "open")}, "saved_ms": {"max": {"field": "saved_ms"}}}
        )
        if found["open"]["doc_count"]:
            return
        failed = self._slices.find([*where, equal("state", "failed")], ["number"], 1)
        error = _slice(failed[0].fields).error if failed else ""
        # the value of a maximum is a floating-point number, which is exact up to 2**53
        ended_ms = int(found["saved_ms"]["value"] or 0)
        self._change_task(
            id,
            ["running"],
            lambda task: replace(task, state="failed" if failed else "done", ended_ms=ended_ms, error=error),
        )


def forget_samples(engine: Engine) -> None:
    """
    Somebody is erased, by a batch that is pending: what tasks show of their work may be of that person.

    Each slice that somebody may be about to save is written, too: who has read it before saves it only after another
    look at the orders. To be done again until it has been done once.
    """
    slices = Table(engine, "slices")
    slices.refresh()
    at_work = {"bool": {"filter": [equal("state", "open"), equal("is_begun", True)]}}
    where = [{"bool": {"should": [equal("has_sample", True), at_work], "minimum_should_match": 1}}]

    def forget(row: Fields | None) -> Fields | None:
        return None if row is None else {**row, "has_sample": False, "doc": text_of(replace(_slice(row), sample=[]))}

    for row in list(slices.every(where, ["task", "plan", "number"])):
        slices.change(row.key, forget)


def _key(task: str, plan: str, number: int) -> str:
    return f"{task}/{plan}/{number}"


def _of(task: str, plan: str) -> list[dict[str, Any]]:
    return [equal("task", task), equal("plan", plan)]


def _row(task: Task, seq: int) -> dict[str, Any]:
    """`plan` and `slices`: under which key its slices are, and how many; none while it waits."""
    return {**_named(task), "seq": seq, "plan": "", "slices": 0}


def _named(task: Task) -> dict[str, Any]:
    return {
        "kind": task.kind,
        "queue": task.queue,
        "state": task.state,
        "asked_ms": task.asked_ms,
        "doc": text_of(task),
    }


def _slice_row(task: str, plan: str, part: Slice, saved_ms: int) -> dict[str, Any]:
    """`is_begun`: somebody may be at it."""
    return {
        "task": task,
        "plan": plan,
        "number": part.number,
        "state": part.state,
        "is_begun": part.begun > 0 or part.step > 0,
        "has_sample": bool(part.sample),
        "saved_ms": saved_ms,
        "doc": text_of(part),
    }


def _task(row: Fields) -> Task:
    return msgspec.json.decode(row["doc"], type=Task)


def _slice(row: Fields) -> Slice:
    return msgspec.json.decode(row["doc"], type=Slice)
