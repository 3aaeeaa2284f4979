"""/collect/{type}/{source}[/{session}]: one event a request, whose properties are the body or the query string."""

from __future__ import annotations

import base64
from typing import Any, Final

import msgspec

from hub.api.asgi import Answer, Header, Receive, Scope, Send, respond
from hub.api.call import Call, call_of
from hub.api.intake import Intake
from hub.api.problems import NotFound, not_allowed
from hub.api.track import CORS, accepted, preflight
from hub.edge.admit import clean_id, event_type
from hub.edge.inbound import check_origin, check_source
from hub.edge.payload import Payload
from hub.edge.properties import of_body, of_query
from hub.edge.vendors import wire
from hub.errors import InvalidPayload
from hub.settings import Limits

COLLECT: Final = "/collect/"
DOOR: Final = "collect"
"""Label of metrics, origin of records. The type of the source is webhook."""
METHODS: Final = "GET, POST, OPTIONS"
NO_STORE: Final[Header] = (b"cache-control", b"no-store")
"""What is answered from a cache counts nothing."""

_GIF_NAME: Final = ".gif"
# one transparent pixel
_GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


class Collect:
    """The ASGI app behind /collect/."""

    def __init__(self, intake: Intake) -> None:
        """Args: intake: what all doors share."""
        self._intake = intake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = call_of(scope)
        answer: Answer | None
        if call.method == "OPTIONS":
            answer = preflight(call.headers, METHODS)
        elif call.method in ("GET", "POST"):
            answer = await self._intake.failures.answered(DOOR, self._event(call, receive))
        else:
            answer = not_allowed("events are sent with POST or GET", METHODS)
        if answer is not None:
            await respond(send, answer, CORS)

    async def _event(self, call: Call, receive: Receive) -> Answer:
        intake = self._intake
        parts, as_image = _parts(call)
        source_id = clean_id(parts[1], "source", intake.limits.id_chars)
        check_origin(source_id, check_source(source_id, intake.catalogue, "webhook"), call.header(b"origin"))
        try:
            if call.method == "GET":
                size, properties = len(call.query), of_query(call.query)
            else:
                body = (await call.with_body(receive, intake.limits.body_bytes)).body
                size, properties = len(body), of_body(body, call.header(b"content-type"), intake.limits)
            payload = _payload(parts, source_id, properties, intake.limits)
        except InvalidPayload as exc:
            exc.source = source_id
            raise
        taken = await intake.take(payload, call, door=DOOR, body_bytes=size)
        if as_image:
            return Answer(200, _GIF, ((b"content-type", b"image/gif"), NO_STORE))
        answer = accepted(taken)
        return answer._replace(headers=(*answer.headers, NO_STORE))


def _parts(call: Call) -> tuple[list[str], bool]:
    """Event type, source and perhaps session of the path; whether a picture is wanted. Raises NotFound."""
    path = call.path.removeprefix(COLLECT)
    as_image = False
    if call.method == "GET":
        as_image = path.endswith(_GIF_NAME) or call.header(b"accept").strip().startswith("image/")
        path = path.removesuffix(_GIF_NAME)
    parts = path.removesuffix("/").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise NotFound("events are sent to /collect/{type}/{source} or /collect/{type}/{source}/{session}")
    return parts, as_image


def _payload(parts: list[str], source_id: str, properties: dict[str, Any], limits: Limits) -> Payload:
    session_id = clean_id(parts[2], "session", limits.id_chars) if len(parts) == 3 else None
    payload = wire.payload(
        source_id=source_id,
        payload_id=None,
        profile_id=None,
        session_id=session_id,
        event_id=None,
        type=event_type(clean_id(parts[0], "type", limits.id_chars)),
        time_ms=None,
        properties=properties,
        context={},
        options={},
        limits=limits,
    )
    return msgspec.structs.replace(payload, profile_less=session_id is None)
