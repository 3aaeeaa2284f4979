"""Jobs on the RQ queue `scheduler:live`: flows that go on after a pause, or with a call that nobody else waits for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, NamedTuple

from rq import get_current_job

from hub.errors import Unavailable
from hub.jobs.flow_queue import FlowQueue
from hub.jobs.paused import Paused
from hub.jobs.queue import JobQueue
from hub.jobs.turns import Turns
from schemas.jobs import SCHEDULER
from workers.flow_runner import opened_runner
from workers.jobs.desk import Desk
from workers.jobs.run import Upkeep, patiently
from workers.jobs.scheduling import scheduling


class _Laid(NamedTuple):
    paused: Paused
    stopping: Callable[[], bool]


_laid: Final[list[_Laid]] = []
"""RQ calls a job by the name of its function, so what it works with has to lie here; it is laid out by `opened`."""


def opened(desk: Desk, stack: ExitStack) -> Upkeep:
    """For one process. Raises Unavailable: the definitions cannot be read."""
    namespace = desk.settings.namespace
    paused = Paused(
        desk.store,
        opened_runner(desk, stack),
        JobQueue(desk.redis, namespace, SCHEDULER),
        FlowQueue(desk.redis, namespace, desk.now_ms),
        Turns(desk.redis, namespace),
        namespace=namespace,
        now_ms=desk.now_ms,
    )
    stack.enter_context(scheduling(desk.redis, namespace, SCHEDULER))
    lay_out(paused, desk.stopping)
    return paused.keep_up


def lay_out(paused: Paused, stopping: Callable[[], bool]) -> None:
    """What jobs work with from now on. Args: stopping: whether somebody wants the process to end."""
    _laid[:] = [_Laid(paused, stopping)]


def resume(due: str, second: int) -> str:
    """Go on with those whose pauses end in a second: a job. Returns what became of it."""
    (laid,) = _laid

    def act() -> str:
        return f"{laid.paused.resume(due, second, is_last=_is_last())} runs"

    return _done(act, laid)


def go_on(run: str, _: int) -> str:
    """Go on with one run: a job. Returns what became of it."""
    (laid,) = _laid

    def act() -> str:
        return laid.paused.go_on(run, is_last=_is_last())

    return _done(act, laid)


def _done(act: Callable[[], str], laid: _Laid) -> str:
    try:
        return patiently(act, laid.stopping)
    except Unavailable:
        # none of its own fault: whoever looks after the queue puts it there again
        return "waits"


def _is_last() -> bool:
    job = get_current_job()
    return job is None or not job.retries_left
