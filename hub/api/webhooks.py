"""POST /webhooks/{bridge}: a signed message goes onto the log, and is answered when Kafka has it. Plain ASGI."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, cast

import msgspec
import structlog

from hub.api import metrics
from hub.api.access import WEBHOOKS
from hub.api.asgi import Answer, Header, Receive, Scope, Send, respond
from hub.api.body import Disconnected, read_body, unpack
from hub.api.problems import NotFound, failure, hub_problem, problem, refusal
from hub.api.refusals import Refusals
from hub.api.track import Publish
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Bridge
from hub.edge.hook import Hook, Hooks, Record, Request
from hub.errors import InvalidPayload, PortError, Unavailable
from hub.settings import Limits
from schemas.bridges import Status
from schemas.topics import EVENTS

log: Final = structlog.get_logger()

DOOR: Final = "webhook"


class _Open(NamedTuple):
    entry: Entry
    hook: Hook


class Webhooks:
    """The ASGI app behind /webhooks/, and what it knows of the bridges there."""

    def __init__(
        self,
        hooks: Hooks,
        *,
        publisher: Publish,
        namespace: str,
        catalogue: Catalogue,
        limits: Limits,
        refusals: Refusals,
        now_ms: Callable[[], int],
    ) -> None:
        """Args: now_ms: the clock, milliseconds since 1970."""
        self._hooks = hooks
        self._publish = publisher.publish
        self._topic = EVENTS.name(namespace)
        self._catalogue = catalogue
        self._limits = limits
        self._refusals = refusals
        self._now_ms = now_ms
        self._open: dict[str, _Open] = {}
        self._payloads = metrics.PAYLOADS.labels(DOOR)
        self._events = metrics.EVENTS.labels(DOOR)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        id = scope["path"].removeprefix(WEBHOOKS)
        if scope["method"] != "POST":
            refused = problem(
                405, "messages are sent with POST", reason="method_not_allowed", headers=((b"allow", b"POST"),)
            )
            await respond(send, refused)
            return
        try:
            answer = await self._post(id, scope, receive)
        except Disconnected:
            return
        except InvalidPayload as exc:
            answer = self._refuse(id, exc)
        except Unavailable as exc:
            if exc.port == "kafka":
                metrics.UNAVAILABLE.inc()
            answer = hub_problem(exc)
        except PortError as exc:
            log.error("webhook.refused_by_kafka", bridge=id, error=exc.detail)
            answer = hub_problem(exc)
        except NotFound as exc:
            answer = hub_problem(exc)
        except Exception:
            error_id = secrets.token_hex(8)
            log.exception("request.failed", error_id=error_id)
            answer = failure(error_id)
        await respond(send, answer)

    def takes(self, kind: str) -> bool:
        """Whether bridges of this kind are here."""
        return self._hooks.takes(kind)

    def status(self, id: str) -> Status | None:
        """How a bridge is doing in this process; None: it is switched off, or none of these."""
        hook = self._hook(id)
        return None if hook is None else hook.status()

    def _hook(self, id: str) -> Hook | None:
        """As the bridge is defined now; one that has been changed or is gone is closed."""
        entry = self._catalogue.entry("bridge", id)
        known = self._open.get(id)
        if known is not None:
            if known.entry is entry:
                return known.hook
            known.hook.close()
            del self._open[id]
        if entry is None or not entry.spec.enabled or not self._hooks.takes(cast("Bridge", entry.spec).type):
            return None
        opened = _Open(entry, self._hooks.open(id, entry, self._catalogue))
        self._open[id] = opened
        return opened.hook

    async def _post(self, id: str, scope: Scope, receive: Receive) -> Answer:
        hook = self._hook(id)
        if hook is None:
            # whether there is a bridge that is switched off is nobody's business
            raise NotFound("there is no webhook here")
        record = hook.take(await self._request(scope, receive), self._now_ms())
        trouble = "the request was broken off"
        try:
            if record.blob is not None:
                await asyncio.to_thread(self._hooks.put_blob, record.blob)
            await self._publish(self._topic, record.key, record.value)
            trouble = ""
        except PortError as exc:
            trouble = str(exc)
            raise
        finally:
            hook.settle(trouble)
        if record.letter is None:
            self._payloads.inc()
            self._events.inc(record.events)
        return _accepted(record)

    async def _request(self, scope: Scope, receive: Receive) -> Request:
        headers: list[Header] = list(scope["headers"])
        length = _first(headers, b"content-length")
        encoding = _first(headers, b"content-encoding")
        raw = await read_body(receive, length, b"", self._limits.body_bytes)
        body = unpack(raw, encoding, self._limits.body_bytes) if encoding else raw
        query = scope["query_string"].decode("latin-1")
        path = f"{scope['path']}?{query}" if query else scope["path"]
        return Request(scope["method"], path, headers, body, raw)

    def _refuse(self, id: str, error: InvalidPayload) -> Answer:
        metrics.REFUSED.labels(error.reason).inc()
        entry = self._catalogue.entry("bridge", id)
        source = "" if entry is None else cast("Bridge", entry.spec).source
        known = source if self._catalogue.entry("source", source) else ""
        self._refusals.add(known, error.reason, self._now_ms())
        log.debug("webhook.refused", bridge=id, reason=error.reason, where=error.where)
        return refusal(error, self._limits)


def _first(headers: Iterable[Header], wanted: bytes) -> bytes | None:
    return next((value for name, value in headers if name == wanted), None)


def _accepted(record: Record) -> Answer:
    """A message of which nothing could be made is taken as well: its sender can only send the same again."""
    if record.letter is None:
        return Answer(200, b'{"taken":"event"}')
    return Answer(200, msgspec.json.encode({"taken": "dead_letter", **record.letter._asdict()}))
