"""
Triggers in hand: one lane does slices, which take long, one at a time; the other does runs of flows, many at once.

So neither waits for the other. What is done is acknowledged in the order of its partition, whatever is done first:
Faust loses triggers that are acknowledged out of order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, NamedTuple, TypeAlias

from schemas.records import Trigger
from workers.agents.app import Ack, Place

MOST: Final = 50_000
"""Triggers in hand; beyond that none is taken. So many may be behind a slice of the same partition that takes long."""
BATCH: Final = 100
"""Runs that are made at once."""
LATER_S: Final = 0.5
"""Before what could not be done yet is tried again."""


class Item(NamedTuple):
    """A trigger of a flow: its bytes, where it lies, what it says."""

    value: bytes
    place: Place
    trigger: Trigger


One: TypeAlias = Callable[[bytes, Place], Awaitable[bool]]
"""Does a trigger. False: it is not done, somebody else has to."""
Many: TypeAlias = Callable[[Sequence[Item]], Awaitable[Sequence[Item]]]
"""Does many. Returns those that have to be given again, in a moment."""
Read: TypeAlias = Callable[[bytes], Trigger | None]
"""What a trigger says, if it is one of flows."""


class _Held:
    """`ack`: None: it is somebody else's by now."""

    def __init__(self, value: bytes, place: Place, trigger: Trigger | None, ack: Ack) -> None:
        self.value = value
        self.place = place
        self.trigger = trigger
        self.ack: Ack | None = ack
        self.is_done = False


class Lanes:
    """For one event loop."""

    def __init__(self, one: One, many: Many, read: Read) -> None:
        """Nothing is in hand."""
        self._one = one
        self._many = many
        self._read = read
        self._held: dict[int, deque[_Held]] = {}
        self._count = self._revocations = 0
        self._room = asyncio.Condition()
        self._slow: asyncio.Queue[_Held | None] = asyncio.Queue()
        self._quick: asyncio.Queue[_Held | None] = asyncio.Queue()
        self._stopped = False

    async def take(self, value: bytes, place: Place, ack: Ack) -> None:
        """See `app.Take`."""
        before = self._revocations
        async with self._room:
            await self._room.wait_for(lambda: self._count < MOST)
        if before != self._revocations:
            return  # it was waiting for room: it may come again
        held = _Held(value, place, self._read(value), ack)
        self._held.setdefault(place[0], deque()).append(held)
        self._count += 1
        (self._slow if held.trigger is None else self._quick).put_nowait(held)

    async def revoked(self, partitions: Collection[int]) -> None:
        """They may be another's from now on; if they come back, what is not acknowledged does so, too."""
        self._revocations += 1
        for partition in partitions:
            for held in self._held.pop(partition, ()):
                held.ack = None  # what is in the middle of it ends, and is done again
                self._count -= 1
        async with self._room:
            self._room.notify_all()

    def stop(self) -> None:
        """Both lanes end what they are in the middle of, and nothing more. What else is in hand is not acknowledged."""
        self._stopped = True
        for queue in (self._slow, self._quick):
            queue.put_nowait(None)  # to wake it

    async def run_slices(self) -> None:
        """Do those of one lane, until it is stopped."""
        while not self._stopped and (held := await self._slow.get()) is not None:
            if held.ack is not None and await self._one(held.value, held.place):
                await self._settle([held])

    async def run_flows(self) -> None:
        """Do those of the other lane, until it is stopped."""
        loop = asyncio.get_running_loop()
        while not self._stopped and (first := await self._quick.get()) is not None:
            taken: list[_Held | None] = [first]
            while len(taken) < BATCH and not self._quick.empty():
                taken.append(self._quick.get_nowait())
            batch = [held for held in taken if held is not None and held.ack is not None]
            if not batch:
                continue
            by_place = {held.place: held for held in batch}
            items = [Item(held.value, held.place, held.trigger) for held in batch if held.trigger is not None]
            for item in await self._many(items):
                loop.call_later(LATER_S, self._quick.put_nowait, by_place.pop(item.place))
            await self._settle(by_place.values())

    async def _settle(self, done: Collection[_Held]) -> None:
        for held in done:
            held.is_done = True
        for partition in {held.place[0] for held in done}:
            queue = self._held.get(partition)
            while queue and queue[0].is_done:
                first = queue.popleft()
                self._count -= 1
                if first.ack is not None:
                    await first.ack()
        async with self._room:
            self._room.notify_all()
