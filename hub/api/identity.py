"""Who is who: the identity graph of a profile, merges on request, and merges undone."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, Field

from hub.api.problems import Conflict, NotFound
from hub.ids import ordered
from hub.log.publishing import Publish
from hub.pipeline.documents import iso
from hub.pipeline.identity import EMPTY, MOST_DATA_BYTES, SOURCE, Reason, is_movable
from hub.store.port import MOST_LATER, MergeRow, Reading
from schemas.codec import encode_inbound
from schemas.records import MERGE, Inbound
from schemas.records import Merge as MergeBody
from schemas.topics import EVENTS

_NONE: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is none with this id."}}


class Identifier(BaseModel):
    """
    One identifier of the profile. `identifier`: hash, as the value itself is not kept; `label`: `email`, `phone`,
    `id:crm`; `at`, `event_id`: when and by which event it came; `profiles`: how many have come with it; `shared`: too
    many, so that it joins nobody any more.
    """

    identifier: str
    label: str
    at: str
    event_id: str
    profiles: int
    shared: bool


class Merge(BaseModel):
    """
    One merge. `because`: what both had in common and which event showed it, or that it was asked for; `changes`: what
    it changed in the survivor; `undone_at`: null while it holds.
    """

    id: str
    survivor_id: str
    loser_id: str
    at: str
    undone_at: str | None
    because: dict[str, Any]
    changes: list[dict[str, Any]]


class Identity(BaseModel):
    """
    Who a profile is. `asked_for`: the id in the request; `id`: the profile that it is part of now; `ids`: every id that
    answers with it; `apart`: profiles that it will not be merged with by an identifier.
    """

    id: str
    asked_for: str
    ids: list[str]
    identifiers: list[Identifier]
    merges: list[Merge]
    apart: list[str]


class MergeWith(BaseModel, extra="forbid"):
    """Which two are one person."""

    profile: Annotated[str, Field(min_length=1, max_length=256, description="Id of the other profile.")]


class Asked(BaseModel):
    """It is on the log, and done some milliseconds later: ask for the identity of the profile."""

    id: str
    state: Literal["accepted"] = "accepted"


class Identities:
    """Reads the graph; what shall change becomes a record, as only the owner of a profile may change it."""

    def __init__(
        self, publisher: Publish, store: Reading, namespace: str, most_profiles: int, now_ms: Callable[[], int]
    ) -> None:
        """Args: most_profiles: that may share an identifier. now_ms: the clock, milliseconds since 1970."""
        self._publisher = publisher
        self._store = store
        self._topic = EVENTS.name(namespace)
        self._most = most_profiles
        self._now_ms = now_ms

    def of(self, id: str) -> Identity:
        """Blocks. Raises NotFound."""
        document = self._store.get("profiles", id)
        if document is None:
            raise NotFound("there is no profile with this id")
        return Identity(
            id=document["id"],
            asked_for=id,
            ids=document["ids"],
            identifiers=list(self._identifiers(document)),
            merges=[_merge(row) for row in self._store.merges(document["ids"])],
            apart=document["metadata"].get("apart", []),
        )

    def _identifiers(self, document: dict[str, Any]) -> Iterable[Identifier]:
        came: dict[str, list[str]] = document["metadata"].get("identifiers", {})
        uses = self._store.identifier_uses(list(came))
        for identifier, (label, at, event_id) in came.items():
            profiles = uses[identifier].uses if identifier in uses else 1
            yield Identifier(
                identifier=identifier,
                label=label,
                at=at,
                event_id=event_id,
                profiles=profiles,
                shared=profiles > self._most,
            )

    def check_merge(self, id: str, other: str) -> None:
        """Blocks. Raises NotFound, Conflict."""
        found = []
        for one in (id, other):
            document = self._store.get("profiles", one)
            if document is None:
                raise NotFound(f"there is no profile {one}")
            found.append(document)
        if self._store.survivor(id) == self._store.survivor(other):
            raise Conflict("both ids are of one profile already")
        loser = max(found, key=itemgetter("id"))
        if not is_movable(loser):
            raise Conflict(
                f"the profile {loser['id']} is larger than the {MOST_DATA_BYTES:,} bytes of JSON that can become part "
                "of another one: let a mapping delete what has grown, such as a list that every event appends to"
            )

    async def merge(self, id: str, other: str) -> Asked:
        """Ask for a merge. Raises Unavailable."""
        now_ms = self._now_ms()
        reason = Reason("request", id, other, iso(now_ms))
        return await self._send(
            ordered(now_ms), id, other, step="ask", reason=msgspec.json.encode(reason), now_ms=now_ms
        )

    def undoable(self, merge_id: str) -> MergeRow:
        """Blocks. Raises NotFound, Conflict: why it cannot be undone."""
        row = self._store.merge(merge_id)
        if row is None:
            raise NotFound("there is no merge with this id")
        if row.undone_ms is not None:
            raise Conflict(f"it is undone since {iso(row.undone_ms)}")
        now = self._store.survivor(row.survivor_id)
        if now != row.survivor_id:
            raise Conflict(
                f"its survivor {row.survivor_id} has itself become part of {now} since: undo that merge first, see "
                f"GET /profiles/{now}/identity"
            )
        if self._store.undo(merge_id) is None:
            raise Conflict(
                f"more than {MOST_LATER:,} events came to the survivor since, too many to apply anew, or somebody who "
                "was part of it by then was erased, so that nobody knows what it was without them"
            )
        return row

    async def undo(self, row: MergeRow) -> Asked:
        """Ask for a merge to be undone. Raises Unavailable."""
        return await self._send(row.id, row.survivor_id, row.loser_id, step="undo", reason=EMPTY, now_ms=self._now_ms())

    async def _send(self, id: str, profile_id: str, other: str, *, step: str, reason: bytes, now_ms: int) -> Asked:
        body: MergeBody = {
            "loser_id": other,
            "loser_version": 0,
            "snapshot": EMPTY,
            "step": step,
            "reason": reason,
        }
        record: Inbound = {
            "id": id,
            "source": SOURCE,
            "profile_id": profile_id,
            "received_at_ms": now_ms,
            "definitions_offset": -1,
            "origin": "rest",
            "body": (MERGE, body),
        }
        await self._publisher.publish(self._topic, profile_id.encode(), encode_inbound(record))
        return Asked(id=id)


def router(identities: Identities) -> APIRouter:
    """The routes; before /profiles/{id:path}, which would take them for ids."""
    routes = APIRouter(tags=["identity"])

    @routes.get("/profiles/{id:path}/identity", name="Identity of a profile", response_model=Identity, responses=_NONE)
    def identity(id: str) -> Identity:
        return identities.of(id)

    @routes.post(
        "/profiles/{id:path}/merge", name="Merge two profiles", response_model=Asked, status_code=202, responses=_NONE
    )
    async def merge(id: str, wanted: MergeWith) -> Asked:
        await to_thread(identities.check_merge, id, wanted.profile)
        return await identities.merge(id, wanted.profile)

    @routes.post("/merges/{id}/undo", name="Undo a merge", response_model=Asked, status_code=202, responses=_NONE)
    async def undo(id: str) -> Asked:
        return await identities.undo(await to_thread(identities.undoable, id))

    return routes


def _merge(row: MergeRow) -> Merge:
    return Merge(
        id=row.id,
        survivor_id=row.survivor_id,
        loser_id=row.loser_id,
        at=iso(row.at_ms),
        undone_at=None if row.undone_ms is None else iso(row.undone_ms),
        because=row.reason,
        changes=row.changes,
    )
