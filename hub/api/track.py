"""POST or PUT /track: a payload goes onto the log, and is answered when Kafka has it. Plain ASGI: the hot path."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, cast
from urllib.parse import parse_qs

import msgspec

from hub.api import metrics
from hub.api.asgi import Answer, Header, Receive, Scope, Send, respond
from hub.api.beacons import may_send
from hub.api.body import read_body
from hub.api.failures import Failures
from hub.api.flow_answers import MARK, PENDING, Told, Waiters, asking
from hub.api.parts import DoorParts
from hub.api.problems import not_allowed
from hub.edge.admit import admit, clean_id
from hub.edge.headers import SECRET
from hub.edge.inbound import Taken, check_origin, check_source, inbound
from hub.edge.payload import Payload
from hub.errors import InvalidPayload
from hub.ids import ordered
from hub.log.bulk import BulkWindow
from hub.settings import Limits
from schemas import records
from schemas.codec import encode_inbound
from schemas.topics import MAX_RECORD_BYTES

DOOR: Final = "rest"
METHODS: Final = "POST, PUT, OPTIONS"
# any page may send events; without credentials, so nothing of the user's is lent to it
CORS: Final[tuple[Header, ...]] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Retry-After"),
)
BULK_WAIT_S: Final = 5.0
"""How long a bulk payload waits for room before its sender is asked to come again; live ones never wait."""
FRAMING_BYTES: Final = 4096
"""Room that Kafka's own framing of a record takes at most, its key included."""
_YES_OR_NO: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


class Track:
    """The ASGI app behind /track."""

    def __init__(self, parts: DoorParts, bulk: BulkWindow | None = None, waiters: Waiters | None = None) -> None:
        """
        Args:
            parts: What all doors share.
            bulk: Where bulk payloads wait; None: they do not.
            waiters: Who wait for what flows answer; None: nobody does.
        """
        self._publish = parts.publisher.publish
        self._bulk = bulk
        self._waiters = waiters
        self._topic = parts.topic
        self._catalogue = parts.catalogue
        self._limits = parts.limits
        self._gate = parts.gate
        self._now_ms = parts.now_ms
        self._failures = Failures(parts)
        self._payloads = metrics.PAYLOADS.labels(DOOR)
        self._events = metrics.EVENTS.labels(DOOR)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method = scope["method"]
        answer: Answer | None
        if method in ("POST", "PUT"):
            try:
                answer = await self._post(scope, receive)
            except Exception as exc:  # noqa: BLE001 - as `Failures.answered` does, without one more coroutine
                answer = self._failures.answer(DOOR, exc)
        elif method == "OPTIONS":
            await respond(send, preflight(scope["headers"], METHODS), may_send(scope["headers"]))
            return
        else:
            answer = not_allowed("events are sent with POST", METHODS)
        if answer is not None:
            await respond(send, answer, CORS)

    async def _post(self, scope: Scope, receive: Receive) -> Answer:
        started_s = time.perf_counter()
        limits = self._limits
        headers = scope["headers"]
        length = encoding = key = priority = None
        origin = b""
        for name, value in headers:
            if name == b"content-length":
                length = value
            elif name == b"content-encoding":
                encoding = value
            elif name == b"idempotency-key":
                key = value
            elif name == b"hub-priority":
                priority = value
            elif name == b"origin":
                origin = value
        body = await read_body(receive, length, encoding or b"", limits.body_bytes)
        payload = admit(body, limits)
        source = check_source(payload.source_id, self._catalogue, DOOR)
        check_origin(payload.source_id, source, origin.decode("latin-1"))
        if not payload.events:
            return Answer(200, b"null")
        if scope["query_string"]:
            payload = _overridden(payload, scope["query_string"])
        asked = asking(payload) if MARK in body else None
        taken = inbound(
            asked or payload,
            catalogue=self._catalogue,
            payload_id=None if key is None else idempotency_key(key, payload.source_id, limits),
            now_ms=self._now_ms(),
            origin=DOOR,
            request=request_of(headers, scope.get("client")),
            new_id=ordered,
        )
        value = encode_inbound(taken.record)
        if len(value) > MAX_RECORD_BYTES - FRAMING_BYTES:
            raise InvalidPayload(
                "body_too_large", f"the record of this payload has {len(value)} bytes", "", payload.source_id
            )
        self._gate.enter(payload.source_id, len(body), len(payload.events))
        if priority is None or not _is_bulk(priority, payload.source_id):
            await self._publish(self._topic, taken.key, value)
            metrics.TRACK_S.observe(time.perf_counter() - started_s)
        else:
            await self._publish_bulk(taken.key, value, len(payload.events))
        self._payloads.inc()
        self._events.inc(len(payload.events))
        return accepted(taken) if asked is None else answered(taken, await self._told(asked, taken, priority))

    async def _told(self, payload: Payload, taken: Taken, priority: bytes | None) -> Told:
        if self._waiters is None or (priority is not None and _is_bulk(priority, payload.source_id)):
            return PENDING
        track = cast("records.Track", taken.record["body"][1])
        return await self._waiters.told(payload, [event["id"] for event in track["events"]])

    async def _publish_bulk(self, key: bytes, value: bytes, events: int) -> None:
        """Raises Unavailable when live events leave no room in time."""
        if self._bulk is None:
            await self._publish(self._topic, key, value)
            return
        await self._bulk.enter(events, BULK_WAIT_S)
        await self._publish(self._topic, key, value, landed=partial(self._bulk.landed, events))


