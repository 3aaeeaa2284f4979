"""When Python looks for garbage in circles: when nobody waits."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

IDLE_EVERY_S: Final = 300.0
"""A look through all that there is takes a third of a second with full caches."""
EVERY_S: Final = 900.0
"""That often it happens also in a collector that is never idle."""


class Garbage:
    """
    Takes the place of Python's thresholds.

    By these a collector stands still for up to 60 ms every few seconds, in the middle of a batch, and spends a tenth of
    its time on looking through profiles that stay: what events leave behind holds no circles.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        """From now on nothing else looks for garbage in this process. Args: now_s: the clock, in seconds."""
        gc.disable()
        self._now_s = now_s
        self._looked_s = now_s()

    def after_batch(self) -> None:
        """Look, if nobody has for very long."""
        self._look(EVERY_S)

    def idle(self) -> None:
        """Nothing has come for a while: look, if it is time."""
        self._look(IDLE_EVERY_S)

    def _look(self, every_s: float) -> None:
        if self._now_s() - self._looked_s >= every_s:
            gc.collect()
            self._looked_s = self._now_s()
