"""The documents that the store keeps and the API gives out: their shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from hub.model import DAY_MS, Position
from hub.pipeline.mapping import Change, Problem
from hub.pipeline.rules.enrichment import NOTHING as UNTOLD
from hub.pipeline.rules.enrichment import Enriched
from hub.pipeline.rules.hand import Did, Hand
from schemas.records import Event, Inbound, Track

CLAIMED_BY: Final = "claimed_by"
"""In the metadata of a session: the profile id that it was claimed with, where that has become part of another."""
NOTHING: Final[Mapping[str, Any]] = {}
_EPOCH: Final = date(1970, 1, 1)


class Ref(msgspec.Struct, frozen=True):
    """A thing by its id."""

    id: str


class EventTime(msgspec.Struct, frozen=True):
    """
    RFC 3339 in UTC. `insert`: when the edge took it; `create`: the event's own time, if it has one.

    `zone`, `hour`: the client's time zone, if it says it, and the hour of its day, 0 to 23.
    """

    insert: str
    create: str | None
    zone: str | msgspec.UnsetType = msgspec.UNSET
    hour: int | msgspec.UnsetType = msgspec.UNSET


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
    channel: str | msgspec.UnsetType = msgspec.UNSET  # of its source, if that has one
    static_profile: bool | msgspec.UnsetType = msgspec.UNSET  # true: it was not to follow its session
    session_made: bool | msgspec.UnsetType = msgspec.UNSET  # true: it named none, and the hub has made it


class Tags(msgspec.Struct, frozen=True):
    """Labels of an event: its own, then those of its type. `sent`: how many are its own, if not all."""

    values: list[str]
    count: int
    sent: int | msgspec.UnsetType = msgspec.UNSET


class Journey(msgspec.Struct, frozen=True):
    """Where the customer is on the way, as the event's type says."""

    state: str


class Result(msgspec.Struct, frozen=True):
    """
    What the event did: the fields it changed, the lines of mappings and event types that failed on it.

    `rules`: what filters, validators, data-compliance and reshapers did to it before. `mapped`: which lines of which
    mappings were applied to it (`hub.pipeline.applied`); the store adds those that are copied later.
    """

    profile_version: int
    profile_created: bool
    changes: Sequence[Change]
    problems: Sequence[Problem]
    identity: Sequence[Any] | msgspec.UnsetType = msgspec.UNSET  # of hub.pipeline.identity.Decision
    rules: Sequence[Did] | msgspec.UnsetType = msgspec.UNSET
    mapped: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class EventDocument(msgspec.Struct, frozen=True):
    """
    An event; `properties`, `context` and `request` are the JSON that the client sent, less what it may not be kept
    without a consent. Where a reshaper has changed one of the first two, `raw` has it as it was before.

    `device`, `os`, `app`, `hit` and `utm` are what its request and context tell (docs/rules.md). `data`, `traits`,
    `hit` and `device` are its index fields, `journey` is where the customer is on the way: as its type says
    (docs/event-types.md), and not there where that says nothing. `segments`: in the last event of a record, what the
    record did to who is in which segment. `flows`: what the event is to flows, if anything.
    """

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
    data: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    traits: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    hit: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    device: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    os: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    app: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    utm: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    raw: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    journey: Journey | msgspec.UnsetType = msgspec.UNSET
    segments: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET  # put at the end later: hub.pipeline.segment_events
    flows: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET  # put behind that: hub.pipeline.flow_notes


_encode: Final = msgspec.json.Encoder().encode


def iso(time_ms: int) -> str:
    """RFC 3339 with milliseconds and Z. Args: time_ms: milliseconds since 1970, years 1 to 9998."""
    minute, rest_ms = divmod(time_ms, 60_000)
    return f"{_minute(minute)}{rest_ms // 1000:02d}.{rest_ms % 1000:03d}Z"


@lru_cache(maxsize=16_384)
def _minute(minute: int) -> str:
    day, minutes = divmod(minute, DAY_MS // 60_000)
    return f"{_date(day)}T{minutes // 60:02d}:{minutes % 60:02d}:"


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
    index: Mapping[str, Any] = NOTHING,
    tags: Sequence[str] = (),
    journey: str = "",
    channel: str = "",
    static_profile: bool = False,
    session_made: bool = False,
    hand: Hand | None = None,
    told: Enriched = UNTOLD,
    mapped: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET,
) -> bytes:
    """
    The event's document as JSON.

    Args:
        received_at, own_time: RFC 3339.
        identity: Decisions, if any.
        index: Its index fields, and what its request and context tell.
        tags: Those of its type.
        journey: Empty for none.
        channel: That of its source; empty for none.
        static_profile: Whether it belongs to the profile that was named, whoever holds its session.
        session_made: Whether it named no session, and the one that it has is the hub's.
        hand: As the rules have left it; None: there are none for it.
        told: What its client's clock showed.
        mapped: As `Lines` names what was applied.
    """
    session_id = track["session_id"]
    properties, context, request = event["properties"], event["context"], track["request"]
    time = EventTime(received_at, own_time)
    if told.hour is not None:
        time = EventTime(received_at, own_time, told.zone, told.hour)
    if hand is not None and hand.changed:
        properties = _encode(hand.properties) if "properties" in hand.changed else properties
        context = _encode(hand.context) if "context" in hand.changed else context
        request = hand.request
    return _encode(
        EventDocument(
            id=event["id"],
            type=event["type"],
            name=_title(event["type"]),
            source=Ref(inbound["source"]),
            profile=Ref(inbound["profile_id"]) if inbound["profile_id"] else None,
            session=Ref(session_id) if session_id else None,
            metadata=EventMetadata(
                time=time,
                payload_id=inbound["id"],
                client_id=event["client_id"],
                origin=inbound["origin"],
                profile_less=track["profile_less"],
                flags=flags,
                definitions=definitions,
                position=Place(*position),
                sent_as=inbound.get("sent_as") or msgspec.UNSET,
                forwarded_for=inbound.get("forwarded_for") or msgspec.UNSET,
                channel=channel or msgspec.UNSET,
                static_profile=static_profile or msgspec.UNSET,
                session_made=session_made or msgspec.UNSET,
            ),
            properties=msgspec.Raw(properties),
            context=msgspec.Raw(context),
            options=msgspec.Raw(event["options"]),
            request=msgspec.Raw(request),
            tags=_tags(event["tags"], tags),
            outcome=Result(
                profile_version,
                profile_created,
                changes,
                problems,
                identity or msgspec.UNSET,
                msgspec.UNSET if hand is None else hand.did or msgspec.UNSET,
                mapped,
            ),
            raw=msgspec.UNSET if hand is None else hand.raw or msgspec.UNSET,
            journey=Journey(journey) if journey else msgspec.UNSET,
            **index,
        )
    )


@lru_cache(maxsize=4096)
def _title(event_type: str) -> str:
    return event_type.replace("-", " ").title()


def _tags(sent: list[str], more: Sequence[str]) -> Tags:
    values = [*sent, *(tag for tag in more if tag not in sent)] if more else sent
    return Tags(values, len(values), len(sent) if len(values) > len(sent) else msgspec.UNSET)


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
                "visit": {"first": None, "last": None, "current": None, "count": 0},
            },
            "fields": {},
        },
        "stats": {"events": 0, "visits": 0},
        "traits": {},
        "data": {"anonymous": True},
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
        "stats": {"events": 0, "types": {}},
        "context": {},
        "properties": {},
    }
