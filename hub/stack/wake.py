"""What the supervisor's loop sleeps in: woken by other threads and by signals."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator, Sequence
from types import FrameType


class Wake:
    """
    A pipe. A queue or an event would not do: a signal that arrives in the instant before the main thread falls asleep
    in it is only handled when it wakes. Into a pipe Python writes from the signal itself.

    Attributes:
        signals: How many have arrived.
    """

    def __init__(self) -> None:
        """Opens the pipe."""
        self.signals = 0
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def call(self) -> None:
        """Wake the sleeper, or keep it from falling asleep. From any thread."""
        with contextlib.suppress(BlockingIOError):  # full: it will wake
            os.write(self._write, b"\0")

    def wait(self, timeout_s: float | None) -> bool:
        """Sleep until called, at most `timeout_s`. Returns whether called. On the main thread."""
        woken, _, _ = select.select([self._read], [], [], timeout_s)
        if woken:
            with contextlib.suppress(BlockingIOError):  # emptied
                while os.read(self._read, 4096):
                    pass
        return bool(woken)

    @contextlib.contextmanager
    def on(self, numbers: Sequence[signal.Signals]) -> Iterator[None]:
        """Count these signals, and wake for them, while the block runs. On the main thread."""

        def handle(_number: int, _frame: FrameType | None) -> None:
            self.signals += 1

        fd_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        before = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(fd_before)
