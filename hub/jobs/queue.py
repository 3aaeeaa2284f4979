"""An RQ queue: jobs are enqueued by name, unless they wait or are under way. `hub worker` does them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from redis import Redis
from rq import Queue
from rq import Retry as Attempts
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.worker_registration import get_keys

from hub.redis import translated
from schemas.jobs import job_id, queue_name

ATTEMPTS: Final = 5
"""After so many failures of a job it stays with the failed ones, for a person to see."""
JOB_S: Final = 3_600
"""A job that takes longer is stuck."""
FAILED_S: Final = 30 * 86_400
DONE_S: Final = 600
AT_ONCE: Final = 500
"""Jobs that are enqueued in one round."""


class Call(NamedTuple):
    """A job: a slice of a run, which is looked at by a function of that name."""

    function: str
    run: str
    number: int


class JobQueue:
    """One queue of one namespace."""

    def __init__(self, redis: Redis, namespace: str, queue: str) -> None:
        """Does not connect yet. Args: redis: gives bytes, not text."""
        # its commands are typed as if they might be awaited
        self._redis: Any = redis
        self._namespace = namespace
        self._queue = Queue(queue_name(namespace, queue), connection=redis, serializer=JSONSerializer)
        self._started = StartedJobRegistry(queue=self._queue, serializer=JSONSerializer)
        self._scheduled = ScheduledJobRegistry(queue=self._queue, serializer=JSONSerializer)  # type: ignore[no-untyped-call]
        self._failed = FailedJobRegistry(queue=self._queue, serializer=JSONSerializer)

    def enqueue(self, calls: Iterable[Call], *, is_first: bool = False) -> int:
        """
        Have these done, unless they wait or are under way. Returns how many were put there. Raises Unavailable.

        Two who do this at once may put a job there twice: whoever does it has to bear that.

        Args: is_first: before all that wait.
        """
        calls = list(calls)
        if not calls:
            return 0
        with translated():
            there = self._there()
            missing = [one for one in calls if job_id(self._namespace, one.run, one.number) not in there]
            for begin in range(0, len(missing), AT_ONCE):
                self._queue.enqueue_many(
                    [self._data(one, is_first=is_first) for one in missing[begin : begin + AT_ONCE]]
                )
        return len(missing)

    def enqueue_at(self, calls: Iterable[tuple[int, Call]]) -> None:
        """
        Have each of these done at its time, before all that wait then: RQ's scheduler puts it on the queue.

        Args: calls: each with its second, of 1970's. One that has been put there before is there once. Raises
        Unavailable.
        """
        with translated(), self._redis.pipeline() as pipeline:
            for second, call in calls:
                self._queue.enqueue_at(
                    datetime.fromtimestamp(second, UTC),
                    call.function,
                    args=[call.run, call.number],
                    job_timeout=JOB_S,
                    job_id=job_id(self._namespace, call.run, call.number),
                    retry=Attempts(ATTEMPTS),
                    failure_ttl=FAILED_S,
                    result_ttl=DONE_S,
                    at_front=True,
                    pipeline=pipeline,
                )
            pipeline.execute()

    def living(self) -> int:
        """How many workers there are on it. Raises Unavailable."""
        with translated():
            keys = list(get_keys(queue=self._queue))
            # of one that was killed only its name is left
            return int(self._redis.exists(*keys)) if keys else 0

    def there(self) -> set[str]:
        """Ids of the jobs that wait or are under way. Raises Unavailable."""
        with translated():
            return self._there()

    def scheduled(self) -> set[str]:
        """Ids of the jobs whose time is to come. Raises Unavailable."""
        with translated():
            return {id.decode() for id in self._redis.zrange(self._scheduled.key, 0, -1)}

    def count_scheduled(self, behind_s: int) -> int:
        """How many of these are later than a second of 1970's. Raises Unavailable."""
        with translated():
            return int(self._redis.zcount(self._scheduled.key, f"({behind_s}", "+inf"))

    def failed(self) -> set[str]:
        """Ids of the jobs that are not tried again. Raises Unavailable."""
        with translated():
            return {id.decode() for id in self._redis.zrange(self._failed.key, 0, -1)}

    def _there(self) -> set[str]:
        """
        Ids of the jobs that wait or are under way.

        By where they lie, not by what is said of them: Redis may have forgotten one and not the other. In the order in
        which they move on, so that one that moves meanwhile is seen.
        """
        found = {id.decode() for id in self._redis.lrange(self._queue.key, 0, -1)}
        found.update(id.decode() for id in self._redis.lrange(self._queue.intermediate_queue_key, 0, -1))
        # a job and its execution, with a colon between
        found.update(one.decode().partition(":")[0] for one in self._redis.zrange(self._started.key, 0, -1))
        return found

    def _data(self, call: Call, *, is_first: bool) -> Any:
        return Queue.prepare_data(
            call.function,
            [call.run, call.number],
            timeout=JOB_S,
            job_id=job_id(self._namespace, call.run, call.number),
            retry=Attempts(ATTEMPTS),
            failure_ttl=FAILED_S,
            result_ttl=DONE_S,
            at_front=is_first,
        )
