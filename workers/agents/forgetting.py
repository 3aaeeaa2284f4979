"""Runs of flows that ended long ago are forgotten."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from hub.model import DAY_MS
from hub.store.port import FlowRuns, Store

log: Final = structlog.get_logger()

PAGE: Final = 500
"""Removed in one transaction: collectors write to the same store."""
PAGES: Final = 20
"""Of one step."""


class LateStore:
    """Opens the store for writing when it is first asked for: most agents never do. Thread-safe."""

    def __init__(self, open: Callable[[], Store]) -> None:
        """Args: open: raises Unavailable, Refused."""
        self._open = open
        self._store: Store | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Store:
        """The store. Raises Unavailable, Refused."""
        with self._lock:
            if self._store is None:
                self._store = self._open()
            return self._store

    def close(self) -> None:
        """Close it if it was opened."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None


class Forgetting:
    """What the leader does now and then."""

    def __init__(
        self, reading: FlowRuns, writing: Callable[[], FlowRuns], *, days: float, now_ms: Callable[[], int]
    ) -> None:
        """Args: days: that a run is kept after its end. now_ms: the clock, milliseconds since 1970."""
        self._reading = reading
        self._writing = writing
        self._kept_ms = round(days * DAY_MS)
        self._now_ms = now_ms

    def step(self) -> None:
        """Some of them. Raises Unavailable."""
        if not self._reading.list_flow_runs(1, None)[0]:
            return
        gone = 0
        for _ in range(PAGES):
            found = self._writing().forget_flow_runs(self._now_ms() - self._kept_ms, PAGE)
            gone += found
            if found < PAGE:
                break
        if gone:
            log.info("flows.forgotten", runs=gone)
