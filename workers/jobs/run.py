"""A worker process: what its jobs work with, its health, its end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from importlib import import_module
from typing import Final, Protocol, TypeAlias

import stamina
import structlog
from redis import Redis
from rq.exceptions import StopRequested

from hub.errors import Unavailable
from hub.flows.outward import OpenOutward
from hub.health import serve_health
from hub.log.bulk import BulkWindow
from hub.log.progress import Progress
from hub.redis import client, translated
from hub.settings import Settings
from hub.waiting import open_when_there, until_there
from schemas.jobs import SCHEDULER, SEGMENTATION
from workers.jobs.desk import Desk, LateCatalogue
from workers.jobs.on_demand import on_demand
from workers.jobs.worker import WAIT_S, state_of, worker_of

log: Final = structlog.get_logger()

PATIENCE_S: Final = 600.0
"""How long a job tries again when Kafka, Redis or the store are away, before it makes room for others."""

Upkeep: TypeAlias = Callable[[], None]
"""What a queue needs at the start, and now and then between two jobs. Raises Unavailable: it is called again."""
MODULES: Final = {SEGMENTATION: "workers.segmentation", SCHEDULER: "workers.flows"}
"""Who has jobs that are no slices of tasks: by queue, where their functions are."""
TASKS: Final = "workers.jobs.tasks"
"""Where those of tasks are, which any queue may have."""


class Module(Protocol):
    """Where the functions of a queue's jobs are."""

    def opened(self, desk: Desk, stack: ExitStack) -> Upkeep:
        """Lay out what they work with."""
        ...


def now_ms() -> int:
    """The clock: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def run(settings: Settings, queue: str, outward: OpenOutward | None = None, now_ms: Callable[[], int] = now_ms) -> None:
    """
    Do jobs until SIGTERM or SIGINT; the one in hand stops after its page. Call it from the main thread.

    Args:
        queue: one of `schemas.jobs.QUEUES`.
        outward: how flows ask other systems.
        now_ms: the clock, milliseconds since 1970.

    Raises: Unavailable: Redis has gone, start again. Refused: the store cannot be read.
    """
    kafka, namespace = settings.kafka, settings.namespace
    with ExitStack() as stack:
        redis = stack.enter_context(closing(client(settings.redis.address)))
        until_there(lambda: _ping(redis), settings.health)
        store = stack.enter_context(closing(open_when_there(settings.store_url, settings.health)))
        # a worker waits in Redis for its next job, longer than anybody waits for an answer
        waiting = stack.enter_context(closing(Redis.from_url(settings.redis.address, socket_timeout=2 * WAIT_S)))
        progress = stack.enter_context(closing(Progress(kafka, namespace)))
        window = stack.enter_context(BulkWindow(progress, settings.bulk))
        with translated():
            worker = worker_of(waiting, namespace, queue)
        desk = Desk(
            settings,
            queue,
            store,
            redis,
            window,
            progress,
            LateCatalogue(settings, stack),
            now_ms,
            lambda: worker.stopping,
            outward,
        )
        modules: list[Module] = [import_module(name) for name in (TASKS, MODULES.get(queue)) if name]
        upkeeps = [module.opened(desk, stack) for module in modules]
        failed: list[Exception] = []

        def keep_up() -> None:
            try:
                for upkeep in upkeeps:
                    upkeep()
            except StopRequested:  # a signal came meanwhile: no fault
                raise
            except Unavailable as exc:  # the next time, in a moment
                log.warning("worker.upkeep_failed", error=str(exc))
            except Exception as exc:  # RQ would log it, and end without a word to us
                failed.append(exc)
                raise

        worker.upkeep = keep_up
        stack.enter_context(serve_health(settings.health, lambda: state_of(redis, worker)))
        if queue == SEGMENTATION and settings.tasks.on_demand:
            stack.enter_context(on_demand(store, now_ms))
        log.info("worker.started", namespace=namespace, queue=queue, worker=worker.name)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, worker.request_stop)  # RQ does so a little after it has told that it lives
        with translated(), suppress(StopRequested):
            worker.work(logging_level="WARNING")
        if failed:
            raise failed[0]
        if not worker.asked_to_stop:
            raise Unavailable("redis", "the connection is gone")
        log.info("worker.stopped")


def _ping(redis: Redis) -> None:
    with translated():
        redis.ping()


def patiently(act: Callable[[], str], stopping: Callable[[], bool]) -> str:
    """
    What a job does, again and again while something is away that it needs.

    Returns: what `act` gives; "stopped" when the process is to end. Raises: Unavailable: for too long; whatever `act`
    raises.
    """
    for attempt in stamina.retry_context(
        on=Unavailable, attempts=None, timeout=PATIENCE_S, wait_initial=0.1, wait_max=5.0
    ):
        with attempt:
            return "stopped" if stopping() else act()
    raise AssertionError("a retry that neither ends nor raises")
