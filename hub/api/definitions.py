"""PUT, GET, DELETE /definitions: what people define goes onto definitions.v1, and comes back through the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from re import fullmatch
from typing import Annotated, Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec
from fastapi import APIRouter, Header, Path, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from hub.api.audit import Change, note
from hub.api.body import read_body
from hub.api.lines import check_lines
from hub.api.problems import Conflict, NotFound
from hub.api.responses import json_response
from hub.conditions.unkept import unkept
from hub.definitions import api_keys, heartbeats
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.event_types import built_in
from hub.definitions.kinds import KINDS, Definition, Redirect, Segment, Source
from hub.definitions.kinds import Mapping as EventMapping
from hub.definitions.wording import said
from hub.definitions.write_keys import taken
from hub.edge.admit import clean_id, event_type
from hub.edge.inbound import Door, check_source
from hub.edge.json_check import check
from hub.errors import HubError, InvalidPayload, Unavailable
from hub.log.publishing import Publish
from hub.store.query.segment import warnings
from schemas.topics import DEFINITIONS

M = TypeVar("M", bound=BaseModel)

READ_BACK_S: Final = 10.0
BODY_BYTES: Final = 1_048_576
ID_CHARS: Final = 256
BUILT_IN_VERSION: Final = heartbeats.BUILT_IN_VERSION
"""Of definitions that come with the hub and have no place on the log."""
VERSIONS: Final = "/versions"
"""What a route has behind an id, which may have slashes itself."""

Validator: TypeAlias = Callable[[Any], None]
"""Gets a definition of one kind. Raises a HubError or ValueError that says what is wrong with it, beyond its types."""

Warner: TypeAlias = Callable[[Any], list[dict[str, Any]]]
"""Gets a definition of one kind; gives what is to be known of it, as JSON. It never keeps one from being saved."""

Prober: TypeAlias = Callable[[Any], list[str]]
"""Gets a definition that was saved just now; gives what is odd about it as things are. Blocks. Raises Unavailable."""

Types: TypeAlias = Callable[[], list[dict[str, Any]]]
"""Gives the types that a definition of one kind may have, as JSON; may take a second when first called."""

Condition: TypeAlias = Callable[[Entry | None], None]
"""Raises Conflict unless the entry as it is now is the one that may be changed."""

Kind = Annotated[str, Path(description="Of definition.", json_schema_extra={"enum": list(KINDS)})]
IfMatch = Annotated[str | None, Header(description='The version that you have read, as in `"12"`; or `*`.')]
IfNoneMatch = Annotated[str | None, Header(description="`*`: only if there is none yet.")]


MADE: Final[dict[int | str, dict[str, Any]]] = {201: {"description": "There was none before."}}


class Vault(Protocol):
    """Keeps the secrets of one kind of definition."""

    def sealed(self, spec: Any, old: Any) -> Any:
        """
        `spec` with its secrets sealed, and those that were sent as they are shown taken over from `old` (or None).

        Raises: ValueError, which says where.
        """
        ...

    def shown(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The JSON of a definition, without its secrets."""
        ...


