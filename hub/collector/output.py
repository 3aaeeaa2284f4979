"""Tells the topics stored.v1, triggers.v1 and dead.v1 what a batch did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hub.errors import Unavailable
from hub.log.fatal import Fatal, give_up, serve
from hub.log.hold import is_held
from hub.log.sealing import Sealing
from hub.model import DeadLetter, Outgoing
from hub.pipeline.data_keys import key_record
from hub.pipeline.process import Outcome
from schemas.codec import decode_inbound, encode_dead_letter, encode_stored, encode_trigger
from schemas.records import TRACK, Stored, Trigger
from schemas.records import DeadLetter as DeadLetterRecord
from schemas.replays import REPLAY_HEADER
from schemas.topics import DEAD, EVENTS, MAX_RECORD_BYTES, MAX_TOLD_BYTES, STORED, TRIGGERS

log: Final = structlog.get_logger()
STUCK_S: Final = 60.0
"""So long without an acknowledgement, and a new producer sends all again: librdkafka's may have lost its way."""
ROOM_BYTES: Final = MAX_TOLD_BYTES - 16_384
"""Leaves room for the key and Kafka's own framing."""


class _Record(NamedTuple):
    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()
    outgoing: Outgoing | None = None
    """Of what goes to events.v1: what it is in the store's outbox."""


class Traces(Protocol):
    """Of a batch: `hub.telemetry.collecting.BatchTrace`."""

    def headers(self, event_ids: Iterable[str | None]) -> list[tuple[str, bytes]]:
        """What a record says that is sent because of these events."""
        ...


