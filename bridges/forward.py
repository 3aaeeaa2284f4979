"""The forwarder: takes batches from a bridge, puts them onto events.v1, acknowledges what Kafka has."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from bridges.base import Batch, Bridge, Delivery
from bridges.convert import Converted, Converter
from bridges.kept import NotByItself
from bridges.outlet import Headers, Outlet, Shipment
from hub.edge.token_bucket import TokenBucket
from hub.errors import Unavailable
from hub.log.bulk import BulkWindow
from hub.pipeline.stop_rule import StopRule
from hub.store.port import Blobs


class TooMuchRefused(NotByItself):
    """The stop rule: most of what comes makes no payload, so it is the mapping that is wrong, not the messages."""

    def __init__(self, detail: str) -> None:
        """Args: detail: how things stand."""
        super().__init__(
            "bridge",
            f"{detail}. The messages stay in the source. Save the bridge with a mapping that fits, or start it again "
            "as it is, and it goes on (docs/dead-letters.md)",
        )


log: Final = structlog.get_logger()

HELD_S: Final = 0.5
"""How long a stop may take that finds the forwarder waiting for live events."""
LARGEST_BATCH: Final = 500
"""Conversion blocks the loop: 500 messages of ordinary size are about 10 ms."""
TURNS: Final = 3
"""Of the loop, before that: a bridge that reads ahead asks for its next messages, and its server works meanwhile."""


NOTHING: Final = Batch(())


class Observer(Protocol):
    """Who is told what the forwarder does; all calls on the loop."""

    def taken(self, messages: int, in_flight: int, lag: int | None) -> None:
        """A batch came from the source."""
        ...

    def refused(self, reason: str) -> None:
        """A message is on its way to the dead letters."""
        ...

    def acknowledged(self, messages: int, in_flight: int) -> None:
        """Our Kafka has them, and the source has been told."""
        ...

    def stalled(self, waiting_s: float) -> None:
        """Our Kafka has not acknowledged for so long; nothing more is taken until it does."""
        ...

    def resumed(self) -> None:
        """It does again."""
        ...


class Forwarded(Protocol):
    """A batch of which some messages belong to traces."""

    def headers(self, place: int) -> Headers | None:
        """Of the record of the message at this place in the batch."""
        ...

    def done(self, *_: object) -> None:
        """Kafka has the batch, or never will."""
        ...


class Traces(Protocol):
    """Of a bridge: `hub.telemetry.bridging.Bridging`."""

    def batch(self, deliveries: Sequence[Delivery]) -> Forwarded | None:
        """None: none of these messages belongs to a trace that is kept."""
        ...


class _InFlight(NamedTuple):
    batch: Batch
    shipments: Sequence[Shipment]


class Forwarder:
    """
    One bridge's messages on their way: forwarded in the order of the source, many in flight, none acknowledged early.

    Batches are acknowledged in the order in which they were taken. No task and no future per message: at 600 bytes a
    message an asyncio future costs more than its conversion.
    """

    def __init__(
        self,
        bridge: Bridge,
        converter: Converter,
        outlet: Outlet,
        blobs: Blobs,
        observer: Observer,
        *,
        in_flight: int,
        stall_s: float,
        stop_rule: StopRule,
        now_ms: Callable[[], int],
        bulk: BulkWindow | None = None,
        rate_limit: float = 0.0,
        clock: Callable[[], float] | None = None,
        traces: Traces | None = None,
    ) -> None:
        """
        Args:
            bridge: Connected.
            in_flight: Most messages between the source and our Kafka.
            stall_s: How old the oldest of them may be before nothing more is taken.
            stop_rule: Outlives the forwarder: a new connection does not make the messages better.
            now_ms: Milliseconds since 1970.
            bulk: Where messages wait for live events; None: they do not.
            rate_limit: Most messages a second; 0: as many as come.
            clock: Seconds, for the rate limit; None: the loop's.
            traces: None: nobody wants any.
        """
        self._clock = clock or asyncio.get_running_loop().time
        self._bucket = TokenBucket(rate_limit, self._clock()) if rate_limit else None
        self._bridge = bridge
        self._converter = converter
        self._outlet = outlet
        self._blobs = blobs
        self._observer = observer
        self._limit = in_flight
        self._stall_s = stall_s
        self._stop_rule = stop_rule
        self._now_ms = now_ms
        self._bulk = bulk
        self._traces = traces
        self._sent: deque[_InFlight] = deque()
        self._count = 0
        self._shipped = asyncio.Event()
        self._changed = asyncio.Event()
        """Something was acknowledged, or the acknowledging failed, or it is time to stop."""
        self._stopping = False
        self._taking: asyncio.Timeout | None = None
        self._acks: asyncio.Task[None]

    @property
    def in_flight(self) -> int:
        """Messages that were taken and are not acknowledged."""
        return self._count

    def stop(self) -> None:
        """Take nothing more; `run` returns when what is in flight is acknowledged, or after `stall_s` seconds."""
        self._stopping = True
        self._changed.set()
        if self._taking is not None:
            taking, self._taking = self._taking, None
            taking.reschedule(0.0)

    async def run(self) -> None:
        """
        Forward until `stop` is called.

        Raises: Unavailable, Refused: from source, store or our Kafka. The source still has what is unacknowledged.
        """
        self._acks = asyncio.create_task(self._acknowledge(), name="acknowledge")
        self._acks.add_done_callback(lambda _: self._changed.set())
        try:
            while room := await self._room():
                batch = await self._take(min(room, LARGEST_BATCH))
                if batch.deliveries:
                    if self._bucket is not None:
                        self._bucket.spend(len(batch.deliveries))
                    await self._forward(batch)
            await self._drain()
        finally:
            self._acks.cancel()
            await asyncio.gather(self._acks, return_exceptions=True)
            for sent in self._sent:
                for shipment in sent.shipments:
                    shipment.on_done.cancel()  # nobody waits for it any more

    async def _take(self, limit: int) -> Batch:
        """NOTHING, if a stop has ended it. A time-out of the bridge's own is an error like any other."""
        ends = self._taking = asyncio.timeout(None)
        try:
            async with ends:
                return await self._bridge.take(limit)
        except TimeoutError:
            if not ends.expired():
                raise
            return NOTHING
        finally:
            self._taking = None

    async def _room(self) -> int:
        """How many messages may be taken: waits until it is one at least; 0 when it is time to stop."""
        stalled = False
        while not self._stopping:
            self._raise_failed_ack()
            unpaced = self._limit if self._bucket is None else self._bucket.room(self._clock())
            waiting_s = asyncio.get_running_loop().time() - self._sent[0].shipments[0].sent_at if self._sent else 0.0
            if waiting_s >= self._stall_s and not stalled:
                stalled = True
                self._observer.stalled(waiting_s)
            elif waiting_s < self._stall_s:
                if stalled:
                    stalled = False
                    self._observer.resumed()
                room = min(self._limit - self._count, unpaced)
                if room > 0:
                    return room
            wait_s = None if stalled else self._stall_s - waiting_s
            if self._bucket is not None and not unpaced:
                wait_s = min(self._bucket.wait_s, wait_s or self._bucket.wait_s)
            await self._change(wait_s)
        return 0

    async def _change(self, timeout_s: float | None) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

    async def _forward(self, batch: Batch) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        now_ms = self._now_ms()
        made = [self._converter.convert(delivery, now_ms) for delivery in batch.deliveries]
        await self._judge(made)
        self._count += len(batch.deliveries)
        self._observer.taken(len(batch.deliveries), self._count, self._bridge.lag())
        for converted in made:
            if converted.reason is not None:
                self._observer.refused(converted.reason)
            if converted.blob is not None:
                await asyncio.to_thread(self._blobs.put_blob, converted.blob)
        forwarded = None if self._traces is None else self._traces.batch(batch.deliveries)
        shipments = await self._ship(made, forwarded)
        if forwarded is not None:
            shipments[-1].on_done.add_done_callback(forwarded.done)
        self._sent.append(_InFlight(batch, shipments))
        self._shipped.set()

    async def _ship(self, made: Sequence[Converted], forwarded: Forwarded | None) -> list[Shipment]:
        """Send all, in as many parts as live events leave room for."""
        bulk = self._bulk
        headers = None if forwarded is None else [forwarded.headers(place) for place in range(len(made))]
        if bulk is None:
            return [await self._outlet.send([(one.key, one.value, one.events) for one in made], headers=headers)]
        shipments: list[Shipment] = []
        part: list[tuple[bytes, bytes, int]] = []
        first = 0
        for place, one in enumerate(made):
            if not bulk.try_enter(one.events):
                if part:
                    shipments.append(await self._outlet.send(part, bulk.landed, headers and headers[first:place]))
                    part, first = [], place
                await self._enter(bulk, one.events)
            part.append((one.key, one.value, one.events))
        shipments.append(await self._outlet.send(part, bulk.landed, headers and headers[first:]))
        return shipments

    async def _enter(self, bulk: BulkWindow, events: int) -> None:
        # Nobody is delayed by us while nothing is stored, and not every source keeps its messages for long: the log
        # does. And who is asked to stop shall not wait: what is left of one batch delays nobody.
        while not (bulk.stuck or self._stopping):
            try:
                await bulk.enter(events, HELD_S)
                return
            except Unavailable:
                continue
        bulk.force(events)

    async def _judge(self, made: Sequence[Converted]) -> None:
        """Raises TooMuchRefused, with these messages still the source's and those before acknowledged."""
        reasons = [converted.reason for converted in made if converted.reason is not None]
        self._stop_rule.add(len(made), len(reasons))
        if self._stop_rule.broken:
            await self._drain()
            raise TooMuchRefused(f"{self._stop_rule}; the newest: {', '.join(sorted(set(reasons))) or 'before these'}")

    async def _acknowledge(self) -> None:
        while True:
            while not self._sent:
                self._shipped.clear()
                await self._shipped.wait()
            batch, shipments = self._sent[0]
            for shipment in shipments:
                await shipment.on_done
            await self._bridge.ack(batch)
            self._sent.popleft()
            self._count -= len(batch.deliveries)
            self._observer.acknowledged(len(batch.deliveries), self._count)
            self._changed.set()

    async def _drain(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._stall_s
        while self._count and not self._acks.done():
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                log.warning("bridge.left_in_flight", messages=self._count)
                return
            await self._change(left_s)
        self._raise_failed_ack()

    def _raise_failed_ack(self) -> None:
        if self._acks.done():
            self._acks.result()
