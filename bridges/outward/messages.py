"""Messages of flows, through destinations that are kept open between runs: sent, or to come again, or dead letters."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
import structlog

from bridges.kept import Hub
from bridges.outlet import OPTIONS, Outlet
from bridges.outward.base import Denied, Later, Message, Rejected, Span, SpanTarget, Target
from bridges.outward.breaker import Breaker
from bridges.outward.keeper import build
from bridges.outward.letters import UNDELIVERABLE, Burial, Letter
from bridges.outward.registry import spec_of
from bridges.outward.shape import Told
from bridges.outward.state import MESSAGES
from bridges.registry import BridgeError
from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Destination
from hub.definitions.secrets import scrubbed, secrets_of
from hub.errors import HubError, InvalidPayload, Unavailable
from hub.flows.effects import SendMessage
from hub.flows.loops import SOURCE
from hub.log.config import producer_config
from hub.pipeline.letters import OF_FLOW
from hub.settings import Flows
from schemas.topics import EVENTS

log: Final = structlog.get_logger()

TYPE: Final = "flow-message"
"""What a target gets in place of an event's type."""
PLACE: Final = "flow"
"""In place of a topic: what a file of a warehouse is named by."""
MOST_REMEMBERED: Final = 10_000
"""Messages that were sent and will come again, as others of their run were not."""
IDLE_S: Final = 60.0
"""How long a connection is kept for the next message."""
LEAST_S: Final = 5.0
"""An attempt may take so long, also when there is no time for a second one."""
_encode: Final = msgspec.json.Encoder().encode


class GivenUp(NamedTuple):
    """A message that is not sent, and why."""

    message: SendMessage
    why: str


