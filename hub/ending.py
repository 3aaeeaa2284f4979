"""The end of a process, also when something in it waits for ever or does not hear that it shall end."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

log: Final = structlog.get_logger()
_STDERR: Final = 2
_AGAIN_S: Final = 0.5


def end_in(seconds: float, code: int, loop: asyncio.AbstractEventLoop | None = None) -> threading.Timer:
    """
    End the process after so long with this exit code, whatever it does then, and show on stderr where its threads
    stand, and the tasks of `loop`. Whatever is under way is lost, as with SIGKILL. `cancel()` calls it off.
    """

    def end() -> None:
        try:
            log.error("process.ended_by_force", after_s=seconds, what="it did not end by itself; its threads follow")
            faulthandler.dump_traceback(_STDERR)
            if loop is not None:
                for task in asyncio.all_tasks(loop):
                    task.print_stack(file=sys.stderr)
                sys.stderr.flush()
        finally:
            os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


@contextmanager
def at_most(seconds: float, code: int = 1) -> Iterator[None]:
    """A block that may hang, but not for longer: then the process ends as of `end_in`."""
    timer = end_in(seconds, code)
    try:
        yield
    finally:
        timer.cancel()


async def cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """
    Cancel them, and wait until they have ended, however they do.

    Each is told again while it goes on: before Python 3.12 `asyncio.wait_for`, by which redis-py sends, swallows a
    cancellation when what it waits for is done in the same moment.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=_AGAIN_S)
        await asyncio.gather(*ended, return_exceptions=True)
