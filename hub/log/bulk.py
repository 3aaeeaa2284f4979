"""
Live before bulk: who sends much at once waits here, so that its events never pile up in front of the collector.

A producer asks before it sends (`enter`, or `wait` without asyncio), and tells where each record went (`landed`) or
that it did not (`lost`). How many events may be under way is `hub.log.pace`'s affair.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Self

import structlog
from prometheus_client import Counter, Gauge

from hub.errors import Unavailable
from hub.log.pace import Pace
from hub.settings import Bulk

log: Final = structlog.get_logger()

LOOK_EVERY_S: Final = 0.01
MOST_WAITING: Final = 1_000
"""A queue that is longer only holds memory: they had better ask again later."""
IDLE_LOOK_S: Final = 0.25
"""Between two looks at a collector that has not moved for so long."""

UNWATCHED_S: Final = 1.0
"""Nobody has looked for so long, so what moved is unknown: patience begins anew. Asking again at once is no pause."""

WINDOW: Final = Gauge("hub_bulk_window_events", "Bulk events that may be on the log and not stored.")
IN_FLIGHT: Final = Gauge("hub_bulk_in_flight_events", "Bulk events that are on the log and not known to be stored.")
HELD_S: Final = Counter("hub_bulk_held_seconds", "How long bulk events were held back for live ones, in seconds.")


class _Waiter:
    """Somebody who wants to send `events`."""

    def __init__(self, events: int, since_s: float, wake: Callable[[], object]) -> None:
        self.events = events
        self.since_s = since_s
        self.wake = wake
        self.entered = False
        self.refused = ""


class BulkWindow:
    """
    One for all bulk producers of a process, on whatever threads or loops. A context manager: leaving it ends the wait.

    First come, first served, so that the order of a producer stays.
    """

    def __init__(
        self,
        committed: Callable[[], Mapping[int, int]],
        settings: Bulk,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Does not look yet.

        Args:
            committed: `hub.log.progress.Progress`. By partition of events.v1, the first offset that the collector has
                not stored. Blocks; raises Unavailable.
            clock_s: Seconds, from anywhere.
        """
        self._committed = committed
        self._clock_s = clock_s
        self._patience_s = settings.patience_s
        self._pace = Pace(settings.slowdown)
        self._waiting: deque[_Waiter] = deque()
        self._changed = threading.Condition()
        self._moved_at_s = self._looked_at_s = clock_s()
        self._stuck = ""
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="bulk-window", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Whoever waits, or asks from now on and would have to wait, gets Unavailable."""
        with self._changed:
            self._closed = True
            self._refuse("the hub is stopping")
            self._changed.notify()
        self._thread.join()

    @property
    def in_flight(self) -> int:
        """Events that were let through and are not known to be stored."""
        return self._pace.in_flight

    @property
    def stuck(self) -> bool:
        """Whether it has given up waiting until the collector moves again."""
        return bool(self._stuck)

    def try_enter(self, events: int) -> bool:
        """Whether so many events may be sent now; then they count as under way. Never waits."""
        with self._changed:
            if self._waiting or not self._pace.fits(events):
                return False
            self._enter(events)
            return True

    async def enter(self, events: int, within_s: float | None = None) -> None:
        """
        Wait until so many events may be sent; they count as under way then.

        Args:
            within_s: The longest that it waits, seconds. None: as long as the collector moves.

        Raises:
            Unavailable: No room within that time; or the collector has stored nothing for the `patience_s` of the
                settings, or Kafka does not tell. They do not count as under way.
        """
        if self.try_enter(events):
            return
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        waiter = self._queue(events, lambda: loop.call_soon_threadsafe(woken.set))
        try:
            async with asyncio.timeout(within_s):
                await woken.wait()
        except TimeoutError:
            self._end(waiter)
            return
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise
        self._end(waiter)

    def wait(self, events: int, within_s: float | None = None) -> None:
        """`enter` for code that may block. Raises Unavailable as that does."""
        if self.try_enter(events):
            return
        woken = threading.Event()
        waiter = self._queue(events, woken.set)
        woken.wait(within_s)
        self._end(waiter)

    def force(self, events: int) -> None:
        """So many go, whether there is room or not."""
        with self._changed:
            self._enter(events)

    def landed(self, events: int, partition: int, offset: int) -> None:
        """So many that had entered are one record of events.v1. From any thread."""
        with self._changed:
            if offset >= 0:
                self._pace.land(events, partition, offset, self._clock_s())
            else:  # acknowledged at a second try, and the broker no longer knows where it is
                self._leave(events)

    def lost(self, events: int) -> None:
        """So many that had entered are not on events.v1, as far as anybody knows. From any thread."""
        with self._changed:
            self._leave(events)

    def _enter(self, events: int) -> None:
        self._pace.enter(events)
        IN_FLIGHT.set(self._pace.in_flight)

    def _leave(self, events: int) -> None:
        self._pace.leave(events)
        self._let_in()

    def _queue(self, events: int, wake: Callable[[], object]) -> _Waiter:
        with self._changed:
            if self._closed or self._stuck:
                raise Unavailable("collector", self._stuck or "the hub is stopping")
            if len(self._waiting) >= MOST_WAITING:
                raise Unavailable("collector", f"{MOST_WAITING:,} others wait already until live events leave room")
            now_s = self._clock_s()
            if now_s - self._looked_at_s > UNWATCHED_S:
                self._moved_at_s = now_s
            waiter = _Waiter(events, now_s, wake)
            self._waiting.append(waiter)
            self._changed.notify()
            return waiter

    def _end(self, waiter: _Waiter) -> None:
        """Raises Unavailable unless it was let in."""
        with self._changed:
            if waiter.entered:
                return
            if not waiter.refused:
                self._waiting.remove(waiter)
                HELD_S.inc(self._clock_s() - waiter.since_s)
                self._let_in()
        raise Unavailable(
            "collector",
            waiter.refused or f"held back for live events: {self._pace.in_flight:,} bulk events wait to be stored",
        )

    def _abandon(self, waiter: _Waiter) -> None:
        with self._changed:
            if waiter.entered:
                self._leave(waiter.events)
            elif not waiter.refused:
                self._waiting.remove(waiter)
                self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._pace.fits(self._waiting[0].events):
            waiter = self._waiting.popleft()
            self._pace.enter(waiter.events)
            waiter.entered = True
            HELD_S.inc(self._clock_s() - waiter.since_s)
            waiter.wake()
        IN_FLIGHT.set(self._pace.in_flight)

    def _refuse(self, why: str) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            waiter.refused = why
            HELD_S.inc(self._clock_s() - waiter.since_s)
            waiter.wake()

    def _run(self) -> None:
        """Looks as long as somebody waits, or until a collector that stood still moves again."""
        while True:
            with self._changed:
                while not (self._closed or self._waiting or self._stuck):
                    self._changed.wait()
                if self._closed:
                    return
            self.look()
            with self._changed:
                still_s = self._clock_s() - self._moved_at_s
                if not self._closed:
                    self._changed.wait(IDLE_LOOK_S if self._stuck or still_s > IDLE_LOOK_S else LOOK_EVERY_S)

    def look(self) -> None:
        """Ask how far the collector is, and let in who fits. Blocks; the window's own thread calls it."""
        committed, why = None, "the collector has stored nothing"
        try:
            committed = self._committed()
        except Unavailable as exc:
            why = f"{exc.detail}, so nobody knows what is stored"
        with self._changed:
            now_s = self._looked_at_s = self._clock_s()
            if committed is not None and self._pace.look(committed, now_s):
                self._moved_at_s = now_s
                if self._stuck:
                    self._stuck = ""
                    log.info("bulk.moves")
            elif now_s - self._moved_at_s >= self._patience_s and not self._stuck:
                self._stuck = f"{why} for {self._patience_s:g} s"
                log.warning("bulk.stuck", why=self._stuck, in_flight=self._pace.in_flight)
                self._refuse(self._stuck)
            WINDOW.set(self._pace.size)
            self._let_in()
