"""Slices of profiles as RQ jobs: enqueued by name, done by `hub worker`."""

from __future__ import annotations

from collections.abc import Iterable

from redis import Redis

from hub.jobs.queue import Call, JobQueue
from schemas.jobs import LOOK_AT, SEGMENTATION


class Jobs:
    """The queue of one namespace."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        """Does not connect yet."""
        self._queue = JobQueue(redis, namespace, SEGMENTATION)

    def enqueue(self, run: str, numbers: Iterable[int]) -> None:
        """
        Have these slices done, unless they wait or are under way. Raises Unavailable.

        First of all: that is some minutes, while runs of a flow for all profiles may take an hour.
        """
        self._queue.enqueue((Call(LOOK_AT, run, number) for number in numbers), is_first=True)
