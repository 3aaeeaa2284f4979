"""Profiles, events, sessions, dead letters: search, count, one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from hub.api.problems import NotFound
from hub.api.responses import json_response
from hub.conditions import QueryError
from hub.conditions.times import read_moment
from hub.model import FOREVER_MS
from hub.store.port import Kind, Reading, Span

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


def router(store: Reading, now_ms: Callable[[], int]) -> APIRouter:
    """The routes of every kind of document. Args: now_ms: the clock, milliseconds since 1970."""
    routes = APIRouter()
    # before /dead-letters/{id:path}, which would take it for an id
    _add_body(routes, store)
    for kind in get_args(Kind):
        _add(routes, store, kind, now_ms)
    return routes


def _add(routes: APIRouter, store: Reading, kind: Kind, now_ms: Callable[[], int]) -> None:
    one = kind.removesuffix("s").replace("-", " ")

    # plain functions: FastAPI runs them on its threads, so a slow search holds nobody up
    @routes.get(f"/{kind}", tags=[kind], name=f"Search {kind}", response_model=Found)
    def search(
        q: Q = "",
        size: Annotated[int, Query(ge=1, le=1_000, description="Most items in one answer.")] = 20,
        cursor: Annotated[str | None, Query(description="`next` of the answer before.")] = None,
        begin: Annotated[
            str, Query(alias="from", description="Only from this time on: RFC 3339, or such as `now-7d`.")
        ] = "",
        end: Annotated[str, Query(alias="to", description="Only before this time.")] = "",
    ) -> Response:
        page = store.search(kind, q, size, cursor, _span(begin, end, now_ms()))
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


def _span(begin: str, end: str, clock_ms: int) -> Span | None:
    """None: of any time. Raises QueryError."""
    if not (begin or end):
        return None
    return Span(
        time_ms("from", begin, clock_ms, "UTC") if begin else 0,
        time_ms("to", end, clock_ms, "UTC") if end else FOREVER_MS,
    )


def time_ms(name: str, text: str, now_ms: int, zone: str) -> int:
    """
    Milliseconds since 1970 of a time in a request. Args: zone: of a text without one of its own.

    Raises: QueryError: it is none.
    """
    try:
        return read_moment(text, now_ms * 1_000, zone) // 1_000
    except ValueError as exc:
        raise QueryError(f"{name}: {exc}") from exc


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
