"""
A RabbitMQ stream as a queue that is remembered: how far it was forwarded, and whether it is still the same stream.

RabbitMQ keeps no offset for AMQP 0-9-1 consumers. So a queue beside the stream holds one message, the mark. It is on
the same broker, so that the two share their fate: a backup, a move or a failover has both or none. A mark is written
with a publisher confirm, and the one before is acknowledged only then: there is one at every moment. Whoever reads the
stream consumes the mark's queue exclusively, so two instances of a bridge never move it against each other.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
import pika
import structlog

from bridges.amqp import Arrived, Properties, properties
from bridges.offsets import Chunk, Tracker
from bridges.rabbitmq_link import OFFSET, Line, Link
from hub.errors import PortError, Unavailable

log: Final = structlog.get_logger()

RENEW_S: Final = 300.0
"""RabbitMQ closes a channel whose consumer holds a message for half an hour (consumer_timeout)."""
SUSPICIOUS_S: Final = 2.0
"""A message that must be there, and does not come for so long, may be none of this stream's."""


class Mark(msgspec.Struct, frozen=True):
    """
    How far a stream was forwarded.

    Attributes:
        epoch: Tells streams of one name apart: empty until it was seen that the stream was deleted and made again.
        next: The first offset that is not acknowledged; None: none is.
        at_ms: Where to begin without `next`: milliseconds since 1970; None: at the beginning.
        seal: Of the message before `next`; empty: not known, as after a rewind.
        first: The first offset that was ever read of this stream; -1: none was.
        first_seal: Of that message.
    """

    epoch: str = ""
    next: int | None = None
    at_ms: int | None = None
    seal: str = ""
    first: int = -1
    first_seal: str = ""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Mark).decode


def place_name(stream: str, namespace: str, bridge: str) -> str:
    """The queue that holds the mark."""
    return f"{stream}.{namespace}.{bridge}.offset"


def new_epoch() -> str:
    """For a stream that is another one than before."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


class Place:
    """The mark's queue, ours alone while the channel lives."""

    def __init__(self, line: Line, name: str) -> None:
        """Args: line: of its own."""
        self._line = line
        self.name = name
        self._tag = 0
        self._marks: list[Mark] = []
        self._echo: tuple[str, asyncio.Future[int]] | None = None
        self._confirmed: asyncio.Future[None] | None = None
        self.written = Mark()
        self.written_at = 0.0

    async def open(self) -> Mark | None:
        """
        The newest mark; None: there never was one. Write one next: that tidies up.

        Raises: Unavailable: another instance reads the stream. Refused: the user may not declare, write and read it.
        """
        line = self._line
        channel = line.channel
        # a classic one, whatever the server makes by default: only of that one consumer can be the only one
        await line.ask(channel.queue_declare, self.name, durable=True, arguments={"x-queue-type": "classic"})
        await line.ask(channel.confirm_delivery, self._on_confirm)
        line.on_delivery(self._on_delivery)
        channel.add_on_cancel_callback(
            lambda _: line.link.fail(
                Unavailable("source", f"the queue {self.name}, which holds the offset, was deleted")
            )
        )
        try:
            await line.ask(channel.basic_consume, self.name, _ignore, exclusive=True, consumer_tag="place")
        except Unavailable as exc:
            if line.code:
                raise Unavailable(
                    "source",
                    f"another instance of the bridge reads the stream, as it has the queue {self.name}. It is tried "
                    "again; a dead one is noticed by the server within 20 s",
                ) from exc
            raise
        # what was there is delivered before what is published now
        await self._publish(b"")
        return self._marks[-1] if self._marks else None

    async def write(self, mark: Mark) -> None:
        """Returns when it is safe. Raises Unavailable, Refused."""
        tag = await self._publish(_encode(mark))
        self.written, self.written_at = mark, time.monotonic()
        if tag > 1:
            self._line.channel.basic_ack(tag - 1, multiple=True)

    @property
    def stale(self) -> bool:
        """Whether it was held for so long that it has to be written again."""
        return time.monotonic() - self.written_at > RENEW_S

    async def _publish(self, body: bytes) -> int:
        """Returns the tag under which it came back."""
        line = self._line
        if line.broken is not None:
            raise line.broken
        loop = asyncio.get_running_loop()
        number = str(uuid.uuid4())
        echo: asyncio.Future[int] = loop.create_future()
        self._confirmed = loop.create_future()
        self._echo = number, echo
        line.channel.basic_publish(
            "", self.name, body, pika.BasicProperties(delivery_mode=2, message_id=number, type="offset")
        )
        try:
            await line.wait(self._confirmed)
            return await line.wait(echo)
        finally:
            self._echo = None

    def _on_confirm(self, answer: Any) -> None:
        if self._confirmed is None or self._confirmed.done():
            return
        if isinstance(answer.method, pika.spec.Basic.Ack):
            self._confirmed.set_result(None)
        else:
            self._confirmed.set_exception(Unavailable("source", f"the server cannot keep the offset in {self.name}"))

    def _on_delivery(self, arrived: Arrived) -> None:
        if self._echo is not None and properties(arrived.properties).message_id == self._echo[0]:
            if not self._echo[1].done():
                self._echo[1].set_result(arrived.tag)
        elif arrived.body:
            try:
                self._marks.append(_decode(arrived.body))
            except msgspec.DecodeError as exc:
                log.warning("bridge.offset_unreadable", queue=self.name, error=str(exc))


