"""The way out of a bridge: a producer on our Kafka that gives up nothing, and says when a whole batch is durable."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hub.errors import Unavailable
from hub.log.fatal import Fatal, give_up, serve
from hub.log.sealing import Sealing
from hub.pipeline.data_keys import key_record

log: Final = structlog.get_logger()

POLL_S: Final = 0.2
REST_S: Final = 30.0
"""How long a bridge keeps its producer that has nothing to send: a new one costs a message some milliseconds."""
OPTIONS: Final[Mapping[str, Any]] = {
    # Never give a record up by itself: librdkafka sends them again in their order, without doubles, however long our
    # Kafka is away. What is in flight is bounded by the forwarder, and the broker of the source still has all of it.
    "delivery.timeout.ms": 0,
    "queue.buffering.max.messages": 0,
    "queue.buffering.max.kbytes": 65_536,
    # thousands are under way, so waiting for company costs nobody anything and makes larger batches
    "linger.ms": 5,
}
"""To be laid over `hub.log.config.producer_config`."""


class Shipment:
    """Records that were sent together. `left` is written by the poll thread only."""

    __slots__ = ("error", "left", "on_done", "sent_at")

    def __init__(self, count: int, on_done: asyncio.Future[None], sent_at: float) -> None:
        """Args: count: at least 1. on_done: resolved on the loop. sent_at: loop time, seconds."""
        self.left = count
        self.error: KafkaError | None = None
        self.on_done = on_done
        self.sent_at = sent_at


class Outlet:
    """
    One producer of one bridge on one event loop: a callback a message, a wake-up a poll, a future a shipment.

    The producer is there while there is something to send: each has threads and buffers of its own, and of a hundred
    bridges most have nothing to do most of the time.
    """

    def __init__(
        self, config: Mapping[str, Any], topic: str, *, rest_s: float = REST_S, sealing: Sealing | None = None
    ) -> None:
        """
        Args:
            config: librdkafka's producer options, OPTIONS included. topic: full name of events.v1.
            rest_s: The producer goes when it has had nothing to send for so long, seconds.
            sealing: Records are sealed before they are sent; None: they are not.
        """
        self._sealing = sealing
        self._loop = asyncio.get_running_loop()
        self._topic = topic
        self._config = {**config, "error_cb": self._on_error}
        self._rest_s = rest_s
        self._line: _Line | None = None
        self._rested: _Line | None = None
        self._open = 0
        self._used_at = 0.0
        self._progress = asyncio.Event()

    @property
    def resting(self) -> bool:
        """Whether there is no producer now."""
        return self._line is None

    async def send(
        self, records: Sequence[tuple[bytes, bytes, int]], landed: Callable[[int, int, int], None] | None = None
    ) -> Shipment:
        """
        Hand 1 or more (key, value, events) to the producer, in order. Waits while its buffer is full.

        Args:
            landed: Called once for each, on any thread, with events, partition and offset; with an offset below 0 when
                it did not get onto the log, as far as anybody knows.

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
        return await self._ship(self._topic, records, landed)

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
    ) -> Shipment:
        shipment = Shipment(len(records), self._loop.create_future(), self._loop.time())
        line = self._line = self._line or _Line(self._config, self._settle, self._loop, self._rest_s)
        self._open += 1
        self._used_at = shipment.sent_at
        produce = line.producer.produce

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                shipment.error = error
            shipment.left -= 1
            if not shipment.left:
                line.finished.append(shipment)

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
                        produce(topic, value, key, on_delivery=report)
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
        lines = (self._line, self._rested)
        self._line = self._rested = None
        for line in lines:
            if line is not None:
                await asyncio.to_thread(line.end)

    def _settle(self, line: _Line, finished: list[Shipment]) -> None:
        """Called for each poll that brought something, and at times for one that did not."""
        self._progress.set()
        self._open -= len(finished)
        for shipment in finished:
            if shipment.on_done.done():
                continue  # whoever waited has been cancelled
            if shipment.error is None:
                shipment.on_done.set_result(None)
            else:
                shipment.on_done.set_exception(Unavailable("kafka", shipment.error.str()))
        now = self._loop.time()
        if finished or self._open:
            self._used_at = now
        elif self._line is line and now - self._used_at >= self._rest_s:
            self._line, self._rested = None, line
            line.rest()

    def _on_error(self, error: KafkaError) -> None:
        log.warning("outlet.trouble", topic=self._topic, error=error.str())


class _Line:
    """A producer and the thread that polls it."""

    def __init__(
        self,
        config: Mapping[str, Any],
        settle: Callable[[_Line, list[Shipment]], None],
        loop: asyncio.AbstractEventLoop,
        rest_s: float,
    ) -> None:
        self.producer = Producer(dict(config))
        self.finished: list[Shipment] = []
        self._settle = settle
        self._loop = loop
        self._rest_s = rest_s
        self._stop = self._resting = False
        self._thread = threading.Thread(target=self._poll, name="bridge-outlet", daemon=True)
        self._thread.start()

    def rest(self) -> None:
        """Nothing is in it: the thread ends soon, and the producer with it."""
        self._resting = self._stop = True

    def end(self) -> None:
        """Blocks until the thread has ended, which calls into the loop. What is in it is thrown away."""
        self._stop = True
        self._thread.join()
        if self._resting:
            return
        give_up(self.producer)
        del self.producer  # it holds our callback, so the two would wait for the garbage collector

    def _poll(self) -> None:
        moved_at = time.monotonic()
        while not self._stop:
            now = time.monotonic()
            if self._served():
                moved_at = now
            elif now - moved_at < self._rest_s:
                continue
            else:
                moved_at = now  # nothing for long: the loop decides whether that is all
            finished, self.finished = self.finished, []
            self._loop.call_soon_threadsafe(self._settle, self, finished)
        if self._resting:
            del self.producer

    def _served(self) -> bool:
        """Whether anything was told. Of a fatal error all shipments are told, and the bridge begins again."""
        try:
            return serve(self.producer, POLL_S) > 0
        except Fatal:
            return True
