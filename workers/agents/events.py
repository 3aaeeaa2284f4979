"""The record of one heartbeat for one profile: the same whenever, and by whomever, it is made. Pure."""

from __future__ import annotations

from hub.ids import derived
from hub.pipeline.heartbeat import SOURCE
from schemas.codec import encode_inbound
from schemas.records import TRACK, Event, Track


def run_id(heartbeat: str, due_ms: int) -> str:
    """Of the run of one due time."""
    return derived("heartbeat-run", heartbeat, str(due_ms))


def trigger_id(run: str, number: int) -> str:
    """Of the trigger of one slice."""
    return derived("heartbeat-slice", run, str(number))


def event_id(heartbeat: str, due_ms: int, whose: str) -> str:
    """Args: whose: of the profile, or of the session that is over."""
    return derived("heartbeat", heartbeat, str(due_ms), whose)


def record(
    id: str,
    profile_id: str,
    *,
    heartbeat: str,
    event_type: str,
    properties: bytes,
    time_ms: int,
    now_ms: int,
    definitions_offset: int,
    session_id: str | None = None,
) -> bytes:
    """
    An ordinary Track of the hub's own event source, for events.v1.

    Args:
        id: Of the event, and of its payload.
        properties: JSON of an object.
        time_ms: Of the event.
        now_ms: When it was read that there is such a profile: what is erased after that is erased with this, too.
        definitions_offset: Of the newest definition that this process had seen.
    """
    event: Event = {
        "id": id,
        "client_id": None,
        "type": event_type,
        "time_ms": time_ms,
        "properties": properties,
        "context": b"{}",
        "options": b"{}",
        "tags": [],
    }
    track: Track = {
        "session_id": session_id,
        "profile_less": False,
        "context": b"{}",
        "properties": b"{}",
        "options": b"{}",
        "request": b"{}",
        "events": [event],
    }
    return encode_inbound(
        {
            "id": id,
            "source": SOURCE,
            "profile_id": profile_id,
            "received_at_ms": now_ms,
            "definitions_offset": definitions_offset,
            "origin": f"heartbeat:{heartbeat}",
            "body": (TRACK, track),
        }
    )
