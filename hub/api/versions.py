"""Versions of definitions: all that there were, one of them, and back to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from hub.api.definitions import (
    MADE,
    Editor,
    IfMatch,
    Invalid,
    Kind,
    Rules,
    answer,
    body_of,
    check_kind,
    condition,
    parsed,
    read,
)
from hub.api.problems import Conflict, NotFound
from hub.api.responses import json_response
from hub.definitions import api_keys
from hub.definitions.catalogue import Catalogue
from hub.errors import Unavailable
from hub.store.port import MAX_PAGE, DefinitionVersion, Versions

SETTLE_S: Final = 2.0
"""How long a question waits for a version that was made a moment ago to be kept."""
END: Final = 2**63
"""Behind every version: they are offsets of Kafka's, which a store keeps in 64 bits, too."""


class Rollback(BaseModel, extra="forbid"):
    """Which version to go back to."""

    version: Annotated[int, Field(ge=0, description="One of GET …/versions that is no deletion.")]


def router(
    editor: Editor, catalogue: Catalogue, rules: Rules, store: Versions, settle: Callable[[float], bool]
) -> APIRouter:
    """The routes. Args: settle: waits so many seconds at most until what the catalogue has is kept; blocks."""
    routes = APIRouter(tags=["definitions"])

    def settled() -> None:
        if not settle(SETTLE_S):
            raise Unavailable("store", "the newest versions are not kept yet, as the store does not take them now")

    def found(kind: str, id: str, version: int) -> DefinitionVersion:
        check_kind(kind)
        settled()
        row = store.version(kind, id, version)
        if row is None:
            raise NotFound(
                f"there is no version {version} of this {kind}: GET /definitions/{kind}/{id}/versions has all"
            )
        return row

    def shown(row: DefinitionVersion) -> dict[str, Any]:
        entry = catalogue.entry(row.kind, row.id)
        spec = None if row.spec is None else msgspec.json.decode(row.spec)
        return {
            "kind": row.kind,
            "id": row.id,
            "version": row.version,
            "updated_at_ms": row.at_ms,
            "current": entry is not None and (entry.version, entry.updated_at_ms) == (row.version, row.at_ms),
            "spec": rules.shown(row.kind, spec) if isinstance(spec, dict) else None,
        }

    # plain functions: FastAPI runs them on its threads
    @routes.get("/definitions/{kind}/{id:path}/versions", name="Versions of a definition, newest first")
    def versions(
        kind: Kind,
        id: str,
        size: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Most items in one answer.")] = 20,
        cursor: Annotated[int | None, Query(ge=0, lt=END, description="`next` of the answer before.")] = None,
    ) -> Response:
        check_kind(kind)
        settled()
        rows = store.versions(kind, id, size, cursor)
        if not rows and cursor is None:
            raise NotFound(f"there has never been a {kind} with this id")
        following = rows[-1].version if len(rows) == size else None
        return json_response({"items": [shown(row) for row in rows], "next": following})

    @routes.get("/definitions/{kind}/{id:path}/versions/{version}", name="One version of a definition")
    def version(kind: Kind, id: str, version: Annotated[int, Path(ge=0, lt=END)]) -> Response:
        return json_response(shown(found(kind, id, version)))

    @routes.post(
        "/definitions/{kind}/{id:path}/rollback",
        name="Back to a version of a definition",
        responses=MADE,
        openapi_extra=body_of(Rollback),
    )
    async def rollback(kind: Kind, id: str, request: Request, if_match: IfMatch = None) -> Response:
        wanted = await read(Rollback, request)
        _check_goes_back(kind)
        row = await asyncio.to_thread(found, kind, id, wanted.version)
        if row.spec is None:
            raise Invalid(f"version {row.version} is a deletion: DELETE the definition, or name another version")
        old = catalogue.entry(kind, id)
        spec = parsed(kind, row.spec.encode())
        # it was valid then; but what it needs may have gone, and a newer hub may ask for more
        spec = await asyncio.to_thread(rules.checked, kind, spec, spec)
        entry = await editor.write(kind, id, spec, condition(if_match))
        if entry is None:
            raise Conflict("somebody else has deleted the definition at the same time")
        odd = await asyncio.to_thread(rules.probed, kind, entry.spec)
        return answer(kind, id, entry, rules, 200 if old is not None else 201, odd=odd)

    return routes


def _check_goes_back(kind: str) -> None:
    """Raises Invalid."""
    if kind == api_keys.KIND:
        raise Invalid("a key that was changed for another one must not be good again: PUT what else has changed")
