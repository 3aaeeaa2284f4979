"""POST /webhooks/{bridge}: a signed message goes onto the log, and is answered when Kafka has it. Plain ASGI."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, cast

import msgspec

from hub.api import metrics
from hub.api.access import WEBHOOKS
from hub.api.asgi import Answer, Receive, Scope, Send, respond
from hub.api.body import unpack
from hub.api.call import Call, call_of
from hub.api.failures import Failures
from hub.api.parts import DoorParts
from hub.api.problems import NotFound, not_allowed
from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Bridge
from hub.edge.hook import Hook, Hooks, Record, Request
from hub.errors import InvalidPayload, PortError
from schemas.bridges import Status

DOOR: Final = "webhook"


class _Open(NamedTuple):
    entry: Entry
    hook: Hook


class Webhooks:
    """The ASGI app behind /webhooks/, and what it knows of the bridges there."""

    def __init__(self, hooks: Hooks, parts: DoorParts) -> None:
        """Args: parts: what all doors share."""
        self._hooks = hooks
        self._publish = parts.publisher.publish
        self._topic = parts.topic
        self._catalogue = parts.catalogue
        self._limits = parts.limits
        self._now_ms = parts.now_ms
        self._failures = Failures(parts)
        self._open: dict[str, _Open] = {}
        self._payloads = metrics.PAYLOADS.labels(DOOR)
        self._events = metrics.EVENTS.labels(DOOR)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = call_of(scope)
        answer: Answer | None
        if call.method == "POST":
            answer = await self._failures.answered(DOOR, self._post(call, receive))
        else:
            answer = not_allowed("messages are sent with POST", "POST")
        if answer is not None:
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

    async def _post(self, call: Call, receive: Receive) -> Answer:
        id = call.path.removeprefix(WEBHOOKS)
        hook = self._hook(id)
        if hook is None:
            # whether there is a bridge that is switched off is nobody's business
            raise NotFound("there is no webhook here")
        try:
            record = hook.take(await self._request(call, receive), self._now_ms())
        except InvalidPayload as exc:
            entry = self._catalogue.entry("bridge", id)
            exc.source = "" if entry is None else cast("Bridge", entry.spec).source
            raise
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

    async def _request(self, call: Call, receive: Receive) -> Request:
        """The body as it came, too: some sign that."""
        limit = self._limits.body_bytes
        raw = (await call.with_body(receive, limit, packed=True)).body
        encoding = call.header(b"content-encoding").encode("latin-1")
        body = unpack(raw, encoding, limit) if encoding else raw
        query = call.query.decode("latin-1")
        return Request(call.method, f"{call.path}?{query}" if query else call.path, call.headers, body, raw)


def _accepted(record: Record) -> Answer:
    """A message of which nothing could be made is taken as well: its sender can only send the same again."""
    if record.letter is None:
        return Answer(200, b'{"taken":"event"}')
    return Answer(200, msgspec.json.encode({"taken": "dead_letter", **record.letter._asdict()}))
