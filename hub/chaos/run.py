"""One run: definitions, load and faults at the same time, rest, check."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from hub.chaos import plan
from hub.chaos.checker import ledger, model
from hub.chaos.checker.reading import Reader
from hub.chaos.checker.violations import Violation
from hub.chaos.definitions import Defined, Definitions, defined
from hub.chaos.faults import Down
from hub.chaos.load import Load, over_rest, over_topic
from hub.chaos.plan import Fault, Options
from hub.chaos.recovery import Canaries, Recovery, reads
from hub.chaos.report import Done, Result
from hub.chaos.rest import read_at_rest
from hub.log.config import producer_config
from hub.log.producer import Publisher
from hub.settings import Kafka

REST_RATE: Final = 40.0
TOPIC_RATE: Final = 30.0
PROFILES: Final = 60
"""By each door, and a hot one."""
DRAIN_S: Final = 120.0
CHANGE_AT: Final = 0.5
"""When a segment and a flow are changed: of the time that the load takes."""


@dataclass(frozen=True)
class Target:
    """
    The hub under test.

    Attributes:
        url: For questions and definitions. load_url: for the load; a proxy may be in front of it.
        bootstrap: Of the Kafka in which the bridge's topic is; empty: no bridge.
        bridge_bootstrap: The same Kafka, as the bridge shall reach it.
        choices: The faults that can be done here, from several choices in turn.
        may_lack_agents: Whether segments, heartbeat and flows are left out when no agents process runs.
        do: Does one. Raises Down.
        works: By the target of a fault, what waits until that process is ready.
    """

    url: str
    load_url: str
    key: str
    bootstrap: str
    bridge_bootstrap: str
    may_lack_agents: bool
    choices: Sequence[Sequence[tuple[str, str]]]
    do: Callable[[Fault], Awaitable[None]]
    works: Callable[[str], Callable[[], Awaitable[None]] | None]
    conditions: Mapping[str, Any]


async def run(target: Target, options: Options, file: Path, say: Callable[[str], None]) -> Result:
    """
    Load, faults, check. The definitions that it makes are deleted again.

    Args: file: of the ledger; must not be there yet.

    Raises: Unavailable: the hub does not answer, or has ended. httpx.HTTPError: it will not answer the checker.
    """
    book = ledger.Writer(file)
    load = Load(book)
    what = defined(options)
    async with AsyncExitStack() as stack:
        stack.callback(book.close)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        definitions = await stack.enter_async_context(
            Definitions(
                session,
                what,
                url=target.url,
                key=target.key,
                bootstrap=target.bootstrap,
                bridge_bootstrap=target.bridge_bootstrap,
            )
        )
        has_agents = await definitions.for_agents(may_lack=target.may_lack_agents)
        if not has_agents:
            say("no agents process runs there: without segments, heartbeat and flows")
        rest = over_rest(session, target.load_url, what.name, what.event_type)
        topic = None
        if target.bootstrap:
            publisher = Publisher(
                producer_config(
                    Kafka(bootstrap=target.bootstrap),
                )
            )
            stack.push_async_callback(publisher.close)
            topic = over_topic(publisher, what.name)
        canaries = Canaries(options, load, rest, topic, reads(session, target.url, target.key))
        say(f"seed {options.seed}: {options.seconds:g} s of load, {options.faults} faults, run {options.run}")
        started_at = time.monotonic()
        senders = [load.run(_planned(options, "rest", REST_RATE), rest, started_at)]
        if topic is not None:
            senders.append(load.run(_planned(options, "topic", TOPIC_RATE), topic, started_at))
        if has_agents:
            senders.append(_change(definitions, options.seconds * CHANGE_AT))
        sending = asyncio.gather(*senders)
        faults = plan.faults(options.seed, options.faults, options.seconds, *target.choices)
        done, down = await _disturb(faults, target, canaries, started_at, say)
        say("the last fault is over; waiting until everything is acknowledged and stored")
        try:
            async with asyncio.timeout(max(0.0, started_at + options.seconds - time.monotonic()) + DRAIN_S):
                await sending
        except TimeoutError:
            down.append(Violation("down", "load", f"not all was acknowledged {DRAIN_S:.0f} s after the last fault"))
        book.close()
        sent = ledger.read(file)
        found = await asyncio.to_thread(_find, target, sent, what, has_agents=has_agents)
    verdict = model.check(sent, found)
    verdict.violations += down
    return Result(
        seed=options.seed,
        run=options.run,
        seconds=options.seconds,
        conditions={
            **target.conditions,
            "rest_payloads_per_s": REST_RATE * options.rate,
            "topic_messages_per_s": TOPIC_RATE * options.rate if topic is not None else 0,
            "segments_heartbeat_flows": has_agents,
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
        },
        faults=done,
        verdict=verdict,
        latencies_s=load.latencies_s,
        attempts=load.attempts,
        failures=dict(load.failures),
        balance=dict(found.balance),
    )


def _planned(options: Options, door: str, rate: float) -> list[plan.Payload]:
    rate *= options.rate
    return plan.load(options.seed, options.run, door, rate=rate, seconds=options.seconds, profiles=PROFILES)


async def _disturb(
    faults: Sequence[Fault], target: Target, canaries: Canaries, started_at: float, say: Callable[[str], None]
) -> tuple[list[Done], list[Violation]]:
    """One fault after another; that the hub recovers is measured, not waited for."""
    begun: list[tuple[Fault, float, float, asyncio.Task[Recovery]]] = []
    down: list[Violation] = []
    for fault in faults:
        await asyncio.sleep(max(0.0, started_at + fault.at_s - time.monotonic()))
        began = time.monotonic()
        size = f" {fault.size:+g} s" if fault.size else ""
        lasts = f" for {fault.lasts_s:g} s" if fault.lasts_s else ""
        say(f"{began - started_at:6.1f} s  {fault.number:>3}  {fault.kind} {fault.target}{size}{lasts}")
        try:
            await target.do(fault)
        except Down as exc:
            down.append(Violation("down", fault.target, f"fault {fault.number}, {fault.kind}: {exc}"))
            continue
        ended = time.monotonic()
        measuring = asyncio.create_task(canaries.recovery(ended, target.works(fault.target)))
        begun.append((fault, began, ended, measuring))
    done = []
    for number, (fault, began, ended, measuring) in enumerate(begun):
        try:
            recovery = await measuring
        except Down as exc:
            down.append(Violation("down", fault.target, f"after fault {fault.number}, {fault.kind}: {exc}"))
            recovery = Recovery(None, None, None, None)
        over = ended + max((s for s in recovery if s is not None), default=0.0)
        alone = number + 1 == len(begun) or begun[number + 1][1] > over
        if recovery.stored_s is None:
            down.append(
                Violation("down", fault.target, f"no event was stored after fault {fault.number}, {fault.kind}")
            )
        done.append(Done(fault, began - started_at, ended - began, recovery, alone))
    return done, down


async def _change(definitions: Definitions, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await definitions.change()


def _find(target: Target, sent: ledger.Ledger, what: Defined, *, has_agents: bool) -> model.Found:
    reader = Reader(target.url, target.key)
    try:
        return read_at_rest(reader, sent, what, has_agents=has_agents)
    finally:
        reader.close()
