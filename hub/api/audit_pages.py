"""GET /audit: who changed what, newest first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from hub.api.audit import Change, Entry, Outcome
from hub.api.definitions import Rules
from hub.api.responses import json_response
from hub.api.versions import SETTLE_S
from hub.errors import Unavailable
from hub.pipeline.documents import iso
from hub.store.port import MAX_PAGE, Versions
from hub.store.query import QueryError

Past: TypeAlias = Callable[[int | None], Iterator[tuple[int, bytes]]]
"""Offset and value of records of audit.v1 below an offset (None: of all), the newest first. Blocks."""

MOST_LOOKED: Final = 20_000
"""Records that one question goes through; then it answers with what it has found, and where to go on."""
_CURSOR: Final = re.compile(r"\d{1,18}(\.\d{1,18}){0,1000}")


class Who(BaseModel):
    """Of the key: its id (`@admin`: the admin key) and what people call it."""

    key: str
    name: str


class Told(BaseModel):
    """What came of it. `reason`: of a problem. `answered`: such as the id of a task or an erasure."""

    at: str
    status: int
    reason: str
    answered: dict[str, Any]


class State(BaseModel):
    """A definition at a version, as the API shows it. `spec`: null: it was deleted, or the store has not kept it."""

    version: int
    spec: dict[str, Any] | None


class Changed(BaseModel):
    """A definition that was written. `before`: null: there was none, or it came with the hub."""

    kind: str
    id: str
    deleted: bool
    before: State | None
    after: State


class Audited(BaseModel):
    """
    A request that may change something. `from`: the address of whoever connected. `target`: parameters of the path; a
    person is a mark, as in reports of erasures. `outcome`: null: it is under way, or the process ended before it said.
    """

    id: str
    at: str
    who: Who
    address: str
    route: str
    target: dict[str, str]
    asked: dict[str, Any]
    outcome: Told | None
    changes: list[Changed]


class Page(BaseModel):
    """Some of them, newest first. `items` may be fewer than asked for, and none, while `next` says where to go on."""

    items: list[Audited]
    next: str | None


class Wanted(NamedTuple):
    """Which entries; empty: all. `kind`, `id`: of the definition, or whatever else the path names."""

    key: str = ""
    kind: str = ""
    id: str = ""

    def has(self, entry: Entry) -> bool:
        """Whether it is one of these."""
        changes = entry.outcome.changes if entry.outcome else []
        kinds = {entry.target.get("kind", ""), *(change.kind for change in changes)}
        ids = {*entry.target.values(), str(entry.asked.get("id", "")), *(change.id for change in changes)}
        return (
            (not self.key or entry.key == self.key)
            and (not self.kind or self.kind in kinds)
            and (not self.id or self.id in ids)
        )


class AuditPages(NamedTuple):
    """Reads the log, and the store for what definitions said. Calls block. `settle`: as of hub.api.versions."""

    past: Past
    store: Versions
    rules: Rules
    settle: Callable[[float], bool]

    def page(self, size: int, cursor: str | None, wanted: Wanted) -> dict[str, Any]:
        """Raises QueryError: no cursor of ours. Unavailable."""
        entries, following = _page(self.past, size, cursor, wanted)
        if any(entry.outcome and entry.outcome.changes for entry in entries) and not self.settle(SETTLE_S):
            raise Unavailable("store", "the newest versions are not kept yet, as the store does not take them now")
        return {"items": [self._shown(entry) for entry in entries], "next": following}

    def _shown(self, entry: Entry) -> dict[str, Any]:
        outcome = entry.outcome
        return {
            "id": entry.id,
            "at": iso(entry.at_ms),
            "who": {"key": entry.key, "name": entry.name},
            "address": entry.address,
            "route": entry.route,
            "target": entry.target,
            "asked": entry.asked,
            "outcome": None if outcome is None else _told(outcome),
            "changes": [] if outcome is None else [self._changed(change) for change in outcome.changes],
        }

    def _changed(self, change: Change) -> dict[str, Any]:
        return {
            "kind": change.kind,
            "id": change.id,
            "deleted": change.deleted,
            "before": None if change.before is None else self._state(change, change.before),
            "after": self._state(change, change.after),
        }

    def _state(self, change: Change, version: int) -> dict[str, Any]:
        row = self.store.version(change.kind, change.id, version)
        spec = None if row is None or row.spec is None else msgspec.json.decode(row.spec)
        return {"version": version, "spec": self.rules.shown(change.kind, spec) if isinstance(spec, dict) else None}


def router(pages: AuditPages) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["api keys"])

    @routes.get("/audit", name="Who changed what, newest first", response_model=Page)
    def audit(
        key: Annotated[str, Query(description="Only by the key with this id; `@admin`: by the admin key.")] = "",
        kind: Annotated[str, Query(description="Only of definitions of this kind.")] = "",
        id: Annotated[str, Query(description="Only of what has this id, of a person the mark.")] = "",
        size: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Most items in one answer.")] = 20,
        cursor: Annotated[str | None, Query(description="`next` of the answer before.")] = None,
    ) -> Response:
        return json_response(pages.page(size, cursor, Wanted(key, kind, id)))

    return routes


def _page(past: Past, size: int, cursor: str | None, wanted: Wanted) -> tuple[list[Entry], str | None]:
    """
    Entries, and where the next ones begin.

    A request has two records, one before it is done and one after. The second one says all. So the first is left out
    if the second was met before, which lies above it; a cursor names those whose first is still to come.
    """
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise QueryError("the cursor is not one that a page of this hub gave; leave it out to begin anew")
    offsets = [] if cursor is None else [int(part) for part in cursor.split(".")]
    below, told = (offsets[0], set(offsets[1:])) if offsets else (None, set())
    found: list[Entry] = []
    for looked, (offset, value) in enumerate(past(below), 1):
        entry = _entry(value)
        if entry is not None and entry.outcome is not None:
            told.add(entry.outcome.asked_offset)
        if entry is not None and offset not in told and wanted.has(entry):
            found.append(entry)
        if len(found) == size or looked == MOST_LOOKED:
            still = sorted(one for one in told if one < offset)
            return found, ".".join(map(str, (offset, *still)))
    return found, None


def _entry(value: bytes) -> Entry | None:
    """None: of a newer hub, or none of ours."""
    try:
        return msgspec.json.decode(value, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "at": iso(outcome.at_ms),
        "status": outcome.status,
        "reason": outcome.reason,
        "answered": outcome.answered,
    }
