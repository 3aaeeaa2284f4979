"""Segments: how large they are and were, who is in them, how far a back-fill is, what a condition would give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self, cast

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, model_validator
from starlette.responses import Response

from hub.api.conditions import Part
from hub.api.problems import Conflict, NotFound
from hub.api.queries import Found, time_ms
from hub.api.responses import json_response
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Segment
from hub.errors import Unavailable
from hub.flows.deciding import deciders
from hub.ids import ordered
from hub.log.publishing import Publish
from hub.pipeline.documents import iso
from hub.pipeline.flow_changes import SOURCE, TYPE
from hub.pipeline.membership import memberships
from hub.pipeline.requests import join_or_leave
from hub.segments.preview import Store, listed, met_by_all, preview
from hub.segments.preview import Verdict as Given
from hub.segments.runs import Runs
from hub.segments.sizes import HOUR_MS
from schemas.codec import encode_inbound
from schemas.segments import Filled, State
from schemas.topics import EVENTS

DAYS: Final = 30
"""Length of a history of sizes that does not say where it begins."""
MOST_LISTED: Final = 1_000
_DAY_MS: Final = 86_400_000
_NONE: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is no segment with this id."}}
_NO_LIST: Final[dict[int | str, dict[str, Any]]] = {
    **_NONE,
    409: {"description": "Its condition says who is in it, or it is switched off."},
}


class BackfillState(BaseModel):
    """
    How far the newest back-fill is. `version`: of the segment. `of`: profiles; `looked`: of these, looked at so far;
    `asked`: of these, whose owner was asked to look again.
    """

    version: int
    state: Literal["planned", "waiting", "running", "done", "failed", "overtaken"]
    of: int | None
    looked: int
    asked: int
    asked_at: str | None
    started_at: str | None
    ended_at: str | None
    error: str


class SegmentSummary(BaseModel):
    """
    A segment. `size`: how many profiles are in it now. `version`: of its definition; `updated_at`: since when. `flows`:
    ids of those that say who is in it, besides lists; none if it has a condition.
    """

    id: str
    name: str
    description: str
    enabled: bool
    condition: str | None
    flows: list[str]
    version: int
    updated_at: str
    size: int


class SegmentState(SegmentSummary):
    """`backfill`: null: it has no condition, or nobody knows as Redis is away."""

    backfill: BackfillState | None


class CheckState(BaseModel):
    """
    The newest second opinion of the store. `differed`: profiles that were in other segments than the conditions say,
    and were sent to be looked at; more than a few are a fault of the hub.
    """

    at: str
    state: State
    looked: int
    differed: int
    error: str


class Listed(BaseModel):
    """All of them, by id. `check`: null: there was none so far, or Redis is away."""

    items: list[SegmentSummary]
    check: CheckState | None
    next: str | None


class Size(BaseModel):
    """How many profiles were in it at that time."""

    time: str
    members: int


class Sizes(BaseModel):
    """By hour, oldest first."""

    items: list[Size]


class Asked(BaseModel, extra="forbid"):
    """A condition to try, or a segment to look at."""

    condition: Annotated[str | None, Field(min_length=1, description="As of a segment (docs/segments.md).")] = None
    segment: Annotated[
        str | None, Field(description="Instead of a condition: who is in this one; if it has one, that is tried.")
    ] = None
    profile: Annotated[str | None, Field(description="Of whom to say why they are in or out; any id of theirs.")] = None
    size: Annotated[int, Field(ge=0, le=100, description="Most profiles of the sample.")] = 10

    @model_validator(mode="after")
    def _is_about_one(self) -> Self:
        if (self.condition is None) == (self.segment is None):
            raise ValueError("write either `condition` or `segment`")
        return self


class Verdict(BaseModel):
    """
    On one profile: whether it would be in, and which part of the condition is true, false or unknown.

    `parts`: null: there is no condition. `membership`: since when it is in the segment that was asked for, and by what,
    as its `metadata.segments` has it, of a flow also the `flow`, its `version` and the `run`; null: it is not in it, or
    none was asked for.
    """

    id: str
    matches: bool
    parts: Part | None
    membership: dict[str, Any] | None


class Previewed(BaseModel):
    """
    What it would give. `exact`: false: profiles keep no account yet of the events that it asks for, so `looked` of them
    were looked at and `count` is an estimate. `flows`: as of the segment that was asked for.
    """

    count: int
    total: int
    exact: bool
    looked: int
    sample: list[dict[str, Any]]
    profile: Verdict | None
    flows: list[str]
    warnings: list[str]


class Changes(BaseModel, extra="forbid"):
    """Who is put on the list, and who is taken off it: ids that were ever given out for profiles."""

    add: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=MOST_LISTED)] = []
    remove: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=MOST_LISTED)] = []


class Accepted(BaseModel):
    """So many are on the log, and done some milliseconds later. `unknown`: there is no such profile."""

    accepted: int
    unknown: list[str]


class Planned(BaseModel):
    """It begins within some seconds: `GET /segments/{id}` tells."""

    id: str
    state: Literal["planned"] = "planned"


def prober(store: Store, now_ms: Callable[[], int]) -> Callable[[Any], list[str]]:
    """Whether a segment that is saved has everybody in it, in words. Blocks. Raises Unavailable."""

    def probe(spec: Segment) -> list[str]:
        return met_by_all(store, spec.condition, now_ms() * 1_000) if spec.condition and spec.enabled else []

    return probe


class SegmentViews:
    """Reads what the store and Redis know. Who is in a segment is changed by records only."""

    def __init__(
        self,
        publisher: Publish,
        store: Store,
        catalogue: Catalogue,
        namespace: str,
        *,
        runs: Runs | None,
        now_ms: Callable[[], int],
    ) -> None:
        """Args: runs: None: there is no Redis. now_ms: the clock, milliseconds since 1970."""
        self._publisher = publisher
        self._store = store
        self._catalogue = catalogue
        self._topic = EVENTS.name(namespace)
        self._runs = runs
        self._now_ms = now_ms

    def every(self) -> dict[str, Any]:
        """Blocks. Raises Unavailable."""
        sizes = self._store.segment_sizes()
        entries = sorted(self._catalogue.entries("segment").items())
        items = [_summary(id, entry, sizes.get(id, 0), self._flows(id, entry)) for id, entry in entries]
        return {"items": items, "check": self._check(), "next": None}

    def one(self, id: str) -> dict[str, Any]:
        """Blocks. Raises NotFound, Unavailable."""
        entry = self.entry(id)
        size = self._store.segment_sizes().get(id, 0)
        return {**_summary(id, entry, size, self._flows(id, entry)), "backfill": self._backfill(id, entry)}

    def entry(self, id: str) -> Entry:
        """Raises NotFound."""
        entry = self._catalogue.entry("segment", id)
        if entry is None:
            raise NotFound("there is no segment with this id")
        return entry

    def sizes(self, id: str, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
        """Blocks. Raises NotFound, Unavailable."""
        self.entry(id)
        rows = self._store.kept_sizes(id, -(-since_ms // HOUR_MS), -(-until_ms // HOUR_MS))
        return [{"time": iso(hour * HOUR_MS), "members": members} for hour, members in rows]

    def members(self, id: str, size: int, cursor: str | None) -> dict[str, Any]:
        """Blocks. Raises NotFound, Unavailable."""
        self.entry(id)
        if cursor is not None and not (cursor.isdecimal() and len(cursor) < 19):
            raise NotFound("there is no such cursor: take `next` of the answer before")
        items, following = self._store.members(id, size, None if cursor is None else int(cursor))
        return {"items": items, "next": None if following is None else str(following)}

    def preview(self, asked: Asked) -> dict[str, Any]:
        """Blocks. Raises NotFound, QueryError, Unavailable."""
        profile = None if asked.profile is None else self._store.get("profiles", asked.profile)
        if asked.profile is not None and profile is None:
            raise NotFound("there is no profile with this id")
        flows: list[str] = []
        condition, member = asked.condition, None
        if asked.segment is not None:
            entry = self.entry(asked.segment)
            condition = cast("Segment", entry.spec).condition
            flows = self._flows(asked.segment, entry)
            member = None if profile is None else self._member(profile, asked.segment)
        if condition is None:
            found = listed(self._store, asked.segment or "", asked.size, profile, flows)
        else:
            found = preview(self._store, condition, asked.size, profile, self._now_ms() * 1_000)
        return {
            "count": found.matching,
            "total": found.total,
            "exact": found.is_exact,
            "looked": found.looked,
            "sample": found.sample,
            "profile": None if found.profile is None else {**_verdict(found.profile), "membership": member},
            "flows": flows,
            "warnings": found.warnings,
        }

    def backfill(self, id: str) -> None:
        """Have it back-filled again. Blocks. Raises NotFound, Conflict, Unavailable."""
        spec = cast("Segment", self.entry(id).spec)
        if not spec.condition or not spec.enabled:
            raise Conflict("there is nothing to fill: it has no condition, or is switched off")
        if self._runs is None:
            raise Unavailable("redis", "HUB_REDIS__URL is not set, and back-fills are planned there")
        self._runs.want(id)

    def who(self, id: str, changes: Changes) -> tuple[dict[str, bool], list[str]]:
        """
        By profile, whether it comes or goes; and the ids of none. Blocks. Raises NotFound, Conflict, Unavailable.
        """
        spec = cast("Segment", self.entry(id).spec)
        if spec.condition:
            raise Conflict("its condition says who is in this segment: change that, or make a segment without one")
        if not spec.enabled:
            raise Conflict("it is switched off: nobody enters or leaves")
        found: dict[str, bool] = {}
        unknown = []
        for ids, comes in ((changes.add, True), (changes.remove, False)):
            for given in ids:
                profile_id = self._store.survivor(given)
                if self._store.get("profiles", profile_id) is None:
                    unknown.append(given)
                else:
                    found[profile_id] = comes
        return found, unknown

    async def change(self, segment: str, found: dict[str, bool]) -> None:
        """Put it on the log. Raises Unavailable: some of it may be there; to send all again does no harm."""
        now_ms, offset = self._now_ms(), self._catalogue.offset
        async with asyncio.TaskGroup() as group:
            for profile_id, comes in found.items():
                record = join_or_leave(
                    profile_id,
                    [segment] if comes else [],
                    [] if comes else [segment],
                    by="list",
                    id=ordered(now_ms),
                    at_ms=now_ms,
                    definitions_offset=offset,
                )
                group.create_task(self._publisher.publish(self._topic, profile_id.encode(), encode_inbound(record)))

    def _member(self, profile: Mapping[str, Any], segment: str) -> dict[str, Any] | None:
        """Since when, and by what; of a flow also which run of it has let the profile in, as long as that is stored."""
        entry = memberships(profile).get(segment)
        if entry is None or entry["by"] != "flow" or entry["event"] is None:
            return entry
        event = self._store.get("events", entry["event"])
        if event is None or event["type"] != TYPE or event["source"]["id"] != SOURCE:
            return dict(entry)
        return {**entry, **{name: event["properties"].get(name) for name in ("flow", "version", "run")}}

    def _flows(self, id: str, entry: Entry) -> list[str]:
        """Those that say who is in it."""
        if cast("Segment", entry.spec).condition:
            return []
        return self._catalogue.compiled("flow", deciders).get(id, [])

    def _backfill(self, id: str, entry: Entry) -> dict[str, Any] | None:
        if self._runs is None or not cast("Segment", entry.spec).condition:
            return None
        try:
            filled = self._runs.filled().get(id)
            is_wanted = filled is None or filled.version != entry.version or id in self._runs.wanted()
            if filled is None or is_wanted:
                return _planned(entry.version)
            return self._run(filled)
        except Unavailable:
            return None

    def _check(self) -> dict[str, Any] | None:
        if self._runs is None:
            return None
        try:
            run = next((run for run in self._runs.recent() if run.kind == "check"), None)
            if run is None:
                return None
            progress = self._runs.progress(run.id)
        except Unavailable:
            return None
        return {
            "at": iso(run.asked_ms),
            "state": run.state,
            "looked": progress.looked,
            "differed": progress.differed,
            "error": run.error or progress.error,
        }

    def _run(self, filled: Filled) -> dict[str, Any] | None:
        assert self._runs is not None
        run = self._runs.run(filled.run)
        if run is None:
            return None
        progress = self._runs.progress(run.id)
        return {
            "version": filled.version,
            "state": run.state,
            "of": run.profiles if run.state != "waiting" else None,
            "looked": progress.looked,
            "asked": progress.asked,
            "asked_at": iso(run.asked_ms),
            "started_at": _when(run.started_ms),
            "ended_at": _when(run.ended_ms),
            "error": run.error or progress.error,
        }


def router(views: SegmentViews, now_ms: Callable[[], int]) -> APIRouter:
    """The routes. Args: now_ms: the clock, milliseconds since 1970."""
    routes = APIRouter(prefix="/segments", tags=["segments"])
    # the others before /{id:path}, which would take what they are called for a part of an id
    _add_lists(routes, views)

    @routes.get("", name="Segments", response_model=Listed)
    def every() -> Response:
        return json_response(views.every())

    @routes.post("/preview", name="What a condition would give", response_model=Previewed, responses=_NO_PROFILE)
    def try_(asked: Asked) -> Response:
        return json_response(views.preview(asked))

    @routes.get("/{id:path}/sizes", name="Sizes of a segment", response_model=Sizes, responses=_NONE)
    def sizes(
        id: str,
        begin: Annotated[
            str, Query(alias="from", description=f"RFC 3339, or such as `now-7d`. Default: {DAYS} days before `to`.")
        ] = "",
        end: Annotated[str, Query(alias="to", description="Where it ends, itself outside. Default: now.")] = "now",
    ) -> Response:
        clock_ms = now_ms()
        until_ms = time_ms("to", end, clock_ms, "UTC")
        since_ms = time_ms("from", begin, clock_ms, "UTC") if begin else until_ms - DAYS * _DAY_MS
        return json_response({"items": views.sizes(id, since_ms, until_ms)})

    @routes.post(
        "/{id:path}/backfill",
        name="Fill a segment again",
        response_model=Planned,
        status_code=202,
        responses={**_NONE, 409: {"description": "It has no condition, or is switched off."}},
    )
    def backfill(id: str) -> Response:
        views.backfill(id)
        return json_response({"id": id, "state": "planned"}, 202)

    @routes.get("/{id:path}", name="One segment", response_model=SegmentState, responses=_NONE)
    def one(id: str) -> Response:
        return json_response(views.one(id))

    return routes


def _add_lists(routes: APIRouter, views: SegmentViews) -> None:
    @routes.get("/{id:path}/profiles", name="Profiles of a segment", response_model=Found, responses=_NONE)
    def members(
        id: str,
        size: Annotated[int, Query(ge=1, le=1_000, description="Most items in one answer.")] = 20,
        cursor: Annotated[str | None, Query(description="`next` of the answer before.")] = None,
    ) -> Response:
        return json_response(views.members(id, size, cursor))

    @routes.post(
        "/{id:path}/profiles",
        name="Put profiles on the list of a segment",
        response_model=Accepted,
        status_code=202,
        responses=_NO_LIST,
    )
    async def change(id: str, changes: Changes) -> Response:
        found, unknown = await asyncio.to_thread(views.who, id, changes)
        await views.change(id, found)
        return json_response({"accepted": len(found), "unknown": unknown}, 202)


_NO_PROFILE: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is no profile with this id."}}


def _verdict(verdict: Given) -> dict[str, Any]:
    return {**verdict._asdict(), "parts": msgspec.to_builtins(verdict.parts)}


def _summary(id: str, entry: Entry, size: int, flows: list[str]) -> dict[str, Any]:
    spec = cast("Segment", entry.spec)
    return {
        "id": id,
        "name": spec.name,
        "description": spec.description,
        "enabled": spec.enabled,
        "condition": spec.condition,
        "flows": flows,
        "version": entry.version,
        "updated_at": iso(entry.updated_at_ms),
        "size": size,
    }


def _planned(version: int) -> dict[str, Any]:
    return {
        "version": version,
        "state": "planned",
        "of": None,
        "looked": 0,
        "asked": 0,
        "asked_at": None,
        "started_at": None,
        "ended_at": None,
        "error": "",
    }


def _when(time_ms: int | None) -> str | None:
    return None if time_ms is None else iso(time_ms)
