"""The balance as metrics: looked at when they are scraped, but not more often than every ten seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from math import nan
from typing import Final

import structlog

from hub.api import metrics
from hub.api.sheet import Offsets, Verdict, judge
from hub.errors import HubError
from hub.store.port import Reading

log: Final = structlog.get_logger()
EVERY_S: Final = 10.0
"""Several scrapers, or an eager one, cost the store and Kafka no more than one."""
WAIT_S: Final = 2.0
"""How long a scrape waits; Prometheus gives up after 10 s and then has none of the other metrics either."""


class BalanceGauges:
    """Sets the gauges of the balance sheet. For one event loop."""

    def __init__(
        self,
        store: Reading,
        offsets: Offsets,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        wait_s: float = WAIT_S,
    ) -> None:
        """Args: clock_s: seconds, from anywhere. wait_s: the longest that a scrape waits."""
        self._store = store
        self._offsets = offsets
        self._clock_s = clock_s
        self._wait_s = wait_s
        self._look: asyncio.Task[Verdict | None] | None = None
        self._began_s = 0.0

    async def refresh(self) -> None:
        """Look again unless that was done a moment ago. What cannot be known, or not soon, is NaN."""
        if self._look is None or (self._look.done() and self._clock_s() - self._began_s >= EVERY_S):
            self._began_s = self._clock_s()
            self._look = asyncio.create_task(asyncio.to_thread(self._judge))
        await asyncio.wait([self._look], timeout=self._wait_s)
        _set(self._look.result() if self._look.done() else None)

    def _judge(self) -> Verdict | None:
        try:
            # of no minute: only what does not add up
            return judge(self._store.books(0, 0), self._offsets())
        except HubError as exc:
            log.warning("balance.unknown", error=str(exc))
            return None


def _set(verdict: Verdict | None) -> None:
    # the last known value would say that all is well
    metrics.DIFFERENCE.set(nan if verdict is None else verdict.unaccounted)
    metrics.GAP.set(nan if verdict is None else verdict.gap_records)
    metrics.IN_FLIGHT.set(nan if verdict is None else verdict.in_flight)
