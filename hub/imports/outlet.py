"""Pages of records onto events.v1: many under way at once, each known to be durable or not."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Final, Self

from confluent_kafka import KafkaError, KafkaException, Message

from hub.errors import Refused, Unavailable
from hub.imports.convert import Converted
from hub.log.config import producer_config
from hub.log.hold import HELD, is_held
from hub.log.polled import TICK_S, Polled
from hub.log.window import Window
from hub.pipeline.data_keys import key_record
from hub.pipeline.sealed import Sealer
from hub.settings import Kafka
from schemas.topics import EVENTS, KEYS

FIRST_S: Final = 1.0
"""How long nothing else is sent behind the first page of all."""
IDLE_S: Final = 60.0
"""How long to go on without any acknowledgement."""


class Shipment:
    """Records that were sent together. Counted by the poll thread only."""

    def __init__(self, count: int) -> None:
        """Args: count: how many."""
        self._left = count
        self._done = threading.Event()
        self.error: KafkaError | None = None
        if not count:
            self._done.set()

    def settle(self, error: KafkaError | None, _: object) -> None:
        """One of them has landed, or not."""
        if error is not None:
            self.error = error
        self._left -= 1
        if not self._left:
            self._done.set()

    def landed(self, timeout_s: float) -> bool:
        """Whether all of them have an answer by then."""
        return self._done.wait(timeout_s)

    @property
    def is_done(self) -> bool:
        """Whether all of them have an answer."""
        return self._done.is_set()


class Outlet:
    """
    One idempotent producer; librdkafka does the retries, and keeps the order. A context manager, for one thread.

    Delivery reports come in on a thread of its own: the window opens by them while `send` waits for it.
    """

    def __init__(self, kafka: Kafka, namespace: str, window: Window | None, sealer: Sealer | None = None) -> None:
        """Connects when it first sends. Args: window: None: what is sent waits for nobody."""
        self._topic = EVENTS.name(namespace)
        self._keys = KEYS.name(namespace)
        self._window = window
        self._sealer = sealer
        self._tried = False
        self._moved = threading.Event()
        self._heard_at = time.monotonic()
        config = producer_config(
            kafka,
            **{
                # Nothing is given up: what is under way is bounded, and the source still has all of it
                "delivery.timeout.ms": 0,
                "queue.buffering.max.messages": 0,
                "queue.buffering.max.kbytes": 32_768,
                "linger.ms": 5,
            },
        )
        # after a fatal error the import is begun again: no row goes ahead of one that failed
        self._polled = Polled(config, "import-producer", heard=self._on_reports)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What is not acknowledged is forgotten: the source still has it."""
        self._polled.__exit__()

    def send(self, records: Sequence[Converted]) -> Shipment:
        """
        Hand over, in order; blocks while too much is under way.

        Raises: Unavailable: Kafka acknowledges nothing, or the collector stores nothing. Refused: Kafka says no.
        """
        values = [record.value for record in records]
        if self._sealer is not None:
            values = self._sealed(self._sealer, values)
        shipment, window = Shipment(len(records)), self._window
        for record, value in zip(records, values, strict=True):
            report = shipment.settle
            if window is not None:
                events = max(1, record.events)
                window.wait(events)
                report = partial(_landed, window, events, shipment)
            try:
                self._hand_over(self._topic, record.key, value, report)
            except BaseException:
                if window is not None:
                    window.lost(max(1, record.events))
                raise
        if not self._tried:
            # while the log is held (`hub.log.hold`) no page goes ahead of one that was refused
            shipment.landed(FIRST_S)
            self._tried = True
        return shipment

    def wait(self, shipment: Shipment) -> None:
        """Return when Kafka has all of it. Raises Unavailable, Refused."""
        self._heard_at = max(self._heard_at, time.monotonic() - IDLE_S / 2)
        while not shipment.landed(TICK_S):
            self._check()
        if shipment.error is not None:
            if is_held(shipment.error):
                raise Unavailable("kafka", HELD)
            raise Refused("kafka", f"{self._topic} does not take a record: {shipment.error.str()}")

    def _sealed(self, sealer: Sealer, values: Sequence[bytes]) -> list[bytes]:
        """Sealed records, whose keys are durable. Raises Unavailable, Refused."""
        sealed, keys = [], []
        for value in values:
            closed, data_key = sealer.seal(value)
            sealed.append(closed)
            keys += [] if data_key is None else [key_record(data_key)]
        shipment = Shipment(len(keys))
        for key, value in keys:
            self._hand_over(self._keys, key, value, shipment.settle)
        self.wait(shipment)
        return sealed

    def _hand_over(self, topic: str, key: bytes, value: bytes, report: object) -> None:
        while True:
            try:
                self._polled.producer.produce(topic, value, key, on_delivery=report)  # type: ignore[arg-type]
                return
            except BufferError:
                self._moved.clear()
                self._moved.wait(TICK_S)
                self._check()
            except KafkaException as exc:
                raise Refused("kafka", f"{topic}: {exc.args[0].str()}") from exc

    def _on_reports(self) -> None:
        self._heard_at = time.monotonic()
        self._moved.set()

    def _check(self) -> None:
        if time.monotonic() - self._heard_at > IDLE_S:
            raise Unavailable("kafka", f"has acknowledged nothing for {IDLE_S:g} s")


def _landed(window: Window, events: int, shipment: Shipment, error: KafkaError | None, message: Message) -> None:
    if error is None:
        offset = message.offset()
        window.landed(events, message.partition() or 0, -1 if offset is None else offset)
    else:
        window.lost(events)
    shipment.settle(error, message)
