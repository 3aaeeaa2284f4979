"""Waiting for room: in order, given up in good order, and not for ever when nothing moves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from hub.errors import Unavailable
from hub.log.bulk import BulkWindow
from hub.log.pace import FIRST_EVENTS
from hub.settings import Bulk
from tests.kafka_tools import eventually


class Collector:
    """How far it is, as Kafka would tell."""

    def __init__(self) -> None:
        self.reached = 0
        self.away = False

    def __call__(self) -> dict[int, int]:
        if self.away:
            raise Unavailable("kafka", "Kafka does not answer")
        return {0: self.reached}


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def window(collector: Collector) -> Iterator[BulkWindow]:
    with BulkWindow(collector, Bulk(patience_s=60)) as window:
        yield window


def fill(window: BulkWindow) -> None:
    """One record, as large as the window, at offset 0."""
    assert window.try_enter(FIRST_EVENTS)
    window.landed(FIRST_EVENTS, 0, 0)


async def test_whoever_asks_waits_until_the_collector_has_stored(window, collector):
    fill(window)
    waiting = [asyncio.create_task(window.enter(1)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    collector.reached = 1
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)
    assert window.in_flight == 3


async def test_first_come_first_served(window, collector):
    fill(window)
    order: list[int] = []

    async def send(number: int, events: int) -> None:
        await window.enter(events)
        order.append(number)
        window.lost(events)

    # the first is so large that the others would fit before it
    sending = [asyncio.create_task(send(n, FIRST_EVENTS if n == 0 else 1)) for n in range(5)]
    await asyncio.sleep(0)
    collector.reached = 1
    async with asyncio.timeout(10):
        await asyncio.gather(*sending)
    assert order == [0, 1, 2, 3, 4]


async def test_nobody_goes_past_one_who_waits_for_more(window):
    assert window.try_enter(FIRST_EVENTS - 5)
    waiting = asyncio.create_task(window.enter(10))
    await asyncio.sleep(0)
    assert not window.try_enter(1), "else a large payload would wait for ever beside small ones"
    window.lost(FIRST_EVENTS - 5)
    async with asyncio.timeout(10):
        await waiting


async def test_waiting_that_is_given_up_leaves_nothing_behind(window, collector):
    fill(window)
    with pytest.raises(Unavailable, match="held back"):
        await window.enter(FIRST_EVENTS, within_s=0.001)
    cancelled = asyncio.create_task(window.enter(FIRST_EVENTS))
    behind = asyncio.create_task(window.enter(1))
    await asyncio.sleep(0)
    cancelled.cancel()
    collector.reached = 1
    async with asyncio.timeout(10):
        await behind
    assert window.in_flight == 1


async def test_let_in_and_cancelled_in_the_same_moment(window):
    assert window.try_enter(FIRST_EVENTS)
    waiting = asyncio.create_task(window.enter(1))
    await asyncio.sleep(0)
    window.lost(FIRST_EVENTS)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert window.in_flight == 0


def test_a_thread_waits_too(window, collector):
    fill(window)
    with pytest.raises(Unavailable, match="held back"):
        window.wait(1, within_s=0.001)
    passed = threading.Event()
    thread = threading.Thread(target=lambda: (window.wait(1), passed.set()))
    thread.start()
    collector.reached = 1
    assert passed.wait(10)
    thread.join()


@pytest.mark.parametrize("away", [False, True])
def test_when_nothing_moves_for_long_it_says_so_and_goes_on_when_it_moves(collector, away):
    with BulkWindow(collector, Bulk(patience_s=0.05)) as window:
        fill(window)
        collector.away = away
        with pytest.raises(Unavailable, match="nobody knows what is stored" if away else "has stored nothing"):
            window.wait(1)
        assert window.stuck
        with pytest.raises(Unavailable):
            window.wait(1)
        window.force(1)
        collector.away, collector.reached = False, 1
        eventually(lambda: not window.stuck)
        window.wait(1)


def test_asking_again_and_again_does_not_stretch_the_patience(collector):
    with BulkWindow(collector, Bulk(patience_s=0.3)) as window:
        fill(window)

        def asked() -> bool:
            with pytest.raises(Unavailable):
                window.wait(1, within_s=0.02)
            return window.stuck

        eventually(asked, 20)


async def test_closing_ends_the_waiting(collector):
    window = BulkWindow(collector, Bulk())
    fill(window)
    waiting = asyncio.create_task(window.enter(1))
    await asyncio.sleep(0)
    await asyncio.to_thread(window.close)
    with pytest.raises(Unavailable, match="stopping"):
        await waiting
    with pytest.raises(Unavailable, match="stopping"):
        await window.enter(1)
