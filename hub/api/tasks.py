"""Tasks: long pieces of work that workers do; asked for, looked at, cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Protocol

import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, JsonValue, ValidationError
from starlette.responses import Response

from hub.api.problems import NotFound
from hub.api.responses import json_response
from hub.definitions.wording import said
from hub.errors import HubError, InvalidPayload, Unavailable
from hub.ids import ordered
from hub.jobs.kind import Kinds
from hub.jobs.queue import Call, JobQueue
from hub.pipeline.documents import iso
from hub.store.port import Tasks as TaskStore
from hub.store.query import QueryError
from hub.task import OVER, Slice, State, Task, summed
from schemas.jobs import DO, PLAN

log: Final = structlog.get_logger()

MOST_SAMPLES: Final = 20
_NONE: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is no task with this id."}}


class Progress(BaseModel):
    """Of all slices together. `exact`: whether it is known of each how much there is to do in it."""

    done: int
    total: int
    exact: bool
    slices: int
    slices_done: int
    slices_failed: int


class TaskSummary(BaseModel):
    """
    A task. `counts`: what became of the things that it goes through, by name. `hint`: why it does not move, if anybody
    knows. `error`: why it has failed; of one that is not over, what went wrong last.
    """

    id: str
    kind: str
    queue: str
    state: State
    arguments: dict[str, Any]
    by: str
    asked_at: str
    started_at: str | None
    ended_at: str | None
    progress: Progress
    counts: dict[str, int]
    error: str
    hint: str


class SliceState(BaseModel):
    """A part of a task. `what`: which, if it has a name. `begun`: how often since its last page was saved."""

    number: int
    what: str
    state: str
    done: int
    total: int
    counts: dict[str, int]
    begun: int
    error: str


class TaskState(TaskSummary):
    """`sample`: some of what it has done, for people; of a dry run, what it would have."""

    slices: list[SliceState]
    sample: list[Any]


class Listed(BaseModel):
    """Some of them, the newest first."""

    items: list[TaskSummary]
    next: str | None


class Asked(BaseModel, extra="forbid"):
    """A new task."""

    kind: Annotated[str, Field(description="Such as `copy-events-to-profiles`.")]
    arguments: Annotated[dict[str, JsonValue], Field(description="As the kind takes them (docs/tasks.md).")] = {}
    id: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="Asked for twice under one id, it is one task."),
    ] = None
    by: Annotated[str, Field(max_length=200, description="Who asks, in words.")] = ""


class Writing(Protocol):
    """`hub.jobs.late.LateTasks`."""

    def add_task(self, task: Task) -> bool:
        """As of the port."""
        ...

    def cancel_task(self, id: str, at_ms: int) -> Task | None:
        """As of the port."""
        ...


class Unfit(HubError):
    """Arguments that no task can have."""


class TaskViews:
    """What the routes give. Calls block."""

    def __init__(
        self,
        store: TaskStore,
        writing: Writing,
        kinds: Kinds,
        queue_of: Callable[[str], JobQueue] | None,
        now_ms: Callable[[], int],
    ) -> None:
        """Args: queue_of: by queue; None: there is no Redis. now_ms: the clock, milliseconds since 1970."""
        self._store = store
        self._writing = writing
        self._kinds = kinds
        self._queue_of = queue_of
        self._now_ms = now_ms

    def ask(self, kind: str, arguments: dict[str, Any], *, id: str | None = None, by: str = "") -> dict[str, Any]:
        """
        A new task, or the one that has this id. Kept in the store, so that it is done also if Redis is away just now.

        Raises: NotFound: no such kind. InvalidPayload, Unfit, QueryError: of its arguments. Unavailable.
        """
        known = self._kinds.get(kind)
        if known is None:
            raise NotFound(f"there is no kind of task {kind!r}; known: {', '.join(sorted(self._kinds))}")
        there = None if id is None else self._store.task(id)
        if there is not None:
            return self._whole(there)
        try:
            model = known.arguments.model_validate(arguments)
            known.check(model)
        except ValidationError as exc:
            first = exc.errors()[0]
            # a key may hold half a surrogate pair, which no answer can
            where = ".".join(map(str, ("arguments", *first["loc"]))).encode(errors="replace").decode()
            raise InvalidPayload("wrong_type", said(first), where) from exc
        except QueryError:
            raise
        except ValueError as exc:
            raise Unfit(str(exc)) from exc
        task = Task(
            id=id or ordered(self._now_ms()),
            kind=kind,
            queue=known.queue,
            arguments=model.model_dump(mode="json"),
            by=by,
            asked_ms=self._now_ms(),
        )
        if self._writing.add_task(task):
            log.info("task.asked", task=task.id, kind=kind, by=by)
        self._call(task)
        return self._whole(self._store.task(task.id) or task)

    def every(self, size: int, cursor: str | None, kind: str, state: str) -> dict[str, Any]:
        """The newest first. Raises QueryError: no cursor of ours."""
        if cursor is not None and not (cursor.isdecimal() and len(cursor) < 19):
            raise QueryError("the cursor is not one that a page of this hub gave; leave it out to begin anew")
        found = self._store.tasks(size, None if cursor is None else int(cursor), kind, state)
        last = str(found[-1][0]) if len(found) == size else None
        living: dict[str, int] = {}
        return {"items": [self._summary(task, self._store.slices(task.id), living) for _, task in found], "next": last}

    def one(self, id: str) -> dict[str, Any]:
        """With its slices. Raises NotFound."""
        task = self._store.task(id)
        if task is None:
            raise NotFound("there is no task with this id")
        return self._whole(task)

    def cancel(self, id: str) -> dict[str, Any]:
        """End it after the page that is being done. What is done stays done. Raises NotFound."""
        if self._store.task(id) is None:
            raise NotFound("there is no task with this id")
        task = self._writing.cancel_task(id, self._now_ms())
        log.info("task.cancelled", task=id, state=None if task is None else task.state)
        return self.one(id) if task is None else self._whole(task)

    def _call(self, task: Task) -> None:
        """Let a worker begin at once; if Redis is away, its workers will find it by themselves."""
        if self._queue_of is not None and task.state == "waiting":
            try:
                self._queue_of(task.queue).enqueue([Call(DO, task.id, PLAN)])
            except Unavailable as exc:
                log.warning("task.not_enqueued", task=task.id, error=str(exc))

    def _whole(self, task: Task) -> dict[str, Any]:
        slices = self._store.slices(task.id)
        return self._summary(task, slices, {}) | {
            "slices": [_slice(part) for part in slices],
            "sample": [one for part in slices for one in part.sample][:MOST_SAMPLES],
        }

    def _summary(self, task: Task, slices: list[Slice], living: dict[str, int]) -> dict[str, Any]:
        total = summed(slices)
        return {
            "id": task.id,
            "kind": task.kind,
            "queue": task.queue,
            "state": task.state,
            "arguments": task.arguments,
            "by": task.by,
            "asked_at": iso(task.asked_ms),
            "started_at": _when(task.started_ms),
            "ended_at": _when(task.ended_ms),
            "progress": {
                "done": total.done,
                "total": total.total,
                "exact": total.is_exact and task.state != "waiting",
                "slices": total.slices,
                "slices_done": total.slices_done,
                "slices_failed": total.slices_failed,
            },
            "counts": dict(total.counts),
            "error": task.error or next((part.error for part in slices if part.error), ""),
            "hint": "" if task.state in OVER else self._hint(task.queue, living),
        }

    def _hint(self, queue: str, living: dict[str, int]) -> str:
        """Args: living: how many workers there are, by queue, as far as somebody has looked."""
        if self._queue_of is None:
            return "HUB_REDIS__URL is not set for the API, so it knows nothing of workers"
        try:
            if queue not in living:
                living[queue] = self._queue_of(queue).living()
        except Unavailable as exc:
            return exc.detail
        return "" if living[queue] else f"no worker does it: start `hub worker {queue}`"


def router(views: TaskViews) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/tasks", tags=["tasks"])

    @routes.get("", name="Tasks, newest first", response_model=Listed)
    def every(
        kind: Annotated[str, Query(description="Only of this kind.")] = "",
        state: Annotated[State | None, Query(description="Only in this state.")] = None,
        size: Annotated[int, Query(ge=1, le=1_000, description="Most items in one answer.")] = 20,
        cursor: Annotated[str | None, Query(description="`next` of the answer before.")] = None,
    ) -> Response:
        return json_response(views.every(size, cursor, kind, state or ""))

    @routes.post(
        "",
        name="Ask for a task",
        response_model=TaskState,
        status_code=202,
        responses={404: {"description": "There is no such kind of task."}},
    )
    def ask(asked: Asked) -> Response:
        return json_response(views.ask(asked.kind, dict(asked.arguments), id=asked.id, by=asked.by), 202)

    @routes.get("/{id}", name="One task", response_model=TaskState, responses=_NONE)
    def one(id: str) -> Response:
        return json_response(views.one(id))

    @routes.post("/{id}/cancel", name="Cancel a task", response_model=TaskState, responses=_NONE)
    def cancel(id: str) -> Response:
        return json_response(views.cancel(id))

    return routes


def _slice(part: Slice) -> dict[str, Any]:
    return {
        "number": part.number,
        "what": str(part.spec.get("what", "")),
        "state": part.state,
        "done": part.done,
        "total": part.total,
        "counts": part.counts,
        "begun": part.begun,
        "error": part.error,
    }


def _when(time_ms: int | None) -> str | None:
    return None if time_ms is None else iso(time_ms)
