"""One child process: started on a leash, its lines passed on, watched, stopped with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

LEASH: Final = Path(__file__).with_name("leash.py")
LAST_LINES: Final = 20

FIRST_CHECK_S: Final = 0.05
LATER_CHECK_S: Final = 2.0
HUNG_S: Final = 60.0
"""A process that was ready and has not said that it is alive for so long is killed, and so started again."""

Sink: TypeAlias = Callable[[str, str], None]
"""Takes (process name, line without its end). Called on the thread that reads the child."""


@dataclass(frozen=True)
class Program:
    """What to run, and how to know that it works. Checks block for a few seconds at most and raise nothing."""

    name: str
    argv: tuple[str, ...]  # the first is an absolute path
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    live: Callable[[], bool] | None = None
    prepare: Callable[[], None] | None = None  # runs before each start; raises PortError
    stop_s: float = 20.0  # from SIGTERM to SIGKILL


class Child:
    """
    One run of a program. Start it from the main thread: the kernel kills it when the *thread* that started it ends.

    Attributes:
        ready: Whether its last check said so.
        code: Its exit code (negative: the signal) once it has ended and been collected; None before.
    """

    def __init__(self, program: Program, sink: Sink, changed: Callable[[], None]) -> None:
        """Starts it. `changed` is called, on other threads, whenever `ready` or `code` has changed."""
        self.program = program
        self.started_at = time.time()
        self.ready = False
        self.code: int | None = None
        self._sink = sink
        self._changed = changed
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._over = threading.Event()
        self._signals = threading.Lock()  # held while it is collected: after that its id may be somebody else's
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), *program.argv],
            env=dict(program.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # a group of its own: Ctrl-C in the terminal reaches the supervisor only, which then stops us in order
            start_new_session=True,
        )
        self.pid = self._process.pid  # the program's own: the leash is replaced by it
        self._reader = self._thread(self._read)
        self._collector = self._thread(self._collect)
        self._thread(self._check)

    def last_words(self) -> str:
        """The newest lines that it printed; all of them in there once `code` is set."""
        return "\n".join(self._last_lines)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        with self._signals:
            if self.code is None:
                os.kill(self.pid, number)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after `stop_s`; returns when nothing of it is left."""
        self._over.set()
        self.send(signal.SIGTERM)
        self._collector.join(self.program.stop_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL; returns when nothing of it is left."""
        self._over.set()
        self.send(signal.SIGKILL)
        self._collector.join()

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        name = f"{self.program.name}-{work.__name__.strip('_')}"
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                self._last_lines.append(line)
                self._sink(self.program.name, line)

    def _collect(self) -> None:
        if hasattr(os, "waitid"):  # not on macOS before Python 3.13
            # leave it uncollected for a moment: so long nobody else can have its id, or its group's
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._process.wait()
        self._over.set()
        with self._signals:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing of its group is left
                os.killpg(self.pid, signal.SIGKILL)
            code = self._process.wait()
        self._reader.join()
        self.ready = False
        self.code = code
        self._changed()

    def _check(self) -> None:
        was_ready, alive_at = False, time.monotonic()
        while not self._over.wait(LATER_CHECK_S if self.ready else FIRST_CHECK_S):
            ready = self.program.ready()
            if ready or self.program.live is None or self.program.live():
                alive_at = time.monotonic()
            if was_ready and time.monotonic() - alive_at > HUNG_S:
                self._sink(self.program.name, f"has not answered for {HUNG_S:.0f} s: killed")
                self.send(signal.SIGKILL)
                return
            was_ready = was_ready or ready
            if ready != self.ready and not self._over.is_set():
                self.ready = ready
                self._changed()
