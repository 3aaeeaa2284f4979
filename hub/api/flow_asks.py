"""Flows that somebody asks for: `POST /flows/{id}/run`, for one profile or for all that match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Self, cast

import msgspec
from fastapi import APIRouter, Header
from pydantic import BaseModel, Field, JsonValue, model_validator
from starlette.responses import Response

from hub.api.problems import Conflict, NotFound
from hub.api.responses import json_response
from hub.api.tasks import TaskState, TaskViews, Unfit
from hub.definitions.catalogue import Catalogue
from hub.definitions.flows import OnDemand
from hub.definitions.kinds import Flow
from hub.flows.run import run_id
from hub.ids import ordered
from hub.jobs.flow_runs import KIND, RunFlow, asked_id, fired
from hub.store.port import Reading

ID: Final = r"^[!-~]{1,200}$"
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=ID,
        description="As `id` in the body, for whoever sends it with every request.",
    ),
]
ASKED: Final[dict[int | str, dict[str, Any]]] = {
    404: {"description": "There is no flow with this id that is deployed, or no such profile."},
    409: {
        "description": "It has no `manual` trigger, is switched off, or something else was asked for under this `id`."
    },
}


class Wanted(BaseModel, extra="forbid"):
    """For whom, either `profile` or `query`; and the payload of the nodes that the flow begins with."""

    profile: Annotated[str | None, Field(min_length=1, description="For one: any id that was ever theirs.")] = None
    query: Annotated[str | None, Field(description="For all that match (docs/query.md). Empty: really for all.")] = None
    data: Annotated[dict[str, JsonValue], Field(description="The payload of the nodes that it begins with.")] = {}
    id: Annotated[
        str | None,
        Field(pattern=ID, description="Asked for twice under one id, it is done once."),
    ] = None

    @model_validator(mode="after")
    def _is_for_somebody(self) -> Self:
        if (self.profile is None) == (self.query is None):
            raise ValueError("write either `profile`, for one, or `query`, for all that match (empty: for all)")
        return self


class Begun(BaseModel):
    """`version`: of the flow. `run`: the id of the run, if it is one. `task`: how far it is."""

    flow: str
    version: int
    run: str | None
    task: TaskState


class FlowAsks:
    """Makes a task of what somebody asks for. Calls block."""

    def __init__(
        self,
        tasks: TaskViews,
        catalogue: Catalogue,
        store: Reading,
        *,
        most_bytes: int,
        now_ms: Callable[[], int],
    ) -> None:
        """Args: most_bytes: of `data`, as JSON. now_ms: the clock, milliseconds since 1970."""
        self._tasks = tasks
        self._catalogue = catalogue
        self._store = store
        self._most_bytes = most_bytes
        self._now_ms = now_ms

    def ask(self, flow: str, wanted: Wanted, key: str | None) -> dict[str, Any]:
        """
        Let it run, or say what became of it if it was asked for before.

        Raises: NotFound, Conflict, Unfit, QueryError, Unavailable.
        """
        version = self._version(flow)
        size = len(msgspec.json.encode(wanted.data))
        if size > self._most_bytes:
            raise Unfit(f"data: {size:,} bytes are more than an event may have ({self._most_bytes:,})")
        now_ms = self._now_ms()
        request = wanted.id or key or ordered(now_ms)
        arguments = RunFlow(
            flow=flow,
            version=version,
            profile="" if wanted.profile is None else self._survivor(wanted.profile),
            query=wanted.query or "",
            at_ms=now_ms,
            cause=request,
            data=wanted.data,
        )
        id = asked_id(flow, request)
        task = self._tasks.ask(KIND, arguments.model_dump(mode="json"), id=id, by=f"POST /flows/{flow}/run")
        asked = RunFlow.model_validate(task["arguments"])
        whose = asked.profile and self._store.survivor(asked.profile)
        if (whose, asked.query, asked.data) != (arguments.profile, arguments.query, arguments.data):
            raise Conflict(f"{request!r} was asked for before, with something else: take another id for something new")
        run = run_id(flow, asked.version, fired(asked, asked.profile)) if asked.profile else None
        return {"flow": flow, "version": asked.version, "run": run, "task": task}

    def _version(self, id: str) -> int:
        entry = self._catalogue.entry("flow", id)
        if entry is None:
            raise NotFound("there is no flow with this id that is deployed: PUT /definitions/flow/{id} makes one")
        if not any(isinstance(trigger, OnDemand) for trigger in cast("Flow", entry.spec).triggers):
            raise Conflict("nobody may ask for this flow: put `{type: manual}` among its triggers")
        if not entry.spec.enabled:
            raise Conflict("the flow is switched off: set `enabled` first")
        return entry.version

    def _survivor(self, given: str) -> str:
        id = self._store.survivor(given)
        if self._store.get("profiles", id) is None:
            raise NotFound(f"there is no profile with the id {given!r}")
        return id


def router(asks: FlowAsks) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["flows"], prefix="/flows")

    @routes.post(
        "/{id:path}/run",
        name="Run a flow for one profile, or for all that match",
        response_model=Begun,
        status_code=202,
        responses=ASKED,
    )
    def run(id: str, wanted: Wanted, key: Key = None) -> Response:
        return json_response(asks.ask(id, wanted, key), 202)

    return routes
