"""Destinations as a resource: how each is doing, start and pause, a rehearsal, a rewind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias, cast

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from hub.api.control import Control, Seen
from hub.api.definitions import Editor, IfMatch, Invalid, Rules, body_of, parsed, read
from hub.api.responses import json_response
from hub.api.steering import RewindTo, Steering, place, state, when
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Destination
from hub.edge.outbound import RehearseOf
from hub.errors import Unavailable
from hub.pipeline.documents import iso
from hub.store.port import Reading
from schemas.bridges import Status

MOST_EVENTS: Final = 100
_NONE: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is none with this id."}}
_ASKED: Final[dict[int | str, dict[str, Any]]] = {
    **_NONE,
    503: {"description": "No bridge process runs, none has answered, or Redis is away."},
}

Lags: TypeAlias = Callable[[Sequence[str]], Mapping[str, int | None]]
"""By destination, how many stored events wait; None: it has not begun. Blocks. Raises Unavailable."""


class Rehearsal(BaseModel, extra="forbid"):
    """What to try."""

    definition: Annotated[
        dict[str, Any] | None, Field(description="A definition that need not be saved; null: the one that is.")
    ] = None
    q: Annotated[str, Field(description="Which stored events to look at (docs/query.md). Empty: any.")] = ""
    events: Annotated[int, Field(ge=1, le=MOST_EVENTS, description="The newest of them, so many.")] = 5


class Destinations:
    """Definitions and what the bridge processes and Kafka tell of them, put together."""

    def __init__(
        self,
        editor: Editor,
        catalogue: Catalogue,
        rules: Rules,
        store: Reading,
        *,
        control: Control | None,
        lags: Lags,
        rehearse_of: RehearseOf | None,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            control: Of destinations; None: there is no Redis.
            rehearse_of: None: there are no destinations in this process' build.
            now_ms: The clock, milliseconds since 1970.
        """
        self._steering = Steering("destination", editor, catalogue, control=control, now_ms=now_ms)
        self._catalogue = catalogue
        self._rules = rules
        self._store = store
        self._lags = lags
        self._rehearse_of = rehearse_of

    async def all(self) -> list[dict[str, Any]]:
        """Every destination, by id."""
        entries = sorted(self._catalogue.entries("destination").items())
        ids = [id for id, _ in entries]
        seen, why = await self._steering.seen(ids)
        lags, no_lags = await self._lag(ids)
        return [_view(id, entry, seen, why or no_lags, lags.get(id)) for id, entry in entries]

    async def one(self, id: str) -> dict[str, Any]:
        """Raises NotFound."""
        entry = self._steering.entry(id)
        seen, why = await self._steering.seen([id])
        lags, no_lags = await self._lag([id])
        return _view(id, entry, seen, why or no_lags, lags.get(id))

    async def enable(self, id: str, if_match: str | None) -> dict[str, Any]:
        """Start it; one that is broken is tried again at once. Raises NotFound, Conflict, Unavailable."""
        await self._steering.enable(id, if_match)
        return await self.one(id)

    async def pause(self, id: str, if_match: str | None) -> dict[str, Any]:
        """Stop it until it is started again; waits a little until it has let go. Raises NotFound, Conflict."""
        await self._steering.pause(id, if_match)
        return await self.one(id)

    async def rewind(self, id: str, wanted: RewindTo) -> dict[str, Any]:
        """Let it send again from somewhere. Raises NotFound, Invalid, Unavailable."""
        await self._steering.rewind(id, place(wanted.to))
        return await self.one(id)

    async def rehearse(self, id: str, wanted: Rehearsal) -> dict[str, Any]:
        """What it would send of the newest stored events. Raises NotFound, Invalid, InvalidPayload, QueryError."""
        if self._rehearse_of is None:
            raise Invalid("this API knows no kinds of destination")
        entry = self._catalogue.entry("destination", id)
        spec: Any
        if wanted.definition is None:
            spec = self._steering.entry(id).spec
        else:
            spec = parsed("destination", msgspec.json.encode(wanted.definition))
            old = None if entry is None else entry.spec
            spec = await asyncio.to_thread(self._rules.checked, "destination", spec, old)
        return await asyncio.to_thread(self._rehearsed, spec, wanted)

    def _rehearsed(self, spec: Destination, wanted: Rehearsal) -> dict[str, Any]:
        assert self._rehearse_of is not None
        try:
            rehearse = self._rehearse_of(spec)
        except ValueError as exc:
            raise Invalid(str(exc)) from exc
        events = self._store.search("events", wanted.q, wanted.events, None).items
        return {"messages": [rehearse(event) for event in events]}

    async def _lag(self, ids: Sequence[str]) -> tuple[Mapping[str, int | None], str]:
        """And why it is not known."""
        try:
            return (await asyncio.to_thread(self._lags, ids) if ids else {}), ""
        except Unavailable as exc:
            return {}, exc.detail


