"""A moment in which processes stand still, and go on after it whatever happens to us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from hub.errors import Unavailable

GUARD: Final = Path(__file__).with_name("thaw.py")
LONGEST_S: Final = 3.0
"""Senders wait for Kafka's acknowledgement for 10 s, groups for their members for 3 s."""
STOP_S: Final = 1.5
_STOPPED: Final = frozenset("TtXZ")
"""States of a thread that does nothing more. Source: proc(5)"""


@contextmanager
def still(pids: Sequence[int], longest_s: float = LONGEST_S) -> Iterator[None]:
    """
    None of these processes does anything while the block runs: some milliseconds, `longest_s` at most.

    Raises: Unavailable: one has ended, or could not be stopped in time, or went on before the block was over: then what
        was seen in it is not of one moment.
    """
    if not pids:
        yield
        return
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), str(longest_s), *map(str, pids)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # neither Ctrl-C nor a kill of our group reaches it
    )
    assert guard.stdin is not None
    assert guard.stdout is not None
    with guard.stdin as word, guard.stdout as answer:
        try:
            if answer.readline() != b"armed\n":
                raise Unavailable("backup", "the process that lets Kafka go on does not start")
            _stop(pids)
            yield
            if not all(map(_stands, pids)):
                raise Unavailable("backup", f"took more than {longest_s:g} s to look at the files: try again")
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            with suppress(BrokenPipeError):
                word.close()
            guard.wait()


def _stop(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + STOP_S
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        while not all(map(_stands, pids)):
            if time.monotonic() > deadline:
                raise Unavailable("backup", "Kafka or Valkey could not be stopped for a moment: try again")
            time.sleep(0.001)
    except (ProcessLookupError, psutil.NoSuchProcess) as exc:
        raise Unavailable("backup", "Kafka or Valkey has just ended: try again") from exc


def _stands(pid: int) -> bool:
    """Whether none of its threads runs."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.is_dir():  # not Linux, or it has ended
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    try:
        # pid (name) state …, and a name may hold anything
        return all((one / "stat").read_text().rpartition(")")[2].split()[0] in _STOPPED for one in tasks.iterdir())
    except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
        return False
