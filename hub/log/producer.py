"""The asyncio front of one Kafka producer: a call returns when Kafka has acknowledged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hub.errors import PortError, Refused, Unavailable
from hub.log.fatal import Fatal, give_up, serve
from hub.log.hold import HELD, is_held

log: Final = structlog.get_logger()

POLL_S: Final = 0.25
"""How long the poll thread waits for a delivery report; also the longest that closing waits for that thread."""
PING_S: Final = 2.0
SILENCES: Final = 3
"""Delivery time-outs in a row without one acknowledgement, after which librdkafka's producer is replaced."""
QUIET_S: Final = 10.0
"""Least time between two lines in the log about a broker that is away."""

_Report: TypeAlias = tuple[asyncio.Future[int], PortError | int]


class Publisher:
    """
    One producer for one event loop.

    Delivery reports come in on a thread of its own, which wakes the loop once per poll, not once per message: that
    is worth a tenth of the edge's rate. Make it and use it on the loop that is running.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Args: config: librdkafka's producer options, from `hub.log.config.producer_config`."""
        self._config = {**config, "error_cb": self._on_error}
        self._loop = asyncio.get_running_loop()
        self._reports: list[_Report] = []
        self._quiet_until_s = 0.0
        self._silence_s = SILENCES * float(config["delivery.timeout.ms"]) / 1000
        self._timed_out_at_s: float | None = None  # time.monotonic: the first one since anything was acknowledged
        self._close_within_s: float | None = None
        self._producer = Producer(self._config)
        self._thread = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)
        self._thread.start()

    async def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        landed: Callable[[int, int], None] | None = None,
    ) -> int:
        """
        Write one record, and return its offset once Kafka has acknowledged it.

        Args:
            topic: Full name on the broker.
            value: None deletes the key on a compacted topic.
            landed: Called once, on any thread, with the record's partition and offset; with an offset below 0 when
                it is not there, as far as anybody knows.

        Raises:
            Unavailable: Kafka did not acknowledge in time, or the queue is full. It may have the record none the less.
            Refused: Kafka will not take this record.
        """
        promise: asyncio.Future[int] = self._loop.create_future()

        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._timed_out_at_s = None
            elif self._timed_out_at_s is None and error.code() == KafkaError._MSG_TIMED_OUT:
                self._timed_out_at_s = time.monotonic()
            self._reports.append((promise, message.offset() or 0 if error is None else _of_broker(error)))
            if landed is not None:
                landed(message.partition() or 0, message.offset() or 0 if error is None else -1)

        try:
            self._producer.produce(topic, value, key, on_delivery=report, headers=[*headers] or None)
        except (BufferError, KafkaException) as exc:
            if landed is not None:
                landed(-1, -1)
            if isinstance(exc, BufferError):
                raise Unavailable("kafka", "the queue of records that wait for Kafka is full") from exc
            raise _translated(exc.args[0]) from exc
        return await promise

    def ping(self) -> None:
        """Blocks until a broker has answered, at most 2 seconds. Raises Unavailable."""
        try:
            self._producer.list_topics(timeout=PING_S)
        except KafkaException as exc:
            raise _translated(exc.args[0]) from exc

    async def close(self, timeout_s: float = 10.0) -> None:
        """Wait until what was sent is acknowledged, at most `timeout_s` seconds; the rest is reported as failed."""
        self._close_within_s = timeout_s
        await asyncio.to_thread(self._thread.join)
        self._settle(self._reports)

    def _poll(self) -> None:
        # the only thread that touches _reports until it ends, so that list needs no lock
        while self._close_within_s is None:
            try:
                serve(self._producer, POLL_S)
            except Fatal:
                self._renew("fatal error")
            self._hand_over()
            if self._is_silent():
                self._renew("nothing was acknowledged")
        left = self._producer.flush(self._close_within_s)
        if left:
            log.warning("producer.unsent", records=left)
            give_up(self._producer)

    def _hand_over(self) -> None:
        if not self._reports:
            return
        reports, self._reports = self._reports, []
        try:
            self._loop.call_soon_threadsafe(self._settle, reports)
        except RuntimeError:
            log.warning("producer.loop_closed", records=len(reports))  # nobody is left who could be told
            self._close_within_s = 0.0

    def _settle(self, reports: list[_Report]) -> None:
        for promise, outcome in reports:
            if promise.done():
                continue  # whoever waited has gone away
            if isinstance(outcome, int):
                promise.set_result(outcome)
            else:
                promise.set_exception(outcome)

    def _on_error(self, error: KafkaError) -> None:
        # while a broker is away this comes twenty times a second
        now_s = time.monotonic()
        if now_s >= self._quiet_until_s:
            self._quiet_until_s = now_s + QUIET_S
            log.warning("producer.error", error=error.str())

    def _is_silent(self) -> bool:
        # seen once, after a broker that had been frozen was restarted: everybody else had recovered, and an idempotent
        # producer timed out for minutes. While the broker is away, a new one costs nothing
        return self._timed_out_at_s is not None and time.monotonic() - self._timed_out_at_s > self._silence_s

    def _renew(self, why: str) -> None:
        # what the old one held is reported as failed; the senders send it again under the same ids
        log.warning("producer.renewed", why=why)
        self._timed_out_at_s = None
        old, self._producer = self._producer, Producer(self._config)
        give_up(old)
        self._hand_over()


def _of_broker(error: KafkaError) -> PortError:
    return Unavailable("kafka", HELD) if is_held(error) else _translated(error)


def _translated(error: KafkaError) -> PortError:
    if error.code() in (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT):
        return Unavailable("kafka", "no acknowledgement within the time set")
    if error.code() in _HOPELESS:
        return Refused("kafka", error.str())
    return Unavailable("kafka", error.str())


_HOPELESS: Final = frozenset(
    {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.TOPIC_AUTHORIZATION_FAILED}
)
