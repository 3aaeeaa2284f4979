"""Messages of bridges: the trace that a message belongs to, or one that begins here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from hub.settings import Telemetry
from hub.telemetry.context import HEADER, Context, header, read
from hub.telemetry.sampling import Sampler
from hub.telemetry.tracing import KIND, Tracing, context_of, kafka

RecordHeaders = list[tuple[str, str | bytes | None]]


class Delivery(Protocol):
    """Of `bridges.base.Delivery`."""

    @property
    def headers(self) -> Any:
        """Of the broker's message, by name."""
        ...


class Bridging:
    """For one bridge on one event loop."""

    def __init__(self, tracing: Tracing, settings: Telemetry, *, bridge: str, kind: str, events: str) -> None:
        """Args: bridge, kind: which, and of what kind of broker. events: full name of events.v1."""
        self._tracing = tracing
        self._sampler = Sampler(settings.share, settings.asked_per_s)
        self._bridge = bridge
        self._kind = kind
        self._events = events

    def batch(self, deliveries: Sequence[Delivery]) -> Forwarded | None:
        """What the records of these say of their traces; None: none of these is kept."""
        kept = []
        for place, delivery in enumerate(deliveries):
            decision = self._sampler.decide(_came(delivery.headers))
            if decision.keeps:
                kept.append((place, decision.parent))
        return Forwarded(self, len(deliveries), kept) if kept else None

    def spans(self, kept: Sequence[tuple[int, Context | None]], size: int) -> dict[int, Any]:
        """One of each message that is kept, by its place."""
        attributes = {
            **kafka("send", self._events),
            "hub.bridge.id": self._bridge,
            "hub.bridge.kind": self._kind,
            "messaging.batch.message_count": size,
        }
        return {
            place: self._tracing.start(f"bridge {self._bridge}", KIND.PRODUCER, parent, attributes)
            for place, parent in kept
        }


class Forwarded:
    """A batch on its way to events.v1."""

    def __init__(self, bridging: Bridging, size: int, kept: Sequence[tuple[int, Context | None]]) -> None:
        """Args: size: of the batch. kept: places of messages whose traces are kept, and whose span is their parent."""
        self._spans = bridging.spans(kept, size)
        self._headers: dict[int, RecordHeaders] = {
            place: [header(context_of(span))] for place, span in self._spans.items()
        }

    def headers(self, place: int) -> RecordHeaders | None:
        """Of the record of the message at this place."""
        return self._headers.get(place)

    def done(self, *_: object) -> None:
        """Kafka has them, or never will."""
        for span in self._spans.values():
            span.end()


def _came(headers: Any) -> Context | None:
    for name, value in headers:
        if name.lower() == HEADER:
            return read(value)
    return None
