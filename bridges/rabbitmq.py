"""RabbitMQ as a source: classic queues, quorum queues and streams, over AMQP 0-9-1."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import structlog
from msgspec.structs import replace
from pydantic import AfterValidator, BeforeValidator, Field

from bridges.amqp import Arrived, Properties, properties
from bridges.base import WAIT_S, Batch, Bridge, BridgeSpec, Context, Delivery, Part, Rewind
from bridges.bell import pause
from bridges.network import TlsSettings, tls_context
from bridges.offsets import Chunk, Tracker
from bridges.rabbitmq_link import OFFSET, PORTS, Line, Link, Server
from bridges.rabbitmq_message import RabbitmqDelivery, delivery
from bridges.rabbitmq_stream import Mark, Place, Reader, consume, forget, place_name
from hub.definitions.secrets import SecretRef, resolve
from hub.errors import PortError, Refused, Unavailable

log: Final = structlog.get_logger()

GATHER_S: Final = 0.002
"""How long it then waits for company: two milliseconds of latency for batches instead of single messages."""
TICK_S: Final = 0.5
"""How often offsets of streams are written; twice as long passes between two looks at the lag."""
HELD_BYTES: Final = 64 * 1024 * 1024
"""Messages that wait to be taken; above it the connection is not read."""
PEEK_S: Final = 2.0
"""How long a sample of a stream waits for its newest message: an empty one has none."""
GUEST: Final = "guest"
LONGEST_OFFSET: Final = 18
"""Digits that are surely below 2^63."""


def _addresses(urls: list[str]) -> list[str]:
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("write amqp://host:port/vhost, or amqps://host:port/vhost for TLS")
        if "@" in parts.netloc:
            raise ValueError("leave the user and the password out of the URL: there are `username` and `password`")
        if parts.query or parts.fragment or "/" in parts.path[1:]:
            raise ValueError("only the virtual host may follow the port, with / in its name written as %2F")
    return urls


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a queue is there twice")
    return names


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class RabbitmqServer(TlsSettings, frozen=True, extra="forbid"):
    """Settings that say where RabbitMQ is, and who we are there."""

    url: Annotated[
        list[str],
        BeforeValidator(_list),
        AfterValidator(_addresses),
        Field(
            min_length=1,
            description="The server, amqp://host:port/vhost (5672 and / if left out), amqps:// for TLS (5671); or a "
            "list of a cluster's, of which the first that answers is used.",
        ),
    ]
    username: Annotated[str, Field(description="Who we are there.")] = GUEST
    password: Annotated[SecretRef, Field(description="As env:NAME. Empty for the user guest: guest.")] = ""


class RabbitmqSettings(RabbitmqServer, frozen=True, extra="forbid"):
    """Settings of a bridge of type `rabbitmq`."""

    queues: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=255)]],
        BeforeValidator(_list),
        AfterValidator(_different),
        Field(min_length=1, description="Queues and streams to read: one name, or a list."),
    ]
    prefetch: Annotated[
        int,
        Field(
            ge=1, le=65_535, description="Most messages that the server sends before the first of them is acknowledged."
        ),
    ] = 1_000
    start: Annotated[
        Literal["earliest", "latest"], Field(description="Streams: where a bridge begins that has never read it.")
    ] = "earliest"
    id_from: Annotated[
        Literal["message_id", "none"],
        Field(description="What tells a queue's messages apart; none: senders use one message_id for several."),
    ] = "message_id"


class _Held(NamedTuple):
    """A message that came and was not taken. `reader`: its stream's; None: of a queue."""

    queue: str
    arrived: Arrived
    reader: Reader | None
    properties: Properties | None


def servers(settings: RabbitmqServer, context: Context) -> list[Server]:
    """Those of the settings. Raises Refused: a file or variable that they name is not there."""
    password = resolve(settings.password, context.environ)
    if not password and settings.username == GUEST:
        password = GUEST
    tls = tls_context(settings) if any(url.startswith("amqps:") for url in settings.url) else None
    name = f"thamesthrive-hub {context.namespace}.bridge.{context.bridge}"
    return [
        Server(url, settings.username, password, tls if url.startswith("amqps:") else None, name)
        for url in settings.url
    ]


