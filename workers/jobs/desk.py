"""What jobs work with, opened once a process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from redis import Redis

from hub.definitions.catalogue import Catalogue
from hub.flows.outward import OpenOutward
from hub.log.bulk import BulkWindow
from hub.log.follower import Follower
from hub.log.progress import Progress
from hub.settings import Settings
from hub.stack.keys import identity_key
from hub.store.port import Store


class Desk(NamedTuple):
    """
    Of one worker process.

    Attributes:
        window: What is sent through it gives way to live events.
        progress: How far the collectors are.
        catalogue: The definitions in force, followed from the first call on. Blocks then; raises Unavailable.
        now_ms: The clock, milliseconds since 1970.
        stopping: Whether somebody wants the process to end.
        outward: How calls of other systems are made; None: not by this process.
    """

    settings: Settings
    queue: str
    store: Store
    redis: Redis
    window: BulkWindow
    progress: Progress
    catalogue: Callable[[], Catalogue]
    now_ms: Callable[[], int]
    stopping: Callable[[], bool]
    outward: OpenOutward | None = None


class LateCatalogue:
    """Follows definitions.v1 once somebody wants to know. Thread-safe."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        """Args: stack: closes what was opened."""
        self._settings = settings
        self._stack = stack
        self._catalogue: Catalogue | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Catalogue:
        """Level with what was there at the first call, and followed since. Raises Unavailable."""
        with self._lock:
            if self._catalogue is None:
                catalogue = Catalogue(identity_key(self._settings.identity.key, self._settings.data))
                self._stack.enter_context(Follower(self._settings.kafka, self._settings.namespace, catalogue))
                self._catalogue = catalogue
            return self._catalogue
