"""Something that a task waits for, on the loop. A time-out is no exception: idle bridges have many."""

from __future__ import annotations

import asyncio
from math import ceil
from typing import Final

TOGETHER_S: Final = 0.1
"""Time-outs end at whole tenths of a second: so those of many bridges end at once, and wake the loop once."""
LONG_TOGETHER_S: Final = 0.5
"""The same for those of a second and more, which may end half of it early or late."""


class Bell:
    """Rings until somebody hushes it. One task waits for it at a time."""

    def __init__(self) -> None:
        """It is silent."""
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Call it on the loop."""
        self._rung = True
        if self._waiter is not None:
            _wake(self._waiter)

    def hush(self) -> None:
        """From now on it has to ring anew."""
        self._rung = False

    async def rings(self, timeout_s: float) -> bool:
        """Whether it rings, now or within about that time."""
        if not self._rung and timeout_s > 0:
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            timer = loop.call_later(together(loop.time(), timeout_s), _wake, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiter = None
        return self._rung


def together(now: float, timeout_s: float) -> float:
    """About this time-out, so that it ends when others do. Args: now: by the clock of the loop, in seconds."""
    end = now + timeout_s
    if timeout_s < 1:
        return ceil(end / TOGETHER_S) * TOGETHER_S - now
    return round(end / LONG_TOGETHER_S) * LONG_TOGETHER_S - now


async def pause(seconds: float) -> None:
    """As asyncio.sleep, but with `together`."""
    await asyncio.sleep(together(asyncio.get_running_loop().time(), seconds))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
