"""The documents that the store keeps and the API gives out: their shapes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from hub.model import DAY_MS, Position
from hub.pipeline.mapping import Change, Problem
from schemas.records import Event, Inbound, Track

CLAIMED_BY: Final = "claimed_by"
"""In the metadata of a session: the profile id that it was claimed with, where that has become part of another."""
_EPOCH: Final = date(1970, 1, 1)


class Ref(msgspec.Struct, frozen=True):
    """A thing by its id."""

    id: str


class EventTime(msgspec.Struct, frozen=True):
    """RFC 3339 in UTC. `insert`: when the edge took it; `create`: the event's own time, if it has one."""

    insert: str
    create: str | None


class Place(msgspec.Struct, frozen=True):
    """Where on events.v1 the event lies, as in Position."""

    epoch: int
    partition: int
    offset: int
    place: int


class EventMetadata(msgspec.Struct, frozen=True):
    """How the event came to be here. `definitions`: offset of the newest definition it was processed with."""

    time: EventTime
    payload_id: str
    client_id: str | None
    origin: str
    profile_less: bool
    flags: list[str]
    definitions: int
    position: Place
    sent_as: str | msgspec.UnsetType = msgspec.UNSET  # the profile id that was sent, if that is another one now
    forwarded_for: str | msgspec.UnsetType = msgspec.UNSET  # why: alias, session or return, as in the Avro record


class Tags(msgspec.Struct, frozen=True):
    """Labels of an event."""

    values: list[str]
    count: int


class Result(msgspec.Struct, frozen=True):
    """What the event did: the fields it changed, the mappings that failed on it."""

    profile_version: int
    profile_created: bool
    changes: Sequence[Change]
    problems: Sequence[Problem]
    identity: Sequence[Any] | msgspec.UnsetType = msgspec.UNSET  # of hub.pipeline.identity.Decision


class EventDocument(msgspec.Struct, frozen=True):
    """An event; `properties`, `context` and `request` are the JSON that the client sent."""

    id: str
    type: str
    name: str
    source: Ref
    profile: Ref | None
    session: Ref | None
    metadata: EventMetadata
    properties: msgspec.Raw
    context: msgspec.Raw
    options: msgspec.Raw
    request: msgspec.Raw
    tags: Tags
    outcome: Result


_encode: Final = msgspec.json.Encoder().encode


def iso(time_ms: int) -> str:
    """RFC 3339 with milliseconds and Z. Args: time_ms: milliseconds since 1970, years 1 to 9998."""
    day, rest_ms = divmod(time_ms, DAY_MS)
    seconds, ms = divmod(rest_ms, 1000)
    minutes, second = divmod(seconds, 60)
    return f"{_date(day)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{ms:03d}Z"


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def event_document(
    event: Event,
    inbound: Inbound,
    track: Track,
    position: Position,
    *,
    received_at: str,
    own_time: str | None,
    flags: list[str],
    definitions: int,
    profile_version: int,
    profile_created: bool,
    changes: Sequence[Change],
    problems: Sequence[Problem],
    identity: Sequence[Any] = (),
) -> bytes:
    """The event's document as JSON. Args: received_at, own_time: RFC 3339. identity: decisions, if any."""
    session_id = track["session_id"]
    return _encode(
        EventDocument(
            id=event["id"],
            type=event["type"],
            name=event["type"].replace("-", " ").title(),
            source=Ref(inbound["source"]),
            profile=Ref(inbound["profile_id"]) if inbound["profile_id"] else None,
            session=Ref(session_id) if session_id else None,
            metadata=EventMetadata(
                time=EventTime(received_at, own_time),
                payload_id=inbound["id"],
                client_id=event["client_id"],
                origin=inbound["origin"],
                profile_less=track["profile_less"],
                flags=flags,
                definitions=definitions,
                position=Place(*position),
                sent_as=inbound.get("sent_as") or msgspec.UNSET,
                forwarded_for=inbound.get("forwarded_for") or msgspec.UNSET,
            ),
            properties=msgspec.Raw(event["properties"]),
            context=msgspec.Raw(event["context"]),
            options=msgspec.Raw(event["options"]),
            request=msgspec.Raw(track["request"]),
            tags=Tags(event["tags"], len(event["tags"])),
            outcome=Result(
                profile_version,
                profile_created,
                changes,
                problems,
                identity or msgspec.UNSET,
            ),
        )
    )


def new_profile(profile_id: str, at: str) -> dict[str, Any]:
    """A profile that has just been seen for the first time. Args: at: RFC 3339."""
    return {
        "id": profile_id,
        "ids": [profile_id],
        "active": True,
        "metadata": {
            "version": 0,
            "time": {
                "insert": at,
                "update": at,
                "visit": {"last": None, "current": None, "count": 0},
            },
            "fields": {},
        },
        "stats": {"events": 0, "visits": 0},
        "traits": {},
        "data": {},
        "segments": [],
        "interests": {},
        "consents": {},
    }


def new_session(session_id: str, profile_id: str, at: str, claimed_by: str) -> dict[str, Any]:
    """A session that has just begun. Args: at: RFC 3339. claimed_by: the profile id that was sent."""
    metadata: dict[str, Any] = {"time": {"insert": at, "update": at, "duration_s": 0.0}, "status": "started"}
    if claimed_by != profile_id:
        metadata[CLAIMED_BY] = claimed_by
    return {
        "id": session_id,
        "profile": {"id": profile_id},
        "metadata": metadata,
        "stats": {"events": 0},
        "context": {},
        "properties": {},
    }
