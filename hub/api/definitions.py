"""PUT, GET, DELETE /definitions: what people define goes onto definitions.v1, and comes back through the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from fastapi import APIRouter, Header, Request
from pydantic import ValidationError
from starlette.responses import Response

from hub.api.body import read_body
from hub.api.problems import Conflict, NotFound
from hub.api.responses import json_response
from hub.api.track import Publish
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import KINDS, Definition
from hub.edge.admit import clean_id
from hub.edge.json_check import check
from hub.errors import HubError, InvalidPayload, Unavailable
from schemas.topics import DEFINITIONS

READ_BACK_S: Final = 10.0
BODY_BYTES: Final = 1_048_576
ID_CHARS: Final = 256

Validator: TypeAlias = Callable[[Any], None]
"""Gets a definition of one kind. Raises a HubError or ValueError that says what is wrong with it, beyond its types."""

Condition: TypeAlias = Callable[[Entry | None], None]
"""Raises Conflict unless the entry as it is now is the one that may be changed."""

IfMatch = Annotated[str | None, Header(description='The version that you have read, as in `"12"`; or `*`.')]
IfNoneMatch = Annotated[str | None, Header(description="`*`: only if there is none yet.")]


class Editor:
    """Writes definitions, one after the other, and waits until this process has read its own write."""

    def __init__(self, publisher: Publish, catalogue: Catalogue, namespace: str, now_ms: Callable[[], int]) -> None:
        """Args: now_ms: the clock, milliseconds since 1970."""
        self._publish = publisher.publish
        self._catalogue = catalogue
        self._topic = DEFINITIONS.name(namespace)
        self._now_ms = now_ms
        self._turn = asyncio.Lock()

    async def write(self, kind: str, id: str, spec: Definition | None, condition: Condition) -> Entry | None:
        """
        Set a definition, or delete it (`spec` None).

        Returns:
            The entry as the catalogue has it now.

        Raises:
            Conflict: `condition` does not hold.
            Unavailable: Kafka did not take it, or it was not read back within 10 s; it may come into force later.
        """
        async with self._turn:
            condition(self._catalogue.entry(kind, id))
            value = None if spec is None else self._value(kind, id, spec)
            offset = await self._publish(self._topic, f"{kind}/{id}".encode(), value)
            if not await asyncio.to_thread(self._catalogue.wait_for, offset, READ_BACK_S):
                raise Unavailable("kafka", f"the definition is written, but was not read back within {READ_BACK_S:g} s")
        return self._catalogue.entry(kind, id)

    def _value(self, kind: str, id: str, spec: Definition) -> bytes:
        document = {"kind": kind, "id": id, "spec": spec.model_dump(mode="json"), "updated_at_ms": self._now_ms()}
        return msgspec.json.encode(document)


def router(
    publisher: Publish,
    catalogue: Catalogue,
    namespace: str,
    validators: Mapping[str, Validator],
    now_ms: Callable[[], int],
) -> APIRouter:
    """The routes. Args: validators: by kind, checks beyond the types."""
    routes = APIRouter(tags=["definitions"])
    editor = Editor(publisher, catalogue, namespace, now_ms)

    @routes.get("/definitions/{kind}", name="All definitions of a kind")
    async def all_of(kind: str) -> Response:
        _check_kind(kind)
        entries = sorted(catalogue.entries(kind).items())
        return json_response({"items": [_shown(kind, id, entry) for id, entry in entries], "next": None})

    @routes.get("/definitions/{kind}/{id:path}", name="One definition")
    async def get(kind: str, id: str) -> Response:
        _check_kind(kind)
        entry = catalogue.entry(kind, id)
        if entry is None:
            raise NotFound(f"there is no {kind} with this id")
        return _answer(kind, id, entry)

    @routes.put("/definitions/{kind}/{id:path}", name="Set a definition", openapi_extra=_BODY)
    async def put(
        kind: str, id: str, request: Request, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
    ) -> Response:
        _check_kind(kind)
        if clean_id(id, "id", ID_CHARS) != id:
            raise InvalidPayload("bad_id", "there is space around it", "id")
        headers = request.headers
        encoding = headers.get("content-encoding", "").encode("latin-1")
        body = await read_body(request.receive, None, encoding, BODY_BYTES)
        spec = parsed(kind, body)
        if kind in validators:
            _validated(spec, validators[kind])
        existed = catalogue.entry(kind, id) is not None
        entry = await editor.write(kind, id, spec, _condition(if_match, if_none_match))
        if entry is None:
            raise Conflict("somebody else has deleted the definition at the same time")
        return _answer(kind, id, entry, 200 if existed else 201)

    @routes.delete("/definitions/{kind}/{id:path}", name="Delete a definition", status_code=204)
    async def delete(kind: str, id: str, if_match: IfMatch = None) -> Response:
        _check_kind(kind)
        if catalogue.entry(kind, id) is None:
            raise NotFound(f"there is no {kind} with this id")
        await editor.write(kind, id, None, _condition(if_match, None))
        return Response(status_code=204)

    return routes


def parsed(kind: str, body: bytes) -> Definition:
    """
    A definition from its JSON.

    Raises:
        InvalidPayload: not_json and the like, missing_field or wrong_type, with the field.
    """
    check(body)
    try:
        return KINDS[kind].model_validate_json(body)  # type: ignore[return-value]
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        reason = "missing_field" if first["type"] == "missing" else "wrong_type"
        raise InvalidPayload(reason, first["msg"], where) from exc


def _validated(spec: Definition, validator: Validator) -> None:
    try:
        validator(spec)
    except (HubError, ValueError) as exc:
        raise Invalid(str(exc)) from exc


class Invalid(HubError):
    """The definition has the right types, but cannot work."""


def _condition(if_match: str | None, if_none_match: str | None) -> Condition:
    def holds(entry: Entry | None) -> None:
        if if_none_match is not None and entry is not None:
            raise Conflict(f"there is a definition already, version {entry.version}")
        if if_match is None:
            return
        if entry is None:
            raise Conflict("there is no definition that could match")
        wanted = [tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")]
        if "*" not in wanted and str(entry.version) not in wanted:
            raise Conflict(f"the definition has been changed: it is at version {entry.version} now")

    return holds


def _shown(kind: str, id: str, entry: Entry) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": id,
        "version": entry.version,
        "updated_at_ms": entry.updated_at_ms,
        "spec": entry.spec.model_dump(mode="json"),
    }


def _answer(kind: str, id: str, entry: Entry, status: int = 200) -> Response:
    return json_response(_shown(kind, id, entry), status, ETag=f'"{entry.version}"')


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise NotFound(f"there are no definitions of kind {kind}; the kinds are {', '.join(KINDS)}")


_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": [{"$ref": f"#/components/schemas/{model.__name__}"} for model in KINDS.values()]}
            }
        },
    }
}
