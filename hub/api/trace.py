"""GET /events/{id}/trace: what happened to this one event, or where to look for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final, TypeAlias

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from hub.api.definitions import built_in_of
from hub.api.problems import NotFound
from hub.api.responses import json_response
from hub.api.sheet import Offsets, judge
from hub.api.story import Found, event_story, letter_story, position_of
from hub.definitions.catalogue import Catalogue
from hub.edge.inbound import client_event_id
from hub.errors import Unavailable
from hub.ids import is_uuid
from hub.log.reader import Record
from hub.model import Position
from hub.store.port import Reading
from schemas.topics import EVENTS

NEIGHBOURS: Final = 5
MOST_SOURCES: Final = 200
"""Sources among whose events an id that is no UUID is looked for."""

RecordAt: TypeAlias = Callable[[int, int], Record | None]
"""By partition and offset of events.v1; None when Kafka does not have it. Blocks; raises Unavailable."""


class Trace(BaseModel):
    """The story of an event, or of a dead letter (`kind`): docs/trace.md has every member."""

    id: str
    kind: str
    edge: dict[str, Any]
    log: dict[str, Any]
    times: list[dict[str, Any]]


def router(store: Reading, catalogue: Catalogue, namespace: str, offsets: Offsets, record_at: RecordAt) -> APIRouter:
    """The route."""
    routes = APIRouter()
    tracer = _Tracer(store, catalogue, namespace, offsets, record_at)

    @routes.get(
        "/events/{id}/trace",
        tags=["events"],
        name="Trace of an event",
        response_model=Trace,
        responses={404: {"description": "Nothing has this id; the problem says what is known and where to look."}},
    )
    def trace(id: str) -> Response:
        return json_response(tracer.trace(id.lower() if is_uuid(id) else id))

    return routes


class _Tracer:
    def __init__(
        self, store: Reading, catalogue: Catalogue, namespace: str, offsets: Offsets, record_at: RecordAt
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._topic = EVENTS.name(namespace)
        self._offsets = offsets
        self._record_at = record_at

    def trace(self, id: str) -> dict[str, Any]:
        event = self._store.get("events", id)
        if event is not None:
            return self._event(event)
        letter = self._store.get("dead-letters", id)
        if letter is not None:
            return letter_story(letter, self._found(position_of(letter["position"])))
        raise self._not_found(id)

    def _event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        before, after = self._store.neighbours(event["id"], NEIGHBOURS)
        profile, session = event["profile"], event["session"]
        found = self._found(position_of(event["metadata"]["position"]))
        return event_story(
            event,
            found._replace(
                profile=None if profile is None else self._store.get("profiles", profile["id"]),
                session=None if session is None else self._store.get("sessions", session["id"]),
                before=before,
                after=after,
            ),
        )

    def _found(self, position: Position) -> Found:
        record, note = self._record(position)
        written_at_ms = self._store.written_at(position)
        types = {**built_in_of("event-type"), **self._catalogue.entries("event-type")}
        mappings, segments = self._catalogue.entries("mapping"), self._catalogue.entries("segment")
        ids = {door: self._catalogue.entries(door) for door in ("bridge", "destination", "flow", "heartbeat")}
        return Found(self._topic, record, note, written_at_ms, mappings, types=types, segments=segments, ids=ids)

    def _record(self, position: Position) -> tuple[Record | None, str]:
        epoch, _ = self._store.latest_progress()
        if position.epoch != epoch:
            why = f"the topic was made anew, or got more partitions, and is log {epoch}"
            return None, f"this is log {position.epoch}; {why}"
        try:
            record = self._record_at(position.partition, position.offset)
        except Unavailable as exc:
            return None, f"whether Kafka still has the record is not known: {exc.detail}"
        if record is None:
            return None, "Kafka has deleted the record: it keeps them for as long as docs/topics.md says"
        return record, "Kafka still has the record"

    def _not_found(self, id: str) -> NotFound:
        others = [] if is_uuid(id) else self._by_client_id(id)
        try:
            in_flight = judge(self._store.books(0, 0), self._offsets()).in_flight
        except Unavailable as exc:
            in_flight, waiting = None, f"What is in flight is not known: {exc}."
        else:
            waiting = (
                f"{in_flight} records are in flight: if it was accepted a moment ago, ask again."
                if in_flight
                else "Nothing is in flight: what this hub has accepted is stored, was a duplicate, or is a dead letter."
            )
        same = f" A source of yours calls this event so: {', '.join(others)}." if others else ""
        return NotFound(
            f"No event and no dead letter has this id.{same} {waiting}",
            in_flight=in_flight,
            dead_letters=self._store.count("dead-letters", ""),
            events_with_this_client_id=others,
            look=[
                "GET /balance?verify=true: is anything missing, in flight, or refused with 4xx?",
                'GET /dead-letters?q=source = "SOURCE": a message that could not be taken has an id of its own',
                "GET /events?q=type = TYPE: sent again, an event keeps the id under which it came first",
            ],
        )

    def _by_client_id(self, id: str) -> list[str]:
        made = (client_event_id(source, id) for source in islice(self._catalogue.entries("source"), MOST_SOURCES))
        return [event_id for event_id in made if self._store.get("events", event_id) is not None]
