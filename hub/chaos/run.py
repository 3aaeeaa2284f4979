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
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from hub.chaos import plan
from hub.chaos.checker import ledger, model
from hub.chaos.checker.persons import persons
from hub.chaos.checker.reading import Reader
from hub.chaos.faults import Down
from hub.chaos.load import Load, over_rest, over_topic
from hub.chaos.plan import Fault, Options
from hub.chaos.recovery import Canaries, Recovery, reads
from hub.chaos.report import Done, Result
from hub.errors import Unavailable
from hub.log.config import producer_config
from hub.log.producer import Publisher
from hub.settings import Kafka

REST_RATE: Final = 40.0
TOPIC_RATE: Final = 30.0
PROFILES: Final = 60
"""By each door, and a hot one."""
DRAIN_S: Final = 120.0
REST_S: Final = 2.0
"""Nothing has moved for so long, and everything is there: the hub has come to rest."""
ARRIVED_S: Final = 10.0
"""The same when something is missing, and the hub has reached the end of a log that has all that was acknowledged."""
STILL_S: Final = 45.0
"""What has not moved for so long is not on its way any more."""
EVENT_TYPE: Final = "chaos-step"
FIELDS: Final = [
    {"event": "properties.amount", "profile": "traits.sum", "op": "add"},
    {"event": "properties.one", "profile": "traits.count", "op": "add"},
    {"event": "properties.amount", "profile": "traits.first", "op": "set-if-empty"},
    {"event": "properties.seq", "profile": "traits.last", "op": "set"},
    {"event": "properties.amount", "profile": "traits.highest", "op": "max"},
    {"event": "properties.label", "profile": "traits.labels", "op": "append-unique"},
]
IDENTIFIERS: Final = [{"event": "properties.email", "kind": "email"}]


@dataclass(frozen=True)
class Target:
    """
    The hub under test.

    Attributes:
        url: For questions and definitions. load_url: for the load; a proxy may be in front of it.
        bootstrap: Of the Kafka in which the bridge's topic is; empty: no bridge.
        bridge_bootstrap: The same Kafka, as the bridge shall reach it.
        choice: The faults that can be done here.
        do: Does one. Raises Down.
        works: By the target of a fault, what waits until that process is ready.
    """

    url: str
    load_url: str
    key: str
    bootstrap: str
    bridge_bootstrap: str
    choice: Sequence[tuple[str, str]]
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
    source = f"chaos-{options.run}"
    async with AsyncExitStack() as stack:
        stack.callback(book.close)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        await stack.enter_async_context(_definitions(session, target, source))
        rest = over_rest(session, target.load_url, source, f"{EVENT_TYPE}-{options.run}")
        topic = None
        if target.bootstrap:
            publisher = Publisher(
                producer_config(
                    Kafka(bootstrap=target.bootstrap),
                )
            )
            stack.push_async_callback(publisher.close)
            topic = over_topic(publisher, source)
        canaries = Canaries(options, load, rest, topic, reads(session, target.url, target.key))
        say(f"seed {options.seed}: {options.seconds:g} s of load, {options.faults} faults, run {options.run}")
        started_at = time.monotonic()
        senders = [load.run(_planned(options, "rest", REST_RATE), rest, started_at)]
        if topic is not None:
            senders.append(load.run(_planned(options, "topic", TOPIC_RATE), topic, started_at))
        sending = asyncio.gather(*senders)
        faults = plan.faults(options.seed, options.faults, options.seconds, target.choice)
        done, down = await _disturb(faults, target, canaries, started_at, say)
        say("the last fault is over; waiting until everything is acknowledged and stored")
        try:
            async with asyncio.timeout(max(0.0, started_at + options.seconds - time.monotonic()) + DRAIN_S):
                await sending
        except TimeoutError:
            down.append(
                model.Violation("down", "load", f"not all was acknowledged {DRAIN_S:.0f} s after the last fault")
            )
        book.close()
        sent = ledger.read(file)
        found = await asyncio.to_thread(_find, target, sent, source)
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
) -> tuple[list[Done], list[model.Violation]]:
    """One fault after another; that the hub recovers is measured, not waited for."""
    begun: list[tuple[Fault, float, float, asyncio.Task[Recovery]]] = []
    down: list[model.Violation] = []
    for fault in faults:
        await asyncio.sleep(max(0.0, started_at + fault.at_s - time.monotonic()))
        began = time.monotonic()
        size = f" {fault.size:+g} s" if fault.size else ""
        lasts = f" for {fault.lasts_s:g} s" if fault.lasts_s else ""
        say(f"{began - started_at:6.1f} s  {fault.number:>3}  {fault.kind} {fault.target}{size}{lasts}")
        try:
            await target.do(fault)
        except Down as exc:
            down.append(model.Violation("down", fault.target, f"fault {fault.number}, {fault.kind}: {exc}"))
            continue
        ended = time.monotonic()
        measuring = asyncio.create_task(canaries.recovery(ended, target.works(fault.target)))
        begun.append((fault, began, ended, measuring))
    done = []
    for number, (fault, began, ended, measuring) in enumerate(begun):
        try:
            recovery = await measuring
        except Down as exc:
            down.append(model.Violation("down", fault.target, f"after fault {fault.number}, {fault.kind}: {exc}"))
            recovery = Recovery(None, None, None, None)
        over = ended + max((s for s in recovery if s is not None), default=0.0)
        alone = number + 1 == len(begun) or begun[number + 1][1] > over
        if recovery.stored_s is None:
            down.append(
                model.Violation("down", fault.target, f"no event was stored after fault {fault.number}, {fault.kind}")
            )
        done.append(Done(fault, began - started_at, ended - began, recovery, alone))
    return done, down


