"""Destinations: a span for each event that is sent and whose trace is kept; what HTTP requests say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from hub.telemetry.context import Context, kept
from hub.telemetry.outgoing import BATCH, going
from hub.telemetry.tracing import KIND, Tracing, context_of, failed


class Delivery(Protocol):
    """Of `bridges.base.Delivery`."""

    @property
    def headers(self) -> Any:
        """Of the record of stored.v1."""
        ...

    @property
    def position(self) -> str:
        """Where it lies."""
        ...


class Sending:
    """For one destination on one event loop."""

    def __init__(self, tracing: Tracing, *, destination: str, kind: str) -> None:
        """Args: destination, kind: which, and of what kind."""
        self._tracing = tracing
        self._name = f"send {destination}"
        self._attributes = {"hub.destination.id": destination, "hub.destination.type": kind}

    def came(self, deliveries: Sequence[Delivery]) -> dict[str, Context]:
        """By position, of those whose traces are kept."""
        return {
            delivery.position: context
            for delivery in deliveries
            if delivery.headers and (context := kept(delivery.headers)) is not None
        }

    @contextmanager
    def sends(self, events: Mapping[str, Context], count: int) -> Iterator[None]:
        """These are sent while the block runs. Args: events: by id, whose traces are kept. count: with the others."""
        if not events:
            yield
            return
        spans = {
            id: self._tracing.start(self._name, KIND.CLIENT, context, {**self._attributes, "hub.event.id": id})
            for id, context in events.items()
        }
        places = {id: context_of(span) for id, span in spans.items()}
        batch = self._tracing.start(
            f"{self._name} batch",
            KIND.CLIENT,
            None,
            {**self._attributes, "messaging.batch.message_count": count},
            links=places.values(),
        )
        token = going.set({**{id: place.written() for id, place in places.items()}, BATCH: context_of(batch).written()})
        try:
            yield
        except BaseException as exc:
            for span in (*spans.values(), batch):
                failed(span, exc)
            raise
        finally:
            going.reset(token)
            for span in (*spans.values(), batch):
                span.end()
