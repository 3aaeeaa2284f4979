"""A worker for each queue of tasks, for as long as it has some: on one machine nobody has to start them beforehand."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

import structlog

from hub.errors import PortError
from hub.stack.process import Child, Program
from hub.stack.slot import delay_s, describe_exit
from hub.store.port import FlowRuns, Tasks
from schemas.jobs import QUEUES, SCHEDULER, SEGMENTATION

log: Final = structlog.get_logger()

LOOK_S: Final = 1.0
IDLE_S: Final = 30.0
"""After so long without a task of its queue a worker is stopped."""
AHEAD_S: Final = 60
"""So long before the first paused run of a flow is due there is a worker that goes on with it."""
BUSY_MS: Final = 5_000
"""A run that has waited for so long has to do with a worker that is busy: there is one more for the others."""


class Store(Tasks, FlowRuns, Protocol):
    """What says who is needed."""


class _Post:
    """A worker of one queue, if there has to be one."""

    def __init__(self, queue: str, is_wanted: Callable[[Store, str, int], bool]) -> None:
        """Args: is_wanted: given the queue and the milliseconds since 1970."""
        self.queue = queue
        self.is_wanted = is_wanted
        self._child: Child | None = None
        self._wanted_at = 0.0
        self._due = 0.0
        self._deaths = 0

    def tend(self, *, is_wanted: bool) -> None:
        """Start it, or start it again, or let it end."""
        now = time.monotonic()
        if is_wanted:
            self._wanted_at = now
        if self._child is not None and self._child.code is not None:
            self._deaths += 1
            self._due = now + delay_s(self._deaths)
            log.warning("workers.ended", queue=self.queue, why=describe_exit(self._child.code))
            self._child = None
        if self._child is None:
            if is_wanted and now >= self._due:
                self._child = Child(_program(self.queue), _print, lambda: None)
                log.info("workers.started", queue=self.queue, process=self._child.pid)
        elif now - self._wanted_at > IDLE_S:
            self.stop()
            log.info("workers.idle", queue=self.queue)

    def stop(self) -> None:
        """It ends after its page."""
        if self._child is not None:
            self._child.stop()
        self._child, self._deaths = None, 0


@contextmanager
def on_demand(store: Store, now_ms: Callable[[], int], queues: Sequence[str] = tuple(QUEUES)) -> Iterator[None]:
    """
    Start and stop workers while the block runs.

    Args: now_ms: the clock, milliseconds since 1970. queues: those of tasks and of flows that go on among these.
    """
    over = threading.Event()
    posts = [_Post(queue, is_wanted) for queue in queues if queue != SEGMENTATION]
    posts += [_Post(SCHEDULER, is_busy) for queue in queues if queue == SCHEDULER]

    def run() -> None:
        # children end with the thread that starts them: this one is there until all have been stopped
        while not over.wait(LOOK_S):
            for post in posts:
                try:
                    post.tend(is_wanted=post.is_wanted(store, post.queue, now_ms()))
                except (PortError, OSError) as exc:  # also a machine without room for one more process
                    log.warning("workers.not_known", queue=post.queue, error=str(exc))
        for post in posts:
            post.stop()

    thread = threading.Thread(target=run, name="on-demand", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def is_wanted(store: Store, queue: str, now_ms: int) -> bool:
    """Whether a queue has something to do, or will have soon. Args: now_ms: milliseconds since 1970."""
    if store.open_tasks(queue):
        return True
    if queue != SCHEDULER:
        return False
    first = store.due_seconds(1)
    return bool((first and first[0] <= now_ms // 1_000 + AHEAD_S) or store.left_flow_runs(now_ms + 1, 1))


def is_busy(store: Store, _: str, now_ms: int) -> bool:
    """Whether runs of flows need one more worker. Args: now_ms: milliseconds since 1970."""
    return bool(store.left_flow_runs(now_ms - BUSY_MS, 1))


def _program(queue: str) -> Program:
    return Program(
        name=queue,
        argv=(sys.executable, "-m", "hub", "worker", queue),
        env={**os.environ, "HUB_HEALTH__PORT": "0", "HUB_TASKS__ON_DEMAND": "false"},
        ready=lambda: True,
        stop_s=15.0,
    )


def _print(_: str, line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
