"""What has to be done again and again so that segments stay right, put together for whoever has a clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import NamedTuple

from hub.definitions.catalogue import Catalogue
from hub.log.admin import LogAdmin
from hub.log.follower import Follower
from hub.redis import client
from hub.segments.due import DueSender
from hub.segments.jobs import Jobs
from hub.segments.planner import Planner, Ways
from hub.segments.runs import Runs
from hub.segments.sender import Sender
from hub.settings import Settings
from hub.store.factory import open_store
from schemas.topics import EVENTS


class Timers(NamedTuple):
    """
    Calls that block and raise Unavailable, each for one thread; after that, call them again.

    Any number of processes may make them: a second one does no harm, but work for nothing.
    """

    due: DueSender
    """`tick` several times a second: a segment is left so much later than its time."""
    plan: Planner
    """`tick` once a second: back-fills, the second opinion, sizes."""


@contextmanager
def opened(settings: Settings) -> Iterator[Timers]:
    """Raises Unavailable, Refused: what they need cannot be had."""
    kafka, namespace = settings.kafka, settings.namespace
    catalogue = Catalogue()
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(settings.store_url)))
        stack.enter_context(Follower(kafka, namespace, catalogue))
        redis = stack.enter_context(closing(client(settings.redis.address)))
        admin = LogAdmin(kafka, namespace)
        due, plan = (stack.enter_context(Sender(kafka, namespace)) for _ in range(2))
        ways = Ways(store, Runs(redis, namespace), Jobs(redis, namespace), plan, lambda: len(admin.partitions(EVENTS)))
        planner = Planner(
            ways,
            catalogue,
            now_ms,
            check_every_s=settings.segments.check_every_s,
            slice_profiles=settings.segments.slice_profiles,
        )
        yield Timers(DueSender(store, due, catalogue, now_ms), planner)


def now_ms() -> int:
    """The clock: milliseconds since 1970."""
    return time.time_ns() // 1_000_000
