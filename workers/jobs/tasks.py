"""Jobs that are slices of tasks: what is known of them is in the store, and Redis may forget everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from importlib import import_module
from typing import Final, Protocol

import structlog
from msgspec.structs import replace
from prometheus_client import Counter

from hub.errors import Unavailable
from hub.jobs.kind import Failed, Kind, Work
from hub.jobs.queue import Call, JobQueue
from hub.store.port import Tasks
from hub.task import Page, Slice, Task, after_page
from schemas.jobs import DO, PLAN
from workers.jobs.desk import Desk
from workers.jobs.kinds import kinds
from workers.jobs.run import Upkeep, patiently

log: Final = structlog.get_logger()

MOST_BEGUN: Final = 5
"""So often a slice may be begun without one page that is saved: then it, or its worker's death by it, is its fault."""
TURN_S: Final = 600.0
"""After so long a job makes room for others that wait, and goes on when it is its turn again."""
KEPT_MS: Final = 90 * 86_400_000
"""How long a task is remembered after it was asked for, once it is over."""

DONE: Final = Counter("hub_task_items", "What tasks have done: events, rows or whatever they go through.", ["kind"])
SLICES: Final = Counter("hub_task_slices", "Slices of tasks that have ended.", ["kind", "state"])


class Module(Protocol):
    """Where the code of a kind is."""

    def opened(self, desk: Desk, stack: ExitStack) -> Work:
        """Called once a process, when the first task of the kind comes."""
        ...


