"""Records onto events.v1 of a namespace, each acknowledged, each partition in order."""

from __future__ import annotations

import threading
import time
from typing import Final, NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException, Message

from hub.errors import Refused, Unavailable
from hub.log.config import producer_config
from hub.log.hold import HELD, is_held
from hub.log.polled import TICK_S, Polled
from hub.log.window import Window
from hub.pipeline.data_keys import key_record
from hub.pipeline.sealed import Sealer
from hub.settings import Kafka
from schemas.topics import EVENTS, KEYS

IDLE_S: Final = 60.0
"""How long to go on without any acknowledgement."""
AT_ONCE: Final = 500
"""Sealed records that wait for their keys together."""


class _Record(NamedTuple):
    key: bytes
    value: bytes
    header: tuple[str, bytes]
    events: int


class Sender:
    """
    One idempotent producer; librdkafka does the retries, and keeps the order. A context manager.

    Delivery reports come in on a thread of its own: the window opens by them while `send` waits for it.
    """

    def __init__(self, kafka: Kafka, namespace: str, window: Window, sealer: Sealer | None = None) -> None:
        """Connects when it first sends. Args: sealer: of the records; None: they are not sealed."""
        self._topic = EVENTS.name(namespace)
        self._keys = KEYS.name(namespace)
        self._sealer = sealer
        self._sealed: list[_Record] = []
        """Those whose keys are under way."""
        self._window = window
        self._moved = threading.Condition()
        self._failed: KafkaError | None = None
        self._waiting = 0
        self._heard_at = time.monotonic()
        config = {"delivery.timeout.ms": 0, "queue.buffering.max.kbytes": 32_768, "linger.ms": 5}
        # after a fatal error the replay is begun again: no record goes ahead of one that failed
        self._polled = Polled(producer_config(kafka, **config), "replay-producer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What is not acknowledged is forgotten; after `flush` there is none."""
        self._polled.__exit__()

    def send(self, key: bytes, value: bytes, header: tuple[str, bytes], events: int) -> None:
        """
        Hand over; blocks while too much waits. Sealed records go out some at a time, or with `flush`.

        Args: events: how many the record holds.

        Raises: Unavailable: Kafka acknowledges nothing, or the collector stores nothing. Refused: Kafka says no.
        """
        if self._sealer is None:
            self._send(_Record(key, value, header, events))
            return
        value, data_key = self._sealer.seal(value)
        if data_key is not None:
            self._hand_over(self._keys, *key_record(data_key))
        self._sealed.append(_Record(key, value, header, events))
        if len(self._sealed) >= AT_ONCE:
            self._release()

    def flush(self) -> None:
        """Return when Kafka has everything. Raises Unavailable, Refused."""
        self._release()
        self._wait()

    def _release(self) -> None:
        """Send what waits for its keys, once they are durable."""
        if self._sealed:
            self._wait()
            sealed, self._sealed = self._sealed, []
            for record in sealed:
                self._send(record)

    def _send(self, record: _Record) -> None:
        self._window.wait(record.events)
        self._hand_over(self._topic, record.key, record.value, record.header, record.events)

    def _hand_over(
        self, topic: str, key: bytes, value: bytes, header: tuple[str, bytes] | None = None, events: int = 0
    ) -> None:
        with self._moved:
            self._check()
            if not self._waiting:
                self._heard_at = time.monotonic()
            self._waiting += 1
        while not self._produced(topic, key, value, header, events):
            with self._moved:
                self._moved.wait(TICK_S)
                self._check()

    def _wait(self) -> None:
        with self._moved:
            while self._waiting:
                self._moved.wait(TICK_S)
                self._check()
            self._check()

    def _produced(self, topic: str, key: bytes, value: bytes, header: tuple[str, bytes] | None, events: int) -> bool:
        """Whether there was room for it."""

        def delivered(error: KafkaError | None, message: Message) -> None:
            if topic == self._keys:
                pass  # of no matter to the window
            elif error is None:
                self._window.landed(events, message.partition() or 0, _offset(message))
            else:
                self._window.lost(events)
            with self._moved:
                self._waiting -= 1
                self._heard_at = time.monotonic()
                self._failed = self._failed or error
                self._moved.notify()

        try:
            headers: list[tuple[str, str | bytes | None]] = [] if header is None else [header]
            self._polled.producer.produce(topic, value, key, headers=headers, on_delivery=delivered)
        except BufferError:
            return False
        except KafkaException as exc:
            raise Refused("kafka", f"{topic}: {exc.args[0].str()}") from exc
        return True

    def _check(self) -> None:
        if self._failed is not None:
            if is_held(self._failed):
                raise Unavailable("kafka", HELD)
            raise Refused("kafka", f"{self._topic} does not take a record: {self._failed.str()}")
        if self._waiting and time.monotonic() - self._heard_at > IDLE_S:
            raise Unavailable("kafka", f"has acknowledged nothing for {IDLE_S:g} s; run the replay again")


def _offset(message: Message) -> int:
    offset = message.offset()
    return -1 if offset is None else offset
