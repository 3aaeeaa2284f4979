"""What a payload's own options ask of the collector; the edge writes them, too, for a source that is defined so."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hub.edge.inbound import MADE_SESSIONS, SAVE_EVENTS, SESSIONS, STATIC_PROFILE, SYSTEM_EVENTS
from schemas.records import Event, Track

SAVE_SESSION: Final = "saveSession"
"""Option of a payload. false: its session is neither written nor claimed."""
SAVE_PROFILE: Final = "saveProfile"
"""Option of a payload. false: its profile is left as it is, and so is its session, which is the profile's."""
SAVE: Final = ("saveEvent", "save")
"""Options of an event. false: it changes the profile and is told, but is not kept itself."""
_EMPTY: Final = b"{}"


def is_ephemeral(track: Track) -> bool:
    """Whether its events change the profile and are told, but neither they nor the session are kept."""
    return _option(track["options"], SAVE_EVENTS) is False


def is_static(track: Track) -> bool:
    """Whether it belongs to the profile that it names, whoever holds its session."""
    return _option(track["options"], STATIC_PROFILE) is True


def keeps_session(track: Track) -> bool:
    """Whether its session is written; one that is not is nobody's for it."""
    options = track["options"]
    return options == _EMPTY or not any(_option(options, one) is False for one in (SAVE_EVENTS, SAVE_SESSION))


def keeps_profile(track: Track) -> bool:
    """Whether its profile may be changed."""
    return _option(track["options"], SAVE_PROFILE) is not False


def makes_session(track: Track) -> bool:
    """Whether the hub has to find out which session it belongs to, as it names none."""
    return not track["session_id"] and _option(track["options"], SESSIONS) == MADE_SESSIONS


def has_system_events(track: Track) -> bool:
    """Whether what begins with it is told by events of the hub's own."""
    return _option(track["options"], SYSTEM_EVENTS) is True


def is_fleeting(event: Event) -> bool:
    """Whether the event itself is not to be kept."""
    options = event["options"]
    return options != _EMPTY and any(_option(options, name) is False for name in SAVE)


def keeps_nothing(track: Track) -> bool:
    """Whether none of its events is kept."""
    return is_ephemeral(track) or all(map(is_fleeting, track["events"]))


def _option(options: bytes, name: str) -> Any:
    if options == _EMPTY or name.encode() not in options:
        return None
    try:
        return msgspec.json.decode(options).get(name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
        return None  # a foreign producer's; as without options
