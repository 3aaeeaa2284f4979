"""Conditions: are they right, and what is true of a profile. `POST /conditions/explain`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from hub.api.problems import NotFound
from hub.api.responses import json_response
from hub.store.port import Kind, Reading
from hub.store.query.explained import explain

Verdict = Literal["true", "false", "unknown"]


class Asked(BaseModel):
    """A condition, and the document that it is tried on."""

    condition: Annotated[str, Field(description="docs/conditions.md; empty: it holds for everything.")]
    kind: Annotated[Kind, Field(description="What it is a condition on.")] = "profiles"
    id: Annotated[str | None, Field(description="A document of that kind; of profiles any id that was theirs.")] = None


class Seen(BaseModel):
    """What the document has there."""

    field: str
    state: Literal["there", "missing", "not kept yet"]
    value: Any = None


class Part(BaseModel):
    """One part; `verdict` if a document was given."""

    condition: str
    kind: str
    verdict: Verdict | None = None
    seen: list[Seen] = []
    parts: list[Part] = []


class Statement(BaseModel):
    """What stands behind WHERE, and what it binds."""

    where: str
    parameters: dict[str, Any]


class Search(BaseModel):
    """A query of Elasticsearch and OpenSearch; unless it is `exact`, Python is asked of each document that it finds."""

    query: dict[str, Any]
    exact: bool


class Kept(BaseModel):
    """What profiles have to keep of these events. `keep_ms`: longest span of time that is asked for."""

    key: str
    events: str
    keep_ms: int | None


class Explained(BaseModel):
    """How a condition was read, what was made of it, and the verdict on one document."""

    condition: str
    tree: Part
    sql: Statement
    search: Search
    python: list[str]
    histories: list[Kept]
    moves: bool
    changes_at: str | None


def router(store: Reading, now_ms: Callable[[], int]) -> APIRouter:
    """The route. Args: now_ms: the clock, milliseconds since 1970."""
    routes = APIRouter()

    @routes.post(
        "/conditions/explain",
        tags=["conditions"],
        name="Explain a condition",
        response_model=Explained,
        responses={404: {"description": "There is no document with this id."}},
    )
    def explain_condition(asked: Asked) -> Response:
        document = None if asked.id is None else store.get(asked.kind, asked.id)
        if asked.id is not None and document is None:
            raise NotFound(f"there is no document with this id among the {asked.kind.replace('-', ' ')}")
        return json_response(msgspec.to_builtins(explain(asked.condition, asked.kind, now_ms() * 1_000, document)))

    return routes
