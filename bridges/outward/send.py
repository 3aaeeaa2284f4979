"""The sender: takes stored events, sends what is to be sent of them, buries what cannot be, then commits."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, NamedTuple

from bridges.base import Batch, Bridge, Delivery
from bridges.kept import NotByItself
from bridges.outward.base import Denied, Later, Message, Target
from bridges.outward.letters import UNDELIVERABLE, Burial, Letter
from bridges.outward.shape import Shape, Told, told_of
from bridges.state import Watch
from hub.errors import InvalidPayload, PortError
from hub.pipeline.stop_rule import StopRule
from schemas.codec import CodecError, decode_stored

if TYPE_CHECKING:  # what is off is not imported
    from hub.telemetry.sending import Sending

LARGEST_BATCH: Final = 500
"""Shaping blocks the loop: 500 events of ordinary size are about 15 ms."""


class Memory:
    """
    What is known about messages that are not committed yet, from one session to the next; only one process' memory.

    Attributes:
        sent: Ids of events that the target has.
        failed: Whether the target failed the last time: it is asked with one message first.
    """

    def __init__(self, give_up_s: float) -> None:
        """Args: give_up_s: 0: never."""
        self.sent: set[str] = set()
        self.failed = False
        self._give_up_s = give_up_s
        self._stuck: tuple[str, int, str] | None = None

    def note(self, id: str, error: str, now_ms: int) -> None:
        """The target does not take this event."""
        self.failed = True
        since_ms = self._stuck[1] if self._stuck is not None and self._stuck[0] == id else now_ms
        self._stuck = (id, since_ms, error)

    def given_up(self, id: str, now_ms: int) -> str:
        """Why an event is not to be sent any more; empty: it is."""
        if not self._give_up_s or self._stuck is None or self._stuck[0] != id:
            return ""
        for_s = (now_ms - self._stuck[1]) / 1000
        return f"given up after {for_s:.0f} s: {self._stuck[2]}" if for_s >= self._give_up_s else ""


class ToSend(NamedTuple):
    """One that is to be sent. `place`: of its record; `document`: as the store has it."""

    message: Message
    told: Told
    place: str
    document: bytes


class Desk(NamedTuple):
    """What every session of a destination works with; everything is connected, and closed by the caller."""

    shape: Shape
    burial: Burial
    watch: Watch
    memory: Memory
    stop_rule: StopRule
    now_ms: Callable[[], int]
    traces: Sending | None = None


class Session(ABC):
    """From stored records to messages and letters; the way to the target is its subclasses'."""

    def __init__(self, desk: Desk) -> None:
        """Sends nothing yet."""
        self._shape = desk.shape
        self._burial = desk.burial
        self._watch = desk.watch
        self._memory = desk.memory
        self._stop_rule = desk.stop_rule
        self._now_ms = desk.now_ms
        self._stopping = False

    @abstractmethod
    async def run(self) -> None:
        """
        Until `stop`.

        Raises: Unavailable, Refused: of target or Kafka; nothing of what is in hand is committed. NotByItself.
        """

    def stop(self) -> None:
        """Let `run` return when the batch in hand is committed."""
        self._stopping = True

    def _shaped(self, deliveries: Sequence[Delivery]) -> tuple[list[ToSend], list[Letter]]:
        """What is to be sent, and what cannot be."""
        events: list[ToSend] = []
        letters: list[Letter] = []
        now_ms = self._now_ms()
        for delivery in deliveries:
            try:
                stored = decode_stored(delivery.body)
            except CodecError as exc:
                error = InvalidPayload("undecodable_record", f"on stored.v1: {exc}")
                letters.append(Letter(None, delivery.position, delivery.body, error))
                continue
            told, document = told_of(stored), stored["event"]
            try:
                message = self._shape.message(told, document)
            except InvalidPayload as exc:
                letters.append(Letter(told, delivery.position, document, exc))
                continue
            if message is None:
                continue
            given_up = self._memory.given_up(told.id, now_ms)
            if given_up:
                error = InvalidPayload(UNDELIVERABLE, given_up)
                letters.append(Letter(told, delivery.position, document, error))
            else:
                events.append(ToSend(message, told, delivery.position, document))
        return events, letters

    def _judge(self, count: int, letters: Sequence[Letter]) -> None:
        """Raises NotByItself, with nothing of these buried or committed."""
        self._stop_rule.add(count, len(letters))
        if self._stop_rule.broken:
            raise NotByItself(
                "destination",
                f"{self._stop_rule}; the newest: {letters[-1].error.detail if letters else 'before these'}. They stay "
                "where they are. Save the destination with a mapping or settings that fit, or start it again as it is, "
                "and it goes on (docs/destinations.md)",
            )


class Sender(Session):
    """One session of one destination that sends events as they come."""

    def __init__(self, reader: Bridge, target: Target, desk: Desk) -> None:
        """Everything is connected, and closed by the caller."""
        super().__init__(desk)
        self._reader = reader
        self._target = target
        self._traces = desk.traces

    async def run(self) -> None:
        """See Session. While one batch is sent, the next is read."""
        taking = self._take()
        try:
            while not self._stopping:
                batch = await taking
                taking = self._take()
                if batch.deliveries:
                    await self._settle(batch)
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)

    def _take(self) -> asyncio.Task[Batch]:
        return asyncio.create_task(self._reader.take(LARGEST_BATCH), name="take")

    async def _settle(self, batch: Batch) -> None:
        count = len(batch.deliveries)
        self._watch.taken(count, count, self._reader.lag())
        events, letters = self._shaped(batch.deliveries)
        with nullcontext() if self._traces is None else self._sends(self._traces, batch, events):
            rejected = await self._send(events)
        letters += rejected
        self._judge(count, letters)
        await self._burial.bury(letters)
        for letter in letters:
            self._watch.refused(letter.error.reason)
        await self._reader.ack(batch)
        self._memory.sent.clear()
        self._watch.acknowledged(len(events) - len(rejected), 0)

    @staticmethod
    def _sends(traces: Sending, batch: Batch, events: Sequence[ToSend]) -> AbstractContextManager[None]:
        came = traces.came(batch.deliveries)
        return traces.sends({one.told.id: came[one.place] for one in events if one.place in came}, len(events))

    async def _send(self, events: Sequence[ToSend]) -> list[Letter]:
        """Returns when the target has them all, but for those that it will never take. Raises Unavailable, Refused."""
        letters: list[Letter] = []
        memory = self._memory
        left = [event for event in events if event.told.id not in memory.sent]
        while left:
            size = 1 if memory.failed else self._target.most
            some, left = left[:size], left[size:]
            try:
                rejected = await self._target.send([event.message for event in some])
            except PortError as exc:
                stuck = 0
                if isinstance(exc, Later | Denied):
                    stuck = exc.stuck
                    memory.sent.update(some[place].told.id for place in exc.sent)
                memory.note(some[stuck].told.id, exc.detail, self._now_ms())
                raise
            memory.failed = False
            never = {place for place, _ in rejected}
            memory.sent.update(event.told.id for place, event in enumerate(some) if place not in never)
            letters += [letter_of(some[place], detail) for place, detail in rejected]
        return letters


def letter_of(event: ToSend, detail: str) -> Letter:
    """Of an event that the target will never take."""
    return Letter(event.told, event.place, event.document, InvalidPayload(UNDELIVERABLE, detail))