class Doer:
    """Does slices, and cuts tasks into them. For one thread."""

    def __init__(self, desk: Desk, stack: ExitStack, known: Mapping[str, Kind], queue: JobQueue) -> None:
        """Args: stack: closes what the kinds open. known: by name."""
        self._desk = desk
        self._store: Tasks = desk.store
        self._stack = stack
        self._kinds = known
        self._queue = queue
        self._works: dict[str, Work] = {}

    def reconcile(self) -> None:
        """Put on the queue what is missing there. Raises Unavailable."""
        calls = []
        for task in self._store.open_tasks(self._desk.queue):
            if task.kind not in self._kinds:
                log.warning("task.unknown_kind", task=task.id, kind=task.kind)
            elif task.state == "waiting":
                calls.append(Call(DO, task.id, PLAN))
            else:
                calls += [Call(DO, task.id, number) for number in self._store.open_slices(task.id)]
        put = self._queue.enqueue(calls)
        if put:
            log.info("tasks.enqueued", queue=self._desk.queue, jobs=put)

    def do(self, id: str, number: int) -> str:
        """Returns what became of it: done, stopped, over, waits, failed. Raises what is a fault: it is tried again."""
        task = self._store.task(id)
        kind = None if task is None else self._kinds.get(task.kind)
        if task is None or kind is None:
            return "unknown"
        return self._plan(task, kind) if number == PLAN else self._slice(task, kind, number)

    def _plan(self, task: Task, kind: Kind) -> str:
        begun = self._store.begin_plan(task.id)
        if begun is None:
            return "over"
        if begun.begun > MOST_BEGUN:
            self._note_plan(task, task.error or "whoever began to cut it into slices has died of it", is_final=True)
            return "failed"

        def act() -> str:
            slices = list(self._work(kind).plan(task))
            planned = self._store.plan_task(task.id, slices, self._desk.now_ms())
            log.info("task.planned", task=task.id, kind=task.kind, slices=len(slices))
            self._store.forget_tasks(self._desk.now_ms() - KEPT_MS)
            return "done" if planned else "over"

        try:
            done = self._patiently(act, lambda why: self._note_plan(task, why, is_final=False))
        except Failed as exc:
            self._note_plan(task, str(exc), is_final=True)
            return "failed"
        except Exception as exc:
            self._note_plan(task, _words(exc), is_final=begun.begun >= MOST_BEGUN)
            raise
        if done == "done":
            self._queue.enqueue(Call(DO, task.id, one) for one in self._store.open_slices(task.id))
        return done

    def _slice(self, task: Task, kind: Kind, number: int) -> str:
        part = self._store.begin_slice(task.id, number)
        if part is None:
            return "over"
        if part.begun > MOST_BEGUN:
            why = f"its worker has died {MOST_BEGUN} times at the same place"
            self._note(task, part, f"{why}: {part.error}" if part.error else why, is_final=True)
            return "failed"
        at = [part]
        until = time.monotonic() + TURN_S

        def act() -> str:
            return self._pages(task, kind, at, until)

        def waits(why: str) -> None:
            # none of its own fault: it goes on whenever that is there again
            self._note(task, at[0], why, is_final=False, is_fault=False)

        try:
            return self._patiently(act, waits)
        except Failed as exc:
            self._note(task, at[0], str(exc), is_final=True)
            return "failed"
        except Unavailable as exc:
            waits(str(exc))
            return "waits"
        except Exception as exc:
            self._note(task, at[0], _words(exc), is_final=at[0].begun >= MOST_BEGUN)
            raise

    def _patiently(self, act: Callable[[], str], waits: Callable[[str], None]) -> str:
        """As `patiently`. Args: waits: is told what it waits for, as people see the task meanwhile."""
        told = ""

        def tried() -> str:
            nonlocal told
            try:
                return act()
            except Unavailable as exc:
                if str(exc) != told:
                    try:
                        waits(str(exc))
                        told = str(exc)
                    except Unavailable as away:  # the store: it is told when that is back
                        log.warning("task.not_noted", error=str(away))
                raise

        return patiently(tried, self._desk.stopping)

    def _pages(self, task: Task, kind: Kind, at: list[Slice], until: float) -> str:
        """Args: at: the slice as it is saved; it is brought level. until: by time.monotonic()."""
        store, now_ms = self._store, self._desk.now_ms
        with closing(_pages_of(self._work(kind), task, at[0])) as pages:
            for page in pages:
                part = after_page(at[0], page)
                if not store.save_slice(task.id, part, now_ms()):
                    return "over"  # cancelled; or somebody else does it, as we were thought to be dead
                at[0] = part
                DONE.labels(task.kind).inc(page.done)
                if self._desk.stopping():
                    return "stopped"
                if time.monotonic() > until:
                    return "goes on"
        part = replace(at[0], state="done", step=at[0].step + 1, begun=0, error="")
        if not store.save_slice(task.id, part, now_ms()):
            return "over"
        SLICES.labels(task.kind, "done").inc()
        log.info("task.slice_done", task=task.id, kind=task.kind, slice=part.number, done=part.done, **part.counts)
        return "done"

    def _work(self, kind: Kind) -> Work:
        if kind.name not in self._works:
            module: Module = import_module(kind.module)
            self._works[kind.name] = module.opened(self._desk, self._stack)
        return self._works[kind.name]

    def _note(self, task: Task, part: Slice, error: str, *, is_final: bool, is_fault: bool = True) -> None:
        if is_final:
            SLICES.labels(task.kind, "failed").inc()
            log.error("task.slice_failed", task=task.id, kind=task.kind, slice=part.number, error=error)
        now_ms = self._desk.now_ms()
        self._store.note_slice_error(task.id, part.number, error, now_ms, is_final=is_final, is_fault=is_fault)

    def _note_plan(self, task: Task, error: str, *, is_final: bool) -> None:
        if is_final:
            log.error("task.failed", task=task.id, kind=task.kind, error=error)
        self._store.note_plan_error(task.id, error, self._desk.now_ms(), is_final=is_final)


_doer: Final[list[Doer]] = []
"""RQ calls a job by the name of its function, so what it works with has to lie here; it is laid out by `opened`."""


def opened(desk: Desk, stack: ExitStack) -> Upkeep:
    """For one process."""
    queue = JobQueue(desk.redis, desk.settings.namespace, desk.queue)
    doer = Doer(desk, stack, kinds(desk.settings), queue)
    _doer[:] = [doer]
    return doer.reconcile


def do(task: str, number: int) -> str:
    """A job: do a slice of a task from where it is, or cut the task into slices. Returns what became of it."""
    (doer,) = _doer
    return doer.do(task, number)


def _pages_of(work: Work, task: Task, part: Slice) -> Generator[Page, None, None]:
    """As a generator, which can be closed, whatever iterator it is."""
    yield from work.pages(task, part)


def _words(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"
