"""A process that hangs at its end, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

HANGS: Final = """
import threading
from hub.ending import at_most
with at_most({seconds}, 7):
    {block}
print("went on")
"""


def _run(seconds: float, block: str) -> subprocess.CompletedProcess[str]:
    program = HANGS.format(seconds=seconds, block=block)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_what_hangs_is_ended_and_shown() -> None:
    ended = _run(0.2, "threading.Event().wait()")
    assert ended.returncode == 7
    assert "process.ended_by_force" in ended.stdout + ended.stderr
    assert "in wait" in ended.stderr, "where it stood"


def test_what_ends_in_time_goes_on() -> None:
    ended = _run(30, "pass")
    assert (ended.returncode, ended.stdout.strip()) == (0, "went on")
