"""Consumers that have nothing to do share one thread a cluster: one each would wake up several times a second."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Final

from bridges.bell import Bell

GLANCE_S: Final = 0.1
"""How long a message may wait for somebody to look. Shorter, and idle bridges cost more."""
LONGEST_GLANCE_S: Final = 0.25
"""The same where many rest."""
LOOKS_A_SECOND: Final = 400
"""At a consumer each: with more than forty of them, each waits longer."""


class Resting:
    """One consumer that rests, until there is something to do."""

    def __init__(self, look: Callable[[], bool], loop: asyncio.AbstractEventLoop) -> None:
        """Args: look: whether there is something to do; called on the cluster's thread, and should be quick."""
        self._look = look
        self._loop = loop
        self._stirred = Bell()
        self._fault: Exception | None = None
        self._turn = threading.Lock()
        self._over = False

    async def stirs(self, timeout_s: float) -> bool:
        """Whether there is something to do, within that time. On the loop. Raises what looking raised."""
        stirred = await self._stirred.rings(timeout_s)
        if self._fault is not None:
            raise self._fault
        return stirred

    def end(self) -> None:
        """Nobody looks any more when it returns. Blocks as long as a look does."""
        with self._turn:
            self._over = True

    def glance(self) -> bool:
        """Whether it rests on."""
        with self._turn:
            if self._over:
                return False
            try:
                self._over = self._look()
            except Exception as exc:  # noqa: BLE001 - whoever waits gets it; the others rest on
                self._fault, self._over = exc, True
            if self._over:
                with suppress(RuntimeError):  # the loop has ended, and with it the interest
                    self._loop.call_soon_threadsafe(self._stirred.ring)
            return not self._over


class Lounge:
    """Where the consumers of one cluster rest. Its thread is there while one of them does."""

    def __init__(self) -> None:
        """Nobody rests yet."""
        self._resting: list[Resting] = []
        self._lock = threading.Lock()
        self._runs = False

    def rest(self, look: Callable[[], bool], loop: asyncio.AbstractEventLoop) -> Resting:
        """From any thread. Args: as of Resting."""
        resting = Resting(look, loop)
        with self._lock:
            self._resting.append(resting)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="kafka-resting", daemon=True).start()
        return resting

    def _run(self) -> None:
        while True:
            with self._lock:
                everyone = tuple(self._resting)
            gone = [resting for resting in everyone if not resting.glance()]
            if gone:
                with self._lock:
                    for resting in gone:
                        self._resting.remove(resting)
                    if not self._resting:
                        self._runs = False
                        return
            time.sleep(min(LONGEST_GLANCE_S, max(GLANCE_S, len(everyone) / LOOKS_A_SECOND)))


@cache
def lounge(bootstrap: str) -> Lounge:  # noqa: ARG001 - it is what tells them apart
    """The one of a cluster: a cluster that is in trouble keeps nobody else's consumers waiting."""
    return Lounge()
