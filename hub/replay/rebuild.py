"""A record of events.v1 as it was, from the documents of its events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from hub.edge.inbound import MADE_SESSIONS, SESSIONS, STATIC_PROFILE, SYSTEM_EVENTS
from hub.pipeline.histories import SOURCE as SEGMENTS
from hub.pipeline.modes import SAVE_PROFILE, SAVE_SESSION
from hub.pipeline.payload import NO_PROFILE, NO_SESSION
from hub.pipeline.system_events import SOURCE
from schemas.records import TRACK, Event, Inbound, Track

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NONE: Final = msgspec.Raw(b"")
_MILLISECOND: Final = timedelta(milliseconds=1)


class _Ref(msgspec.Struct, frozen=True):
    id: str


class _Time(msgspec.Struct, frozen=True):
    insert: str
    create: str | None


class _Metadata(msgspec.Struct, frozen=True):
    time: _Time
    payload_id: str
    client_id: str | None
    origin: str
    profile_less: bool
    sent_as: str | None = None  # the profile id that the client sent, where it was merged into another one
    static_profile: bool = False  # it was not to follow its session
    session_made: bool = False  # it named none
    flags: list[str] = []


class _Tags(msgspec.Struct, frozen=True):
    values: list[str]
    sent: int | None = None  # how many are the client's; the others are of the event's type


class _Raw(msgspec.Struct, frozen=True):
    """What was reshaped, as it was before; empty: it was not."""

    properties: msgspec.Raw = _NONE
    context: msgspec.Raw = _NONE


class _Document(msgspec.Struct, frozen=True):
    """What is needed of hub.pipeline.documents.EventDocument; the JSON that the client sent stays the same bytes."""

    id: str
    type: str
    source: _Ref
    profile: _Ref | None
    session: _Ref | None
    metadata: _Metadata
    properties: msgspec.Raw
    context: msgspec.Raw
    options: msgspec.Raw
    request: msgspec.Raw
    tags: _Tags
    raw: _Raw = _Raw()


_decode: Final = msgspec.json.Decoder(_Document).decode


def inbound_of(documents: Sequence[bytes]) -> Inbound | None:
    """
    The record that these events came in, under the same ids and with the same receive time.

    A payload's own context and properties are in no event's document: they are empty here. So sessions lack them, and
    events what the payload's context told of their device, campaign and place. Of its options there are those that the
    collector minds. What was not to be kept (hub.pipeline.modes) is not in the store, and so not here. Sessions and
    events of the hub's own are left out: they are made anew.

    Args: documents: of all events of one record, in their order.

    Returns: None: nobody has sent any of them.
    """
    every = [one for one in map(_decode, documents) if one.source.id != SEGMENTS]
    events = [one for one in every if one.source.id != SOURCE]
    if not events:
        return None
    first = events[0]
    track: Track = {
        "session_id": first.session.id if first.session and not first.metadata.session_made else None,
        "profile_less": first.metadata.profile_less,
        "context": b"{}",
        "properties": b"{}",
        "options": _options(first.metadata, has_system_events=len(events) < len(every)),
        "request": bytes(first.request),
        "events": [_event(event) for event in events],
    }
    return {
        "id": first.metadata.payload_id,
        "source": first.source.id,
        "profile_id": first.metadata.sent_as or (first.profile.id if first.profile else ""),
        "received_at_ms": _ms(first.metadata.time.insert),
        "definitions_offset": -1,
        "origin": first.metadata.origin,
        "body": (TRACK, track),
    }


def _options(metadata: _Metadata, *, has_system_events: bool) -> bytes:
    options: dict[str, object] = {}
    if metadata.static_profile:
        options[STATIC_PROFILE] = True
    if metadata.session_made:
        options[SESSIONS] = MADE_SESSIONS
    if has_system_events:
        options[SYSTEM_EVENTS] = True
    for flag, name in ((NO_PROFILE, SAVE_PROFILE), (NO_SESSION, SAVE_SESSION)):
        if flag in metadata.flags:
            options[name] = False
    return msgspec.json.encode(options)


def _event(document: _Document) -> Event:
    own_time = document.metadata.time.create
    return {
        "id": document.id,
        "client_id": document.metadata.client_id,
        "type": document.type,
        "time_ms": None if own_time is None else _ms(own_time),
        "properties": bytes(document.raw.properties) or bytes(document.properties),
        "context": bytes(document.raw.context) or bytes(document.context),
        "options": bytes(document.options),
        "tags": document.tags.values[: document.tags.sent],
    }


def _ms(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
