"""When Python looks for garbage in circles: in small parts after each batch, in all that there is when nobody waits."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

IDLE_EVERY_S: Final = 600.0
"""A look through all that there is takes a third of a second with full caches."""
EVERY_S: Final = 3600.0
"""That often it happens also in a collector that is never idle."""


class Garbage:
    """
    Takes the place of Python's thresholds, which count what was made less what was freed.

    In full caches the new pushes out the old, so by that count nothing happens until a hundred thousand objects have
    gathered; to look through them then takes up to 60 ms, in the middle of a batch.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        """From now on nothing else looks for garbage in this process. Args: now_s: the clock, in seconds."""
        gc.disable()
        self._now_s = now_s
        self._looked_s = now_s()

    def after_batch(self) -> None:
        """Look through what was made since the last batch."""
        gc.collect(0)
        self._look(EVERY_S)

    def idle(self) -> None:
        """Nothing has come for a while: look through everything, if it is time."""
        self._look(IDLE_EVERY_S)

    def _look(self, every_s: float) -> None:
        if self._now_s() - self._looked_s >= every_s:
            gc.collect()
            self._looked_s = self._now_s()
