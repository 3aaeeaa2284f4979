"""Bridges as a resource: how each is doing, start and pause, a trial, a rewind."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from typing import Annotated, Any, Final, cast

import msgspec
import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from hub.api.access import WEBHOOKS
from hub.api.control import Control, Seen
from hub.api.definitions import Editor, IfMatch, Invalid, Rules, body_of, condition, parsed, read
from hub.api.problems import Conflict, NotFound
from hub.api.responses import json_response
from hub.api.webhooks import Webhooks
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Bridge
from hub.edge.times import time_ms
from hub.errors import InvalidPayload, Unavailable
from hub.pipeline.documents import iso
from schemas.bridges import Call, Place, Reply, Status

log: Final = structlog.get_logger()

TEST_S: Final = 25.0
REWIND_S: Final = 50.0
RETRY_S: Final = 5.0
LET_GO_S: Final = 5.0
"""How long a pause waits until nobody runs the bridge any more."""
LOOK_S: Final = 0.05
MOST_MESSAGES: Final = 100
NO_REDIS: Final = "HUB_REDIS__URL is not set for the API, so it does not know how the bridges are doing"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d")
_NONE: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is none with this id."}}
_ASKED: Final[dict[int | str, dict[str, Any]]] = {
    **_NONE,
    503: {"description": "No bridge process runs, none has answered, or Redis is away."},
}


class Test(BaseModel, extra="forbid"):
    """What to try."""

    definition: Annotated[
        dict[str, Any] | None, Field(description="A definition that need not be saved; null: the one that is.")
    ] = None
    messages: Annotated[int, Field(ge=1, le=MOST_MESSAGES, description="Most messages to look at.")] = 5


class RewindTo(BaseModel, extra="forbid"):
    """Where to read from again."""

    to: Annotated[
        str | int | list[str],
        Field(description="`beginning`, an RFC 3339 time, or an offset, or several, as the broker writes them."),
    ]


class Bridges:
    """Definitions and what the bridge processes tell of them, put together."""

    def __init__(
        self,
        editor: Editor,
        catalogue: Catalogue,
        rules: Rules,
        *,
        control: Control | None,
        webhooks: Webhooks | None,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            control: None: there is no Redis.
            webhooks: Bridges that run in this process; None: there are none.
            now_ms: The clock, milliseconds since 1970.
        """
        self._editor = editor
        self._catalogue = catalogue
        self._rules = rules
        self._control = control
        self._webhooks = webhooks
        self._now_ms = now_ms

    async def all(self) -> list[dict[str, Any]]:
        """Every bridge, by id."""
        entries = sorted(self._catalogue.entries("bridge").items())
        seen, why = await self._seen([id for id, _ in entries])
        return [self._one(id, entry, seen, why) for id, entry in entries]

    async def one(self, id: str) -> dict[str, Any]:
        """Raises NotFound."""
        entry = self._entry(id)
        seen, why = await self._seen([id])
        return self._one(id, entry, seen, why)

    async def enable(self, id: str, if_match: str | None) -> dict[str, Any]:
        """Start it; one that is broken is tried again at once. Raises NotFound, Conflict, Unavailable."""
        if not await self._switch(id, True, if_match):
            owner = await self._owner(id)
            if owner is not None:
                await self._ask(self._call("retry", id, RETRY_S), owner, RETRY_S)
        return await self.one(id)

    async def pause(self, id: str, if_match: str | None) -> dict[str, Any]:
        """Stop it until it is started again; waits a little until it has let go. Raises NotFound, Conflict."""
        await self._switch(id, False, if_match)
        try:
            async with asyncio.timeout(LET_GO_S):
                while await self._owner(id) is not None:  # noqa: ASYNC110 - it is another process' state
                    await asyncio.sleep(LOOK_S)
        except (TimeoutError, Unavailable):
            log.info("bridges.pause_not_seen", bridge=id)  # it is paused all the same; the answer says how things are
        return await self.one(id)

    async def test(self, id: str, wanted: Test) -> dict[str, Any]:
        """Let a bridge process look at some messages. Raises NotFound, Invalid, InvalidPayload, Unavailable."""
        entry = self._catalogue.entry("bridge", id)
        old = None if entry is None else cast("Bridge", entry.spec)
        if wanted.definition is None:
            spec: Any = self._entry(id).spec
        else:
            spec = parsed("bridge", msgspec.json.encode(wanted.definition))
            spec = await asyncio.to_thread(self._rules.checked, "bridge", spec, old)
        self._require_queue(spec)
        call = self._call("test", id, TEST_S)
        call.definition = spec.model_dump(mode="json")
        call.messages = wanted.messages
        return (await self._ask(call, None, TEST_S)).result

    async def rewind(self, id: str, wanted: RewindTo) -> dict[str, Any]:
        """Let it read again from somewhere. Raises NotFound, Invalid (this kind cannot), Unavailable."""
        call = self._call("rewind", id, REWIND_S)
        call.place = place(wanted.to)
        self._require_queue(self._entry(id).spec)
        # whoever runs it has to stop it for that; of one that nobody runs, any process can
        await self._ask(call, await self._owner(id), REWIND_S)
        return await self.one(id)

    def _entry(self, id: str) -> Entry:
        entry = self._catalogue.entry("bridge", id)
        if entry is None:
            raise NotFound("there is no bridge with this id: PUT /definitions/bridge/{id} makes one")
        return entry

    def _is_here(self, spec: Bridge) -> bool:
        return self._webhooks is not None and self._webhooks.takes(spec.type)

    def _require_queue(self, spec: Any) -> None:
        if self._is_here(spec):
            raise Invalid(
                f"a bridge of type {spec.type} has no queue to read: its messages are sent to us, and kept nowhere "
                "before. Let the sender send one again, or try a mapping with `hub mapping try`"
            )

    def _one(self, id: str, entry: Entry, seen: Seen | None, why: str) -> dict[str, Any]:
        if self._webhooks is not None and self._is_here(cast("Bridge", entry.spec)):
            return _here(id, entry, self._webhooks.status(id))
        return _view(id, entry, seen, why)

    async def _switch(self, id: str, enabled: bool, if_match: str | None) -> bool:
        """Returns: whether that is a change."""
        entry = self._entry(id)
        holds = condition(if_match)
        holds(entry)
        if entry.spec.enabled == enabled:
            return False

        def unchanged(now: Entry | None) -> None:
            if now != entry:
                raise Conflict("somebody else has changed the bridge at the same time: try again")

        await self._editor.write("bridge", id, entry.spec.model_copy(update={"enabled": enabled}), unchanged)
        return True

    async def _seen(self, ids: list[str]) -> tuple[Seen | None, str]:
        """And why nothing can be seen."""
        if self._control is None:
            return None, NO_REDIS
        try:
            return await self._control.seen(ids), ""
        except Unavailable as exc:
            return None, exc.detail

    async def _owner(self, id: str) -> str | None:
        return None if self._control is None else (await self._control.seen([id])).owners.get(id)

    def _call(self, what: Any, id: str, timeout_s: float) -> Call:
        deadline_ms = self._now_ms() + int(timeout_s * 1000)
        return Call(id=secrets.token_hex(16), what=what, bridge=id, deadline_ms=deadline_ms)

    async def _ask(self, call: Call, process: str | None, timeout_s: float) -> Reply:
        """Raises Unavailable; Invalid: it cannot be done."""
        if self._control is None:
            raise Unavailable("redis", f"{NO_REDIS} and cannot ask a bridge process")
        reply = await self._control.call(call, process, timeout_s)
        if reply.error is not None:
            if reply.error.kind == "unavailable":
                raise Unavailable(reply.error.port, reply.error.detail)
            raise Invalid(reply.error.detail)
        return reply


