"""Records onto events.v1 of a namespace, each acknowledged, each partition in order."""

from __future__ import annotations

import threading
import time
from typing import Final, Protocol, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hub.errors import Refused, Unavailable
from hub.log.config import producer_config
from hub.settings import Kafka
from schemas.topics import EVENTS

IDLE_S: Final = 60.0
"""How long to go on without any acknowledgement."""
TICK_S: Final = 0.1


class Window(Protocol):
    """Live before bulk: `hub.log.bulk.BulkWindow`."""

    def wait(self, events: int) -> None:
        """Until so many may be sent. Raises Unavailable."""
        ...

    def landed(self, events: int, partition: int, offset: int) -> None:
        """So many are one record of the log. From any thread."""
        ...

    def lost(self, events: int) -> None:
        """So many did not get there. From any thread."""
        ...


class Unhurried:
    """The window onto a log that nobody else waits for."""

    def wait(self, events: int) -> None:
        """At once."""

    def landed(self, events: int, partition: int, offset: int) -> None:
        """Of no matter."""

    def lost(self, events: int) -> None:
        """Of no matter."""


class Sender:
    """
    One idempotent producer; librdkafka does the retries, and keeps the order. A context manager.

    Delivery reports come in on a thread of its own: the window opens by them while `send` waits for it.
    """

    def __init__(self, kafka: Kafka, namespace: str, window: Window) -> None:
        """Connects when it first sends."""
        self._topic = EVENTS.name(namespace)
        self._window = window
        self._producer = Producer(
            producer_config(kafka, **{"delivery.timeout.ms": 0, "queue.buffering.max.kbytes": 32_768, "linger.ms": 5})
        )
        self._moved = threading.Condition()
        self._failed: KafkaError | None = None
        self._waiting = 0
        self._heard_at = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="replay-producer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What is not acknowledged is forgotten; after `flush` there is none."""
        self._over.set()
        self._thread.join()
        self._producer.purge()
        self._producer.flush(TICK_S)

    def send(self, key: bytes, value: bytes, header: tuple[str, bytes], events: int) -> None:
        """
        Hand over; blocks while too much waits.

        Args: events: how many the record holds.

        Raises: Unavailable: Kafka acknowledges nothing, or the collector stores nothing. Refused: Kafka says no.
        """
        self._window.wait(events)
        with self._moved:
            self._check()
            if not self._waiting:
                self._heard_at = time.monotonic()
            self._waiting += 1
        while not self._produced(key, value, header, events):
            with self._moved:
                self._moved.wait(TICK_S)
                self._check()

    def flush(self) -> None:
        """Return when Kafka has everything. Raises Unavailable, Refused."""
        with self._moved:
            while self._waiting:
                self._moved.wait(TICK_S)
                self._check()
            self._check()

    def _produced(self, key: bytes, value: bytes, header: tuple[str, bytes], events: int) -> bool:
        """Whether there was room for it."""

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._window.landed(events, message.partition() or 0, _offset(message))
            else:
                self._window.lost(events)
            with self._moved:
                self._waiting -= 1
                self._heard_at = time.monotonic()
                self._failed = self._failed or error
                self._moved.notify()

        try:
            self._producer.produce(self._topic, value, key, headers=[header], on_delivery=delivered)
        except BufferError:
            return False
        except KafkaException as exc:
            raise Refused("kafka", f"{self._topic}: {exc.args[0].str()}") from exc
        return True

    def _poll(self) -> None:
        while not self._over.is_set():
            self._producer.poll(TICK_S)

    def _check(self) -> None:
        if self._failed is not None:
            raise Refused("kafka", f"{self._topic} does not take a record: {self._failed.str()}")
        if self._waiting and time.monotonic() - self._heard_at > IDLE_S:
            raise Unavailable("kafka", f"has acknowledged nothing for {IDLE_S:g} s; run the replay again")


def _offset(message: Message) -> int:
    offset = message.offset()
    return -1 if offset is None else offset
