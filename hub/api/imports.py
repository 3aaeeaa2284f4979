"""Imports that workers do: asked for, and tried beforehand."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from hub.api.definitions import body_of, read
from hub.api.responses import json_response
from hub.api.tasks import TaskState, TaskViews, Unfit
from hub.definitions.catalogue import Catalogue
from hub.definitions.sealed import Seal
from hub.definitions.secrets import is_reference, with_secrets
from hub.definitions.wording import said
from hub.errors import InvalidPayload, Refused
from hub.imports.importer import Blobs
from hub.imports.run import Site, rehearse
from hub.imports.sources import Reach, default_id
from hub.imports.spec import ImportSpec
from hub.settings import Imports, Limits

KIND: Final = "import"
MOST_ROWS: Final = 10_000


class Door(NamedTuple):
    """What the API may look at for imports. `seal`: of secrets."""

    seal: Seal
    reach: Reach
    settings: Imports
    blobs: Blobs


class Tried(BaseModel):
    """
    What would be made of the first rows. `facts`: what was found, such as a delimiter; `columns`: name, type, and
    whether it was told (`sure`) or seen; `whole`: whether these are all rows; `payloads`: of the first with events.
    """

    id: str
    facts: dict[str, str]
    columns: list[dict[str, Any]]
    counts: dict[str, int]
    whole: bool
    payloads: list[dict[str, Any]]
    bad: list[dict[str, str]]


class ImportViews:
    """What the routes give. Calls block."""

    def __init__(
        self, tasks: TaskViews, catalogue: Catalogue, limits: Limits, door: Door, now_ms: Callable[[], int]
    ) -> None:
        """Args: now_ms: the clock, milliseconds since 1970."""
        self._tasks = tasks
        self._door = door
        self._site = Site(catalogue, limits, door.blobs, door.settings, door.reach, now_ms)

    def ask(self, document: dict[str, Any]) -> dict[str, Any]:
        """A task that imports. Raises InvalidPayload, Unfit, Unavailable."""
        return self._tasks.ask(KIND, self._spec(document).model_dump(mode="json"), by="POST /imports")

    def try_(self, document: dict[str, Any], rows: int) -> dict[str, Any]:
        """What would become of the first rows; sends nothing. Raises InvalidPayload, Unfit, Unavailable."""
        spec = self._spec(document)
        try:
            seen = rehearse(spec, self._site, rows)
        except Refused as exc:
            raise Unfit(exc.detail) from exc
        return {
            "id": spec.id,
            "facts": dict(seen.shape.facts),
            "columns": [column._asdict() for column in seen.shape.columns],
            "counts": seen.counts._asdict(),
            "whole": seen.whole,
            "payloads": [msgspec.json.decode(payload) for payload in seen.events],
            "bad": [bad._asdict() for bad in seen.bad],
        }

    def _spec(self, document: dict[str, Any]) -> ImportSpec:
        """With a name, and its secrets sealed: what becomes of it lies in the store. Raises InvalidPayload."""

        def sealed(_: str, value: str) -> str:
            return value if is_reference(value) else self._door.seal.seal(value)

        told = [document.get(name, "") for name in ("location", "table", "query", "sheet")]
        named = {"id": default_id(*(text if isinstance(text, str) else "" for text in told)), **document}
        try:
            return ImportSpec.model_validate(with_secrets(ImportSpec, named, sealed, ""))
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            raise InvalidPayload("wrong_type", said(first), ".".join(map(str, first["loc"]))) from exc


class Document(BaseModel, extra="allow"):
    """Members of an import, `id` not needed; as they came, since secrets are sealed before all else."""


def router(views: ImportViews) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/imports", tags=["imports"])
    body = body_of(ImportSpec)

    @routes.post("", name="Import rows", response_model=TaskState, status_code=202, openapi_extra=body)
    async def ask(request: Request) -> Response:
        document = (await read(Document, request)).model_extra or {}
        return json_response(await to_thread(views.ask, document), 202)

    @routes.post("/test", name="Try an import", response_model=Tried, openapi_extra=body)
    async def try_(
        request: Request,
        rows: Annotated[int, Query(ge=1, le=MOST_ROWS, description="How many to look at.")] = 100,
    ) -> Response:
        document = (await read(Document, request)).model_extra or {}
        return json_response(await to_thread(views.try_, document, rows))

    return routes
