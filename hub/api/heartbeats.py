"""Heartbeats as a resource: when each is due, how its runs went; run now, pause, resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
import structlog
from fastapi import APIRouter
from starlette.responses import Response

from hub.api.definitions import Editor, IfMatch, condition
from hub.api.heartbeat_runs import Runs, Told
from hub.api.problems import Conflict, NotFound
from hub.api.responses import json_response
from hub.api.steered import NOT_THERE
from hub.api.steering import when
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.heartbeats import BUILT_IN_VERSION, built_in, check_possible
from hub.definitions.heartbeats import heartbeats as in_force
from hub.definitions.kinds import Heartbeat
from hub.definitions.schedule import next_due
from hub.edge.admit import event_type
from hub.errors import Unavailable
from hub.ids import derived
from hub.pipeline.documents import iso
from hub.store.port import Reading
from hub.store.query import QueryError, prepare
from schemas.heartbeats import KIND

log: Final = structlog.get_logger()

NO_REDIS: Final = "HUB_REDIS__URL is not set for the API, so it knows nothing of the runs of heartbeats"
NOBODY: Final = "it is not in force, as no event source has system_events"
NO_AGENTS: Final = "no agents process is running: start `hub agents`"
ASKED: Final[dict[int | str, dict[str, Any]]] = {
    **NOT_THERE,
    202: {"description": "It begins within a second, or when the run before it has ended."},
    409: {"description": "It is paused, or not in force."},
    503: {"description": "No agents process runs, or Redis is away."},
}


def checker(store: Reading, most_per_s: float, most_bytes: int) -> Callable[[Any], None]:
    """
    Whether a heartbeat that is saved can work. Blocks. Raises ValueError, QueryError, Unavailable.

    Args: most_per_s: events a second that the hub is set to make. most_bytes: of an event's properties.
    """

    def check(spec: Heartbeat) -> None:
        for where, type in (
            ("event_type", spec.event_type),
            ("unless.event_type", spec.unless and spec.unless.event_type),
        ):
            if type and type != event_type(type):
                raise ValueError(f"{where}: no event is of this type: it would be {event_type(type)!r}")
        size = len(msgspec.json.encode(spec.properties))
        if size > most_bytes:
            raise ValueError(f"properties: {size:,} bytes are more than an event may have ({most_bytes:,})")
        try:
            prepare(spec.condition, "profiles")
        except QueryError as exc:
            raise ValueError(f"condition: {exc}") from exc
        try:
            profiles = store.count("profiles", spec.condition)
        except Unavailable:  # it may have taken too long
            profiles = store.count("profiles", "")
        check_possible(spec, profiles, most_per_s)

    return check


class Heartbeats:
    """Definitions, and what the agents tell of their runs, put together."""

    def __init__(self, editor: Editor, catalogue: Catalogue, runs: Runs | None, now_ms: Callable[[], int]) -> None:
        """Args: runs: None: there is no Redis. now_ms: the clock, milliseconds since 1970."""
        self._editor = editor
        self._catalogue = catalogue
        self._runs = runs
        self._now_ms = now_ms

    async def all(self) -> list[dict[str, Any]]:
        """Every one, by id."""
        entries = sorted({**built_in(), **self._catalogue.entries(KIND)}.items())
        told: dict[str, Told] = {}
        why, living = await self._health()
        if self._runs is not None and not why:
            told = await self._runs.latest([id for id, _ in entries])
        return [self._one(id, entry, told.get(id), why, living) for id, entry in entries]

    async def one(self, id: str) -> dict[str, Any]:
        """With its last runs. Raises NotFound."""
        entry = self._entry(id)
        why, living = await self._health()
        runs = [] if self._runs is None or why else await self._runs.of(id)
        shown = self._one(id, entry, runs[0] if runs else None, why, living)
        return shown | {"runs": [_run(told) for told in runs]}

    async def run(self, id: str) -> dict[str, Any]:
        """Let a run begin now. Raises NotFound, Conflict, Unavailable."""
        entry = self._entry(id)
        if id not in in_force(self._catalogue):
            raise Conflict(NOBODY)
        if not entry.spec.enabled:
            raise Conflict(f"the heartbeat is paused: POST /heartbeats/{id}/resume first")
        why, living = await self._health()
        if self._runs is None or why or not living:
            raise Unavailable("agents", why or NO_AGENTS)
        due_ms = self._now_ms()
        run = derived("heartbeat-run", id, str(due_ms))
        await self._runs.ask(run, id, due_ms)
        log.info("heartbeat.asked", heartbeat=id, run=run)
        return {"run": run, "heartbeat": id, "due_at": iso(due_ms)}

    async def switch(self, id: str, enabled: bool, if_match: str | None) -> dict[str, Any]:
        """Pause it, or go on. Raises NotFound, Conflict, Unavailable."""
        entry = self._entry(id)
        condition(if_match)(entry)
        if entry.spec.enabled != enabled:
            saved = self._catalogue.entry(KIND, id)

            def unchanged(now: Entry | None) -> None:
                if now != saved:
                    raise Conflict("somebody else has changed the heartbeat at the same time: try again")

            await self._editor.write(KIND, id, entry.spec.model_copy(update={"enabled": enabled}), unchanged)
        return await self.one(id)

    async def _health(self) -> tuple[str, int]:
        """Why nothing is known of runs, in words, or empty; and how many agents processes live."""
        if self._runs is None:
            return NO_REDIS, 0
        try:
            return "", await self._runs.living()
        except Unavailable as exc:
            return exc.detail, 0

    def _entry(self, id: str) -> Entry:
        entry = self._catalogue.entry(KIND, id) or built_in().get(id)
        if entry is None:
            raise NotFound("there is no heartbeat with this id: PUT /definitions/heartbeat/{id} makes one")
        return entry

    def _one(self, id: str, entry: Entry, last: Told | None, why: str, living: int) -> dict[str, Any]:
        spec = cast("Heartbeat", entry.spec)
        due_ms = next_due(spec.schedule, self._now_ms()) if spec.enabled else None
        hint = why or ("" if living or not spec.enabled else NO_AGENTS)
        state = "paused" if not spec.enabled else "unknown" if why else "waiting"
        if id not in in_force(self._catalogue):
            state, hint, due_ms = "off", NOBODY, None
        if last is not None and last.run.ended_ms is None and spec.enabled:
            state = "running"
        return {
            "id": id,
            "name": spec.name,
            "event_type": spec.event_type,
            "enabled": spec.enabled,
            "built_in": entry.version == BUILT_IN_VERSION,
            "every": spec.every or None,
            "cron": spec.cron or None,
            "time_zone": spec.time_zone,
            "condition": spec.condition,
            "catch_up": spec.catch_up,
            "version": entry.version,
            "updated_at": when(entry.updated_at_ms),
            "state": state,
            "hint": hint,
            "next_at": when(due_ms),
            "last_run": None if last is None else _run(last),
        }


def _run(told: Told) -> dict[str, Any]:
    run, counts = told
    return {
        "id": run.id,
        "due_at": iso(run.due_ms),
        "by": run.by,
        "state": run.state,
        "version": run.work.version,
        "started_at": iso(run.started_ms),
        "ended_at": when(run.ended_ms),
        "missed": run.missed,
        "slices": run.slices,
        "slices_done": counts["done"],
        "slices_failed": counts["failed"],
        "all_slices_known": run.is_cut,
        "profiles": run.profiles,
        "profiles_done": counts["looked"],
        "events": counts["events"],
        "left_out": counts["left_out"],
    }


def router(heartbeats: Heartbeats) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["heartbeats"], prefix="/heartbeats")

    @routes.get("", name="When heartbeats are due, and how their last runs went")
    async def all_of_them() -> Response:
        return json_response({"items": await heartbeats.all(), "next": None})

    @routes.get("/{id:path}", name="A heartbeat and its last runs", responses=NOT_THERE)
    async def one(id: str) -> Response:
        return json_response(await heartbeats.one(id))

    @routes.post("/{id:path}/run", name="Run a heartbeat now", status_code=202, responses=ASKED)
    async def run(id: str) -> Response:
        return json_response(await heartbeats.run(id), 202)

    @routes.post("/{id:path}/pause", name="Pause a heartbeat, and its run", responses=NOT_THERE)
    async def pause(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await heartbeats.switch(id, False, if_match))

    @routes.post("/{id:path}/resume", name="Go on with a heartbeat, and its run", responses=NOT_THERE)
    async def resume(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await heartbeats.switch(id, True, if_match))

    return routes
