"""The queue `scheduler:live`: when paused runs of flows go on, and those that must not block who has begun them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import structlog
from redis import Redis

from hub.errors import Unavailable
from hub.jobs.queue import Call, JobQueue
from schemas.jobs import DUE, GO_ON, RESUME, SCHEDULER

log: Final = structlog.get_logger()

SOON_S: Final = 3_600
"""Every second of the next hour may have its job in Redis."""
MOST_LATER: Final = 500
"""Jobs of seconds behind that: what is due later than those is put there when its time comes nearer."""


class FlowQueue:
    """
    `Scheduled` and `Elsewhere` of flows. For one thread.

    Nothing here raises when Redis is away: the runs are in the store, and whoever works on the queue puts there what is
    missing (`hub.jobs.paused`).
    """

    def __init__(self, redis: Redis, namespace: str, now_ms: Callable[[], int]) -> None:
        """Does not connect yet. Args: now_ms: the clock, milliseconds since 1970."""
        self._jobs = JobQueue(redis, namespace, SCHEDULER)
        self._now_ms = now_ms

    def at(self, seconds: Iterable[int]) -> None:
        """Have what is due at these seconds, of 1970's, go on then: one job each, however many runs there are."""
        now_s = self._now_ms() // 1_000
        wanted = sorted(set(seconds))
        try:
            if any(second > now_s + SOON_S for second in wanted):
                room = max(0, MOST_LATER - self._jobs.count_scheduled(now_s + SOON_S))
                soon = [second for second in wanted if second <= now_s + SOON_S]
                wanted = [*soon, *wanted[len(soon) : len(soon) + room]]
            if wanted:
                self._jobs.enqueue_at((second, Call(RESUME, DUE, second)) for second in wanted)
        except Unavailable as exc:
            log.warning("flows.not_scheduled", error=str(exc), what="a worker on scheduler:live makes up for it")

    def go_on(self, runs: Iterable[str]) -> None:
        """Have a worker go on with these, by id."""
        try:
            self._jobs.enqueue(Call(GO_ON, run, 0) for run in runs)
        except Unavailable as exc:
            log.warning("flows.not_enqueued", error=str(exc), what="a worker on scheduler:live makes up for it")
