"""/redirect/{id}[/{session}]: whoever follows the link goes to its page, and an event on the log says so."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
import structlog

from hub.api import metrics
from hub.api.asgi import Answer, Receive, Scope, Send, respond
from hub.api.body import Disconnected
from hub.api.call import Call, call_of
from hub.api.collect import NO_STORE
from hub.api.intake import Intake
from hub.api.problems import not_allowed, problem
from hub.edge.admit import clean_id, event_type
from hub.edge.inbound import check_source
from hub.edge.properties import of_body, of_query
from hub.edge.redirects import Link, link
from hub.edge.scanners import is_scanner
from hub.edge.vendors import wire
from hub.errors import InvalidPayload, PortError

log: Final = structlog.get_logger()

REDIRECT: Final = "/redirect/"
DOOR: Final = "redirect"
"""The type that a source must have; label of metrics, origin of records."""
SESSION_COOKIE: Final = "tracardi-session-id"
"""What the predecessor's script for pages keeps."""
WAIT_S: Final = 2.0
"""How long a person waits for Kafka. The event may still get onto the log after that."""
METHODS: Final = "GET, HEAD, POST, PUT, DELETE"


class Redirects:
    """The ASGI app behind /redirect/."""

    def __init__(self, intake: Intake) -> None:
        """Args: intake: what all doors share."""
        self._intake = intake
        self._late: set[asyncio.Task[str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = call_of(scope)
        id, _, session = call.path.removeprefix(REDIRECT).removesuffix("/").partition("/")
        found = link(id, self._intake.catalogue)
        if found is None or "/" in session:
            answer = problem(404, "there is no such link", reason="not_found")
        elif call.method == "HEAD" or (call.method == "GET" and is_scanner(call.headers)):
            metrics.REDIRECTED.labels("no_person").inc()
            answer = _to(found, call)
        elif call.method in ("GET", "POST", "PUT", "DELETE"):
            try:
                await self._count(id, found, session, call, receive)
            except Disconnected:
                return
            answer = _to(found, call)
        else:
            answer = not_allowed("links are followed", METHODS)
        await respond(send, answer)

    async def _count(self, id: str, found: Link, session: str, call: Call, receive: Receive) -> None:
        """Returns in WAIT_S, whatever comes of the event. Raises Disconnected."""
        try:
            if call.method != "GET":
                call = await call.with_body(receive, self._intake.limits.body_bytes)
        except InvalidPayload as exc:
            metrics.REDIRECTED.labels(self._refused(id, found, exc)).inc()
            return
        # it goes on when the person does not wait any longer
        task = asyncio.create_task(self._event(id, found, session, call))
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        done, _ = await asyncio.wait({task}, timeout=WAIT_S)
        if not done:
            log.warning("redirect.does_not_wait", redirect=id, waited_s=WAIT_S)
        metrics.REDIRECTED.labels(task.result() if done else "late").inc()

    async def _event(self, id: str, found: Link, session: str, call: Call) -> str:
        """Raises nothing: says what became of the event, as a label of the metric."""
        intake, spec = self._intake, found.spec
        try:
            source_id = clean_id(spec.source, "source", intake.limits.id_chars)
            check_source(source_id, intake.catalogue, DOOR)
            session_id: str | None = session or call.cookie(SESSION_COOKIE) or None
            if session_id is not None:
                session_id = clean_id(session_id, "session", intake.limits.id_chars)
            payload = wire.payload(
                source_id=source_id,
                payload_id=None,
                profile_id=None,
                session_id=session_id,
                event_id=None,
                type=event_type(clean_id(spec.event_type, "type", intake.limits.id_chars)),
                time_ms=None,
                properties=self._said(found, call, session_id),
                context={},
                options={},
                limits=intake.limits,
            )
            about = msgspec.json.encode({"redirect": id})
            payload = msgspec.structs.replace(payload, profile_less=session_id is None, request=about)
            size = len(call.body) or len(call.query)
            await intake.take(payload, call, door=DOOR, body_bytes=size)
        except InvalidPayload as exc:
            return self._refused(id, found, exc)
        except PortError as exc:
            metrics.UNAVAILABLE.inc()
            log.error("redirect.event_lost", redirect=id, error=exc.detail)
            return "lost"
        except Exception:
            log.exception("redirect.event_lost", redirect=id)
            return "lost"
        return "event"

    def _said(self, found: Link, call: Call, session_id: str | None) -> dict[str, Any]:
        params = of_query(call.query)
        given = of_body(call.body, call.header(b"content-type"), self._intake.limits)
        return found.said(params, given, session_id)

    def _refused(self, id: str, found: Link, error: InvalidPayload) -> str:
        error.source = error.source or found.spec.source
        self._intake.failures.count(error)
        log.warning("redirect.without_event", redirect=id, reason=error.reason, detail=error.detail, where=error.where)
        return "refused"


def _to(found: Link, call: Call) -> Answer:
    # a form must not be sent a second time, to the page: behind anything but GET the page is asked for with GET
    status = 307 if call.method in ("GET", "HEAD") else 303
    return Answer(status, b"", ((b"location", found.spec.url.encode()), NO_STORE))
