"""Spans of one process, made by the OpenTelemetry SDK. Imported only where telemetry is on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context as OtelContext
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from hub.telemetry.context import Context
from hub.telemetry.export import Queue

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]
KIND: Final = SpanKind
NONE: Final[Attributes] = MappingProxyType({})
MOST_LINKS: Final = 128
"""Of one span; a batch may have more."""


class Tracing:
    """Thread-safe. Whether a trace is kept was decided before: whoever asks here for a span gets it."""

    def __init__(self, exporter: SpanExporter, *, service: str, version: str, instance: str, namespace: str) -> None:
        """Args: service, version, instance, namespace: of this process."""
        resource = Resource.create(
            {
                "service.name": service,
                "service.version": version,
                "service.instance.id": instance,
                "service.namespace": namespace,
            }
        )
        limits = SpanLimits(max_attributes=32, max_events=8, max_links=MOST_LINKS, max_attribute_length=512)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False, span_limits=limits
        )
        self._provider.add_span_processor(Queue(exporter))
        self._tracer = self._provider.get_tracer("thamesthrive-hub", version)

    def start(
        self,
        name: str,
        kind: SpanKind,
        parent: Context | None,
        attributes: Attributes = NONE,
        *,
        links: Iterable[Context] = (),
        at_ns: int | None = None,
    ) -> Span:
        """
        A span that has begun; `end` has to be called.

        Args: parent: None: it begins a trace. at_ns: when, nanoseconds since 1970; None: now.
        """
        around = trace.set_span_in_context(
            trace.INVALID_SPAN if parent is None else NonRecordingSpan(_remote(parent)), _EMPTY
        )
        return self._tracer.start_span(
            name,
            around,
            kind,
            attributes,
            [Link(_remote(one)) for one in links],
            at_ns,
            record_exception=False,
            set_status_on_exception=False,
        )

    def past(
        self, name: str, kind: SpanKind, parent: Context, attributes: Attributes, *, began_ns: int, ended_ns: int
    ) -> None:
        """A span that is over. Args: began_ns, ended_ns: nanoseconds since 1970."""
        self.start(name, kind, parent, attributes, at_ns=began_ns).end(ended_ns)

    def close(self) -> None:
        """Tell what is left; some seconds at most."""
        self._provider.shutdown()


def context_of(span: Span) -> Context:
    """Where a span is."""
    found = span.get_span_context()
    return Context(found.trace_id, found.span_id, sampled=True)


def failed(span: Span, error: BaseException) -> None:
    """It went wrong. What exactly is in the log: an error's words may have been written by others."""
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))


def now_ns() -> int:
    """The clock: nanoseconds since 1970."""
    return time.time_ns()


def kafka(operation: str, topic: str, **more: str | int) -> dict[str, str | int]:
    """Attributes of semantic conventions for messaging. Args: operation: send, process."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
        **{f"messaging.{name}".replace("__", "."): value for name, value in more.items()},
    }


def _remote(context: Context) -> SpanContext:
    return SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


_EMPTY: Final = OtelContext()
"""Without it the SDK would take what is current on this thread."""
