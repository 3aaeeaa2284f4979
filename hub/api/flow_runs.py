"""Runs of flows: which there are, what each has done, and an end to those that are not over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Protocol

import msgspec
import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from hub.api.problems import NotFound
from hub.api.responses import json_response
from hub.flows.kept import KeptRun
from hub.flows.trace import State
from hub.pipeline.documents import iso
from hub.store.port import FlowRuns
from hub.store.query import QueryError

log: Final = structlog.get_logger()

_NONE: Final[dict[int | str, dict[str, Any]]] = {
    404: {"description": "There is no run with this id, or not any more (docs/flows.md)."}
}


class RunTrigger(BaseModel):
    """What has let the flow run. `depth`: how many flows have raised events one after the other before."""

    id: str
    kind: str
    at: str
    depth: int


class RunPause(BaseModel):
    """What a run waits for at a node. `event_type`: empty: no event ends it sooner."""

    node: str
    until: str
    event_type: str


class RunSummary(BaseModel):
    """
    A run. `state`: done, failed (a node has, and its error port leads nowhere), stopped (at a limit: nothing that it
    wanted is done), paused, waiting (for a call, or for its effects to be done), cancelled.

    `profile`: as it was triggered; null: it is about nobody. `event`: the id of what has triggered it. `due_at`: when
    the next of its pauses ends. `response`: for whoever waits for it.
    """

    id: str
    flow: str
    version: int
    state: State
    error: str
    profile: str | None
    session: str | None
    event: str | None
    trigger: RunTrigger
    began_at: str
    changed_at: str
    due_at: str | None
    pauses: list[RunPause]
    response: dict[str, Any]


class RunStep(BaseModel):
    """
    A node of a leg. `state`: ran, reused (its result was there already), paused, waiting. `input`, `output`: the
    payload; null also where a trace has become too large. `took_us`: microseconds.
    """

    node: str
    type: str
    state: str
    input: Any
    port: str
    output: Any
    effects: list[dict[str, Any]]
    note: str
    error: str
    until_ms: int | None
    took_us: int


class RunLeg(BaseModel):
    """What was run at once: from the beginning, or from where a pause has ended."""

    at: str
    steps: list[RunStep]


class RunState(RunSummary):
    """With its trace: `legs`, the newest 100, in their order."""

    legs: list[RunLeg]


class RunsListed(BaseModel):
    """Some of them, the newest first."""

    items: list[RunSummary]
    next: str | None


class Cancelling(Protocol):
    """`hub.jobs.late.LateTasks`."""

    def cancel_flow_run(self, id: str, at_ms: int) -> KeptRun | None:
        """As of the port."""
        ...


class RunViews:
    """What the routes give. Calls block."""

    def __init__(self, store: FlowRuns, writing: Cancelling, now_ms: Callable[[], int]) -> None:
        """Args: now_ms: the clock, milliseconds since 1970."""
        self._store = store
        self._writing = writing
        self._now_ms = now_ms

    def every(self, size: int, cursor: str | None, *, flow: str, state: str, profile: str) -> dict[str, Any]:
        """The newest first. Raises QueryError: no cursor of ours."""
        if cursor is not None and not (cursor.isdecimal() and len(cursor) < 19):
            raise QueryError("the cursor is not one that a page of this hub gave; leave it out to begin anew")
        before = None if cursor is None else int(cursor)
        found, next = self._store.list_flow_runs(size, before, flow=flow, state=state, profile_id=profile)
        return {"items": [summary(run) for run in found], "next": None if next is None else str(next)}

    def one(self, id: str) -> dict[str, Any]:
        """With its trace. Raises NotFound."""
        run = self._store.flow_runs([id]).get(id)
        if run is None:
            raise NotFound("there is no run with this id, or not any more")
        return whole(run)

    def cancel(self, id: str) -> dict[str, Any]:
        """End it where it is: what is done stays done. Raises NotFound."""
        self.one(id)
        run = self._writing.cancel_flow_run(id, self._now_ms())
        log.info("flow.run_cancelled", run=id, state=None if run is None else run.state)
        return self.one(id) if run is None else whole(run)


def summary(run: KeptRun) -> dict[str, Any]:
    """A run without its trace, for people."""
    return {
        "id": run.id,
        "flow": run.flow,
        "version": run.version,
        "state": run.state,
        "error": run.error,
        "profile": run.profile_id or None,
        "session": run.session_id or None,
        "event": None if run.event is None else run.event[1],
        "trigger": {
            "id": run.fired.id,
            "kind": run.fired.kind,
            "at": iso(run.fired.at_ms),
            "depth": run.fired.depth,
        },
        "began_at": iso(run.began_ms),
        "changed_at": iso(run.changed_ms),
        "due_at": None if run.due_ms is None else iso(run.due_ms),
        "pauses": [
            {"node": node, "until": iso(pause.until_ms), "event_type": pause.event_type}
            for node, pause in (run.saved.paused.items() if run.state == "paused" else ())
        ],
        "response": run.response,
    }


def whole(run: KeptRun) -> dict[str, Any]:
    """A run with its trace."""
    legs = [{"at": iso(leg.at_ms), "steps": msgspec.to_builtins(leg.steps)} for leg in run.legs]
    return summary(run) | {"legs": legs}


Size = Annotated[int, Query(ge=1, le=1_000, description="Most items in one answer.")]
Cursor = Annotated[str | None, Query(description="`next` of the answer before.")]
OfState = Annotated[State | None, Query(description="Only in this state.")]
OfProfile = Annotated[str, Query(description="Only of this person: any id that was ever theirs.")]


def router(views: RunViews) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["flows"])

    @routes.get("/runs", name="Runs of flows, newest first", response_model=RunsListed)
    def every(
        flow: Annotated[str, Query(description="Only of this flow.")] = "",
        state: OfState = None,
        profile: OfProfile = "",
        size: Size = 20,
        cursor: Cursor = None,
    ) -> Response:
        return json_response(views.every(size, cursor, flow=flow, state=state or "", profile=profile))

    @routes.get("/runs/{id}", name="One run, with its trace", response_model=RunState, responses=_NONE)
    def one(id: str) -> Response:
        return json_response(views.one(id))

    @routes.post("/runs/{id}/cancel", name="End a run where it is", response_model=RunState, responses=_NONE)
    def cancel(id: str) -> Response:
        return json_response(views.cancel(id))

    @routes.get("/flows/{id:path}/runs", name="Runs of one flow, newest first", response_model=RunsListed)
    def of_flow(
        id: str, state: OfState = None, profile: OfProfile = "", size: Size = 20, cursor: Cursor = None
    ) -> Response:
        return json_response(views.every(size, cursor, flow=id, state=state or "", profile=profile))

    return routes
