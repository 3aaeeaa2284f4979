"""
RQ's worker as all queues of the hub have it.

One process does one job at a time, in itself: what it works with is opened once, and a kill ends all of it. Who lives
says so every few seconds; a job of somebody who has not for a while is begun again by another, where it was.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker, worker_registration
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from schemas.jobs import queue_name

log: Final = structlog.get_logger()

SILENT_S: Final = 10
"""Who has not said for so long that it lives has lost its job."""
BEAT_S: Final = 3.0
WAIT_S: Final = 5
"""How long a worker without a job waits before it looks for jobs that were lost."""


class Worker(SimpleWorker):
    """RQ's worker without a fork, whose jobs are missed soon when it is killed."""

    upkeep: Callable[[], None] = staticmethod(lambda: None)
    """Called at the start and every WAIT_S between two jobs."""
    jobs_done = 0
    """By this process. What RQ counts is in Redis, and in no attribute of the worker that counts."""

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

    def run_maintenance_tasks(self) -> None:
        """What RQ does now and then, and what the hub does."""
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        self._be_known()
        self.upkeep()

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Do a job, and say meanwhile that it is under way."""
        execution = self.prepare_execution(job)
        with self._beating(job, execution):
            self.jobs_done += self.perform_job(job, queue, execution)
        self.set_state("idle")

    def _be_known(self) -> None:
        """Redis may have lost who it is: RQ says so at its birth alone. Raises RedisError."""
        if self.connection.hexists(self.key, "birth"):
            return
        with self.connection.pipeline() as pipeline:
            pipeline.hset(self.key, mapping=self.serialize())
            pipeline.expire(self.key, self.worker_ttl + 60)
            worker_registration.register(self, pipeline)
            pipeline.execute()

    @contextmanager
    def _beating(self, job: Job, execution: Execution) -> Iterator[None]:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_S):
                try:
                    self.maintain_heartbeats(job, execution)
                    self._be_known()
                except (RedisError, ValueError) as exc:
                    log.warning("worker.heartbeat_failed", error=str(exc))

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def worker_of(redis: Redis, namespace: str, queue: str) -> Worker:
    """A worker on one queue: with several RQ can lose a job when it dies. Raises RedisError."""
    name = f"{namespace}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    made = Queue(queue_name(namespace, queue), connection=redis, serializer=JSONSerializer)
    # RQ waits for a job 15 s less than a worker may be silent
    return Worker(
        [made],
        name=name,
        connection=redis,
        worker_ttl=WAIT_S + 15,
        maintenance_interval=WAIT_S,
        serializer=JSONSerializer,
        log_job_description=False,
    )


def state_of(redis: Redis, worker: Worker) -> dict[str, Any]:
    """For the health port."""
    try:
        redis.ping()
        return {"ready": True, "state": worker.get_state(), "done": worker.jobs_done}
    except RedisError as exc:
        return {"ready": False, "why": str(exc)}
