"""Events of the hub's own that say what began with another one: a profile, a session, a visit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from hub.ids import derived
from schemas.records import Event, Inbound

SOURCE: Final = "@system"
"""Their event source: so they are counted by themselves, received and stored at once."""
PROFILE_CREATED: Final = "profile-created"
SESSION_OPENED: Final = "session-opened"
VISIT_STARTED: Final = "visit-started"
EVERY: Final = (PROFILE_CREATED, SESSION_OPENED, VISIT_STARTED)
"""In the order in which they come."""


def id_of(type: str, cause_id: str) -> str:
    """The id of the one that an event caused: told again, it is the same."""
    return derived("system", type, cause_id)


def made(cause: Event, *, profile_created: bool, visit_started: bool) -> Iterator[Event]:
    """Those that an event caused, at its own time: so they lie where it lies."""
    for type in EVERY:
        if profile_created if type == PROFILE_CREATED else visit_started:
            properties = {"trigger-event-types": [cause["type"]]} if type == VISIT_STARTED else {}
            yield {
                "id": id_of(type, cause["id"]),
                "client_id": None,
                "type": type,
                "time_ms": cause["time_ms"],
                "properties": msgspec.json.encode(properties),
                "context": b"{}",
                "options": b"{}",
                "tags": [],
            }


def as_its_source(inbound: Inbound) -> Inbound:
    """The record of the cause, as if it were sent by the hub."""
    return {**inbound, "source": SOURCE}
