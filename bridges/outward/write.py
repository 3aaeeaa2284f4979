"""The writer: gathers stored events until a write is large or old enough, plans it, writes it, then commits."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Final

from bridges.base import Batch
from bridges.kafka import KafkaDelivery
from bridges.offsets import Chunk, Tracker
from bridges.outward.base import Span, SpanTarget
from bridges.outward.letters import Letter
from bridges.outward.send import LARGEST_BATCH, Desk, Session, ToSend, letter_of
from bridges.outward.spans import SpanReader

HELD_BYTES: Final = 67_108_864
"""Of records of all partitions that wait for others: the largest of them is written when there are more."""


class Gathered:
    """
    Records of one partition that are to be written together.

    Attributes:
        tracker: Of the partition since it is ours: another one, and it was taken away in between.
        planned: What they have to be; None: that is decided when they are written.
        since_s: When the first came, seconds of the loop's clock.
    """

    def __init__(self, tracker: Tracker, planned: Span | None, since_s: float) -> None:
        """Holds nothing yet."""
        self.tracker = tracker
        self.planned = planned
        self.since_s = since_s
        self.deliveries: list[KafkaDelivery] = []
        self.token: list[tuple[Tracker, Chunk]] = []
        self.bytes = 0

    def add(self, delivery: KafkaDelivery, part: tuple[Tracker, Chunk]) -> None:
        """The next record of the partition. Args: part: of its batch's token."""
        self.deliveries.append(delivery)
        self.token.append(part)
        self.bytes += len(delivery.body)

    def ends_before(self, offset: int) -> bool:
        """Whether the record at this offset belongs to the next span."""
        return self.planned is not None and offset >= self.planned.end

    def is_full(self, rows: int) -> bool:
        """Whether no other record may join them."""
        if self.planned is not None:
            return bool(self.deliveries) and self.deliveries[-1].offset >= self.planned.end - 1
        return len(self.deliveries) >= rows

    def is_whole(self, span: Span) -> bool:
        """Whether the first record of the span is still there: Kafka deletes from the beginning."""
        return self.deliveries[0].offset == span.first

    def span(self) -> Span:
        """A new one, of what is here."""
        first, last = self.deliveries[0], self.deliveries[-1]
        return Span(
            topic=first.topic,
            partition=first.partition,
            first=first.offset,
            end=last.offset + 1,
            at_ms=first.time_ms or 0,
            nonce=secrets.token_hex(8),
        )


class Writer(Session):
    """One session of one destination that writes spans."""

    def __init__(self, reader: SpanReader, target: SpanTarget, desk: Desk) -> None:
        """Everything is connected, and closed by the caller."""
        super().__init__(desk)
        self._reader = reader
        self._target = target
        self._gathered: dict[tuple[str, int], Gathered] = {}
        self._in_hand = 0

    async def run(self) -> None:
        """See Session. While one span is written, the next batch is read. What is gathered at a stop is read again."""
        taking = self._take()
        try:
            while not self._stopping:
                batch = await taking
                taking = self._take()
                for gathered in self._full(batch):
                    await self._write(gathered)
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)

    def _take(self) -> asyncio.Task[Batch]:
        return asyncio.create_task(self._reader.take(LARGEST_BATCH), name="take")

    def _full(self, batch: Batch) -> Iterator[Gathered]:
        """What is to be written now, in the order of each partition."""
        size, now_s = self._target.size, asyncio.get_running_loop().time()
        if batch.deliveries:
            self._in_hand += len(batch.deliveries)
            self._watch.taken(len(batch.deliveries), self._in_hand, self._reader.lag())
        for delivery, part in zip(batch.deliveries, batch.token or (), strict=True):
            assert isinstance(delivery, KafkaDelivery)
            place, tracker = (delivery.topic, delivery.partition), part[0]
            gathered = self._gathered.get(place)
            if gathered is None or gathered.tracker is not tracker:
                gathered = self._begin(place, tracker, self._reader.planned(tracker), now_s)
            if gathered.ends_before(delivery.offset):
                yield gathered
                gathered = self._begin(place, tracker, None, now_s)
            gathered.add(delivery, part)
            if gathered.is_full(size.rows):
                del self._gathered[place]
                yield gathered
        yield from self._due(now_s - size.age_s)

    def _begin(self, place: tuple[str, int], tracker: Tracker, planned: Span | None, now_s: float) -> Gathered:
        before = self._gathered.get(place)
        if before is not None and before.tracker is not tracker:
            self._in_hand -= len(before.deliveries)  # taken away: whoever has the partition writes them
        gathered = self._gathered[place] = Gathered(tracker, planned, now_s)
        return gathered

    def _due(self, since_s: float) -> Iterator[Gathered]:
        """Those that have waited long enough, and the largest while there is too much of all. Never a planned one."""
        for place, gathered in list(self._gathered.items()):
            if gathered.planned is None and gathered.since_s <= since_s:
                del self._gathered[place]
                yield gathered
        while sum(gathered.bytes for gathered in self._gathered.values()) > HELD_BYTES:
            free = [place for place, gathered in self._gathered.items() if gathered.planned is None]
            if not free:
                return
            yield self._gathered.pop(max(free, key=lambda place: self._gathered[place].bytes))

    async def _write(self, gathered: Gathered) -> None:
        """Raises Unavailable, Refused, NotByItself: nothing of it is committed but what it is."""
        count = len(gathered.deliveries)
        if not count:
            return  # Kafka has deleted what was planned
        span = gathered.planned
        if span is None:
            span = gathered.span()
            if not await self._reader.plan(gathered.tracker, span):
                self._in_hand -= count
                return
        events, letters = await self._messages(gathered)
        rejected = []
        if events:
            messages = [event.message for event in events]
            rejected = list(await self._target.write(span, messages, whole=gathered.is_whole(span)))
        letters += [letter_of(events[place], detail) for place, detail in rejected]
        self._judge(count, letters)
        await self._burial.bury(letters)
        for letter in letters:
            self._watch.refused(letter.error.reason)
        await self._reader.ack(Batch(gathered.deliveries, gathered.token))
        self._in_hand -= count
        self._watch.acknowledged(len(events) - len(rejected), self._in_hand)

    async def _messages(self, gathered: Gathered) -> tuple[list[ToSend], list[Letter]]:
        events: list[ToSend] = []
        letters: list[Letter] = []
        for first in range(0, len(gathered.deliveries), LARGEST_BATCH):
            some_events, some_letters = self._shaped(gathered.deliveries[first : first + LARGEST_BATCH])
            events += some_events
            letters += some_letters
            await asyncio.sleep(0)  # others on this loop get their turn
        return events, letters
