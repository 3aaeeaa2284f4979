"""Bridges and destinations as resources: their routes, and what is told of each, as far as that is the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from hub.api.definitions import IfMatch, Types, body_of, read
from hub.api.responses import json_response
from hub.api.steering import RewindTo, Steering, place, when
from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Bridge, Destination
from hub.pipeline.documents import iso
from schemas.bridges import Status

Trial = TypeVar("Trial", bound=BaseModel)
"""What a trial of one is asked with."""
Answers: TypeAlias = dict[int | str, dict[str, Any]]

NOT_THERE: Final[Answers] = {404: {"description": "There is none with this id."}}
ASKED: Final[Answers] = {
    **NOT_THERE,
    503: {"description": "No bridge process runs, none has answered, or Redis is away."},
}


class Steered(ABC, Generic[Trial]):
    """Definitions of one kind, put together with what the processes that run them tell."""

    def __init__(self, steering: Steering) -> None:
        """Args: steering: of that kind."""
        self._steering = steering

    @abstractmethod
    async def all(self) -> list[dict[str, Any]]:
        """Every one, by id."""

    @abstractmethod
    async def one(self, id: str) -> dict[str, Any]:
        """Raises NotFound."""

    @abstractmethod
    async def test(self, id: str, wanted: Trial) -> dict[str, Any]:
        """Try it, with nothing taken or sent. Raises NotFound, Invalid, InvalidPayload, Unavailable."""

    async def enable(self, id: str, if_match: str | None) -> dict[str, Any]:
        """Start it; one that is broken is tried again at once. Raises NotFound, Conflict, Unavailable."""
        await self._steering.enable(id, if_match)
        return await self.one(id)

    async def pause(self, id: str, if_match: str | None) -> dict[str, Any]:
        """Stop it until it is started again; waits a little until it has let go. Raises NotFound, Conflict."""
        await self._steering.pause(id, if_match)
        return await self.one(id)

    async def rewind(self, id: str, wanted: RewindTo) -> dict[str, Any]:
        """Set it back. Raises NotFound, Invalid (this kind cannot), InvalidPayload, Unavailable."""
        await self._steering.rewind(id, place(wanted.to))
        return await self.one(id)


def router(
    kind: str,
    steered: Steered[Trial],
    trial: type[Trial],
    *,
    types: Types,
    test: str,
    test_answers: Answers,
    rewind: str,
) -> APIRouter:
    """
    The routes.

    Args:
        kind: Of definition, such as `bridge`.
        trial: The body of a test.
        types: That there are of the kind.
        test, rewind: What these routes do, in words for the description.
        test_answers: Of a test that fails.
    """
    routes = APIRouter(tags=[f"{kind}s"], prefix=f"/{kind}s")

    @routes.get("", name=f"How all {kind}s are doing")
    async def all_of_them() -> Response:
        return json_response({"items": await steered.all(), "next": None})

    # plain, as FastAPI runs it on its threads: some types load large libraries. Before /{id:path}, which would take it
    @routes.get("/types", name=f"All types of {kind}, with the JSON Schema of the settings of each")
    def all_types() -> Response:
        return json_response({"items": types(), "next": None})

    @routes.get("/{id:path}", name=f"How a {kind} is doing", responses=NOT_THERE)
    async def one(id: str) -> Response:
        return json_response(await steered.one(id))

    @routes.post("/{id:path}/start", name=f"Start a {kind}", responses=NOT_THERE)
    async def start(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await steered.enable(id, if_match))

    @routes.post("/{id:path}/resume", name=f"Start a {kind} again", responses=NOT_THERE)
    async def resume(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await steered.enable(id, if_match))

    @routes.post("/{id:path}/pause", name=f"Pause a {kind}", responses=NOT_THERE)
    async def pause(id: str, if_match: IfMatch = None) -> Response:
        return json_response(await steered.pause(id, if_match))

    @routes.post("/{id:path}/test", name=test, responses=test_answers, openapi_extra=body_of(trial))
    async def try_(id: str, request: Request) -> Response:
        return json_response(await steered.test(id, await read(trial, request)))

    @routes.post("/{id:path}/rewind", name=rewind, responses=ASKED, openapi_extra=body_of(RewindTo))
    async def set_back(id: str, request: Request) -> Response:
        return json_response(await steered.rewind(id, await read(RewindTo, request)))

    return routes


class Counts(NamedTuple):
    """What a kind calls its numbers. Attributes: taken: what came in; done: what went out; last: when the last came."""

    taken: str
    done: str
    last: str


def described(
    id: str,
    entry: Entry,
    spec: Bridge | Destination,
    state: tuple[str, str],
    *,
    process: str | None,
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """
    What its definition says, and what can be said of it from afar.

    Args:
        spec: The entry's.
        state: And what to do about it.
        process: That runs it.
        own: Fields of this kind alone.
    """
    now, hint = state
    return {
        "id": id,
        "type": spec.type,
        "name": spec.name,
        "enabled": spec.enabled,
        **own,
        "version": entry.version,
        "updated_at": iso(entry.updated_at_ms),
        "state": now,
        "hint": hint,
        "process": process,
    }


def numbers(status: Status | None, counts: Counts, *, running: bool) -> dict[str, Any]:
    """Of the process that runs it, or ran it last. What only somebody who runs it can know is null else."""
    if status is None:
        status = Status(bridge="", kind="", version=-1)
    return {
        "running_version": status.version if running and status.version >= 0 else None,
        "since": when(status.since_ms),
        "started_at": when(status.started_ms),
        "host": status.host or None,
        "lag": status.lag,
        "rate": status.rate if running else 0.0,
        counts.taken: status.received,
        counts.done: status.forwarded,
        "refused": status.refused,
        "in_flight": status.in_flight if running else 0,
        counts.last: when(status.last_message_ms),
        "last_error": status.last_error or None,
        "last_error_at": when(status.last_error_ms),
        "parts": [{"name": part.name, "lag": part.lag, "position": part.position} for part in status.parts],
        "rewinds_to": status.rewinds_to,
    }
