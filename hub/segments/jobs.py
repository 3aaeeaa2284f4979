"""Slices as RQ jobs: enqueued by name, done by `hub worker`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from redis import Redis
from rq import Queue
from rq import Retry as Attempts
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from hub.redis import translated
from schemas.jobs import LOOK_AT, SEGMENTATION, job_id, queue_name

ATTEMPTS: Final = 5
"""After so many failures of a job it stays with the failed ones, for a person to see."""
JOB_S: Final = 3_600
"""A job that takes longer is stuck."""
FAILED_S: Final = 30 * 86_400
DONE_S: Final = 600

_UNDER_WAY: Final = frozenset({JobStatus.QUEUED, JobStatus.STARTED, JobStatus.DEFERRED, JobStatus.SCHEDULED})


class Jobs:
    """The queue of one namespace."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        """Does not connect yet."""
        self._redis = redis
        self._namespace = namespace
        self._queue = Queue(queue_name(namespace, SEGMENTATION), connection=redis, serializer=JSONSerializer)

    def enqueue(self, run: str, numbers: Iterable[int]) -> None:
        """Have these slices done, unless they wait or are under way. Raises Unavailable."""
        with translated():
            for number in numbers:
                if not self._is_under_way(job_id(self._namespace, run, number)):
                    self._put(run, number)

    def _is_under_way(self, id: str) -> bool:
        try:
            job = Job.fetch(id, connection=self._redis, serializer=JSONSerializer)
        except NoSuchJobError:
            return False
        return job.get_status(refresh=False) in _UNDER_WAY

    def _put(self, run: str, number: int) -> None:
        with suppress(DuplicateJobError):  # by another process, just now
            self._queue.enqueue(
                LOOK_AT,
                run,
                number,
                job_id=job_id(self._namespace, run, number),
                job_timeout=JOB_S,
                retry=Attempts(ATTEMPTS),
                failure_ttl=FAILED_S,
                result_ttl=DONE_S,
            )