class RabbitmqBridge(Bridge):
    """
    Consumers on one connection: all queues on one channel, each stream on its own.

    What is acknowledged is acknowledged with everything before it, so one frame does for a batch.
    """

    def __init__(self, settings: RabbitmqSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._link: Link | None = None
        self._queues: Line | None = None
        self._side: Line | None = None
        """For questions, which may end a channel."""
        self._readers: list[Reader] = []
        self._tags = Tracker()
        self._held: deque[_Held] = deque()
        self._held_bytes = 0
        self._arrival = asyncio.Event()
        self._in_flight = 0
        self._moved = False
        self._lags: dict[str, int] = {}
        self._positions: dict[str, str] = {}
        self._error: PortError | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Raises Unavailable: no server, or a queue is missing. Refused: it does not let us in, or read."""
        link = await self._open()
        queues = []
        for name in self._settings.queues:
            if await self._is_stream(link, name):
                await self._read(link, name)
            else:
                queues.append(name)
        if queues:
            self._queues = await self._consume(link, queues, self._settings.prefetch)
        self._ticking = asyncio.create_task(self._tick(), name=f"rabbitmq-{self._context.bridge}")

    async def take(self, limit: int) -> Batch:
        """See Bridge.take."""
        self._raise_broken()
        if not self._held:
            self._arrival.clear()
            try:
                async with asyncio.timeout(WAIT_S):
                    await self._arrival.wait()
            except TimeoutError:
                self._raise_broken()
                return Batch([])
        # a wait of nothing, where there is enough: the loop is everybody's
        await asyncio.sleep(GATHER_S if len(self._held) < limit else 0)
        self._raise_broken()
        return self._batch(min(limit, len(self._held)))

    async def ack(self, batch: Batch) -> None:
        """Tells the server; how far a stream was forwarded is written half a second later, or at close."""
        for tracker, chunk in batch.token or ():
            tracker.ack(chunk)
        self._in_flight -= len(batch.deliveries)
        self._raise_broken()
        self._acknowledge()

    async def close(self) -> None:
        """See Bridge.close."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        for reader in self._readers:
            await reader.close()
        link, self._link = self._link, None
        if link is not None:
            await link.close()
        self._held.clear()

    def lag(self) -> int | None:
        """Messages at the server, as of a second ago, and those that it sent and nobody has asked for."""
        return sum(self._lags.values()) + len(self._held) if self._lags else None

    def parts(self) -> Sequence[Part]:
        """One for each queue or stream."""
        here = Counter(held.queue for held in self._held)
        return [
            Part(name, self._lags[name] + here[name] if name in self._lags else None, self._positions.get(name, ""))
            for name in self._settings.queues
        ]

    async def sample(self, limit: int) -> Sequence[Delivery]:
        """
        A stream's newest messages, without touching the bridge's offset; a queue's first, which go back at once.

        Raises: Unavailable, Refused.
        """
        found: list[Delivery] = []
        try:
            link = await self._open()
            queues = []
            for name in self._settings.queues:
                if await self._is_stream(link, name):
                    found += await self._peek(link, name, limit - len(found))
                else:
                    queues.append(name)
            if queues and len(found) < limit:
                self._queues = await self._consume(link, queues, limit)
                found += (await self.take(limit - len(found))).deliveries
            return found
        finally:
            await self.close()

    async def rewind(self, to: Rewind) -> None:
        """
        Streams only; `offset` is a number, or a position such as `orders/17`.

        Raises: Unavailable: the bridge is still reading. Refused: a queue keeps nothing; or there is no such offset.
        """
        names, begin = _beginning(to, self._settings.queues)
        try:
            link = await self._open()
            for name in names:
                if not await self._is_stream(link, name):
                    raise Refused("source", f"{name} is a queue, which keeps no message that is acknowledged")
                place = Place(await link.line(), self._place(name))
                mark = await place.open() or Mark()
                await place.write(replace(mark, **{"next": None, "at_ms": None, "seal": "", **begin}))
        finally:
            await self.close()

    async def _open(self) -> Link:
        self._link = link = Link(servers(self._settings, self._context))
        await link.open()
        return link

    def _place(self, stream: str) -> str:
        return place_name(stream, self._context.namespace, self._context.bridge)

    async def _is_stream(self, link: Link, name: str) -> bool:
        """Only a stream takes an offset; a server tells of no other way. Raises Unavailable: it is not there."""
        line = await link.line()
        try:
            await line.ask(line.channel.queue_declare, name, passive=True)
            await consume(line, name, 1, "next")
        except PortError:
            if line.missing:
                await forget(link, self._place(name))
            if line.takes_no_offset:
                return False
            raise
        await line.close()
        return True

    async def _consume(self, link: Link, names: list[str], prefetch: int) -> Line:
        line = await link.line()
        line.on_delivery(self._receive(names))
        line.channel.add_on_cancel_callback(
            lambda cancelled: self._fail(
                Unavailable(
                    "source",
                    f"the server has stopped the reading of {names[int(cancelled.method.consumer_tag)]}: the queue was "
                    "deleted, or its node goes down",
                )
            )
        )
        line.on_broken(lambda: self._fail(line.broken))
        await line.ask(line.channel.basic_qos, prefetch_count=max(1, prefetch // len(names)))
        for number, name in enumerate(names):
            await line.ask(line.channel.basic_consume, name, _ignore, consumer_tag=str(number))
        return line

    def _receive(self, names: list[str]) -> Callable[[Arrived], None]:
        by_tag = {str(number).encode(): name for number, name in enumerate(names)}
        return lambda arrived: self._hold(_Held(by_tag[arrived.consumer], arrived, None, None))

    def _hold(self, held: _Held) -> None:
        self._held.append(held)
        self._held_bytes += len(held.arrived.body)
        if self._held_bytes > HELD_BYTES and self._link is not None:
            self._link.pause()
        self._arrival.set()

    async def _read(self, link: Link, name: str) -> None:
        place = Place(await link.line(), self._place(name))
        reader = Reader(link, name, place, lambda of, arrived, found: self._hold(_Held(of.name, arrived, of, found)))
        self._readers.append(reader)
        first = Mark() if self._settings.start == "earliest" else Mark(at_ms=time.time_ns() // 1_000_000)
        line = await reader.begin(max(1, self._settings.prefetch // len(self._settings.queues)), first)
        line.on_broken(lambda: self._fail(line.broken))

    def _batch(self, count: int) -> Batch:
        deliveries: list[Delivery] = []
        token: list[tuple[Tracker, Chunk]] = []
        queued = 0
        last: dict[Reader, tuple[Arrived, int]] = {}
        for _ in range(count):
            queue, arrived, reader, found = self._held.popleft()
            self._held_bytes -= len(arrived.body)
            if reader is None:
                queued = arrived.tag
                made = self._delivery(queue, arrived, properties(arrived.properties))
            else:
                assert found is not None
                offset = found.numbers.get(OFFSET, 0)
                last[reader] = arrived, offset
                made = self._delivery(queue, arrived, found, offset, reader.prefix)
            deliveries.append(made)
            self._positions[queue] = made.position
        if queued:
            token.append((self._tags, self._tags.take(queued + 1)))
        for reader, (arrived, offset) in last.items():
            token += reader.take(arrived, offset)
        if self._held_bytes <= HELD_BYTES // 2 and self._link is not None:
            self._link.resume()
        self._in_flight += count
        self._moved = True
        return Batch(deliveries, token)

    def _delivery(
        self, queue: str, arrived: Arrived, found: Properties, offset: int | None = None, prefix: str = ""
    ) -> RabbitmqDelivery:
        if offset is not None:
            position = f"{prefix}{offset}"
        elif found.message_id and self._settings.id_from == "message_id":
            position = f"{queue}/{found.message_id}"
        else:
            position = f"{queue}/{uuid.uuid4()}"
        return delivery(queue, position, arrived, found, offset)

    def _acknowledge(self) -> None:
        if self._tags.due and self._queues is not None:
            self._queues.channel.basic_ack(self._tags.done - 1, multiple=True)
            self._tags.committed = self._tags.done
        for reader in self._readers:
            reader.acknowledge()

    def _raise_broken(self) -> None:
        if self._error is not None:
            raise self._error
        if self._link is None:
            raise Unavailable("source", "the bridge is closed")
        if self._link.broken is not None:
            raise self._link.broken

    def _fail(self, error: PortError | None) -> None:
        self._error = self._error or error
        self._arrival.set()

    async def _tick(self) -> None:
        """Offsets are written, and the lag is asked for where it can have changed."""
        at = 0.0
        try:
            while True:
                await pause(TICK_S if self._readers else 2 * TICK_S)
                for reader in self._readers:
                    await reader.save()
                if time.monotonic() - at >= 2 * TICK_S:
                    at = time.monotonic()
                    await self._measure()
        except PortError as exc:
            self._fail(exc)

    async def _measure(self) -> None:
        """Nothing waits where nothing is in flight and nothing has come: the server would have sent it."""
        if not (self._moved or self._in_flight or self._held):
            self._lags = dict.fromkeys(self._settings.queues, 0)
            return
        self._moved = False
        assert self._link is not None
        streams = {reader.name: reader for reader in self._readers}
        for name in self._settings.queues:
            if name in streams:
                last = await self._last_offset(self._link, name)
                if last is not None:
                    here = sum(held.queue == name for held in self._held)
                    self._lags[name] = max(0, last + 1 - streams[name].reached - here)
            else:
                if self._side is None:
                    self._side = await self._link.line()
                answer = await self._side.ask(self._side.channel.queue_declare, name, passive=True)
                self._lags[name] = answer.method.message_count

    async def _last_offset(self, link: Link, stream: str) -> int | None:
        """Of the first message of its newest chunk: some tens of messages from its end; None: it is empty."""
        arrived = await self._some(link, stream, "last", 1)
        return properties(arrived[0].properties).numbers.get(OFFSET) if arrived else None

    async def _peek(self, link: Link, stream: str, limit: int) -> list[Delivery]:
        last = await self._last_offset(link, stream)
        if last is None or limit <= 0:
            return []
        arrived = await self._some(link, stream, max(0, last - limit + 1), limit)
        found = [(each, properties(each.properties)) for each in arrived]
        return [
            self._delivery(stream, each, its, its.numbers.get(OFFSET, 0), f"{stream}/") for each, its in found[:limit]
        ]

    async def _some(self, link: Link, stream: str, offset: int | str, limit: int) -> list[Arrived]:
        """What is there from `offset` on, without a trace; waits `PEEK_S` for it."""
        arrived: list[Arrived] = []
        enough = asyncio.Event()

        def add(each: Arrived) -> None:
            arrived.append(each)
            if len(arrived) >= limit:
                enough.set()

        line = await link.line()
        try:
            line.on_delivery(add)
            await consume(line, stream, limit, offset)
            async with asyncio.timeout(PEEK_S):
                await enough.wait()
        except TimeoutError:
            pass
        finally:
            await line.close()
        return arrived


def _beginning(to: Rewind, names: list[str]) -> tuple[list[str], dict[str, int]]:
    """Which streams are rewound, and what their marks say. Raises Refused: that is no offset of theirs."""
    if to.to == "beginning":
        return names, {}
    if to.to == "time":
        return names, {"at_ms": to.at_ms}
    stream, _, offset = to.offset.rpartition("/")
    stream = stream.partition("@")[0] or (names[0] if len(names) == 1 else "")
    if stream not in names or not (offset.isascii() and offset.isdigit()) or len(offset) > LONGEST_OFFSET:
        raise Refused("source", f"{to.offset!r} is no offset here: write {names[0]}/17, the stream and a number")
    return [stream], {"next": int(offset)}


def _ignore(*_: object) -> None:
    """Deliveries go to the channel's sink."""


SPEC: Final = BridgeSpec(
    "rabbitmq",
    "Read queues and streams of a RabbitMQ.",
    RabbitmqSettings,
    RabbitmqBridge,
    frozenset({"beginning", "time", "offset"}),
)
