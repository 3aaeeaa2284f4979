"""POST /customer/consent: what somebody agrees to becomes an event on the log, if their own session says so."""

from __future__ import annotations

import asyncio
from typing import Final

from hub.api.asgi import Answer, Receive, Scope, Send, respond
from hub.api.call import Call, call_of
from hub.api.intake import Intake
from hub.api.problems import not_allowed
from hub.api.track import CORS, accepted, preflight
from hub.edge.consents import Asked, payload, read
from hub.edge.inbound import check_origin, check_source
from hub.errors import InvalidPayload
from hub.store.port import Reading

CONSENT: Final = "/customer/consent"
DOOR: Final = "consent"
"""Label of metrics, origin of records."""
_YES: Final = frozenset({"true", "1", "yes", "on"})


class Consents:
    """The ASGI app behind /customer/consent."""

    def __init__(self, intake: Intake, store: Reading) -> None:
        """Args: intake: what all doors share. store: knows whose a session is."""
        self._intake = intake
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = call_of(scope)
        answer: Answer | None
        if call.method == "OPTIONS":
            answer = preflight(call.headers)
        elif call.method == "POST":
            answer = await self._intake.failures.answered(DOOR, self._post(call, receive))
        else:
            answer = not_allowed("consents are sent with POST", "POST, OPTIONS")
        if answer is not None:
            await respond(send, answer, CORS)

    async def _post(self, call: Call, receive: Receive) -> Answer:
        intake = self._intake
        call = await call.with_body(receive, intake.limits.body_bytes)
        asked = read(call.body, all=call.query_values().get("all", "").lower() in _YES, limits=intake.limits)
        source = check_source(asked.source_id, intake.catalogue, "rest")
        check_origin(asked.source_id, source, call.header(b"origin"))
        await asyncio.to_thread(self._check_session, asked)
        event = payload(asked, intake.catalogue, intake.limits, intake.now_ms())
        return accepted(await intake.take(event, call, door=DOOR, body_bytes=len(call.body)))

    def _check_session(self, asked: Asked) -> None:
        """Blocks. Raises InvalidPayload: not_their_session; Unavailable."""
        session = self._store.get("sessions", asked.session_id)
        # either may have been merged since; which of them is missing is nobody's business, as ids could be tried
        if session is None or not self._are_one(session["profile"]["id"], asked.profile_id):
            raise InvalidPayload(
                "not_their_session",
                "the session has to be one of the profile, whose first event has been stored",
                "session.id",
                asked.source_id,
            )

    def _are_one(self, one: str, other: str) -> bool:
        return one == other or self._store.survivor(one) == self._store.survivor(other)
