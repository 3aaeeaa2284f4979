"""`hub up --detach`: the same `hub up` in a session of its own, and its report when it is ready."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hub.errors import Unavailable


class Report:
    """The detached side's end: says once how the start went. With descriptor 0 nobody wants to know."""

    def __init__(self, descriptor: int) -> None:
        """Takes the descriptor over; when this process ends without a word, the reader sees that too."""
        self.wanted = descriptor > 0
        self._pipe = os.fdopen(descriptor, "w", encoding="utf-8") if self.wanted else None

    def say(self, text: str) -> None:
        """The first call counts; it closes the pipe, so that nobody waits for more."""
        if self._pipe is not None:
            with self._pipe:
                self._pipe.write(text)
            self._pipe = None


def start_detached(data: Path, port: int) -> str:
    """
    Start it and wait for its report, `ready URL`.

    Raises: Unavailable: with its report, when that is another one; or where its last words are.
    """
    logs = data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    read, write = os.pipe()
    with (logs / "hub.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hub", "up", "--data", str(data), "--port", str(port), "--report-fd", str(write)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[write],
            start_new_session=True,
        )
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        report = pipe.read()  # until it has reported, or has ended
    if report.startswith("ready "):
        process.returncode = 0  # it goes on without us
        return report
    process.wait()
    raise Unavailable("hub", report or f"ended without a word: see {logs / 'hub.log'}")
