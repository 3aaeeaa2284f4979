"""API keys: made, listed, changed for another one, taken away. Each is shown once, when it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple, cast

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from hub.api.definitions import Editor, body_of, condition, read
from hub.api.problems import Conflict, NotFound
from hub.api.responses import json_response
from hub.api.steering import when
from hub.definitions.api_keys import ID, KIND, digest, make, rotated
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import ApiKey, ApiRole
from hub.definitions.schedule import DURATION, duration_ms

_NONE: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is no key with this id."}}
_THERE: Final[dict[int | str, dict[str, Any]]] = {409: {"description": "There is a key with this id already."}}


class NewKey(BaseModel, extra="forbid"):
    """Whom it is for, and what they may do."""

    id: Annotated[str, Field(pattern=ID, description="Its name in the audit log, such as `shop-backend`.")]
    roles: Annotated[list[ApiRole], Field(min_length=1, description="docs/security.md has what each may do.")]
    name: Annotated[str, Field(max_length=200, description="For people.")] = ""
    description: Annotated[str, Field(max_length=2_000, description="For people.")] = ""
    expires_at: Annotated[
        AwareDatetime | None, Field(description="From then on it opens nothing; RFC 3339. null: never.")
    ] = None


class Rotation(BaseModel, extra="forbid"):
    """How long the key that was good until now still is."""

    keep: Annotated[
        str, Field(pattern=rf"{DURATION}|^$", description="Such as 1d or 30m. Empty: it is over at once.")
    ] = "1d"


class KeyState(BaseModel):
    """
    A key, without what opens anything. `state`: valid, expired or off. `also_until`: the key before it is good until
    then; null: there is none.
    """

    id: str
    name: str
    description: str
    roles: list[ApiRole]
    state: str
    expires_at: str | None
    also_until: str | None
    version: int
    updated_at: str


class MadeKey(KeyState):
    """`key`: what to send as `Authorization: Bearer KEY`. It is kept nowhere, and never shown again."""

    key: str


class KeyList(BaseModel):
    """All of them, by id."""

    items: list[KeyState]
    next: None


class ApiKeys(NamedTuple):
    """Makes keys and definitions of their hashes. `now_ms`: the clock, milliseconds since 1970."""

    editor: Editor
    catalogue: Catalogue
    namespace: str
    now_ms: Callable[[], int]

    def every(self) -> list[dict[str, Any]]:
        """By id."""
        return [self._shown(id, entry) for id, entry in sorted(self.catalogue.entries(KIND).items())]

    async def add(self, wanted: NewKey) -> dict[str, Any]:
        """A new one. Raises Conflict: there is one with this id. Unavailable."""
        key = make()
        spec = ApiKey(
            name=wanted.name,
            description=wanted.description,
            roles=wanted.roles,
            expires_at=wanted.expires_at,
            hash=digest(key.encode(), self.namespace),
        )
        return await self._written(wanted.id, spec, key, if_none_match="*")

    async def rotate(self, id: str, keep: str) -> dict[str, Any]:
        """Another key in its place. Args: keep: as of Rotation. Raises NotFound, Conflict, Unavailable."""
        entry = self._entry(id)
        key = make()
        new = digest(key.encode(), self.namespace)
        spec = rotated(cast("ApiKey", entry.spec), new, self.now_ms(), duration_ms(keep))
        # two at once: one of the keys that they show would open nothing
        return await self._written(id, spec, key, if_match=f'"{entry.version}"')

    async def remove(self, id: str) -> None:
        """From now on it opens nothing. Raises NotFound, Unavailable."""
        self._entry(id)
        await self.editor.write(KIND, id, None, condition(None))

    def _entry(self, id: str) -> Entry:
        entry = self.catalogue.entry(KIND, id)
        if entry is None:
            raise NotFound("there is no API key with this id: GET /api-keys has all")
        return entry

    async def _written(
        self, id: str, spec: ApiKey, key: str, *, if_match: str | None = None, if_none_match: str | None = None
    ) -> dict[str, Any]:
        entry = await self.editor.write(KIND, id, spec, condition(if_match, if_none_match))
        if entry is None:
            raise Conflict("somebody else has removed the key at the same time")
        return self._shown(id, entry) | {"key": key}

    def _shown(self, id: str, entry: Entry) -> dict[str, Any]:
        spec = cast("ApiKey", entry.spec)
        now_ms = self.now_ms()
        expires_ms = None if spec.expires_at is None else _ms(spec.expires_at)
        also_ms = None if spec.also_until is None or not spec.also else _ms(spec.also_until)
        is_expired = expires_ms is not None and expires_ms <= now_ms
        return {
            "id": id,
            "name": spec.name,
            "description": spec.description,
            "roles": spec.roles,
            "state": "off" if not spec.enabled else "expired" if is_expired else "valid",
            "expires_at": when(expires_ms),
            "also_until": when(also_ms) if also_ms is not None and also_ms > now_ms else None,
            "version": entry.version,
            "updated_at": when(entry.updated_at_ms),
        }


def router(keys: ApiKeys) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api-keys", tags=["api keys"])

    @routes.get("", name="API keys", response_model=KeyList)
    async def every() -> Response:
        return json_response({"items": keys.every(), "next": None})

    @routes.post(
        "",
        name="Make an API key, which is shown once",
        response_model=MadeKey,
        status_code=201,
        responses=_THERE,
        openapi_extra=body_of(NewKey),
    )
    async def add(request: Request) -> Response:
        return _secret(await keys.add(await read(NewKey, request)), 201)

    @routes.post(
        "/{id}/rotate",
        name="Change an API key for another one, which is shown once",
        response_model=MadeKey,
        responses=_NONE,
        openapi_extra=body_of(Rotation),
    )
    async def rotate(id: str, request: Request) -> Response:
        return _secret(await keys.rotate(id, (await read(Rotation, request)).keep))

    @routes.delete("/{id}", name="Remove an API key", status_code=204, responses=_NONE)
    async def remove(id: str) -> Response:
        await keys.remove(id)
        return Response(status_code=204)

    return routes


def _secret(shown: dict[str, Any], status: int = 200) -> Response:
    return json_response(shown, status, **{"Cache-Control": "no-store"})


def _ms(at: AwareDatetime) -> int:
    return int(at.timestamp() * 1000)
