"""People who want to be erased, or not to be taken any more; and what the hub knows of somebody."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from hub.api.export import Export, Store, file_name
from hub.api.identity import Identities
from hub.api.problems import NotFound
from hub.definitions.catalogue import Catalogue
from hub.edge.inbound import identification_points
from hub.ids import ordered
from hub.log.publishing import Publish
from hub.model import FOREVER_MS
from hub.pipeline.documents import iso
from hub.pipeline.letter_owner import Looking
from hub.pipeline.privacy import PROFILE, SOURCE, Kind, Order, mark
from hub.store.port import OrderRow
from schemas.codec import encode_inbound
from schemas.records import PATCH, Inbound, Patch
from schemas.topics import EVENTS, KEYS

Kept: TypeAlias = Callable[[], Mapping[str, int | None]]
"""By topic, after how many milliseconds a record is gone at the latest; None: never. Blocks. Raises Unavailable."""

NEVER: Final = (
    "Kafka keeps these topics for ever, and with them what was sent: set retention.ms on {topics} (kafka-configs.sh "
    "--alter --add-config retention.ms=604800000)"
)
_NONE: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "There is none with this id."}}


class EraseThem(BaseModel, extra="forbid"):
    """`reason`: for the report, such as a ticket's number; no personal data. `suppress`: take no more of them."""

    reason: Annotated[str, Field(max_length=1_000)] = ""
    suppress: bool = False


class Why(BaseModel, extra="forbid"):
    """`reason`: for the report; no personal data."""

    reason: Annotated[str, Field(max_length=1_000)] = ""


class Asked(BaseModel):
    """It is on the log, and done some milliseconds later: `GET /erasures/{id}` tells."""

    id: str
    state: Literal["accepted"] = "accepted"


class Copies(BaseModel):
    """
    Of Kafka: `topics` says, for each, when the last record with data of the person is deleted, null: never. `gone_at`:
    when the last of all is, null: never, or not known now; `note` then says how to mend it. `keys_gone_at`: when the
    last key is deleted of what was sealed on events.v1; null: nothing was, or not all keys are thrown away yet.
    """

    topics: dict[str, str | None]
    gone_at: str | None
    keys_gone_at: str | None = None
    note: str = ""


class Erasure(BaseModel):
    """
    What was asked for and what has been done.

    `kind`: erase, suppress or lift. `state`: removing while something is left, then done. `person`: a mark of the
    profile, as its id is not kept. `void_until`: what was received up to then counts for nothing, whatever brings it
    again. `removed`: how many of what.
    """

    id: str
    kind: Kind
    state: Literal["removing", "done"]
    person: str
    reason: str
    suppressed: bool
    asked_at: str
    done_at: str | None
    void_until: str | None
    removed: dict[str, int]
    kafka: Copies | None = None


class Erasures(BaseModel):
    """Some of them, newest first."""

    items: list[Erasure]
    next: str | None


class People:
    """Reads the reports; what is asked for becomes a record, as only the owner of a profile may remove it."""

    def __init__(
        self,
        publisher: Publish,
        store: Store,
        namespace: str,
        *,
        catalogue: Catalogue,
        identities: Identities,
        kept: Kept,
        now_ms: Callable[[], int],
    ) -> None:
        """Args: now_ms: the clock, milliseconds since 1970."""
        self._publisher = publisher
        self._store = store
        self._topic = EVENTS.name(namespace)
        self._catalogue = catalogue
        self._identities = identities
        self._kept = kept
        self._now_ms = now_ms

    def check_known(self, id: str) -> None:
        """Blocks. Raises NotFound: there is no profile with this id, nor was one erased or suppressed."""
        into = self._store.survivor(id)
        if self._store.get("profiles", into) is None and not self._voids(into):
            raise NotFound("there is no profile with this id, and none with it was erased")

    def check_suppressed(self, id: str) -> None:
        """Blocks. Raises NotFound: it is not suppressed."""
        if not any(until_ms == FOREVER_MS for until_ms in self._voids(self._store.survivor(id))):
            raise NotFound("no profile with this id is suppressed")

    def _voids(self, id: str) -> list[int]:
        return [
            void.until_ms
            for some in self._store.voids([mark(PROFILE, id, self._catalogue.identity_key)]).values()
            for void in some
        ]

    async def ask(self, id: str, op: Kind, reason: str = "", *, suppress: bool = False) -> Asked:
        """
        Put it on the log, for the id that was asked for: it goes the way of that id's events, so it finds whoever they
        are part of by then, and comes behind all of them that were taken before. Raises Unavailable.
        """
        now_ms = self._now_ms()
        name = ordered(now_ms)
        body: Patch = {"cause": name, "operations": msgspec.json.encode([Order(op, reason, suppress)])}
        record: Inbound = {
            "id": name,
            "source": SOURCE,
            "profile_id": id,
            "received_at_ms": now_ms,
            "definitions_offset": -1,
            "origin": "rest",
            "body": (PATCH, body),
        }
        await self._publisher.publish(self._topic, id.encode(), encode_inbound(record))
        return Asked(id=name)

    def report(self, id: str) -> Erasure:
        """Blocks. Raises NotFound, Unavailable."""
        row = self._store.order(id)
        if row is None:
            raise NotFound("there is no erasure with this id; one that was accepted a moment ago is here in a moment")
        return _erasure(row, self._copies(row))

    def reports(self, size: int, cursor: str | None) -> Erasures:
        """Blocks. Raises NotFound: no such cursor."""
        if cursor is not None and not _is_place(cursor):
            raise NotFound("there is no such cursor: take `next` of the answer before")
        rows = self._store.orders(size + 1, None if cursor is None else int(cursor))
        items = [_erasure(row, None) for row in rows[:size]]
        return Erasures(items=items, next=str(rows[size - 1].seq) if len(rows) > size else None)

    def export(self, id: str) -> Export:
        """Blocks. Raises NotFound."""
        document = self._store.get("profiles", id)
        if document is None:
            raise NotFound("there is no profile with this id")
        identity = self._identities.of(id).model_dump()
        regions = self._catalogue.compiled("identification-point", identification_points).regions
        return Export(self._store, document, identity, Looking(self._catalogue.identity_key, regions), self._now_ms())

    def _copies(self, row: OrderRow) -> Copies | None:
        if row.kind != "erase":
            return None
        kept = {**self._kept()}
        keys_ms = kept.pop(KEYS.suffix, None)
        keys_gone_at = iso(row.done_ms + keys_ms) if keys_ms and row.done_ms and row.removed.get("keys") else None
        # the record that asks for it is the last of them
        gone = {topic: None if ms is None else iso(row.at_ms + ms) for topic, ms in kept.items()}
        ages = [ms for ms in kept.values() if ms is not None]
        endless = [topic for topic, ms in kept.items() if ms is None]
        if endless:
            note = NEVER.format(topics=", ".join(endless))
            return Copies(topics=gone, gone_at=None, keys_gone_at=keys_gone_at, note=note)
        gone_at = iso(row.at_ms + max(ages)) if ages else None
        return Copies(topics=gone, gone_at=gone_at, keys_gone_at=keys_gone_at)


