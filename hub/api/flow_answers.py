"""Events whose senders wait for what flows answer (`async: false`): for how long, for what, and what they get."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, cast

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hub.api import metrics
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Flow
from hub.edge.payload import Event, Payload
from hub.ending import cancelled
from hub.flows.triggers import Triggers
from schemas.flow_answers import FLOWS, Answered, Keys, decode_answered, decode_flows, field
from schemas.flows import ASYNC

log: Final = structlog.get_logger()

MARK: Final = b'"async"'
"""In a body without it nobody asks to wait: that is all that it costs."""
CONNECT_S: Final = 0.5
ANSWER_S: Final = 1.0
AWAY_S: Final = 1.0
"""So long nobody waits when Redis has not answered."""
MOST_EVENTS: Final = 100
"""Of one payload whose answers are waited for."""
UX: Final = "ux"
"""Member of a response: a list of widgets, as of the predecessor's clients, which find it beside the response."""
_TROUBLE: Final = (RedisError, OSError)


class Told(NamedTuple):
    """
    For the answer to a payload.

    Attributes:
        pending: It was not waited for, or not long enough: the flows go on.
    """

    response: dict[str, Any]
    ux: list[Any]
    warnings: list[str]
    pending: bool


PENDING: Final = Told({}, [], [], pending=True)
NOTHING: Final = Told({}, [], [], pending=False)


class Waiters:
    """Use it on one event loop. Several processes may wait for the same event."""

    def __init__(self, url: str, namespace: str, catalogue: Catalogue, *, wait_s: float, most: int) -> None:
        """
        Connects when somebody waits.

        Args: url: of Redis; empty: there is none, and nobody waits. most: who may wait at a time.
        """
        self._catalogue = catalogue
        self._wait_s = wait_s
        self._most = most if url else 0
        self._keys = Keys(namespace)
        self._waiting = 0
        self._wakes: dict[str, set[asyncio.Event]] = {}
        self._away_until_s = 0.0
        self._listener: asyncio.Task[None] | None = None
        self._subscribed: asyncio.Future[None] | None = None
        self._redis = self._ears = None
        if url:
            self._redis = _client(url, ANSWER_S, attempts=1)
            # what is not answered for long is not gone: nobody has said anything. Without attempts of its own: what was
            # said while it was not connected would be missed
            self._ears = _client(url, None, attempts=0)

    async def told(self, payload: Payload, ids: Sequence[str]) -> Told:
        """
        What flows answer to the events of a payload that ask for it, once Kafka has it.

        Args: payload: as of `asking`. ids: of its events, as they are stored.
        """
        triggers = self._catalogue.compiled("flow", _triggers)
        wanted = [
            id
            for id, event in zip(ids, payload.events, strict=True)
            if _asks(event.options) and triggers.awaits(event.type, payload.source_id, "")
        ]
        if not wanted:
            metrics.FLOW_ANSWERS.labels("nothing").inc()
            return NOTHING
        outcome, found = await self._wait(wanted)
        metrics.FLOW_ANSWERS.labels(outcome).inc()
        return PENDING if found is None else _merged(found)

    async def close(self) -> None:
        """Whoever waits is told that it goes on."""
        if self._listener is not None:
            await cancelled([self._listener])
        for client in (self._redis, self._ears):
            if client is not None:
                await client.aclose()

    async def _wait(self, ids: Sequence[str]) -> tuple[str, list[Answered] | None]:
        """And what became of it, for the metric."""
        if self._redis is None or time.monotonic() < self._away_until_s:
            return "away", None
        if self._waiting >= self._most or len(ids) > MOST_EVENTS:
            return "full", None
        wake = asyncio.Event()
        self._waiting += 1
        for id in ids:
            self._wakes.setdefault(id, set()).add(wake)
        try:
            return await self._answers(self._redis, ids, wake)
        except _TROUBLE as exc:
            self._away_until_s = time.monotonic() + AWAY_S
            log.warning("flow_answers.away", error=str(exc) or type(exc).__name__)
            return "away", None
        finally:
            self._waiting -= 1
            for id in ids:
                self._wakes[id].discard(wake)
                if not self._wakes[id]:
                    del self._wakes[id]

    async def _answers(
        self, redis: Redis, ids: Sequence[str], wake: asyncio.Event
    ) -> tuple[str, list[Answered] | None]:
        until_s = time.monotonic() + self._wait_s
        while True:
            await self._listening()  # before it is looked at: what is told after that is heard
            wake.clear()
            found = await self._found(redis, ids)
            if found is not None:
                return "answered", found
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return "late", None
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await wake.wait()

    async def _found(self, redis: Redis, ids: Sequence[str]) -> list[Answered] | None:
        """In the order of the events, then of the flows' ids. None: not all of it is there."""
        async with asyncio.timeout(ANSWER_S), redis.pipeline(transaction=False) as pipe:
            for id in ids:
                pipe.hgetall(self._keys.of(id))
            hashes: list[dict[bytes, bytes]] = await pipe.execute()
        found = []
        for each in hashes:
            flows = each.get(FLOWS)
            if flows is None:
                return None
            for flow in decode_flows(flows):
                answered = each.get(field(flow))
                if answered is None:
                    return None
                found.append(decode_answered(answered))
        return found

    async def _listening(self) -> None:
        """Raises what _TROUBLE names."""
        if self._listener is None or self._listener.done():
            self._subscribed = asyncio.get_running_loop().create_future()
            # that nobody waits any more is no fault
            self._subscribed.add_done_callback(lambda done: None if done.cancelled() else done.exception())
            self._listener = asyncio.create_task(self._listen(self._subscribed), name="flow-answers")
        assert self._subscribed is not None
        async with asyncio.timeout(CONNECT_S):
            await asyncio.shield(self._subscribed)

    async def _listen(self, subscribed: asyncio.Future[None]) -> None:
        """Until it is cancelled, or Redis goes away: then whoever waits looks for itself."""
        assert self._ears is not None
        pubsub = self._ears.pubsub()
        try:
            await pubsub.subscribe(self._keys.told)
            while True:
                message = await pubsub.get_message(timeout=None)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    if not subscribed.done():
                        subscribed.set_result(None)
                    continue
                for wake in self._wakes.get(message["data"].decode(), ()):
                    wake.set()
        except _TROUBLE as exc:
            if not subscribed.done():
                subscribed.set_exception(exc)
        finally:
            if not subscribed.done():
                subscribed.set_exception(ConnectionError("the process ends"))
            for wakes in self._wakes.values():
                for wake in wakes:
                    wake.set()
            with suppress(*_TROUBLE):
                await pubsub.aclose()  # type: ignore[no-untyped-call]


