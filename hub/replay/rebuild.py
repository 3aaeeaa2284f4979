"""A record of events.v1 as it was, from the documents of its events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from schemas.records import TRACK, Event, Inbound, Track

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
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


class _Tags(msgspec.Struct, frozen=True):
    values: list[str]


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


_decode: Final = msgspec.json.Decoder(_Document).decode


def inbound_of(documents: Sequence[bytes]) -> Inbound:
    """
    The record that these events came in, under the same ids and with the same receive time.

    A payload's own context, properties and options are in no event's document: they are empty here. They go into
    sessions only, so events and profiles come out as they were.

    Args: documents: of all events of one record, in their order, at least one.
    """
    events = [_decode(document) for document in documents]
    first = events[0]
    track: Track = {
        "session_id": first.session.id if first.session else None,
        "profile_less": first.metadata.profile_less,
        "context": b"{}",
        "properties": b"{}",
        "options": b"{}",
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


def _event(document: _Document) -> Event:
    own_time = document.metadata.time.create
    return {
        "id": document.id,
        "client_id": document.metadata.client_id,
        "type": document.type,
        "time_ms": None if own_time is None else _ms(own_time),
        "properties": bytes(document.properties),
        "context": bytes(document.context),
        "options": bytes(document.options),
        "tags": document.tags.values,
    }


def _ms(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
