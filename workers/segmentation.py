"""
The worker on the RQ queue `segmentation:live`: a job is a slice of profiles whose segments are looked at.

One process does one job at a time, in itself: what it works with is opened once, and a kill ends all of it. Who lives
says so every few seconds; a job of somebody who has not for a while is begun again by another, where it was.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Final, NamedTuple

import stamina
import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker, get_current_job
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from hub.errors import Unavailable
from hub.health import serve_health
from hub.log.bulk import BulkWindow
from hub.log.progress import Progress
from hub.redis import client, translated
from hub.segments.backfill import Backfill, Forgotten
from hub.segments.runs import Runs
from hub.segments.sender import Sender
from hub.settings import Settings
from hub.store.factory import open_store
from schemas.jobs import SEGMENTATION, queue_name

log: Final = structlog.get_logger()

SILENT_S: Final = 10
"""Who has not said for so long that it lives has lost its job."""
BEAT_S: Final = 3.0
WAIT_S: Final = 5
"""How long a worker without a job waits before it looks for jobs that were lost."""
PATIENCE_S: Final = 600.0
"""How long a job tries again when Kafka, Redis or the store are away, before that is a failure of the job."""


class _Desk(NamedTuple):
    backfill: Backfill
    stopping: Callable[[], bool]


_desk: list[_Desk] = []
"""RQ calls a job by the name of its function, so what it works with has to lie here; it is laid out by `run`."""


def look_at(run: str, number: int) -> str:
    """
    Look at a slice of profiles: a job. Returns what became of it.

    Whoever stops it half-way, or kills it, does no harm: it is enqueued again, and goes on where it was.
    """
    (desk,) = _desk
    try:
        for attempt in stamina.retry_context(
            on=Unavailable, attempts=None, timeout=PATIENCE_S, wait_initial=0.1, wait_max=5.0
        ):
            with attempt:
                if desk.stopping():
                    return "stopped"
                return "done" if desk.backfill.run(run, number, desk.stopping) else "stopped"
    except Forgotten:
        return "forgotten"
    except Exception as exc:
        job = get_current_job()
        if job is None or not job.retries_left:
            desk.backfill.fail(run, number, str(exc))
        raise
    raise AssertionError("a retry that neither ends nor raises")


class Worker(SimpleWorker):
    """RQ's worker without a fork, whose jobs are missed soon when it is killed."""

    @property
    def stopping(self) -> bool:
        """Whether somebody wants it to end."""
        return self._stop_requested

    @property
    def asked_to_stop(self) -> bool:
        """The same, also once it has ended."""
        return self._shutdown_requested_date is not None

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:  # noqa: ARG002 - RQ's signature
        """For so long, in seconds, it counts as alive."""
        return SILENT_S

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Do a job, and say meanwhile that it is under way."""
        execution = self.prepare_execution(job)
        with self._beating(job, execution):
            self.perform_job(job, queue, execution)
        self.set_state("idle")

    @contextmanager
    def _beating(self, job: Job, execution: Execution) -> Iterator[None]:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_S):
                try:
                    self.maintain_heartbeats(job, execution)
                except (RedisError, ValueError) as exc:
                    log.warning("worker.heartbeat_failed", error=str(exc))

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def run(settings: Settings) -> None:
    """
    Do jobs until SIGTERM or SIGINT; the one in hand stops after its page. Call it from the main thread.

    Raises: Unavailable: Redis is away, start again. Refused: the store cannot be read.
    """
    kafka, namespace = settings.kafka, settings.namespace
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(settings.store_url)))
        redis = stack.enter_context(closing(client(settings.redis.url)))
        # a worker waits in Redis for its next job, longer than anybody waits for an answer
        waiting = stack.enter_context(closing(Redis.from_url(settings.redis.url, socket_timeout=2 * WAIT_S)))
        progress = stack.enter_context(closing(Progress(kafka, namespace)))
        window = stack.enter_context(BulkWindow(progress, settings.bulk))
        sender = stack.enter_context(Sender(kafka, namespace, window))
        with translated():
            worker = _worker(waiting, namespace)
        _desk[:] = [_Desk(Backfill(Runs(redis, namespace), store, sender, _now_us), lambda: worker.stopping)]
        stack.enter_context(serve_health(settings.health, lambda: _state(redis, worker)))
        log.info("worker.started", namespace=namespace, queue=SEGMENTATION, worker=worker.name)
        with translated():
            worker.work(logging_level="WARNING")
        if not worker.asked_to_stop:
            raise Unavailable("redis", "the connection is gone")
        log.info("worker.stopped")


def _worker(redis: Redis, namespace: str) -> Worker:
    name = f"{namespace}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    queue = Queue(queue_name(namespace, SEGMENTATION), connection=redis, serializer=JSONSerializer)
    # RQ waits for a job 15 s less than a worker may be silent
    return Worker(
        [queue],
        name=name,
        connection=redis,
        worker_ttl=WAIT_S + 15,
        maintenance_interval=WAIT_S,
        serializer=JSONSerializer,
        log_job_description=False,
    )


def _state(redis: Redis, worker: Worker) -> dict[str, Any]:
    try:
        redis.ping()
        return {"ready": True, "state": worker.get_state(), "done": worker.successful_job_count}
    except RedisError as exc:
        return {"ready": False, "why": str(exc)}


def _now_us() -> int:
    return time.time_ns() // 1_000
