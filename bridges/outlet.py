"""The way out of a bridge: a producer on our Kafka that gives up nothing, and says when a whole batch is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridges.reserve import Reserve
from hub.errors import Unavailable
from hub.log.fatal import Fatal, give_up, serve
from hub.log.sealing import Sealing
from hub.pipeline.data_keys import key_record

log: Final = structlog.get_logger()

POLL_S: Final = 0.001
"""How long after records were sent, or a report came, it is asked for more reports."""
MOST_POLL_S: Final = 0.1
"""The longer none comes, the seldomer it is asked, up to here: our Kafka may be away for long."""
PATIENCE: Final = 4
"""So much of the time since the last report passes until it is asked again: a quarter."""
REST_S: Final = 30.0
"""How long a bridge keeps its producer that has nothing to send: another one costs a message some milliseconds."""
FIRST_S: Final = 1.0
"""How long nothing else is sent behind the first shipment of all."""
OPTIONS: Final[Mapping[str, Any]] = {
    # Never give a record up by itself: librdkafka sends them again in their order, without doubles, however long our
    # Kafka is away. What is in flight is bounded by the forwarder, and the broker of the source still has all of it.
    "delivery.timeout.ms": 0,
    "queue.buffering.max.messages": 0,
    "queue.buffering.max.kbytes": 65_536,
    # messages come in batches, so their company is there at once: longer makes no larger requests, and each is later
    "linger.ms": 1,
}
"""To be laid over `hub.log.config.producer_config`."""


Headers: TypeAlias = "list[tuple[str, str | bytes | None]]"
"""Of a record on Kafka."""


class Shipment:
    """Records that were sent together."""

    __slots__ = ("error", "left", "on_done", "sent_at")

    def __init__(self, count: int, on_done: asyncio.Future[None], sent_at: float) -> None:
        """Args: count: at least 1. on_done: resolved on the loop. sent_at: loop time, seconds."""
        self.left = count
        self.error: KafkaError | None = None
        self.on_done = on_done
        self.sent_at = sent_at


class Outlet:
    """
    One producer of one bridge on one event loop: a callback a message, a future a shipment.

    The loop itself asks for delivery reports. A thread that waits for them would need the interpreter for each single
    one, and while messages are converted it would get it two hundred times a second.

    The producer is there while there is something to send: each has threads and buffers of its own, and of a hundred
    bridges most have nothing to do most of the time.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        *,
        rest_s: float = REST_S,
        sealing: Sealing | None = None,
        reserve: Reserve | None = None,
    ) -> None:
        """
        Args:
            config: librdkafka's producer options, OPTIONS included. topic: full name of events.v1.
            rest_s: The producer goes when it has had nothing to send for so long, seconds.
            sealing: Records are sealed before they are sent; None: they are not.
            reserve: Where producers come from, with options of its own; None: a new one each time.
        """
        self._sealing = sealing
        self._reserve = reserve
        if reserve is not None:
            reserve.prepare()
        self._loop = asyncio.get_running_loop()
        self._topic = topic
        self._config = {**config, "error_cb": self._on_error}
        self._rest_s = rest_s
        self._producer: Producer | None = None
        self._finished: list[Shipment] = []
        self._open = 0
        self._moved_at = 0.0
        """When records were sent or a report came, loop time."""
        self._timer: asyncio.Handle | None = None
        """When reports are asked for next, or when it rests if nothing is open."""
        self._asks_at = 0.0
        self._ending: asyncio.Task[None] | None = None
        self._progress = asyncio.Event()
        self._tried = False
        """Whether the first shipment was waited for."""

    @property
    def resting(self) -> bool:
        """Whether there is no producer now."""
        return self._producer is None

    async def send(
        self,
        records: Sequence[tuple[bytes, bytes, int]],
        landed: Callable[[int, int, int], None] | None = None,
        headers: Sequence[Headers | None] | None = None,
    ) -> Shipment:
        """
        Hand 1 or more (key, value, events) to the producer, in order. Waits while its buffer is full.

        Args:
            landed: Called once for each, on any thread, with events, partition and offset; with an offset below 0 when
                it did not get onto the log, as far as anybody knows.
            headers: Of each of the records; None: none has any.

        Returns: the shipment, whose `on_done` is resolved when Kafka has acknowledged all of it.
        Raises: Unavailable: the producer is broken; the bridge has to begin again.
        """
        if self._sealing is not None:
            try:
                records = await self._sealed(self._sealing, records)
            except BaseException:
                if landed is not None:
                    for _, _, events in records:
                        landed(events, -1, -1)
                raise
        shipment = await self._ship(self._topic, records, landed, headers)
        if not self._tried:
            # While the log is held (`hub.log.hold`) each of those under way is refused by itself. Of two, the second
            # could be taken just when that ends, before the first is sent again
            await asyncio.wait([shipment.on_done], timeout=FIRST_S)
            self._tried = True
        return shipment

    async def _sealed(
        self, sealing: Sealing, records: Sequence[tuple[bytes, bytes, int]]
    ) -> Sequence[tuple[bytes, bytes, int]]:
        """These records, sealed; their keys are durable. Raises Unavailable."""
        sealed, keys = [], []
        for key, clear, events in records:
            value, data_key = sealing.sealer.seal(clear)
            sealed.append((key, value, events))
            if data_key is not None:
                keys.append((*key_record(data_key), 0))
        if keys:
            await (await self._ship(sealing.topic, keys, None)).on_done
        return sealed

    async def _ship(
        self,
        topic: str,
        records: Sequence[tuple[bytes, bytes, int]],
        landed: Callable[[int, int, int], None] | None,
        headers: Sequence[Headers | None] | None = None,
    ) -> Shipment:
        shipment = Shipment(len(records), self._loop.create_future(), self._loop.time())
        produce = self._opened().produce
        self._open += 1
        self._moved_at = shipment.sent_at
        self._ask_by(shipment.sent_at + POLL_S)

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                shipment.error = error
            shipment.left -= 1
            if not shipment.left:
                self._finished.append(shipment)

        def placed(events: int, error: KafkaError | None, message: Message) -> None:
            assert landed is not None
            landed(events, message.partition() or 0, message.offset() or 0 if error is None else -1)
            delivered(error, message)

        produced = 0
        try:
            for key, value, events in records:
                report = delivered if landed is None else partial(placed, events)
                while True:
                    try:
                        if headers is None:
                            produce(topic, value, key, on_delivery=report)
                        else:
                            produce(topic, value, key, on_delivery=report, headers=headers[produced])
                        break
                    except BufferError:
                        self._progress.clear()
                        await self._progress.wait()
                    except KafkaException as exc:
                        raise Unavailable("kafka", exc.args[0].str()) from exc
                produced += 1
        finally:
            if landed is not None:
                for _, _, events in records[produced:]:
                    landed(events, -1, -1)
        return shipment

    async def close(self) -> None:
        """Ends the producer; what it still holds is thrown away, unacknowledged at the source."""
        if self._timer is not None:
            self._timer.cancel()
        self._end()
        if self._ending is not None:
            await self._ending

    def _opened(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._config) if self._reserve is None else self._reserve.take()
        return self._producer

    def _end(self) -> None:
        """On a thread: it may take a while."""
        producer, self._producer = self._producer, None
        if producer is not None:
            self._ending = asyncio.create_task(asyncio.to_thread(_end, [producer]), name="bridge-outlet-end")

    def _ask_by(self, at: float) -> None:
        """Not later, that is: who sends again and again puts it off no further. Args: at: loop time."""
        if self._timer is not None:
            if self._asks_at <= at:
                return
            self._timer.cancel()
        self._timer, self._asks_at = self._loop.call_at(at, self._ask), at

    def _ask(self) -> None:
        """For delivery reports. When nothing is open it has rested long enough to go."""
        self._timer = None
        if not self._open:
            self._end()
            return
        now = self._loop.time()
        if self._served():
            self._moved_at = now
            self._settle()
        wait_s = min(max(POLL_S, (now - self._moved_at) / PATIENCE), MOST_POLL_S) if self._open else self._rest_s
        self._ask_by(now + wait_s)

    def _served(self) -> bool:
        """Whether anything was told. Of a fatal error all shipments are told, and the bridge begins again."""
        try:
            return serve(self._opened(), 0) > 0
        except Fatal:
            return True

    def _settle(self) -> None:
        finished, self._finished = self._finished, []
        self._progress.set()
        self._open -= len(finished)
        for shipment in finished:
            if shipment.on_done.done():
                continue  # whoever waited has been cancelled
            if shipment.error is None:
                shipment.on_done.set_result(None)
            else:
                shipment.on_done.set_exception(Unavailable("kafka", shipment.error.str()))

    def _on_error(self, error: KafkaError) -> None:
        log.warning("outlet.trouble", topic=self._topic, error=error.str())


def _end(only: list[Producer]) -> None:
    """Throws away what it holds, and the producer with it. Args: only: the last reference to it."""
    give_up(only[0])
    only.clear()
