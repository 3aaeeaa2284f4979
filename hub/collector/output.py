"""Tells the topics stored.v1 and dead.v1 what a batch did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hub.errors import Unavailable
from hub.model import DeadLetter, Outgoing
from hub.pipeline.process import Outcome
from schemas.codec import encode_dead_letter, encode_stored
from schemas.records import DeadLetter as DeadLetterRecord
from schemas.replays import REPLAY_HEADER
from schemas.topics import DEAD, EVENTS, MAX_TOLD_BYTES, STORED

log: Final = structlog.get_logger()
ROOM_BYTES: Final = MAX_TOLD_BYTES - 16_384
"""Leaves room for the key and Kafka's own framing."""


class Output:
    """One producer. `flush` returns only when Kafka has acknowledged everything that `produce` was given."""

    def __init__(self, producer: Producer, namespace: str, timeout_s: float) -> None:
        """Args: producer: with acks=all. timeout_s: how long `flush` waits in all."""
        self._producer = producer
        self._stored = STORED.name(namespace)
        self._dead = DEAD.name(namespace)
        self._events = EVENTS.name(namespace)
        self._timeout_s = timeout_s
        self._failed: KafkaError | None = None

    def produce(self, outcome: Outcome) -> None:
        """Hand over, in the order of the log."""
        self._failed = None
        for stored in outcome.stored:
            value = encode_stored(stored)
            if len(value) > ROOM_BYTES:
                value = encode_stored({**stored, "event": _left_out(stored["id"])})
            self._send(self._stored, (stored["profile_id"] or stored["id"]).encode(), value)
        for letter in outcome.dead_letters:
            self._send(self._dead, letter.id.encode(), encode_dead_letter(_record(letter)))
        if outcome.batch.identity is not None:
            self._hand_over(outcome.batch.identity.outbox)

    def forward(self, outbox: Sequence[Outgoing]) -> None:
        """Hand over records for other profiles, in their order; those that are sent a second time change nothing."""
        self._failed = None
        self._hand_over(outbox)

    def _hand_over(self, outbox: Sequence[Outgoing]) -> None:
        for one in outbox:
            headers: list[tuple[str, bytes]] = [] if one.replay is None else [(REPLAY_HEADER, one.replay)]
            self._send(self._events, one.key, one.value, headers)

    def flush(self) -> None:
        """Raises Unavailable when Kafka does not acknowledge everything in time; the batch may be told again."""
        left = self._producer.flush(self._timeout_s)
        if left or self._failed is not None:
            reason = self._failed.str() if self._failed is not None else f"{left} records unacknowledged"
            raise Unavailable(
                "kafka", f"the outcome of a batch could not be told within {self._timeout_s:g} s: {reason}"
            )

    def _send(self, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=self._delivered, headers=[*headers])
            except BufferError:
                # the queue is full: wait for deliveries to make room
                self._producer.poll(1.0)
            except KafkaException as exc:
                self._failed = exc.args[0]
                log.error("output.refused", topic=topic, bytes=len(value), error=exc.args[0].str())
                return
            else:
                return

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed = error


def _left_out(event_id: str) -> bytes:
    return msgspec.json.encode({"id": event_id, "left_out": "the document is larger than a record: ask the API for it"})


def _record(letter: DeadLetter) -> DeadLetterRecord:
    return DeadLetterRecord(
        id=letter.id,
        source=letter.source,
        reason=letter.reason,
        detail=letter.detail,
        stage=letter.stage,
        origin=letter.origin,
        at_ms=letter.at_ms,
        attempts=letter.attempts,
        body=letter.body,
        body_sha256=letter.body_sha256,
        body_size=letter.body_size,
        headers=letter.headers,
        payload_id=letter.payload_id,
        key=letter.key,
        time_ms=letter.time_ms,
    )
