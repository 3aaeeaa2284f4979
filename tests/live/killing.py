"""Workers killed in the middle of a job, and Valkey with them."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing

import psutil
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE

from hub.redis import client
from tests.kafka_tools import eventually
from tests.servers.running import Own

WITHIN_S = 120.0
"""For the next page, with workers that have to begin anew."""


def kill_again_and_again(
    valkey: Own, boss: psutil.Process, kills: int, *, done: Callable[[], int], over: Callable[[], bool]
) -> None:
    """
    SIGKILL a worker each time that more is done; Valkey is killed twice, and emptied once.

    Args:
        boss: `hub worker --processes N`, which starts again who was killed.
        done: How much is.
        over: Whether all is: then it was too little for so many kills.
    """
    draw = random.Random(kills)
    for number in range(kills):
        before = done()

        def moves(before: int = before) -> bool:
            return done() > before or over()

        eventually(moves, WITHIN_S)
        eventually(lambda: over() or kill_at_work(valkey, boss, draw), WITHIN_S)
        assert not over(), f"it was done after {number} kills"
        shake(valkey, number, kills)


def kill_at_work(valkey: Own, boss: psutil.Process, draw: random.Random) -> bool:
    """SIGKILL one of the workers that have a job in hand just now. Returns whether there was one."""
    workers = [worker for worker in boss.children() if worker.status() != psutil.STATUS_ZOMBIE]
    draw.shuffle(workers)
    for worker in workers:
        worker.suspend()  # so that what it does now is what it does when it is killed
        if _has_job(valkey, worker.pid):
            worker.kill()
            return True
        worker.resume()
    return False


def shake(valkey: Own, number: int, kills: int) -> None:
    """What becomes of Valkey beside a kill. Args: number: of the kill, from 0."""
    if number in (kills // 3, 2 * kills // 3):
        valkey.kill()
        valkey.start()
    if number == kills // 2:
        with client(valkey.url) as redis:
            redis.flushall()


def _has_job(valkey: Own, pid: int) -> bool:
    with closing(client(valkey.url)) as redis:
        # where a worker notes its jobs: there is none between two, and its name has its process
        return bool(redis.keys(WORKER_EXECUTIONS_KEY_TEMPLATE.format(f"*-{pid}-*")))
