"""The agents' producer: writes a number of records and returns when Kafka has all of them. Synchronous."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hub.errors import Refused, Unavailable
from hub.log.config import producer_config
from hub.log.fatal import Fatal, serve
from hub.log.hold import is_held
from hub.log.sealing import Sealing
from hub.log.window import Window
from hub.pipeline.data_keys import key_record
from hub.settings import Kafka

POLL_S: Final = 0.05
LINGER_MS: Final = 5.0
"""Records come by the hundred: to wait for company costs nobody anything, and Kafka much less."""


class Outbox:
    """One producer. Each thread may call it; what one puts, another may help to deliver."""

    def __init__(self, kafka: Kafka, sealing: Sealing | None = None) -> None:
        """Connects when it is needed. Args: sealing: of events; None: they are not sealed."""
        self._sealing = sealing
        self._timeout_s = kafka.delivery_timeout_s + 5.0
        self._config = producer_config(kafka, **{"linger.ms": LINGER_MS})
        self._producer = Producer(self._config)

    def put_events(
        self,
        topic: str,
        records: Iterable[tuple[str, bytes]],
        window: Window | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> int:
        """As `put`, for events.v1: sealed if they are to be, and then their keys are durable before them."""
        if self._sealing is None:
            return self.put(topic, records, window, headers)
        sealed, keys = [], []
        for key, clear in records:
            value, data_key = self._sealing.sealer.seal(clear)
            sealed.append((key, value))
            if data_key is not None:
                name, text = key_record(data_key)
                keys.append((name.decode(), text))
        try:
            self.put(self._sealing.topic, keys)
        except BaseException:
            if window is not None:
                window.lost(len(sealed))
            raise
        return self.put(topic, sealed, window, headers)

    def put(
        self,
        topic: str,
        records: Iterable[tuple[str, bytes]],
        window: Window | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> int:
        """
        Write records, each a key and a value, in their order.

        Args: window: of bulk events, in which they were let in. headers: of each.

        Returns: how many.
        Raises:
            Unavailable: Kafka has not acknowledged all of them; it may have some, or all.
            Refused: Kafka will never take one: it is too large.
        """
        batch = _Batch(window)
        for key, value in records:
            batch.waiting += 1
            while True:
                try:
                    self._producer.produce(topic, value, key.encode(), headers=list(headers), on_delivery=batch.report)
                    break
                except BufferError:
                    self._serve()
                except KafkaException as exc:
                    batch.waiting -= 1
                    batch.fail(exc.args[0])
                    break
            batch.sent += 1
        until_s = time.monotonic() + self._timeout_s
        while batch.waiting:
            self._serve()
            if time.monotonic() > until_s:
                raise Unavailable("kafka", "no acknowledgement within the time set")
        if batch.error is not None:
            # a right that was taken away may be given back: what is to be written waits for that
            if batch.error.code() == KafkaError.MSG_SIZE_TOO_LARGE and not batch.is_held:
                raise Refused("kafka", batch.error.str())
            raise Unavailable("kafka", batch.error.str())
        return batch.sent

    def _serve(self) -> None:
        producer = self._producer
        try:
            serve(producer, POLL_S)
        except Fatal as exc:
            self._producer = Producer(self._config)
            raise Unavailable("kafka", str(exc)) from exc

    def close(self) -> None:
        """Wait for what is under way, some seconds at most."""
        with suppress(KafkaException):  # a fatal error: nothing is under way any more
            self._producer.flush(2.0)


class _Batch:
    """What has become of the records of one call."""

    def __init__(self, window: Window | None) -> None:
        self.sent = self.waiting = 0
        self.error: KafkaError | None = None
        self.is_held = False
        self._window = window

    def fail(self, error: KafkaError) -> None:
        self.error = self.error or error
        if self._window is not None:
            self._window.lost(1)

    def report(self, error: KafkaError | None, message: Message) -> Any:
        self.waiting -= 1
        if error is not None:
            self.is_held = self.is_held or is_held(error)
            self.fail(error)
        elif self._window is not None:
            offset = message.offset()
            self._window.landed(1, message.partition() or 0, -1 if offset is None else offset)
