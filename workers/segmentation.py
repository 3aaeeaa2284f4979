"""Jobs on the RQ queue `segmentation:live`: slices of profiles whose segments are looked at."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, NamedTuple

from rq import get_current_job

from hub.segments.backfill import Backfill, Forgotten
from hub.segments.runs import Runs
from hub.segments.sender import Sender
from workers.jobs.desk import Desk
from workers.jobs.run import Upkeep, patiently


class _Laid(NamedTuple):
    backfill: Backfill
    stopping: Callable[[], bool]


_laid: Final[list[_Laid]] = []
"""RQ calls a job by the name of its function, so what it works with has to lie here; it is laid out by `opened`."""


def opened(desk: Desk, stack: ExitStack) -> Upkeep:
    """For one process. Who is missing on the queue is put there by the agents, which plan the runs."""
    kafka, namespace = desk.settings.kafka, desk.settings.namespace
    sender = stack.enter_context(Sender(kafka, namespace, desk.window))
    _laid[:] = [_Laid(Backfill(Runs(desk.redis, namespace), desk.store, sender, _now_us), desk.stopping)]
    return lambda: None


def look_at(run: str, number: int) -> str:
    """
    Look at a slice of profiles: a job. Returns what became of it.

    Whoever stops it half-way, or kills it, does no harm: it is enqueued again, and goes on where it was.
    """
    (laid,) = _laid

    def act() -> str:
        return "done" if laid.backfill.run(run, number, laid.stopping) else "stopped"

    try:
        return patiently(act, laid.stopping)
    except Forgotten:
        return "forgotten"
    except Exception as exc:
        job = get_current_job()
        if job is None or not job.retries_left:
            laid.backfill.fail(run, number, str(exc))
        raise


def _now_us() -> int:
    return time.time_ns() // 1_000