def router(people: People) -> APIRouter:
    """The routes; before /profiles/{id:path}, which would take them for ids."""
    routes = APIRouter(tags=["privacy"])

    @routes.post(
        "/profiles/{id:path}/erase", name="Erase a person", response_model=Asked, status_code=202, responses=_NONE
    )
    async def erase(id: str, wanted: EraseThem | None = None) -> Asked:
        wanted = wanted or EraseThem()
        await to_thread(people.check_known, id)
        return await people.ask(id, "erase", wanted.reason, suppress=wanted.suppress)

    @routes.post(
        "/profiles/{id:path}/suppress", name="Suppress a person", response_model=Asked, status_code=202, responses=_NONE
    )
    async def suppress(id: str, wanted: Why | None = None) -> Asked:
        reason = "" if wanted is None else wanted.reason
        await to_thread(people.check_known, id)
        return await people.ask(id, "suppress", reason)

    @routes.delete(
        "/profiles/{id:path}/suppress",
        name="Lift a suppression",
        response_model=Asked,
        status_code=202,
        responses=_NONE,
    )
    async def lift(id: str) -> Asked:
        await to_thread(people.check_suppressed, id)
        return await people.ask(id, "lift")

    @routes.get(
        "/profiles/{id:path}/export",
        name="All that the hub knows of a person",
        response_class=StreamingResponse,
        responses={**_NONE, 200: {"description": "A ZIP file.", "content": {"application/zip": {}}}},
    )
    def export(id: str) -> StreamingResponse:
        disposition = f'attachment; filename="{file_name(id)}"'
        headers = {"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
        return StreamingResponse(people.export(id), headers=headers, media_type="application/zip")

    @routes.get("/erasures", name="Erasures and suppressions", response_model=Erasures, responses=_NONE)
    def erasures(
        size: Annotated[int, Query(ge=1, le=1_000, description="Most items in one answer.")] = 20,
        cursor: Annotated[str | None, Query(description="`next` of the answer before.")] = None,
    ) -> Erasures:
        return people.reports(size, cursor)

    @routes.get("/erasures/{id}", name="Report of an erasure", response_model=Erasure, responses=_NONE)
    def erasure(id: str) -> Erasure:
        return people.report(id)

    return routes


def _is_place(cursor: str) -> bool:
    """Whether it can be one of a store's: decimal, in 64 bits."""
    return cursor.isdecimal() and len(cursor) < 20 and int(cursor) < 2**63


def _erasure(row: OrderRow, kafka: Copies | None) -> Erasure:
    return Erasure.model_validate(
        {
            "id": row.id,
            "kind": row.kind,
            "state": "removing" if row.done_ms is None else "done",
            "person": row.mark,
            "reason": row.reason,
            "suppressed": row.is_suppressed,
            "asked_at": iso(row.at_ms),
            "done_at": None if row.done_ms is None else iso(row.done_ms),
            "void_until": iso(row.until_ms) if row.until_ms else None,
            "removed": row.removed,
            "kafka": kafka,
        }
    )
