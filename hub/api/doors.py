"""
The routes of other vendors' clients: what they have in common with /track. Plain ASGI, as it is.

A request is many messages, each a record of its own; it is answered when Kafka has acknowledged all of them. Which
event source it is for is told by a write key.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from hub.api import metrics
from hub.api.asgi import Answer, Header, Receive, Scope, Send, respond
from hub.api.call import Call, call_of
from hub.api.failures import Failures
from hub.api.parts import DoorParts
from hub.api.problems import not_allowed, refusal
from hub.api.track import CORS, FRAMING_BYTES, preflight, request_of
from hub.definitions.kinds import Source
from hub.definitions.write_keys import source_of
from hub.edge.inbound import Taken, check_origin, check_source, inbound
from hub.edge.payload import Payload
from hub.edge.vendors.wire import Converted, placed
from hub.errors import InvalidPayload
from hub.ids import ordered
from hub.settings import Limits
from schemas.codec import encode_inbound
from schemas.topics import MAX_RECORD_BYTES

WEBHOOK_ORIGIN: Final = b"webhook-request-origin"
"""Asks whether events may be sent here at all (CloudEvents' HTTP Webhook, section 4)."""
_QUERY_KEYS: Final = ("key", "writeKey", "api_key", "token")
_STATUSES: Final = {"disabled_source": 403, "source_type": 403}
"""Of reasons that are another thing here: the key is right, so the client is known, and may not."""


class Opened(NamedTuple):
    """A request whose body has been read: the write key in it, if any, and what makes payloads of it."""

    write_key: str
    convert: Callable[[str, int], Converted]
    """Args: event source id; receive time, milliseconds since 1970. Raises InvalidPayload."""


class Route(NamedTuple):
    """
    Where events are sent.

    Attributes:
        door: Whose it is: label of metrics, origin of records.
        summary: For the API's description.
        open: Raises InvalidPayload.
        accepted: The vendor's own answer once Kafka has everything.
    """

    door: str
    summary: str
    open: Callable[[Call, Limits], Opened]
    accepted: Callable[[Call, Converted], Answer]


class Reply(NamedTuple):
    """What a client asks for besides, and gets an answer that lets it go on."""

    summary: str
    answer: Callable[[Call], Answer]


class Doors:
    """The ASGI app behind those routes."""

    def __init__(self, routes: Mapping[str, Route | Reply], parts: DoorParts) -> None:
        """
        Args:
            routes: By path, without a slash at its end; `{}` in one stands for one part of a path.
            parts: What all doors share.
        """
        self._routes = {path: route for path, route in routes.items() if "{" not in path}
        self._open_routes = [(path.partition("{}"), route) for path, route in routes.items() if "{" in path]
        self._publish = parts.publisher.publish
        self._topic = parts.topic
        self._catalogue = parts.catalogue
        self._limits = parts.limits
        self._gate = parts.gate
        self._now_ms = parts.now_ms
        self._failures = Failures(parts, self._refused)

    def takes(self, path: str) -> bool:
        """Whether a path is one of theirs."""
        return self._route(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = call_of(scope)
        route = self._route(call.path)
        answer: Answer | None
        if call.method == "OPTIONS":
            answer = _options(call.headers)
        elif isinstance(route, Reply):
            answer = route.answer(call)
        elif route is None or call.method != "POST":
            answer = not_allowed("events are sent with POST", "POST, OPTIONS")
        else:
            answer = await self._failures.answered(route.door, self._post(route, call, receive))
        if answer is not None:
            await respond(send, answer, CORS)

    def _route(self, path: str) -> Route | Reply | None:
        found = self._routes.get(path) or self._routes.get(path.rstrip("/"))
        if found is not None:
            return found
        for (before, _, behind), route in self._open_routes:
            part = path.removeprefix(before).removesuffix(behind)
            if len(part) == len(path) - len(before) - len(behind) and part and "/" not in part:
                return route
        return None

    async def _post(self, route: Route, call: Call, receive: Receive) -> Answer:
        call = await call.with_body(receive, self._limits.body_bytes)
        opened = route.open(call, self._limits)
        source_id = self._source(_key(call) or opened.write_key or _query_key(call), call)
        now_ms = self._now_ms()
        request = request_of(call.headers, call.client)
        try:
            converted = opened.convert(source_id, now_ms)
            records = [
                self._record(payload, index, route.door, now_ms, request)
                for index, payload in enumerate(converted.payloads)
            ]
        except InvalidPayload as exc:
            exc.source = source_id
            raise
        self._gate.enter(source_id, len(call.body), sum(len(payload.events) for payload in converted.payloads))
        await self._publish_all(records)
        metrics.PAYLOADS.labels(route.door).inc(len(records))
        metrics.EVENTS.labels(route.door).inc(sum(len(payload.events) for payload in converted.payloads))
        for error in converted.refused.values():
            error.source = source_id
            self._failures.count(error)
        return route.accepted(call, converted)

    def _source(self, key: str, call: Call) -> str:
        """
        Whose key it is.

        Raises:
            InvalidPayload: unknown_write_key, disabled_source, source_type or origin_not_allowed.
        """
        id = source_of(key, self._catalogue) if key else None
        if id is None:
            detail = "no event source has this write key" if key else "the request has no write key"
            raise InvalidPayload("unknown_write_key", detail, "write key")
        spec: Source = check_source(id, self._catalogue, "rest")
        check_origin(id, spec, call.header(b"origin"))
        return id

    def _record(self, payload: Payload, index: int, door: str, now_ms: int, request: bytes) -> tuple[Taken, bytes]:
        taken = inbound(
            payload,
            catalogue=self._catalogue,
            payload_id=None,
            now_ms=now_ms,
            origin=door,
            request=request,
            new_id=ordered,
        )
        value = encode_inbound(taken.record)
        if len(value) > MAX_RECORD_BYTES - FRAMING_BYTES:
            error = InvalidPayload("body_too_large", f"the record of this message has {len(value)} bytes")
            raise placed(error, f"[{index}]")
        return taken, value

    async def _publish_all(self, records: Sequence[tuple[Taken, bytes]]) -> None:
        """In their order, all at once. Raises what failed first, when it is known what became of each."""
        if len(records) == 1:
            taken, value = records[0]
            await self._publish(self._topic, taken.key, value)
            return
        sent = [self._publish(self._topic, taken.key, value) for taken, value in records]
        for outcome in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def _refused(self, error: InvalidPayload) -> Answer:
        # these protocols know 400 for what is malformed, and clients that try again at anything else that is no 4xx of
        # theirs; `code` and `message` are where Segment's and RudderStack's look for words
        status = _STATUSES.get(error.reason, error.status)
        return refusal(
            error, self._limits, status=400 if status == 422 else status, code=error.reason, message=error.detail
        )


def _key(call: Call) -> str:
    """The write key in the headers; empty if there is none."""
    scheme, _, given = call.header(b"authorization").partition(" ")
    given = given.strip()
    if scheme.lower() == "bearer":
        return given
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).decode().partition(":")[0]
        except ValueError:  # no base64, no text, or not even ASCII
            return ""
    return call.header(b"x-write-key").strip()


def _query_key(call: Call) -> str:
    values = call.query_values()
    return next((values[name] for name in _QUERY_KEYS if values.get(name)), "")


def _options(headers: Sequence[Header]) -> Answer:
    answer = preflight(headers)
    asked = next((value for name, value in headers if name == WEBHOOK_ORIGIN), None)
    if asked is None:
        return answer
    allowed = ((b"webhook-allowed-origin", asked), (b"webhook-allowed-rate", b"*"))
    return answer._replace(headers=answer.headers + allowed)
