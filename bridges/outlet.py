"""The way out of a bridge: a producer on our Kafka that gives up nothing, and says when a whole batch is durable."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hub.errors import Unavailable

log: Final = structlog.get_logger()

POLL_S: Final = 0.2
PURGE_S: Final = 1.0
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
    """One producer of one bridge on one event loop: a callback a message, a wake-up a poll, a future a shipment."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        """Args: config: librdkafka's producer options, OPTIONS included. topic: full name of events.v1."""
        self._loop = asyncio.get_running_loop()
        self._topic = topic
        self._producer = Producer({**config, "error_cb": self._on_error})
        self._finished: list[Shipment] = []
        self._progress = asyncio.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._poll, name="bridge-outlet", daemon=True)
        self._thread.start()

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
        shipment = Shipment(len(records), self._loop.create_future(), self._loop.time())
        produce, topic = self._producer.produce, self._topic

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
        self._stop = True
        await asyncio.to_thread(self._thread.join)
        self._producer.purge()
        await asyncio.to_thread(self._producer.flush, PURGE_S)
        del self._producer  # it holds our callback, so the two would wait for the garbage collector

    def _poll(self) -> None:
        while not self._stop:
            if not self._producer.poll(POLL_S):
                continue
            finished, self._finished = self._finished, []
            self._loop.call_soon_threadsafe(self._settle, finished)

    def _settle(self, finished: list[Shipment]) -> None:
        self._progress.set()
        for shipment in finished:
            if shipment.on_done.done():
                continue  # whoever waited has been cancelled
            if shipment.error is None:
                shipment.on_done.set_result(None)
            else:
                shipment.on_done.set_exception(Unavailable("kafka", shipment.error.str()))

    def _on_error(self, error: KafkaError) -> None:
        level = log.error if error.fatal() else log.warning
        level("outlet.trouble", topic=self._topic, error=error.str())
