"""Traces begin here: requests that bring events, and the records that are made of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry.trace import Span
from structlog.contextvars import bound_contextvars

from hub.log.publishing import Publishing
from hub.settings import Telemetry
from hub.telemetry.context import HEADER, Context, header, read
from hub.telemetry.sampling import Sampler
from hub.telemetry.tracing import KIND, Tracing, context_of, failed, kafka, now_ns

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_HEADER: Final = HEADER.encode()


class _Asked:
    """A request whose trace is kept. Its span is there once it brings an event: nobody traces queries."""

    def __init__(self, tracing: Tracing, name: str, method: str, parent: Context | None) -> None:
        self._tracing = tracing
        self._name = name
        self._method = method
        self._parent = parent
        self._began_ns = now_ns()
        self.span: Span | None = None
        self.status = 0

    def place(self) -> Context:
        if self.span is None:
            attributes = {"http.request.method": self._method}
            self.span = self._tracing.start(self._name, KIND.SERVER, self._parent, attributes, at_ns=self._began_ns)
        return context_of(self.span)

    def end(self) -> None:
        if self.span is not None:
            if self.status:
                self.span.set_attribute("http.response.status_code", self.status)
            self.span.end()


_asked: Final[ContextVar[_Asked | None]] = ContextVar("asked", default=None)


class TracedApp:
    """An ASGI app, and around it the span of each request that brings events and whose trace is kept."""

    def __init__(self, app: App, tracing: Tracing, settings: Telemetry) -> None:
        """Args: settings: what is kept."""
        self._app = app
        self._tracing = tracing
        self._sampler = Sampler(settings.share, settings.asked_per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        came = next((value for name, value in scope["headers"] if name == _HEADER), None)
        decision = self._sampler.decide(read(came))
        if not decision.keeps:
            await self._app(scope, receive, send)
            return
        # no more of the path: what follows may be a key, or somebody's id
        first = scope["path"].split("/", 2)[1]
        asked = _Asked(self._tracing, f"{scope['method']} /{first}", scope["method"], decision.parent)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked.status = message["status"]
            await send(message)

        token = _asked.set(asked)
        try:
            await self._app(scope, receive, told)
        finally:
            _asked.reset(token)
            asked.end()


class TracedPublisher:
    """A `Publisher` that says on records of events.v1 to which trace they belong, if that is kept."""

    def __init__(self, publisher: Publishing, tracing: Tracing, events: str) -> None:
        """Args: publisher: sends. events: full name of events.v1."""
        self._publisher = publisher
        self._tracing = tracing
        self._events = events

    async def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        landed: Callable[[int, int], None] | None = None,
    ) -> int:
        """As `Publisher.publish`. Raises Unavailable, Refused."""
        asked = _asked.get()
        if asked is None or topic != self._events:
            return await self._publisher.publish(topic, key, value, headers, landed)
        span = self._tracing.start(
            f"send {topic}", KIND.PRODUCER, asked.place(), kafka("send", topic, message__body__size=len(value or b""))
        )
        place = context_of(span)
        try:
            with bound_contextvars(trace_id=f"{place.trace_id:032x}"):
                return await self._publisher.publish(topic, key, value, [*headers, header(place)], landed)
        except Exception as exc:
            failed(span, exc)
            raise
        finally:
            span.end()

    def ping(self) -> None:
        """As `Publisher.ping`. Raises Unavailable."""
        self._publisher.ping()
