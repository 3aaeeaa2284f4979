"""The Python shapes of the Avro records: what `schemas.codec` takes and gives."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict


class Event(TypedDict):
    """One event of a Track. `properties`, `context` and `options` are JSON objects as bytes."""

    id: str
    client_id: str | None
    type: str
    time_ms: int | None
    properties: bytes
    context: bytes
    options: bytes
    tags: list[str]


class Track(TypedDict):
    """Events of one profile, in order."""

    session_id: str | None
    profile_less: bool
    context: bytes
    properties: bytes
    options: bytes
    request: bytes
    events: list[Event]


class Patch(TypedDict):
    """Operations on a profile."""

    cause: str
    operations: bytes


class Merge(TypedDict):
    """A step in the merge of two profiles that turned out to be the same person; see the Avro schema."""

    loser_id: str
    loser_version: int
    snapshot: bytes
    step: str
    reason: bytes


class Refused(TypedDict):
    """A broker's message that is no valid payload."""

    reason: str
    detail: str
    body: bytes
    body_sha256: str | None
    body_size: int
    headers: bytes
    key: bytes | None
    time_ms: int | None
    meta: bytes | None


Body: TypeAlias = (
    tuple[Literal["thamesthrive.hub.v1.Track"], Track]
    | tuple[Literal["thamesthrive.hub.v1.Patch"], Patch]
    | tuple[Literal["thamesthrive.hub.v1.Merge"], Merge]
    | tuple[Literal["thamesthrive.hub.v1.Refused"], Refused]
)
TRACK: Literal["thamesthrive.hub.v1.Track"] = "thamesthrive.hub.v1.Track"
PATCH: Literal["thamesthrive.hub.v1.Patch"] = "thamesthrive.hub.v1.Patch"
MERGE: Literal["thamesthrive.hub.v1.Merge"] = "thamesthrive.hub.v1.Merge"
REFUSED: Literal["thamesthrive.hub.v1.Refused"] = "thamesthrive.hub.v1.Refused"


class Inbound(TypedDict):
    """One change to one profile."""

    id: str
    source: str
    profile_id: str
    received_at_ms: int
    definitions_offset: int
    origin: str
    body: Body
    sent_as: NotRequired[str | None]
    first_at: NotRequired[str | None]
    forwarded_for: NotRequired[str | None]


class Stored(TypedDict):
    """An event that the store has."""

    id: str
    profile_id: str
    profile_version: int
    source: str
    type: str
    time_ms: int
    event: bytes
    segments_entered: list[str]
    segments_left: list[str]


class Trigger(TypedDict):
    """Something to do because of a record."""

    id: str
    kind: str
    target: str
    profile_id: str
    event_id: str | None
    at_ms: int
    data: bytes


class DeadLetter(TypedDict):
    """An event that could not be taken, with all that is needed to mend and replay it."""

    id: str
    source: str
    reason: str
    detail: str
    stage: str
    origin: str
    at_ms: int
    attempts: int
    body: bytes
    body_sha256: str | None
    body_size: int
    headers: bytes
    payload_id: str | None
    key: bytes | None
    time_ms: int | None
    meta: bytes | None
