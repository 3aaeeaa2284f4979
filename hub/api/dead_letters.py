"""POST /dead-letters/…/replay: one again, edited or not, or all that match."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from hub.api.replay import Replayed, Replayer
from hub.errors import InvalidPayload

Mapping = Annotated[
    dict[str, Any] | str | None,
    Field(
        description="A message mapping (docs/mapping.md), or the name of a ready-made one, instead of the bridge's, to "
        "repair the messages with."
    ),
]


class ReplayOne(BaseModel, extra="forbid"):
    """How to replay one letter. Without a body: its original bytes."""

    body: Annotated[str | None, Field(description="Edited body, as text.")] = None
    body_base64: Annotated[str | None, Field(description="Edited body, as base64.")] = None
    mapping: Mapping = None


class ReplayAll(BaseModel, extra="forbid"):
    """Which letters to replay. Only open ones are."""

    q: Annotated[str, Field(description="As of GET /dead-letters; empty for all.")]
    mapping: Mapping = None
    dry_run: Annotated[bool, Field(description="Only say how many match.")] = False
    size: Annotated[int | None, Field(ge=1, description="Most letters in this request; null: all.")] = None
    after: Annotated[int, Field(ge=0, lt=2**63, description="`next` of the answer before.")] = 0


def router(replayer: Replayer) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["dead-letters"])

    @routes.post("/dead-letters/replay", name="Replay dead letters", response_model=Replayed)
    async def replay_all(wanted: ReplayAll) -> Replayed:
        if wanted.dry_run:
            return await replayer.rehearse(wanted.q, wanted.mapping)
        return await replayer.all(wanted.q, wanted.mapping, wanted.size, wanted.after)

    @routes.post(
        "/dead-letters/{id}/replay",
        name="Replay one dead letter",
        response_model=Replayed,
        responses={404: {"description": "There is none with this id."}},
    )
    async def replay_one(id: str, wanted: ReplayOne | None = None) -> Replayed:
        wanted = wanted or ReplayOne()
        return await replayer.one(id, _body(wanted), wanted.mapping)

    return routes


def _body(wanted: ReplayOne) -> bytes | None:
    """The edited body, if there is one. Raises InvalidPayload."""
    if wanted.body is not None and wanted.body_base64 is not None:
        raise InvalidPayload("wrong_type", "give the body as text or as base64, not as both", "body_base64")
    if wanted.body_base64 is None:
        return None if wanted.body is None else _text(wanted.body)
    try:
        return base64.b64decode(wanted.body_base64, validate=True)
    except ValueError as exc:
        raise InvalidPayload("wrong_type", f"it is not base64: {exc}", "body_base64") from exc


def _text(body: str) -> bytes:
    """Raises InvalidPayload."""
    try:
        return body.encode()
    except UnicodeEncodeError as exc:
        raise InvalidPayload("lone_surrogate", f"character {exc.start} is half of a pair", "body") from exc
