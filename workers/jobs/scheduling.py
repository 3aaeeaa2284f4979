"""
RQ's scheduler, on a thread of each worker of a queue: jobs whose time has come are put there.

RQ would fork a process for it. That copies threads and connections of Kafka half-way, outlives a worker that is killed,
and keeps its lock for a minute. Here it ends with its worker, and another one has the lock in LOCK_S.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from schemas.jobs import queue_name

log: Final = structlog.get_logger()

LOCK_S: Final = 10
"""Who has not said for so long that it lives is followed by another one."""
EDGE_S: Final = 0.01
"""So long after each whole second it looks: seconds are what RQ counts in."""


class Scheduler(RQScheduler):
    """RQ's, step by step. For one thread."""

    def step(self) -> None:
        """Put on the queue what is due, unless another one does. Raises RedisError."""
        if not self.acquired_locks:
            if not self.acquire_locks():  # type: ignore[no-untyped-call]
                return
            self.register_birth()
        self.heartbeat()  # type: ignore[no-untyped-call]
        for name in self.acquired_locks:
            self.connection.expire(self.get_locking_key(name), LOCK_S)
        self.enqueue_scheduled_jobs()  # type: ignore[no-untyped-call]


@contextmanager
def scheduling(redis: Redis, namespace: str, queue: str) -> Iterator[None]:
    """Put jobs on a queue when they are due, while the block runs. Args: redis: whose server it is; not used itself."""
    scheduler = Scheduler(
        [queue_name(namespace, queue)],
        connection=redis,
        logging_level="WARNING",
        serializer=JSONSerializer,
    )
    over = threading.Event()

    def run() -> None:
        troubled = False
        while not over.wait(1.0 - time.time() % 1.0 + EDGE_S):
            try:
                scheduler.step()
                troubled = False
            except (RedisError, OSError) as exc:
                if not troubled:
                    log.warning("scheduler.waiting", error=str(exc))
                troubled = True
            except Exception:
                # nothing else is held up: whoever looks after the queue puts there what is late
                log.exception("scheduler.failed")
        with suppress(RedisError, OSError):
            scheduler.stop()  # type: ignore[no-untyped-call]

    thread = threading.Thread(target=run, name="scheduler", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        scheduler.connection.close()
