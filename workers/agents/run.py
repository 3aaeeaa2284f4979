"""The `hub agents` process, put together."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import structlog

from hub import redis
from hub.definitions.catalogue import Catalogue
from hub.ending import end_in
from hub.errors import Refused, Unavailable
from hub.flows.runner import Runner
from hub.health import serve_health
from hub.jobs.late import LateTasks
from hub.jobs.queue import Call, JobQueue
from hub.log.admin import LogAdmin
from hub.log.bulk import BulkWindow
from hub.log.follower import Follower
from hub.log.progress import Progress, agents_group
from hub.segments import timers
from hub.settings import Settings
from hub.stack.keys import identity_key
from hub.stack.sealing import sealing_of
from hub.store.factory import has_store, open_store
from hub.task import Task
from hub.waiting import until_there
from schemas.codec import encode_trigger
from schemas.heartbeats import Keys
from schemas.jobs import DO, PLAN
from schemas.records import Trigger
from schemas.topics import EVENTS, TRIGGERS
from workers.agents.app import Reader, make
from workers.agents.flow_schedules import FlowSchedules
from workers.agents.flows import Flows, Waiting
from workers.agents.forgetting import Forgetting, LateStore
from workers.agents.heartbeats import Heartbeats
from workers.agents.lanes import Lanes
from workers.agents.leader import Leader
from workers.agents.ledger import Ledger
from workers.agents.outbox import Outbox
from workers.agents.slices import At, Slices
from workers.agents.ticks import Tick, led
from workers.agents.triggers import Triggers, of_flows
from workers.agents.watchdog import Beat, Look, watch
from workers.flow_runner import made, run_traces

log: Final = structlog.get_logger()

STEP_S: Final = 0.25
"""Between two steps of the leader: so late is a heartbeat, or a segment that changes with time, at most."""
PLAN_S: Final = 1.0
"""Between two looks at what is to be done to all profiles."""
FORGET_S: Final = 60.0
"""Between two looks for runs of flows that ended long ago."""
STOP_S: Final = 8.0
"""What is in the middle of something has so long to end it, and Faust as long again to stop."""
END_S: Final = 20.0
"""So long after a signal it ends in any case. Whatever it was about is done by another one, as after a kill."""
EXIT_STUCK: Final = 70
"""EX_SOFTWARE of sysexits.h."""

NO_REDIS: Final = "HUB_REDIS__URL is not set. Agents keep there who leads and how far runs are; `hub up` has a Valkey"


def now_ms() -> int:
    """The clock: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def run(settings: Settings, now_ms: Callable[[], int] = now_ms, at: At = lambda _: None) -> None:
    """
    Do what is due until SIGTERM or SIGINT. Call it from the main thread.

    Args: now_ms: the clock, milliseconds since 1970. at: called at each point of a slice; for tests.

    Raises: Refused: it cannot work as it is set up. Unavailable: Kafka does not answer.
    """
    if not settings.redis.url:
        raise Refused("redis", NO_REDIS)
    logging.getLogger("faust").setLevel(logging.ERROR)  # tells each start and stop of its parts as a warning
    kafka, namespace = settings.kafka, settings.namespace
    process = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    catalogue = Catalogue(identity_key(settings.identity.key, settings.data))
    with ExitStack() as stack:
        until_there(lambda: has_store(settings.store_url), settings.health)
        follower = stack.enter_context(Follower(kafka, namespace, catalogue))
        store = stack.enter_context(closing(open_store(settings.store_url, readonly=True)))
        progress = stack.enter_context(closing(Progress(kafka, namespace)))
        window = stack.enter_context(BulkWindow(progress, settings.bulk))
        outbox = stack.enter_context(closing(Outbox(kafka, sealing_of(settings))))
        client = stack.enter_context(closing(redis.client(settings.redis.address)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-agents-")))
        keys, beats = Keys(namespace), {"slices": Beat(), "flows": Beat()}
        ledger = Ledger(client, keys)
        topic = TRIGGERS.name(namespace)
        heartbeats = Heartbeats(
            catalogue,
            store,
            ledger,
            lambda triggers: _send(outbox, topic, triggers),
            now_ms,
        )
        segments = stack.enter_context(timers.opened(settings))
        tasks = stack.enter_context(closing(LateTasks(lambda: open_store(settings.store_url))))

        def call(task: Task) -> None:
            JobQueue(client, namespace, task.queue).enqueue([Call(DO, task.id, PLAN)])

        flows = FlowSchedules(catalogue, store, tasks, ledger, call=call, now_ms=now_ms)
        leader = Leader(client, keys, process)

        def lead() -> None:
            if leader.claim():
                heartbeats.step(leader.term)

        def leads() -> bool:
            return bool(leader.term)

        writing = stack.enter_context(closing(LateStore(lambda: open_store(settings.store_url))))
        forgetting = Forgetting(store, writing, days=settings.flows.kept_days, now_ms=now_ms)
        ticks = (
            Tick("heartbeats", STEP_S, lead),
            Tick("due", STEP_S, led(leads, segments.due.tick)),
            Tick("segments", PLAN_S, led(leads, segments.plan.tick)),
            Tick("flows", STEP_S, led(leads, lambda: flows.step(leader.term))),
            Tick("forgotten runs", FORGET_S, led(leads, forgetting.step)),
        )
        slices = Slices(
            catalogue,
            store,
            ledger,
            outbox=outbox,
            window=window,
            topic=EVENTS.name(namespace),
            now_ms=now_ms,
            beat=beats["slices"],
            at=at,
        )

        traces = run_traces(settings, client, "agents", stack)

        def runs() -> tuple[Runner, Waiting]:
            opened = writing()
            return made(
                settings, catalogue, opened, client, outbox, traces=traces, now_ms=now_ms, beat=beats["flows"]
            ), opened

        triggers = Triggers(slices, Flows(runs), outbox, namespace=namespace, now_ms=now_ms, beats=beats)
        lanes = Lanes(triggers.take, triggers.take_flows, of_flows)
        reader = Reader(
            make(
                kafka,
                namespace,
                instance=settings.agents.instance,
                folder=folder,
                takes=lanes,
                came=None if traces is None else traces.came,
            )
        )

        def ready() -> dict[str, Any]:
            return {
                "ready": follower.level,
                "leads": leads(),
                "trouble": [one for one in (*(tick.trouble for tick in ticks), triggers.trouble) if one],
                "partitions": sorted(reader.partitions()),
            }

        with suppress(Unavailable):
            leader.claim()  # so that it is known that somebody is there as soon as it says that it is ready
        stack.enter_context(serve_health(settings.health, ready))
        stack.enter_context(_watched(settings, reader, beats))
        log.info("agents.started", namespace=namespace, process=process)
        asyncio.run(_until_signal(reader, ticks, lanes, slices, window))
        with suppress(Unavailable):
            leader.release()
        log.info("agents.stopped")


async def _until_signal(
    reader: Reader, ticks: Sequence[Tick], lanes: Lanes, slices: Slices, window: BulkWindow
) -> None:
    """Raises Unavailable: Faust has given up; and what no lane can go on after."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(*_: object) -> None:
        end_in(END_S, 0)  # Faust has been seen to wait for ever for a broker that was away just then
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)  # not by the loop: it may be what is stuck
    asked = asyncio.create_task(stop.wait(), name="stop")
    ended = asyncio.create_task(reader.run(), name="faust")
    ticking = [asyncio.create_task(tick.run(), name=tick.name) for tick in ticks]
    working = [asyncio.create_task(lane(), name="lane") for lane in (lanes.run_slices, lanes.run_flows)]
    try:
        await asyncio.wait({asked, ended, *working}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        slices.stopping.set()
        await asyncio.to_thread(window.close)  # nobody waits in it any more
        for task in (asked, *ticking):
            task.cancel()
        await asyncio.gather(*ticking, return_exceptions=True)
        lanes.stop()
        await asyncio.wait(working, timeout=STOP_S)  # before Faust is stopped: it takes their acknowledgements
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await reader.app.stop()
        for task in (ended, *working):
            task.cancel()
        why, *ends = await asyncio.gather(ended, *working, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
    if not stop.is_set():
        raise Unavailable("kafka", f"Faust has given up: {reader.app.crash_reason or why!r}")


def _send(outbox: Outbox, topic: str, triggers: Sequence[Trigger]) -> None:
    # by their own ids: over all partitions, so that all agents have something to do
    outbox.put(topic, [(trigger["id"], encode_trigger(trigger)) for trigger in triggers])


@contextmanager
def _watched(settings: Settings, reader: Reader, beats: Mapping[str, Beat]) -> Iterator[None]:
    """A watchdog while the block runs."""
    kafka, namespace = settings.kafka, settings.namespace
    admin, stop = LogAdmin(kafka, namespace), threading.Event()
    with closing(Progress(kafka, namespace, TRIGGERS, agents_group(namespace))) as committed:

        def look() -> Look:
            steps = {lane: beat.steps for lane, beat in beats.items()}
            busy = frozenset(lane for lane, beat in beats.items() if beat.is_busy)
            return Look(admin.end_offsets(TRIGGERS), committed(), reader.partitions(), steps, busy)

        arguments = (look, settings.agents.stuck_s, time.monotonic, stop, _bite)
        thread = threading.Thread(target=watch, args=arguments, name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _bite(lag: int, still_s: float) -> None:
    log.error("agents.stuck", triggers=lag, still_s=round(still_s), what="this process ends; another one goes on")
    os._exit(EXIT_STUCK)  # whatever is stuck might keep an orderly end from coming, too
