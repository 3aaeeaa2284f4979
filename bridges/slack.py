"""Threads whose timers may run late: the kernel then wakes many of them at once, instead of each by itself."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SET: Final = 29
GET: Final = 30
"""PR_SET_TIMERSLACK and PR_GET_TIMERSLACK. Source: Linux, include/uapi/linux/prctl.h."""


@contextmanager
def late_timers(by_s: float) -> Iterator[None]:
    """
    Threads that are started inside, and by those, wait up to `by_s` longer when they wait for a time to come.

    What they wait for otherwise, such as bytes, wakes them as soon as ever. The caller's own timers are what they were
    when it ends. Does nothing where there is no Linux.
    """
    before = _prctl(GET, 0)
    _prctl(SET, int(by_s * 1e9))
    try:
        yield
    finally:
        if before > 0:
            _prctl(SET, before)


def _prctl(option: int, value: int) -> int:
    if sys.platform != "linux":
        return -1
    return int(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3))
