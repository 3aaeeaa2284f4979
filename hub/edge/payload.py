"""What a payload is once it has been admitted: checked values, free-form parts as JSON bytes."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a payload. `properties`, `context` and `options` are JSON objects as the client wrote them."""

    client_id: str | None  # the id that the client gave it, trimmed
    type: str  # trimmed, lower case, `-` for spaces
    time_ms: int | None  # its own time: milliseconds since 1970 UTC, years 1 to 9998
    properties: bytes
    context: bytes
    options: bytes
    tags: list[str]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one profile from one source. The free-form parts are JSON objects as the client wrote them."""

    id: str | None
    source_id: str
    session_id: str | None
    profile_id: str | None
    profile_less: bool
    context: bytes
    properties: bytes
    options: bytes
    request: bytes
    events: list[Event]
    sent_ms: int | None = None  # what the sender's clock showed as it sent: milliseconds since 1970
