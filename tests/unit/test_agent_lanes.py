"""Triggers in hand: two lanes that do not wait for each other, acknowledged in the order of their partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from schemas.records import Trigger
from workers.agents import lanes as module
from workers.agents.app import Place
from workers.agents.lanes import Item, Lanes


class Hand:
    """Lanes, and what becomes of what is put into them. A value that begins with `f` is a flow's."""

    def __init__(self) -> None:
        self.acked: list[Place] = []
        self.batches: list[list[str]] = []
        self.again: set[str] = set()
        self.gate = asyncio.Event()
        self.slices: list[str] = []
        self.lanes = Lanes(self.one, self.many, self.read)

    async def put(self, value: str, partition: int, offset: int) -> None:
        async def ack() -> None:
            self.acked.append((partition, offset))

        await self.lanes.take(value.encode(), (partition, offset), ack)

    async def one(self, value: bytes, _: Place) -> bool:
        await self.gate.wait()
        self.slices.append(value.decode())
        return True

    async def many(self, items: Sequence[Item]) -> Sequence[Item]:
        self.batches.append([item.value.decode() for item in items])
        later = [item for item in items if item.value.decode() in self.again]
        self.again.clear()
        return later

    @staticmethod
    def read(value: bytes) -> Trigger | None:
        trigger: Any = {"kind": "flow"}
        return trigger if value.startswith(b"f") else None


async def during(hand: Hand, work: Callable[[], Awaitable[None]]) -> None:
    tasks = [asyncio.create_task(lane()) for lane in (hand.lanes.run_slices, hand.lanes.run_flows)]
    try:
        async with asyncio.timeout(10):
            await work()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - of this loop
        await asyncio.sleep(0.001)


async def test_a_slice_that_takes_long_holds_up_acknowledgements_of_its_partition_alone() -> None:
    hand = Hand()

    async def work() -> None:
        await hand.put("slice", 0, 0)
        for offset in range(1, 4):
            await hand.put(f"f{offset}", 0, offset)
        await hand.put("f9", 1, 7)
        await until(lambda: hand.acked == [(1, 7)])
        assert [one for batch in hand.batches for one in batch] == ["f1", "f2", "f3", "f9"]
        hand.gate.set()
        await until(lambda: len(hand.acked) == 5)
        assert hand.acked[1:] == [(0, 0), (0, 1), (0, 2), (0, 3)]

    await during(hand, work)


async def test_many_flows_do_not_hold_up_a_slice() -> None:
    hand = Hand()
    hand.gate.set()

    async def work() -> None:
        for offset in range(500):
            await hand.put(f"f{offset}", 0, offset)
        await hand.put("slice", 1, 0)
        await until(lambda: hand.slices == ["slice"])
        await until(lambda: len(hand.acked) == 501)
        assert max(map(len, hand.batches)) == module.BATCH

    await during(hand, work)


async def test_what_cannot_be_done_yet_is_given_again_and_nobody_behind_it_is_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LATER_S", 0.01)
    hand = Hand()
    hand.again.add("f0")

    async def work() -> None:
        for offset in range(3):
            await hand.put(f"f{offset}", 0, offset)
        await until(lambda: len(hand.acked) == 3)
        assert hand.acked == [(0, 0), (0, 1), (0, 2)]
        assert hand.batches == [["f0", "f1", "f2"], ["f0"]]

    await during(hand, work)


async def test_of_a_partition_that_was_taken_away_nothing_is_acknowledged() -> None:
    """It is read again from where it was left, by whoever has it then: also if that is the same process."""
    hand = Hand()

    async def work() -> None:
        await hand.put("slice", 0, 0)
        await hand.put("f1", 0, 1)
        await until(lambda: hand.batches == [["f1"]])
        await hand.lanes.revoked([0])
        await hand.put("f0", 0, 0)
        await hand.put("f1", 0, 1)
        await until(lambda: len(hand.acked) == 2)
        hand.gate.set()
        await until(lambda: hand.slices == ["slice"])
        assert hand.acked == [(0, 0), (0, 1)]

    await during(hand, work)


async def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    hand = Hand()

    async def work() -> None:
        await hand.put("slice", 0, 0)
        await hand.put("f1", 0, 1)
        waiting = asyncio.create_task(hand.put("f2", 0, 2))
        await until(lambda: hand.batches == [["f1"]])
        assert not waiting.done()
        hand.gate.set()
        await waiting
        await until(lambda: len(hand.acked) == 3)

    await during(hand, work)


async def test_who_waits_for_room_when_partitions_are_taken_away_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    hand = Hand()

    async def work() -> None:
        await hand.put("slice", 0, 0)
        waiting = asyncio.create_task(hand.put("f1", 0, 1))
        await asyncio.sleep(0)
        await hand.lanes.revoked([0])
        await waiting
        await hand.put("f0", 0, 0)
        await until(lambda: hand.acked == [(0, 0)])
        assert hand.batches == [["f0"]]

    await during(hand, work)


async def test_a_stop_lets_end_what_is_in_the_middle_and_begins_nothing_more() -> None:
    hand = Hand()
    lanes = [asyncio.create_task(lane()) for lane in (hand.lanes.run_slices, hand.lanes.run_flows)]
    async with asyncio.timeout(10):
        await hand.put("slice", 0, 0)
        await hand.put("next", 0, 1)
        await hand.put("f0", 1, 0)
        await until(lambda: hand.acked == [(1, 0)])
        hand.lanes.stop()
        await lanes[1]
        hand.gate.set()
        await lanes[0]
    assert hand.slices == ["slice"]
    assert hand.acked == [(1, 0), (0, 0)]
