"""What a task waits for rings at once, or not within the time-out; time-outs of many end together."""

from __future__ import annotations

import asyncio

import pytest

from bridges.bell import TOGETHER_S, Bell, together


async def test_it_rings_until_it_is_hushed() -> None:
    bell = Bell()
    assert not await bell.rings(0.0)
    assert not await bell.rings(0.01)
    bell.ring()
    assert await bell.rings(60.0)
    assert await bell.rings(0.0)
    bell.hush()
    assert not await bell.rings(0.0)


async def test_who_waits_hears_it_at_once() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.rings(3_600.0))
    await asyncio.sleep(0)
    bell.ring()
    assert await waiting


async def test_who_is_cancelled_leaves_nothing_behind() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.rings(3_600.0))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    bell.ring()
    assert await bell.rings(0.0)


@pytest.mark.parametrize(
    ("timeout_s", "early_s", "late_s"), [(0.001, 0, TOGETHER_S), (0.05, 0, TOGETHER_S), (1.0, 0.25, 0.25)]
)
def test_time_outs_end_together_and_not_much_early_or_late(timeout_s: float, early_s: float, late_s: float) -> None:
    begun = [1_000.0 + n / 997 for n in range(100)]
    ends = {round(now + together(now, timeout_s), 6) for now in begun}
    assert len(ends) <= 3
    assert all(timeout_s - early_s - 1e-6 <= together(now, timeout_s) <= timeout_s + late_s + 1e-6 for now in begun)
