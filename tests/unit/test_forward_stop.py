"""A stop does not wait for a broker that has nothing to give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bridges.base import Batch, Bridge
from bridges.convert import Converter
from bridges.forward import Forwarder
from bridges.outlet import OPTIONS, Outlet
from hub.definitions.catalogue import Catalogue
from hub.log.config import producer_config
from hub.pipeline.stop_rule import StopRule
from hub.settings import Kafka, Limits
from hub.store.memory import MemoryStore

NOWHERE = "127.0.0.1:1"


class Quiet(Bridge):
    """A queue in which nothing ever comes."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def connect(self) -> None: ...

    async def take(self, limit: int) -> Batch:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def ack(self, batch: Batch) -> None: ...

    async def close(self) -> None: ...

    def lag(self) -> int | None:
        return None


class Slow(Quiet):
    """One whose client has a time-out of its own."""

    async def take(self, limit: int) -> Batch:
        raise TimeoutError("the client's own")


class Nobody:
    """An Observer that does not care."""

    def taken(self, messages: int, in_flight: int, lag: int | None) -> None: ...

    def refused(self, reason: str) -> None: ...

    def acknowledged(self, messages: int, in_flight: int) -> None: ...

    def stalled(self, waiting_s: float) -> None: ...

    def resumed(self) -> None: ...


def forwarder(bridge: Bridge) -> Forwarder:
    catalogue = Catalogue()
    return Forwarder(
        bridge,
        Converter(bridge="b", kind="any", source="shop", mapping=None, catalogue=catalogue, limits=Limits()),
        Outlet(producer_config(Kafka(bootstrap=NOWHERE), **OPTIONS), "events"),
        MemoryStore(),
        Nobody(),
        in_flight=1000,
        stall_s=30.0,
        stop_rule=StopRule(1, 1),
        now_ms=lambda: 0,
    )


async def test_a_stop_ends_a_take_that_waits() -> None:
    bridge = Quiet()
    stopped = forwarder(bridge)
    running = asyncio.create_task(stopped.run())
    await bridge.asked.wait()
    stopped.stop()
    stopped.stop()
    async with asyncio.timeout(30):
        await running


async def test_it_takes_nothing_if_it_was_stopped_before() -> None:
    bridge = Quiet()
    stopped = forwarder(bridge)
    stopped.stop()
    await stopped.run()
    assert not bridge.asked.is_set()


async def test_a_time_out_of_the_client_is_no_stop() -> None:
    with pytest.raises(TimeoutError, match="the client's own"):
        await forwarder(Slow()).run()


class SlowToStop(Quiet):
    """One whose client runs out of time of its own just when it is told to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.stop: Callable[[], None] = lambda: None

    async def take(self, limit: int) -> Batch:
        self.stop()
        raise TimeoutError("the client's own")


async def test_nor_is_it_one_in_the_moment_of_a_stop() -> None:
    bridge = SlowToStop()
    stopped = forwarder(bridge)
    bridge.stop = stopped.stop
    with pytest.raises(TimeoutError, match="the client's own"):
        await stopped.run()