class Output:
    """
    One producer that gives up nothing by itself, however long Kafka is away.

    So what it was given gets onto the log in its order: a record that timed out would be sent again behind others.
    """

    def __init__(
        self, make: Callable[[], Producer], namespace: str, timeout_s: float, sealing: Sealing | None = None
    ) -> None:
        """
        Args:
            make: A new producer, with acks=all and without a time limit for deliveries.
            timeout_s: How long `flush` waits.
            sealing: Of what goes to events.v1; None: it is not sealed.
        """
        self._make = make
        self._producer = make()
        self._stored = STORED.name(namespace)
        self._triggers = TRIGGERS.name(namespace)
        self._dead = DEAD.name(namespace)
        self._events = EVENTS.name(namespace)
        self._timeout_s = timeout_s
        self._sealing = sealing
        self._records: list[_Record] = []
        self._sealed: list[_Record] = []
        """Records for events.v1 whose keys are not acknowledged yet."""
        self._held: list[Outgoing] = []
        self._failed: KafkaError | None = None
        self._left, self._moved_at_s = 0, 0.0

    def produce(self, outcome: Outcome, traces: Traces | None = None) -> None:
        """
        Hand over, in the order of the log, once all before it is acknowledged.

        Args: traces: which of it belongs to traces; None: nothing does.
        """
        identity = outcome.batch.identity
        told = [
            *map(self._of_stored, outcome.stored),
            *map(self._of_trigger, outcome.triggers),
            *(
                _Record(self._dead, letter.id.encode(), encode_dead_letter(_record(letter)))
                for letter in outcome.dead_letters
            ),
        ]
        if traces is not None:
            caused = [*(one["id"] for one in outcome.stored), *(one["event_id"] for one in outcome.triggers)]
            for place, id in enumerate(caused):
                told[place] = told[place]._replace(headers=traces.headers([id]))
        self._hand_over(told, identity.outbox if identity is not None else (), traces)

    def forward(self, outbox: Sequence[Outgoing]) -> None:
        """Hand over records for other profiles, in their order; those that are sent a second time change nothing."""
        self._hand_over([], outbox)

    def _hand_over(self, told: list[_Record], outbox: Sequence[Outgoing], traces: Traces | None = None) -> None:
        outgoing = [self._of_outgoing(one) for one in outbox]
        if traces is not None:
            outgoing = [
                one._replace(headers=[*one.headers, *traces.headers(_event_ids(one.value))]) for one in outgoing
            ]
        if self._sealing is None or not outgoing:
            self._begin([*told, *outgoing])
            return
        sealed = []
        for record in outgoing:
            value, key = self._sealing.sealer.seal(record.value)
            sealed.append(record._replace(value=value))
            if key is not None:
                told.append(_Record(self._sealing.topic, *key_record(key)))
        self._begin(told)
        self._sealed = sealed

    def take_held(self) -> list[Outgoing]:
        """What was for other profiles, and could not be sent as the log is held (`hub.log.hold`), since last asked."""
        held, self._held = self._held, []
        return held

    def flush(self) -> None:
        """
        Return when Kafka has acknowledged everything that was handed over, but what `take_held` gives.

        Raises: Unavailable: not in time, or something was not taken. Call it again: what is still under way stays so,
            and after a failure all is sent again.
        """
        if self._failed is not None or time.monotonic() - self._moved_at_s > STUCK_S:
            self._again()
        left = self._flushed()
        if left < self._left:
            self._left, self._moved_at_s = left, time.monotonic()
        if left or self._failed is not None:
            reason = self._failed.str() if self._failed is not None else f"{left} records unacknowledged"
            raise Unavailable("kafka", f"the outcome of a batch cannot be told: {reason}")
        if self._sealed:
            sealed, self._sealed = self._sealed, []
            self._begin(sealed)
            self.flush()

    def _flushed(self) -> int:
        """How many records are left."""
        try:
            return self._producer.flush(self._timeout_s)
        except KafkaException as exc:
            self._failed = exc.args[0]
            return len(self._producer)

    def _again(self) -> None:
        why = "nothing was acknowledged" if self._failed is None else self._failed.str()
        log.warning("output.again", records=len(self._records), why=why)
        old, self._producer = self._producer, self._make()
        give_up(old)
        self._begin(self._records)

    def _begin(self, records: list[_Record]) -> None:
        self._records = records
        self._failed = None
        self._held = []
        self._left, self._moved_at_s = len(records), time.monotonic()
        producer = self._producer

        def delivered(error: KafkaError | None, _: Message) -> None:
            # a producer that was given up still has something to say
            if error is not None and producer is self._producer:
                self._failed = error

        def sent(record: _Record, error: KafkaError | None, message: Message) -> None:
            # what is larger may be refused for that: our producer lets through what stored.v1 takes
            is_small = len(record.value) < MAX_RECORD_BYTES
            if error is None or record.outgoing is None or not (is_small and is_held(error)):
                delivered(error, message)
            elif producer is self._producer:
                self._held.append(record.outgoing)

        for record in records:
            self._send(producer, record, delivered if record.outgoing is None else partial(sent, record))

    def _of_stored(self, stored: Stored) -> _Record:
        value = encode_stored(stored)
        if len(value) > ROOM_BYTES:
            value = encode_stored({**stored, "event": _left_out(stored["id"])})
        return _Record(self._stored, (stored["profile_id"] or stored["id"]).encode(), value)

    def _of_trigger(self, trigger: Trigger) -> _Record:
        key = trigger["profile_id"] or trigger["event_id"] or trigger["id"]
        return _Record(self._triggers, key.encode(), encode_trigger(trigger))

    def _of_outgoing(self, one: Outgoing) -> _Record:
        headers = [] if one.replay is None else [(REPLAY_HEADER, one.replay)]
        return _Record(self._events, one.key, one.value, headers, one)

    def _send(
        self, producer: Producer, record: _Record, delivered: Callable[[KafkaError | None, Message], None]
    ) -> None:
        while True:
            try:
                producer.produce(
                    record.topic, record.value, record.key, on_delivery=delivered, headers=[*record.headers]
                )
            except BufferError:
                # the queue is full: wait for deliveries to make room
                try:
                    serve(producer, 1.0)
                except Fatal as exc:
                    self._failed = exc.error
                    return
            except KafkaException as exc:
                self._failed = exc.args[0]
                log.error("output.refused", topic=record.topic, bytes=len(record.value), error=exc.args[0].str())
                return
            else:
                return


def _event_ids(value: bytes) -> list[str]:
    body = decode_inbound(value)["body"]
    return [event["id"] for event in body[1]["events"]] if body[0] == TRACK else []


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
        meta=letter.meta,
    )