def accepted(taken: Taken) -> Answer:
    """The answer to a payload that Kafka has."""
    return Answer(200, msgspec.json.encode(_members(taken)))


def answered(taken: Taken, told: Told) -> Answer:
    """The same to somebody who has waited for what flows answer."""
    return Answer(200, msgspec.json.encode({**_members(taken), **told._asdict()}))


def _members(taken: Taken) -> dict[str, Any]:
    # "profile" is what the client has to keep: it may be another one than it sent
    return {
        "task": taken.record["id"],
        "ux": [],
        "response": {},
        "events": [],
        "profile": {"id": taken.profile_id or None},
        "session": {"id": taken.session_id},
        "errors": [],
        "warnings": [],
    }


def idempotency_key(value: bytes, source: str, limits: Limits) -> str:
    """A payload id from the header Idempotency-Key. Raises InvalidPayload: bad_id."""
    # a structured header has quotes around it (draft-ietf-httpapi-idempotency-key-header), but few clients send them
    try:
        return clean_id(value.decode().strip().strip('"'), "Idempotency-Key", limits.id_chars)
    except UnicodeDecodeError as exc:
        raise InvalidPayload("bad_id", "the header is not UTF-8", "Idempotency-Key", source) from exc
    except InvalidPayload as exc:
        exc.source = source
        raise


def _is_bulk(value: bytes, source: str) -> bool:
    priority = value.strip().lower()
    if priority not in (b"live", b"bulk"):
        raise InvalidPayload("wrong_type", "expected live or bulk", "Hub-Priority", source)
    return priority == b"bulk"


def _overridden(payload: Payload, query: bytes) -> Payload:
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("profile_less")
    if not values:
        return payload
    profile_less = _YES_OR_NO.get(values[-1].lower())
    if profile_less is None:
        raise InvalidPayload("wrong_type", "expected true or false", "?profile_less", payload.source_id)
    return msgspec.structs.replace(payload, profile_less=profile_less)


def request_of(headers: Iterable[Header], client: tuple[str, int] | None) -> bytes:
    """What is kept of a request, as JSON: its headers, without credentials, and who sent it."""
    shown = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name not in SECRET}
    return msgspec.json.encode({"headers": shown, "ip": client[0] if client else None})


def preflight(headers: Iterable[Header], methods: str = "POST, OPTIONS") -> Answer:
    """What a browser is told that asks whether a page may send. Args: methods: with which."""
    asked = next((value for name, value in headers if name == b"access-control-request-headers"), b"Content-Type")
    return Answer(
        204,
        b"",
        (
            (b"allow", methods.encode()),
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", asked),
            (b"access-control-max-age", b"86400"),
            (b"vary", b"Access-Control-Request-Headers"),
        ),
    )
