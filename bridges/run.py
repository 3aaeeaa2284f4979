"""The `hub bridges` process, put together."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from typing import Any, Final, cast

import msgspec
import structlog
import uvloop
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bridges import packages
from bridges.answers import BLOCK_S, Answers
from bridges.blobs import LateBlobs
from bridges.leases import RedisLeases
from bridges.outlet import OPTIONS
from bridges.outward.keeper import DESTINATIONS
from bridges.registry import MODULES
from bridges.reports import Reports
from bridges.reserve import Reserve
from bridges.runner import BRIDGES, Family, Hub, Runner
from bridges.secrets import environ
from hub.definitions.catalogue import Catalogue
from hub.ending import cancelled, end_in
from hub.health import serve_health
from hub.log.bulk import BulkWindow
from hub.log.config import producer_config
from hub.log.follower import Follower
from hub.log.progress import Progress
from hub.settings import Settings
from hub.stack.keys import identity_key
from hub.stack.sealing import sealing_of
from hub.telemetry.start import opened as telemetry_of
from schemas.bridges import Keys

log: Final = structlog.get_logger()

REDIS_S: Final = 2.0
"""How long Redis may take to answer: a lease must be renewed within five seconds."""
END_S: Final = 25.0
"""After SIGTERM: whoever still waits then, waits for a broker. What is not acknowledged, brokers give out again."""


def run(settings: Settings) -> None:
    """
    Run every enabled bridge and destination until SIGTERM or SIGINT. Call it from the main thread.

    Raises: Unavailable when the definitions cannot be read.
    """
    packages.warn_of_taken(MODULES)
    catalogue = Catalogue(identity_key(settings.identity.key, settings.data))
    with ExitStack() as stack:
        follower = stack.enter_context(Follower(settings.kafka, settings.namespace, catalogue))
        blobs = LateBlobs(settings.store_url)
        stack.callback(blobs.close)
        progress = stack.enter_context(closing(Progress(settings.kafka, settings.namespace)))
        bulk = stack.enter_context(BulkWindow(progress, settings.bulk))
        reserve = stack.enter_context(Reserve(producer_config(settings.kafka, **OPTIONS)))
        hub = Hub(
            kafka=settings.kafka,
            namespace=settings.namespace,
            limits=settings.limits,
            in_flight=settings.bridges.in_flight,
            catalogue=catalogue,
            blobs=blobs,
            environ=environ(settings),
            stop_share=settings.bridges.stop_share,
            stop_window=settings.bridges.stop_window,
            bulk=bulk,
            process=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
            sealing=sealing_of(settings),
            reserve=reserve,
            tracing=stack.enter_context(telemetry_of(settings.telemetry, "bridges", settings.namespace)),
            telemetry=settings.telemetry,
            egress=settings.egress,
        )
        runners: list[Runner] = []

        def ready() -> dict[str, Any]:
            # a bridge whose broker is away is that bridge's state, not a reason to call the process broken
            return {
                "ready": follower.level,
                "trouble": [runner.trouble for runner in runners if runner.trouble],
                "bridges": _statuses(runners, BRIDGES),
                "destinations": _statuses(runners, DESTINATIONS),
            }

        stack.enter_context(serve_health(settings.health, ready))
        log.info("bridges.started", namespace=settings.namespace, process=hub.process)
        uvloop.run(_until_signal(hub, settings.redis.address, runners))
        log.info("bridges.stopped")


async def _until_signal(hub: Hub, redis_url: str, runners: list[Runner]) -> None:
    """Args: runners: gets those that run, for those who want to know how they are doing."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(*_: object) -> None:
        end_in(END_S, 0, loop)
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)  # not by the loop: it may be what is stuck
    async with _runners(hub, redis_url) as both:
        runners += both
        running = [asyncio.create_task(runner.run(stop), name=f"{runner.family.kind}s") for runner in both]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        stop.set()  # neither ends by itself but for a fault, which has to end the process
        await asyncio.gather(*running)


def _statuses(runners: list[Runner], family: Family) -> list[dict[str, Any]]:
    return [
        each
        for runner in runners
        if runner.family is family
        for each in cast("list[dict[str, Any]]", msgspec.to_builtins(runner.statuses()))
    ]


@asynccontextmanager
async def _runners(hub: Hub, redis_url: str) -> AsyncIterator[list[Runner]]:
    """Of bridges and of destinations."""
    if not redis_url:
        log.warning(
            "bridges.alone", why="HUB_REDIS__URL is not set: this process runs all bridges, and nobody sees how"
        )
        yield [Runner(hub), Runner(hub, family=DESTINATIONS)]
        return
    async with AsyncExitStack() as stack:
        redis = _client(redis_url, REDIS_S)
        stack.push_async_callback(redis.aclose)
        calls = _client(redis_url, BLOCK_S + REDIS_S)
        stack.push_async_callback(calls.aclose)
        runners, answering = [], []
        for family in (BRIDGES, DESTINATIONS):
            keys = Keys(hub.namespace, f"{family.kind}s")
            runner = Runner(hub, RedisLeases(redis, keys, hub.process), Reports(redis, keys), family)
            runners.append(runner)
            answering.append(asyncio.create_task(Answers(calls, keys, runner, hub).run(), name="answers"))
        try:
            yield runners
        finally:
            await cancelled(answering)


def _client(url: str, answer_s: float) -> Redis:
    """One more attempt at once: the first one finds out that a connection has gone. Then it is the caller's turn."""
    return Redis.from_url(
        url, socket_timeout=answer_s, socket_connect_timeout=REDIS_S, retry=Retry(NoBackoff(), 1), protocol=2
    )
