"""The gauges of the balance sheet: one look for many scrapes, and no old value for a new one."""

from __future__ import annotations

import threading
from math import isnan

from prometheus_client import Gauge

from hub.api import metrics
from hub.api.gauges import EVERY_S, BalanceGauges
from hub.errors import Unavailable
from hub.model import CounterKey, Counts
from hub.store.memory import MemoryStore
from tests.contracts.batches import batch


def value(gauge: Gauge) -> float:
    (sample,) = next(iter(gauge.collect())).samples
    return sample.value


class Log:
    """The ends of a log that may be away."""

    def __init__(self) -> None:
        self.ends = {0: (0, 5)}
        self.looks = 0
        self.away = False
        self.may_answer = threading.Event()
        self.may_answer.set()

    def offsets(self) -> dict[int, tuple[int, int]]:
        self.looks += 1
        assert self.may_answer.wait(20)
        if self.away:
            raise Unavailable("kafka", "it is away")
        return self.ends


async def test_gauges_are_of_the_last_look_and_looks_are_apart() -> None:
    store, log, now_s = MemoryStore(), Log(), 0.0
    balance = BalanceGauges(store, log.offsets, clock_s=lambda: now_s)
    await balance.refresh()
    assert (value(metrics.DIFFERENCE), value(metrics.GAP), value(metrics.IN_FLIGHT)) == (0, 0, 5)

    store.epoch("topic")
    store.write(batch(progress={0: (0, 2)}, counters={CounterKey(1, 0, "shop", 1): Counts(received=4, stored=1)}))
    log.ends = {0: (3, 9)}
    now_s = EVERY_S - 0.1
    await balance.refresh()
    assert (value(metrics.IN_FLIGHT), log.looks) == (5, 1)
    now_s = EVERY_S
    await balance.refresh()
    assert (value(metrics.DIFFERENCE), value(metrics.GAP), value(metrics.IN_FLIGHT)) == (3, 1, 6)
    assert log.looks == 2


async def test_what_is_not_known_is_no_number() -> None:
    log, now_s = Log(), 0.0
    balance = BalanceGauges(MemoryStore(), log.offsets, clock_s=lambda: now_s)
    await balance.refresh()
    log.away, now_s = True, 2 * EVERY_S
    await balance.refresh()
    assert all(isnan(value(gauge)) for gauge in (metrics.DIFFERENCE, metrics.GAP, metrics.IN_FLIGHT))
    log.away, now_s = False, 4 * EVERY_S
    await balance.refresh()
    assert value(metrics.IN_FLIGHT) == 5


async def test_a_scrape_does_not_wait_for_ever() -> None:
    log, now_s = Log(), 0.0
    balance = BalanceGauges(MemoryStore(), log.offsets, clock_s=lambda: now_s, wait_s=0.01)
    log.may_answer.clear()
    await balance.refresh()
    assert isnan(value(metrics.IN_FLIGHT))
    now_s = 10 * EVERY_S
    await balance.refresh()
    assert log.looks == 1  # the one that is under way will do
    log.may_answer.set()
    while isnan(value(metrics.IN_FLIGHT)):
        await balance.refresh()
    assert (value(metrics.IN_FLIGHT), log.looks) == (5, 1)