def asking(payload: Payload) -> Payload | None:
    """
    The payload if somebody waits for what flows answer to one of its events, each of which says so then: that is how
    whoever runs the flows knows. None: nobody waits.
    """
    for_all = _asks(payload.options)
    events = [_asking(event) for event in payload.events] if for_all else payload.events
    if not any(_asks(event.options) for event in events):
        return None
    return msgspec.structs.replace(payload, events=events)


def _asking(event: Event) -> Event:
    """What an event says itself goes before what its payload says."""
    options = msgspec.json.decode(event.options)
    if ASYNC in options:
        return event
    return msgspec.structs.replace(event, options=msgspec.json.encode({**options, ASYNC: False}))


def _asks(options: bytes) -> bool:
    return MARK in options and msgspec.json.decode(options).get(ASYNC) is False


def _triggers(entries: Mapping[str, Entry]) -> Triggers:
    """Of all flows: what they may wait for. Conditions are for the collector to ask."""
    flows = {id: (cast("Flow", entry.spec), entry.version) for id, entry in entries.items()}
    return Triggers(flows, lambda _: lambda *_: True)


def _merged(found: Sequence[Answered]) -> Told:
    response: dict[str, Any] = {}
    ux: list[Any] = []
    warnings: list[str] = []
    for one in found:
        members = dict(one.response)
        if isinstance(members.get(UX), list):
            ux += members.pop(UX)
        _merge(response, members)
        if one.warning:
            warnings.append(one.warning)
    return Told(response, ux, warnings, pending=False)


def _merge(into: dict[str, Any], members: Mapping[str, Any]) -> None:
    """Objects are put together, of anything else the later one is taken."""
    for name, value in members.items():
        there = into.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            _merge(there, value)
        else:
            into[name] = value


def _client(url: str, answer_s: float | None, *, attempts: int) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=answer_s,
        socket_connect_timeout=CONNECT_S,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), attempts),
        protocol=2,
    )
