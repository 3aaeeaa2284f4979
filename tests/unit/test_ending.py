"""A process that hangs at its end, in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from typing import Final

from hub.ending import cancelled

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


async def test_a_task_that_has_not_heard_that_it_shall_end_is_told_again() -> None:
    async def goes_on() -> None:
        with suppress(asyncio.CancelledError):  # as wait_for does
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def fails() -> None:
        raise OSError

    tasks = [asyncio.create_task(goes_on()), asyncio.create_task(fails())]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await cancelled(tasks)
    assert all(task.done() for task in tasks)
