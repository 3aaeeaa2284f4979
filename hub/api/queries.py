"""Profiles, events, sessions, dead letters: search, count, one of them."""

from __future__ import annotations

from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from hub.api.problems import NotFound
from hub.api.responses import json_response
from hub.store.port import Kind, Reading

Q = Annotated[
    str, Query(description='Such as `traits.country = "GB" AND traits.plan = gold` (docs/query.md); empty for all.')
]


class Found(BaseModel):
    """Some of the matches, newest first."""

    items: list[dict[str, Any]]
    next: str | None


class Counted(BaseModel):
    """How many match."""

    count: int


_ONE: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is none with this id."}}
_BYTES: Final[dict[int | str, dict[str, Any]]] = {
    **_ONE,
    200: {
        "description": "As they came.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
}


def router(store: Reading) -> APIRouter:
    """The routes of every kind of document."""
    routes = APIRouter()
    # before /dead-letters/{id:path}, which would take it for an id
    _add_body(routes, store)
    for kind in get_args(Kind):
        _add(routes, store, kind)
    return routes


def _add(routes: APIRouter, store: Reading, kind: Kind) -> None:
    one = kind.removesuffix("s").replace("-", " ")

    # plain functions: FastAPI runs them on its threads, so a slow search holds nobody up
    @routes.get(f"/{kind}", tags=[kind], name=f"Search {kind}", response_model=Found)
    def search(
        q: Q = "",
        size: Annotated[int, Query(ge=1, le=1_000, description="Most items in one answer.")] = 20,
        cursor: Annotated[str | None, Query(description="`next` of the answer before.")] = None,
    ) -> Response:
        page = store.search(kind, q, size, cursor)
        return json_response({"items": page.items, "next": page.next})

    @routes.get(f"/{kind}/count", tags=[kind], name=f"Count {kind}", response_model=Counted)
    def count(q: Q = "") -> Response:
        return json_response({"count": store.count(kind, q)})

    @routes.get(f"/{kind}/{{id:path}}", tags=[kind], name=f"One {one}", responses=_ONE)
    def get(id: str) -> Response:
        document = store.get(kind, id)
        if document is None:
            raise NotFound(f"there is no {one} with this id")
        return json_response(document)


def _add_body(routes: APIRouter, store: Reading) -> None:
    @routes.get(
        "/dead-letters/{id}/body",
        tags=["dead-letters"],
        name="Original bytes",
        response_class=Response,
        responses=_BYTES,
    )
    def body(id: str) -> Response:
        found = store.dead_letter_body(id)
        if found is None:
            raise NotFound("there is no dead letter with this id")
        # whatever is in there, a browser must not show it as a page of ours
        headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
        return Response(found, headers=headers, media_type="application/octet-stream")
