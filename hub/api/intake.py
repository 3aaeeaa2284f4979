"""What the hub's own doors have in common: one payload onto the log, and what is answered when that fails."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import structlog

from hub.api import metrics
from hub.api.asgi import Answer, Header, Receive, Scope
from hub.api.body import Disconnected, read_body
from hub.api.gate import Gate
from hub.api.problems import NotFound, failure, hub_problem, refusal
from hub.api.refusals import Refusals
from hub.api.track import FRAMING_BYTES, Publish, idempotency_key, request_of
from hub.definitions.catalogue import Catalogue
from hub.edge.inbound import Taken, inbound
from hub.edge.payload import Payload
from hub.errors import InvalidPayload, PortError, Unavailable
from hub.ids import ordered
from hub.settings import Limits
from schemas.codec import encode_inbound
from schemas.topics import EVENTS, MAX_RECORD_BYTES

log: Final = structlog.get_logger()


class Call(NamedTuple):
    """A request. `headers`: names in lower case. `client`: its address and port, if the server knows them."""

    method: str
    path: str
    query: bytes
    headers: list[Header]
    client: tuple[str, int] | None

    def header(self, name: bytes) -> str:
        """The first of this name; empty if there is none."""
        return next((value.decode("latin-1") for known, value in self.headers if known == name), "")

    def query_value(self, name: str) -> str:
        """The last value of this name in the query string; empty if there is none."""
        values = parse_qsl(self.query.decode("latin-1"), keep_blank_values=True)
        return next((value for known, value in reversed(values) if known == name), "")


def call_of(scope: Scope) -> Call:
    """The request of an ASGI scope."""
    return Call(
        scope["method"], scope["path"], scope["query_string"], list(scope["headers"]), scope.get("client") or None
    )


class Intake:
    """Puts payloads onto the log, and counts those that cannot be."""

    def __init__(
        self,
        *,
        publisher: Publish,
        namespace: str,
        catalogue: Catalogue,
        limits: Limits,
        refusals: Refusals,
        gate: Gate,
        now_ms: Callable[[], int],
    ) -> None:
        """Args: now_ms: the clock, milliseconds since 1970."""
        self.catalogue = catalogue
        self.limits = limits
        self.now_ms = now_ms
        self._publish = publisher.publish
        self._topic = EVENTS.name(namespace)
        self._refusals = refusals
        self._gate = gate

    async def body(self, call: Call, receive: Receive) -> bytes:
        """
        The request's body, unpacked.

        Raises:
            InvalidPayload: body_too_large or bad_encoding.
            Disconnected: The client went away.
        """
        length = call.header(b"content-length").encode("latin-1") or None
        encoding = call.header(b"content-encoding").encode("latin-1")
        return await read_body(receive, length, encoding, self.limits.body_bytes)

    async def take(self, payload: Payload, call: Call, *, door: str, body_bytes: int) -> Taken:
        """
        Put a payload onto the log, whose source has been checked; returns when Kafka has it.

        Args:
            door: Label of metrics, origin of the record.
            body_bytes: What the request had, unpacked.

        Raises:
            InvalidPayload: The request is at fault, or its source may not send so much.
            PortError: See `Publish`.
        """
        key = call.header(b"idempotency-key")
        taken = inbound(
            payload,
            catalogue=self.catalogue,
            payload_id=idempotency_key(key.encode("latin-1"), payload.source_id, self.limits) if key else None,
            now_ms=self.now_ms(),
            origin=door,
            request=request_of(call.headers, call.client),
            new_id=ordered,
        )
        value = encode_inbound(taken.record)
        if len(value) > MAX_RECORD_BYTES - FRAMING_BYTES:
            raise InvalidPayload(
                "body_too_large", f"the record of this request has {len(value)} bytes", "", payload.source_id
            )
        self._gate.enter(payload.source_id, body_bytes, len(payload.events))
        await self._publish(self._topic, taken.key, value)
        metrics.PAYLOADS.labels(door).inc()
        metrics.EVENTS.labels(door).inc(len(payload.events))
        return taken

    def refuse(self, error: InvalidPayload) -> None:
        """Count a payload that was not taken."""
        metrics.REFUSED.labels(error.reason).inc()
        known = error.source if self.catalogue.entry("source", error.source) else ""
        self._refusals.add(known, error.reason, self.now_ms())

    async def answered(self, door: str, doing: Awaitable[Answer]) -> Answer:
        """
        The answer that is awaited, or that to what went wrong.

        Raises:
            Disconnected: Nobody is left to answer.
        """
        try:
            return await doing
        except InvalidPayload as exc:
            self.refuse(exc)
            log.debug("door.refused", door=door, reason=exc.reason, where=exc.where)
            return refusal(exc, self.limits)
        except NotFound as exc:
            return hub_problem(exc)
        except Unavailable as exc:
            if exc.port == "kafka":
                metrics.UNAVAILABLE.inc()
            return hub_problem(exc)
        except PortError as exc:
            log.error("door.refused_by_a_port", door=door, port=exc.port, error=exc.detail)
            return hub_problem(exc)
        except Disconnected:
            raise
        except Exception:
            error_id = secrets.token_hex(8)
            log.exception("request.failed", error_id=error_id)
            return failure(error_id)


def cookie(headers: Iterable[Header], name: str) -> str:
    """A cookie's value; empty if it was not sent."""
    wanted = name.encode()
    for known, line in headers:
        if known == b"cookie":
            for pair in line.split(b";"):
                key, _, value = pair.strip().partition(b"=")
                if key == wanted:
                    return value.strip(b'"').decode("latin-1")
    return ""
