"""Requests to the owners of profiles, onto events.v1."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message

from hub.errors import Refused, Unavailable
from hub.log.config import producer_config
from hub.log.polled import Polled
from hub.log.window import Unhurried, Window
from hub.pipeline.patches import copies_of
from hub.settings import Kafka
from schemas.codec import encode_inbound
from schemas.records import Inbound
from schemas.topics import EVENTS


class _Sending:
    """The records of one call that are under way."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._changed = threading.Condition()
        self._waiting = 0
        self._landed: list[tuple[int, int]] = []
        self._failed: KafkaError | None = None

    def begin(self) -> None:
        """One more."""
        with self._changed:
            self._waiting += 1

    def end(self, events: int, error: KafkaError | None, message: Message) -> None:
        """One less: the delivery report. Args: events: that it counts for."""
        partition, offset = message.partition() or 0, message.offset()
        place = partition, -1 if offset is None else offset
        if error is None:
            self._window.landed(events, *place)
        else:
            self._window.lost(events)
        with self._changed:
            self._waiting -= 1
            if error is None:
                self._landed.append(place)
            self._failed = self._failed or error
            self._changed.notify()

    def result(self, within_s: float) -> list[tuple[int, int]]:
        """Partition and offset of each, once all have landed. Raises Unavailable."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._waiting, within_s):
                raise Unavailable("kafka", "no acknowledgement within the time set")
            if self._failed is not None:
                raise Unavailable("kafka", self._failed.str())
            return self._landed


class Sender:
    """
    A producer whose calls return when Kafka has acknowledged. Thread-safe. A context manager.

    Delivery reports come in on a thread of its own: the window opens by them while `send` waits for it.
    """

    def __init__(self, kafka: Kafka, namespace: str, window: Window | None = None) -> None:
        """Connects when it first sends. Args: window: None: what is sent goes with live events."""
        self._topic = EVENTS.name(namespace)
        self._window: Window = window or Unhurried()
        self._timeout_s = kafka.delivery_timeout_s + 1.0
        self._polled = Polled(producer_config(kafka), "segments-producer", renews=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What is not acknowledged is forgotten: whoever waited for it has been told."""
        self._polled.__exit__()

    def send(self, records: Iterable[Inbound]) -> list[tuple[int, int]]:
        """
        Returns: partition and offset of each, in no order.

        Raises: Unavailable: some of them may be there; send all of them again. Refused: Kafka will never take one.
        """
        sending = _Sending(self._window)
        for record in records:
            events = max(1, copies_of(record))
            self._window.wait(events)
            self._produce(record, sending, events)
        return sending.result(self._timeout_s)

    def _produce(self, record: Inbound, sending: _Sending, events: int) -> None:
        value, key = encode_inbound(record), record["profile_id"].encode()
        sending.begin()
        try:
            self._polled.producer.produce(self._topic, value, key, on_delivery=partial(sending.end, events))
        except (BufferError, KafkaException) as exc:
            self._window.lost(events)
            if isinstance(exc, BufferError):
                raise Unavailable("kafka", "the queue of records that wait for Kafka is full") from exc
            # also a right that was taken away: it may be given back
            kind = Refused if exc.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE else Unavailable
            raise kind("kafka", f"{self._topic}: {exc.args[0].str()}") from exc
