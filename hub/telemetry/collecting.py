"""A batch of the collector: a span of its own, linked with the events' traces, and a span in each of these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from opentelemetry.trace import Span
from structlog.contextvars import bind_contextvars, unbind_contextvars

from hub.telemetry.context import Context, header, kept
from hub.telemetry.tracing import KIND, MOST_LINKS, Tracing, context_of, kafka, now_ns

MOST_IDS: Final = 10
"""Event ids that a span has as an attribute."""


class Message(Protocol):
    """What is looked at of a message of `confluent_kafka`."""

    def headers(self) -> Any:
        """Of the record."""
        ...

    def partition(self) -> int | None:
        """Where it lies."""
        ...

    def offset(self) -> int | None:
        """Where it lies there."""
        ...


class Record(Protocol):
    """Of `hub.pipeline.records.LogRecord`."""

    @property
    def partition(self) -> int:
        """Where it lies."""
        ...

    @property
    def offset(self) -> int:
        """Where it lies there."""
        ...


class Decoded(Protocol):
    """Of `hub.pipeline.records.Decoded`."""

    @property
    def record(self) -> Record:
        """Where it lies."""
        ...

    @property
    def inbound(self) -> Any:
        """What it says; None: it cannot be read."""
        ...

    @property
    def events(self) -> Sequence[Any]:
        """Its events."""
        ...


class Collecting:
    """For the collector's polling thread."""

    def __init__(self, tracing: Tracing, *, events: str, stored: str, group: str) -> None:
        """Args: events, stored: full names of topics. group: of collectors."""
        self._tracing = tracing
        self._topics = (events, stored, group)
        self._came: dict[tuple[int, int], Context] = {}

    def polled(self, messages: Iterable[Message]) -> None:
        """These were read; what came before is done, or was given up."""
        self._came = {}
        for message in messages:
            context = kept(message.headers())
            if context is not None:
                self._came[message.partition() or 0, message.offset() or 0] = context

    def batch(self, decoded: Sequence[Decoded]) -> BatchTrace | None:
        """These are processed from now on. Returns: None: no trace of theirs is kept."""
        if not self._came:
            return None
        some = [
            (one, context)
            for one in decoded
            if (context := self._came.get((one.record.partition, one.record.offset))) is not None
        ]
        if not some:
            return None
        return BatchTrace(self._tracing, some, len(decoded), self._topics)


class BatchTrace:
    """One batch; begun on one thread, ended on another."""

    def __init__(
        self,
        tracing: Tracing,
        some: Sequence[tuple[Decoded, Context]],
        records: int,
        topics: tuple[str, str, str],
    ) -> None:
        """Args: some: those whose traces are kept. records: how many there are in all. topics: as of Collecting."""
        events, stored, group = topics
        self._tracing = tracing
        self._began_ns = self._marked_ns = now_ns()
        self._stored_topic = stored
        attributes = kafka("process", events, consumer__group__name=group)
        self._span = tracing.start(
            f"process batch {events}",
            KIND.CONSUMER,
            None,
            {**attributes, "messaging.batch.message_count": records},
            links=[context for _, context in some[:MOST_LINKS]],
        )
        self._place = context_of(self._span)
        self._spans: list[tuple[Span, Context]] = []
        self._of_event: dict[str, Context] = {}
        for one, context in some:
            ids = [event["id"] for event in one.events]
            span = tracing.start(
                f"process {events}",
                KIND.CONSUMER,
                context,
                {
                    **attributes,
                    "messaging.destination.partition.id": str(one.record.partition),
                    "messaging.kafka.offset": one.record.offset,
                    "messaging.message.id": "" if one.inbound is None else one.inbound["id"],
                    "hub.event.ids": ids[:MOST_IDS],
                },
                links=[self._place],
            )
            place = context_of(span)
            self._spans.append((span, place))
            self._of_event.update(dict.fromkeys(ids, place))

    def headers(self, event_ids: Iterable[str | None]) -> list[tuple[str, bytes]]:
        """What a record says that is sent because of these events: the trace of the first whose is kept."""
        for id in event_ids:
            place = self._of_event.get(id or "")
            if place is not None:
                return [header(place)]
        return []

    def writes(self) -> None:
        """From now on lines in the log on this thread say which batch they are about."""
        bind_contextvars(trace_id=f"{self._place.trace_id:032x}")
        self._marked_ns = now_ns()

    def stored(self) -> None:
        """The store has it."""
        self._mark("store", KIND.INTERNAL, {})

    def told(self) -> None:
        """Kafka has what was to be told; the end."""
        self._mark(f"send {self._stored_topic}", KIND.PRODUCER, kafka("send", self._stored_topic))
        for span, _ in self._spans:
            span.end()
        self._span.end()
        unbind_contextvars("trace_id")

    def _mark(self, name: str, kind: Any, attributes: dict[str, Any]) -> None:
        began_ns, self._marked_ns = self._marked_ns, now_ns()
        for place in (self._place, *(place for _, place in self._spans)):
            self._tracing.past(name, kind, place, attributes, began_ns=began_ns, ended_ns=self._marked_ns)