class Reader:
    """
    One stream. What comes first is compared with what was acknowledged last, before anything is passed on.

    Attributes:
        tags: Of the channel's deliveries.
        offsets: Of the stream's messages.
    """

    def __init__(
        self, link: Link, name: str, place: Place, passed: Callable[[Reader, Arrived, Properties], None]
    ) -> None:
        """Args: passed: gets each message that is to be forwarded."""
        self._link = link
        self.name = name
        self._place = place
        self._passed = passed
        self._line: Line | None = None
        self._wanted = -1
        """Offset of the message that must come first; -1: any may."""
        self._seals: dict[int, str] = {}
        self._task: asyncio.Task[None] | None = None
        self.mark = Mark()
        self.tags = Tracker()
        self.offsets = Tracker()
        self.prefix = ""

    async def begin(self, prefetch: int, first: Mark) -> Line:
        """Args: first: where to begin if it was never read. Returns its channel. Raises Unavailable, Refused."""
        kept = await self._place.open()
        self.mark = mark = first if kept is None else kept
        await self._place.write(mark)
        self.prefix = f"{self.name}@{mark.epoch}/" if mark.epoch else f"{self.name}/"
        if mark.next and mark.seal:
            self._wanted = mark.next - 1
        self._line = line = await self._link.line()
        line.on_delivery(self._on_delivery)
        line.channel.add_on_cancel_callback(lambda _: self._spawn(self._cancelled()))
        start = "next" if kept is None and mark.at_ms is not None else self._from(mark)
        await consume(line, self.name, prefetch, start)
        if self._wanted >= 0:
            self._spawn(self._suspect())
        return line

    @property
    def reached(self) -> int:
        """The offset after the last message taken."""
        return max(self.offsets.taken, self.mark.next or 0)

    def take(self, arrived: Arrived, offset: int) -> list[tuple[Tracker, Chunk]]:
        """Everything up to this message is in flight; returns what has to be acknowledged for it."""
        self._seals[offset + 1] = seal(arrived.body)
        return [(self.tags, self.tags.take(arrived.tag + 1)), (self.offsets, self.offsets.take(offset + 1))]

    def acknowledge(self) -> None:
        """Tell the server what is done, so that it sends more; `save` keeps it."""
        if self.tags.due and self._line is not None and self._line.broken is None:
            self._line.channel.basic_ack(self.tags.done - 1, multiple=True)
            self.tags.committed = self.tags.done

    async def save(self) -> None:
        """Write how far it was acknowledged, if that is further than before, or too long ago. Raises Unavailable."""
        if self.offsets.due:
            done = self.offsets.done
            mark = msgspec.structs.replace(self.mark, next=done, at_ms=None, seal=self._seals[done])
            await self._place.write(mark)
            self.mark = mark
            self.offsets.committed = max(self.offsets.committed, done)
            self._seals = {end: found for end, found in self._seals.items() if end > done}
        elif self._place.stale:
            await self._place.write(self.mark)

    async def close(self) -> None:
        """What is acknowledged is remembered. Raises nothing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            if self._link.broken is None and self.offsets.due:
                await self.save()
        except PortError as exc:
            # those messages come again, with the same ids
            log.warning("bridge.commit_failed", stream=self.name, error=str(exc))

    @staticmethod
    def _from(mark: Mark) -> int | str | datetime:
        if mark.next is not None:
            return mark.next - 1 if mark.seal and mark.next else mark.next
        if mark.at_ms is not None:
            return datetime.fromtimestamp(mark.at_ms / 1000, UTC)
        return "first"

    def _on_delivery(self, arrived: Arrived) -> None:
        found = properties(arrived.properties)
        offset = found.numbers.get(OFFSET, -1)
        if offset < 0:
            self._link.fail(Unavailable("source", f"the server sends messages of {self.name} without their offset"))
            return
        if self._wanted >= 0:
            wanted = self._wanted
            if offset <= wanted:
                self.tags.ack(self.tags.take(arrived.tag + 1))
                self.acknowledge()  # nobody else does: with a small prefetch nothing else would come
            if offset < wanted:
                return  # of the same chunk
            self._wanted = -1
            if offset == wanted:
                if seal(arrived.body) == self.mark.seal:
                    return  # the last one that was acknowledged: it is the same stream
                self._line = None
                self._spawn(self._remade())
            elif offset > wanted + 1:
                log.warning("bridge.deleted_by_retention", stream=self.name, messages=offset - wanted - 1)
        if self._line is None:
            return  # of another stream, which is begun anew
        if self.mark.first < 0:
            self.mark = msgspec.structs.replace(self.mark, first=offset, first_seal=seal(arrived.body))
        self._passed(self, arrived, found)

    def _spawn(self, work: Any) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(work, name=f"stream-{self.name}")

    async def _suspect(self) -> None:
        """
        The message that was acknowledged last does not come: the stream is another one, or we read from a replica that
        is behind. What was read first of all tells: only in another stream it is another message.
        """
        try:
            await asyncio.sleep(SUSPICIOUS_S)
            if self._wanted < 0 or self.mark.first < 0:
                return
            log.warning(
                "bridge.stream_ends_early",
                stream=self.name,
                acknowledged=self._wanted,
                mend="a replica that is behind will catch up; if the stream was made anew, rewind the bridge",
            )
            found: asyncio.Future[Arrived] = asyncio.get_running_loop().create_future()
            line = await self._link.line()

            def first(arrived: Arrived) -> None:
                if not found.done():
                    found.set_result(arrived)

            line.on_delivery(first)
            await consume(line, self.name, 1, self.mark.first)
            arrived = await found
            same = properties(arrived.properties).numbers.get(OFFSET) != self.mark.first
            if self._wanted >= 0 and not same and seal(arrived.body) != self.mark.first_seal:
                self._wanted, self._line = -1, None
                await self._remade()
        except PortError as exc:
            self._link.fail(exc)

    async def _cancelled(self) -> None:
        """The server has ended our consumer: the stream is deleted, or its node is going down."""
        words = f"the server has stopped the reading of {self.name}: its node goes down, or it was made anew"
        try:
            line = await self._link.line()
            await line.ask(line.channel.queue_declare, self.name, passive=True)
        except PortError as exc:
            if line.missing:
                await self._remade()
                words = f"the stream {self.name} was deleted"
            else:
                words = str(exc)
        self._link.fail(Unavailable("source", words))

    async def _remade(self) -> None:
        try:
            await self._place.write(Mark(new_epoch()))
        except PortError as exc:
            self._link.fail(exc)
            return
        self._link.fail(
            Unavailable("source", f"the stream {self.name} was deleted and made again: it is read from its beginning")
        )


async def forget(link: Link, name: str) -> None:
    """The stream that the place `name` is of, if there is such a place, is gone. Raises Unavailable, Refused."""
    line = await link.line()
    try:
        await line.ask(line.channel.queue_declare, name, passive=True)
    except PortError:
        if line.missing:
            return
        raise
    place = Place(line, name)
    mark = await place.open() or Mark()
    known = mark.epoch and mark == Mark(mark.epoch)
    await place.write(mark if known else Mark(new_epoch()))


async def consume(line: Line, stream: str, prefetch: int, offset: int | str | datetime) -> None:
    """Raises Unavailable, Refused."""
    channel = line.channel
    await line.ask(channel.basic_qos, prefetch_count=prefetch)
    await line.ask(channel.basic_consume, stream, _ignore, consumer_tag="0", arguments={OFFSET: offset})


def seal(body: bytes) -> str:
    """What a message is known by when it is seen again. Only its body: servers may write properties differently."""
    return sha256(body).hexdigest()[:32]


def _ignore(*_: object) -> None:
    """Deliveries go to the channel's sink."""