def router(destinations: Destinations) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["destinations"])

    @routes.get("/destinations", name="How all destinations are doing")
    async def all_of_them() -> Response:
        return json_response({"items": await destinations.all(), "next": None})

    @routes.get("/destinations/{id:path}", name="How a destination is doing", responses=_NONE)
    async def one(id: str) -> Response:
        return json_response(await destinations.one(id))

    @routes.post("/destinations/{id:path}/start", name="Start a destination", responses=_NONE)
    async def start(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await destinations.enable(id, if_match))

    @routes.post("/destinations/{id:path}/resume", name="Start a destination again", responses=_NONE)
    async def resume(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await destinations.enable(id, if_match))

    @routes.post("/destinations/{id:path}/pause", name="Pause a destination", responses=_NONE)
    async def pause(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await destinations.pause(id, if_match))

    @routes.post(
        "/destinations/{id:path}/test",
        name="See what a destination would send of stored events",
        responses=_NONE,
        openapi_extra=body_of(Rehearsal),
    )
    async def test(id: str, request: Request) -> Response:
        return json_response(await destinations.rehearse(id, await read(Rehearsal, request)))

    @routes.post(
        "/destinations/{id:path}/rewind",
        name="Let a destination send again",
        responses=_ASKED,
        openapi_extra=body_of(RewindTo),
    )
    async def rewind(id: str, request: Request) -> Response:
        return json_response(await destinations.rewind(id, await read(RewindTo, request)))

    return routes


def _view(id: str, entry: Entry, seen: Seen | None, why: str, lag: int | None) -> dict[str, Any]:
    """`lag` is Kafka's word; all other numbers are those of the process that runs it, or ran it last."""
    owner = None if seen is None else seen.owners.get(id)
    status = None if seen is None else seen.statuses.get(id)
    now, hint = state(entry, owner, status, seen)
    spec = cast("Destination", entry.spec)
    running = owner is not None
    status = status or Status(bridge="", kind="", version=-1)
    return {
        "id": id,
        "type": spec.type,
        "name": spec.name,
        "enabled": spec.enabled,
        "condition": spec.condition,
        "version": entry.version,
        "updated_at": iso(entry.updated_at_ms),
        "state": now,
        "hint": why or hint,
        "process": owner,
        "running_version": status.version if running and status.version >= 0 else None,
        "since": when(status.since_ms),
        "started_at": when(status.started_ms),
        "host": status.host or None,
        "lag": lag,
        "rate": status.rate if running else 0.0,
        "read": status.received,
        "sent": status.forwarded,
        "refused": status.refused,
        "in_flight": status.in_flight if running else 0,
        "last_event_at": when(status.last_message_ms),
        "last_error": status.last_error or None,
        "last_error_at": when(status.last_error_ms),
        "parts": [{"name": part.name, "lag": part.lag, "position": part.position} for part in status.parts],
        "rewinds_to": status.rewinds_to,
    }
