"""A time limit for code of somebody else, which runs on a thread of ours."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from hub.flows.node import NodeFault

T = TypeVar("T")

MOST_S: Final = 10.0
"""So long a node of a package may run."""
_raise_in: Final[Callable[[Any, Any], int]] = ctypes.pythonapi.PyThreadState_SetAsyncExc


class _Overdue(BaseException):
    """Raised in the middle of what takes too long: no `except Exception` of its catches it."""


def in_time(act: Callable[[], T], most_s: float = MOST_S) -> T:
    """
    What `act` gives.

    It is interrupted between two steps of Python: a single call that is not Python's (a socket without a time-out, say)
    is over first.

    Raises: NodeFault: it took too long; whatever it raises.
    """
    thread = ctypes.c_ulong(threading.get_ident())
    turn, over = threading.Lock(), False

    def interrupt() -> None:
        with turn:
            if not over:
                _raise_in(thread, ctypes.py_object(_Overdue))

    timer = threading.Timer(most_s, interrupt)
    timer.daemon = True
    timer.start()
    try:
        try:
            return act()
        finally:
            with turn:
                over = True
            timer.cancel()
            _raise_in(thread, None)  # it has come too late
    except _Overdue as exc:
        with suppress(_Overdue):
            _raise_in(thread, None)
        raise NodeFault(f"it has not come to an end within {most_s:g} s") from exc
