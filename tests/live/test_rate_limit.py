"""A bridge with a rate limit takes no more than it says, and all of it in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bridges.base import Batch, Bridge, Delivery
from bridges.convert import Converter
from bridges.forward import Forwarder
from bridges.outlet import OPTIONS, Outlet
from hub.definitions.catalogue import Catalogue
from hub.log.admin import ensure_topics
from hub.log.config import producer_config
from hub.pipeline.stop_rule import StopRule
from hub.settings import Kafka, Limits
from hub.store.memory import MemoryStore
from schemas.topics import EVENTS

RATE = 10.0
BODY = b'{"source": "shop", "events": [{"type": "view"}]}'
MESSAGES = 60


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Full(Bridge):
    """A queue that always has more; notes when how many were asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked: list[tuple[float, int]] = []
        self.taken = 0

    async def connect(self) -> None: ...

    async def take(self, limit: int) -> Batch:
        self.asked.append((self._clock(), limit))
        deliveries = [Delivery(BODY, str(number), 0) for number in range(self.taken, self.taken + limit)]
        self.taken += limit
        return Batch(deliveries)

    async def ack(self, batch: Batch) -> None: ...

    async def close(self) -> None: ...

    def lag(self) -> int | None:
        return None


class Counter:
    """An Observer that can be waited for."""

    def __init__(self) -> None:
        self.acknowledged_messages = 0
        self._moved = asyncio.Event()

    def taken(self, messages: int, in_flight: int, lag: int | None) -> None: ...

    def refused(self, reason: str) -> None: ...

    def acknowledged(self, messages: int, in_flight: int) -> None:
        self.acknowledged_messages += messages
        self._moved.set()

    def stalled(self, waiting_s: float) -> None: ...

    def resumed(self) -> None: ...

    async def until(self, messages: int) -> None:
        async with asyncio.timeout(60):
            while self.acknowledged_messages < messages:
                self._moved.clear()
                await self._moved.wait()


def granted(asked: Sequence[tuple[float, int]], up_to_s: float) -> int:
    return sum(limit for at_s, limit in asked if at_s <= up_to_s)


async def test_what_is_asked_for_keeps_to_the_rate(kafka: str, namespace: str) -> None:
    ours = Kafka(bootstrap=kafka, partitions=1)
    await asyncio.to_thread(ensure_topics, ours, namespace)
    catalogue = Catalogue()
    catalogue.apply(b"source/shop", b'{"spec": {}, "updated_at_ms": 0}', 0)
    clock, counter = Clock(), Counter()
    bridge = Full(clock)
    converter = Converter(bridge="b", kind="full", source="shop", mapping=None, catalogue=catalogue, limits=Limits())
    outlet = Outlet(producer_config(ours, **OPTIONS), EVENTS.name(namespace))
    forwarder = Forwarder(
        bridge,
        converter,
        outlet,
        MemoryStore(),
        counter,
        in_flight=1_000,
        stall_s=30.0,
        stop_rule=StopRule(1, 1_000),
        now_ms=lambda: 1_780_000_000_000,
        rate_limit=RATE,
        clock=clock,
    )
    running = asyncio.create_task(forwarder.run())
    # as much as the clock has let through, however often it was asked meanwhile: a second's worth at first
    seconds = 0
    while counter.acknowledged_messages < MESSAGES:
        await counter.until(int(RATE) * (seconds + 1))
        assert bridge.taken == RATE * (seconds + 1)
        seconds += 1
        clock.now_s += 1.0
    forwarder.stop()
    await running
    await outlet.close()
    for at_s, _ in bridge.asked:
        assert granted(bridge.asked, at_s) <= RATE * (at_s - 1_000.0 + 1)