class Messages:
    """For one event loop. Each destination for itself: one that is away delays no other."""

    def __init__(self, hub: Hub, settings: Flows) -> None:
        """Connects when it is first asked."""
        self._hub = hub
        self._settings = settings
        self._lines: dict[str, _Line] = {}
        self._sent: OrderedDict[str, None] = OrderedDict()
        self._outlet: Outlet | None = None
        self._tidying: asyncio.Task[None] | None = None

    async def send(self, messages: Sequence[SendMessage]) -> None:
        """
        Send messages; those of one destination in their order. Each is durable there, or a dead letter, when this
        returns.

        Raises Unavailable: a destination does not take some now, or Kafka a letter: all are to be given again. What was
        sent by then is not sent again by this process.
        """
        self._begin()
        groups: dict[str, list[SendMessage]] = {}
        for message in messages:
            if message.id not in self._sent:
                groups.setdefault(message.destination, []).append(message)
        sending = [self._send(id, group) for id, group in groups.items()]
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        failed = [one for one in outcomes if one is not None]
        if failed:
            for group, outcome in zip(groups.values(), outcomes, strict=True):
                if outcome is None:
                    self._remember(message.id for message in group)
            raise failed[0]
        for message in messages:
            self._sent.pop(message.id, None)

    async def send_again(self, messages: Sequence[SendMessage]) -> list[GivenUp]:
        """
        Send messages that were given up before, those of one destination in their order. Each is durable there when
        this returns, but for those that are returned: they are no new dead letters.
        """
        self._begin()
        groups: dict[str, list[SendMessage]] = {}
        for message in messages:
            groups.setdefault(message.destination, []).append(message)
        outcomes = await asyncio.gather(*(self._offer(id, group) for id, group in groups.items()))
        for id, (_, never, later) in zip(groups, outcomes, strict=True):
            failed = len(never) + len(later)
            for outcome, count in (("sent", len(groups[id]) - failed), ("dead", failed)):
                if count:
                    MESSAGES.labels(id, outcome).inc(count)
        return [one for _, never, later in outcomes for one in (*never, *later)]

    async def close(self) -> None:
        """Let go of all connections. Never raises."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
            self._tidying = None
        for line in self._lines.values():
            await line.close()
        self._lines.clear()
        if self._outlet is not None:
            await self._outlet.close()
            self._outlet = None

    def _begin(self) -> None:
        if self._tidying is None:
            self._tidying = asyncio.create_task(self._tidy(), name="tidy")

    async def _offer(
        self, id: str, messages: Sequence[SendMessage]
    ) -> tuple[Entry | None, list[GivenUp], list[GivenUp]]:
        """The destination as it is defined; the messages that it will never take, and those that it does not now."""
        entry = self._hub.catalogue.entry("destination", id)
        if entry is None or not entry.spec.enabled:
            why = "there is no destination with this id" if entry is None else "the destination is switched off"
            return entry, [], [GivenUp(message, why) for message in messages]
        line = self._lines.get(id)
        if line is None:
            line = self._lines[id] = _Line(id, self._hub, self._settings)
        never, later = await line.send(entry, messages)
        return entry, never, later

    async def _send(self, id: str, messages: Sequence[SendMessage]) -> None:
        """Raises Unavailable."""
        entry, never, later = await self._offer(id, messages)
        patience_s = _patience_s(entry, self._settings)
        young = [one for one in later if self._hub.now_ms() - one.message.at_ms < patience_s * 1_000]
        waiting = {one.message.id for one in young}
        dead = never + [one for one in later if one.message.id not in waiting]
        await self._bury(id, dead)
        for outcome, count in (
            ("sent", len(messages) - len(never) - len(later)),
            ("later", len(young)),
            ("dead", len(dead)),
        ):
            if count:
                MESSAGES.labels(id, outcome).inc(count)
        if young:
            self._remember(message.id for message in messages if message.id not in waiting)
            raise Unavailable("destination", f"{id}: {young[0].why}")

    def _remember(self, ids: Iterable[str]) -> None:
        """They come again, with those that could not be sent."""
        self._sent.update(dict.fromkeys(ids))
        while len(self._sent) > MOST_REMEMBERED:
            self._sent.popitem(last=False)

    async def _bury(self, id: str, given_up: Sequence[GivenUp]) -> None:
        """Raises Unavailable."""
        if not given_up:
            return
        hub = self._hub
        if self._outlet is None:
            config = producer_config(hub.kafka, **OPTIONS)
            self._outlet = Outlet(config, EVENTS.name(hub.namespace), sealing=hub.sealing)
        log.warning("flows.undeliverable", destination=id, messages=len(given_up), why=given_up[-1].why)
        letters = [_letter(one) for one in given_up]
        try:
            async with asyncio.timeout(hub.kafka.delivery_timeout_s):
                await Burial(id, self._outlet, hub.blobs, hub.now_ms).bury(letters)
        except TimeoutError as exc:
            raise Unavailable("kafka", "it does not acknowledge a dead letter") from exc

    async def _tidy(self) -> None:
        """Close what nobody has used for a while, or what is defined otherwise by now."""
        while True:
            await asyncio.sleep(IDLE_S / 4)
            for id, line in list(self._lines.items()):
                if line.is_idle(self._hub.catalogue.entry("destination", id)):
                    del self._lines[id]  # first: whoever sends meanwhile gets a new one
                    await line.close()


class _Line:
    """The way to one destination."""

    def __init__(self, id: str, hub: Hub, settings: Flows) -> None:
        self._id = id
        self._hub = hub
        self._settings = settings
        self._turn = asyncio.Lock()
        self._entry: Entry | None = None
        self._breaker = self._new_breaker()
        self._target: Target | SpanTarget | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._used_s = 0.0
        self._why = ""

    async def send(self, entry: Entry, messages: Sequence[SendMessage]) -> tuple[list[GivenUp], list[GivenUp]]:
        """
        Raises nothing that the other side does.

        Returns: those that it will never take, and those that it does not take now.
        """
        spec = entry.spec
        assert isinstance(spec, Destination)
        loop = asyncio.get_running_loop()
        async with self._turn:
            if entry != self._entry:
                self._let_go()
                self._entry, self._breaker, self._why = entry, self._new_breaker(), ""
            rest_s = self._breaker.enter(loop.time())
            if rest_s:
                why = f"it has just failed: {self._why}. It is left alone for {rest_s:.0f} s"
                return [], [GivenUp(message, why) for message in messages]
            try:
                return await self._all(spec, messages)
            finally:
                self._breaker.leave(loop.time(), well=not self._why)
                self._used_s = loop.time()

    def is_idle(self, entry: Entry | None) -> bool:
        """Whether nobody needs it now. Args: entry: as it is defined."""
        if self._turn.locked():
            return False
        return entry != self._entry or asyncio.get_running_loop().time() - self._used_s >= IDLE_S

    async def close(self) -> None:
        """Never raises."""
        self._let_go()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _new_breaker(self) -> Breaker:
        return Breaker(1, self._settings.rest_s)

    async def _all(self, spec: Destination, messages: Sequence[SendMessage]) -> tuple[list[GivenUp], list[GivenUp]]:
        """One batch after the other, each as often as there is time."""
        left, never = list(messages), list[GivenUp]()
        loop, send_s = asyncio.get_running_loop(), self._settings.send_s
        # who has failed for so long already is asked once, to see
        until_s = loop.time() + (0.0 if self._breaker.failed else send_s)
        pause_s = spec.retry.first_s
        while left:
            try:
                async with asyncio.timeout_at(max(until_s, loop.time() + LEAST_S)):
                    count, rejected = await self._some(spec, left)
            except Exception as exc:  # a fault in one adapter is that destination's alone
                if not isinstance(exc, HubError | BridgeError | TimeoutError):
                    log.exception("flows.destination_fault", destination=self._id)
                sent = exc.sent if isinstance(exc, Later | Denied) else frozenset()
                left = [message for place, message in enumerate(left) if place not in sent]
                self._why = self._words(spec, exc)
                self._let_go()
                pause_s = max(pause_s, getattr(exc, "after_s", 0.0))
                if not isinstance(exc, Unavailable | TimeoutError) or loop.time() + pause_s > until_s:
                    return never, [GivenUp(message, self._why) for message in left]
                await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
                pause_s = min(spec.retry.longest_s, pause_s * 2)
                continue
            never += [GivenUp(left[place], self._scrubbed(spec, detail)) for place, detail in rejected]
            left = left[count:]
            self._why, pause_s, until_s = "", spec.retry.first_s, loop.time() + send_s
        return never, []

    async def _some(self, spec: Destination, messages: Sequence[SendMessage]) -> tuple[int, Sequence[Rejected]]:
        """The first of these: how many were tried, and those that it will never take. Raises what a target raises."""
        target = self._target
        if target is None:
            target = self._target = await build(self._id, spec, self._hub)
            await target.connect()
        if isinstance(target, Target):
            some = [_message(message) for message in messages[: target.most]]
            return len(some), await target.send(some)
        # a write of its own: so one that comes again is known, whatever it comes together with
        one = _message(messages[0])
        return 1, await target.write(_span(one), [one], whole=True)

    def _let_go(self) -> None:
        """It may still be about something: that is not waited for."""
        target, self._target = self._target, None
        if target is not None:
            task = asyncio.create_task(target.close(), name=f"close-{self._id}")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _words(self, spec: Destination, exc: Exception) -> str:
        if not isinstance(exc, HubError | BridgeError | TimeoutError):
            return self._scrubbed(spec, f"fault in the destination: {exc!r}")
        if isinstance(exc, TimeoutError):
            return f"it has not taken it within {self._settings.send_s:g} s (HUB_FLOWS__SEND_S)"
        return self._scrubbed(spec, getattr(exc, "detail", str(exc)))

    def _scrubbed(self, spec: Destination, text: str) -> str:
        try:
            return scrubbed(text, secrets_of(spec_of(spec.type).settings, spec.settings, self._hub.environ))
        except BridgeError:
            return scrubbed(text, [])


def _patience_s(entry: Entry | None, settings: Flows) -> float:
    """How old a message becomes before it is given up."""
    given_up_s = entry.spec.give_up_s if entry is not None and isinstance(entry.spec, Destination) else 0.0
    return given_up_s or settings.give_up_s


def _message(message: SendMessage) -> Message:
    """What is sent is what the flow says: condition, mapping and key of a destination are those of events."""
    return Message(
        id=message.id,
        key=message.key,
        body=_encode(message.content),
        content=message.content,
        type=TYPE,
        source=SOURCE,
        profile_id=message.profile,
        time_ms=message.at_ms,
    )


def _span(message: Message) -> Span:
    """Of one message, the same at every attempt."""
    first = int.from_bytes(hashlib.sha256(message.id.encode()).digest()[:7])
    return Span(topic=PLACE, partition=0, first=first, end=first + 1, at_ms=message.time_ms, nonce=message.id)


def _letter(given_up: GivenUp) -> Letter:
    message = given_up.message
    told = Told(message.id, TYPE, SOURCE, message.profile, 0, message.at_ms, [], [])
    # whom it is about stands where an erasure finds it
    whole = {
        "id": message.id,
        "profile": {"id": message.profile or None},
        "key": message.key,
        "message": message.content,
    }
    return Letter(told, f"{OF_FLOW}{message.id}", _encode(whole), InvalidPayload(UNDELIVERABLE, given_up.why))
