"""The tasks of the store in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from msgspec.structs import replace

from hub.store.port import Removal, check_size
from hub.task import MOST_SLICES, OVER, Planned, Slice, Task


class TasksInMemory:
    """As `hub.store.sqlite.tasks` has it, on dicts."""

    _lock: threading.RLock

    def __init__(self) -> None:
        """There are none."""
        self._tasks: dict[str, Task] = {}
        self._slices: dict[str, dict[int, Slice]] = {}
        self._task_numbers: dict[str, int] = {}

    def add_task(self, task: Task) -> bool:
        """See the port."""
        with self._lock:
            if task.id in self._tasks:
                return False
            self._tasks[task.id] = task
            self._task_numbers[task.id] = max(self._task_numbers.values(), default=0) + 1
            return True

    def task(self, id: str) -> Task | None:
        """See the port."""
        with self._lock:
            return self._tasks.get(id)

    def tasks(self, size: int, before: int | None = None, kind: str = "", state: str = "") -> list[tuple[int, Task]]:
        """See the port."""
        check_size(size)
        with self._lock:
            every = [(self._task_numbers[id], task) for id, task in self._tasks.items()]
        found = [
            (number, task)
            for number, task in every
            if (before is None or number < before) and kind in ("", task.kind) and state in ("", task.state)
        ]
        return sorted(found, key=lambda one: -one[0])[:size]

    def open_tasks(self, queue: str) -> list[Task]:
        """See the port."""
        with self._lock:
            return [task for task in self._tasks.values() if task.queue == queue and task.state not in OVER]

    def slices(self, task: str) -> list[Slice]:
        """See the port."""
        with self._lock:
            return list(self._slices.get(task, {}).values())

    def open_slices(self, task: str) -> list[int]:
        """See the port."""
        return [part.number for part in self.slices(task) if part.state == "open"]

    def begin_plan(self, id: str) -> Task | None:
        """See the port."""
        with self._lock:
            task = self._tasks.get(id)
            if task is None or task.state != "waiting":
                return None
            self._tasks[id] = replace(task, begun=task.begun + 1)
            return self._tasks[id]

    def plan_task(self, id: str, slices: Sequence[Planned], at_ms: int) -> bool:
        """See the port."""
        if len(slices) > MOST_SLICES:
            raise ValueError(f"a task has at most {MOST_SLICES:,} slices, not {len(slices):,}")
        with self._lock:
            task = self._tasks.get(id)
            if task is None or task.state != "waiting":
                return False
            self._slices[id] = {
                n: Slice(number=n, spec=dict(one.spec), total=one.total) for n, one in enumerate(slices)
            }
            self._tasks[id] = replace(task, state="running", started_ms=at_ms, error="")
            self._end_if_over(id, at_ms)
            return True

    def begin_slice(self, id: str, number: int) -> Slice | None:
        """See the port."""
        with self._lock:
            part = self._open_slice(id, number)
            if part is None:
                return None
            self._slices[id][number] = replace(part, begun=part.begun + 1)
            return self._slices[id][number]

    def save_slice(self, id: str, part: Slice, at_ms: int) -> bool:
        """See the port."""
        with self._lock:
            before = self._open_slice(id, part.number)
            if before is None or before.step != part.step - 1:
                return False
            if part.sample and self.removals():
                part = replace(part, sample=[])
            self._slices[id][part.number] = part
            self._end_if_over(id, at_ms)
            return True

    def note_slice_error(
        self, id: str, number: int, error: str, at_ms: int, *, is_final: bool, is_fault: bool = True
    ) -> None:
        """See the port."""
        with self._lock:
            part = self._open_slice(id, number)
            if part is not None:
                state, begun = "failed" if is_final else "open", part.begun if is_fault else 0
                self._slices[id][number] = replace(part, error=error, state=state, begun=begun)
                self._end_if_over(id, at_ms)

    def note_plan_error(self, id: str, error: str, at_ms: int, *, is_final: bool) -> None:
        """See the port."""
        with self._lock:
            task = self._tasks.get(id)
            if task is not None and task.state == "waiting":
                if is_final:
                    task = replace(task, state="failed", ended_ms=at_ms)
                self._tasks[id] = replace(task, error=error)

    def cancel_task(self, id: str, at_ms: int) -> Task | None:
        """See the port."""
        with self._lock:
            task = self._tasks.get(id)
            if task is not None and task.state not in OVER:
                self._tasks[id] = replace(task, state="cancelled", ended_ms=at_ms)
            return self._tasks.get(id)

    def forget_tasks(self, before_ms: int) -> int:
        """See the port."""
        with self._lock:
            old = [id for id, task in self._tasks.items() if task.state in OVER and task.asked_ms < before_ms]
            for id in old:
                del self._tasks[id]
                self._slices.pop(id, None)
            return len(old)

    def removals(self) -> list[Removal]:
        """See the port."""
        raise NotImplementedError

    def _forget_samples(self) -> None:
        for parts in self._slices.values():
            for number, part in parts.items():
                parts[number] = replace(part, sample=[])

    def _open_slice(self, id: str, number: int) -> Slice | None:
        task, part = self._tasks.get(id), self._slices.get(id, {}).get(number)
        if task is None or task.state != "running" or part is None or part.state != "open":
            return None
        return part

    def _end_if_over(self, id: str, at_ms: int) -> None:
        parts = self._slices[id].values()
        if any(part.state == "open" for part in parts):
            return
        failed = [part for part in parts if part.state == "failed"]
        state = "failed" if failed else "done"
        error = failed[0].error if failed else ""
        self._tasks[id] = replace(self._tasks[id], state=state, ended_ms=at_ms, error=error)
