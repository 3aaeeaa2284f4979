"""
The server's end of a connection: uvicorn's, which would wait for ever and take heads of any size, with limits.

Nothing here costs a request more than a few comparisons: who is slow is found by a look at all connections each second,
for which a request keeps nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hub.api import metrics
from hub.api.asgi import Answer, Receive, Scope, Send, respond
from hub.api.problems import RETRY_AFTER_S, problem
from hub.settings import Api, Limits

LOOK_S: Final = 1.0
BODY_TIMES: Final = 8
"""A request may have so many times the bytes of the largest body: chunks of one byte are six times their content."""
LEAST_BODY_BYTES: Final = 1_048_576
"""A definition may have as much, whatever the limit of payloads."""
LINGER_S: Final = 30.0
"""So long the rest of a body that is far too large is dropped: whoever is closed upon as it sends loses the answer."""
LINGER_TIMES: Final = 8
"""And no more than so many times the bytes of a request."""
_EVICTED: Final = 100
"""Of so many connections one is closed when there is no room: so that not each new one has to look for another."""

Phase: TypeAlias = Literal["head", "body", "work", "answer", "idle", "over"]
Clock: TypeAlias = Callable[[], float]


class Bounds(NamedTuple):
    """What a client may do: see hub.settings, `Api` and `Limits`. `request_bytes`: all of one, behind its head."""

    connections: int
    head_s: float
    body_s: float
    stalled_s: float
    head_bytes: int
    headers: int
    request_bytes: int


def bounds_of(api: Api, limits: Limits) -> Bounds:
    """Of the settings."""
    return Bounds(
        api.connections,
        api.head_s,
        api.body_s,
        api.stalled_s,
        limits.head_bytes,
        limits.headers,
        BODY_TIMES * max(limits.body_bytes, LEAST_BODY_BYTES) + limits.head_bytes,
    )


class Wire(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        bounds: Bounds,
    ) -> None:
        """As uvicorn makes them; `bounds` are ours."""
        super().__init__(config, server_state, app_state, _loop)
        self._bounds = bounds
        self._unread = 0  # bytes since the last head, or the last body, was complete: about
        self._is_over = False
        """All that still comes is dropped."""
        self._seen: tuple[object, ...] = ()
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for it, or turn it away."""
        super().connection_made(transport)
        most = self._bounds.connections
        if len(self.connections) > most and not self._make_room(most):
            self._turn_away("full", 503, "this process has as many connections as it may have", "unavailable")

    def data_received(self, data: bytes) -> None:
        """Hand it to the parser; then see whether it becomes too much."""
        self._unset_keepalive_if_required()
        self._unread += len(data)
        if self._is_over:
            if self._unread > LINGER_TIMES * self._bounds.request_bytes:
                self.transport.abort()
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._stay(data[exc.args[0] :])
            return
        except httptools.HttpParserError as exc:
            self._turn_away("malformed", 400, f"this is no request of HTTP/1.1: {exc}", "bad_request")
            return
        if self._unread > self._bounds.head_bytes:
            self._weigh()
        elif len(self.headers or ()) > self._bounds.headers:
            self._too_large()

    def on_headers_complete(self) -> None:
        """What comes behind the body is no header of the request: it would pass as one that nobody has looked at."""
        if self.parser.should_upgrade():
            return  # see `_stay`
        bounds = self._bounds
        if len(self.headers) > bounds.headers or (
            self._unread > bounds.head_bytes and self._head() > bounds.head_bytes
        ):
            own, self.app = self.app, cast("Any", _refuse_head)
            try:
                super().on_headers_complete()
            finally:
                self.app = own
            metrics.CUT.labels("large_head").inc()
            self.cycle.keep_alive = False
        else:
            super().on_headers_complete()
        self._unread = 0
        self.headers = []

    def on_message_complete(self) -> None:
        """The next head begins."""
        if self.parser.should_upgrade():
            return
        self._unread = 0
        super().on_message_complete()

    def look(self, now: float) -> None:
        """Cut it off if it has been too long at what it is about. Args: now: seconds, of a clock that only goes on."""
        phase = self.phase
        pending = self.transport.get_write_buffer_size()
        seen = (phase, self.cycle, pending)
        if seen != self._seen:
            self._seen, self._since = seen, now
            return
        waited = now - self._since
        bounds = self._bounds
        if pending:
            if waited > bounds.stalled_s:
                metrics.CUT.labels("stalled").inc()
                self.transport.abort()
        elif phase == "head" and waited > bounds.head_s:
            self._turn_away(
                "slow_head", 408, f"the head of the request took longer than {bounds.head_s:g} s", "too_slow"
            )
        elif phase == "body" and waited > bounds.body_s:
            self._turn_away(
                "slow_body", 408, f"the body of the request took longer than {bounds.body_s:g} s", "too_slow"
            )
        elif phase == "over" and waited > LINGER_S:
            self.transport.abort()

    @property
    def phase(self) -> Phase:
        """What it is waited for."""
        if self._is_over:
            return "over"
        cycle: Any = self.cycle  # none, before the first request
        if cycle is not None and not cycle.response_complete:
            if cycle.more_body:
                return "body"
            return "answer" if cycle.response_started else "work"
        return "idle" if self.timeout_keep_alive_task is not None else "head"

    def _stay(self, rest: bytes) -> None:
        """
        A client may offer to speak something else, such as HTTP/2, and it is not taken up.

        The parser ends such a request behind its head: what follows, its body, would be the next request, which nobody
        in front of us has seen as one. So it is read again, without the offer.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._turn_away("malformed", 400, "this is no proxy", "bad_request")
            return
        offer = (b"upgrade", b"http2-settings")
        kept = [(name, value) for name, value in self.headers if name not in offer and not _is_offer(name, value)]
        head = b"%b %b HTTP/1.1\r\n" % (method, self.url)
        head += b"".join(b"%b: %b\r\n" % header for header in kept)
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + b"\r\n" + rest)

    def _make_room(self, most: int) -> bool:
        """Close some that nobody is working for. Returns whether there is room."""
        wanted = max(1, most // _EVICTED)
        for other in [each for each in self.connections if each is not self]:
            if isinstance(other, Wire) and other.phase in ("idle", "head") and not other.transport.is_closing():
                metrics.CUT.labels("evicted").inc()
                other.transport.abort()
                wanted -= 1
                if not wanted:
                    break
        return wanted < max(1, most // _EVICTED)

    def _weigh(self) -> None:
        """More has come than a head may have: which part of a request is it?"""
        bounds = self._bounds
        scope: Any = self.scope
        if scope is None or "method" not in scope:
            self._too_large()
        elif self._unread > bounds.request_bytes:
            self._drop_the_rest()
        elif len(self.headers) > bounds.headers:
            self._too_large()

    def _head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_large(self) -> None:
        self._turn_away("large_head", 431, HEAD, "head_too_large")

    def _drop_the_rest(self) -> None:
        """Answer, unless that is done; this connection takes no other request."""
        metrics.CUT.labels("large_body").inc()
        self._is_over = True
        cycle: Any = self.cycle
        if not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
            detail = "the request is far larger than any body may be"
            self.transport.write(_raw(problem(413, detail, reason="body_too_large")))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def _turn_away(self, why: str, status: int, detail: str, reason: str) -> None:
        """Answer, if nothing else is being answered, and close."""
        if self.transport.is_closing():
            return
        metrics.CUT.labels(why).inc()
        cycle: Any = self.cycle  # none, before the first request
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering:
            cycle.disconnected = True
            cycle.message_event.set()
        if is_answering and cycle.response_started:
            self.transport.abort()
            return
        self.transport.write(_raw(problem(status, detail, reason=reason)))
        self.transport.close()


HEAD: Final = "the head of the request is too large: HUB_LIMITS__HEAD_BYTES, HUB_LIMITS__HEADERS"


async def _refuse_head(_scope: Scope, _receive: Receive, send: Send) -> None:
    await respond(send, problem(431, HEAD, reason="head_too_large"), [(b"connection", b"close")])


def _is_offer(name: bytes, value: bytes) -> bool:
    return name == b"connection" and b"upgrade" in value.lower()


def _raw(answer: Answer) -> bytes:
    more = ((b"retry-after", b"%d" % RETRY_AFTER_S),) if answer.status == 503 else ()
    headers = (*answer.headers, *more, (b"content-length", b"%d" % len(answer.body)), (b"connection", b"close"))
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d \r\n%b\r\n%b" % (answer.status, lines, answer.body)


def wire_of(bounds: Bounds) -> type[asyncio.Protocol]:
    """What uvicorn calls for each connection."""
    return cast("type[asyncio.Protocol]", partial(Wire, bounds=bounds))


async def watch(connections: Collection[Any]) -> None:
    """Cut off whoever is too slow, until it is cancelled."""
    now: Clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(LOOK_S)
        at = now()
        for each in list(connections):
            each.look(at)
