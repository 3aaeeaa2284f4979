"""Calls on threads of their own: none waits for another, threads are used again, and none is left over."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest

from bridges.threads import Threads
from tests.waiting import wait_for

WITHIN_S = 30.0


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


async def test_calls_run_beside_each_other_and_give_what_they_give() -> None:
    threads, all_there = Threads("beside"), threading.Barrier(20)

    def call(number: int) -> int:
        all_there.wait(WITHIN_S)  # raises if one of them had to wait for another
        return number

    calls = [threads.run(lambda number=number: call(number)) for number in range(20)]  # type: ignore[misc]
    assert await asyncio.gather(*calls) == list(range(20))


async def test_a_call_that_fails_says_so_and_its_thread_goes_on() -> None:
    threads = Threads("failing", spare_s=WITHIN_S)

    def fail() -> None:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await threads.run(fail)
    assert await threads.run(lambda: 1) == 1


async def test_one_call_after_the_other_shares_a_thread() -> None:
    threads = Threads("sharing", spare_s=WITHIN_S)
    seen = set()
    for _ in range(50):
        seen.add(await threads.run(threading.get_ident))
        await asyncio.to_thread(wait_for, "it is free", lambda: bool(threads._free), WITHIN_S)
    assert len(seen) == 1


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns all the time, so that what rarely happens between two of them happens."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
async def test_threads_that_are_not_needed_end_and_no_call_is_lost() -> None:
    threads = Threads("ending", spare_s=0.00005)
    async with asyncio.timeout(WITHIN_S):
        for start in range(0, 2_000, 8):
            calls = [threads.run(lambda number=number: number) for number in range(start, start + 8)]  # type: ignore[misc]
            assert await asyncio.gather(*calls) == list(range(start, start + 8))
    await asyncio.to_thread(wait_for, "none is left", lambda: "ending" not in names(), WITHIN_S)


async def test_nobody_hears_of_a_call_that_was_cancelled() -> None:
    threads, go_on = Threads("cancelled"), threading.Event()
    call = threads.run(lambda: go_on.wait(WITHIN_S))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    assert await threads.run(lambda: 1) == 1


async def test_a_call_does_not_keep_the_process() -> None:
    threads, go_on = Threads("daemon"), threading.Event()
    try:
        found = threads.run(lambda: (go_on.wait(WITHIN_S), threading.current_thread().daemon))
        go_on.set()
        assert await found == (True, True)
    finally:
        go_on.set()
