"""Message mappings before they are anybody's: those that come with the hub, and what one makes of messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, JsonValue
from starlette.responses import Response

from hub.api.definitions import body_of, read
from hub.api.responses import json_response
from hub.definitions.catalogue import Catalogue
from hub.edge.functions import NO_META
from hub.edge.mapping import CompiledMapping, compile_mapping
from hub.edge.mapping.library import NAMES, text_of
from hub.edge.mapping.lint import Finding, lint
from hub.edge.repeatable import events_in, taken
from hub.errors import InvalidPayload
from hub.ids import derived
from hub.settings import Limits

MOST_MESSAGES: Final = 100


class Sample(BaseModel, extra="forbid"):
    """A message."""

    body: Annotated[str, Field(description="As text.")]
    meta: Annotated[dict[str, JsonValue], Field(description="What meta(…) gives.")] = {}


class Wanted(BaseModel, extra="forbid"):
    """What to try on which messages."""

    mapping: Annotated[
        dict[str, Any] | str | None,
        Field(description="docs/mapping.md, or a ready-made one's name; null: messages have the /track shape."),
    ]
    source: Annotated[str, Field(min_length=1, description="Event source of messages that name none.")]
    messages: Annotated[list[Sample], Field(max_length=MOST_MESSAGES)] = []


class Mappings:
    """Tries them; nothing is kept or sent."""

    def __init__(self, catalogue: Catalogue, limits: Limits, now_ms: Callable[[], int]) -> None:
        """Args: now_ms: the clock, milliseconds since 1970."""
        self._catalogue = catalogue
        self._limits = limits
        self._now_ms = now_ms

    def try_(self, wanted: Wanted) -> dict[str, Any]:
        """
        `findings`: all that is wrong or doubtful. `messages`: of each `payload`, or `refused`; and `dropped`.

        A mapping that cannot be used has an error among its findings, and no messages.
        """
        findings = [] if wanted.mapping is None else lint(wanted.mapping)
        shown = [_finding(one) for one in findings]
        if any(one.level == "error" for one in findings):
            return {"findings": shown, "messages": []}
        mapping = None if wanted.mapping is None else compile_mapping(wanted.mapping)
        return {"findings": shown, "messages": [self._made(one, mapping, wanted.source) for one in wanted.messages]}

    def _made(self, message: Sample, mapping: CompiledMapping | None, source: str) -> dict[str, Any]:
        """As of a bridge's trial, see bridges/trial.py."""
        try:
            body = message.body.encode()
            if mapping is not None:
                body = mapping.payload(body, self._limits, message.meta if mapping.uses_meta else NO_META)
            found = taken(
                body,
                source=source,
                payload_id=derived("preview", message.body),
                origin="preview",
                time_ms=None,
                now_ms=self._now_ms(),
                catalogue=self._catalogue,
                limits=self._limits,
            )
        except InvalidPayload as exc:
            return {"refused": {"reason": exc.reason, "detail": exc.detail, "where": exc.where}}
        return {"payload": msgspec.Raw(body), "dropped": not events_in(found.record)}


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "level": one.level,
        "where": one.problem.where,
        "path": one.problem.path,
        "detail": one.problem.detail,
        "column": one.problem.column,
    }


def router(catalogue: Catalogue, limits: Limits, now_ms: Callable[[], int]) -> APIRouter:
    """The routes. Args: now_ms: the clock, milliseconds since 1970."""
    routes = APIRouter(prefix="/mappings", tags=["mappings"])
    mappings = Mappings(catalogue, limits, now_ms)

    @routes.get("", name="Mappings that come with the hub")
    async def all_of_them() -> Response:
        items = [{"name": name, "mapping": msgspec.Raw(text_of(name).encode())} for name in NAMES]
        return json_response({"items": items, "next": None})

    @routes.post("/try", name="What a mapping makes of messages", openapi_extra=body_of(Wanted))
    async def try_(request: Request) -> Response:
        wanted = await read(Wanted, request)
        # expressions may take a moment, which is not the events' to wait
        return json_response(await asyncio.to_thread(mappings.try_, wanted))

    return routes
