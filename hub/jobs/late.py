"""The tasks and runs of a store, for processes that seldom write them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from hub.flows.kept import KeptRun
from hub.store.port import FlowRuns, Tasks
from hub.task import Task


class TaskStore(Tasks, FlowRuns, Protocol):
    """A store that can be given back."""

    def close(self) -> None:
        """Give it back."""
        ...


class LateTasks:
    """Opens the store for writing when a task is first asked for or cancelled: most processes never do. Thread-safe."""

    def __init__(self, open: Callable[[], TaskStore]) -> None:
        """Args: open: raises PortError."""
        self._open = open
        self._store: TaskStore | None = None
        self._lock = threading.Lock()

    def add_task(self, task: Task) -> bool:
        """As of the port. Raises Unavailable, Refused."""
        return self._opened().add_task(task)

    def cancel_task(self, id: str, at_ms: int) -> Task | None:
        """As of the port. Raises Unavailable, Refused."""
        return self._opened().cancel_task(id, at_ms)

    def cancel_flow_run(self, id: str, at_ms: int) -> KeptRun | None:
        """As of the port. Raises Unavailable, Refused."""
        return self._opened().cancel_flow_run(id, at_ms)

    def close(self) -> None:
        """Close the store if it was opened."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _opened(self) -> TaskStore:
        with self._lock:
            if self._store is None:
                self._store = self._open()
            return self._store
