"""An OTLP receiver: an HTTP server that reads the spans which it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

from tests.targets.http import Answer, HttpServer, Received, server
from tests.waiting import wait_for


class Span(NamedTuple):
    """`kind`: as OTLP names it, in lower case. `links`: (trace, span), in hex as all ids are."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: frozenset[tuple[str, str]]
    attributes: Mapping[str, Any]
    began_ns: int
    ended_ns: int


class Receiver:
    """Attributes: http: the server; url: of it, without a path."""

    def __init__(self, http: HttpServer) -> None:
        http.decide = self._take
        self.http = http
        self.url = http.url.rsplit("/", 1)[0]
        self._spans: list[Span] = []

    def of(self, trace: str) -> list[Span]:
        """Spans of a trace that have come so far, the earliest first."""
        return sorted((span for span in self._spans if span.trace == trace), key=lambda span: span.began_ns)

    def all(self) -> list[Span]:
        """Of all traces."""
        return list(self._spans)

    def until(self, trace: str, what: str, enough: Callable[[list[Span]], bool]) -> list[Span]:
        """Spans of a trace once there are enough of them."""

        def look() -> list[Span]:
            found = self.of(trace)
            return found if enough(found) else []

        try:
            return wait_for(what, look)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; there are {[(one.service, one.name) for one in self.of(trace)]}") from exc

    def _take(self, received: Received) -> Answer:
        request = ExportTraceServiceRequest.FromString(received.body)
        for resource in request.resource_spans:
            service = _values(resource.resource.attributes)["service.name"]
            self._spans += [_span(service, span) for scope in resource.scope_spans for span in scope.spans]
        return Answer(200, {"Content-Type": "application/x-protobuf"})


def _span(service: str, sent: Sent) -> Span:
    return Span(
        service,
        sent.name,
        Sent.SpanKind.Name(sent.kind).removeprefix("SPAN_KIND_").lower(),
        sent.trace_id.hex(),
        sent.span_id.hex(),
        sent.parent_span_id.hex(),
        frozenset((link.trace_id.hex(), link.span_id.hex()) for link in sent.links),
        _values(sent.attributes),
        sent.start_time_unix_nano,
        sent.end_time_unix_nano,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [_value(one) for one in found.values] if kind == "array_value" else found


@contextmanager
def receiver() -> Iterator[Receiver]:
    """One that listens."""
    with server() as http:
        yield Receiver(http)