def router(bridges: Bridges) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["bridges"])

    @routes.get("/bridges", name="How all bridges are doing")
    async def all_of_them() -> Response:
        return json_response({"items": await bridges.all(), "next": None})

    @routes.get("/bridges/{id:path}", name="How a bridge is doing", responses=_NONE)
    async def one(id: str) -> Response:
        return json_response(await bridges.one(id))

    @routes.post("/bridges/{id:path}/start", name="Start a bridge", responses=_NONE)
    async def start(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await bridges.enable(id, if_match))

    @routes.post("/bridges/{id:path}/resume", name="Start a bridge again", responses=_NONE)
    async def resume(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await bridges.enable(id, if_match))

    @routes.post("/bridges/{id:path}/pause", name="Pause a bridge", responses=_NONE)
    async def pause(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await bridges.pause(id, if_match))

    @routes.post(
        "/bridges/{id:path}/test", name="Try a bridge on some messages", responses=_ASKED, openapi_extra=body_of(Test)
    )
    async def test(id: str, request: Request) -> Response:
        return json_response(await bridges.test(id, await read(Test, request)))

    @routes.post(
        "/bridges/{id:path}/rewind", name="Let a bridge read again", responses=_ASKED, openapi_extra=body_of(RewindTo)
    )
    async def rewind(id: str, request: Request) -> Response:
        return json_response(await bridges.rewind(id, await read(RewindTo, request)))

    return routes