def _find(target: Target, sent: ledger.Ledger, source: str) -> model.Found:
    """Once the hub has come to rest, or nothing has moved for a while: then the checker names what is missing."""
    ids = list({step.profile: None for step in sent.steps.values()})
    people = len(set(persons(step for step in sent.steps.values() if step.id in sent.acked).values()))
    bad = sum(sent.bad.values())
    reader = Reader(target.url, target.key)
    try:
        last: object = None
        moved_at = time.monotonic()
        still_s = 0.0
        while still_s < STILL_S:
            sheet = reader.get("/balance").json()
            ours = [row for row in sheet["sources"] if row["source"] == source]
            stored = reader.count("events", f'source = "{source}"')
            letters = reader.count("dead-letters", f'source = "{source}"')
            if (ours, stored, letters) != last:
                last, moved_at = (ours, stored, letters), time.monotonic()
            still_s = time.monotonic() - moved_at
            received = sum(row["received"] for row in ours)
            arrived = sheet["totals"]["in_flight"] == 0 and received >= sent.deliveries + bad
            if arrived and still_s > ARRIVED_S:
                break
            all_there = arrived and stored >= len(sent.acked) and letters >= bad
            # merges are the last to come to rest: they follow the events that they were made for
            if all_there and still_s > REST_S and len(reader.left(ids)) == people:
                break
            time.sleep(0.2)
        return reader.find([source], ids)
    finally:
        reader.close()


class _definitions:  # noqa: N801 - reads as what it is: the definitions, for as long as a block runs
    """Source, mapping, identification point and, with a topic, bridge; the topic too."""

    def __init__(self, session: aiohttp.ClientSession, target: Target, name: str) -> None:
        self._session = session
        self._target = target
        self._name = name
        self._made: list[str] = []

    async def __aenter__(self) -> None:
        type_ = f"{EVENT_TYPE}-{self._name.removeprefix('chaos-')}"
        await self._put("source", {"name": "Chaos kit"})
        await self._put("mapping", {"event_type": type_, "fields": FIELDS})
        await self._put("identification-point", {"event_type": type_, "identifiers": IDENTIFIERS})
        if self._target.bootstrap:
            await asyncio.to_thread(make_topic, self._target.bootstrap, self._name)
            properties = {name: name for name in ("seq", "amount", "label", "one", "email")}
            event = {"type": f"'{type_}'", "id": "event", "properties": properties}
            settings = {"bootstrap": self._target.bridge_bootstrap, "topics": self._name, "protocol": "consumer"}
            mapping = {"id": "payload", "profile": "who", "event": event}
            spec = {"type": "kafka", "source": self._name, "settings": settings, "mapping": mapping}
            await self._put("bridge", spec)

    async def __aexit__(self, *_: object) -> None:
        for path in reversed(self._made):
            async with self._session.delete(f"{self._target.url}{path}", headers=self._headers):
                pass

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._target.key}"}

    async def _put(self, kind: str, spec: dict[str, Any]) -> None:
        path = f"/definitions/{kind}/{self._name}"
        async with self._session.put(f"{self._target.url}{path}", json=spec, headers=self._headers) as answer:
            if answer.status >= 300:
                raise Unavailable("api", f"PUT {path}: {answer.status} {(await answer.text())[:500]}")
        self._made.append(path)


def make_topic(bootstrap: str, name: str) -> None:
    """The bridge's topic. Raises Unavailable."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    for made in admin.create_topics([NewTopic(name, num_partitions=4)], request_timeout=10).values():
        try:
            made.result()
        except KafkaException as exc:
            raise Unavailable("kafka", f"cannot make topic {name}: {exc.args[0].str()}") from exc
