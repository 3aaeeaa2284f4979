"""
Reads stored.v1 in spans that are decided once: what a span is stands in Kafka, beside the offset where it begins.

A span is planned before anything of it is written, and done with when the offset after it is committed. Between the two
whoever takes the partition over, or comes back after a crash, finds the plan and writes the same records again.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from bridges.base import Batch, Delivery
from bridges.kafka_link import words
from bridges.offsets import Chunk, Tracker
from bridges.outward.base import Span
from bridges.outward.reader import WATERMARK_S, StoredReader
from hub.errors import Unavailable

log: Final = structlog.get_logger()

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Span).decode


class SpanReader(StoredReader):
    """
    See StoredReader. A batch's token has one part a delivery, in their order: so a part of a batch can be acknowledged.

    All commits are waited for: one that another overtakes would take the plan away.
    """

    def __init__(self, *args: Any) -> None:
        """Args: as StoredReader's."""
        super().__init__(*args)
        self._plans: dict[Tracker, Span] = {}

    async def plan(self, tracker: Tracker, span: Span) -> bool:
        """
        Make it durable what the span is that begins where the last one ended.

        Args: tracker: of the span's records.
        Returns: False: the partition was taken from us, and its new owner decides. Raises: Unavailable.
        """
        return await self._run(lambda: self._plan(tracker, span))

    def planned(self, tracker: Tracker) -> Span | None:
        """What was planned and is not done of a partition that we got; asked once, before its first record."""
        return self._plans.pop(tracker, None)

    # everything below runs on the reader's own thread

    def _plan(self, tracker: Tracker, span: Span) -> bool:
        place = (span.topic, span.partition)
        if self._trackers.get(place) is not tracker:
            return False
        beside = f"{self._marks.get(span.topic, '')} {_encode(span).decode()}"
        try:
            for where in (
                self._open().commit(offsets=[TopicPartition(*place, span.first, beside)], asynchronous=False) or ()
            ):
                if where.error is not None:
                    raise KafkaException(where.error)
        except KafkaException as exc:
            raise Unavailable("source", f"cannot write down what is written next: {words(exc)}") from exc
        tracker.committed = max(tracker.committed, span.first)
        return True

    def _batch(self, messages: list[Message]) -> Batch:
        deliveries: list[Delivery] = []
        token: list[tuple[Tracker, Chunk]] = []
        for message in messages:
            one = super()._batch([message])
            deliveries += one.deliveries
            token += one.token
        return Batch(deliveries, token)

    def _commit_due(self) -> None:
        self._commit_now(self._open(), self._trackers)

    def _commit_now(self, consumer: Consumer, trackers: dict[tuple[str, int], Tracker]) -> None:
        offsets = self._due(trackers)
        if not offsets:
            return
        try:
            answers = consumer.commit(offsets=offsets, asynchronous=False) or ()
        except KafkaException as exc:
            # the plan is still there: those records come again, and what they make is known
            log.warning("destination.commit_failed", destination=self._context.bridge, error=words(exc))
            return
        for where in answers:
            if where.error is None:
                tracker = trackers[where.topic, where.partition]
                tracker.committed = max(tracker.committed, where.offset)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        super()._on_assign(consumer, partitions)
        plans = {}
        try:
            for where in consumer.committed(partitions, WATERMARK_S) if partitions else ():
                tracker = self._trackers[where.topic, where.partition]
                plan = _plan_beside(where)
                if plan is not None:
                    plans[tracker] = plan
        except KafkaException as exc:
            self._error = Unavailable("source", f"cannot find what was planned: {words(exc)}")
        # a rebalance may bring some partitions while others stay, whose first records are yet to come
        self._plans = {
            tracker: plan for tracker, plan in self._plans.items() if tracker in self._trackers.values()
        } | plans


def _plan_beside(where: TopicPartition) -> Span | None:
    """None: none, or one that is done, or of somebody who has set the group back with a note of his own."""
    _, _, text = (where.metadata or "").partition(" ")
    try:
        span = _decode(text)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return span if span.first == where.offset else None
