"""RabbitMQ as a target: an exchange, or a queue by its name, with publisher confirms."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import pika
from pika.exceptions import AMQPError
from pydantic import Field

from bridges.base import Context
from bridges.outward.base import Denied, Later, Message, Rejected, Target, TargetSpec
from bridges.rabbitmq import RabbitmqServer, servers
from bridges.rabbitmq_link import NOT_FOUND, Line, Link
from hub.errors import PortError, Refused


class RabbitmqSettings(RabbitmqServer, frozen=True, extra="forbid"):
    """Settings of a destination of type `rabbitmq`."""

    exchange: Annotated[
        str, Field(max_length=255, description="Exchange to publish to. Empty: straight into the queue routing_key.")
    ] = ""
    routing_key: Annotated[
        str, Field(max_length=255, description="Of every message: of the exchange, or the queue. Empty: the key.")
    ] = ""
    unroutable: Annotated[
        Literal["wait", "drop"],
        Field(description="A message that no queue gets: wait until one is bound; or drop it, as RabbitMQ does."),
    ] = "wait"
    timeout_s: Annotated[float, Field(ge=0.1, le=300, description="How long the server may take to have it.")] = 15.0


class RabbitmqTarget(Target):
    """Messages are persistent and mandatory; one counts as sent when the server has confirmed it."""

    def __init__(self, settings: RabbitmqSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._link: Link | None = None
        self._line: Line | None = None
        self._tag = 0
        """Of the newest message, as the server counts them on this channel."""
        self._open: dict[int, int] = {}
        """Places in the batch, by tag, of those that are not confirmed."""
        self._failed: dict[int, str] = {}
        """By place: not taken, and why."""
        self._returned: set[str] = set()
        """Ids of messages that no queue got."""
        self._done: asyncio.Future[None] | None = None

    async def connect(self) -> None:
        """See Target."""
        self._link = Link(servers(self._settings, self._context))
        await self._link.open()
        line = self._line = await self._link.line()
        channel = line.channel
        settings = self._settings
        try:
            if settings.exchange:
                await line.ask(channel.exchange_declare, settings.exchange, passive=True)
            elif settings.routing_key:
                await line.ask(channel.queue_declare, settings.routing_key, passive=True)
        except PortError as exc:
            if line.code != NOT_FOUND:
                raise
            raise Later(self._not_there(line)) from exc
        await line.ask(channel.confirm_delivery, self._on_confirm)
        channel.add_on_return_callback(lambda _, __, properties, ___: self._returned.add(properties.message_id))

    async def send(self, batch: Sequence[Message]) -> Sequence[Rejected]:
        """See Target."""
        line, settings = self._line, self._settings
        if line is None:
            raise Later("the destination is closed")
        if line.broken is not None:
            raise line.broken
        self._open, self._failed = {}, {}
        self._returned.clear()
        self._done = asyncio.get_running_loop().create_future()
        try:
            for place, message in enumerate(batch):
                self._tag += 1
                self._open[self._tag] = place
                properties = pika.BasicProperties(
                    content_type="application/json",
                    delivery_mode=2,
                    message_id=message.id,
                    timestamp=message.time_ms // 1000 if message.time_ms >= 0 else None,
                    type=message.type[:255],
                    headers=message.headers(),
                )
                line.channel.basic_publish(
                    settings.exchange,
                    settings.routing_key or message.key[:255],
                    message.body,
                    properties,
                    mandatory=settings.unroutable == "wait",
                )
            async with asyncio.timeout(settings.timeout_s):
                await line.wait(self._done)
        except (AMQPError, TimeoutError, PortError) as exc:
            raise self._failure(exc, self._first_open(batch)) from exc
        self._failed |= {
            place: "no queue gets it: bind one to the exchange, or correct settings.exchange and settings.routing_key"
            for place, message in enumerate(batch)
            if message.id in self._returned
        }
        if self._failed:
            first = min(self._failed)
            raise Later(f"{self._address()}: {self._failed[first]}", sent=frozenset(range(first)), stuck=first)
        return ()

    async def close(self) -> None:
        """See Target."""
        link, self._link, self._line = self._link, None, None
        if link is not None:
            await link.close()

    def _not_there(self, line: Line) -> str:
        setting = "settings.exchange" if self._settings.exchange else "settings.routing_key"
        return f"{self._address()}: {line.said}. Make it, or correct {setting}"

    def _first_open(self, batch: Sequence[Message]) -> int:
        """Place of the first message of which it is not known that a queue has it."""
        returned = [place for place, message in enumerate(batch) if message.id in self._returned]
        return min([*self._open.values(), *returned, *self._failed], default=0)

    def _address(self) -> str:
        return self._link.address if self._link is not None else ""

    def _on_confirm(self, found: Any) -> None:
        method = found.method
        last = method.delivery_tag
        tags = [tag for tag in self._open if tag <= last] if method.multiple else [last]
        for tag in tags:
            place = self._open.pop(tag, None)
            if place is not None and not isinstance(method, pika.spec.Basic.Ack):
                self._failed[place] = "the server cannot keep it: is a queue full, or its node down?"
        if not self._open and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _failure(self, exc: BaseException, place: int) -> Later | Denied:
        """All before that place are there; those behind it are sent again, or they would stand in front of it."""
        sent = frozenset(range(place))
        if isinstance(exc, TimeoutError):
            words = f"{self._address()} confirms nothing within {self._settings.timeout_s:g} s"
            return Later(words, sent=sent, stuck=place)
        if self._line is not None and self._line.code == NOT_FOUND:
            return Later(self._not_there(self._line), sent=sent, stuck=place)
        if isinstance(exc, AMQPError) and self._link is not None:
            exc = self._link.broken or self._link.explained(exc)
        detail = exc.detail if isinstance(exc, PortError) else str(exc)
        return (Denied if isinstance(exc, Refused) else Later)(detail, sent=sent, stuck=place)


SPEC: Final = TargetSpec("rabbitmq", "Publish to RabbitMQ.", RabbitmqSettings, RabbitmqTarget)
