"""Events of the hub's own that say who has entered a segment, and who has left one."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from hub.ids import derived
from hub.model import Position, StoredEvent, partition_of
from hub.pipeline.documents import event_document
from hub.pipeline.flow_changes import raised_by
from hub.pipeline.histories import SOURCE
from hub.pipeline.membership import Crossing
from schemas.records import Event, Inbound, Track

ENTERED: Final = "segment-entered"
LEFT: Final = "segment-left"
EVERY: Final = (ENTERED, LEFT)

_NO_TRACK: Final[Track] = {
    "session_id": None,
    "profile_less": False,
    "context": b"{}",
    "properties": b"{}",
    "options": b"{}",
    "request": b"{}",
    "events": [],
}
_MARK: Final = b',"segments":{"looked":'
_NO_CROSSINGS: Final = b',"entered":[],"left":[]}}'


class Looked(msgspec.Struct, frozen=True):
    """
    What a record did to who is in which segment; in the document of its last event.

    `looked`: the segments that were looked at, each with the version of its definition.
    """

    looked: msgspec.Raw
    entered: list[str]
    left: list[str]


class _Document(msgspec.Struct, frozen=True):
    """What is needed of hub.pipeline.documents.EventDocument."""

    id: str
    type: str
    segments: Looked | None = None


class Told(NamedTuple):
    """Of a stored event, what stored.v1 says of it."""

    id: str
    type: str
    entered: list[str]
    left: list[str]


NOTHING_TOLD: Final = Told("", "", [], [])
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Document).decode


def id_at(position: Position, number: int) -> str:
    """The id of the event on the crossing of this number, from 0, that a record led to. Args: position: its own."""
    return derived("segment", f"{position.epoch}/{position.partition}/{position.offset}", str(number))


def month_of(inbound: Inbound) -> str:
    """The time partition of such events: they have no time of their own."""
    return partition_of(inbound["received_at_ms"], inbound["received_at_ms"])


def stored_event(
    crossing: Crossing,
    inbound: Inbound,
    position: Position,
    number: int,
    *,
    event_id: str | None,
    definitions: int,
    at: str,
) -> StoredEvent:
    """
    The event on a crossing.

    Args:
        inbound: The record that led to it.
        position: Of the event, behind all others of its record; `number`: see `id_at`.
        event_id: Of the event that led to it, if it was one.
        definitions: Offset of the newest definition.
        at: When the record was received, RFC 3339.
    """
    id, type = id_at(position, number), ENTERED if crossing.entered else LEFT
    properties = {"segment": crossing.segment, "name": crossing.name, "since": crossing.since, "event": event_id}
    event: Event = {
        "id": id,
        "client_id": None,
        "type": type,
        "time_ms": None,
        "properties": _encode(properties),
        "context": raised_by(inbound),
        "options": b"{}",
        "tags": [],
    }
    inbound = {**inbound, "source": SOURCE}
    document = event_document(
        event,
        inbound,
        _NO_TRACK,
        position,
        received_at=at,
        own_time=None,
        flags=[],
        definitions=definitions,
        profile_version=position.version,
        profile_created=False,
        changes=(),
        problems=(),
    )
    return StoredEvent(
        id=id,
        partition=month_of(inbound),
        profile_id=inbound["profile_id"],
        session_id="",
        type=type,
        source=SOURCE,
        time_ms=inbound["received_at_ms"],
        received_at_ms=inbound["received_at_ms"],
        position=position,
        digest=blake2b(f"{type}\x1f{id}".encode(), digest_size=16).digest(),
        profile_version=position.version,
        doc=document,
    )


def with_looked(document: bytes, looked: bytes, crossings: Sequence[Crossing]) -> bytes:
    """
    The document of a record's last event, with what the record did (`Looked`).

    Args: looked: JSON: by id, the version of each segment that was looked at.
    """
    if not crossings:
        return b"%b%b%b%b" % (document[:-1], _MARK, looked, _NO_CROSSINGS)
    entered = _encode([one.segment for one in crossings if one.entered])
    left = _encode([one.segment for one in crossings if not one.entered])
    return b'%b%b%b,"entered":%b,"left":%b}}' % (document[:-1], _MARK, looked, entered, left)


def told_of(document: bytes) -> Told:
    """What has to be told again of a stored event. Args: document: its JSON."""
    if _MARK not in document and b"segment-" not in document:
        return NOTHING_TOLD
    found = _decode(document)
    segments = found.segments
    return Told(found.id, found.type, *(([], []) if segments is None else (segments.entered, segments.left)))
