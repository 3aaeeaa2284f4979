"""A time limit for code of somebody else, which runs on a thread of ours."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from hub.flows.node import NodeFault

T = TypeVar("T")

MOST_S: Final = 10.0
"""So long a node of a package may run that does not say otherwise."""
_raise_in: Final[Callable[[Any, Any], int]] = ctypes.pythonapi.PyThreadState_SetAsyncExc


_WAKE: Final = signal.SIGUSR2


def _woken(_: int, __: object) -> None:
    """
    A call that waits comes back to Python to have this done, which is where _Overdue is raised; without a signal nobody
    would look whether there is something to raise before the call is over.
    """


class _Overdue(BaseException):
    """Raised in the middle of what takes too long: no `except Exception` of its catches it."""


def in_time(act: Callable[[], T], most_s: float = MOST_S) -> T:
    """
    What `act` gives.

    It is interrupted between two steps of Python; on the main thread also in a call that waits (for a socket, a lock).
    On any other thread such a call is over first; and so is on all of them what computes outside of Python.

    Raises: NodeFault: it took too long; whatever it raises.
    """
    id = threading.get_ident()
    thread, is_main = ctypes.c_ulong(id), threading.current_thread() is threading.main_thread()
    turn, over = threading.Lock(), False
    if is_main:
        signal.signal(_WAKE, _woken)

    def interrupt() -> None:
        with turn:
            if not over:
                _raise_in(thread, ctypes.py_object(_Overdue))
                if is_main:
                    signal.pthread_kill(id, _WAKE)

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
