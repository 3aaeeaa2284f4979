"""Who changed what: every request that may change something is on audit.v1 before it is done, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hub.api.asgi import Message, Receive
from hub.api.problems import hub_problem
from hub.api.roles import Caller, Handler
from hub.errors import HubError, InvalidPayload, PortError
from hub.ids import ordered
from hub.log.publishing import Publish
from hub.pipeline.privacy import PROFILE, mark

log: Final = structlog.get_logger()

MOST_BYTES: Final = 65_536
"""Of a body or an answer that is looked into."""
_OF_PERSONS: Final = " /profiles/{id}"
"""Routes whose id is a person's."""


class Told(NamedTuple):
    """
    What is kept of a request besides its path, as bodies may hold secrets and data of people. Texts, numbers, lists.

    `asked`: members of the body. `persons`: of these, ids of profiles, kept as marks. `answered`: members of the
    answer; of an object its id.
    """

    asked: tuple[str, ...] = ()
    persons: tuple[str, ...] = ()
    answered: tuple[str, ...] = ("id",)


_NOTHING: Final = Told()
_TOLD: Final[Mapping[str, Told]] = {
    "DELETE /profiles/{id}/suppress": Told(),
    "POST /api-keys": Told(asked=("id", "roles", "expires_at")),
    "POST /api-keys/{id}/rotate": Told(asked=("keep",)),
    "POST /bridges/{id}/rewind": Told(asked=("to",)),
    "POST /dead-letters/replay": Told(
        asked=("q", "dry_run", "size"), answered=("matched", "sent", "refused", "skipped", "next")
    ),
    "POST /dead-letters/{id}/replay": Told(answered=("sent", "refused", "skipped")),
    "POST /definitions/{kind}/{id}/rollback": Told(asked=("version",)),
    "POST /destinations/{id}/rewind": Told(asked=("to",)),
    "POST /flows/{id}/run": Told(persons=("profile",), answered=("version", "run", "task")),
    "POST /profiles/{id}/erase": Told(asked=("reason", "suppress")),
    "POST /profiles/{id}/merge": Told(persons=("profile",)),
    "POST /profiles/{id}/suppress": Told(asked=("reason",)),
    "POST /segments/{id}/profiles": Told(answered=("accepted",)),
    "POST /tasks": Told(asked=("kind", "by")),
}


class Change(msgspec.Struct, frozen=True):
    """A definition that was written. `before`, `after`: versions, which the store keeps; `before` None: it was new."""

    kind: str
    id: str
    before: int | None
    after: int
    deleted: bool


class Outcome(msgspec.Struct, frozen=True):
    """What came of it. `asked_offset`: of the record that was written before. `reason`: of a problem; else empty."""

    asked_offset: int
    at_ms: int
    status: int
    reason: str
    answered: dict[str, Any]
    changes: list[Change]


class Entry(msgspec.Struct, frozen=True):
    """
    A record of audit.v1, as JSON; its key is `id`. Without an outcome it is that of before: the request is under way,
    or the process has ended before it could say.

    `key`, `name`: of the key, not the key itself; `address`: where the connection is from; `target`: parameters of the
    path, a person's id as `person`, the mark that reports of erasures have.
    """

    id: str
    at_ms: int
    key: str
    name: str
    address: str
    route: str
    target: dict[str, str]
    asked: dict[str, Any] = {}
    outcome: Outcome | None = None


_CHANGES: Final[ContextVar[list[Change] | None]] = ContextVar("changes", default=None)


def note(change: Change) -> None:
    """Part of what the request at hand did, if one is."""
    changes = _CHANGES.get()
    if changes is not None:
        changes.append(change)


class Audit(NamedTuple):
    """Writes it. `topic`: full name of audit.v1. `identity_key`: for marks. `now_ms`: the clock, since 1970."""

    publisher: Publish
    topic: str
    identity_key: bytes
    now_ms: Callable[[], int]

    async def kept(self, route: str, caller: Caller, request: Request, handler: Handler) -> Response:
        """
        Do what a request asks for, once Kafka has that it was asked for; then say what came of it.

        Raises: as `handler`; Unavailable, Refused: Kafka does not take it, and nothing was done.
        """
        now_ms = self.now_ms()
        told = _TOLD.get(route, _NOTHING)
        entry = Entry(
            id=ordered(now_ms),
            at_ms=now_ms,
            key=caller.id,
            name=caller.name,
            address=request.client.host if request.client else "",
            route=route,
            target=self._target(route, request),
        )
        asked_offset = await self._write(entry)
        changes: list[Change] = []
        token = _CHANGES.set(changes)
        body = _Body(request.receive)
        response: Response | None = None
        error: Exception | None = None
        try:
            response = await handler(Request(request.scope, body) if told.asked or told.persons else request)
            return response
        except Exception as exc:
            error = exc
            raise
        finally:
            _CHANGES.reset(token)
            if response is not None or error is not None:  # else it was broken off, and nobody knows
                status, reason = (response.status_code, "") if response is not None else _failure(error)
                outcome = Outcome(asked_offset, self.now_ms(), status, reason, _answered(told, response), changes)
                await self._tell(msgspec.structs.replace(entry, asked=self._asked(told, body), outcome=outcome))

    async def _tell(self, entry: Entry) -> None:
        try:
            await self._write(entry)
        except PortError as exc:
            # it is done, so whoever asked has to hear that; that it was asked for is on the log
            log.error("audit.outcome_not_written", audit=entry.id, route=entry.route, key=entry.key, error=str(exc))

    async def _write(self, entry: Entry) -> int:
        return await self.publisher.publish(self.topic, entry.id.encode(), msgspec.json.encode(entry))

    def _target(self, route: str, request: Request) -> dict[str, str]:
        target = {name: str(value) for name, value in request.path_params.items()}
        if _OF_PERSONS in route:
            target["person"] = self._mark(target.pop("id"))
        return target

    def _asked(self, told: Told, body: _Body) -> dict[str, Any]:
        asked = _members(body.whole(), told.asked)
        persons = _members(body.whole(), told.persons)
        return asked | {name: self._mark(str(id)) for name, id in persons.items() if id is not None}

    def _mark(self, id: str) -> str:
        return mark(PROFILE, id, self.identity_key)


class _Body:
    """Remembers what a handler reads of a request."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._parts: list[bytes] = []
        self._bytes = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        part = message.get("body", b"")
        self._bytes += len(part)
        if self._bytes <= MOST_BYTES:
            self._parts.append(part)
        return message

    def whole(self) -> bytes:
        """Empty if it was too much."""
        return b"".join(self._parts) if self._bytes <= MOST_BYTES else b""


def _answered(told: Told, response: Response | None) -> dict[str, Any]:
    if response is None:
        return {}
    found = _members(bytes(getattr(response, "body", b"")), told.answered)
    return {name: value.get("id") if isinstance(value, Mapping) else value for name, value in found.items()}


def _members(data: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of a JSON object; none if it is no such."""
    if not names or not data or len(data) > MOST_BYTES:
        return {}
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {name: document[name] for name in names if name in document} if isinstance(document, dict) else {}


def _failure(error: Exception | None) -> tuple[int, str]:
    """Status and reason of the answer that an error becomes."""
    match error:
        case InvalidPayload():
            return error.status, error.reason
        case HubError():
            answer = hub_problem(error)
            return answer.status, str(msgspec.json.decode(answer.body).get("reason", ""))
        case RequestValidationError():
            return 422, "wrong_type"
        case HTTPException():
            return error.status_code, ""
    return 500, "internal"