class Rules(NamedTuple):
    """What is special about some kinds of definition, by kind."""

    validators: Mapping[str, Validator] = {}
    vaults: Mapping[str, Vault] = {}
    warners: Mapping[str, Warner] = {}
    probers: Mapping[str, Prober] = {}
    types: Mapping[str, Types] = {}

    def checked(self, kind: str, spec: Definition, old: Definition | None) -> Definition:
        """As it shall be kept: valid, secrets sealed. Blocks. Raises Invalid; Unavailable: nobody can tell now."""
        try:
            _check_type(spec)
            if kind in self.vaults:
                spec = self.vaults[kind].sealed(spec, old)
            if kind in self.validators:
                self.validators[kind](spec)
            check_lines(spec)
        except Unavailable:
            raise
        except (HubError, ValueError) as exc:
            raise Invalid(str(exc)) from exc
        return spec

    def probed(self, kind: str, spec: Definition) -> list[str]:
        """Further warnings of a definition that was saved just now. Blocks."""
        if kind not in self.probers:
            return []
        try:
            return self.probers[kind](spec)
        except Unavailable as exc:
            return [f"it is saved, but whether it says what is meant could not be tried: {exc}"]

    def shown(self, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        """What people see of it."""
        return self.vaults[kind].shown(spec) if kind in self.vaults else spec


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
            Conflict: `condition` does not hold, or a write key belongs to another source.
            Unavailable: Kafka did not take it, or it was not read back within 10 s; it may come into force later.
        """
        async with self._turn:
            before = self._catalogue.entry(kind, id)
            condition(before)
            if isinstance(spec, Source):
                self._check_keys(id, spec)
            value = None if spec is None else self._value(kind, id, spec)
            offset = await self._publish(self._topic, f"{kind}/{id}".encode(), value)
            note(Change(kind, id, None if before is None else before.version, offset, deleted=spec is None))
            if not await asyncio.to_thread(self._catalogue.wait_for, offset, READ_BACK_S):
                raise Unavailable("kafka", f"the definition is written, but was not read back within {READ_BACK_S:g} s")
        return self._catalogue.entry(kind, id)

    def _check_keys(self, id: str, spec: Source) -> None:
        other = taken(id, spec, self._catalogue)
        if other is not None:
            raise Conflict(f"the write key {other[0]} belongs to the source {other[1]}; a key has one source")

    def _value(self, kind: str, id: str, spec: Definition) -> bytes:
        document = {"kind": kind, "id": id, "spec": spec.model_dump(mode="json"), "updated_at_ms": self._now_ms()}
        return msgspec.json.encode(document)


def router(editor: Editor, catalogue: Catalogue, rules: Rules) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["definitions"])

    @routes.get("/definitions/{kind}", name="All definitions of a kind")
    async def all_of(kind: Kind) -> Response:
        check_kind(kind)
        entries = sorted({**built_in_of(kind), **catalogue.entries(kind)}.items())
        return json_response({"items": [_shown(kind, id, entry, rules) for id, entry in entries], "next": None})

    @routes.get("/definitions/{kind}/{id:path}", name="One definition")
    async def get(kind: Kind, id: str) -> Response:
        check_kind(kind)
        entry = catalogue.entry(kind, id) or built_in_of(kind).get(id)
        if entry is None:
            raise NotFound(f"there is no {kind} with this id")
        return answer(kind, id, entry, rules)

    @routes.put("/definitions/{kind}/{id:path}", name="Set a definition", responses=MADE, openapi_extra=_BODY)
    async def put(
        kind: Kind, id: str, request: Request, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
    ) -> Response:
        check_kind(kind)
        _check_id(kind, id)
        if if_match == f'"{BUILT_IN_VERSION}"' and id in built_in_of(kind):
            if_match, if_none_match = None, "*"
        headers = request.headers
        encoding = headers.get("content-encoding", "").encode("latin-1")
        body = await read_body(request.receive, None, encoding, BODY_BYTES)
        spec = parsed(kind, body)
        old = catalogue.entry(kind, id)
        # a mapping's tests may take a moment, which is not the events' to wait
        spec = await asyncio.to_thread(rules.checked, kind, spec, None if old is None else old.spec)
        entry = await editor.write(kind, id, spec, condition(if_match, if_none_match))
        if entry is None:
            raise Conflict("somebody else has deleted the definition at the same time")
        odd = await asyncio.to_thread(rules.probed, kind, entry.spec)
        return answer(kind, id, entry, rules, 200 if old is not None else 201, odd=odd)

    @routes.delete("/definitions/{kind}/{id:path}", name="Delete a definition", status_code=204)
    async def delete(kind: Kind, id: str, if_match: IfMatch = None) -> Response:
        check_kind(kind)
        if catalogue.entry(kind, id) is None:
            if id in built_in_of(kind):
                raise Conflict('it comes with the hub: to switch it off, PUT one with "enabled": false')
            raise NotFound(f"there is no {kind} with this id")
        await editor.write(kind, id, None, condition(if_match, None))
        return Response(status_code=204)

    return routes


def _check_id(kind: str, id: str) -> None:
    """Raises InvalidPayload: nobody could find a definition with this id."""
    if clean_id(id, "id", ID_CHARS) != id:
        raise InvalidPayload("bad_id", "there is space around it", "id")
    if id.endswith(VERSIONS) or id.rpartition("/")[0].endswith(VERSIONS):
        raise InvalidPayload("bad_id", f"with {VERSIONS} in it, it would be taken for versions of another one", "id")
    if kind == api_keys.KIND and not fullmatch(api_keys.ID, id):
        raise InvalidPayload("bad_id", f"the id of an API key is like {api_keys.ID}", "id")
    if kind == "event-type" and id != event_type(id):
        raise InvalidPayload("bad_id", f"no event is of this type: it would be {event_type(id)!r}", "id")


_UNTIL_THEN: Final[Mapping[str, str]] = {
    "bridge": "Until it may send, messages that name no other become dead letters",
    "redirect": "Until it may send, whoever follows the link gets to its page, and there is no event",
}


def sender(catalogue: Catalogue, door: Door) -> Warner:
    """Whether the event source that a definition names may send. Args: door: that its events come through."""

    def warn(spec: Any) -> list[dict[str, Any]]:
        try:
            check_source(spec.source, catalogue, door)
        except InvalidPayload as exc:
            return [{"where": "source", "detail": f"{exc.detail}: {spec.source!r}. {_UNTIL_THEN[door]}"}]
        return []

    return warn


def rememberer(catalogue: Catalogue) -> Warner:
    """Whether profiles keep what the condition of a heartbeat asks for."""

    def warn(spec: Any) -> list[dict[str, Any]]:
        segments = (entry.spec for entry in catalogue.entries("segment").values())
        kept = [one.condition for one in segments if isinstance(one, Segment) and one.condition]
        return [{"where": "condition", "detail": why} for why in unkept(spec.condition, kept)]

    return warn


def _check_type(spec: Definition) -> None:
    """Raises ValueError: no event is of the type that it is for, so it would do nothing, and nobody would know."""
    type = getattr(spec, "event_type", "")
    if type == "*" and isinstance(spec, EventMapping):
        raise ValueError("event_type: a mapping is for one event type, and * is none")
    if type != event_type(type.strip()) and not isinstance(spec, Redirect):
        raise ValueError(f"event_type: no event is of this type: it would be {event_type(type.strip())!r}")


def parsed(kind: str, body: bytes) -> Definition:
    """
    A definition from its JSON.

    Raises:
        InvalidPayload: not_json and the like, missing_field or wrong_type, with the field.
    """
    return validated(KINDS[kind], body)  # type: ignore[return-value]


def validated(model: type[M], body: bytes) -> M:
    """What a body says; raises as `parsed` does."""
    check(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        reason = "missing_field" if first["type"] == "missing" else "wrong_type"
        raise InvalidPayload(reason, said(first), where) from exc


async def read(model: type[M], request: Request) -> M:
    """A request's body, whatever type it says it has: `curl -d` calls JSON a form. No body: no fields."""
    encoding = request.headers.get("content-encoding", "").encode("latin-1")
    return validated(model, await read_body(request.receive, None, encoding, BODY_BYTES) or b"{}")


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """What the API's description says of such a body."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


class Invalid(HubError):
    """The definition has the right types, but cannot work."""


def condition(if_match: str | None, if_none_match: str | None = None) -> Condition:
    """What a change's headers ask for."""

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


@cache
def built_in_of(kind: str) -> Mapping[str, Entry]:
    """The definitions of a kind that come with the hub; whoever defines one of the same id replaces it."""
    if kind == "heartbeat":
        return heartbeats.built_in()
    if kind != "event-type":
        return {}
    return {id: Entry(spec, BUILT_IN_VERSION, 0) for id, spec in built_in().items()}


def _shown(kind: str, id: str, entry: Entry, rules: Rules) -> dict[str, Any]:
    shown = {
        "kind": kind,
        "id": id,
        "version": entry.version,
        "updated_at_ms": entry.updated_at_ms,
        "spec": rules.shown(kind, entry.spec.model_dump(mode="json")),
    }
    if isinstance(entry.spec, Segment) and entry.spec.condition is not None:
        shown["warnings"] = warnings(entry.spec.condition)
    if built_in_of(kind):
        shown["built_in"] = entry.version == BUILT_IN_VERSION
    return shown


def answer(kind: str, id: str, entry: Entry, rules: Rules, status: int = 200, *, odd: Sequence[str] = ()) -> Response:
    """A definition as it is now, with its version as the ETag. Args: odd: more to warn of."""
    shown = _shown(kind, id, entry, rules)
    if kind in rules.warners:
        shown["warnings"] = rules.warners[kind](entry.spec)
    if odd:
        shown["warnings"] = [*shown.get("warnings", ()), *odd]
    return json_response(shown, status, ETag=f'"{entry.version}"')


def check_kind(kind: str) -> None:
    """Raises NotFound."""
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
