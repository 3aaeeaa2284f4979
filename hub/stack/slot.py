"""One program's place in the supervisor: its current run, its deaths, when it starts again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Final

from hub.errors import PortError
from hub.stack.lines import Lines
from hub.stack.process import Child, Program
from hub.stack.state import ProcessState, State

FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 30.0
PROVEN_S: Final = 60.0
"""After so long a run the deaths before it are forgotten."""


def delay_s(deaths: int) -> float:
    """How long to wait after the n-th death in a row (from 1): at once, nearly, and then ever longer."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** (deaths - 1))


def describe_exit(code: int) -> str:
    """Words for an exit code; negative: the signal's number."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


class Slot:
    """
    Starts, restarts and stops one program. Only the supervisor's loop calls it.

    Attributes:
        deaths: In a row.
        due: When it starts again, by time.monotonic(); None when it runs or will not.
        told_ready: Whether its last news was that it is ready.
        failed: It ended with EX_CONFIG: starting it again would change nothing.
    """

    def __init__(self, program: Program, lines: Lines, changed: Callable[[], None]) -> None:
        """Starts nothing yet."""
        self.program = program
        self.name = program.name
        self.child: Child | None = None
        self.deaths = 0
        self.restarts = 0
        self.due: float | None = None
        self.failed = False
        self.was_ready = False
        self.last_exit = ""
        self._lines = lines
        self._changed = changed
        self.told_ready = False
        self._run_was_ready = False
        self._last_words = ""

    @property
    def ready(self) -> bool:
        """Whether it runs and its last check was good."""
        return self.child is not None and self.child.ready

    def start(self) -> None:
        """Raises PortError when it cannot even be prepared."""
        self.due = None
        if self.program.prepare:
            self.program.prepare()
        self.told_ready = self._run_was_ready = False
        self.child = Child(self.program, self._lines.take, self._changed)

    def tend(self, now: float) -> bool:
        """See what has happened, start it again when that is due. Returns whether anything has changed."""
        if self.child is not None and self.child.code is not None:
            self._bury(self.child, self.child.code, now)
            return True
        if self.due is not None and now >= self.due:
            self._start_again(now)
            return True
        if self.ready != self.told_ready:
            self._tell_ready()
            return True
        return False

    def ask_to_stop(self) -> None:
        """SIGTERM, and no restart any more."""
        self.due = None
        if self.child is not None:
            self.child.send(signal.SIGTERM)

    def end(self) -> None:
        """Nothing of it is left when this returns."""
        if self.child is not None:
            self.child.kill()
            self.child = None

    def last_words(self) -> str:
        """The last lines of the run that has ended last, or of this one."""
        return self._last_words or (self.child.last_words() if self.child else "")

    def state(self) -> ProcessState:
        """For the state file."""
        return ProcessState(
            name=self.name,
            state=self._state(),
            pid=self.child.pid if self.child else None,
            port=self.program.port,
            restarts=self.restarts,
            started_at_ms=int(self.child.started_at * 1000) if self.child else 0,
            last_exit=self.last_exit,
        )

    def _state(self) -> State:
        if self.failed:
            return "failed"
        if self.child is None:
            return "stopped" if self.due is None else "waiting"
        if self.child.ready:
            return "ready"
        return "not ready" if self._run_was_ready else "starting"

    def _tell_ready(self) -> None:
        assert self.child is not None
        self.told_ready = self.ready
        if self.ready:
            took_s = time.time() - self.child.started_at
            self._lines.say(f"{self.name} is ready (process {self.child.pid}, {took_s:.1f} s)")
            self.was_ready = self._run_was_ready = True
        else:
            self._lines.say(f"{self.name} is not ready any more")

    def _bury(self, child: Child, code: int, now: float) -> None:
        if time.time() - child.started_at > PROVEN_S:
            self.deaths = 0
        self.child = None
        self.told_ready = False  # that it has ended says so
        self.deaths += 1
        self.last_exit = describe_exit(code)
        self._last_words = child.last_words()
        if code == os.EX_CONFIG:
            self.failed = True
            self._lines.say(f"{self.name} {self.last_exit}: it will not work as it is set up and is not started again")
            return
        self._schedule(now)

    def _schedule(self, now: float) -> None:
        wait_s = delay_s(self.deaths)
        self.due = now + wait_s
        self._lines.say(f"{self.name} {self.last_exit}; starts again in {wait_s:.1f} s")

    def _start_again(self, now: float) -> None:
        self.restarts += 1
        try:
            self.start()
        except (PortError, OSError) as exc:  # OSError: the disk is full, say; it may have room again later
            self.deaths += 1
            self.last_exit = f"cannot be started ({exc})"
            self._schedule(now)
