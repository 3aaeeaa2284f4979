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
TASK_HANGS: Final = """
import asyncio, uvloop
from hub.ending import end_in
async def waits_for_nothing():
    await asyncio.Event().wait()
async def main():
    end_in(0.2, 7, asyncio.get_running_loop())
    await asyncio.create_task(waits_for_nothing())
uvloop.run(main())
"""


def _run(seconds: float, block: str) -> subprocess.CompletedProcess[str]:
    program = HANGS.format(seconds=seconds, block=block)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_what_hangs_is_ended_and_shown() -> None:
    ended = _run(0.2, "threading.Event().wait()")
    assert ended.returncode == 7
    assert "process.ended_by_force" in ended.stdout + ended.stderr
    assert "in wait" in ended.stderr, "where it stood"


def test_the_tasks_of_a_loop_are_shown_too() -> None:
    ended = subprocess.run([sys.executable, "-c", TASK_HANGS], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 7
    assert "in waits_for_nothing" in ended.stderr


def test_what_ends_in_time_goes_on() -> None:
    ended = _run(30, "pass")
    assert (ended.returncode, ended.stdout.strip()) == (0, "went on")
