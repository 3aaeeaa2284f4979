"""Flows as a resource: which there are, what is wrong with a draft; try one, deploy one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from hub.api.definitions import Editor, IfMatch, Invalid, Rules, Warner, answer, body_of, condition, read
from hub.api.problems import Conflict, NotFound
from hub.api.responses import json_response
from hub.api.steering import when
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Flow, FlowDraft
from hub.edge.mapping.problems import Problem
from hub.errors import Unavailable
from hub.flows.check import Checked, FlowError, check
from hub.flows.compiled import compile_flow
from hub.flows.effects import Answer, LookUp
from hub.flows.overdue import MOST_S
from hub.flows.references import unkept_histories, unknown
from hub.flows.registry import described
from hub.flows.run import Documents
from hub.flows.trial import TrialError, try_flow
from hub.jobs.flow_lookups import answered
from hub.pipeline.documents import iso
from hub.store.port import Reading
from hub.store.query import QueryError

FLOW: Final = "flow"
DRAFT: Final = "flow-draft"
NOT_THERE: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is no flow with this id."}}


class Answered(BaseModel, extra="forbid"):
    """What another system answers to a call of a node."""

    status: Annotated[int, Field(ge=0, le=599, description="0: there is no answer, see `error`.")] = 200
    headers: dict[str, str] = {}
    body: Any = None
    error: Annotated[str, Field(description="Why there is no answer.")] = ""


class Tried(BaseModel, extra="forbid"):
    """What to try it on. Nothing is written and nobody is called."""

    event: Annotated[
        dict[str, Any] | str | None,
        Field(description="An event as the store has it, or as much as the flow asks for; or the id of a stored one."),
    ] = None
    profile: Annotated[
        dict[str, Any] | str | None,
        Field(description="A profile, or the id of one. Unset: that of the stored event."),
    ] = None
    session: Annotated[
        dict[str, Any] | str | None, Field(description="A session, or the id of one. Unset: that of the stored event.")
    ] = None
    now: Annotated[AwareDatetime | None, Field(description="What now is. Unset: now.")] = None
    answers: Annotated[
        dict[str, Answered], Field(description="By node, to its call. Without one it is taken to be 200 and {}.")
    ] = {}
    pauses: Annotated[
        Literal["pass", "stop"],
        Field(description="pass: also what is behind pauses, which are taken to end at their time."),
    ] = "pass"
    draft: Annotated[bool, Field(description="Try the draft instead of the flow that is deployed.")] = False
    definition: Annotated[Flow | None, Field(description="Try this one instead.")] = None


def checker(spec: Any) -> None:
    """Whether a flow that is saved can work. Raises FlowError."""
    found = check(spec)
    if found.problems:
        raise FlowError(found.problems)


def warner(catalogue: Catalogue) -> Warner:
    """What has to be known of a flow or a draft that was saved, as things are defined."""
    return lambda spec: warned(check(spec), spec, catalogue)


def warned(found: Checked, spec: Flow, catalogue: Catalogue) -> list[dict[str, Any]]:
    """As JSON. Args: found: of the flow."""
    odd = (*unknown(spec, catalogue.entries), *unkept_histories(spec, found.parts, catalogue.entries))
    return [told(problem) for problem in (*found.warnings, *odd)]


class Flows:
    """Definitions of flows and of drafts, put together."""

    def __init__(
        self, editor: Editor, catalogue: Catalogue, rules: Rules, store: Reading, now_ms: Callable[[], int]
    ) -> None:
        """Args: now_ms: the clock, milliseconds since 1970."""
        self._editor = editor
        self._catalogue = catalogue
        self._rules = rules
        self._store = store
        self._now_ms = now_ms

    def all(self) -> list[dict[str, Any]]:
        """Every one, by id, those that are drafts alone among them."""
        ids = {*self._catalogue.entries(FLOW), *self._catalogue.entries(DRAFT)}
        return [self._one(id) for id in sorted(ids)]

    def one(self, id: str) -> dict[str, Any]:
        """With what is wrong with its draft, or with itself. Raises NotFound."""
        spec = cast("Flow", self._newest(id).spec)
        return {**self._one(id), **self.checked(spec)}

    def checked(self, spec: Flow) -> dict[str, Any]:
        """All that is wrong with a flow, and all that has to be known of it."""
        found = check(spec)
        return {
            "problems": [told(problem) for problem in found.problems],
            "warnings": warned(found, spec, self._catalogue),
        }

    def try_(self, id: str, asked: Tried) -> dict[str, Any]:
        """What a run would come to. Blocks. Raises NotFound, Invalid, Unavailable."""
        spec, version = self._wanted(id, asked)
        now_ms = self._now_ms() if asked.now is None else round(asked.now.timestamp() * 1000)
        try:
            tried = try_flow(
                spec,
                compile_flow(id, spec, version),
                self._documents(asked),
                now_ms=now_ms,
                answers={node: Answer(**given.model_dump()) for node, given in asked.answers.items()},
                pauses=asked.pauses,
                look=self._look,
                clock_ns=time.perf_counter_ns,
                long_s=MOST_S,
            )
        except (FlowError, TrialError) as exc:
            raise Invalid(str(exc)) from exc
        legs = [{"at": iso(leg.at_ms), "steps": leg.steps, "effects": leg.effects} for leg in tried.legs]
        return {**msgspec.to_builtins(tried), "legs": legs}

    async def deploy(self, id: str, if_match: str | None) -> Response:
        """The draft becomes the flow. Raises NotFound, Conflict, Invalid, Unavailable."""
        draft = self._catalogue.entry(DRAFT, id)
        if draft is None:
            raise NotFound("there is no draft of a flow with this id: PUT /definitions/flow-draft/{id} makes one")
        condition(if_match)(draft)
        spec = Flow.model_validate(draft.spec.model_dump())
        old = self._catalogue.entry(FLOW, id)
        checked = await asyncio.to_thread(self._rules.checked, FLOW, spec, None if old is None else old.spec)

        def unchanged(now: Entry | None) -> None:
            if now != old:
                raise Conflict("somebody else has deployed the flow at the same time: look at it and try again")

        entry = await self._editor.write(FLOW, id, checked, unchanged)
        if entry is None:
            raise Conflict("somebody else has deleted the flow at the same time")
        return answer(FLOW, id, entry, self._rules, 200 if old is not None else 201)

    def _look(self, wanted: LookUp) -> Answer:
        try:
            return answered(self._store, wanted)
        except (QueryError, Unavailable) as exc:
            return Answer(0, error=str(exc))

    def _wanted(self, id: str, asked: Tried) -> tuple[Flow, int]:
        if asked.definition is not None:
            return asked.definition, -1
        entry = self._catalogue.entry(DRAFT if asked.draft else FLOW, id)
        if entry is None:
            words = "no draft of a flow" if asked.draft else "no flow that is deployed"
            raise NotFound(f"there is {words} with this id")
        return cast("Flow", entry.spec), entry.version

    def _newest(self, id: str) -> Entry:
        entry = self._catalogue.entry(DRAFT, id) or self._catalogue.entry(FLOW, id)
        if entry is None:
            raise NotFound("there is no flow with this id: PUT /definitions/flow/{id} makes one")
        return entry

    def _one(self, id: str) -> dict[str, Any]:
        deployed, draft = self._catalogue.entry(FLOW, id), self._catalogue.entry(DRAFT, id)
        spec = cast("Flow", self._newest(id).spec)
        return {
            "id": id,
            "name": spec.name,
            "state": "draft" if deployed is None else "enabled" if deployed.spec.enabled else "disabled",
            "version": None if deployed is None else deployed.version,
            "updated_at": None if deployed is None else when(deployed.updated_at_ms),
            "draft": None if draft is None else draft.version,
            "draft_differs": draft is not None and (deployed is None or _content(draft) != _content(deployed)),
            "triggers": [trigger.model_dump(mode="json") for trigger in spec.triggers],
            "nodes": len(spec.nodes),
        }

    def _documents(self, asked: Tried) -> Documents:
        event = self._document("events", asked.event)
        stored = event if isinstance(asked.event, str) else {}
        profile = asked.profile if asked.profile is not None else _id_of(stored, "profile")
        session = asked.session if asked.session is not None else _id_of(stored, "session")
        return Documents(event, self._document("profiles", profile), self._document("sessions", session))

    def _document(
        self, kind: Literal["events", "profiles", "sessions"], given: dict[str, Any] | str | None
    ) -> dict[str, Any]:
        if not isinstance(given, str):
            return given or {}
        found = self._store.get(kind, given)
        if found is None:
            raise NotFound(f"there is no {kind.removesuffix('s')} with the id {given!r}")
        return found


def told(problem: Problem) -> dict[str, Any]:
    """A problem as JSON: `node` is null if it is not about one. `path`: what `where` is written of."""
    path = problem.path
    return {
        "node": path[1] if len(path) > 1 and path[0] == "nodes" else None,
        "where": problem.where,
        "path": list(problem.path),
        "detail": problem.detail,
        "column": problem.column,
        "expression": problem.expression or None,
    }


def router(flows: Flows) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["flows"], prefix="/flows")

    @routes.get("", name="All flows, those that are drafts among them")
    def all_of_them() -> Response:
        return json_response({"items": flows.all(), "next": None})

    # before /{id:path}, which would take them for ids
    @routes.get("/nodes", name="All types of node, with the JSON Schema of what each is configured with")
    def nodes() -> Response:
        return json_response({"items": list(described()), "next": None})

    @routes.post("/check", name="Say all that is wrong with a flow", openapi_extra=body_of(FlowDraft))
    async def check_flow(request: Request) -> Response:
        spec = await read(FlowDraft, request)
        return json_response(await asyncio.to_thread(flows.checked, spec))

    @routes.get("/{id:path}", name="A flow, and what is wrong with its draft", responses=NOT_THERE)
    def one(id: str) -> Response:
        return json_response(flows.one(id))

    @routes.post("/{id:path}/test", name="Try a flow: nothing is done, all effects are listed", responses=NOT_THERE)
    def try_(id: str, asked: Tried) -> Response:
        return json_response(flows.try_(id, asked))

    @routes.post("/{id:path}/deploy", name="Let a draft come into force", responses=NOT_THERE)
    async def deploy(id: str, if_match: IfMatch = None) -> Response:
        return await flows.deploy(id, if_match)

    return routes


def _content(entry: Entry) -> dict[str, Any]:
    return entry.spec.model_dump(mode="json")


def _id_of(event: dict[str, Any], name: str) -> str | None:
    found = event.get(name)
    return found.get("id") if isinstance(found, dict) else None
