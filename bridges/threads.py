"""Threads for calls that block for long and that nobody has to wait for: each takes the next call when it has ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

SPARE_S: Final = 5.0
"""How long a thread that has nothing to do waits for another call: to start one costs as much as what it does."""


class Threads:
    """
    As many as there are calls, and none that keeps the process from ending, as those of an executor would.

    The newest that is free takes the next call, so that those that are not needed any more end.
    """

    def __init__(self, name: str, spare_s: float = SPARE_S) -> None:
        """None yet. Args: name: of each. spare_s: how long one stays that has nothing to do."""
        self._name = name
        self._spare_s = spare_s
        self._lock = threading.Lock()
        self._free: list[SimpleQueue[Callable[[], None]]] = []

    def run(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """What `call` gives or raises, on the running loop. Cancelled, it goes on, and nobody hears of its end."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def task() -> None:
            result: T | None = None
            error: Exception | None = None
            try:
                result = call()
            except Exception as exc:  # noqa: BLE001 - whoever waits for it gets it
                error = exc
            with suppress(RuntimeError):  # the loop has ended, and with it the interest
                loop.call_soon_threadsafe(_settle, future, result, error)

        with self._lock:
            inbox = self._free.pop() if self._free else None
        if inbox is not None:
            inbox.put(task)
        else:
            threading.Thread(target=self._work, args=(task,), name=self._name, daemon=True).start()
        return future

    def _work(self, task: Callable[[], None]) -> None:
        inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        while True:
            task()
            del task  # it holds what it was called for, and its result
            with self._lock:
                self._free.append(inbox)
            try:
                task = inbox.get(timeout=self._spare_s)
            except Empty:
                with self._lock:
                    if inbox in self._free:
                        self._free.remove(inbox)
                        return
                task = inbox.get()  # somebody has just picked this one


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return  # whoever waited has gone
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(cast("Any", result))
