"""RQ's scheduler on a thread of a worker, on a real Valkey: jobs are on the queue when their time has come."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from redis import Redis
from rq.scheduler import RQScheduler

from hub.jobs.queue import Call, JobQueue
from hub.redis import client
from schemas.jobs import DUE, RESUME, SCHEDULER, job_id, queue_name
from tests.kafka_tools import eventually
from tests.servers.running import Own, own
from workers.jobs.scheduling import LOCK_S, scheduling


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def redis(valkey: Own) -> Iterator[Redis]:
    with client(valkey.url) as opened:
        yield opened


def now_s() -> int:
    return int(time.time())


def at(queue: JobQueue, second: int) -> None:
    queue.enqueue_at([(second, Call(RESUME, DUE, second))])


def waits(queue: JobQueue, namespace: str, second: int) -> None:
    eventually(lambda: job_id(namespace, DUE, second) in queue.there())


def test_a_job_is_on_the_queue_when_its_second_has_come_and_no_sooner(redis: Redis, namespace: str) -> None:
    queue = JobQueue(redis, namespace, SCHEDULER)
    past, soon, later = now_s() - 1_000, now_s() + 2, now_s() + 1_000
    for second in (past, soon, later):
        at(queue, second)
    with scheduling(redis, namespace, SCHEDULER):
        waits(queue, namespace, past)
        waits(queue, namespace, soon)
        assert now_s() >= soon
        assert queue.scheduled() == {job_id(namespace, DUE, later)}
    assert redis.get(RQScheduler.get_locking_key(queue_name(namespace, SCHEDULER))) is None


def test_what_is_scheduled_twice_is_done_once(redis: Redis, namespace: str) -> None:
    queue, second = JobQueue(redis, namespace, SCHEDULER), now_s() - 1
    at(queue, second)
    at(queue, second)
    with scheduling(redis, namespace, SCHEDULER), scheduling(redis, namespace, SCHEDULER):
        waits(queue, namespace, second)
        after = now_s()
        at(queue, after)
        waits(queue, namespace, after)
    assert redis.llen(f"rq:queue:{queue_name(namespace, SCHEDULER)}") == 2


def test_who_is_gone_is_followed_soon(redis: Redis, namespace: str) -> None:
    """A kill leaves the lock behind, for LOCK_S instead of RQ's minute."""
    queue = JobQueue(redis, namespace, SCHEDULER)
    lock = RQScheduler.get_locking_key(queue_name(namespace, SCHEDULER))
    with scheduling(redis, namespace, SCHEDULER):
        at(queue, now_s() - 1)
        eventually(lambda: queue.scheduled() == set())
        ttl = redis.ttl(lock)
        assert isinstance(ttl, int)
        assert 0 < ttl <= LOCK_S
    redis.set(lock, "somebody who was killed", px=1_500)
    with scheduling(redis, namespace, SCHEDULER):
        second = now_s()
        at(queue, second)
        waits(queue, namespace, second)


def test_it_goes_on_when_valkey_was_away_and_has_forgotten_all(redis: Redis, namespace: str, valkey: Own) -> None:
    queue = JobQueue(redis, namespace, SCHEDULER)
    with scheduling(redis, namespace, SCHEDULER):
        at(queue, now_s())
        eventually(lambda: queue.scheduled() == set())
        valkey.kill()
        valkey.start()
        redis.flushall()
        second = now_s()
        at(queue, second)
        waits(queue, namespace, second)
