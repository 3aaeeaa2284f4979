"""Which ids does it get, and what goes onto the log? A Payload as a record of events.v1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import IdentificationPoint, Source
from hub.edge.clocks import corrected
from hub.edge.identifiers import Points, identifiers
from hub.edge.payload import Event, Payload
from hub.edge.pseudonyms import compiled_pseudonyms
from hub.errors import InvalidPayload
from hub.ids import derived, is_uuid
from schemas import records

SAVE_EVENTS: Final = "saveEvents"
"""Option of a payload. false: its events change the profile and are told, but neither they nor its session are kept."""
STATIC_PROFILE: Final = "static_profile_id"
"""Option of a payload. true: it belongs to the profile that it names, whoever holds its session."""
SESSIONS: Final = "sessions"
"""Option of a payload. "30m": without a session id, it belongs to one that the collector makes (MADE_SESSIONS)."""
MADE_SESSIONS: Final = "30m"
SYSTEM_EVENTS: Final = "systemEvents"
"""Option of a payload. true: a profile, session or visit that begins with it is told by an event of its own."""

REST: Final = "rest"
"""Origin of what came over HTTP."""

Door: TypeAlias = Literal["rest", "bridge", "webhook", "redirect"]


class Taken(msgspec.Struct, frozen=True):
    """A record for events.v1, and the ids that the client shall keep."""

    key: bytes
    record: records.Inbound
    session_id: str | None
    profile_id: str  # "" for a payload without a profile


def check_source(source_id: str, catalogue: Catalogue, door: Door) -> Source:
    """
    The event source, if it may send through this door.

    Raises:
        InvalidPayload: unknown_source, disabled_source or source_type.
    """
    if source_id.startswith("@"):
        raise InvalidPayload(
            "source_type", "ids that begin with @ are the hub's own event sources", "source.id", source_id
        )
    entry = catalogue.entry("source", source_id)
    if entry is None or not isinstance(entry.spec, Source):
        raise InvalidPayload("unknown_source", "no event source has this id", "source.id", source_id)
    if not entry.spec.enabled:
        raise InvalidPayload("disabled_source", "the event source is switched off", "source.id", source_id)
    if door not in entry.spec.type:
        raise InvalidPayload(
            "source_type", f"the event source does not take events from {door}", "source.id", source_id
        )
    return entry.spec


def check_origin(source_id: str, source: Source, origin: str) -> None:
    """
    Whether a page may send. Args: origin: as its browser says it; empty: it is no page, or the browser does not say.

    Raises:
        InvalidPayload: origin_not_allowed.
    """
    if source.allowed_origins and origin and origin.lower() not in source.allowed_origins:
        raise InvalidPayload(
            "origin_not_allowed", f"the event source takes no events from pages of {origin}", "Origin", source_id
        )


def inbound(
    payload: Payload,
    *,
    catalogue: Catalogue,
    payload_id: str | None,
    now_ms: int,
    origin: str,
    request: bytes,
    new_id: Callable[[int], str],
) -> Taken:
    """
    The record of a payload. The same payload under the same payload id gives the same event and profile ids.

    Args:
        catalogue: The definitions that the source was checked with.
        payload_id: What the payload is called if it does not say so itself: an Idempotency-Key, or an id derived from
            a broker's coordinates. None: `new_id(now_ms)`.
        now_ms: Receive time, milliseconds since 1970.
        origin: `rest`, or `bridge:<id>:<position in the source>`.
        request: JSON object about the request; its fields win over those that the client put into `request`.
        new_id: `hub.ids.ordered`.

    Raises:
        InvalidPayload: missing_field: the source wants to be told the profile.
    """
    options = payload.options
    entry = catalogue.entry("source", payload.source_id)
    if entry is not None:
        options = _as_its_source_says(cast("Source", entry.spec), payload)
    name = payload.id or payload_id or new_id(now_ms)
    # two sources may both have a payload 1001: what is derived from such a name must not meet
    root = name if is_uuid(name) else derived("payload", payload.source_id, name)
    # a queue's messages may have lain there for long: that says nothing of their sender's clock
    sent_ms = payload.sent_ms if origin == REST else None
    profile_id = "" if payload.profile_less else _profile_id(payload, root, catalogue)
    track: records.Track = {
        "session_id": payload.session_id,
        "profile_less": payload.profile_less,
        "context": payload.context,
        "properties": payload.properties,
        "options": options,
        "request": _merged(payload.request, request),
        "events": [
            _event(event, payload.source_id, root, index, corrected(event.time_ms, sent_ms, now_ms))
            for index, event in enumerate(payload.events)
        ],
    }
    pseudonyms = catalogue.compiled("pseudonym", compiled_pseudonyms)
    if pseudonyms:
        pseudonyms.apply(track, payload.source_id, catalogue.identity_key)
    record: records.Inbound = {
        "id": name,
        "source": payload.source_id,
        "profile_id": profile_id,
        "received_at_ms": now_ms,
        "definitions_offset": catalogue.offset,
        "origin": origin,
        "body": (records.TRACK, track),
    }
    return Taken((profile_id or name).encode(), record, payload.session_id, profile_id)


def refused(
    error: InvalidPayload,
    *,
    body: bytes,
    headers: Mapping[str, bytes],
    origin: str,
    source: str,
    now_ms: int,
    definitions_offset: int,
    body_sha256: str | None = None,
    payload_id: str | None = None,
    key: bytes | None = None,
    time_ms: int | None = None,
    meta: Mapping[str, Any] | None = None,
) -> tuple[bytes, records.Inbound]:
    """
    The record of a broker's message that is no valid payload, on its way to the dead letters; with its key.

    Args:
        body: The original bytes; left out of the record when `body_sha256` says that the store keeps them.
        headers: The message's headers.
        source: Event source id of the bridge, for a message whose own cannot be read.
        payload_id: Derived from the broker's coordinates. None: derived from `origin`, which names them.
        key: The message's key, and `time_ms` the broker's time of it: a replay has to find all that a mapping may use.
        meta: What `meta(…)` gives of the message besides.
    """
    name = payload_id or derived("payload", origin)
    body_record: records.Refused = {
        "reason": error.reason,
        "detail": f"{error.detail} (at {error.where})" if error.where else error.detail,
        "body": b"" if body_sha256 else body,
        "body_sha256": body_sha256,
        "body_size": len(body),
        "headers": msgspec.json.encode({name: value.decode("latin-1") for name, value in headers.items()}),
        "key": key,
        "time_ms": time_ms,
        "meta": msgspec.json.encode(meta) if meta else None,
    }
    record: records.Inbound = {
        "id": name,
        "source": error.source or source,
        "profile_id": "",
        "received_at_ms": now_ms,
        "definitions_offset": definitions_offset,
        "origin": origin,
        "body": (records.REFUSED, body_record),
    }
    return name.encode(), record


def client_event_id(source_id: str, client_id: str) -> str:
    """The id of an event that its source calls `client_id`, which is no UUID: two sources may both have a 1001."""
    return derived("event", source_id, client_id)


def _profile_id(payload: Payload, root: str, catalogue: Catalogue) -> str:
    if payload.profile_id is not None:
        return payload.profile_id
    if payload.session_id is not None:
        # two first hits of one session that race each other meet in one profile
        return derived("session", payload.session_id)
    identifier = _first_identifier(payload, catalogue)
    if identifier is not None:
        # a queue that only has e-mail addresses makes one profile a person, not one a message
        return derived("identifier", identifier)
    return derived("payload", root)


def _first_identifier(payload: Payload, catalogue: Catalogue) -> str | None:
    points = catalogue.compiled("identification-point", identification_points)
    if not points:
        return None
    for event in payload.events:
        lines = points.of(event.type)
        if lines:
            view = {"properties": msgspec.json.decode(event.properties), "context": msgspec.json.decode(event.context)}
            found, _ = identifiers(lines, payload.source_id, view, catalogue.identity_key)
            if found:
                return found[0].hash
    return None


def identification_points(entries: Mapping[str, Entry]) -> Points:
    """The identification points of a catalogue, compiled."""
    return Points((id, cast("IdentificationPoint", entry.spec)) for id, entry in entries.items())


def _event(event: Event, source_id: str, root: str, index: int, time_ms: int | None) -> records.Event:
    client_id = event.client_id
    if client_id is None:
        event_id = derived("event", root, str(index))
    elif is_uuid(client_id):
        event_id, client_id = client_id.lower(), None
    else:
        event_id = client_event_id(source_id, client_id)
    return {
        "id": event_id,
        "client_id": client_id,
        "type": event.type,
        "time_ms": time_ms,
        "properties": event.properties,
        "context": event.context,
        "options": event.options,
        "tags": event.tags,
    }


def _as_its_source_says(spec: Source, payload: Payload) -> bytes:
    """The payload's options, with what the collector has to know of the source as it is now."""
    if spec.permanent_profile_id and payload.profile_id is None and not payload.profile_less:
        raise InvalidPayload(
            "missing_field", "the event source wants to be told the profile", "profile.id", payload.source_id
        )
    is_made = spec.sessions == MADE_SESSIONS and payload.session_id is None
    if not (spec.transitional or spec.permanent_profile_id or spec.system_events or is_made):
        return payload.options
    options = msgspec.json.decode(payload.options)
    if spec.transitional:
        options[SAVE_EVENTS] = False
    if spec.permanent_profile_id:
        options[STATIC_PROFILE] = True
    if spec.system_events:
        options[SYSTEM_EVENTS] = True
    if is_made:
        options[SESSIONS] = MADE_SESSIONS
    return msgspec.json.encode(options)


def _merged(theirs: bytes, ours: bytes) -> bytes:
    if theirs == b"{}":
        return ours
    return msgspec.json.encode({**msgspec.json.decode(theirs), **msgspec.json.decode(ours)})
