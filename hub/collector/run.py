"""The collector process, put together."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from confluent_kafka import Consumer, Producer

from hub.collector.crash import At, nowhere
from hub.collector.definitions import CompiledDefinitions
from hub.collector.garbage import Garbage
from hub.collector.geo import places
from hub.collector.loop import Loop, now_ms
from hub.collector.output import Output
from hub.collector.ownership import Ownership
from hub.collector.sweeper import Sweeper
from hub.collector.upgrading import upgrade_store
from hub.collector.waited import FLOW, WaitedTypes
from hub.definitions.catalogue import Catalogue
from hub.health import serve_health
from hub.log.admin import LogAdmin
from hub.log.config import consumer_config, producer_config
from hub.log.follower import Follower
from hub.log.ghosts import Ghosts, Watch
from hub.log.kept import Kept
from hub.log.keys import KeepingOpener, KeyLog
from hub.log.progress import collector_group
from hub.log.reader import LogReader
from hub.log.sealing import Sealing
from hub.pipeline.data_keys import Wrapping
from hub.pipeline.rules import agent
from hub.pipeline.sealed import Sealer
from hub.settings import Collector as CollectorSettings
from hub.settings import Health, Kafka, Telemetry
from hub.store.factory import open_store
from hub.telemetry.start import opened as telemetry_of
from hub.waiting import open_when_there
from schemas.topics import DEFINITIONS, EVENTS, KEYS, MAX_TOLD_BYTES, STORED

if TYPE_CHECKING:
    from hub.telemetry.collecting import Collecting

log: Final = structlog.get_logger()
TELL_TIMEOUT_S: Final = 2.0
"""Between two looks at whether the process shall stop, while Kafka does not acknowledge."""
READ_AHEAD: Final = {
    "queued.min.messages": 1_000,
    "max.partition.fetch.bytes": 65_536,
    "fetch.queue.backoff.ms": 5,
}
"""
What librdkafka reads ahead, a partition. All of them share one queue, first come, first served: with the defaults a
partition with a backlog fills it, and records of the others wait for seconds. Having enough, librdkafka looks again
after the back-off, whose default of a second would leave us idle.
"""

TELLING: Final[dict[str, Any]] = {
    "delivery.timeout.ms": 0,
    "message.max.bytes": MAX_TOLD_BYTES,
    "delivery.report.only.error": True,
}
"""How outcomes are told: without a limit of time, and without a call for each record that has arrived."""


NO_TELEMETRY: Final = Telemetry()


class Shredding(NamedTuple):
    """`wrapping`: of the keys of sealed records. `seals`: whether this process seals what it sends."""

    wrapping: Wrapping
    seals: bool


def run_collector(
    *,
    kafka: Kafka,
    namespace: str,
    store_url: str,
    settings: CollectorSettings,
    health: Health,
    identity_key: bytes,
    most_profiles: int,
    geo: Path | None = None,
    accept_gap: bool = False,
    shredding: Shredding | None = None,
    telemetry: Telemetry = NO_TELEMETRY,
    at: At = nowhere,
) -> None:
    """
    Collect until SIGTERM or SIGINT. Call it from the main thread.

    Args: identity_key, most_profiles: as in hub.pipeline.definitions.Definitions. geo: a MaxMind file. shredding: None:
    no record was ever sealed.

    Raises: Refused, Fenced or Unavailable, as Loop.run does.
    """
    stopping = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        log.info("collector.stopping", signal=signal.Signals(number).name)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    catalogue = Catalogue(identity_key)
    waited = WaitedTypes(catalogue)
    upgrade_store(store_url, health)
    with ExitStack() as stack:
        reading = stack.enter_context(closing(open_when_there(store_url, health)))
        writing = stack.enter_context(closing(open_store(store_url)))
        stack.enter_context(Follower(kafka, namespace, catalogue))
        waited.remember(reading, catalogue.entries(FLOW))
        consumer = Consumer(consumer_config(kafka, collector_group(namespace), **READ_AHEAD))
        opener = sealing = None
        if shredding is not None:
            opener = KeepingOpener(KeyLog(kafka, namespace), reading, shredding.wrapping, now_ms=now_ms)
            stack.callback(opener.close)
            if shredding.seals:
                sealing = Sealing(Sealer(shredding.wrapping, identity_key), KEYS.name(namespace))
        tracing = stack.enter_context(telemetry_of(telemetry, "collector", namespace))
        traces: Collecting | None = None
        if tracing is not None:
            from hub.telemetry.collecting import Collecting  # noqa: PLC0415 - what is off is not imported

            traces = Collecting(
                tracing,
                events=EVENTS.name(namespace),
                stored=STORED.name(namespace),
                group=collector_group(namespace),
            )
        telling = producer_config(kafka, **TELLING)
        topic, log_admin = EVENTS.name(namespace), LogAdmin(kafka, namespace)
        loop = Loop(
            consumer=consumer,
            ownership=Ownership(
                consumer, log_admin, LogReader(kafka, namespace), reading, namespace, accept_gap=accept_gap
            ),
            output=Output(partial(Producer, telling), namespace, TELL_TIMEOUT_S, sealing),
            reading=reading,
            writing=writing,
            definitions=CompiledDefinitions(
                catalogue,
                most_profiles,
                places=places(geo),
                waited=waited,
                end=lambda: log_admin.end_offsets(DEFINITIONS)[0],
                accept_gap=accept_gap,
            ),
            settings=settings,
            garbage=Garbage(),
            opener=opener,
            traces=traces,
            stop=stopping,
            at=at,
        )

        def ready() -> dict[str, Any]:
            return {"ready": loop.ready, "partitions": sorted(loop.partitions), "waiting_for": loop.waiting_for}

        stack.enter_context(serve_health(health, ready))
        sweeping = stack.enter_context(closing(open_store(store_url)))
        kept = Kept(kafka, namespace)
        sweeper = Sweeper(
            sweeping,
            catalogue,
            now_ms,
            throw_away=KeyLog(kafka, namespace).throw_away,
            kept_ms=lambda: kept()[EVENTS.suffix],
        )
        stack.enter_context(closing(sweeper))
        sweeper.start()
        ghosts = Ghosts(
            kafka,
            collector_group(namespace),
            lambda: ((topic, number) for number in loop.partitions),
            lambda: [(topic, number) for number in log_admin.partitions(EVENTS)],
        )
        watch = Watch(ghosts)
        stack.enter_context(closing(watch))
        watch.start()
        # meanwhile the group makes up its mind, which takes longer
        threading.Thread(target=agent.load, name="patterns", daemon=True).start()
        log.info("collector.started", namespace=namespace)
        loop.run()
        log.info("collector.stopped")
