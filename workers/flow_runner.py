"""A runner of flows for a process: agents, and workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, nullcontext
from typing import TYPE_CHECKING

from redis import Redis

from hub.definitions.catalogue import Catalogue
from hub.errors import Unavailable
from hub.flows.effects import Answer, LookUp
from hub.flows.ended import Resumed, by_then
from hub.flows.kept import KeptRun
from hub.flows.outward import LongTurn, OpenOutward
from hub.flows.runner import Records, Runner
from hub.flows.traced import RunTraces
from hub.flows.versions import FLOW, FlowVersions
from hub.jobs.flow_answers import RedisAnswers
from hub.jobs.flow_lookups import answered
from hub.jobs.flow_queue import FlowQueue
from hub.jobs.long_turns import LongTurns
from hub.jobs.queue import JobQueue
from hub.jobs.turns import Turns
from hub.log.window import Window
from hub.settings import Settings
from hub.stack.sealing import sealing_of
from hub.store.port import Store
from hub.store.query import QueryError
from hub.telemetry.start import opened
from schemas.jobs import SCHEDULER, SEGMENTATION
from schemas.topics import EVENTS
from workers.agents.outbox import Outbox
from workers.jobs.desk import Desk

if TYPE_CHECKING:
    from hub.telemetry.running import Running


class Look:
    """Answers look-ups from the store."""

    def __init__(self, store: Store) -> None:
        """Args: store: of the hub."""
        self._store = store

    def __call__(self, ask: LookUp) -> Answer:
        """That it cannot be asked is an Answer, also if it takes too long. Raises Unavailable: the store is away."""
        try:
            return answered(self._store, ask)
        except QueryError as exc:
            return Answer(0, error=str(exc))
        except Unavailable as exc:
            self._store.ping()  # if it answers, the query is at fault: nobody else shall wait because of it
            return Answer(0, error=exc.detail)


def made(
    settings: Settings,
    catalogue: Catalogue,
    store: Store,
    redis: Redis,
    outbox: Outbox,
    *,
    now_ms: Callable[[], int],
    outward: OpenOutward | None = None,
    long_turn: LongTurn = lambda _: nullcontext(True),
    traces: RunTraces | None = None,
    window: Window | None = None,
    beat: Callable[[], None] = lambda: None,
    stack: ExitStack | None = None,
) -> Runner:
    """
    Args:
        redis: Where runs are put that go on later.
        outward: None: this process asks no other systems.
        long_turn: Which runs may be at long nodes.
        traces: None: nobody wants any.
        window: In which bulk gives way to live events.
        stack: Closes what was opened.
    """
    queue = FlowQueue(redis, settings.namespace, now_ms)
    topic = EVENTS.name(settings.namespace)
    calls = None if outward is None else outward(catalogue)
    if calls is not None and stack is not None:
        stack.enter_context(closing(calls))

    def older(id: str, version: int) -> str | None:
        found = store.version(FLOW, id, version)
        return None if found is None else found.spec

    def put(records: Records) -> None:
        if window is not None:
            window.wait(len(records))
        outbox.put_events(topic, records, window)

    def meanwhile(runs: Sequence[KeptRun]) -> Resumed:
        return by_then(store, runs, now_ms())

    return Runner(
        FlowVersions(catalogue, older),
        store,
        put=put,
        look=Look(store),
        elsewhere=queue,
        scheduled=queue,
        answers=RedisAnswers(redis, settings.namespace),
        outward=calls,
        long_turn=long_turn,
        traces=traces,
        meanwhile=meanwhile,
        now_ms=now_ms,
        clock_ns=time.perf_counter_ns,
        beat=beat,
    )


def run_traces(settings: Settings, redis: Redis, process: str, stack: ExitStack) -> Running | None:
    """Traces of the runs of a process; None: nobody wants any. Raises Refused."""
    tracing = stack.enter_context(opened(settings.telemetry, process, settings.namespace))
    if tracing is None:
        return None
    from hub.telemetry.running import Running  # noqa: PLC0415 - what is off is not imported

    return Running(tracing, redis, settings.namespace)


def opened_runner(desk: Desk, stack: ExitStack) -> Runner:
    """For one worker process: it makes calls, and slices of profiles give way to live events. Raises Unavailable."""
    outbox = stack.enter_context(closing(Outbox(desk.settings.kafka, sealing_of(desk.settings))))
    return made(
        desk.settings,
        desk.catalogue(),
        desk.store,
        desk.redis,
        outbox,
        now_ms=desk.now_ms,
        outward=desk.outward,
        long_turn=LongTurns(
            Turns(desk.redis, desk.settings.namespace),
            JobQueue(desk.redis, desk.settings.namespace, SCHEDULER),
            desk.now_ms,
        ),
        traces=run_traces(desk.settings, desk.redis, "worker", stack),
        window=desk.window if desk.queue == SEGMENTATION else None,
        stack=stack,
    )