def place(to: str | int | list[str]) -> Place:
    """
    Where that is.

    Raises: InvalidPayload: a time that is none, or nothing at all.
    """
    if isinstance(to, list):
        to = ",".join(to)
    if isinstance(to, str) and _TIME.match(to):
        return Place("time", at_ms=time_ms(to, "to"))
    text = str(to).strip()
    if not text:
        raise InvalidPayload("wrong_type", "write `beginning`, a time such as 2026-11-25T09:30:00Z, or an offset", "to")
    return Place("beginning") if text == "beginning" else Place("offset", offset=text)


def _here(id: str, entry: Entry, status: Status | None) -> dict[str, Any]:
    """Of a bridge that runs in this process. Args: status: None: it is switched off."""
    if status is None:
        return _described(id, entry, "paused", "", None) | _numbers(None, running=False)
    hint = f"messages are sent to POST {WEBHOOKS}{id}"
    return _described(id, entry, status.state, hint, None) | _numbers(status, running=True)


def _view(id: str, entry: Entry, seen: Seen | None, why: str) -> dict[str, Any]:
    owner = None if seen is None else seen.owners.get(id)
    status = None if seen is None else seen.statuses.get(id)
    state, hint = _state(cast("Bridge", entry.spec), owner, status, seen)
    return _described(id, entry, state, why or hint, owner) | _numbers(status, running=owner is not None)


def _described(id: str, entry: Entry, state: str, hint: str, process: str | None) -> dict[str, Any]:
    spec = cast("Bridge", entry.spec)
    return {
        "id": id,
        "type": spec.type,
        "source": spec.source,
        "name": spec.name,
        "enabled": spec.enabled,
        "priority": spec.priority,
        "rate_limit": spec.rate_limit,
        "version": entry.version,
        "updated_at": iso(entry.updated_at_ms),
        "state": state,
        "hint": hint,
        "process": process,
    }


def _state(spec: Bridge, owner: str | None, status: Status | None, seen: Seen | None) -> tuple[str, str]:
    """And what to do about it."""
    if owner is not None:
        return ("starting" if status is None or status.process != owner else status.state), ""
    if not spec.enabled:
        return "paused", ""
    if seen is None:
        return "unknown", ""
    if not seen.processes:
        return "unassigned", "no bridge process is running: start `hub bridges`"
    return "unassigned", "no process has it yet: one takes it within seconds"


def _numbers(status: Status | None, *, running: bool) -> dict[str, Any]:
    """Of the process that runs it, or ran it last. What only somebody who runs it can know is null else."""
    if status is None:
        status = Status(bridge="", kind="", version=-1)
    return {
        "running_version": status.version if running and status.version >= 0 else None,
        "since": _time(status.since_ms),
        "started_at": _time(status.started_ms),
        "host": status.host or None,
        "lag": status.lag,
        "rate": status.rate if running else 0.0,
        "received": status.received,
        "forwarded": status.forwarded,
        "refused": status.refused,
        "in_flight": status.in_flight if running else 0,
        "last_message_at": _time(status.last_message_ms),
        "last_error": status.last_error or None,
        "last_error_at": _time(status.last_error_ms),
        "parts": [{"name": part.name, "lag": part.lag, "position": part.position} for part in status.parts],
        "rewinds_to": status.rewinds_to,
    }


def _time(at_ms: int | None) -> str | None:
    return iso(at_ms) if at_ms else None
