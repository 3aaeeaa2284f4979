"""Bridges as a resource: how each is doing, start and pause, a trial, a rewind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final, cast

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from hub.api.access import WEBHOOKS
from hub.api.control import Control, Seen
from hub.api.definitions import Editor, IfMatch, Invalid, Rules, body_of, parsed, read
from hub.api.responses import json_response
from hub.api.steering import RewindTo, Steering, place, state, when
from hub.api.webhooks import Webhooks
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Bridge
from hub.pipeline.documents import iso
from schemas.bridges import Status

TEST_S: Final = 25.0
MOST_MESSAGES: Final = 100
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
        self._steering = Steering("bridge", editor, catalogue, control=control, now_ms=now_ms)
        self._catalogue = catalogue
        self._rules = rules
        self._webhooks = webhooks

    async def all(self) -> list[dict[str, Any]]:
        """Every bridge, by id."""
        entries = sorted(self._catalogue.entries("bridge").items())
        seen, why = await self._steering.seen([id for id, _ in entries])
        return [self._one(id, entry, seen, why) for id, entry in entries]

    async def one(self, id: str) -> dict[str, Any]:
        """Raises NotFound."""
        entry = self._steering.entry(id)
        seen, why = await self._steering.seen([id])
        return self._one(id, entry, seen, why)

    async def enable(self, id: str, if_match: str | None) -> dict[str, Any]:
        """Start it; one that is broken is tried again at once. Raises NotFound, Conflict, Unavailable."""
        await self._steering.enable(id, if_match)
        return await self.one(id)

    async def pause(self, id: str, if_match: str | None) -> dict[str, Any]:
        """Stop it until it is started again; waits a little until it has let go. Raises NotFound, Conflict."""
        await self._steering.pause(id, if_match)
        return await self.one(id)

    async def test(self, id: str, wanted: Test) -> dict[str, Any]:
        """Let a bridge process look at some messages. Raises NotFound, Invalid, InvalidPayload, Unavailable."""
        entry = self._catalogue.entry("bridge", id)
        old = None if entry is None else cast("Bridge", entry.spec)
        if wanted.definition is None:
            spec: Any = self._steering.entry(id).spec
        else:
            spec = parsed("bridge", msgspec.json.encode(wanted.definition))
            spec = await asyncio.to_thread(self._rules.checked, "bridge", spec, old)
        self._require_queue(spec)
        call = self._steering.call("test", id, TEST_S)
        call.definition = spec.model_dump(mode="json")
        call.messages = wanted.messages
        return (await self._steering.ask(call, None, TEST_S)).result

    async def rewind(self, id: str, wanted: RewindTo) -> dict[str, Any]:
        """Let it read again from somewhere. Raises NotFound, Invalid (this kind cannot), Unavailable."""
        to = place(wanted.to)
        self._require_queue(self._steering.entry(id).spec)
        await self._steering.rewind(id, to)
        return await self.one(id)

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


def _here(id: str, entry: Entry, status: Status | None) -> dict[str, Any]:
    """Of a bridge that runs in this process. Args: status: None: it is switched off."""
    if status is None:
        return _described(id, entry, "paused", "", None) | _numbers(None, running=False)
    hint = f"messages are sent to POST {WEBHOOKS}{id}"
    return _described(id, entry, status.state, hint, None) | _numbers(status, running=True)


def _view(id: str, entry: Entry, seen: Seen | None, why: str) -> dict[str, Any]:
    owner = None if seen is None else seen.owners.get(id)
    status = None if seen is None else seen.statuses.get(id)
    now, hint = state(entry, owner, status, seen)
    return _described(id, entry, now, why or hint, owner) | _numbers(status, running=owner is not None)


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


def _numbers(status: Status | None, *, running: bool) -> dict[str, Any]:
    """Of the process that runs it, or ran it last. What only somebody who runs it can know is null else."""
    if status is None:
        status = Status(bridge="", kind="", version=-1)
    return {
        "running_version": status.version if running and status.version >= 0 else None,
        "since": when(status.since_ms),
        "started_at": when(status.started_ms),
        "host": status.host or None,
        "lag": status.lag,
        "rate": status.rate if running else 0.0,
        "received": status.received,
        "forwarded": status.forwarded,
        "refused": status.refused,
        "in_flight": status.in_flight if running else 0,
        "last_message_at": when(status.last_message_ms),
        "last_error": status.last_error or None,
        "last_error_at": when(status.last_error_ms),
        "parts": [{"name": part.name, "lag": part.lag, "position": part.position} for part in status.parts],
        "rewinds_to": status.rewinds_to,
    }
