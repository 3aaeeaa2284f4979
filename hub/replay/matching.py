"""Which events of a record match a search? The search language on what was sent, before it is processed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from hub.conditions.ast import And, Condition
from hub.conditions.python import compile_python
from hub.conditions.walk import fields
from hub.pipeline.documents import iso
from hub.store.query import QueryError, prepare
from schemas.records import TRACK, Event, Inbound, Track

Filter: TypeAlias = Callable[[Inbound], Inbound | None]
"""A Track with those of its events that match; None when none does."""

_LATER: Final = (
    "outcome",
    "metadata.flags",
    "metadata.definitions",
    "metadata.position",
    "data",
    "traits",
    "hit",
    "device",
    "journey",
    "tags.sent",
    "segments",
)
"""What the collector adds to the document: a replay is there to find it out anew."""
_json: Final = msgspec.json.decode


def make_filter(query: str) -> Filter:
    """
    The filter of a query on events (docs/query.md); an empty one lets everything through.

    Raises: QueryError: it cannot be read, or asks for what is only known once an event is processed.
    """
    condition = prepare(query, "events")
    _check(condition)
    if condition == And(()):
        return lambda inbound: inbound
    matches = compile_python(condition)

    def keep(inbound: Inbound) -> Inbound | None:
        if inbound["body"][0] != TRACK:
            return None
        track = inbound["body"][1]
        events = [event for event in track["events"] if matches(document_of(event, track, inbound))]
        if not events:
            return None
        return with_events(inbound, events)

    return keep


def with_events(inbound: Inbound, events: list[Event]) -> Inbound:
    """The Track with these of its events only; any other record as it is."""
    if inbound["body"][0] != TRACK or len(events) == len(inbound["body"][1]["events"]):
        return inbound
    fewer: Track = {**inbound["body"][1], "events": events}
    return {**inbound, "body": (TRACK, fewer)}


def document_of(event: Event, track: Track, inbound: Inbound) -> dict[str, Any]:
    """The event's document, without what the collector adds to it."""
    return {
        "id": event["id"],
        "type": event["type"],
        "name": event["type"].replace("-", " ").title(),
        "source": {"id": inbound["source"]},
        "profile": {"id": inbound["profile_id"]} if inbound["profile_id"] else None,
        "session": {"id": track["session_id"]} if track["session_id"] else None,
        "metadata": {
            "time": {
                "insert": iso(inbound["received_at_ms"]),
                "create": None if event["time_ms"] is None else iso(event["time_ms"]),
            },
            "payload_id": inbound["id"],
            "client_id": event["client_id"],
            "origin": inbound["origin"],
            "profile_less": track["profile_less"],
        },
        "properties": _json(event["properties"]),
        "context": _json(event["context"]),
        "options": _json(event["options"]),
        "request": _json(track["request"]),
        "tags": {"values": event["tags"], "count": len(event["tags"])},
    }


def _check(condition: Condition) -> None:
    for field in fields(condition):
        path = ".".join(field.path)
        for later in _LATER:
            if path == later or path.startswith(f"{later}."):
                raise QueryError(
                    f"{later} is only known once an event is processed, so a replay cannot search it",
                    field.line,
                    field.column,
                )
