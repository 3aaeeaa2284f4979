"""Consumers that rest together: each is looked at until it stirs or ends, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import threading

import pytest

from bridges.kafka_rest import Lounge
from tests.waiting import wait_for

WITHIN_S = 30.0


async def test_who_has_something_to_do_stirs_and_the_others_rest_on() -> None:
    lounge, loop = Lounge(), asyncio.get_running_loop()
    due = threading.Event()
    looks: list[bool] = []

    def nothing() -> bool:
        looks.append(False)
        return False

    one = lounge.rest(due.is_set, loop)
    other = lounge.rest(nothing, loop)
    assert not await one.stirs(0.0)
    due.set()
    assert await one.stirs(WITHIN_S)
    seen = len(looks)
    await asyncio.to_thread(wait_for, "the other is looked at", lambda: len(looks) > seen)
    assert not await other.stirs(0.0)
    other.end()


async def test_a_fault_is_its_own() -> None:
    lounge, loop = Lounge(), asyncio.get_running_loop()

    def fails() -> bool:
        raise OSError("broken")

    due = threading.Event()
    broken, sound = lounge.rest(fails, loop), lounge.rest(due.is_set, loop)
    with pytest.raises(OSError, match="broken"):
        await broken.stirs(WITHIN_S)
    due.set()
    assert await sound.stirs(WITHIN_S)


async def test_nobody_looks_after_the_end_and_the_thread_goes_with_the_last() -> None:
    lounge, loop = Lounge(), asyncio.get_running_loop()
    looking, go_on = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def look() -> bool:
        threads.append(threading.current_thread())
        looking.set()
        return not go_on.wait(WITHIN_S)

    resting = lounge.rest(look, loop)
    assert await asyncio.to_thread(looking.wait, WITHIN_S)
    ending = asyncio.create_task(asyncio.to_thread(resting.end))
    await asyncio.sleep(0)
    assert not ending.done()  # somebody looks
    go_on.set()
    await ending
    looks = len(threads)
    await asyncio.to_thread(threads[0].join, WITHIN_S)
    assert not threads[0].is_alive()
    assert len(threads) == looks

    again = lounge.rest(lambda: True, loop)
    assert await again.stirs(WITHIN_S)
